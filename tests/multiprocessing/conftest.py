"""Folders for spaces, and the engines that can be used here."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import sys
import tempfile

import pytest

from atomos import multiprocessing
from atomos.multiprocessing._engines import open_engine
from atomos.multiprocessing._store import stores

FREE = not getattr(sys, "_is_gil_enabled", lambda: True)()
NO_LMDB = (
    "py-lmdb brings the GIL back"
    if FREE
    else ""
    if importlib.util.find_spec("lmdb")
    else "py-lmdb is not installed"
)
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

ENGINES = [
    "sqlite",
    pytest.param("lmdb", marks=pytest.mark.skipif(bool(NO_LMDB), reason=NO_LMDB)),
]


@pytest.fixture
def place():
    """Return a new folder, in memory where there is such a place."""
    path = tempfile.mkdtemp(prefix="atomos-test-", dir=MEMORY)
    yield path
    assert path not in stores.open, "the test has left its space open"
    shutil.rmtree(path)


@pytest.fixture(params=ENGINES)
def kind(request):
    return request.param


@pytest.fixture
def opened(kind, place):
    """Return a function that opens the space in `place`; all are closed afterwards."""
    engines = []

    def open_it(*, durable=False, size=64 << 20, folder=place):
        engine = open_engine(kind, folder, durable=durable, size=size)
        engines.append(engine)
        return engine

    yield open_it
    for engine in engines:
        if engine.opened:
            engine.close()


@pytest.fixture
def engine(opened):
    return opened()


@pytest.fixture
def dropped():
    """Let connections go that an exception has kept from being stored.

    They are closed as they go, and Python 3.13 warns of that. Tests that use it ignore
    the warning.
    """
    yield
    gc.collect()


@pytest.fixture
def space(kind, place):
    """Return a named space, one for each engine."""
    with multiprocessing.open(os.path.join(place, "space"), engine=kind) as space:
        yield space
