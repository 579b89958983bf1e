"""A semaphore: so many threads at a time, and no more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from atomos import Ref, check, dosync


class Semaphore:
    """A number of permits."""

    def __init__(self, permits):
        self.permits = Ref(permits, name="permits")

    @dosync
    def acquire(self):
        """Take a permit, when there is one."""
        check(self.permits.deref() > 0)
        self.permits.alter(lambda n: n - 1)

    @dosync
    def release(self):
        """Give a permit back."""
        self.permits.commute(lambda n: n + 1)


def run(permits=3, threads=10, rounds=50):
    """Go in and out; return the permits that are left.

    Raises:
        AssertionError: More were inside than there are permits.
    """
    semaphore, inside = Semaphore(permits), []

    def work(me):
        for _ in range(rounds):
            semaphore.acquire()
            inside.append(me)
            assert len(inside) <= permits, f"{inside} are inside"
            inside.remove(me)
            semaphore.release()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return semaphore.permits.deref()


if __name__ == "__main__":
    print(f"{run()} permits are left")
