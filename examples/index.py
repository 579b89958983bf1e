"""The index of `make demo`, asked while threads still build it.

Threads read the Python files of a folder and add each to an index, in one transaction
that changes dozens of Refs. A reader looks at the index whenever it has grown: what it
sees belongs to one instant, so the totals of a snapshot agree, however much is written
meanwhile. In the end the index is compared with a count by one thread, and tells how
often some names occur.

    python index.py [FOLDER [NAME ...]]

The index is the one that `python -m atomos` builds. It is in atomos/_demo/index.py, and
is meant to be read beside this: `add` has the transaction, `snapshot` reads.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from atomos import Atom
from atomos._demo.corpus import find_sources, names_in, standard_library
from atomos._demo.index import Index
from atomos._demo.threads import UNREADABLE

#: So many files of a folder, at the most.
LIMIT = 100
#: By so many files the index grows between two looks.
STEP = 10


class Reader:
    """Looks at an index whenever it has grown, until it is complete."""

    def __init__(self, index):
        self.index = index
        self.complete = Atom(False, name="complete")
        self.snapshots = []

    def read(self):
        """Take snapshots; the last one is of the complete index.

        Raises:
            AssertionError: The totals of one do not agree, or something was lost.
        """
        files, last = 0, False
        while not last:
            self.index.files.wait_for(
                lambda n, seen=files: n >= seen + STEP or self.complete.deref()
            )
            last = self.complete.deref()
            found, _ = self.index.snapshot()
            assert not found.complaints(), found.complaints()
            assert found.files >= files, f"{files} files, then {found.files}"
            files = found.files
            self.snapshots.append(found)


def build(index, sources, threads):
    """Add files to an index; return those that cannot be read, path -> reason."""
    unreadable = {}

    def add(source):
        try:
            names = names_in(source.path)  # outside of the transaction: it is slow
        except UNREADABLE as error:
            unreadable[source.path] = f"{type(error).__name__}: {error}"
        else:
            index.add(source, names)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(add, sources))
    return unreadable


def run(folder, threads=4):
    """Index the files of a folder; return the snapshots, and what was not read.

    Raises:
        FileNotFoundError: The folder has none.
        AssertionError: The index differs from what one thread counts.
    """
    sources = find_sources(folder)[:LIMIT]
    if not sources:
        raise FileNotFoundError(f"there are no Python files in {folder}")
    index = Index({source.package for source in sources})
    reader = Reader(index)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(reader.read)
        try:
            unreadable = build(index, sources, threads)
        finally:
            reader.complete.reset(True)
        reading.result()
    alone = Counter()
    for source in sources:
        if source.path not in unreadable:
            alone.update(names_in(source.path))
    assert reader.snapshots[-1].counts() == alone
    return reader.snapshots, unreadable


if __name__ == "__main__":
    folder, *wanted = sys.argv[1:] or [standard_library()]
    try:
        snapshots, unreadable = run(Path(folder))
    except FileNotFoundError as error:
        sys.exit(str(error))
    for path, reason in unreadable.items():
        print(f"not read: {path}: {reason}", file=sys.stderr)
    counts = snapshots[-1].counts()
    for name in wanted or sorted(counts, key=counts.get)[-3:]:
        print(f"{name}: {counts.get(name, 0)} times")
    print(f"{snapshots[-1].files} files; the totals of each snapshot agree")
