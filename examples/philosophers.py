"""Dining philosophers: each takes both forks at once, or waits for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from atomos import Ref, check, dosync


class Table:
    """A round table with a fork between each two seats."""

    def __init__(self, seats):
        self.forks = [Ref(True, name=f"fork {n}") for n in range(seats)]

    def beside(self, seat):
        """Return the forks to the left and to the right of a seat."""
        return self.forks[seat], self.forks[(seat + 1) % len(self.forks)]

    @dosync
    def take(self, seat):
        """Take both forks, when both lie there."""
        for fork in self.beside(seat):
            check(fork.deref())
            fork.set(False)

    @dosync
    def lay_down(self, seat):
        """Lay both forks down."""
        for fork in self.beside(seat):
            fork.set(True)


def run(seats=5, meals=20):
    """Let each philosopher eat `meals` times; return how many meals there were.

    Raises:
        AssertionError: Two have had one fork.
    """
    table, eaten = Table(seats), [0] * seats
    in_hand = [[] for _ in range(seats)]

    def dine(seat):
        hands = in_hand[seat], in_hand[(seat + 1) % seats]
        for _ in range(meals):
            table.take(seat)
            for fork in hands:
                fork.append(seat)
                assert fork == [seat], f"fork in the hands of {fork}"
            eaten[seat] += 1
            for fork in hands:
                fork.remove(seat)
            table.lay_down(seat)

    with ThreadPoolExecutor(seats) as pool:
        list(pool.map(dine, range(seats)))
    return sum(eaten)


if __name__ == "__main__":
    for number in (5, 20, 50):
        print(f"{number} philosophers ate {run(number)} meals")
