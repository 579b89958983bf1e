"""Types of what shows the engine at work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import pytest

from atomos import Ref, atomically
from atomos.stm import (
    Cause,
    Collected,
    Statistics,
    TransactionStatistics,
    Wait,
    collecting,
    statistics,
    trace,
)


def test_statistics() -> None:
    with collecting() as collected:
        assert_type(collected, Collected)
        atomically(Ref(1).deref)
        assert_type(statistics(), Statistics)
    found = collected.statistics()
    assert_type(found, Statistics)
    assert_type(found.conflicts(), dict[str, int])
    assert_type(found.table(), str)
    for one in found:
        assert_type(one, TransactionStatistics)
        assert_type(one.seconds, float)
        assert_type(one.aborts, Mapping[str, int])
        assert_type(one.aborts.get(Cause.STALE), int | None)
        assert_type(one.waits.get(Wait.HELD), int | None)
    with pytest.raises(AttributeError):
        found.seconds = 1.0  # type: ignore[misc] # it is a record


def test_trace(tmp_path: Path) -> None:
    with trace(tmp_path / "trace.json") as nothing:
        assert_type(nothing, None)
    with pytest.raises(TypeError):
        with trace(1):  # type: ignore[arg-type] # no path
            pass
