"""A barrier: nobody goes on until all have come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from atomos import Ref, dosync


class Barrier:
    """Holds threads back until as many as `parties` have come; again and again."""

    def __init__(self, parties):
        self.parties = parties
        self.arrived, self.generation = Ref(0), Ref(0)

    def wait(self):
        """Wait for the others."""
        mine = self._arrive()
        self.generation.wait_for(lambda generation: generation != mine)

    @dosync
    def _arrive(self):
        mine = self.generation.deref()
        if self.arrived.alter(lambda n: n + 1) == self.parties:
            self.arrived.set(0)
            self.generation.set(mine + 1)
        return mine


def run(parties=8, rounds=30):
    """Let threads meet `rounds` times; return how many meetings there were.

    Raises:
        AssertionError: One was ahead of the others.
    """
    barrier, steps = Barrier(parties), [0] * parties

    def walk(me):
        for step in range(1, rounds + 1):
            steps[me] = step
            barrier.wait()
            assert min(steps) == step, f"{steps} after the meeting {step}"
            barrier.wait()

    with ThreadPoolExecutor(parties) as pool:
        list(pool.map(walk, range(parties)))
    return min(steps)


if __name__ == "__main__":
    print(f"8 threads met {run()} times")
