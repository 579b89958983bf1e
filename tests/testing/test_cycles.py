"""`check_serializable` and `check_snapshot_isolation`: by name, and by each order."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from time import thread_time

import pytest
from helpers import Attempts, elsewhere, run_threads
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from plans import Plan, after, is_serializable, is_snapshot, r, transactions, w

from atomos import Ref, atomically, dosync
from atomos.errors import HistoryError
from atomos.testing import (
    History,
    check_serializable,
    check_snapshot_isolation,
)
from atomos.testing._cycles import Graph

#: What is wrong at both levels: how it is called, and a twin without the mistake.
WRONG = {
    "dirty write (G0)": (
        [
            Plan(w("x", 1), w("y", 1)),
            Plan(w("x", 2), w("y", 2)),
            after(x=[1, 2], y=[2, 1]),
        ],
        [
            Plan(w("x", 1), w("y", 1)),
            Plan(w("x", 2), w("y", 2)),
            after(x=[1, 2], y=[1, 2]),
        ],
    ),
    "aborted read (G1a)": (
        [Plan(w("x", 1), ends=False), Plan(r("x", 1))],
        [Plan(w("x", 1), ends=True), Plan(r("x", 1))],
    ),
    "intermediate read (G1b)": (
        [Plan(w("x", 1), w("x", 2)), Plan(r("x", 1))],
        [Plan(w("x", 1), w("x", 2)), Plan(r("x", 1, 2))],
    ),
    "circular reads (G1c)": (
        [Plan(w("x", 1), r("y", 1)), Plan(w("y", 1), r("x", 1))],
        [Plan(w("x", 1), r("y")), Plan(w("y", 1), r("x", 1))],
    ),
    "lost update (P4)": (
        [Plan(r("x"), w("x", 1)), Plan(r("x"), w("x", 2)), after(x=[1, 2])],
        [Plan(r("x"), w("x", 1)), Plan(r("x", 1), w("x", 2)), after(x=[1, 2])],
    ),
    "read skew (G-single, A5A)": (
        [Plan(r("x"), r("y", 1)), Plan(w("x", 1), w("y", 1)), after(x=[1])],
        [Plan(r("x"), r("y")), Plan(w("x", 1), w("y", 1)), after(x=[1])],
    ),
    "long fork (G-nonadjacent)": (
        [
            Plan(w("x", 1)),
            Plan(w("y", 1)),
            Plan(r("x", 1), r("y")),
            Plan(r("x"), r("y", 1)),
        ],
        [
            Plan(w("x", 1)),
            Plan(w("y", 1)),
            Plan(r("x", 1), r("y")),
            Plan(r("x", 1), r("y", 1)),
        ],
    ),
    "internal inconsistency": (
        [Plan(w("x", 1), r("x"))],
        [Plan(w("x", 1), r("x", 1))],
    ),
    "lost append": (
        [Plan(w("x", 1), w("x", 2)), Plan(r("x", 2))],
        [Plan(w("x", 1), w("x", 2)), Plan(r("x", 1, 2))],
    ),
    "incompatible order": (
        [Plan(w("x", 1)), Plan(w("x", 2)), Plan(r("x", 1)), Plan(r("x", 2, 1))],
        [Plan(w("x", 1)), Plan(w("x", 2)), Plan(r("x", 2)), Plan(r("x", 2, 1))],
    ),
    "duplicate append": (
        [Plan(w("x", 1)), Plan(r("x", 1, 1))],
        [Plan(w("x", 1)), Plan(r("x", 1))],
    ),
    "garbage read": (
        [Plan(w("x", 1)), Plan(r("x", 2))],
        [Plan(w("x", 2)), Plan(r("x", 2))],
    ),
    "real-time stale read (G-single)": (
        [Plan(w("x", 1), end=1), Plan(r("x"), begin=2)],
        [Plan(w("x", 1), end=3), Plan(r("x"), begin=2)],
    ),
    "real-time read from the future (G1c)": (
        [Plan(r("x", 1), end=1), Plan(w("x", 1), begin=2)],
        [Plan(r("x", 1), end=3), Plan(w("x", 1), begin=2)],
    ),
    "real-time dirty write (G0)": (
        [Plan(w("x", 1), end=1), Plan(w("x", 2), begin=2), after(x=[2, 1])],
        [Plan(w("x", 1), end=1), Plan(w("x", 2), begin=2), after(x=[1, 2])],
    ),
}

#: What snapshot isolation allows.
ALLOWED = {
    "write skew (G2-item, A5B)": (
        [Plan(r("x"), w("y", 1)), Plan(r("y"), w("x", 1)), after(x=[1], y=[1])],
        [Plan(r("x"), w("y", 1)), Plan(r("y", 1), w("x", 1)), after(x=[1], y=[1])],
    ),
    "cycle of reads and writes (G2-item)": (
        [Plan(r("x"), w("y", 1)), Plan(r("y"), w("z", 1)), Plan(r("z"), w("x", 1))],
        [Plan(r("x"), w("y", 1)), Plan(r("y", 1), w("z", 1)), Plan(r("z"), w("x", 1))],
    ),
}


def names(verdict):
    return [anomaly.name for anomaly in verdict.anomalies]


@pytest.mark.parametrize("name", [*WRONG, *ALLOWED])
def test_by_name(name):
    wrong, right = {**WRONG, **ALLOWED}[name]
    assert names(check_serializable(transactions(*wrong))) == [name]
    assert check_serializable(transactions(*right))
    assert check_snapshot_isolation(transactions(*right))


@pytest.mark.parametrize("name", WRONG)
def test_snapshot_isolation_forbids(name):
    assert names(check_snapshot_isolation(transactions(*WRONG[name][0]))) == [name]


@pytest.mark.parametrize("name", ALLOWED)
def test_snapshot_isolation_allows(name):
    assert check_snapshot_isolation(transactions(*ALLOWED[name][0]))


@pytest.mark.parametrize("name", [name for name in WRONG if "real-time" in name])
@pytest.mark.parametrize("check", [check_serializable, check_snapshot_isolation])
def test_without_real_time(check, name):
    assert check(transactions(*WRONG[name][0]), real_time=False)


@pytest.mark.parametrize(
    "steps",
    [
        [w("x", 1), r("x", 2)],  # what it has appended is replaced
        [w("x", 1), r("x", 1, 2)],  # or is not the last
        [r("x", 2), r("x")],  # what others had appended is gone
        [r("x"), r("x", 2)],  # or comes while it runs
        [r("x", 2, 1), w("x", 1)],  # what it will append is there
    ],
)
def test_a_transaction_that_does_not_agree_with_itself(steps):
    history = transactions(Plan(w("x", 2)), Plan(*steps))
    for check in (check_serializable, check_snapshot_isolation):
        assert names(check(history)) == ["internal inconsistency"]


def test_a_fork_that_snapshot_isolation_sees_only_with_two_rw_apart():
    """Four transactions, two rw edges, none of them after the other."""
    history = transactions(*WRONG["long fork (G-nonadjacent)"][0])
    (found,) = check_snapshot_isolation(history).anomalies
    assert len(found.transactions) == 4


# Those of which nobody knows, and attempts that were run again


def test_one_of_which_nobody_knows():
    maybe = Plan(w("x", 1), w("y", 1), ends=None)
    assert check_serializable(transactions(maybe, after(x=[], y=[])))
    assert check_serializable(transactions(maybe, after(x=[1], y=[1])))
    assert not check_serializable(transactions(maybe, after(x=[1], y=[])))


def test_one_of_which_nobody_knows_is_known_through_another_one():
    first = Plan(w("x", 1), ends=None)
    second = Plan(r("x", 1), w("y", 1), ends=None)
    assert check_serializable(transactions(first, second, after(y=[1])))
    assert check_serializable(transactions(first, second, after(x=[1], y=[1])))
    assert not check_serializable(transactions(first, second, after(x=[], y=[1])))


def test_what_an_attempt_did_that_was_run_again():
    def run(seen):
        history = History()
        with history.transaction() as t:
            t.begin()
            t.append("x", "lost")
            t.begin()
            t.append("x", "kept")
        with history.transaction() as t:
            t.read("x", seen)
        return check_serializable(history)

    assert run(["kept"])
    assert names(run(["lost"])) == ["aborted read (G1a)"]
    assert "which had appended 'lost', was run again" in repr(run(["lost"]))


def test_an_element_may_be_appended_again_after_it_was_given_up():
    first = Plan(w("x", 1), ends=False)
    assert check_serializable(transactions(first, Plan(w("x", 1)), after(x=[1])))


@pytest.mark.parametrize(
    ("plans", "match"),
    [
        ([Plan(w("x", 1)), Plan(w("x", 1))], "1 was appended twice to x, by T1 and T2"),
        ([Plan(w("x", 1), w("x", 1))], "by T1 and T1.*begin"),
        ([Plan(w("x", []))], "not hashable"),
        ([Plan(w([], 1))], "not hashable"),
        ([Plan(r("x", []))], "not hashable"),
    ],
)
def test_what_cannot_be_judged(plans, match):
    for check in (check_serializable, check_snapshot_isolation):
        with pytest.raises(HistoryError, match=match):
            check(transactions(*plans))


# What it says


def test_what_it_says():
    history = transactions(
        Plan(r("x"), w("y", 1), name="Ann"),
        Plan(r("y"), w("x", "a"), name="Bob"),
        after(x=["a"], y=[1]),
    )
    found = check_serializable(history)
    assert repr(found).splitlines() == [
        "not strictly serializable",
        "write skew (G2-item, A5B)",
        "  Ann read x = [], before Bob appended 'a'",
        "  Bob read y = [], before Ann appended 1",
    ]
    assert [str(each) for each in found.anomalies[0].transactions] == ["Ann", "Bob"]
    allowed = check_snapshot_isolation(history)
    assert repr(allowed) == "snapshot isolation: 3 transactions"


def test_what_it_says_of_each_edge():
    history = transactions(
        Plan(w("x", 1), w("z", 1), end=5),
        Plan(r("x", 1), w("y", 1), end=1000),
        Plan(r("y"), begin=2000, end=3000),
        Plan(r("y", 1), w("z", 2), begin=100, end=4000),
        Plan(r("z", 2, 1), begin=0, end=9000),
    )
    text = repr(check_serializable(history, real_time=False))
    assert "T1 appended 1 to x, and T2 read [1]" in text
    assert "T2 appended 1 to y, and T4 read [1]" in text
    assert "T4 appended 2 to z, before T1 appended 1" in text


def test_what_it_says_of_time():
    """However long ago, and whoever came between."""
    plans = [Plan(w("z", n), begin=10 * n, end=10 * n + 5) for n in range(9)]
    plans[3] = Plan(w("x", "a"), begin=1, end=35, name="Ann")
    plans[7] = Plan(r("x"), begin=70, end=75, name="Bob")
    assert repr(check_serializable(transactions(*plans))).splitlines() == [
        "not strictly serializable",
        "real-time stale read (G-single)",
        "  Ann had ended before Bob began",
        "  Bob read x = [], before Ann appended 'a'",
    ]


def test_many_are_told_of_in_short():
    plans = [Plan(r(key, 1)) for key in "abcdefg"]
    found = check_serializable(transactions(*plans))
    assert len(found.anomalies) == 7
    assert repr(found).endswith("... and 4 more")


def test_the_end_of_a_long_list_is_shown():
    plans = [Plan(w("x", n)) for n in range(50)]
    plans += [Plan(r("x", *range(50), 99))]
    assert "[..., 43, 44, 45, 46, 47, 48, 49, 99]" in repr(
        check_serializable(transactions(*plans))
    )


def test_a_ref_as_a_key_is_shown_by_its_name():
    ref = Ref((), name="stock")
    found = check_serializable(transactions(Plan(r(ref, 1))))
    assert "T1 read Ref 'stock' = [1]" in repr(found)


# As each order


@st.composite
def plans(draw, last):
    """Up to 4 transactions that read beginnings of what the lists end as."""
    keys = draw(st.sampled_from(["x", "xy", "xyz"]))
    count = draw(st.integers(1, 3 if last else 4))
    shapes, lists = [], {key: [] for key in keys}
    for n in range(count):
        steps = draw(
            st.lists(
                st.tuples(st.sampled_from("rrw"), st.sampled_from(keys)),
                min_size=1,
                max_size=3,
            )
        )
        ends = draw(st.sampled_from([True] * 8 + [False, None]))
        shapes.append((steps, ends))
        if ends is not False or draw(st.integers(0, 5)) == 0:
            for place, (what, key) in enumerate(steps):
                if what == "w":
                    lists[key].append(10 * n + place)
    for key in keys:
        if draw(st.booleans()):
            lists[key] = draw(st.permutations(lists[key]))
    found = []
    for n, (steps, ends) in enumerate(shapes):
        mine, seen, done = dict.fromkeys(keys, ()), {}, []
        for place, (what, key) in enumerate(steps):
            if what == "w":
                done.append(w(key, 10 * n + place))
                mine[key] += (10 * n + place,)
                continue
            others = [
                e for e in lists[key] if e // 10 != n or draw(st.integers(0, 9)) == 0
            ]
            if key not in seen or draw(st.integers(0, 9)) == 0:
                seen[key] = tuple(others[: draw(st.integers(0, len(others)))])
            own = () if draw(st.integers(0, 9)) == 0 else mine[key]
            done.append(r(key, *seen[key], *own))
        begin = draw(st.integers(0, 6))
        end = begin + draw(st.integers(0, 6))
        found.append(Plan(*done, ends=ends, begin=begin, end=end))
    if last:
        found.append(after(**{key: tuple(lists[key]) for key in keys}))
    return found


@settings(max_examples=300, deadline=None)
@given(st.booleans().flatmap(plans), st.booleans())
def test_serializable_as_each_order(drawn, real_time):
    history = transactions(*drawn)
    found = check_serializable(history, real_time=real_time)
    assert bool(found) == is_serializable(history.transactions, real_time)


@settings(max_examples=300, deadline=None)
@given(plans(last=True), st.booleans())
def test_snapshot_isolation_as_each_order(drawn, real_time):
    history = transactions(*drawn)
    found = check_snapshot_isolation(history, real_time=real_time)
    assert bool(found) == is_snapshot(history.transactions, real_time)


def not_shown(drawn):
    """Return the greatest number of appends to one key that no read shows."""
    shown = {
        (key, element)
        for plan in drawn
        for what, key, value in plan.steps
        if what == "read"
        for element in value
    }
    keys = [
        key
        for plan in drawn
        for what, key, element in plan.steps
        if what == "append" and plan.ends is not False and (key, element) not in shown
    ]
    return max(map(keys.count, keys), default=0)


@settings(max_examples=300, deadline=None)
@given(plans(last=False), st.booleans())
def test_snapshot_isolation_without_a_last_reader(drawn, real_time):
    """The order of two appends that no read shows is not known, and none assumed."""
    history = transactions(*drawn)
    found = check_snapshot_isolation(history, real_time=real_time)
    expected = is_snapshot(history.transactions, real_time)
    if not_shown(drawn) <= 1:
        assert bool(found) == expected
    else:
        assert found or not expected


def test_an_append_that_no_read_shows_comes_after_all_that_are_shown():
    """Two that append to x, of which one does not see the other."""
    history = transactions(
        Plan(w("x", 1), w("y", 1)),
        Plan(r("y"), w("x", 2)),
        Plan(r("x", 1), r("y", 1)),
    )
    assert names(check_snapshot_isolation(history)) == ["read skew (G-single, A5A)"]


def test_two_appends_that_no_read_shows():
    """The one of who has read the last version comes first."""
    reader = Plan(r("x"), w("x", 2), w("y", 1))
    blind = Plan(r("y"), w("x", 1))
    (found,) = check_snapshot_isolation(transactions(blind, reader)).anomalies
    assert found.name == "read skew (G-single, A5A)"
    assert found.facts[1] == "T2 appended 2 to x, before T1 appended 1"
    sees_half = Plan(r("x"), r("y", 1))
    (found,) = check_serializable(transactions(reader, sees_half)).anomalies
    assert found.facts[1] == "T2 read x = [], before T1 appended 2"
    late = Plan(r("y", 1), w("x", 1))
    assert check_snapshot_isolation(transactions(late, reader))


# The graph


def lengths_of_cycles(nodes, edges):
    """Yield the length of each cycle that visits a node at most once."""
    least = {}
    for source, target, length in edges:
        key = source, target
        least[key] = min(length, least.get(key, 1))
    for size in range(2, nodes + 1):
        for path in permutations(range(nodes), size):
            pairs = list(zip(path, (*path[1:], path[0]), strict=True))
            if all(pair in least for pair in pairs):
                yield sum(least[pair] for pair in pairs)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([1, 1, 0])),
        min_size=5,
    )
)
@example([(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 0, 1), (3, 1, 1)])
def test_the_cycle_is_a_shortest_one(edges):
    edges = [edge for edge in edges if edge[0] != edge[1]]
    graph = Graph(5)
    for number, (source, target, length) in enumerate(edges):
        graph.add(source, target, length, number)
    known = list(lengths_of_cycles(5, edges))
    assume(min(known, default=2) >= 2)
    cycle = graph.shortest_cycle()
    if cycle is None:
        assert known == []
        return
    assert sum(step.length for step in cycle) == min(known)
    ends = [edges[step.mark][:2] for step in cycle]
    for (_, target), (source, _) in zip(ends, [*ends[1:], ends[0]], strict=True):
        assert target == source


def test_steps_without_length_are_gone_first():
    """Node 1 is found by a step of length 1, and then at no distance at all."""
    graph = Graph(4)
    for edge in [(0, 1, 1), (0, 2, 0), (2, 1, 0), (1, 3, 1), (3, 0, 1)]:
        graph.add(*edge, edge)
    cycle, _ = graph._through(0, set(range(4)), 3)
    assert [step.target for step in cycle] == [2, 1, 3, 0]


def big(count):
    """Transactions that overlap by twos, on many lists, all in order."""
    lists = dict.fromkeys(range(50), ())
    found = []
    for n in range(count):
        key, other = n % 50, (n * 7) % 50
        steps = [r(key, *lists[key]), w(key, n), r(other, *lists[other])]
        if other == key:
            steps.pop()
        lists[key] += (n,)
        found.append(Plan(*steps, begin=10 * n, end=10 * n + 15))
    return found


@pytest.mark.parametrize("check", [check_serializable, check_snapshot_isolation])
def test_ten_thousand_transactions(check):
    found = big(10_000)
    history = transactions(*found)
    begun = thread_time()
    assert check(history)
    found[5000] = Plan(r(3), begin=50_000, end=50_005)
    assert names(check(transactions(*found))) == ["garbage read"]
    assert thread_time() - begun < 20


# The engine


def record(history, body, isolation="serializable", name=None):
    """Run ``body(t)`` as a transaction, and write it down."""
    with history.transaction(name) as t:

        @dosync(isolation=isolation)
        def attempt():
            t.begin()
            body(t)

        attempt()


def read_all(refs, t):
    for ref in refs:
        t.read(ref, ref.deref())


def step(refs, number, t):
    """Read one, append to another one, read a third one."""
    one, two, three = (refs[(number + i) % 3] for i in range(3))
    t.read(one, one.deref())
    element = t.append(two, (number, len(t.lost)))
    two.alter(lambda seen: (*seen, element))
    t.read(three, three.deref())
    t.read(two, two.deref())


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
def test_many_threads(isolation, often):
    history, refs = History(), [Ref((), name=f"ref {n}") for n in range(3)]

    def work(who):
        for n in range(60):
            record(history, partial(step, refs, 4 * n + who), isolation)

    run_threads(*[partial(work, who) for who in range(4)])
    record(history, partial(read_all, refs))
    assert check_snapshot_isolation(history)
    found = check_serializable(history)
    assert found.transactions == 241
    if isolation == "serializable":
        assert found


def skew(isolation):
    """Two that read both and write one each, the second in the midst of the first."""
    history, refs = History(), [Ref((), name=name) for name in "xy"]
    tries = Attempts()

    def body(write, between, t):
        read_all(refs, t)
        between()
        element = t.append(write, f"{t.name} {len(t.lost)}")
        write.alter(lambda seen: (*seen, element))

    def between():
        tries.begin()
        second = partial(body, refs[1], lambda: None)
        tries.once(record, history, second, isolation, "second")

    record(history, partial(body, refs[0], between), isolation, "first")
    record(history, partial(read_all, refs), name="after")
    return history


def test_write_skew_in_the_engine():
    history = skew("snapshot")
    assert check_snapshot_isolation(history)
    assert names(check_serializable(history)) == ["write skew (G2-item, A5B)"]
    assert check_serializable(skew("serializable"))


def test_reads_outside_of_a_transaction_are_found():
    """A program that reads with one transaction and writes with another one."""
    history, ref = History(), Ref((), name="ref")

    def work(name, between):
        with history.transaction(name) as t:
            seen = t.read("ref", ref.deref())
            between()
            atomically(ref.set, (*seen, t.append("ref", name)))

    work("first", lambda: elsewhere(work, "second", lambda: None))
    assert names(check_serializable(history)) == ["lost update (P4)"]
