"""Write skew: two read the same, write different cells, and break what both saw."""

from __future__ import annotations

import pytest
from helpers import CELLS, RERUN_FORMS, Attempts, elsewhere, put, start, transact

from atomos import Ref, dosync

PAIRS = [(a, b) for a in CELLS for b in CELLS]


class OnCall:
    """Two doctors, of whom one must stay on call."""

    def __init__(self, kinds=("ref", "ref")):
        self.cells = [CELLS[kind](True) for kind in kinds]
        self.ensure = False

    def leave(self, who, between=None):
        """Go off call if both are on call."""
        seen = [cell.ensure() if self.ensure else cell.deref() for cell in self.cells]
        if between is not None:
            between()
        if all(seen):
            put(self.cells[who], False)

    def on_call(self):
        return sum(cell.deref() for cell in self.cells)


def collide(rota, form, **options):
    """Let both leave, the second one in the middle of the first one."""
    tries = Attempts()

    def other():
        transact("decorator", lambda: rota.leave(1), **options)

    def body():
        tries.begin()
        rota.leave(0, lambda: tries.once(other))

    transact(form, body, **options)
    return tries.count


@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_possible_with_snapshot(form, kinds):
    rota = OnCall(kinds)
    assert collide(rota, form, isolation="snapshot") == 1
    assert rota.on_call() == 0


@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_impossible_when_serializable(form, kinds):
    rota = OnCall(kinds)
    assert collide(rota, form) == 2
    assert rota.on_call() == 1


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_ensure_closes_it(form):
    rota = OnCall()
    rota.ensure = True
    assert collide(rota, form, isolation="snapshot") == 2
    assert rota.on_call() == 1


def test_ensure_of_what_was_read_before_closes_it():
    a, b, tries = Ref(True), Ref(True), Attempts()

    @dosync(isolation="snapshot")
    def leave():
        tries.begin()
        both = a.deref() and b.deref()
        tries.once(dosync(lambda: b.set(False)))
        b.ensure()
        if both:
            a.set(False)

    leave()
    assert tries.count == 2
    assert (a.deref(), b.deref()) == (True, False)


@pytest.mark.parametrize("kinds", PAIRS)
def test_the_write_may_come_first(kinds):
    a, b = (CELLS[kind](0) for kind in kinds)
    tries = Attempts()

    def other():
        put(b, a.deref() + 10)

    @dosync
    def body():
        tries.begin()
        put(a, 1)
        tries.once(dosync(other))
        put(a, b.deref() + 1)

    body()
    # `other` came first: body saw what it wrote, or ran again.
    assert (a.deref(), b.deref()) == (11, 10)


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("kinds", PAIRS)
def test_a_plain_block_is_serializable_always(kinds, isolation):
    rota, others = OnCall(kinds), []

    def other():
        transact("block", lambda: rota.leave(1), isolation=isolation)

    with dosync(isolation=isolation):
        rota.leave(0, lambda: others.append(start(other)))
    others[0].join()
    assert rota.on_call() == 1


@pytest.mark.parametrize("kinds", PAIRS)
def test_against_a_plain_block(kinds):
    rota, tries = OnCall(kinds), Attempts()

    def other():
        with dosync():
            rota.leave(1)

    @dosync
    def body():
        tries.begin()
        rota.leave(0, lambda: tries.once(other))

    body()
    assert tries.count == 2
    assert rota.on_call() == 1


def test_a_reader_of_one_and_a_writer_of_the_other_in_a_ring():
    """Three transactions, each reads what the next one writes."""
    cells, tries = [Ref(0), Ref(0), Ref(0)], Attempts()

    def step(i):
        cells[(i + 1) % 3].set(cells[i].deref() + 1)

    @dosync
    def first():
        tries.begin()
        seen = cells[0].deref()
        if tries.count == 1:
            elsewhere(dosync(step), 1)
            elsewhere(dosync(step), 2)
        cells[1].set(seen + 1)

    first()
    assert tries.count == 2
    # 1, 2, first: cells[2] = 1, cells[0] = 2, cells[1] = 3.
    assert [cell.deref() for cell in cells] == [2, 3, 1]
