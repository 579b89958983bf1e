"""A `Transaction` that has ended is used again: nothing is left of its former use."""

from __future__ import annotations

from _thread import get_ident

import pytest
from helpers import Attempts, commit, transact
from interrupts import Interrupted, stopped_once

from atomos import Ref, atomically, dosync
from atomos.errors import ReadOnlyError, TransactionStateError
from atomos.stm._block import PlainBlock
from atomos.stm._run import DEFAULT, make_options
from atomos.stm._seat import seats

FUNCTIONS = ("decorator", "function")


def part(form, **options):
    """A part of a transaction that is left open by a generator."""
    if form == "block":
        with dosync(**options):
            yield
    else:
        for tx in dosync(**options):
            with tx:
                yield


def opened(form, **options):
    """Return a part of a transaction that has ended, still open."""
    kept = []

    def body():
        kept.append(part(form, **options))
        next(kept[0])

    atomically(body)
    return kept[0]


def spare():
    return seats[get_ident()].spare


@pytest.fixture(autouse=True)
def used_again():
    """Each test uses one object again."""
    atomically(lambda: None)
    before = spare()
    assert before is not None
    yield
    atomically(lambda: None)
    assert spare() is not None


@pytest.mark.parametrize("following", FUNCTIONS)
@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_read_only_part_that_is_left_open(form, following):
    """The next transaction may write all the same."""
    ref = Ref(0)
    kept = opened(form, read_only=True)
    transact(following, lambda: ref.set(1))
    assert ref.deref() == 1
    with pytest.raises(TransactionStateError):
        next(kept)


@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_part_that_is_left_in_the_next_transaction(form):
    """It was no part of that one, and says so."""
    ref = Ref(0)
    kept = opened(form)

    def body():
        ref.set(1)
        with pytest.raises(TransactionStateError, match="a part had ended"):
            next(kept)

    atomically(body)
    assert ref.deref() == 1


def test_a_part_that_is_cut_short_in_the_next_transaction():
    """It does not change what that one may do."""
    ref = Ref(0)
    kept = opened("block")

    def interrupt():
        raise Interrupted

    @dosync(read_only=True)
    def reading():
        with pytest.raises(Interrupted):
            stopped_once(
                kept.close,
                lambda frame: frame.f_code is PlainBlock._leave.__code__,
                interrupt,
            )
        with pytest.raises(ReadOnlyError):
            ref.set(1)

    atomically(reading)


def test_a_deadline_of_a_nested_call():
    """It has passed, and is nothing to the next one."""
    ref, tries = Ref(0), Attempts()
    atomically(dosync(timeout=0)(ref.deref))

    def body():
        tries.begin()
        ref.deref()
        tries.once(commit, ref, 1)
        ref.set(2)

    atomically(body)
    assert (tries.count, ref.deref()) == (2, 2)


def test_one_that_has_read_an_old_version():
    """The next one is not taken for stale when it writes."""
    a, b, first, second = Ref(0), Ref(0), Attempts(), Attempts()

    def read():
        first.begin()
        a.deref()
        first.once(commit, a, 1, b, 1)
        return b.deref()

    def write():
        second.begin()
        b.set(2)

    assert atomically(read) == 0
    atomically(write)
    assert (first.count, second.count) == (1, 1)


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_a_reader_after_one_that_has_written(cells):
    """It keeps what it can read, and is not run again."""
    refs, tries = [Ref(0) for _ in range(3)], Attempts()

    def write():
        for ref in refs[:cells]:
            ref.set(1)

    def read():
        tries.begin()
        first = refs[0].deref()
        tries.once(commit, refs[0], 2, refs[1], 2)
        return first, refs[1].deref()

    atomically(write)
    assert atomically(read) == (1, int(cells > 1))
    assert tries.count == 1


def test_the_next_one_is_in_its_first_attempt():
    seen = []

    def body():
        for tx in dosync():
            with tx:
                seen.append(tx.attempt)

    for _ in range(3):
        atomically(body)
    assert seen == [1, 1, 1]


def test_the_next_one_has_its_own_name():
    def another():
        return seats[get_ident()].tx.label

    assert atomically(another).endswith("another")
    assert atomically(lambda: seats[get_ident()].tx.label).endswith("<lambda>")


def test_empty_parentheses_ask_for_the_default():
    """So ``@dosync()`` uses its transaction again, as ``@dosync`` does."""
    assert make_options(None, False, None, None, None) is DEFAULT
