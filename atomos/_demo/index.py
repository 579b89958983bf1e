"""The index that all threads of the demo share, and its audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from atomos import Atom, Ref, dosync
from atomos.atomic import AtomicInteger

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping

    from atomos._demo.corpus import Source

__all__ = ["Index", "Snapshot", "Tally"]

#: The names are spread over this many refs, so that two files whose names lie
#: in different ones do not meet there.
BUCKETS = 64


class Tally(NamedTuple):
    """How many files and names one package has."""

    files: int
    names: int


class Snapshot(NamedTuple):
    """All that the index held at one instant."""

    buckets: list[Mapping[str, int]]
    packages: dict[str, Tally]
    names: int
    files: int
    longest: tuple[int, str]

    def counts(self) -> dict[str, int]:
        """Return how often each name occurs."""
        return {name: n for bucket in self.buckets for name, n in bucket.items()}

    def complaints(self) -> list[str]:
        """Return which of its totals do not agree; empty if all do."""
        in_buckets = sum(sum(bucket.values()) for bucket in self.buckets)
        in_packages = sum(tally.names for tally in self.packages.values())
        files = sum(tally.files for tally in self.packages.values())
        found = []
        if in_buckets != self.names:
            found.append(f"the buckets hold {in_buckets} names, the total {self.names}")
        if in_packages != self.names:
            found.append(f"the packages hold {in_packages} names, not {self.names}")
        if files != self.files:
            found.append(f"the packages hold {files} files, the total {self.files}")
        return found


class Index:
    """Refs, an Atom and an atomic that change together, once for each file.

    The values are never changed in place: each change stores a new dict.
    """

    def __init__(self, packages: Iterable[str]) -> None:
        """Start empty, with a tally for each of `packages`."""
        empty: Mapping[str, int] = {}
        self.buckets = [Ref(empty, name=f"bucket {i}") for i in range(BUCKETS)]
        self.packages = {name: Ref(Tally(0, 0), name=name) for name in packages}
        self.names = Ref(0, name="names")
        self.files = AtomicInteger(0)
        self.longest = Atom((0, ""), name="longest")

    def add(self, source: Source, names: Counter[str]) -> int:
        """Add one file.

        Args:
            source: The file.
            names: What was counted in it.

        Returns:
            How many times the transaction had to run, 1 if it met no other.
        """
        total = names.total()
        parts = _by_bucket(names)
        runs = 0

        @dosync
        def transaction() -> None:
            nonlocal runs
            runs += 1  # an effect: it stays when the transaction runs again
            # Sums are the same in any order, so two commutes never conflict.
            for number, found in parts.items():
                self.buckets[number].commute(_merged, found)
            self.names.commute(lambda n: n + total)
            # Reading decides what is written here, so these may conflict.
            self.packages[source.package].alter(_counted, total)
            self.files.add_and_get(1)
            if total > self.longest.deref()[0]:
                self.longest.reset((total, str(source.path)))

        transaction()
        return runs

    def snapshot(self) -> tuple[Snapshot, int]:
        """Read everything as it was at one instant, while others write.

        Returns:
            What was read, and how many times it had to be read.
        """
        runs = 0

        @dosync(read_only=True)
        def transaction() -> Snapshot:
            nonlocal runs
            runs += 1
            return Snapshot(
                [bucket.deref() for bucket in self.buckets],
                {name: ref.deref() for name, ref in self.packages.items()},
                self.names.deref(),
                self.files.get(),
                self.longest.deref(),
            )

        return transaction(), runs


def _by_bucket(names: Counter[str]) -> dict[int, dict[str, int]]:
    """Part the names by the bucket that each belongs to."""
    parts: dict[int, dict[str, int]] = {}
    for name, count in names.items():
        parts.setdefault(hash(name) % BUCKETS, {})[name] = count
    return parts


def _merged(old: Mapping[str, int], found: dict[str, int]) -> Mapping[str, int]:
    """Return a new dict with the sums of both."""
    return {**old, **{name: old.get(name, 0) + n for name, n in found.items()}}


def _counted(old: Tally, names: int) -> Tally:
    """Return the tally with one more file."""
    return Tally(old.files + 1, old.names + names)
