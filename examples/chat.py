"""A chat server: rooms and members are Refs, messages are sent when a change commits.

The chat server that the README of atomos 0.3 had, over real TCP. Each connection has a
thread. To enter a room, leave another and tell both is one transaction, so nobody is
ever seen in two rooms or in none; the lines are handed to an agent for each member when
it commits, so a slow reader delays nobody.

    NAME        the first line: who you are
    /join ROOM  go to a room
    /who        who is here
    /quit       leave
    other lines are said to the room
"""

from __future__ import annotations

import socketserver
import sys

from atomos import Ref, dosync
from atomos.agent import Agent


class Member:
    """Somebody who is connected."""

    def __init__(self, name, file):
        self.name, self.file = name, file
        self.room = Ref(None, name=f"room of {name}")
        self.outbox = Agent(0, name=f"outbox of {name}", error_mode="continue")

    def tell(self, line):
        """Send a line when the transaction commits."""
        self.outbox.send_off(self._write, line)

    def _write(self, count, line):
        try:
            self.file.write(f"{line}\n".encode())
        except OSError:
            return count  # who does not listen any more
        return count + 1


class Chat:
    """The rooms. Room -> the members that are in it."""

    def __init__(self):
        self.rooms = Ref({}, name="rooms")
        self.names = Ref(frozenset(), name="names")

    @dosync
    def enter(self, member):
        """Let somebody in, whose name nobody else has.

        Raises:
            ValueError: Somebody has it.
        """
        if member.name in self.names.deref():
            raise ValueError(f"{member.name} is here already")
        self.names.alter(lambda names: names | {member.name})
        self.join(member, "lobby")

    @dosync
    def join(self, member, room):
        """Go to a room; None to leave."""
        rooms, left = dict(self.rooms.deref()), member.room.deref()
        if left is not None:
            rooms[left] = rooms[left] - {member}
            self.say(left, f"* {member.name} has left", rooms)
        if room is not None:
            rooms[room] = rooms.get(room, frozenset()) | {member}
            self.say(room, f"* {member.name} has come", rooms)
        member.room.set(room)
        self.rooms.set({name: who for name, who in rooms.items() if who})

    def say(self, room, line, rooms):
        """Tell all who are in a room."""
        for member in rooms[room]:
            member.tell(line)

    @dosync
    def speak(self, member, line):
        """Say something in the room where one is."""
        self.say(member.room.deref(), f"{member.name}: {line}", self.rooms.deref())

    @dosync
    def leave(self, member):
        """Let somebody out."""
        self.join(member, None)
        self.names.alter(lambda names: names - {member.name})

    @dosync
    def who(self, member):
        """Tell somebody who is in his room."""
        here = self.rooms.deref()[member.room.deref()]
        member.tell("* " + " ".join(sorted(other.name for other in here)))


class Connection(socketserver.StreamRequestHandler):
    """One client."""

    def handle(self):
        """Let the client in, do what it says, and let it out."""
        chat = self.server.chat
        member = Member(self.rfile.readline().decode().strip(), self.wfile)
        try:
            chat.enter(member)
        except ValueError as error:
            self.wfile.write(f"* {error}\n".encode())
            return
        try:
            for line in self.rfile:
                if line.strip() == b"/quit":
                    break
                self.do(chat, member, line.decode().strip())
        except OSError:
            pass  # the connection is broken
        finally:
            chat.leave(member)
            member.outbox.wait(timeout=10)

    def do(self, chat, member, line):
        """Do what a line says."""
        if line.startswith("/join "):
            chat.join(member, line.removeprefix("/join "))
        elif line == "/who":
            chat.who(member)
        elif line:
            chat.speak(member, line)


class Server(socketserver.ThreadingTCPServer):
    """A chat on a port of this machine."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address=("127.0.0.1", 0)):
        super().__init__(address, Connection)
        self.chat = Chat()


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 6667)) as server:
        print("listening on port", server.server_address[1])
        server.serve_forever()
