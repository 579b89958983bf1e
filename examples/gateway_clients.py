"""Clients of a gateway, each a thread, send requests to a server over TCP.

A request needs a permit and a connection. Now and then the server hangs up, and the
pool opens another connection. In the end the server's own list tells whether it has
heard more in any window than the limiter allows.

    python gateway_clients.py
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from time import monotonic

from gateway import Gateway
from limiter import Limiter
from pool import Pool

#: Seconds of a window, and what is allowed in it: for all, and for each client.
PER, LIMIT, EACH = 0.1, 12, 4
CONNECTIONS = 3
#: Seconds after which something is wrong.
PATIENCE = 30


class Connection:
    """A connection to the server."""

    def __init__(self, address):
        self._socket = socket.create_connection(address, timeout=PATIENCE)
        self._answers = self._socket.makefile("rb")

    def ask(self, text):
        """Send a line and return the answer.

        Raises:
            ConnectionError: The server has hung up.
        """
        self._socket.sendall(f"{text}\n".encode())
        answer = self._answers.readline()
        if not answer:
            raise ConnectionError("the server has hung up")
        return answer.decode().strip()

    def close(self):
        """Hang up."""
        self._answers.close()
        self._socket.close()


class Echo(socketserver.StreamRequestHandler):
    """The server's side of a connection: says in capitals what it hears."""

    def handle(self):
        """Answer each line; hang up on one that says so."""
        for line in self.rfile:
            self.server.heard.append((monotonic(), line.split()[0].decode()))
            if line.endswith(b"hang up\n"):
                return
            self.wfile.write(line.upper())


@contextmanager
def served():
    """Have a server inside of a ``with``; its `heard` lists when it heard whom."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.heard = []
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield server
        finally:
            server.shutdown()


def client(gateway, name, requests, inside):
    """Send requests; return how many were answered, and how many were hung up on."""
    found = Counter()
    for number in range(requests):
        text = f"{name} hang up" if number % 5 == 2 else f"{name} {number}"
        try:
            with gateway.connection(name, timeout=PATIENCE) as connection:
                inside.append(name)
                assert len(inside) <= CONNECTIONS, f"{inside} are inside"
                try:
                    assert connection.ask(text) == text.upper()
                finally:
                    inside.remove(name)
            found["answered"] += 1
        except ConnectionError:
            found["hung up"] += 1
    return found


def run(clients=6, requests=15):
    """Have clients send requests; return the counts, and what the server has heard.

    Raises:
        AssertionError: More were inside than there are connections, or one was lost.
    """
    with served() as server, Limiter(LIMIT, EACH, PER) as limiter:
        pool = Pool(lambda: Connection(server.server_address), CONNECTIONS)
        gateway, inside = Gateway(limiter, pool), []
        with closing(pool), ThreadPoolExecutor(clients) as threads:
            jobs = [
                threads.submit(client, gateway, f"c{k}", requests, inside)
                for k in range(clients)
            ]
            found = sum((job.result() for job in jobs), Counter())
            assert len(pool.free.deref()) == CONNECTIONS
            limiter.left.wait_for(lambda n: n == LIMIT, timeout=PATIENCE)
    return found, server.heard


def most_at_once(times):
    """Return how many of these times lie in one window, at the most."""
    times = sorted(times)
    return max(sum(start <= t < start + PER for t in times) for start in times)


if __name__ == "__main__":
    counts, heard = run()
    assert most_at_once(when for when, _ in heard) <= LIMIT
    for name in {name for _, name in heard}:
        assert most_at_once(when for when, who in heard if who == name) <= EACH
    print(f"{counts['answered']} answered, {counts['hung up']} hung up on")
