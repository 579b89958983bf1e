"""The records that `statistics` returns, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Statistics", "TransactionStatistics", "rows"]

#: How many refs the table names.
NAMED = 10
#: What the columns of the table are called.
HEAD = (
    "transaction",
    "commits",
    "attempts",
    "failed",
    "s in attempts",
    "s waiting",
    "lost and ended by",
)
REFS_HEAD = ("ref", "conflicts")


@dataclass(frozen=True)
class TransactionStatistics:
    """What was counted of the transactions of one name.

    Attributes:
        name: Their name in messages: of the function, or what `name` says.
        commits: Attempts that have committed.
        attempts: All attempts that have ended.
        aborts: By `Cause`, how many have ended otherwise. With `commits` these are all
            of `attempts`.
        failures: By `Cause`, how many transactions have ended for good without a
            commit. With `commits` these are all transactions that have ended.
        waits: By `Wait`, how often one has waited.
        conflicts: By ref, how often an attempt was lost to it, or it was held by
            another transaction and waited for; the most frequent first.
        seconds: Seconds in attempts, without waits.
        waited: Seconds in waits.

    Example:
        >>> from atomos import Ref, atomically
        >>> from atomos.stm import collecting
        >>> with collecting() as collected:
        ...     _ = atomically(Ref(1).deref)
        >>> found = collected.statistics()["Ref.deref"]
        >>> found.name, found.commits, found.attempts, found.waited
        ('Ref.deref', 1, 1, 0.0)
    """

    name: str
    commits: int
    attempts: int
    aborts: Mapping[str, int]
    failures: Mapping[str, int]
    waits: Mapping[str, int]
    conflicts: Mapping[str, int]
    seconds: float
    waited: float


@dataclass(frozen=True)
class Statistics:
    """What was counted, by name.

    Attributes:
        transactions: Those of each name, which took the most time first.
        seconds: Seconds since the counting began, or between its begin and end.

    Example:
        >>> from atomos import Ref, atomically
        >>> from atomos.stm import collecting
        >>> with collecting() as collected:
        ...     _ = atomically(Ref(1).deref)
        >>> found = collected.statistics()
        >>> found
        <1 commits in 1 attempts of 1 transactions in ... s>
        >>> found["Ref.deref"].commits, [one.name for one in found]
        (1, ['Ref.deref'])
    """

    transactions: tuple[TransactionStatistics, ...]
    seconds: float

    def __getitem__(self, name: str) -> TransactionStatistics:
        """Return what was counted of the transactions called `name`.

        Raises:
            KeyError: None of them has ended or waited.
        """
        for one in self.transactions:
            if one.name == name:
                return one
        raise KeyError(name)

    def __iter__(self) -> Iterator[TransactionStatistics]:
        """Yield those of each name, which took the most time first."""
        return iter(self.transactions)

    def __repr__(self) -> str:
        """Show the sums."""
        return (
            f"<{self.commits} commits in {self.attempts} attempts of "
            f"{len(self.transactions)} transactions in {self.seconds:.3f} s>"
        )

    @property
    def commits(self) -> int:
        """Attempts of all names that have committed."""
        return sum(one.commits for one in self.transactions)

    @property
    def attempts(self) -> int:
        """Attempts of all names that have ended."""
        return sum(one.attempts for one in self.transactions)

    def conflicts(self) -> dict[str, int]:
        """Return the conflicts of all names, by ref, the most frequent first.

        Cost: O(transactions times refs).

        Example:
            >>> from atomos import Ref, atomically, dosync, outside
            >>> from atomos.stm import collecting
            >>> stock = Ref(3, name="stock")
            >>> @dosync
            ... def sell():
            ...     left = stock.deref() - 1
            ...     if left == 2:
            ...         outside(atomically, stock.set, 5)  # as another thread might
            ...     stock.set(left)
            >>> with collecting() as collected:
            ...     sell()
            >>> collected.statistics().conflicts()
            {"Ref 'stock'": 1}
        """
        sums: dict[str, int] = {}
        for one in self.transactions:
            for ref, times in one.conflicts.items():
                sums[ref] = sums.get(ref, 0) + times
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def table(self) -> str:
        """Return all of it as lines of text.

        Cost: O(transactions times refs).

        Example:
            >>> from atomos import Ref, atomically
            >>> from atomos.stm import collecting
            >>> with collecting() as collected:
            ...     _ = atomically(Ref(1).deref)
            >>> print(collected.statistics().table())
            transaction  commits  attempts  failed  s in attempts ...
            Ref.deref          1         1       0 ...
        """
        lines = _aligned(HEAD, rows(self))
        refs = [(ref, str(times)) for ref, times in self.conflicts().items()]
        if refs:
            lines += ["", *_aligned(REFS_HEAD, refs[:NAMED])]
        return "\n".join(lines)


def rows(statistics: Statistics) -> list[tuple[str, ...]]:
    """Return a row of cells for each name."""
    return [
        (
            one.name,
            f"{one.commits:,}",
            f"{one.attempts:,}",
            f"{sum(one.failures.values()):,}",
            f"{one.seconds:.3f}",
            f"{one.waited:.3f}",
            ", ".join(f"{cause} {n:,}" for cause, n in one.aborts.items()),
        )
        for one in statistics
    ]


def _aligned(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of columns: numbers to the right, the first and last to the left."""
    columns = list(zip(head, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in (head, *cells):
        parts = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            left = place == 0 or (place == len(HEAD) - 1)
            parts.append(cell.ljust(width) if left else cell.rjust(width))
        lines.append("  ".join(parts).rstrip())
    return lines
