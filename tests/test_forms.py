"""The four forms of a transaction: what they return, and how they are left."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
import types
import unittest.mock

import pytest
from helpers import (
    CELLS,
    FORMS,
    RERUN_FORMS,
    Attempts,
    Parked,
    blocked,
    commit,
    elsewhere,
    put,
    start,
    transact,
)
from interrupts import preempted_at_each_opcode, within

from atomos import Atom, Ref, atomically, dosync
from atomos.errors import (
    NoTransactionError,
    ReadOnlyError,
    TransactionAborted,
    TransactionStateError,
    TransactionTimeout,
    ValidationError,
)
from atomos.reference import ARef


class Broken(Exception):
    pass


# Forms 1 and 2


def test_the_decorator_bare_and_with_arguments():
    ref = Ref(0)

    @dosync
    def bare(amount, *, times=1):
        """Add."""
        return ref.alter(lambda n: n + amount * times)

    @dosync()
    def empty(amount):
        return ref.alter(lambda n: n + amount)

    @dosync(isolation="snapshot", timeout=5, name="the job")
    def given(amount):
        return ref.alter(lambda n: n + amount)

    assert bare(1) == 1
    assert bare(2, times=3) == 7
    assert empty(amount=1) == 8
    assert given(2) == 10
    assert bare.__name__ == "bare"
    assert bare.__doc__ == "Add."
    assert bare.__wrapped__ is not bare
    assert str(inspect.signature(bare)) == "(amount, *, times=1)"


def test_the_decorator_on_methods():
    class Account:
        total = Ref(0)

        def __init__(self):
            self.balance = Ref(0)

        @dosync
        def deposit(self, amount):
            """Put in."""
            self.total.alter(lambda n: n + amount)
            return self.balance.alter(lambda n: n + amount)

        @dosync(read_only=True)
        def look(self):
            return self.balance.deref()

        @classmethod
        @dosync
        def reset(cls):
            return cls, cls.total.set(0)

        @staticmethod
        @dosync
        def double(n):
            return 2 * n

        @property
        @dosync
        def both(self):
            return self.balance.deref(), self.total.deref()

        @dosync
        def __call__(self):
            return self.balance.deref()

    account = Account()
    assert account.deposit(5) == 5
    assert Account.deposit(account, amount=2) == 7
    assert account.look() == account() == 7
    assert account.both == (7, 7)
    assert Account.reset() == (Account, 0)
    assert account.double(4) == 8
    bound = account.deposit
    assert bound(1) == 8
    assert bound.__doc__ == "Put in."


def test_a_decorated_function_may_call_itself():
    ref = Ref(0)

    @dosync
    def count_down(n):
        ref.alter(lambda total: total + n)
        return count_down(n - 1) if n else ref.deref()

    assert count_down(4) == 10


def test_a_decorated_function_in_many_threads_is_not_shared():
    barrier = threading.Barrier(3)

    @dosync
    def body(n):
        barrier.wait(30)
        return n

    jobs = [start(body, n) for n in range(3)]
    assert [job.join() for job in jobs] == [0, 1, 2]


@pytest.mark.parametrize("value", [None, False, (), object()])
def test_values_are_returned_as_they_are(value):
    ref = Ref(0)

    def body():
        ref.set(value)
        return value

    assert dosync(body)() is value
    assert atomically(body) is value
    assert dosync(timeout=9)(body)() is value
    assert ref.deref() is value


def test_atomically_passes_arguments_on():
    ref = Ref(1)
    assert atomically(ref.alter, max, 5) == 5
    assert atomically(sorted, [2, 1], reverse=True) == [2, 1]
    assert atomically(lambda *args, **kwargs: (args, kwargs), 1, fn=2) == (
        (1,),
        {"fn": 2},
    )
    assert dosync(lambda fn, options: fn)(1, options=2) == 1


def test_callables_of_all_kinds():
    class Adder:
        def __init__(self):
            self.ref = Ref(0)

        def __call__(self, n):
            return self.ref.alter(lambda value: value + n)

    adder = Adder()
    assert atomically(adder, 2) == 2
    assert dosync(adder)(2) == 4
    assert atomically(functools.partial(adder, 3)) == 7
    assert dosync(functools.partial(adder, 3))() == 10
    assert atomically(Adder).ref.deref() == 0
    assert atomically(len, [1]) == 1


def generator():
    yield 1


async def coroutine():
    return 1


async def async_generator():
    yield 1


class Kinds:
    def method(self):
        yield 1

    async def coroutine(self):
        return 1

    @classmethod
    def class_method(cls):
        yield 1

    @staticmethod
    def static_method():
        yield 1

    part = functools.partialmethod(method)
    coroutine_part = functools.partialmethod(functools.partialmethod(coroutine))
    static_part = functools.partialmethod(staticmethod(generator))


class CallGenerator:
    def __call__(self):
        yield 1


class CallCoroutine:
    async def __call__(self):
        return 1


class CallStatic:
    __call__ = staticmethod(generator)


class CallPartial:
    __call__ = functools.partial(coroutine)


class CallObject:
    __call__ = CallCoroutine()


UNFIT = {
    "generator": generator,
    "coroutine": coroutine,
    "async generator": async_generator,
    "lambda that is a generator": lambda: (yield),
    "method": Kinds().method,
    "function of a method": Kinds.method,
    "coroutine method": Kinds().coroutine,
    "class method": Kinds.class_method,
    "static method": Kinds.static_method,
    "object": CallGenerator(),
    "coroutine object": CallCoroutine(),
    "partial": functools.partial(generator),
    "partial of a partial": functools.partial(functools.partial(coroutine)),
    "partial of a method": functools.partial(Kinds().method),
    "partial of an object": functools.partial(CallGenerator()),
    "staticmethod object": staticmethod(generator),
    "staticmethod of a staticmethod": staticmethod(staticmethod(coroutine)),
    "staticmethod of a partial": staticmethod(functools.partial(async_generator)),
    "lru_cache": functools.lru_cache(generator),
    "cache": functools.cache(coroutine),
    "cached method": functools.cache(Kinds().method),
    "partial of a cache of a staticmethod": functools.partial(
        functools.lru_cache(maxsize=1)(staticmethod(async_generator))
    ),
    "bound cache": types.MethodType(functools.cache(Kinds.method), Kinds()),
    "partialmethod": Kinds().part,
    "function of a partialmethod": Kinds.part,
    "coroutine partialmethod": Kinds().coroutine_part,
    "function of a coroutine partialmethod": Kinds.coroutine_part,
    "static partialmethod": Kinds.static_part,
    "object that calls a staticmethod": CallStatic(),
    "object that calls a partial": CallPartial(),
    "object that calls an object": CallObject(),
    "types.coroutine": types.coroutine(generator),
    "AsyncMock": unittest.mock.AsyncMock(),
}


def marked():
    return coroutine()


class CallMarked:
    def __call__(self):
        return coroutine()


if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(marked)
    UNFIT |= {
        "marked": marked,
        "partial of a marked one": functools.partial(marked),
        "marked staticmethod": staticmethod(marked),
        "marked object": inspect.markcoroutinefunction(CallMarked()),
        "method that is marked": types.MethodType(marked, Kinds()),
    }


@pytest.mark.parametrize("name", UNFIT)
def test_what_cannot_be_run_again_is_refused(name):
    fn = UNFIT[name]
    for call in (dosync, dosync(timeout=1), dosync(), atomically):
        with pytest.raises(TypeError, match=r"generator|coroutine"):
            call(fn)


@pytest.mark.parametrize("name", ["generator", "coroutine"])
def test_a_decorated_unfit_function_is_refused_when_it_is_defined(name):
    with pytest.raises(TypeError):

        class Service:
            if name == "generator":

                @dosync
                def run(self):
                    yield

            else:

                @dosync
                async def run(self):
                    pass


@functools.wraps(generator)
def listed(*args):
    return list(generator())


class CallListed:
    __call__ = listed
    part = functools.partialmethod(listed)
    static_part = functools.partialmethod(staticmethod(listed))


#: `functools.wraps` around a generator: the wrapper is what runs.
FIT = {
    "function": listed,
    "partial": functools.partial(listed),
    "staticmethod object": staticmethod(listed),
    "lru_cache": functools.lru_cache(listed),
    "method": types.MethodType(listed, 1),
    "object": CallListed(),
    "partialmethod": CallListed().part,
    "function of a partialmethod": functools.partial(CallListed.part, None),
    "static partialmethod": CallListed.static_part,
    "class": functools.partial(list, (1,)),
}


@pytest.mark.parametrize("name", FIT)
def test_a_wrapped_function_that_is_fit(name):
    assert atomically(FIT[name]) == [1]
    assert dosync(FIT[name])() == [1]


def test_a_callable_without_an_end_is_not_followed_for_ever():
    """To call one is an endless recursion; to look at one is none."""

    class Endless:
        pass

    Endless.__call__ = Endless()
    assert callable(dosync(Endless()))
    circle = functools.partial(len)
    circle.__setstate__((circle, (), {}, {}))
    assert callable(dosync(circle))


@pytest.mark.parametrize(
    "fn", [classmethod(len), property(len), functools.partialmethod(len)]
)
def test_what_becomes_a_function_in_a_class_is_decorated_below_it(fn):
    with pytest.raises(TypeError, match=r"@dosync needs a function.* below"):
        dosync(fn)


# Form 3


def test_the_loop_runs_its_block_once_when_nobody_disturbs():
    ref, seen = Ref(0), []
    for tx in dosync():
        with tx:
            seen.append(tx.attempt)
            ref.set(1)
    assert (seen, ref.deref()) == ([1], 1)


def test_the_loop_runs_its_block_again():
    ref, seen = Ref(0), []
    for tx in dosync():
        with tx as entered:
            assert entered is tx
            n = ref.deref()
            seen.append((tx.attempt, n))
            if tx.attempt < 4:
                elsewhere(commit, ref, n + 10)
            ref.set(n + 1)
    assert seen == [(1, 0), (2, 10), (3, 20), (4, 30)]
    assert ref.deref() == 31


def test_statements_around_the_block_run_for_each_attempt():
    ref, steps = Ref(0), []
    for tx in dosync():
        steps.append("before")
        with tx:
            n = ref.deref()
            if tx.attempt == 1:
                elsewhere(commit, ref, 5)
            ref.set(n + 1)
        steps.append("after")
    else:
        steps.append("else")
    assert steps == ["before", "after", "before", "after", "else"]
    assert ref.deref() == 6


def test_continue_in_the_loop():
    ref, tries = Ref(0), Attempts()
    for tx in dosync():
        with tx:
            tries.begin()
            n = ref.deref()
            tries.once(commit, ref, 5)
            ref.set(n + 1)
            if n >= 0:
                continue
            ref.set("never")
    assert (ref.deref(), tries.count) == (6, 2)


def leave_by_return(ref):
    for tx in dosync():
        with tx:
            return ref.set(1)


def leave_by_break(ref):
    for tx in dosync():
        with tx:
            ref.set(1)
            break


def leave_by_outer_continue(ref):
    for _ in range(2):
        for tx in dosync():
            with tx:
                ref.set(1)
                break
        else:
            continue


def leave_by_return_after(ref):
    for tx in dosync():
        with tx:
            ref.set(1)
        return


def leave_by_break_after(ref):
    for tx in dosync():
        with tx:
            ref.set(1)
        if ref.deref() != 5:
            break


def leave_by_break_at_once(ref):
    for _tx in dosync():
        break


def leave_by_return_at_once(ref):
    for _tx in dosync():
        return ref.deref()


def leave_by_break_before(ref):
    """Without a commit, if the first attempt is lost."""
    done = False
    for tx in dosync():
        if done:
            break
        with tx:
            ref.set(1)
            done = True


LEAVING = [
    leave_by_return,
    leave_by_break,
    leave_by_outer_continue,
    leave_by_return_after,
    leave_by_break_after,
    leave_by_break_at_once,
    leave_by_return_at_once,
    leave_by_break_before,
]


@pytest.mark.parametrize("leave", LEAVING, ids=lambda fn: fn.__name__)
def test_the_loop_is_not_left_by_return_or_break(leave):
    """At the first time, and nothing is written, at each time."""
    ref = Ref(0)
    for _ in range(3):
        with pytest.raises(TransactionStateError, match=r"return.*break"):
            leave(ref)
        assert ref.deref() == 0
        with pytest.raises(NoTransactionError):
            ref.set(1)
    elsewhere(commit, ref, 1)
    assert ref.deref() == 1


@pytest.mark.parametrize("outer", FORMS)
@pytest.mark.parametrize("leave", LEAVING, ids=lambda fn: fn.__name__)
def test_nor_when_it_has_joined(outer, leave):
    ref = Ref(0)
    with pytest.raises(TransactionStateError, match=r"return.*break"):
        transact(outer, lambda: leave(ref))
    assert ref.deref() == 0
    elsewhere(commit, ref, 1)


def test_the_loop_is_left_by_an_exception():
    ref, error = Ref(0), Broken()
    with pytest.raises(Broken) as caught:
        for tx in dosync():
            with tx:
                ref.set(1)
                raise error
    assert caught.value is error
    assert ref.deref() == 0


def test_an_exception_caught_outside_of_the_block_ends_the_loop():
    ref, rounds = Ref(0), []
    for tx in dosync():
        try:
            with tx:
                ref.set(1)
                raise Broken
        except Broken:
            rounds.append(tx)
    assert len(rounds) == 1
    assert ref.deref() == 0


def test_an_exception_caught_inside_of_the_block_is_nobodys_business():
    ref = Ref(0)
    for tx in dosync():
        with tx:
            with contextlib.suppress(Broken):
                ref.set(1)
                raise Broken
    assert ref.deref() == 1


def test_iterating_without_entering():
    rounds = []
    with pytest.raises(TransactionStateError, match="with tx"):
        for tx in dosync():
            rounds.append(tx)
    assert len(rounds) == 1


OTHER_WAYS = {
    "iter": lambda: iter(dosync()),
    "next": lambda: next(iter(dosync())),
    "list": lambda: list(dosync()),
    "zip": lambda: list(zip(dosync(), [1, 2], strict=False)),
    "comprehension": lambda: [tx.attempt for tx in dosync()],
    "generator": lambda: any(tx for tx in dosync()),
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_iterating_in_another_way(way):
    with pytest.raises(TransactionStateError, match="for"):
        OTHER_WAYS[way]()


def test_an_attempt_is_entered_once():
    for tx in dosync():
        with tx:
            with pytest.raises(TransactionStateError, match="twice"):
                with tx:
                    pass
    with pytest.raises(TransactionStateError):
        with tx:
            pass


@pytest.mark.parametrize("outer", [None, *FORMS])
def test_tx_is_for_use_inside_of_its_block(outer):
    def body():
        for tx in dosync():
            with pytest.raises(TransactionStateError, match="outside"):
                tx.attempt
            with tx:
                assert tx.attempt >= 1
        with pytest.raises(TransactionStateError, match="outside"):
            tx.attempt
        return "end"

    assert (transact(outer, body) if outer else body()) == "end"


def test_the_attempt_of_a_nested_loop_is_that_of_the_outer_one():
    ref, seen = Ref(0), []

    @dosync
    def body():
        n = ref.deref()
        if not seen:
            elsewhere(commit, ref, 1)
        for tx in dosync():
            with tx:
                seen.append(tx.attempt)
                ref.set(n + 1)

    body()
    assert seen == [1, 2]


def test_a_loop_inside_a_loop():
    ref, seen = Ref(0), []
    for outer in dosync():
        with outer:
            n = ref.deref()
            for inner in dosync():
                with inner:
                    if outer.attempt == 1:
                        elsewhere(commit, ref, 10)
                    ref.set(n + 1)
                    seen.append((outer.attempt, inner.attempt))
            assert ref.deref() == n + 1
    assert seen == [(1, 1), (2, 2)]
    assert ref.deref() == 11


def test_two_loops_one_after_the_other_in_one_function():
    ref = Ref(0)
    for _ in range(3):
        for tx in dosync():
            with tx:
                ref.alter(lambda n: n + 1)
        for tx in dosync(isolation="snapshot"):
            with tx:
                ref.alter(lambda n: n + 10)
    assert ref.deref() == 33


def test_an_object_for_a_loop_can_be_used_again():
    """It is a loop each time; only a plain block is used up."""
    ref, options = Ref(0), dosync(name="the job")
    for _ in range(2):
        for tx in options:
            with tx:
                ref.alter(lambda n: n + 1)
    decorated = options(lambda: ref.alter(lambda n: n + 1))
    assert decorated() == 3


# Form 4


def block_that_returns(ref):
    with dosync():
        ref.set(1)
        return "value"


def block_in_a_loop_with_break(ref):
    for _ in range(3):
        with dosync():
            ref.alter(lambda n: n + 1)
            break
    return "value"


def block_in_a_loop_with_continue(ref):
    for i in range(3):
        with dosync():
            if i:
                continue
            ref.alter(lambda n: n + 1)
    return "value"


@pytest.mark.parametrize(
    "leave",
    [block_that_returns, block_in_a_loop_with_break, block_in_a_loop_with_continue],
    ids=lambda fn: fn.__name__,
)
def test_a_plain_block_is_left_in_any_way(leave):
    ref = Ref(0)
    assert leave(ref) == "value"
    assert ref.deref() == 1


def test_a_plain_block_runs_once_and_may_have_effects():
    ref, ran, others = Ref(0), [], []
    with dosync() as block:
        ran.append(ref.deref())
        others.append(start(commit, ref, 10))
        blocked(others[0])
        ref.set(1)
        assert block.attempt == 1
    others[0].join()
    assert ran == [0]
    assert ref.deref() == 10


def test_an_exit_stack_with_a_plain_block():
    a, b = Ref(0), Atom(0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(dosync())
        a.set(1)
        b.reset(1)
        assert elsewhere(a.deref) == 0
    assert (a.deref(), b.deref()) == (1, 1)
    with pytest.raises(Broken):
        with contextlib.ExitStack() as stack:
            stack.enter_context(dosync())
            a.set(2)
            raise Broken
    assert a.deref() == 1
    stack = contextlib.ExitStack()
    stack.enter_context(dosync())
    a.set(3)
    kept = stack.pop_all()
    kept.close()
    assert a.deref() == 3


def test_a_context_manager_made_of_a_plain_block():
    ref = Ref(0)

    @contextlib.contextmanager
    def in_transaction():
        with dosync():
            yield ref.deref()

    with in_transaction() as seen:
        ref.set(seen + 1)
    assert ref.deref() == 1
    with pytest.raises(Broken):
        with in_transaction() as seen:
            ref.set(seen + 1)
            raise Broken
    assert ref.deref() == 1


def test_an_exit_stack_cannot_run_an_attempt_again():
    ref = Ref(0)
    with pytest.raises(TransactionStateError):
        for tx in dosync():
            with contextlib.ExitStack() as stack:
                stack.enter_context(tx)
                ref.set(1)
    assert ref.deref() == 0
    elsewhere(commit, ref, 1)


# Nested


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", FORMS)
def test_a_nested_call_joins(outer, inner):
    a, b = Ref(0), Atom(0)

    def nested():
        assert a.deref() == 1
        b.reset(2)
        return b.deref()

    def body():
        a.set(1)
        value = transact(inner, nested)
        assert elsewhere(lambda: (a.deref(), b.deref())) == (0, 0)
        return value + a.deref()

    assert transact(outer, body) == 3
    assert (a.deref(), b.deref()) == (1, 2)


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", RERUN_FORMS)
def test_a_conflict_in_a_nested_call_runs_the_outer_one_again(outer, inner):
    ref, tries, after = Ref(0), Attempts(), []

    def nested():
        n = ref.deref()
        tries.once(commit, ref, 10)
        ref.set(n + 1)

    def body():
        tries.begin()
        transact(inner, nested)
        after.append(tries.count)

    transact(outer, body)
    assert ref.deref() == 11
    assert tries.count == 2
    assert after[-1] == 2


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", FORMS)
def test_an_exception_passes_through_both(outer, inner):
    ref, error = Ref(0), Broken()

    def nested():
        ref.set(1)
        raise error

    with pytest.raises(Broken) as caught:
        transact(outer, lambda: transact(inner, nested))
    assert caught.value is error
    assert ref.deref() == 0


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", FORMS)
def test_read_only_inside_of_one_that_writes(outer, inner):
    """It refuses writes while it runs, and the outer one may write again."""
    ref, other = Ref(0), Atom(0)

    def nested():
        with pytest.raises(ReadOnlyError):
            ref.set("no")
        with pytest.raises(ReadOnlyError):
            other.reset("no")
        with pytest.raises(ReadOnlyError):
            transact(inner, lambda: ref.set("no"))
        return ref.deref()

    def body():
        ref.set(1)
        assert transact(inner, nested, read_only=True) == 1
        with contextlib.suppress(Broken):
            transact(inner, lambda: raise_(Broken), read_only=True)
        other.reset(1)
        ref.alter(lambda n: n + 1)

    transact(outer, body)
    assert (ref.deref(), other.deref()) == (2, 1)


def raise_(error):
    raise error


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", FORMS)
def test_one_that_writes_inside_of_read_only(outer, inner):
    """It joins, so it may not write either."""
    ref = Ref(0)
    with pytest.raises(ReadOnlyError):
        transact(outer, lambda: transact(inner, lambda: ref.set(1)), read_only=True)
    assert ref.deref() == 0


def lose_until_timeout(outer, inner, outer_timeout, inner_timeout):
    """Lose one attempt; return whether the deadline was noticed."""
    ref, tries = Ref(0), Attempts()

    def nested():
        n = ref.deref()
        tries.once(commit, ref, 10)
        ref.set(n + 1)

    def body():
        tries.begin()
        transact(inner, nested, timeout=inner_timeout)

    with contextlib.suppress(TransactionTimeout):
        transact(outer, body, timeout=outer_timeout)
    assert (ref.deref(), tries.count) in ((10, 1), (11, 2))
    return tries.count == 1


@pytest.mark.parametrize("inner", ["decorator", "loop", "block"])
@pytest.mark.parametrize("outer", ["decorator", "loop"])
def test_the_earliest_deadline_wins(outer, inner):
    assert lose_until_timeout(outer, inner, 0, 60)
    assert lose_until_timeout(outer, inner, 60, 0)
    assert lose_until_timeout(outer, inner, None, 0)
    assert lose_until_timeout(outer, inner, 0, None)
    assert not lose_until_timeout(outer, inner, 60, 60)
    assert not lose_until_timeout(outer, inner, None, 60)


def test_a_deadline_in_a_plain_block_bounds_its_waits():
    """A block waits only for committers and for its turn."""
    ref = Ref(0)

    def hold(park):
        with dosync():
            ref.set(1)
            park()

    block = Parked(hold)
    try:
        with pytest.raises(TransactionTimeout):
            with dosync(timeout=0):
                ref.set(2)
    finally:
        block.finish()
    assert ref.deref() == 1


def test_the_outermost_call_names_the_transaction():
    ref = Ref(0, name="balance")

    @dosync(read_only=True)
    def outer_job():
        dosync(name="inner job")(lambda: ref.set(1))()

    with pytest.raises(ReadOnlyError, match="outer_job"):
        outer_job()


# What a transaction shows of itself


def test_repr():
    assert repr(dosync()) == "dosync()"
    text = repr(dosync(isolation="snapshot", read_only=True, timeout=2, max_attempts=3))
    for part in (
        "isolation='snapshot'",
        "read_only=True",
        "timeout=2",
        "max_attempts=3",
    ):
        assert part in text


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_repr_of_a_cell_in_a_transaction_shows_what_is_committed(form, kind):
    cell = CELLS[kind](0, name="balance")
    shown = transact(form, lambda: (put(cell, 1), repr(cell))[1])
    assert "0" in shown
    assert "1" in repr(cell)
    assert "balance" in repr(cell)


@pytest.mark.parametrize("how", ["validator", "commute", "max_attempts"])
def test_a_loop_ends_with_an_error_that_is_caught_inside(how):
    ref, rounds = Ref(0), []
    if how == "validator":
        ref.set_validator(lambda value: value >= 0)
    options = {"max_attempts": 1} if how == "max_attempts" else {}
    for tx in dosync(**options):
        rounds.append(1)
        assert len(rounds) < 5, "it goes on for ever"
        try:
            with tx:
                if how == "validator":
                    ref.set(-1)
                elif how == "commute":
                    ref.commute(lambda value: 1 // value)
                else:
                    ref.deref()
                    elsewhere(commit, ref, len(rounds))
                    ref.set(-1)
        except (ValidationError, ZeroDivisionError, TransactionAborted):
            pass
    assert len(rounds) == (2 if how == "max_attempts" else 1)


def test_a_part_that_outlives_its_transaction_says_so():
    ref = Ref(0)

    def block(value):
        with dosync():
            ref.set(value)
            yield

    outer, inner = block(1), block(2)
    next(outer)
    next(inner)
    assert next(outer, "ended") == "ended"
    with pytest.raises(TransactionStateError, match="of which it was a part"):
        next(inner)
    assert ref.deref() == 2


def test_an_equality_of_its_own_is_refused():
    with pytest.raises(TypeError, match="identity"):

        class Equal(Ref):
            def __eq__(self, other):
                return True


@pytest.mark.parametrize("kind", CELLS)
def test_a_validator_that_is_taken_away_while_it_is_asked_for(kind):
    """What is written is accepted, by the one or by none."""

    def scenario():
        cell = CELLS[kind](0, validator=lambda n: n >= 0)

        def take_away():
            cell.set_validator(None)

        def check(*_):
            assert cell.deref() == 1

        return lambda: commit(cell, 1), take_away, check

    assert preempted_at_each_opcode(scenario, within(ARef._admit)) > 10
