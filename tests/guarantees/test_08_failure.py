"""Guarantee 8: a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import threading
import warnings
from operator import length_hint

import pytest
from helpers import (
    CELLS,
    FORMS,
    GIL,
    RERUN_FORMS,
    Attempts,
    Parked,
    blocked,
    change,
    commit,
    draw_number,
    elsewhere,
    put,
    start,
    transact,
    until,
    wait,
)
from interrupts import stopped_once

from atomos import Atom, Ref, atomically, dosync, outside
from atomos.errors import (
    CommuteError,
    NoTransactionError,
    TransactionStateError,
    ValidationError,
    WouldDeadlockError,
)
from atomos.stm import _turn
from atomos.stm._footprint import Restart
from atomos.stm._turn import clock


class Broken(Exception):
    pass


class Stop(BaseException):
    pass


@pytest.fixture(params=[(a, b) for a in CELLS for b in CELLS], ids="-".join)
def pair(request):
    return [CELLS[kind](0, name=f"cell {i}") for i, kind in enumerate(request.param)]


def assert_untouched(*cells):
    """All cells have their first value, and any thread can write them."""
    assert [cell.deref() for cell in cells] == [0] * len(cells)
    elsewhere(commit, *[x for cell in cells for x in (cell, 9)])
    assert [cell.deref() for cell in cells] == [9] * len(cells)


# Exceptions


@pytest.mark.parametrize("kind", [Broken, Stop, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("form", FORMS)
def test_an_exception_of_the_body(pair, form, kind):
    error = kind("as it is")

    def body():
        for cell in pair:
            put(cell, 1)
        raise error

    with pytest.raises(kind) as caught:
        transact(form, body)
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    with pytest.raises(NoTransactionError):
        Ref(0).set(1)
    assert_untouched(*pair)


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_of_a_nested_call_that_is_caught(pair, form):
    """What it wrote is undone; the outer one goes on."""

    def nested():
        put(pair[0], 2)
        put(pair[1], 2)
        raise Broken

    def body():
        put(pair[0], 1)
        with contextlib.suppress(Broken):
            transact(form, nested)
        assert [cell.deref() for cell in pair] == [1, 0]

    atomically(body)
    assert [cell.deref() for cell in pair] == [1, 0]


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_of_a_commute(form):
    ref, other, error = Ref(0), Atom(0), Broken()

    def fn(value):
        raise error

    def body():
        other.reset(1)
        ref.commute(fn)

    with pytest.raises(Broken) as caught:
        transact(form, body)
    assert caught.value is error
    assert_untouched(ref, other)


@pytest.mark.parametrize("used", ["deref", "set", "swap", "dosync", "other"])
@pytest.mark.parametrize("form", FORMS)
def test_a_commute_may_not_touch_refs(form, used):
    ref, other = Ref(0), Atom(0)
    uses = {
        "deref": lambda n: n + ref.deref(),
        "set": ref.set,
        "swap": lambda n: other.swap(lambda n: n + 1),
        "dosync": lambda n: atomically(lambda: n),
        "other": lambda n: other.deref(),
    }

    def body():
        other.reset(1)
        ref.commute(uses[used])

    with pytest.raises(CommuteError, match="commute"):
        transact(form, body)
    assert_untouched(ref, other)


@pytest.mark.parametrize("form", FORMS)
def test_a_validator_that_refuses(pair, form):
    pair[1].set_validator(lambda n: n != 5)

    def body():
        put(pair[0], 5)
        put(pair[1], 5)

    with pytest.raises(ValidationError, match="cell 1"):
        transact(form, body)
    assert_untouched(*pair)


@pytest.mark.parametrize("form", FORMS)
def test_a_validator_that_raises(pair, form):
    error = Broken("why")

    def validator(value):
        if value == 5:
            raise error
        return True

    pair[1].set_validator(validator)

    def body():
        put(pair[0], 5)
        put(pair[1], 5)

    with pytest.raises(ValidationError, match="cell 1") as caught:
        transact(form, body)
    assert caught.value.__cause__ is error
    assert_untouched(*pair)


def test_a_base_exception_of_a_validator_passes():
    """`KeyboardInterrupt` is no answer."""
    ref = Ref(0)
    stop = Stop()

    def validator(value):
        if value == 5:
            raise stop
        return True

    ref.set_validator(validator)
    with pytest.raises(Stop) as caught:
        commit(ref, 5)
    assert caught.value is stop
    assert_untouched(ref)


@pytest.mark.parametrize("call", ["swap", "reset", "compare_and_set", "reset_vals"])
def test_an_atom_alone_whose_validator_refuses(call):
    atom = Atom(0, validator=lambda n: n != 5)
    with pytest.raises(ValidationError):
        {
            "swap": lambda: atom.swap(lambda n: 5),
            "reset": lambda: atom.reset(5),
            "reset_vals": lambda: atom.reset_vals(5),
            "compare_and_set": lambda: atom.compare_and_set(0, 5),
        }[call]()
    assert_untouched(atom)


def test_an_intermediate_value_need_not_be_valid():
    """The validator is asked at the commit."""
    ref = Ref(0, validator=lambda n: n >= 0)

    @dosync
    def body():
        ref.set(-1)
        ref.alter(lambda n: n + 2)

    body()
    assert ref.deref() == 1


def test_a_lost_attempt_that_raises_is_run_again():
    """Its exception came of a state that is gone."""
    ref, other, tries = Ref(0), Ref(0), Attempts()

    @dosync
    def body():
        tries.begin()
        other.set(ref.deref())
        tries.once(commit, ref, 1, other, 5)
        try:
            other.ensure()
            ref.deref()
        finally:
            if tries.count == 1:
                other.deref()

    body()
    assert other.deref() == 1


# A body that swallows the engine's signal


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_body_that_swallows_everything_cannot_commit(form, isolation):
    a, b, c = Ref(0), Ref(0), Ref("untouched")
    tries, swallowed = Attempts(), []

    def body():
        tries.begin()
        a.deref()
        if isolation == "serializable":
            c.set("first")
        tries.once(commit, a, 1, b, 1)
        try:
            b.alter(lambda n: n + 1)
        except BaseException as signal:
            swallowed.append(type(signal))
        c.set(tries.count)

    transact(form, body, isolation=isolation)
    assert len(swallowed) == 1
    assert not issubclass(swallowed[0], Exception), (
        "`except Exception` must not keep it"
    )
    assert tries.count == 2
    assert (a.deref(), b.deref(), c.deref()) == (1, 2, 2)


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_body_that_swallows_the_signal_and_raises_runs_again(form):
    a, b, c, tries = Ref(0), Ref(0), Ref(0), Attempts()

    def body():
        tries.begin()
        a.deref()
        c.set(1)
        tries.once(commit, a, 1, b, 1)
        try:
            b.deref()
        except BaseException:
            raise Broken from None

    transact(form, body)
    assert tries.count == 2


@pytest.mark.parametrize("kind", [Broken, Stop, KeyboardInterrupt])
@pytest.mark.parametrize("form", RERUN_FORMS)
def test_an_exception_from_outside_in_a_lost_attempt(form, kind):
    """If it is an `Exception`, it is dropped with the attempt."""
    a, b, c, tries, hits = Ref(0), Ref(0), Ref(0), Attempts(), []

    def body():
        tries.begin()
        a.deref()
        c.set(1)
        tries.once(commit, a, 1, b, 1)
        try:
            b.deref()
        finally:
            if tries.count == 1:
                hits.append("outside")
                raise_from_outside(kind)
                for _ in range(1000):
                    pass
                hits.append("in vain")

    if issubclass(kind, Exception):
        transact(form, body)
    else:
        with pytest.raises(kind):
            transact(form, body)
    assert hits == ["outside"]
    assert tries.count == (2 if kind is Broken else 1)
    assert c.deref() == (1 if kind is Broken else 0)
    elsewhere(commit, a, 5, b, 5, c, 5)


def raise_from_outside(kind):
    """Raise `kind` in this thread soon, as another one can."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(threading.get_ident()), ctypes.py_object(kind)
    )


def test_a_nested_block_that_swallows_the_signal():
    a, b, c, tries = Ref(0), Ref(0), Ref(0), Attempts()

    @dosync
    def body():
        tries.begin()
        a.deref()
        c.set(tries.count)
        tries.once(commit, a, 1, b, 1)
        with contextlib.suppress(BaseException):
            with dosync():
                b.deref()
        for tx in dosync():
            with tx:
                c.set(tries.count)

    body()
    assert tries.count == 2
    assert c.deref() == 2


# Watches


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_a_watch_is_called_once_for_each_commit(kind, form):
    cell, seen = CELLS[kind](0), []
    cell.add_watch("key", lambda *args: seen.append(args))

    def body():
        put(cell, "halfway")
        put(cell, 1)

    transact(form, body)
    transact(form, lambda: change(cell, lambda n: n + 1))
    assert seen == [("key", cell, 0, 1), ("key", cell, 1, 2)]
    with pytest.raises(Broken):
        transact(form, lambda: (put(cell, 7), raise_(Broken)))
    transact(form, cell.deref)
    assert len(seen) == 2


def raise_(error):
    raise error


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_watch_is_not_called_for_lost_attempts(form):
    ref, tries, seen = Ref(0), Attempts(), []
    ref.add_watch("key", lambda key, ref, old, new: seen.append((old, new)))

    def body():
        tries.begin()
        n = ref.deref()
        tries.once(commit, ref, 10)
        ref.set(n + 1)

    transact(form, body)
    assert seen == [(0, 10), (10, 11)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_a_watch_is_outside_of_the_transaction(kind, form):
    cell, log = CELLS[kind](0), Ref([])

    def watch(key, ref, old, new):
        with pytest.raises(NoTransactionError):
            log.set("no")
        assert ref.deref() == new
        assert atomically(ref.deref) == new
        transact(form, lambda: log.alter(lambda seen: [*seen, (old, new)]))

    cell.add_watch("key", watch)
    seen = transact(form, lambda: (put(cell, 1), log.deref()))[1]
    assert seen == []
    assert log.deref() == [(0, 1)]


def test_watches_of_several_cells_in_order_of_their_first_write(pair):
    calls = []
    for i, cell in enumerate(pair):
        for key in "xy":
            cell.add_watch(key, lambda key, ref, old, new, i=i: calls.append((i, key)))
    commit(pair[1], 1, pair[0], 1, pair[1], 2)
    assert calls == [(1, "x"), (1, "y"), (0, "x"), (0, "y")]


@pytest.mark.parametrize("kind", CELLS)
def test_an_exception_of_a_watch_is_logged_and_stops_nothing(kind, caplog):
    cell, other, called = CELLS[kind](0, name="watched"), Ref(0), []

    def broken(key, ref, old, new):
        raise Broken("oh dear")

    cell.add_watch("first", broken)
    cell.add_watch("second", lambda *args: called.append(args[0]))
    other.add_watch("third", lambda *args: called.append(args[0]))
    with caplog.at_level(logging.ERROR, logger="atomos"):
        commit(cell, 1, other, 1)
    assert called == ["second", "third"]
    assert (cell.deref(), other.deref()) == (1, 1)
    (record,) = caplog.records
    assert record.exc_info[0] is Broken
    assert "first" in record.getMessage()
    assert "watched" in record.getMessage()


def test_a_watch_of_an_atom_alone_that_raises(caplog):
    atom, called = Atom(0), []
    atom.add_watch("first", lambda *args: raise_(Broken))
    atom.add_watch("second", lambda *args: called.append(args[2:]))
    assert atom.swap(lambda n: n + 1) == 1
    assert atom.reset(5) == 1
    assert atom.compare_and_set(5, 6)
    assert called == [(0, 1), (1, 5), (5, 6)]
    assert len(caplog.records) == 3


def test_a_watch_of_a_commute_gets_what_was_displaced():
    ref, tries, seen = Ref(0), Attempts(), []
    ref.add_watch("key", lambda key, ref, old, new: seen.append((old, new)))

    @dosync
    def body():
        tries.begin()
        ref.commute(lambda n: n + 1)
        tries.once(commit, ref, 10)

    body()
    assert seen == [(0, 10), (10, 11)]


# Blocks that are dropped


def block_generator(form, ref):
    if form == "block":
        with dosync():
            ref.set(1)
            yield
    else:
        for tx in dosync():
            with tx:
                ref.set(1)
                yield


@pytest.mark.parametrize("how", ["close", "drop", "throw"])
@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_generator_dropped_in_a_block(form, how):
    ref, other = Ref(0), Ref(0)
    generator = block_generator(form, ref)
    next(generator)
    if how == "close":
        generator.close()
    elif how == "throw":
        with pytest.raises(Broken):
            generator.throw(Broken)
    else:
        del generator
    with pytest.raises(NoTransactionError):
        other.set(1)
    assert_untouched(ref, other)


@pytest.mark.parametrize("how", ["close", "drop"])
@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_generator_dropped_by_another_thread(form, how):
    """Its own thread lives on, and waits for nothing."""
    ref, kept = Ref(0), []

    def run(park):
        kept.append(block_generator(form, ref))
        next(kept[0])
        park()
        with pytest.raises(NoTransactionError):
            ref.set(1)
        until(lambda: ref.deref() == 9)

    parked = Parked(run)
    if how == "close":
        kept[0].close()
    kept.clear()
    if how == "drop" and not GIL:
        # The interpreter leaves an object to the thread that made it, to be ended
        # when that runs next.
        parked.go_on()
    start(commit, ref, 9).join()
    parked.finish()


@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_thread_that_ended_in_a_block(form):
    """A generator that somebody keeps holds it open."""
    ref, other, kept = Ref(0), Ref(0), []

    def run():
        kept.append(block_generator(form, ref))
        next(kept[0])

    elsewhere(run)
    elsewhere(commit, ref, 2, other, 2)
    elsewhere(transact, "block", lambda: ref.set(3))
    assert (ref.deref(), other.deref()) == (3, 2)
    with pytest.raises((TransactionStateError, StopIteration)) as caught:
        next(kept[0])
    assert caught.type is TransactionStateError, "it did not commit, and says so"
    assert ref.deref() == 3


@pytest.mark.parametrize("waiters", [1, 4])
def test_those_that_wait_for_a_thread_that_ends(waiters):
    ref, kept = Ref(0), []

    def run(park):
        kept.append(block_generator("block", ref))
        next(kept[0])
        park()

    parked = Parked(run)
    jobs = [
        start(transact, form, lambda: ref.alter(lambda n: n + 1))
        for form in FORMS[:waiters]
    ]
    for job in jobs:
        blocked(job)
    parked.finish()
    for job in jobs:
        job.join()
    assert ref.deref() == waiters
    with pytest.raises(TransactionStateError):
        next(kept[0])


@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_block_left_in_another_thread(form):
    ref = Ref(0)
    generator = block_generator(form, ref)
    next(generator)
    with pytest.raises(TransactionStateError, match="another thread"):
        elsewhere(next, generator)
    with pytest.raises(NoTransactionError):
        ref.set(1)
    assert_untouched(ref)


@pytest.mark.parametrize("form", ["loop", "block"])
def test_a_block_left_by_an_exception_in_another_thread(form):
    """The exception goes on as it is."""
    ref, error = Ref(0), Broken()
    generator = block_generator(form, ref)
    next(generator)
    with pytest.raises(Broken) as caught:
        elsewhere(generator.throw, error)
    assert caught.value is error
    assert_untouched(ref)


# fork


def in_child(fn):
    """Fork; run `fn` in the child, which must end by itself within seconds."""
    with warnings.catch_warnings():
        # From 3.12 on: "use of fork() may lead to deadlocks in the child".
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(10)  # which ends the child
            if fn():
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "the child failed, or had to be ended"


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@needs_fork
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_fork_while_another_thread_holds_a_block(kind, form):
    cell, free = CELLS[kind](0), Ref(0)

    def hold(park):
        with dosync():
            put(cell, 1)
            park()

    block = Parked(hold)

    def child():
        assert cell.deref() == 0
        transact(form, lambda: (put(cell, 2), put(free, 2)))
        return (cell.deref(), free.deref()) == (2, 2)

    in_child(child)
    block.finish()
    assert (cell.deref(), free.deref()) == (1, 0)


@needs_fork
def test_fork_within_a_transaction():
    """Both go on with it, each in its own world."""
    ref = Ref(0)
    with dosync():
        ref.set(1)
        in_child(lambda: ref.deref() == 1)
    assert ref.deref() == 1

    def outcome():
        with dosync():
            ref.alter(lambda n: n + 1)
        return ref.deref() == 2

    in_child(outcome)
    assert ref.deref() == 1


@needs_fork
def test_fork_while_others_read_and_commit(often):
    cells = [CELLS[kind](0) for kind in ("ref", "atom") * 3]
    stop = threading.Event()

    def work():
        while not stop.is_set():
            atomically(lambda: [change(cell, lambda n: n + 1) for cell in cells])
            cells[1].add_watch("key", print)
            cells[1].remove_watch("key")

    def child():
        n = atomically(lambda: {cell.deref() for cell in cells})
        assert len(n) == 1
        for form in FORMS:
            transact(form, lambda: [change(cell, lambda n: n + 1) for cell in cells])
        assert cells[0].history_count == 0
        cells[0].add_watch("key", lambda *args: None)
        assert {cell.deref() for cell in cells} == {n.pop() + len(FORMS)}
        return threading.active_count() == 1

    jobs = [start(work), start(work)]
    try:
        for _ in range(10):
            in_child(child)
    finally:
        stop.set()
    for job in jobs:
        job.join()
    assert len({cell.deref() for cell in cells}) == 1


@needs_fork
def test_fork_while_another_thread_keeps_history():
    ref = Ref(0)

    def read(park):
        @dosync
        def body():
            ref.deref()
            park()
            return ref.deref()

        return body()

    reader = Parked(read)
    commit(ref, 1)
    assert ref.history_count == 1

    def child():
        ref.trim_history()
        return ref.history_count == 0

    in_child(child)
    assert ref.history_count == 1
    assert reader.finish() == 0


@needs_fork
@pytest.mark.skipif(not GIL, reason="the fork waits until nobody has the turn")
@pytest.mark.parametrize("where", ["turn", "repair"])
def test_fork_while_another_thread_is_stopped_in_its_turn(where):
    """A trace function may do that; the child gives up the number it has taken."""
    atom, ref = Atom(0), Ref(0)

    def when(frame):
        if where == "repair":
            return _turn._repair.lock.locked()
        return frame.f_locals.get("number", 0) > clock.done

    def work():
        if where == "turn":
            atom.swap(lambda n: n + 1)
        else:
            _turn.give_way()

    def run(park):
        stopped_once(work, when, park)

    parked = Parked(run)
    if where == "turn":
        clock.skipped[draw_number()] = None  # somebody else has given way

    def child():
        taken = clock.end - length_hint(clock.steps)
        rest = clock.done == taken and not clock.skipped
        if not rest or _turn._repair.lock.locked():
            return False
        atom.swap(lambda n: n + 10)
        commit(ref, 1)
        transact("block", lambda: put(atom, atom.deref() + 100))
        return (atom.deref(), ref.deref()) == (110, 1)

    try:
        in_child(child)
    finally:
        parked.finish()
    commit(ref, 2, atom, 2)


# Threads that end


def test_many_threads_that_come_and_go_leave_nothing():
    from atomos.stm import _registry

    def work():
        atomically(lambda: None)

    before = len(_registry.registry.records)  # of threads that live, such as pools
    for _ in range(50):
        elsewhere(work)
    assert len(_registry.registry.records) < before + 10


@pytest.mark.parametrize("call", [outside, atomically], ids=["outside", "inside"])
def test_a_signal_handler_at_any_point(call, often):
    """It runs in the main thread, between any two bytecodes, and uses refs."""
    ref, count, errors = Ref(0), Ref(0), []
    main, stop, handled = threading.get_ident(), threading.Event(), threading.Event()

    def use():
        atomically(count.alter, lambda n: n + 1)
        ref.deref()

    def handler(number, frame):
        try:
            call(use)
        except BaseException as error:
            errors.append(error)
        handled.set()

    def send():
        sent = 0
        while not stop.is_set():
            handled.clear()
            signal.pthread_kill(main, signal.SIGUSR1)
            sent += 1
            wait(handled)
        return sent

    before = signal.signal(signal.SIGUSR1, handler)
    sender = start(send)
    try:
        n = 0
        while n < 400 or count.deref() < 20:
            n += 1
            for form in FORMS:
                transact(form, lambda n=n: (ref.set(n), ref.ensure()))
    finally:
        stop.set()
        until(lambda: not sender.thread.is_alive())
        sent = sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert sent > 10
    if call is outside:
        assert (errors, count.deref()) == ([], sent)
    else:
        # What one has done inside, the next one may meet during the commit: it makes
        # the attempt lose, and both are undone, or is refused by a plain block. One
        # that comes between the snapshot of an attempt and its body commits alone;
        # the next, inside, cannot write what has changed since, and is told that the
        # attempt is lost, as any body is.
        assert {type(error) for error in errors} <= {WouldDeadlockError, Restart}
        assert 10 < count.deref() <= sent - len(errors)
