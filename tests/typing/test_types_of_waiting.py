"""Types of waiting, alternatives, and what belongs to a transaction."""

from __future__ import annotations

from typing import Never, assert_type

import pytest

from atomos import (
    Ref,
    TransactionLocal,
    atomically,
    check,
    dosync,
    no_transaction,
    or_else,
    retry,
)
from atomos.errors import NoTransactionError, RetryError


def test_or_else() -> None:
    ref = Ref(1)
    assert_type(or_else(ref.deref, lambda: 2), int)
    assert_type(or_else(lambda: "a", lambda: "b", lambda: "c"), str)
    with pytest.raises(TypeError):
        or_else(ref.deref)  # type: ignore[call-arg] # one is no choice


def test_retry() -> None:
    @dosync
    def take(ref: Ref[int]) -> int:
        check(ref.deref())
        if ref.deref() > 9:
            assert_type(retry(), Never)
        return ref.deref()

    assert_type(take(Ref(1)), int)
    with pytest.raises(RetryError):
        atomically(retry)


def test_no_transaction() -> None:
    @no_transaction
    def send(text: str) -> int:
        return len(text)

    assert_type(send("a"), int)
    with no_transaction():
        assert_type(no_transaction()(send)("a"), int)


def test_TransactionLocal() -> None:
    local = TransactionLocal(list[int])
    assert_type(local, TransactionLocal[list[int]])
    assert_type(atomically(local.get), list[int])
    assert_type(atomically(local.set, [1]), list[int])
    with pytest.raises(NoTransactionError):
        local.set({})  # type: ignore[arg-type] # it is a list
