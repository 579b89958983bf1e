"""What a type checker infers for the cells that processes share.

See `test_types_of_cells` for how these lines are checked.
"""

from __future__ import annotations

import ctypes
import operator
import pickle
from pathlib import Path
from typing import Any, assert_type

import pytest

from atomos import multiprocessing
from atomos.errors import EncodingError
from atomos.multiprocessing import (
    Atom,
    AtomicBoolean,
    AtomicCtypesReference,
    AtomicFloat,
    AtomicInteger,
    AtomicLong,
    AtomicNumber,
    AtomicReference,
    Ref,
    Space,
    commit_id,
    dosync,
)


def test_shared_Ref() -> None:
    ref = Ref(1, name="a", validator=lambda n: n > 0)
    assert_type(ref, Ref[int])
    assert_type(ref.deref(), int)

    @dosync
    def body() -> str:
        assert_type(ref.alter(operator.add, 1), int)
        assert_type(ref.set(5), int)
        ref.set("x")  # type: ignore[arg-type] # it holds int
        ref.set(5)
        return commit_id()

    assert_type(body(), str)
    ref.add_watch("w", lambda key, ref, old, new: assert_type(old, int) + new)
    ref.remove_watch("w")
    with pytest.raises(TypeError):
        Ref(1, max_history=3)  # type: ignore[call-arg] # the engine keeps history


def test_shared_Atom() -> None:
    atom = Atom({"a": 1})
    assert_type(atom, Atom[dict[str, int]])
    assert_type(atom.swap(lambda d: {**d, "b": 2}), dict[str, int])
    assert_type(Atom(state=1), Atom[int])


def test_shared_atomics() -> None:
    assert_type(AtomicReference("a").get(), str)
    assert_type(AtomicBoolean().get_and_set(True), bool)
    assert_type(AtomicInteger(1).add_and_get(2), int)
    assert_type(AtomicLong(1).increment_and_get(), int)
    assert_type(AtomicFloat(1.0).get(), float)
    assert_type(AtomicInteger().update_and_get(lambda n: n + 1), int)
    assert_type(AtomicNumber(value=1).get(), int)
    assert_type(AtomicCtypesReference(ctypes.c_int, 1).get(), Any)
    with pytest.raises(TypeError):
        AtomicInteger().set("x")  # type: ignore[arg-type] # it holds int
    with pytest.raises(EncodingError):
        AtomicReference(lambda: 1)
    assert pickle.dumps(AtomicInteger())


def test_Space(tmp_path: Path) -> None:
    with multiprocessing.open(tmp_path / "space", engine="sqlite") as space:
        assert_type(space, Space)
        assert_type(space.ref("ref", default=1), Ref[int])
        again: Ref[int] = space.ref("ref")
        assert again.deref() == 1
        assert_type(space.atom("atom", default="a").deref(), str)
        assert_type(space.integer("integer").get(), int)
        assert_type(space.float("float").get(), float)
        assert_type(space.boolean("boolean").get(), bool)
        assert_type(space.reference("reference", default="a").get(), str)
        assert_type(space.committed("00" * 16), bool)
        assert_type(space.path, str)
        assert_type(space.settings.engine, str)
