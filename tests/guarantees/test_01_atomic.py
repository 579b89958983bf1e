"""Guarantee 1: all that a transaction writes becomes visible at one instant."""

from __future__ import annotations

import contextlib
import ctypes
import random
import threading

import pytest
from helpers import (
    CELLS,
    FORMS,
    PATIENCE,
    Attempts,
    Snapshot,
    change,
    commit,
    elsewhere,
    put,
    run_threads,
    start,
    transact,
)
from interrupts import Interrupted, interrupted_at_each_point

from atomos import Atom, Ref, atomically
from atomos.errors import NoTransactionError


class Bank:
    """Some accounts, refs and atoms, and money that only moves between them."""

    START = 100

    def __init__(self, kinds=("ref", "atom", "ref", "atom", "ref")):
        self.cells = [CELLS[kind](self.START) for kind in kinds]
        self.total = self.START * len(kinds)

    def transfer(self, source, target, amount):
        change(self.cells[source], lambda n: n - amount)
        change(self.cells[target], lambda n: n + amount)

    def random_transfer(self, rng):
        source, target = rng.sample(range(len(self.cells)), 2)
        self.transfer(source, target, rng.randint(1, 9))

    def sum(self):
        return sum(cell.deref() for cell in self.cells)


@pytest.mark.parametrize("audit_form", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_an_auditor_never_sees_a_wrong_total(form, audit_form, often):
    bank, done = Bank(), threading.Event()

    def transfers(seed):
        rng = random.Random(seed)
        for _ in range(60):
            transact(form, lambda: bank.random_transfer(rng))

    def work():
        run_threads(lambda: transfers(1), lambda: transfers(2))
        done.set()

    def audit():
        seen = [transact(audit_form, bank.sum, read_only=True)]
        while not done.is_set():
            seen.append(transact(audit_form, bank.sum, read_only=True))
        return seen

    seen = run_threads(work, audit)[1]
    assert set(seen) == {bank.total}
    assert bank.sum() == bank.total


def test_a_big_commit_is_seen_whole_or_not_at_all(often):
    cells = [CELLS[kind](0) for kind in ("ref", "atom") * 50]
    rounds = 30

    def write():
        for n in range(1, rounds + 1):
            atomically(lambda n=n: [put(cell, n) for cell in cells])

    def read():
        seen = set()
        while rounds not in seen:
            seen |= atomically(lambda: {cell.deref() for cell in cells[::-1]}) | set()
            values = atomically(lambda: {cell.deref() for cell in cells})
            assert len(values) == 1, values
        return True

    assert run_threads(write, read)[1]


def interrupt(ident):
    """Raise `Interrupted` in the thread with that ident, at some point soon."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(ident), ctypes.py_object(Interrupted)
    )


def test_asynchronous_exceptions_at_random_moments(quiet_hook, often):
    bank, stop = Bank(), threading.Event()
    hits = []

    def worker(form, seed):
        rng = random.Random(seed)
        while not stop.is_set():
            try:
                try:
                    while not stop.is_set():
                        transact(form, lambda: bank.random_transfer(rng))
                except Interrupted:
                    hits.append(form)
            except Interrupted:
                hits.append(form)

    workers = [start(worker, form, i) for i, form in enumerate(FORMS * 2)]
    rng, totals = random.Random(5), set()
    try:
        for _ in range(50_000):
            interrupt(rng.choice(workers).thread.ident)
            totals.add(transact("decorator", bank.sum, read_only=True))
            if len(hits) >= 50:
                break
    finally:
        stop.set()
    for job in workers:
        job.thread.join(PATIENCE)
        assert not job.thread.is_alive(), "something is left held"
    assert totals == {bank.total}
    assert len(hits) >= 50, "hardly anybody was interrupted"
    assert elsewhere(transact, "block", bank.sum) == bank.total
    elsewhere(commit, *[x for cell in bank.cells for x in (cell, 1)])
    assert [cell.deref() for cell in bank.cells] == [1] * 5
    for cell in bank.cells[::2]:
        cell._check()
        assert cell.history_count == 0


class Refused(Exception):
    pass


class Scene:
    """One ref and one atom, and what can be done with them."""

    def __init__(self, tracer):
        self.tracer = tracer
        self.a = Ref(100)
        self.b = Atom(0)
        self.snapshot = None

    def transfer(self):
        change(self.a, lambda n: n - 30)
        change(self.b, lambda n: n + 30)

    def blind(self):
        put(self.b, 30)
        put(self.a, 70)

    def read(self):
        return self.a.deref(), self.b.deref()

    def skewed(self):
        """Read one, write the other."""
        assert self.a.deref() in (100, 70)
        put(self.b, 0)

    def refused(self):
        self.transfer()
        raise Refused

    def commuted(self):
        self.a.commute(lambda n: n - 30)
        self.b.swap(lambda n: n + 30)

    def losing(self, body, losses):
        """Lose that many attempts, and look closely at the last one."""
        tries = Attempts()
        self.tracer.armed = False

        def attempt():
            tries.begin()
            self.a.deref()
            if tries.count <= losses:
                self.b.deref()
                elsewhere(commit, self.a, 100)
                put(self.b, 1)
            else:
                self.tracer.armed = True
                body()

        return attempt

    def lost_once(self, body):
        tries = Attempts()

        def attempt():
            tries.begin()
            body()
            self.tracer.armed, before = False, self.tracer.armed
            tries.once(commit, self.a, 100)
            self.tracer.armed = before

        return attempt


def nested(form, body):
    transact("decorator", lambda: transact(form, body))


SCENARIOS = {
    "read": lambda s, form: transact(form, s.read),
    "read_only": lambda s, form: transact(form, s.read, read_only=True),
    "transfer": lambda s, form: transact(form, s.transfer),
    "blind": lambda s, form: transact(form, s.blind),
    "skewed": lambda s, form: transact(form, s.skewed),
    "snapshot": lambda s, form: transact(form, s.transfer, isolation="snapshot"),
    "commuted": lambda s, form: transact(form, s.commuted),
    "refused": lambda s, form: transact(form, s.refused),
    "nested": lambda s, form: nested(form, s.transfer),
    "lost once": lambda s, form: transact(form, s.lost_once(s.transfer)),
    "escalated": lambda s, form: transact(form, s.losing(s.transfer, 8)),
    "escalated, refused": lambda s, form: transact(form, s.losing(s.refused, 8)),
}
NOT_BLOCK = ("lost once", "escalated", "escalated, refused")
CASES = [
    (name, form, reader)
    for name in SCENARIOS
    for form in FORMS
    for reader in (False, True)
    if not (form == "block" and name in NOT_BLOCK)
    and not (form == "function" and reader)  # as the decorator
]


@pytest.mark.parametrize(("name", "form", "reader"), CASES)
def test_an_exception_at_each_point(name, form, reader, quiet_hook):
    """Whatever point is hit: all or nothing, and nothing is left held or open."""
    scenes = []

    def scenario(tracer):
        scene = Scene(tracer)
        scenes.append(scene)
        if reader:
            scene.snapshot = Snapshot()
            commit(scene.a, 100)

        def run():
            with contextlib.suppress(Refused):
                SCENARIOS[name](scene, form)

        return run

    def check():
        scene = scenes.pop()
        a, b = scene.a, scene.b
        after = (100, 0) if name in ("read", "read_only", "skewed") else (70, 30)
        assert atomically(scene.read) in ((100, 0), after), "all or nothing"
        with pytest.raises(NoTransactionError):
            a.set(1)
        if reader:
            a._check()
            assert (scene.snapshot.read(a), scene.snapshot.read(b)) == (100, 0)
            scene.snapshot.close()
        elsewhere(commit, a, 1, b, 1)
        elsewhere(transact, "block", scene.transfer)
        assert scene.read() == (-29, 31), "nothing is held"
        a._check()
        assert a.history_count == 0, "no snapshot is left open"

    # In a thread that lives on: the end of a thread repairs much.
    points = elsewhere(interrupted_at_each_point, scenario, check)
    assert points > 10


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("form", FORMS)
def test_an_exception_that_the_body_swallows(form, isolation, quiet_hook):
    """It does what was cut short again, and goes on: the commit is whole."""
    scenes = []

    def scenario(tracer):
        scene = Scene(tracer)
        scenes.append(scene)
        scene.snapshot = Snapshot()
        commit(scene.a, 100)
        steps = [
            lambda: scene.b.deref(),
            lambda: put(scene.a, 70),
            lambda: scene.a.commute(lambda n: n),
            lambda: put(scene.b, 30),
            lambda: scene.a.ensure(),
        ]

        def body():
            for step in steps:
                try:
                    step()
                except Interrupted:
                    step()

        return lambda: transact(form, body, isolation=isolation)

    def check():
        scene = scenes.pop()
        assert atomically(scene.read) in ((100, 0), (70, 30))
        scene.snapshot.close()
        elsewhere(commit, scene.a, 1, scene.b, 1)
        elsewhere(transact, "block", scene.transfer)
        assert scene.read() == (-29, 31), "nothing is held"
        scene.a._check()
        assert scene.a.history_count == 0, "no snapshot is left open"

    assert elsewhere(interrupted_at_each_point, scenario, check) > 10


@pytest.mark.parametrize("call", ["swap", "reset", "compare_and_set", "swap_vals"])
def test_an_exception_at_each_point_of_an_atom_alone(call, quiet_hook):
    atoms = []

    def scenario(tracer):
        atom = Atom(0)
        atoms.append(atom)
        fns = {
            "swap": lambda: atom.swap(lambda n: n + 1),
            "swap_vals": lambda: atom.swap_vals(lambda n: n + 1),
            "reset": lambda: atom.reset(1),
            "compare_and_set": lambda: atom.compare_and_set(0, 1),
        }
        return fns[call]

    def check():
        atom = atoms.pop()
        before = atom.deref()
        assert before in (0, 1)
        assert elsewhere(atom.swap, lambda n: n + 1) == before + 1
        elsewhere(commit, atom, 7)
        assert atom.deref() == 7

    assert elsewhere(interrupted_at_each_point, scenario, check) > 2
