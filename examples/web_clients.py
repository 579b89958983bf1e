"""Clients of the theatre in `web.py`, over HTTP: they book until no seat is left.

    python web_clients.py

Each client is a thread with a connection of its own. It looks which seats are free,
asks for a few of them, and now and then gives one back. Each total that is seen must
add up. Others wait for changes all the while, more of them than Starlette has threads.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import uvicorn
from web import PRICE, make_app

#: Seconds after which something is wrong.
PATIENCE = 30


@contextmanager
def served(app):
    """Serve an application inside of a ``with``, on a free port, which it yields."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]  # who connects early waits in the backlog
        finally:
            server.should_exit = True
            thread.join()


def connected(port):
    """Return a connection to the server, to be closed at the end of a ``with``."""
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE))


def ask(connection, method, path, body=None):
    """Send a request; return the status, and the answer: from JSON, or as text."""
    connection.request(method, path, json.dumps(body) if body is not None else None)
    answer = connection.getresponse()
    text = answer.read().decode()
    is_json = answer.headers.get_content_type() == "application/json"
    return answer.status, json.loads(text) if is_json else text


def check(total, seats=100):
    """Refuse a total that does not add up; return it."""
    sold = len(total["owners"])
    assert sold + total["free"] == seats, total
    assert total["takings"] == sold * PRICE, total
    return total


def buy(port, name, seats):
    """Book until no seat is left; return the seats one has in the end."""
    rng, mine = random.Random(name), set()
    with connected(port) as server:
        while True:
            _, total = ask(server, "GET", "/total")
            free = sorted(set(seats) - set(check(total)["owners"]))
            if not free:
                return mine
            chosen = rng.sample(free, min(len(free), 3))
            status, _ = ask(server, "POST", "/book", {"name": name, "seats": chosen})
            if status == 200:
                mine.update(chosen)
                if rng.random() < 0.2:
                    back = chosen[:1]
                    ask(server, "DELETE", "/book", {"name": name, "seats": back})
                    mine.difference_update(back)
            else:
                assert status == 409, status


def watch(port):
    """Wait for one change after the other until all is sold; return how many came."""
    seen, looks = 0, 0
    with connected(port) as server:
        while True:
            status, total = ask(server, "GET", f"/wait?seen={seen}&seconds={PATIENCE}")
            assert status == 200, status
            assert check(total)["changes"] > seen
            seen, looks = total["changes"], looks + 1
            if total["free"] == 0:
                return looks


def run(buyers=20, watchers=45):
    """Have clients buy all seats; return the theatre, and name -> seats."""
    app = make_app()
    theatre = app.state.theatre
    with served(app) as port, ThreadPoolExecutor(buyers + watchers) as pool:
        watching = [pool.submit(watch, port) for _ in range(watchers)]
        buying = {
            f"c{k}": pool.submit(buy, port, f"c{k}", theatre.seats)
            for k in range(buyers)
        }
        found = {name: future.result() for name, future in buying.items()}
        looks = sum(future.result() for future in watching)
    return theatre, found, looks


if __name__ == "__main__":
    theatre, bought, looks = run()
    times = Counter(seat for seats in bought.values() for seat in seats)
    assert set(times) == set(theatre.seats)
    assert set(times.values()) == {1}
    print(f"{len(bought)} clients bought {len(times)} seats, none of them twice")
