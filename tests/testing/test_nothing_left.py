"""What is not in use costs nothing: all that was replaced is put back."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading

import pytest
from planted import interrupted_by

import atomos
from atomos import Atom, AtomicInteger, Ref, atomically
from atomos._pools import Pools
from atomos.agent import Agent
from atomos.stm import _seams
from atomos.stm._cell import Cell
from atomos.stm._operations import _kinds
from atomos.stm._registry import registry
from atomos.stm._transaction import Transaction
from atomos.stm._turn import FREE, clock
from atomos.testing import (
    DeadlockError,
    NoProgressError,
    Schedule,
    explore,
    run_interleaved,
)
from atomos.testing._turns import Steps


def everything():
    """Return all functions and values of the library that could be replaced."""
    owners = [
        module
        for name, module in sys.modules.items()
        if name.split(".")[0] == "atomos" and not name.startswith("atomos.testing")
    ]
    owners += [*_kinds(Cell), Transaction, Pools]
    return {
        (owner.__name__, name): value
        for owner in owners
        for name, value in vars(owner).items()
        if callable(value) or name == "turns"
    }


@pytest.fixture(autouse=True)
def _all_is_back():
    run_interleaved(Schedule(), lambda: None)  # all is imported
    before, steps = everything(), clock.steps
    own = {record: record.steps for record in registry.records}
    yield
    after = everything()
    assert [key for key in before if after[key] is not before[key]] == []
    assert not _seams._places
    assert not any(record.snapshots for record in registry.records)
    assert gc.isenabled()
    if FREE:
        assert clock.steps is steps
    else:
        assert type(clock.steps) is type(iter([]))
    for record, steps in own.items():
        assert record.steps is steps


def work():
    ref, atom, count = Ref(0), Atom(0), AtomicInteger(0)

    def body():
        atomically(lambda: ref.alter(lambda n: n + 1))
        atom.swap(lambda n: n + 1)
        Agent(0).send(lambda n: count.increment_and_get())

    return body


def test_after_a_run():
    run_interleaved(Schedule((4, 0)), work(), work())


def test_much_is_replaced_meanwhile():
    before = everything()
    seen = []
    run_interleaved(Schedule(), lambda: seen.append(everything()))
    changed = [key for key in before if seen[0][key] is not before[key]]
    assert len(changed) > 100
    assert ("atomos.stm._commit", "take") in changed


def test_after_an_error():
    def fails():
        work()()
        raise KeyError

    with pytest.raises(KeyError):
        run_interleaved(Schedule((4, 0)), fails, work())


def test_after_a_deadlock():
    flag = Atom(False)
    with pytest.raises(DeadlockError):
        run_interleaved(Schedule(), lambda: flag.wait_for(bool), work())


def test_after_no_progress():
    with pytest.raises(NoProgressError):
        run_interleaved(Schedule((4, 0)), work(), work(), max_steps=10)


def test_after_exploring():
    def fails(run):
        raise KeyError

    explore(work(), work(), preemptions=0)
    with pytest.raises(KeyError):
        explore(work(), check=fails)


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a thread")
def test_after_ctrl_c():
    ready, ref = threading.Event(), Ref(0)

    def body():
        while True:
            ref.deref()
            ready.set()

    error = interrupted_by(
        signal.SIGINT,
        lambda: run_interleaved(Schedule(), body, body, max_steps=10**9),
        ready,
    )
    assert type(error) is KeyboardInterrupt


def test_no_number_of_the_clock_is_lost_or_given_twice():
    """More commits than numbers are laid ready at a time, in and after runs."""
    tally = Atom(0)

    def add():
        for _ in range(700):
            tally.swap(lambda n: n + 1)

    for _ in range(3):
        run_interleaved(Schedule((9, 0)), add, add)
        add()
    assert tally.deref() == 6300
    assert clock.done == clock.now
    assert clock.skipped == {}


@pytest.mark.skipif(FREE, reason="without the GIL the turn is a lock")
def test_who_comes_late_lays_no_numbers_ready():
    """It has the iterator of a run that is over, and the numbers are at an end."""
    end = clock.end
    assert list(Steps(iter([]))) == []
    assert clock.end == end


def test_the_library_itself_needs_nothing_of_it():
    code = (
        "import sys, atomos, atomos.agent\n"
        "found = {name.split('.')[0] for name in sys.modules}\n"
        "assert not found & {'hypothesis', 'pytest'}, found\n"
        "assert 'atomos.testing' not in sys.modules\n"
    )
    root = atomos.__path__[0] + "/.."
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
