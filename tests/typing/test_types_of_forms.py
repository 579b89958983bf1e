"""What a type checker infers for the four forms of a transaction.

See `test_types_of_cells` for how these lines are checked.
"""
# mypy: warn-unreachable

from __future__ import annotations

from typing import Protocol, assert_type

import pytest

from atomos import Ref, atomically, current_transaction, dosync, outside
from atomos.errors import AtomosError, TransactionAborted, TransactionTimeout
from atomos.stm._handle import Handle

total = Ref(0)


class Repeats(Protocol):
    """The signature of the functions below, with the names of its parameters."""

    def __call__(self, text: str, /, times: int = ..., *, end: str = ...) -> list[str]:
        """Repeat it."""
        ...


@dosync
def bare(text: str, times: int = 1, *, end: str = "") -> list[str]:
    total.alter(lambda n: n + times)
    return [text + end] * times


@dosync(timeout=2.0, max_attempts=10, isolation="snapshot", name="with options")
def with_options(text: str, times: int = 1, *, end: str = "") -> list[str]:
    total.alter(lambda n: n + times)
    return [text + end] * times


class Account:
    """Methods of each kind, decorated."""

    def __init__(self, balance: int) -> None:
        self.balance = Ref(balance)

    @dosync
    def deposit(self, amount: int) -> int:
        return self.balance.alter(lambda n: n + amount)

    @dosync(read_only=True)
    def report(self, *, unit: str) -> str:
        return f"{self.balance.deref()} {unit}"

    @classmethod
    @dosync
    def opened(cls, balance: int) -> Account:
        return cls(balance)

    @staticmethod
    @dosync
    def empty() -> Account:
        return Account(0)

    @property
    @dosync
    def worth(self) -> float:
        return float(self.balance.deref())


def test_decorated_functions_keep_their_signature() -> None:
    same: list[Repeats] = [bare, with_options]
    assert [fn("a", times=2, end="!") for fn in same] == [["a!", "a!"]] * 2
    assert_type(bare("a"), list[str])
    assert_type(with_options("a", end="."), list[str])
    assert_type(dosync(lambda: 3)(), int)
    with pytest.raises(TypeError):
        bare()  # type: ignore[call-arg] # text is missing
    with pytest.raises(TypeError):
        bare("a", "b")  # type: ignore[arg-type] # times is an int
    with pytest.raises(TypeError):
        with_options("a", ende=".")  # type: ignore[call-arg] # is spelt end


def test_decorated_methods_keep_their_signature() -> None:
    account = Account(1)
    assert_type(account.deposit(2), int)
    assert_type(account.report(unit="EUR"), str)
    assert_type(Account.deposit(account, 2), int)
    assert_type(Account.opened(5), Account)
    assert_type(Account.empty(), Account)
    assert_type(account.worth, float)
    with pytest.raises(TypeError):
        account.deposit("2")  # type: ignore[arg-type] # amount is an int
    with pytest.raises(TypeError):
        account.report("EUR")  # type: ignore[call-arg] # unit is keyword-only


def test_outside() -> None:
    ref = Ref(1)
    assert_type(outside(ref.deref), int)
    assert_type(outside(pow, 2, 3), int)
    assert_type(outside(lambda: "x"), str)
    with pytest.raises(TypeError):
        outside(ref.deref, 1)  # type: ignore[call-arg] # it takes none


def test_atomically() -> None:
    assert_type(atomically(bare, "a", 1), list[str])
    assert_type(atomically(bare, "a", times=2, end="!"), list[str])
    assert_type(atomically(Account, 3), Account)
    assert_type(atomically(lambda: (len("a"), [""])), tuple[int, list[str]])
    with pytest.raises(TypeError):
        atomically(bare, "a", "b")  # type: ignore[arg-type] # times is an int
    with pytest.raises(TypeError):
        atomically(bare, "a", ende="!")  # type: ignore[call-arg] # is spelt end
    with pytest.raises(TypeError):
        atomically(bare)  # type: ignore[call-arg] # text is missing


def test_options() -> None:
    with pytest.raises(ValueError):
        dosync(timeout="2")  # type: ignore[call-overload] # a number of seconds
    with pytest.raises(TypeError):
        dosync(bare, timeout=2)  # type: ignore[call-overload] # not both
    with pytest.raises(ValueError):
        dosync(isolation="serialisable")  # type: ignore[call-overload] # s for z


# A loop may have no turn, as far as a checker knows, and a block may swallow what was
# raised in it. pyright reports that names made there may be unbound; mypy does not.
# pyright: reportPossiblyUnboundVariable=false


def test_a_loop_goes_on_after_its_block() -> None:
    value = 0
    for tx in dosync(timeout=2):
        with tx:
            value = total.deref() + 1
            assert_type(tx.attempt, int)
        assert_type(value, int)
    assert_type(value, int)


def loop_that_returns_after_it() -> int:
    for tx in dosync():
        with tx as same:
            assert_type(same.attempt, int)
            if not total.deref():
                continue
            total.set(1)
    return total.deref()


def loop_that_raises(wrong: bool) -> int:
    for tx in dosync():
        with tx:
            if wrong:
                raise KeyError
            value = total.set(2)
    return value


def loop_that_always_raises() -> None:
    for tx in dosync():
        with tx:
            raise KeyError
        total.deref()  # is reached: a lost attempt goes on here, to the next one


def loop_that_returns_inside() -> int:  # type: ignore[return] # so is an error there
    for tx in dosync():
        with tx:
            return total.deref()


def block_that_returns() -> int:
    with dosync() as tx:
        assert_type(tx.attempt, int)
        return total.deref()


def block_that_returns_on_both_ways(early: bool) -> int:
    with dosync(read_only=True, name="both"):
        if early:
            return 0
        return total.deref()


def block_that_raises() -> int:
    with dosync():
        raise KeyError


def block_and_what_follows() -> int:
    with dosync():
        before = total.deref()
        total.set(before + 1)
    return before


def test_returns_and_ends() -> None:
    assert_type(loop_that_returns_after_it(), int)
    assert_type(loop_that_raises(False), int)
    assert_type(block_that_returns(), int)
    assert_type(block_that_returns_on_both_ways(True), int)
    assert_type(block_and_what_follows(), int)
    with pytest.raises(KeyError):
        loop_that_raises(True)
    with pytest.raises(KeyError):
        loop_that_always_raises()
    with pytest.raises(KeyError):
        block_that_raises()
    with pytest.raises(AtomosError):
        loop_that_returns_inside()


def test_errors() -> None:
    def caught(error: TransactionTimeout) -> tuple[int, str | None]:
        aborted: TransactionAborted = error
        general: AtomosError = aborted
        assert_type(aborted.attempts, int)
        assert_type(aborted.lost_to, str | None)
        return error.attempts, str(general)

    late = TransactionTimeout("late", 3, None)
    assert caught(late) == (3, "late")
    timeout: TimeoutError = late
    assert timeout.args == ("late",)


def test_hooks() -> None:
    def hook() -> int:
        return 1

    handle = current_transaction()
    assert_type(handle, Handle | None)
    with dosync() as tx:
        inner = current_transaction()
        assert inner is not None
        assert_type(inner.attempt, int)
        tx.before_commit(hook)
        inner.after_commit(lambda: None)
        tx.after_rollback(hook)
        with pytest.raises(TypeError):
            tx.after_commit("hook")  # type: ignore[arg-type] # no function
