"""A lock that many readers share and one writer has alone; writers go first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from atomos import Ref, atomically, check, dosync


class ReadWriteLock:
    """Shared by readers, or held by one writer."""

    def __init__(self):
        self.readers, self.writing, self.waiting = Ref(0), Ref(False), Ref(0)

    @contextmanager
    def shared(self):
        """Hold it together with other readers, when no writer has it or waits."""
        self._enter()
        try:
            yield
        finally:
            atomically(self.readers.alter, lambda n: n - 1)

    @contextmanager
    def alone(self):
        """Hold it alone."""
        atomically(self.waiting.alter, lambda n: n + 1)
        self._enter_alone()
        try:
            yield
        finally:
            atomically(self.writing.set, False)

    @dosync
    def _enter(self):
        check(not self.writing.deref() and not self.waiting.deref())
        self.readers.alter(lambda n: n + 1)

    @dosync
    def _enter_alone(self):
        check(not self.writing.deref() and not self.readers.deref())
        self.writing.set(True)
        self.waiting.alter(lambda n: n - 1)


def run(readers=6, writers=2, rounds=50):
    """Write two plain variables under the lock, and compare them; return one.

    Raises:
        AssertionError: A reader saw them differ.
    """
    lock, pair = ReadWriteLock(), [0, 0]

    def read():
        for _ in range(rounds):
            with lock.shared():
                first = pair[0]
                assert first == pair[1], f"read {pair}"

    def write():
        for _ in range(rounds):
            with lock.alone():
                pair[0] += 1
                pair[1] += 1

    with ThreadPoolExecutor(readers + writers) as pool:
        jobs = [pool.submit(body) for body in [read] * readers + [write] * writers]
    for job in jobs:
        job.result()
    assert pair[0] == pair[1]
    return pair[0]


if __name__ == "__main__":
    print(f"{run()} writes, and no reader saw half of one")
