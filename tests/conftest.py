"""What the tests share. The helpers are in `helpers.py`, to be imported."""

from __future__ import annotations

import sys
import threading

import alone
import pytest
from helpers import PATIENCE
from interrupts import Interrupted


def pytest_collection_modifyitems(config, items):
    alone.mark(config, items)


@pytest.fixture
def often():
    """Switch threads after every few bytecodes while a test runs."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def quiet_hook(monkeypatch):
    """Let a weakref callback or a finalizer be interrupted without a word."""
    before = sys.unraisablehook

    def hook(unraisable):
        if not isinstance(unraisable.exc_value, Interrupted):
            before(unraisable)

    monkeypatch.setattr(sys, "unraisablehook", hook)


@pytest.fixture(autouse=True)
def _no_thread_left_behind():
    """Fail a test that leaves a thread of its own running."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith(
            ("asyncio", "ThreadPoolExecutor", "atomos-", "atomos listens")
        ):
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"{thread.name} is still running"
