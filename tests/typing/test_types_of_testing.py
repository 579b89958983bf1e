"""Types of the checkers of `atomos.testing`."""

from __future__ import annotations

from typing import Any, assert_type

from atomos import AtomicInteger, Ref
from atomos.testing import (
    History,
    Model,
    check_linearizable,
    check_serializable,
    check_snapshot_isolation,
)


def counter(state: int, name: str, args: tuple[Any, ...]) -> tuple[int, int]:
    return (state + args[0], state + args[0]) if name == "add" else (state, state)


def test_operations() -> None:
    history, cell = History(), AtomicInteger(0)
    assert_type(history.call("add", cell.add_and_get, 2), int)
    with history.operation("get") as get:
        get.result = cell.get()
    found = check_linearizable(history, Model(0, counter))
    assert_type(Model(0, counter), Model[int])
    assert_type(found.order[0].name, str)
    assert found


def test_transactions() -> None:
    history = History()
    log: Ref[tuple[int, ...]] = Ref(())
    with history.transaction() as t:
        t.begin()
        assert_type(t.read("log", log.deref()), tuple[int, ...])
        number = 1
        assert_type(t.append("log", number), int)
    assert_type(history.transactions[0].committed, bool | None)
    assert_type(
        [each.name for each in check_serializable(history).anomalies], list[str]
    )
    assert check_snapshot_isolation(history, real_time=False)
