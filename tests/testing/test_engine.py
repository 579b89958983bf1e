"""The engine under schedules: random programs of all forms and features.

Threads run transactions at once. What each has returned, and what is left, must be
what the same transactions give one after the other, in the order of their commits.
"""

from __future__ import annotations

from functools import partial

import pytest
from helpers import change, put, transact
from hypothesis import given, settings
from hypothesis import strategies as st

from atomos import (
    Atom,
    AtomicInteger,
    LongAdder,
    Ref,
    atomically,
    check,
    current_transaction,
    dosync,
    or_else,
)
from atomos.agent import Agent, await_agents
from atomos.testing import explore, priorities, run_interleaved, schedules
from atomos.testing._commit_order import CommitOrder

FORMS = ["decorator", "function", "loop", "block"]
#: Two refs and two atoms: what the operations name by number.
CELLS = 4


class World:
    """Cells, and the operations of a transaction on them."""

    def __init__(self):
        self.cells = [Ref(0), Ref(10), Atom(20), AtomicInteger(30)]
        self.adder = LongAdder()

    def state(self):
        return (*(self.read(n) for n in range(CELLS)), self.adder.sum())

    def read(self, n):
        cell = self.cells[n]
        return cell.get() if isinstance(cell, AtomicInteger) else cell.deref()

    def write(self, n, value):
        cell = self.cells[n]
        if isinstance(cell, AtomicInteger):
            cell.set(value)
        else:
            put(cell, value)

    def add(self, n, value):
        cell = self.cells[n]
        if isinstance(cell, AtomicInteger):
            return cell.add_and_get(value)
        return change(cell, lambda old: old + value)

    def commute(self, n, value):
        self.adder.add(value)
        self.cells[n % 2].commute(lambda old: old * 2 + value)

    def copy(self, n, other):
        self.write(n, self.read(other) + 1)

    def nest(self, form, fails, steps):
        seen = []

        def body():
            seen.append(self.run(steps))
            if fails:
                raise LookupError

        try:
            transact(form, body)
        except LookupError:
            pass
        return seen[-1]

    def choose(self, n, least, first, second):
        def alternative():
            seen = self.run(first)
            check(self.read(n) >= least)
            return seen

        return or_else(alternative, partial(self.run, second))

    def run(self, steps):
        return [getattr(self, name)(*args) for name, *args in steps]


cell = st.integers(0, CELLS - 1)
number = st.integers(1, 9)
plain_step = st.one_of(
    st.tuples(st.just("read"), cell),
    st.tuples(st.just("write"), cell, number),
    st.tuples(st.just("add"), cell, number),
    st.tuples(st.just("copy"), cell, cell),
    st.tuples(st.just("commute"), cell, number),
)


def steps_of(step):
    return st.lists(step, min_size=1, max_size=4)


def composed(step):
    return st.one_of(
        st.tuples(st.just("nest"), st.sampled_from(FORMS), st.booleans(), step),
        st.tuples(st.just("choose"), cell, st.integers(0, 40), step, step),
    )


step = st.one_of(plain_step, plain_step, composed(steps_of(plain_step)))
transactions = st.lists(
    st.tuples(st.sampled_from(FORMS), steps_of(step)), min_size=1, max_size=2
)
programs = st.lists(transactions, min_size=2, max_size=3)


def agree(program, schedule):
    """Run a program at once and then in the order of the commits, and compare."""
    world, order = World(), CommitOrder()

    def body(thread):
        results = []
        for index, (form, steps) in enumerate(program[thread]):
            order.expect((thread, index))
            results.append(transact(form, partial(world.run, steps)))
        return results

    with order:
        done = run_interleaved(
            schedule, *(partial(body, n) for n in range(len(program)))
        )
    model = World()
    names = order.names()
    assert sorted(names) == [
        (thread, index)
        for thread, all_ in enumerate(program)
        for index in range(len(all_))
    ]
    for thread, index in names:
        expected = atomically(partial(model.run, program[thread][index][1]))
        assert done.results[thread][index] == expected, f"{names}\n{done}"
    assert world.state() == model.state(), f"{names}\n{done}"
    leaves_nothing(world.cells)


def leaves_nothing(cells):
    """Nothing is held, and no old version is left that nobody needs."""
    for cell in cells:
        if isinstance(cell, Ref):
            cell._check()
            atomically(cell.set, -1)
            assert cell.history_count == 0


@settings(max_examples=100, deadline=None)
@given(programs, schedules())
def test_programs_agree_with_the_order_of_their_commits(program, schedule):
    agree(program, schedule)


@settings(max_examples=60, deadline=None)
@given(programs, priorities())
def test_they_do_so_under_random_priorities(program, schedule):
    agree(program, schedule)


@pytest.mark.parametrize("other", FORMS)
@pytest.mark.parametrize("one", FORMS)
def test_each_form_against_each(one, other):
    """Read and write, crosswise: all schedules with two preemptions."""

    def setup():
        return Ref(1, name="a"), Ref(10, name="b"), Atom(100, name="c")

    def first(cells):
        a, b, c = cells
        return transact(one, lambda: (a.alter(lambda n: n + b.deref()), c.deref()))

    def second(cells):
        a, b, c = cells
        return transact(
            other, lambda: (b.alter(lambda n: n + a.deref()), c.swap(lambda n: n * 2))
        )

    def is_serial(cells, run):
        state = tuple(cell.deref() for cell in cells)
        assert (run.results, state) in (
            (((11, 100), (21, 200)), (11, 21, 200)),
            (((12, 200), (11, 200)), (12, 11, 200)),
        )
        leaves_nothing(cells)

    assert explore(first, second, setup=setup, check=is_serial).complete


@pytest.mark.parametrize("form", ["decorator", "function", "loop"])
def test_a_token_goes_round(form):
    """Each waits for the other: no wake-up is lost, and nobody goes twice."""

    def setup():
        return Ref(0, name="turn"), Atom((), name="log")

    def player(me):
        def play(cells):
            turn, log = cells

            def body():
                check(turn.deref() == me)
                turn.set(1 - me)
                log.swap(lambda seen: (*seen, me))

            for _ in range(2):
                transact(form, body)

        return play

    def in_turn(cells, run):
        assert cells[1].deref() == (0, 1, 0, 1)

    assert explore(player(0), player(1), setup=setup, check=in_turn).complete


def test_a_snapshot_stays_and_leaves_no_history():
    def setup():
        return [Ref(0, name=name) for name in "abc"]

    def reader(cells):
        @dosync(read_only=True)
        def read():
            return [cell.deref() for cell in cells]

        return read()

    def writer(cells):
        for _ in range(2):
            atomically(lambda: [cell.alter(lambda n: n + 1) for cell in cells])

    def same(cells, run):
        assert run.results[0] in ([0] * 3, [1] * 3, [2] * 3)
        leaves_nothing(cells)

    assert explore(reader, writer, setup=setup, check=same).complete


def test_an_abandoned_branch_is_waited_for_and_undone():
    def setup():
        return Ref(0, name="a"), Ref(0, name="b"), Ref(0, name="log")

    def wait(cells):
        a, b, log = cells

        def take(ref):
            log.alter(lambda n: n + 1)
            check(ref.deref())
            return ref.alter(lambda n: n - 1)

        return atomically(lambda: or_else(lambda: take(a), lambda: take(b)))

    def give(cells):
        a, b, _ = cells
        atomically(b.set, 1)
        atomically(a.set, 1)

    def one_was_taken(cells, run):
        a, b, log = (cell.deref() for cell in cells)
        assert a + b == 1
        assert log == 1

    assert explore(wait, give, setup=setup, check=one_was_taken).complete


def test_hooks_run_once():
    def setup():
        return Ref(0, name="a"), []

    def add(made):
        ref, seen = made

        def body():
            tx_value = ref.alter(lambda n: n + 1)
            current_transaction().after_commit(lambda: seen.append(tx_value))

        atomically(body)

    def each_once(made, run):
        assert sorted(made[1]) == [1, 2]

    assert explore(add, add, setup=setup, check=each_once).complete


def test_an_agent_runs_each_action_once_in_order():
    def setup():
        return Agent((), name="agent"), Ref(0, name="ref")

    def send(me):
        def body(made):
            agent, ref = made

            @dosync
            def work():
                ref.alter(lambda n: n + 1)
                agent.send(lambda seen, what: (*seen, what), (me, 0))

            work()
            agent.send(lambda seen: (*seen, (me, 1)))

        return body

    def in_order(made, run):
        seen = made[0].deref()
        assert sorted(seen) == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert [n for who, n in seen if who == 0] == [0, 1]
        assert [n for who, n in seen if who == 1] == [0, 1]

    assert explore(
        send(0), send(1), setup=setup, check=in_order, preemptions=1
    ).complete


def test_who_waits_for_an_agent_wakes():
    def setup():
        return Agent(0, name="agent")

    def send(agent):
        agent.send(lambda n: n + 1)
        agent.wait()
        return agent.deref()

    def waits(agent):
        await_agents(agent)
        return agent.wait_for(lambda n: n > 0)

    def was_run(agent, run):
        assert run.results == (1, 1)

    assert explore(send, waits, setup=setup, check=was_run).complete


def test_adders_commute_and_lose_nothing():
    def setup():
        return LongAdder(), Ref(0, name="a")

    def add(made):
        adder, ref = made

        @dosync
        def body():
            ref.commute(lambda n: n + 1)
            adder.add(2)

        body()
        adder.increment()

    def all_is_there(made, run):
        assert (made[0].sum(), made[1].deref()) == (6, 2)

    assert explore(add, add, setup=setup, check=all_is_there).complete
