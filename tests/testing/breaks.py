"""Broken copies of parts of the engine, each with a program that shows the break.

A break is put in place for the time of a test. The program is right on the engine
as it is: that is its correct twin.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import NamedTuple

from atomos import Atom, Ref, check, dosync, or_else
from atomos._serial import Serial
from atomos.agent import Agent
from atomos.stm import (
    _clock,
    _commit,
    _hold,
    _part,
    _publish,
    _runner,
    _snapshots,
    _wait,
)
from atomos.stm._cell import latest
from atomos.stm._publish import publish
from atomos.stm._seams import Seams
from atomos.stm._status import abort
from atomos.stm._transaction import Transaction


def add_one(n):
    return n + 1


@contextmanager
def instead(owner, name, other):
    """Put another function in the place of one, wherever it was imported."""
    seams = Seams()
    if isinstance(owner, type):
        seams.method(owner, name, lambda original: other(original))
    else:
        seams.function(owner, name, lambda original: other(original))
    try:
        yield
    finally:
        seams.close()


# The programs


def two_are_read_in_one():
    """A transfer, and a snapshot of both."""
    checking, savings = Ref(100, name="checking"), Ref(0, name="savings")

    @dosync
    def transfer():
        checking.alter(lambda n: n - 30)
        savings.alter(lambda n: n + 30)

    @dosync
    def total():
        return checking.deref() + savings.deref()

    def right(run):
        assert run.results[1] == 100

    return (transfer, total), right


def each_reads_what_the_other_writes():
    """Write skew."""
    alice, bob = Ref(True, name="alice"), Ref(True, name="bob")

    def leaves(me, other):
        @dosync
        def leave():
            if other.deref():
                me.set(False)

        return leave

    def right(run):
        assert alice.deref() or bob.deref()

    return (leaves(alice, bob), leaves(bob, alice)), right


def three_are_incremented():
    refs = [Ref(0, name=name) for name in "abc"]

    @dosync
    def add():
        for ref in refs:
            ref.alter(add_one)

    def right(run):
        assert [ref.deref() for ref in refs] == [2, 2, 2]

    return (add, add), right


def one_atom_is_swapped():
    tally = Atom(0, name="tally")

    def add():
        tally.swap(add_one)

    def right(run):
        assert tally.deref() == 2

    return (add, add), right


def one_waits_for_another():
    flag = Ref(False, name="flag")

    @dosync
    def wait():
        check(flag.deref())

    @dosync
    def change():
        flag.set(True)

    return (wait, change), lambda run: None


def one_waits_for_either():
    """The change that wakes it is of what the abandoned alternative has read."""
    a, b = Ref(0, name="a"), Ref(0, name="b")

    def positive(ref):
        check(ref.deref())
        return ref.deref()

    @dosync
    def wait():
        return or_else(lambda: positive(a), lambda: positive(b))

    @dosync
    def change():
        a.set(1)

    return (wait, change), lambda run: None


def an_abandoned_alternative_has_written():
    a, flag = Ref(0, name="a"), Ref(0, name="flag")

    def first():
        a.set(1)
        check(flag.deref())

    @dosync
    def choose():
        or_else(first, lambda: None)
        return a.deref(), flag.deref()

    @dosync
    def change():
        flag.set(1)

    def right(run):
        assert run.results[0] in ((0, 0), (1, 1))

    return (choose, change), right


def a_long_reader():
    """It reads at one point in time, and so in one attempt."""
    a, b = Ref(0, name="a"), Ref(0, name="b")

    def read():
        attempts = []

        @dosync(read_only=True)
        def body():
            attempts.append(None)
            return a.deref(), b.deref()

        body()
        return len(attempts)

    @dosync
    def write():
        a.alter(add_one)
        b.alter(add_one)

    def right(run):
        assert run.results[0] == 1, "it ran again"

    return (read, write), right


def a_block_and_a_function():
    tally = Ref(0, name="tally")

    def block():
        with dosync():
            tally.alter(add_one)

    def right(run):
        assert tally.deref() == 2

    return (block, dosync(lambda: tally.alter(add_one))), right


def a_block_that_raises():
    tally = Ref(0, name="tally")

    def block():
        try:
            with dosync():
                tally.alter(add_one)
                raise LookupError
        except LookupError:
            pass

    def right(run):
        assert tally.deref() == 1

    return (block, dosync(lambda: tally.alter(add_one))), right


def an_agent():
    agent = Agent(0, name="agent")

    def send():
        agent.send(add_one)

    def right(run):
        assert agent.deref() == 2

    return (send, send), right


# The breaks


def read_outside_the_snapshot():
    return instead(Transaction, "_look", lambda _: lambda tx, cell: latest(cell))


def no_validation():
    return instead(_commit, "_to_validate", lambda _: lambda tx, written: [])


def validated_and_then_committed():
    """The clock may have moved between validation and commit point."""

    def broken(commit_point):
        return lambda thread, record, expected=0: commit_point(thread, record)

    return instead(_clock, "commit_point", broken)


def published_in_two_steps():
    def broken(publish_two):
        def in_two_steps(tx):
            one, other = tx.writes
            bases = [tx.view[cell].older or cell._newest for cell in (one, other)]
            if not publish(one, bases[0], tx.view[one].value):
                return False
            publish(other, bases[1], tx.view[other].value)
            return True

        return in_two_steps

    return instead(_publish, "publish_two", broken)


def accepted_unseen():
    """What was written meanwhile is written over."""
    return instead(_commit, "_accept", lambda _: lambda tx, entry, base: True)


def swapped_by_read_then_set():
    def broken(swap):
        return lambda atom, fn, *args: atom.reset(fn(atom.deref(), *args))

    return instead(Atom, "swap", broken)


def looked_before_it_entered():
    """A lost wake-up: a change comes between the look and the entry."""

    def broken(sleep):
        def look_and_sleep(run, awaited):
            if all(latest(cell) is version for cell, version in awaited):
                sleeper = _wait.Sleeper()
                for cell, _ in awaited:
                    _wait._enter(cell, sleeper)
                _wait._sleep(run, sleeper, awaited)

        return look_and_sleep

    return instead(_wait, "sleep", broken)


@contextmanager
def nobody_is_woken():
    with (
        instead(_wait, "wake", lambda _: lambda cell: None),
        instead(_wait, "wake_all", lambda _: lambda cells: None),
    ):
        yield


def what_was_abandoned_is_not_waited_for():
    """An abandoned alternative takes with it what it has read."""

    def broken(undo_part):
        def forget(tx, part):
            undo_part(tx, part)
            tx.view.clear()

        return forget

    return instead(_part, "undo_part", broken)


def what_was_abandoned_stays():
    def broken(undo_part):
        def keep(tx, part):
            part.journal.part = part.outer
            part.open = False
            tx.doomed = None

        return keep

    return instead(_part, "undo_part", broken)


def snapshots_are_not_seen():
    """Old versions are trimmed that an open snapshot needs."""
    return instead(_snapshots, "open_points", lambda _: lambda thread: ())


def held_by_nobody():
    return instead(_hold, "hold", lambda _: lambda cell, status, patience: latest(cell))


@contextmanager
def never_let_go():
    """A block that has raised goes on holding what it has touched."""
    held = []
    with instead(_runner, "finish", lambda _: lambda tx: held.append(tx.status)):
        yield
    for status in held:
        abort(status)


def two_workers():
    """Nobody looks whether an action is being run already."""

    def broken(slice_):
        def run(agent, kick, kind):
            for action in list(agent._actions):
                agent._run(action)

        return run

    return instead(Serial, "_slice", broken)


class Break(NamedTuple):
    """A break, and a program that it breaks."""

    breaks: object
    program: object

    def __str__(self):
        return self.breaks.__name__


BREAKS = [
    Break(read_outside_the_snapshot, two_are_read_in_one),
    Break(no_validation, each_reads_what_the_other_writes),
    Break(validated_and_then_committed, each_reads_what_the_other_writes),
    Break(published_in_two_steps, two_are_read_in_one),
    Break(accepted_unseen, three_are_incremented),
    Break(swapped_by_read_then_set, one_atom_is_swapped),
    Break(looked_before_it_entered, one_waits_for_another),
    Break(nobody_is_woken, one_waits_for_another),
    Break(what_was_abandoned_is_not_waited_for, one_waits_for_either),
    Break(snapshots_are_not_seen, a_long_reader),
    Break(what_was_abandoned_stays, an_abandoned_alternative_has_written),
    Break(held_by_nobody, a_block_and_a_function),
    Break(never_let_go, a_block_that_raises),
    Break(two_workers, an_agent),
]
