"""Run the campaigns of processes: ``make soak-processes``, which prints their figures.

::

    transfers   8 processes of 10,000 transfers each, started by fork and by spawn,
                while a ninth one adds up all accounts, again and again
    kills       200 writers killed at random moments, on each engine
    waits       how long it takes until a process that waits has woken
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import monotonic

# The tests import each other by the names that they have in these folders.
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from kills import campaign  # noqa: E402 # needs the line above
from shared import Process  # noqa: E402 # as above

from atomos import dosync, multiprocessing  # noqa: E402 # as above
from atomos.multiprocessing._anonymous import base  # noqa: E402 # as above
from atomos.multiprocessing._choice import best_engine  # noqa: E402 # as above

ACCOUNTS, START = 10, 100


def move(pipe, path, seed, times):
    """Transfer so often, drawing the accounts."""
    rng = random.Random(seed)
    with multiprocessing.open(path) as space:
        accounts = [space.ref(f"account {k}") for k in range(ACCOUNTS)]
        moves = space.integer("moves")

        @dosync
        def transfer(one, other):
            accounts[one].alter(lambda balance: balance - 1)
            accounts[other].alter(lambda balance: balance + 1)
            moves.increment_and_get()

        for _ in range(times):
            transfer(*rng.sample(range(ACCOUNTS), 2))


def audit(pipe, path, until):
    """Add up all accounts until so many transfers were made; return how often."""
    audits = 0
    with multiprocessing.open(path) as space:
        accounts = [space.ref(f"account {k}") for k in range(ACCOUNTS)]
        moves = space.integer("moves")

        @dosync
        def look():
            return sum(ref.deref() for ref in accounts), moves.get()

        while True:
            total, made = look()
            assert total == ACCOUNTS * START, f"{total} after {made} transfers"
            audits += 1
            if made == until:
                return audits


@contextmanager
def folder():
    with tempfile.TemporaryDirectory(dir=base()) as path:
        yield os.path.join(path, "space")


def transfers(engine, method, processes, times):
    """Return audits made, all right, and transfers a second."""
    with folder() as path, multiprocessing.open(path, engine=engine) as space:
        for k in range(ACCOUNTS):
            space.ref(f"account {k}", default=START)
        space.integer("moves")
        start = monotonic()
        auditor = Process(method, audit, path, processes * times)
        movers = [Process(method, move, path, k, times) for k in range(processes)]
        for mover in movers:
            mover.join(600)
        audits = auditor.join(600)
        return audits, processes * times / (monotonic() - start)


def answer(pipe, path, rounds):
    with multiprocessing.open(path) as space:
        asked, answered = space.integer("asked"), space.integer("answered")
        for k in range(1, rounds + 1):
            asked.wait_for(lambda n, k=k: n >= k)
            answered.set(k)


def waits(engine, rounds):
    """Return the median, and the 99th of 100, milliseconds there and back."""
    found = []
    with folder() as path, multiprocessing.open(path, engine=engine) as space:
        asked, answered = space.integer("asked"), space.integer("answered")
        child = Process("spawn", answer, path, rounds)
        for k in range(1, rounds + 1):
            start = monotonic()
            asked.set(k)
            answered.wait_for(lambda n, k=k: n >= k)
            found.append((monotonic() - start) * 1000)
        child.join()
    found = found[10:]  # the child was not there yet
    return median(found), quantiles(found, n=100)[98]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transfers", type=int, default=10_000, help="of each process")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=500, help="of waiting")
    options = parser.parse_args()
    engines = ["sqlite", *(["lmdb"] if best_engine() == "lmdb" else [])]
    for engine in engines:
        for method in ("fork", "spawn"):
            audits, rate = transfers(engine, method, 8, options.transfers)
            print(
                f"{engine}: 8 processes ({method}) of {options.transfers:,} transfers: "
                f"{audits:,} audits, all right; {rate:,.0f} transfers a second",
                flush=True,
            )
        with folder() as path:
            os.mkdir(path)
            told = campaign(engine, path, options.kills)
        print(
            f"{engine}: {options.kills} writers killed: of {told:,} commits told none "
            "lost, none torn; the next writer within 2 s each time",
            flush=True,
        )
        middle, slow = waits(engine, options.rounds)
        print(
            f"{engine}: a commit wakes another process, which answers: "
            f"{middle:.2f} ms there and back, 99 of 100 within {slow:.2f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
