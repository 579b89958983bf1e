"""Fifty clients of the chat server, each a thread with a TCP connection of its own."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from chat import Server


def client(address, name, room, lines, members, meet):
    """Go to a room, say some lines there, and return all that was said by members."""
    with (
        socket.create_connection(address, timeout=30) as connection,
        connection.makefile("rw", encoding="utf-8") as file,
    ):
        print(name, f"/join {room}", sep="\n", file=file, flush=True)
        for _ in range(2):  # the lobby, and the room
            while file.readline().strip() != f"* {name} has come":
                pass
        meet.wait(30)
        for k in range(lines):
            print(k, file=file, flush=True)
        heard = []
        while len(heard) < lines * members:
            line = file.readline().strip()
            if not line.startswith("*"):
                heard.append(line)
        meet.wait(30)
    return heard


def run(clients=50, rooms=2, lines=5):
    """Have clients talk in rooms; return what each has heard, name -> lines."""
    meet = threading.Barrier(clients)
    with Server() as server, ThreadPoolExecutor(clients) as pool:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        heard = {
            f"c{k}": pool.submit(
                *(client, server.server_address, f"c{k}", f"room {k % rooms}"),
                *(lines, clients // rooms, meet),
            )
            for k in range(clients)
        }
        found = {name: future.result() for name, future in heard.items()}
        server.shutdown()
    return found


if __name__ == "__main__":
    everything = run()
    print(f"{len(everything)} clients heard {sum(map(len, everything.values()))} lines")
