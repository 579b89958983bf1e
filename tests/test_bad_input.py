"""What each wrong use raises, and that nothing has changed then."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import sys

import pytest
from helpers import (
    CELLS,
    FORMS,
    RERUN_FORMS,
    blocked,
    commit,
    elsewhere,
    start,
    transact,
)

from atomos import (
    Atom,
    AtomicInteger,
    AtomicStampedReference,
    LongAdder,
    Ref,
    atomically,
    dosync,
)
from atomos.errors import (
    AtomosError,
    CommuteError,
    HistoryLostError,
    IsolationError,
    NoTransactionError,
    ReadOnlyError,
    TransactionAborted,
    TransactionStateError,
    TransactionTimeout,
    ValidationError,
    WouldDeadlockError,
)

# Outside a transaction

NEEDS_TRANSACTION = {
    "set": lambda ref: ref.set(1),
    "alter": lambda ref: ref.alter(str),
    "commute": lambda ref: ref.commute(str),
    "ensure": lambda ref: ref.ensure(),
}


@pytest.mark.parametrize("call", NEEDS_TRANSACTION)
def test_outside_a_transaction(call):
    ref = Ref(0, name="balance")
    with pytest.raises(NoTransactionError, match=rf"balance.*\b{call}\(\).*dosync"):
        NEEDS_TRANSACTION[call](ref)
    assert ref.deref() == 0


@pytest.mark.parametrize("call", NEEDS_TRANSACTION)
def test_outside_again_after_a_transaction(call):
    ref = Ref(0)
    for form in FORMS:
        transact(form, ref.deref)
        with pytest.raises(NoTransactionError, match=call):
            NEEDS_TRANSACTION[call](ref)


# Not callable

NOT_CALLABLE = [None, 5, "print", [print]]


@pytest.mark.parametrize("fn", NOT_CALLABLE)
@pytest.mark.parametrize("call", ["alter", "commute"])
def test_ref_needs_a_function(call, fn):
    ref, other = Ref(0), Ref(0)

    @dosync
    def body():
        other.set(1)
        with pytest.raises(TypeError, match=call):
            getattr(ref, call)(fn)

    body()
    assert (ref.deref(), other.deref()) == (0, 1)


@pytest.mark.parametrize("fn", NOT_CALLABLE)
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("call", ["swap", "swap_vals"])
def test_atom_needs_a_function(call, inside, fn):
    atom = Atom(0)
    with pytest.raises(TypeError, match=call):
        (atomically if inside else lambda f, *a: f(*a))(getattr(atom, call), fn)
    assert atom.deref() == 0


@pytest.mark.parametrize("kind", CELLS)
def test_watches_validators_and_metadata_need_functions(kind):
    cell = CELLS[kind](0, meta="meta")
    cell.add_watch("key", print)
    cell.set_validator(lambda n: n >= 0)
    validator = cell.get_validator()
    for fn in NOT_CALLABLE:
        with pytest.raises(TypeError, match="add_watch"):
            cell.add_watch("key", fn)
        with pytest.raises(TypeError, match="alter_meta"):
            cell.alter_meta(fn)
        if fn is not None:
            with pytest.raises(TypeError, match="set_validator"):
                cell.set_validator(fn)
            with pytest.raises(TypeError, match="validator"):
                CELLS[kind](0, validator=fn)
    assert cell.get_watches() == {"key": print}
    assert cell.get_validator() is validator
    assert cell.meta() == "meta"


@pytest.mark.parametrize("fn", NOT_CALLABLE)
def test_dosync_and_atomically_need_a_function(fn):
    with pytest.raises(TypeError, match="atomically"):
        atomically(fn)
    with pytest.raises(TypeError, match="dosync"):
        dosync()(fn)
    if fn is not None:
        with pytest.raises(TypeError, match="dosync"):
            dosync(fn)


# Validators

REFUSING = {
    "false": lambda n: False,
    "None": lambda n: None,
    "empty": lambda n: [],
    "raises": lambda n: 1 // 0,
}


@pytest.mark.parametrize("name", REFUSING)
@pytest.mark.parametrize("kind", CELLS)
def test_a_validator_refuses_the_first_value(kind, name):
    with pytest.raises(ValidationError) as caught:
        CELLS[kind](0, name="balance", validator=REFUSING[name])
    assert "balance" in str(caught.value)
    cause = caught.value.__cause__
    assert isinstance(cause, ZeroDivisionError) if name == "raises" else cause is None


@pytest.mark.parametrize("name", REFUSING)
@pytest.mark.parametrize("kind", CELLS)
def test_a_validator_refuses_the_present_value(kind, name):
    cell = CELLS[kind](0)
    with pytest.raises(ValidationError):
        cell.set_validator(REFUSING[name])
    assert cell.get_validator() is None
    commit(cell, 1)
    assert cell.deref() == 1


@pytest.mark.parametrize("name", REFUSING)
@pytest.mark.parametrize("kind", CELLS)
def test_a_validator_refuses_a_new_value(kind, name):
    cell, other = CELLS[kind](0, name="balance"), Ref(0)
    cell.set_validator(lambda n: n == 0 or REFUSING[name](n))
    with pytest.raises(ValidationError, match="balance") as caught:
        commit(other, 1, cell, 1)
    cause = caught.value.__cause__
    assert isinstance(cause, ZeroDivisionError) if name == "raises" else cause is None
    assert isinstance(caught.value, ValueError)
    assert (cell.deref(), other.deref()) == (0, 0)
    cell.set_validator(None)
    commit(cell, 1)
    assert cell.deref() == 1


# Arguments of dosync

BAD_VALUES = [
    ({"isolation": "fast"}, "'serializable' or 'snapshot'"),
    ({"isolation": "Serializable"}, "'serializable' or 'snapshot'"),
    ({"isolation": ""}, "'serializable' or 'snapshot'"),
    ({"timeout": -1}, "timeout must be"),
    ({"timeout": -0.001}, "timeout must be"),
    ({"timeout": math.nan}, "timeout must be"),
    ({"timeout": -math.inf}, "timeout must be"),
    ({"timeout": True}, "timeout must be"),
    ({"timeout": False}, "timeout must be"),
    ({"timeout": 10**400}, "timeout must be"),
    ({"max_attempts": 0}, "max_attempts must be"),
    ({"max_attempts": -3}, "max_attempts must be"),
    ({"max_attempts": True}, "max_attempts must be"),
    ({"max_attempts": False}, "max_attempts must be"),
]
BAD_TYPES = [
    ({"isolation": 3}, "isolation"),
    ({"isolation": ["snapshot"]}, "isolation"),
    ({"timeout": "x"}, "timeout"),
    ({"timeout": 1j}, "timeout"),
    ({"timeout": [1]}, "timeout"),
    ({"max_attempts": "many"}, "max_attempts"),
    ({"max_attempts": 1.5}, "max_attempts"),
    ({"max_attempts": math.inf}, "max_attempts"),
    ({"max_attempts": [1]}, "max_attempts"),
]


@pytest.mark.parametrize(("options", "text"), BAD_VALUES, ids=str)
def test_arguments_with_a_wrong_value(options, text):
    with pytest.raises(ValueError, match=text) as caught:
        dosync(**options)
    (value,) = options.values()
    assert repr(value) in str(caught.value), "it says what was given"


@pytest.mark.parametrize(("options", "text"), BAD_TYPES, ids=str)
def test_arguments_of_a_wrong_type(options, text):
    with pytest.raises((TypeError, ValueError), match=rf"{text} must be") as caught:
        dosync(**options)
    (value,) = options.values()
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"isolation": None},
        {"isolation": "snapshot"},
        {"timeout": 0},
        {"timeout": 0.0},
        {"timeout": math.inf},
        {"timeout": 10**9},
        {"timeout": 10**300},
        {"timeout": sys.float_info.max},
        {"max_attempts": 1},
        {"read_only": True},
        {"name": "the job"},
    ],
    ids=str,
)
def test_arguments_that_are_allowed(options):
    ref = Ref(0)
    for form in ("decorator", "loop", "block"):
        assert transact(form, ref.deref, **options) == 0
    shown = repr(dosync(**options))
    assert all(key in shown for key in options if options[key] is not None)


def test_unknown_and_positional_arguments():
    with pytest.raises(TypeError):
        dosync(isolated=True)
    with pytest.raises(TypeError):
        dosync(lambda: None, timeout=1)
    with pytest.raises(TypeError):
        dosync(lambda: None, 1)


@pytest.mark.parametrize("value", [-1, -0.5, math.nan, "x", 1.5, [1], True, False])
def test_max_history(value):
    with pytest.raises((ValueError, TypeError), match="max_history must be") as caught:
        Ref(0, max_history=value)
    assert repr(value) in str(caught.value)
    if isinstance(value, int) or value != value:
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", ["timeout", "max_attempts", "isolation"])
def test_a_number_that_has_too_many_digits_to_be_shown(name):
    """Python refuses to make a text of it, with a ValueError that helps nobody."""
    with pytest.raises(ValueError, match=f"{name} must be"):
        dosync(**{name: -(10**5000)})
    with pytest.raises(ValueError, match="max_history must be"):
        Ref(0, max_history=-(10**5000))


@pytest.mark.parametrize("timeout", [math.inf, sys.float_info.max])
@pytest.mark.parametrize("form", ["decorator", "loop", "block"])
def test_the_longest_timeouts_wait_as_long_as_it_takes(form, timeout):
    ref = Ref(0)
    with dosync():
        ref.set(1)
        job = start(lambda: transact(form, lambda: ref.set(2), timeout=timeout))
        blocked(job)
    job.join()
    assert ref.deref() == 2


# Functions that cannot be run again

NEED_RERUN = {
    "decorator": lambda fn: dosync(fn),
    "decorator with arguments": lambda fn: dosync(timeout=1)(fn),
    "atomically": lambda fn: atomically(fn),
}


@pytest.mark.parametrize("where", NEED_RERUN)
@pytest.mark.parametrize("inside", [False, True])
def test_unfit_functions(where, inside):
    """See test_forms for all the kinds."""

    def generator():
        yield

    def check():
        with pytest.raises(TypeError, match="generator"):
            NEED_RERUN[where](generator)

    atomically(check) if inside else check()


# Blocks

BLOCKS = {"block": lambda: dosync(), "attempt": lambda: next_attempt()}


def next_attempt():
    for tx in dosync():
        with tx:
            pass
    return tx


def test_a_block_is_entered_once():
    block = dosync()
    with block:
        pass
    with pytest.raises(TransactionStateError, match=r"twice|end"):
        with block:
            pass
    block = dosync()
    with block:
        with pytest.raises(TransactionStateError, match="twice"):
            with block:
                pass


def test_tx_after_its_block():
    tx = next_attempt()
    with pytest.raises(TransactionStateError, match="outside of its block"):
        tx.attempt
    with pytest.raises(TransactionStateError):
        with tx:
            pass


def loop_over(tx):
    for again in tx:
        with again:
            pass


USES = {
    "enter": lambda tx: tx.__enter__(),
    "loop": loop_over,
    "decorate": lambda tx: tx(print),
    "attempt": lambda tx: tx.attempt,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("raises", [False, True])
def test_a_plain_block_is_of_no_use_after_its_end(use, raises):
    with contextlib.suppress(KeyError):
        with dosync(name="the block") as tx:
            if raises:
                raise KeyError
    for _ in range(2):
        with pytest.raises(TransactionStateError, match=r"after its end|outside of"):
            USES[use](tx)


@pytest.mark.parametrize("use", ["enter", "loop", "decorate"])
@pytest.mark.parametrize("outer", [None, *FORMS])
def test_nor_while_it_runs(use, outer):
    ref = Ref(0)

    def body():
        with dosync() as tx:
            with pytest.raises(TransactionStateError, match="twice"):
                USES[use](tx)
            ref.set(1)
            assert tx.attempt == 1

    transact(outer, body) if outer else body()
    assert ref.deref() == 1


def test_nor_after_it_could_not_begin():
    options = dosync(timeout=0)
    with dosync():  # it would have to wait for this one

        def enter():
            with options:
                pass

        with pytest.raises(TransactionTimeout):
            elsewhere(enter)
    with pytest.raises(TransactionStateError, match="new one"):
        loop_over(options)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_a_write_when_read_only(form, kind):
    cell, ran = CELLS[kind](0, name="balance"), []
    if kind == "ref":
        writes = [
            lambda: cell.set(1),
            lambda: cell.alter(str),
            lambda: cell.commute(str),
        ]
    else:
        writes = [
            lambda: cell.reset(1),
            lambda: cell.reset_vals(1),
            lambda: cell.swap(ran.append),
            lambda: cell.swap_vals(ran.append),
            lambda: cell.compare_and_set(0, 1),
            lambda: cell.compare_and_set(5, 1),
        ]

    def body():
        for write in writes:
            with pytest.raises(ReadOnlyError, match=r"balance.*the job.*read_only"):
                write()
        return cell.deref()

    assert transact(form, body, read_only=True, name="the job") == 0
    assert ran == [], "no function ran before it was refused"
    assert cell.deref() == 0


def read_only_part(form, ref, **options):
    """Return what a write says in a read_only part of that form."""

    def the_part():
        with pytest.raises(ReadOnlyError) as caught:
            ref.set(1)
        return str(caught.value)

    return transact(form, the_part, read_only=True, **options)


UNNAMED = {
    "decorator": "the_part",
    "function": "atomically",  # `transact` decorates that
    "loop": r"a block of dosync\(\)",
    "block": "a plain block",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outer", FORMS)
def test_a_write_in_a_read_only_part_names_that_part(outer, form):
    ref = Ref(0, name="balance")

    def body():
        seen = [
            read_only_part(form, ref, name="the report"),
            read_only_part(form, ref),
            transact(
                form, lambda: read_only_part(form, ref, name="no"), read_only=True
            ),
        ]
        with dosync(name="the report", read_only=True):
            seen.append(transact(form, lambda: refused(ref)))
        ref.set(2)
        return seen

    def refused(ref):
        with pytest.raises(ReadOnlyError) as caught:
            ref.alter(str)
        return str(caught.value)

    named, unnamed, nested, inherited = transact(outer, body)
    assert "'balance'" in named
    assert re.search("the report is read_only", named)
    assert re.search(rf"{UNNAMED[form]} is read_only", unnamed)
    assert "no is" not in nested, "leaving it out there would not help"
    assert re.search("the report is read_only", inherited)
    assert ref.deref() == 2


@pytest.mark.parametrize("form", FORMS)
def test_a_part_of_a_read_only_transaction_names_the_whole(form):
    ref = Ref(0)

    @dosync(read_only=True)
    def whole():
        return read_only_part(form, ref, name="the part")

    assert re.search(r"whole is read_only", whole())


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_write_when_read_only_ends_it(form):
    ref = Ref(0)
    with pytest.raises(ReadOnlyError):
        transact(form, lambda: ref.set(1), read_only=True)
    elsewhere(commit, ref, 2)
    assert ref.deref() == 2


def test_await_in_a_plain_block():
    ref = Ref(0, name="balance")

    async def holder(other):
        with dosync(name="the block"):
            ref.set(1)
            await asyncio.wait_for(asyncio.create_task(other()), 30)

    async def other():
        with pytest.raises(WouldDeadlockError, match=r"balance.*the block.*await"):
            commit(ref, 2)

    elsewhere(asyncio.run, holder(other))
    assert ref.deref() == 1


# The errors themselves

ERRORS = [
    (CommuteError, RuntimeError),
    (HistoryLostError, RuntimeError),
    (IsolationError, RuntimeError),
    (NoTransactionError, RuntimeError),
    (ReadOnlyError, RuntimeError),
    (TransactionAborted, RuntimeError),
    (TransactionStateError, RuntimeError),
    (TransactionTimeout, TimeoutError),
    (ValidationError, ValueError),
    (WouldDeadlockError, RuntimeError),
]


@pytest.mark.parametrize(("kind", "base"), ERRORS)
def test_one_root_and_a_familiar_base(kind, base):
    assert issubclass(kind, AtomosError)
    assert issubclass(kind, base)
    assert kind.__doc__


# Values that cannot be shown


class Unshowable(Exception):
    def __repr__(self):
        raise RuntimeError("no repr")


def raise_unshowable(value):
    raise Unshowable


UNSHOWABLE = {
    "Ref": (TypeError, lambda it: Ref(0, validator=it)),
    "name": (TypeError, lambda it: Ref(0, name=it)),
    "dosync": (TypeError, lambda it: dosync(it)),
    "dosync's name": (TypeError, lambda it: dosync(name=it)),
    "isolation": (ValueError, lambda it: dosync(isolation=it)),
    "max_history": (ValueError, lambda it: Ref(0, max_history=it)),
    "refused": (ValidationError, lambda it: Ref(it, validator=lambda value: False)),
    "raised on": (ValidationError, lambda it: Atom(it, validator=raise_unshowable)),
    "AtomicInteger": (TypeError, lambda it: AtomicInteger(it)),
    "set": (TypeError, lambda it: AtomicInteger(1).set(it)),
    "stamp": (TypeError, lambda it: AtomicStampedReference(None, it)),
    "LongAdder": (TypeError, lambda it: LongAdder().add(it)),
}


@pytest.mark.parametrize("what", UNSHOWABLE)
def test_a_value_whose_repr_raises_does_not_hide_the_error(what):
    kind, call = UNSHOWABLE[what]
    with pytest.raises(kind, match="its repr raises RuntimeError"):
        call(Unshowable())
