"""Real threads run random transactions; what they saw must have an explanation.

The elements that are appended name the attempt that appends them, so what lost
attempts have written is looked for, too. Times are those of the clock of the
machine: a counter would put the threads in order.
"""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from time import monotonic_ns

import pytest
from checker import Txn, find_anomalies
from helpers import ISOLATIONS, change, elsewhere, run_threads, transact

from atomos import Atom, Ref, atomically, dosync


class GiveUp(Exception):
    pass


def append(seen, element):
    return (*seen, element)


class Recorder:
    """What one thread does: random transactions, and what it noted of them."""

    def __init__(self, name, seed, cells, isolation):
        self.name = name
        self.rng = random.Random(seed)
        self.cells = cells
        self.isolation = isolation
        self.txns = []
        self.count = 0

    def element(self):
        self.count += 1
        return f"{self.name}.{self.count}"

    def step(self):
        """Run one transaction and note it."""
        kind = self.rng.choices(
            ["decorator", "loop", "block", "nested", "reader", "alone", "bare"],
            [6, 4, 1, 2, 3, 2, 1],
        )[0]
        if kind in ("decorator", "loop", "block"):
            self.run(kind, self.plan())
        else:
            getattr(self, f"run_{kind}")()

    def plan(self, reads_only=False):
        """Return what a body does: the same in each attempt."""
        rng, steps = self.rng, []
        for _ in range(rng.randint(1, 5)):
            key = rng.choice(list(self.cells))
            what = "read" if reads_only else rng.choice(["read", "append", "append"])
            # With snapshot a commute lets a transaction write what it has not
            # seen: that is what it is for.
            may_commute = self.isolation == "serializable"
            if what == "append" and may_commute and isinstance(self.cells[key], Ref):
                what = rng.choice(["append", "append", "commute"])
            steps.append((what, key))
        if rng.random() < 0.1:
            steps.append(("give up", None))
        return steps

    def run(self, form, plan, **options):
        attempts = []

        def body():
            ops = []
            attempts.append(ops)
            for what, key in plan:
                if what == "give up":
                    raise GiveUp
                cell = self.cells[key]
                if what == "read":
                    ops.append(("read", key, cell.deref()))
                    continue
                element = self.element()
                ops.append(("append", key, element))
                if what == "append":
                    change(cell, lambda seen, element=element: (*seen, element))
                else:
                    cell.commute(lambda seen, element: (*seen, element), element)

        start = monotonic_ns()
        committed = False
        with suppress(GiveUp):
            transact(form, body, isolation=self.isolation, **options)
            committed = True
        end = monotonic_ns()
        for i, ops in enumerate(attempts):
            last = i == len(attempts) - 1
            self.note(start, end, ops, committed and last)

    def note(self, start, end, ops, committed=True):
        name = f"{self.name}/{len(self.txns)}"
        self.txns.append(Txn(name, start, end, ops, committed))

    def run_nested(self):
        form, plan = self.rng.choice(["decorator", "loop", "block"]), self.plan()
        outer = self.rng.choice(["decorator", "loop"])
        attempts = []
        start = monotonic_ns()
        committed = False

        def body():
            ops = []
            attempts.append(ops)
            for what, key in plan:
                if what == "give up":
                    raise GiveUp

                def step(what=what, key=key):
                    if what == "read":
                        ops.append(("read", key, self.cells[key].deref()))
                        return
                    element = self.element()
                    ops.append(("append", key, element))
                    change(self.cells[key], lambda seen: (*seen, element))

                transact(form, step)

        with suppress(GiveUp):
            transact(outer, body, isolation=self.isolation)
            committed = True
        end = monotonic_ns()
        for i, ops in enumerate(attempts):
            self.note(start, end, ops, committed and i == len(attempts) - 1)

    def run_reader(self):
        form = self.rng.choice(["decorator", "loop", "block"])
        plan = [step for step in self.plan(reads_only=True) if step[1] is not None]
        self.run(form, plan, read_only=True)

    def run_alone(self):
        """An atom that commits alone."""
        atoms = [key for key, cell in self.cells.items() if isinstance(cell, Atom)]
        key, element = self.rng.choice(atoms), self.element()
        cell = self.cells[key]
        start = monotonic_ns()
        if self.rng.random() < 0.5:
            seen = cell.swap_vals(lambda seen: (*seen, element))[0]
            ops = [("read", key, seen), ("append", key, element)]
        else:
            seen = cell.deref()
            done = cell.compare_and_set(seen, (*seen, element))
            ops = [("read", key, seen), ("append", key, element)] if done else []
        self.note(start, monotonic_ns(), ops)

    def run_bare(self):
        key = self.rng.choice(list(self.cells))
        start = monotonic_ns()
        ops = [("read", key, self.cells[key].deref())]
        self.note(start, monotonic_ns(), ops)


def record(seed, isolation, threads=4, rounds=150):
    """Let some threads run; return the transactions of all."""
    cells = {"r1": Ref(()), "r2": Ref(()), "a1": Atom(()), "a2": Atom(())}
    recorders = [
        Recorder(f"t{i}", seed * 100 + i, cells, isolation) for i in range(threads)
    ]

    def run(recorder):
        for _ in range(rounds):
            recorder.step()

    run_threads(*[lambda recorder=recorder: run(recorder) for recorder in recorders])
    txns = [txn for recorder in recorders for txn in recorder.txns]
    last = Txn("final", monotonic_ns(), 0)
    last.ops = [("read", key, cell.deref()) for key, cell in cells.items()]
    last.end = monotonic_ns()
    for key in ("r1", "r2"):
        cells[key]._check()
    return [*txns, last]


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("seed", range(8))
def test_no_anomaly(seed, isolation, often):
    txns = record(seed, isolation)
    assert find_anomalies(txns, isolation) == []
    assert sum(txn.committed for txn in txns) > 400


def test_an_anomaly_would_be_found(often):
    """The same threads, each op in a transaction of its own: that goes wrong."""
    cells = {"x": Ref(()), "y": Ref(())}
    txns = []
    turn = threading.Barrier(2)

    def run(name, first, second):
        for n in range(10):
            start = monotonic_ns()
            seen = cells[first].deref()
            turn.wait(30)
            element = f"{name}.{n}"
            atomically(change, cells[second], append, element)
            ops = [("read", first, seen), ("append", second, element)]
            txns.append(Txn(element, start, monotonic_ns(), ops))
            turn.wait(30)

    run_threads(lambda: run("A", "x", "y"), lambda: run("B", "y", "x"))
    last = Txn("final", monotonic_ns(), 0)
    last.ops = [("read", key, cell.deref()) for key, cell in cells.items()]
    last.end = monotonic_ns()
    found = find_anomalies([*txns, last])
    assert [anomaly.kind for anomaly in found] == ["G2"]


# The cycle of three, made by hand: each step while another commit is under way.


def test_three_transactions_in_a_ring_made_by_hand():
    """Each reads what the next one writes, all within the first one."""
    cells = {key: Ref(()) for key in "xyz"}
    txns = []

    def txn(name, read, write, between=None):
        attempts = []

        @dosync
        def body():
            seen = cells[read].deref()
            if between is not None and not attempts:
                between()
            element = f"{name}{len(attempts)}"
            attempts.append([("read", read, seen), ("append", write, element)])
            change(cells[write], lambda s: (*s, element))

        start = monotonic_ns()
        body()
        end = monotonic_ns()
        for i, ops in enumerate(attempts):
            committed = i == len(attempts) - 1
            txns.append(Txn(f"{name}/{i}", start, end, ops, committed))
        return len(attempts)

    runs = txn(
        "A",
        "x",
        "y",
        lambda: elsewhere(txn, "B", "y", "z", lambda: elsewhere(txn, "C", "z", "x")),
    )
    last = Txn("final", monotonic_ns(), 0)
    last.ops = [("read", key, cell.deref()) for key, cell in cells.items()]
    last.end = monotonic_ns()
    assert find_anomalies([*txns, last]) == []
    assert runs == 2
