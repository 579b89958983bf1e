"""Interpreters beside the main one in the same process, as `concurrent.interpreters`.

Each imports the library anew and so has cells, a clock and threads of its own. Two
kinds are made: one that shares the GIL of the main interpreter, and an isolated one,
which from 3.12 on has its own. What they do runs at the same time as transactions of
the main interpreter, one of which has called the other interpreter from within.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from time import sleep
from typing import Any

from helpers import start

from atomos import Ref, atomically, dosync
from atomos.stm import _commit
from faults.aftermath import nothing_left
from faults.campaign import Campaign, Figure, Load, none, not_here, seen

KINDS = ("legacy", "isolated")
#: Transactions in each interpreter.
WORK = 200
#: Seconds between two transactions of the main one.
PAUSE = 0.0001
#: What runs there. It tells what it has found as JSON, through a pipe.
CODE = """
import json, os, sys, threading
sys.path[:] = {path!r}
from atomos import Atom, Ref, atomically, dosync, retry
from atomos.agent import Agent, shutdown_agents

ref, atom, agent = Ref(0), Atom(0), Agent(0)

def add():
    ref.alter(lambda n: n + 1)
    atom.swap(lambda n: n + 1)

def work():
    for n in range({work}):
        atomically(add)
        with dosync():
            add()
        for tx in dosync():
            with tx:
                add()

def wait_for_it():
    if atom.deref() < 3 * {work}:
        retry()
    return True

found = dict(threads=0, refused="")
try:
    waiter = threading.Thread(target=atomically, args=(wait_for_it,))
    waiter.start()
except RuntimeError as error:
    found["refused"] = str(error)  # threads: those of Python, and so agents, too
    work()
else:
    other = threading.Thread(target=work)
    other.start()
    work()
    other.join()
    waiter.join()
    found["threads"] = 2
    for n in range(10):
        agent.send(lambda n: n + 1)
    agent.wait(60)
    found["agent"] = agent.deref()
    shutdown_agents()  # 3.11 ends no interpreter that has threads
sums = [atomically(cell.deref) for cell in (ref, atom)]
expected = 3 * {work} * max(1, found["threads"])
found["wrong"] = sum(n != expected for n in sums) + (found.get("agent", 10) != 10)
ref.trim_history()
found["history"] = ref.history_count
os.write({pipe}, (json.dumps(found) + "\\n").encode())
"""


class Interpreters:
    """The functions of this interpreter's module for that, whatever it is called."""

    def __init__(self) -> None:
        new = sys.version_info >= (3, 13)
        self._module: Any = import_module(
            "_interpreters" if new else "_xxsubinterpreters"
        )
        self._new = new

    def create(self, kind: str) -> Any:
        if self._new:
            return self._module.create(kind)
        return self._module.create(isolated=kind == "isolated")

    def run(self, number: Any, code: str) -> None:
        """Run `code` in that interpreter.

        Raises:
            RuntimeError: What it has raised, in words.
        """
        if not self._new:
            self._module.run_string(number, code)
            return
        failure = self._module.exec(number, code)
        if failure is not None:
            raise RuntimeError(failure.formatted)

    def destroy(self, number: Any) -> None:
        self._module.destroy(number)


def _one(interpreters: Interpreters, kind: str) -> dict[str, Any]:
    """Make an interpreter, use the library there, and end it."""
    reading, writing = os.pipe()
    number = interpreters.create(kind)
    try:
        code = CODE.format(path=sys.path, work=WORK, pipe=writing)
        interpreters.run(number, code)
    finally:
        interpreters.destroy(number)
        os.close(writing)
    with os.fdopen(reading) as lines:
        found: dict[str, Any] = json.loads(lines.readline())
    return found


class _Main:
    """What the main interpreter does meanwhile.

    Attributes:
        refs: Transfers between them change nothing of their sum.
        wrong: Sums that were not 0.
    """

    def __init__(self) -> None:
        self.refs = [Ref(0), Ref(0)]
        self.wrong = 0
        self._over = threading.Event()

    def work(self) -> None:
        first, second = self.refs

        def move() -> int:
            first.alter(lambda n: n - 1)
            second.alter(lambda n: n + 1)
            return first.deref() + second.deref()

        while not self._over.is_set():
            self.wrong += atomically(move) != 0
            # Before 3.13 CPython asks only threads of the same interpreter for the GIL
            # that several share: one that never lets go would stop the others.
            sleep(PAUSE)

    def around(self, fn: Callable[[], Any]) -> Any:
        """Call `fn` in the middle of a transaction, and at the same time as `work`."""
        other, outer = start(self.work), Ref("before")
        try:
            with dosync():
                outer.set("inside")
                found = fn()
                self.wrong += outer.deref() != "inside"
        finally:
            self._over.set()
        other.join()
        self.wrong += outer.deref() != "inside"
        return found


def run(load: Load) -> list[Figure]:
    """Make `load.amount` interpreters of each kind."""
    try:
        interpreters = Interpreters()
    except ImportError as error:
        return not_here(str(error))
    done = wrong = 0
    versions = 0
    refused: dict[str, str] = {}
    main = _Main()
    while load.more(done):
        for kind in KINDS:
            main = _Main()
            found = main.around(lambda kind=kind: _one(interpreters, kind))
            wrong += found["wrong"] + main.wrong
            versions += found["history"]
            refused[kind] = found["refused"] or "nothing"
        done += 1
        load.say(f"{done:,} interpreters of each kind")
    figures = [
        seen(f"what an interpreter refuses, {kind}", words)
        for kind, words in refused.items()
    ]
    return [
        seen("interpreters of each kind", done),
        none("wrong sums, there and in the main one", wrong),
        none("old versions left there", versions),
        *figures,
        *nothing_left(main.refs),
    ]


def half_committed() -> None:
    """Of two refs that the main interpreter has changed, one is committed."""
    _commit.publish_two = _commit.publish_one


CAMPAIGN = Campaign(
    "subinterpreters",
    "import and use in interpreters beside the main one, each of two kinds",
    run,
    1,
    50,
    (half_committed,),
)
