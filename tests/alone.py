"""Tests that do not run on several threads at once, and why.

`make parallel` runs each test on several threads at the same time. A fixture is made
once for all of them. What is named here, a file or one of its tests, runs on one
thread there, and so does what uses a fixture named here.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import interrupts
import pytest

HISTORY = "counts old versions, and any transaction of the process keeps some"
CLOCK = "looks at the steps of the one clock, which every commit moves"
THREADS = "looks at the records and seats of all threads"
LOGGED = "reads what was logged, by whatever thread"
SIGNALS = "sets a handler of signals, or waits for the end of a process"
TRACED = "traces a thread, which 3.13 ends where others run the same code untraced"
CELLS = "has its cells from a fixture, so all threads would have the same ones"
MACHINE = "measures time or memory, or starts processes"
CONTENT = "reads files, and runs nothing of the engine"
DOCTEST = "doctest replaces what is one for the interpreter, such as linecache"
WRAPPED = "replaces functions of the engine for all threads"
INTERPRETER = "sets what is one for the interpreter, such as what traces all threads"

FIXTURES = {
    "caplog": LOGGED,
    "crowd": THREADS,
    "folder": MACHINE,
    "heard": "hears of what all threads do",
    "often": "sets how often threads switch",
    "pair": CELLS,
}

PLACES = {
    "faults/": MACHINE,
    "guarantees/test_01_atomic.py::test_an_exception": HISTORY,
    "guarantees/test_05_history.py": HISTORY,
    "guarantees/test_07_user_code.py::test_del_": HISTORY,
    "histories/test_interleavings.py": HISTORY,
    "multiprocessing/": MACHINE,
    "test_agent_exit.py": MACHINE,
    "test_agent.py::test_ctrl_c_ends_a_wait": SIGNALS,
    "test_atomic_compat.py::test_examples": DOCTEST,
    "test_atomic_compat.py::test_memory_is_at_most_256_bytes": MACHINE,
    "test_atomic_threads.py::test_a_thread_that_died_in_its_step": CLOCK,
    "test_atomic_threads.py::test_adding_drops_what_no_snapshot": HISTORY,
    "test_benchmarks.py": MACHINE,
    "test_callsite.py::test_under_": INTERPRETER,
    "test_clock.py": CLOCK,
    "test_compare": MACHINE,
    "test_debug": WRAPPED,
    "test_demo.py": MACHINE,
    "test_docs.py": DOCTEST,
    "test_docstrings.py": MACHINE,
    "test_examples.py": MACHINE,
    "test_handlers.py": THREADS,
    "test_history.py": HISTORY,
    "test_layering.py": CONTENT,
    "test_models.py": HISTORY,
    "test_registry.py": THREADS,
    "test_seams.py": WRAPPED,
    "test_seats.py": THREADS,
    "test_spare.py": THREADS,
    "test_statistics.py": WRAPPED,
    "test_suppressions.py": CONTENT,
    "test_top.py": WRAPPED,
    "test_trace.py": WRAPPED,
    "test_turn.py": CLOCK,
    "test_waiting.py::test_a_change_by_the_shortest_way": CLOCK,
    "test_waiting.py::test_ctrl_c_wakes": SIGNALS,
    "test_waiting.py::test_the_main_thread_looks_for": SIGNALS,
    "test_waiting.py::test_who_sleeps_keeps_no_old": HISTORY,
    "test_whose_seat.py": THREADS,
    "testing/": WRAPPED,
    "guarantees/test_08_failure.py::test_a_signal_handler": SIGNALS,
}


def reason_for(item: pytest.Item) -> str | None:
    """Return why a test must run on one thread; None if it need not."""
    place = item.nodeid.removeprefix("tests/")
    for prefix, reason in PLACES.items():
        if place.startswith(prefix):
            return reason
    for fixture in getattr(item, "fixturenames", ()):
        if fixture in FIXTURES:
            return FIXTURES[fixture]
    function = getattr(item, "function", None)
    return TRACED if isinstance(function, FunctionType) and traces(function) else None


def traces(
    function: FunctionType, known: set[Callable[..., Any]] | None = None
) -> bool:
    """Whether `function` uses a tracer, or a function beside it that does."""
    known = known or set()
    known.add(function)
    for name in names(function.__code__):
        used = function.__globals__.get(name)
        if getattr(used, "__module__", None) == interrupts.__name__:
            return True
        beside = isinstance(used, FunctionType) and used not in known
        if beside and used.__module__ == function.__module__ and traces(used, known):
            return True
    return False


def names(code: CodeType) -> set[str]:
    """Return the names of what `code` uses, and what is defined in it."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return set(code.co_names).union(*map(names, inner))


def mark(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark them, if they would run on several threads."""
    if getattr(config.option, "parallel_threads", None) is None:
        return
    for item in items:
        reason = reason_for(item)
        if reason is not None:
            item.add_marker(pytest.mark.thread_unsafe(reason=reason))
