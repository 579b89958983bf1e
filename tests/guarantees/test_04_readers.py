"""Guarantee 4: readers are free: never run again, never wait, never waited for."""

from __future__ import annotations

import pytest
from helpers import (
    CELLS,
    FORMS,
    ISOLATIONS,
    RERUN_FORMS,
    Attempts,
    Parked,
    commit,
    elsewhere,
    put,
    transact,
)

from atomos import Ref, atomically, dosync


def cells_of(kind):
    return [CELLS[kind](0) for _ in range(5)]


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_its_body_runs_once_though_others_commit(form, kind, isolation):
    cells, tries = cells_of(kind), Attempts()

    def body():
        tries.begin()
        seen = []
        for i, cell in enumerate(cells):
            seen.append(cell.deref())
            for n in range(3):
                elsewhere(commit, *[x for cell in cells for x in (cell, (i, n))])
        return seen + [cell.deref() for cell in cells]

    assert transact(form, body, isolation=isolation) == [0] * 10
    assert tries.count == 1


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_read_only_runs_once_though_others_commit(form, kind):
    cells, tries = cells_of(kind), Attempts()

    def body():
        tries.begin()
        seen = []
        for i, cell in enumerate(cells):
            seen.append(cell.deref())
            elsewhere(commit, *[x for cell in cells for x in (cell, i + 1)])
        return seen

    assert transact(form, body, read_only=True) == [0] * 5
    assert tries.count == 1


@pytest.mark.parametrize(
    ("form", "read_only"),
    [*((form, False) for form in RERUN_FORMS), *((form, True) for form in FORMS)],
)
@pytest.mark.parametrize("wrote", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_it_does_not_wait_for_a_plain_block(form, kind, wrote, read_only):
    cells = cells_of(kind)

    def hold(park):
        with dosync():
            for cell in cells:
                put(cell, 1) if wrote else cell.deref()
            park()

    def read():
        return [cell.deref() for cell in cells]

    block = Parked(hold)
    try:
        assert elsewhere(read) == [0] * 5
        assert elsewhere(lambda: transact(form, read, read_only=read_only)) == [0] * 5
    finally:
        block.finish()
    assert read() == [int(wrote)] * 5


@pytest.mark.parametrize("kind", CELLS)
def test_a_reader_spans_the_commit_of_a_plain_block(kind):
    """It began before the block did, and ends after it."""
    cells = cells_of(kind)

    @dosync
    def body(block):
        before = cells[0].deref()
        block.finish()
        return before, cells[0].deref(), cells[1].deref()

    def hold(park):
        with dosync():
            for cell in cells:
                put(cell, 1)
            park()

    assert body(Parked(hold)) == (0, 0, 0)
    assert cells[1].deref() == 1


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_nobody_waits_for_a_reader(form, kind, read_only):
    cells = cells_of(kind)

    def read(park):
        def body():
            before = [cell.deref() for cell in cells]
            park()
            return before, [cell.deref() for cell in cells]

        return transact(form, body, read_only=read_only)

    reader = Parked(read)
    for writer in FORMS:
        elsewhere(
            transact,
            writer,
            lambda writer=writer: [put(cell, writer) for cell in cells],
        )
    assert [cell.deref() for cell in cells] == ["block"] * 5
    assert reader.finish() == ([0] * 5, [0] * 5)


def test_a_reader_is_not_bounded_by_max_attempts_or_a_timeout_that_passed():
    a, b = Ref(0), Ref(0)

    @dosync(max_attempts=1, timeout=0)
    def body():
        first = a.deref()
        elsewhere(commit, a, 1, b, 1)
        return first, b.deref()

    assert body() == (0, 0)


def test_a_nested_transaction_reads_the_snapshot_of_the_outer_one():
    a, b = Ref(0), Ref(0)

    @dosync
    def body():
        first = a.deref()
        elsewhere(commit, a, 1, b, 1)
        with dosync():
            return first, b.deref(), atomically(b.deref)

    assert body() == (0, 0, 0)


def test_what_is_made_later_can_be_read_in_an_older_snapshot():
    """A new ref has its first value in every snapshot."""
    a, made = Ref(0), []

    @dosync
    def body():
        a.deref()
        elsewhere(commit, a, 1)
        elsewhere(lambda: made.append(Ref("new")))
        return a.deref(), made[0].deref()

    assert body() == (0, "new")
