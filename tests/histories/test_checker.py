"""The checker finds what is known to be wrong, and nothing else."""

from __future__ import annotations

import pytest
from checker import Txn, find_anomalies


def r(key, *elements):
    return ("read", key, elements)


def w(key, element):
    return ("append", key, element)


def history(*parts):
    """Make transactions A, B, C ... that all overlap, and a last one that reads."""
    return [
        Txn("ABCDEFGH"[i], start=i, end=100 + i, ops=list(ops))
        for i, ops in enumerate(parts)
    ]


def final(**values):
    ops = [r(key, *value) for key, value in values.items()]
    return Txn("final", start=1000, end=1001, ops=ops)


def kinds(txns, isolation="serializable"):
    return [anomaly.kind for anomaly in find_anomalies(txns, isolation)]


CLEAN = {
    "empty": [],
    "one": history([r("x"), w("x", 1), r("x", 1)]),
    "one after the other": [
        Txn("A", 0, 1, [w("x", 1), w("y", 1)]),
        Txn("B", 2, 3, [r("x", 1), w("x", 2)]),
        Txn("C", 4, 5, [r("x", 1, 2), r("y", 1)]),
    ],
    "a reader before and a reader after": [
        *history([r("x"), r("y")], [w("x", 1), w("y", 1)], [r("x", 1), r("y", 1)]),
    ],
    "the reader saw the state before, and ended later": [
        Txn("A", 0, 10, [r("x"), r("y")]),
        Txn("B", 2, 3, [w("x", 1)]),
        Txn("C", 4, 5, [w("y", 1)]),
        final(x=[1], y=[1]),
    ],
    "blind writes": [*history([w("x", 1)], [w("x", 2)]), final(x=[2, 1])],
    "an attempt that was given up": [
        Txn("A", 0, 1, [r("x"), w("x", 1)], committed=False),
        Txn("B", 2, 3, [r("x"), w("x", 2)]),
        final(x=[2]),
    ],
}


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("name", CLEAN)
def test_clean(name, isolation):
    assert find_anomalies(CLEAN[name], isolation) == []


WRONG = {
    "G0": [
        *history([w("x", 1), w("y", 1)], [w("x", 2), w("y", 2)]),
        final(x=[1, 2], y=[2, 1]),
    ],
    "G1a": [
        Txn("A", 0, 9, [w("x", 1)], committed=False),
        Txn("B", 1, 2, [r("x", 1)]),
    ],
    "G1b": history([w("x", 1), w("x", 2)], [r("x", 1)]),
    "G1c": history([w("x", 1), r("y", 1)], [w("y", 1), r("x", 1)]),
    # Read skew, and lost update.
    "G-single": [
        *history([r("x"), r("y", 1)], [w("x", 1), w("y", 1)]),
        final(x=[1], y=[1]),
    ],
    "strict G0": [
        Txn("A", 0, 1, [w("x", 1)]),
        Txn("B", 2, 3, [w("x", 2)]),
        final(x=[2, 1]),
    ],
    "strict G-single": [
        Txn("A", 0, 1, [w("x", 1)]),
        Txn("B", 2, 3, [r("x")]),
        final(x=[1]),
    ],
    "strict G1c": [
        Txn("A", 0, 1, [r("x", 1)]),
        Txn("B", 2, 3, [w("x", 1)]),
    ],
    "internal": history([w("x", 1), r("x")]),
    "garbage": history([r("x", 7)]),
    "duplicate": [*history([w("x", 1)]), final(x=[1, 1])],
    "incompatible order": history(
        [w("x", 1)], [w("x", 2)], [r("x", 1, 2)], [r("x", 2)]
    ),
}


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_at_both_isolations(name, isolation):
    assert name in kinds(WRONG[name], isolation)


def test_lost_update():
    txns = history([r("x"), w("x", 1)], [r("x"), w("x", 2)])
    assert kinds([*txns, final(x=[1, 2])]) == ["G-single"]
    assert kinds([*txns, final(x=[1, 2])], "snapshot") == ["G-single"]


def test_a_committed_append_that_disappeared():
    txns = [Txn("A", 0, 1, [w("x", 1)]), final(x=[])]
    assert kinds(txns) == ["strict G-single"]


def test_not_repeatable():
    txns = [*history([r("x"), r("x", 1)], [w("x", 1)])]
    assert "internal" in kinds(txns)


def test_write_skew():
    txns = [
        *history([r("x"), r("y"), w("x", 1)], [r("x"), r("y"), w("y", 1)]),
        final(x=[1], y=[1]),
    ]
    (anomaly,) = find_anomalies(txns)
    assert anomaly.kind == "G2"
    assert "A -rw-> B" in str(anomaly)
    assert "B -rw-> A" in str(anomaly)
    assert find_anomalies(txns, "snapshot") == []


def test_read_only_anomaly():
    """Three transactions, two rw edges in a row: snapshot allows it."""
    txns = [
        Txn("withdraw", 0, 100, [r("x"), r("y"), w("x", 1)]),
        Txn("deposit", 1, 10, [r("y"), w("y", 1)]),
        Txn("report", 20, 30, [r("x"), r("y", 1)]),
        final(x=[1], y=[1]),
    ]
    assert kinds(txns) == ["G2"] or kinds(txns) == ["strict G2"]
    assert find_anomalies(txns, "snapshot") == []


def test_long_fork():
    """The two rw edges are not adjacent: snapshot does not allow it either."""
    txns = [
        *history([w("x", 1)], [w("y", 1)], [r("x", 1), r("y")], [r("x"), r("y", 1)]),
        final(x=[1], y=[1]),
    ]
    assert kinds(txns) == ["G2"]
    assert kinds(txns, "snapshot") == ["G2"]


def test_a_cycle_of_three_writers():
    txns = [
        *history([r("x"), w("y", 1)], [r("y"), w("z", 1)], [r("z"), w("x", 1)]),
        final(x=[1], y=[1], z=[1]),
    ]
    (anomaly,) = find_anomalies(txns)
    assert anomaly.kind == "G2"
    assert str(anomaly).count("-rw->") == 3
    assert find_anomalies(txns, "snapshot") == []


def test_real_time_is_in_the_words():
    txns = WRONG["strict G-single"]
    (anomaly,) = find_anomalies(txns)
    assert "A -rt-> B" in str(anomaly)
    assert "B -rw-> A" in str(anomaly)


def test_what_happens_at_the_same_time_has_no_order():
    txns = [Txn("A", 0, 5, [w("x", 1)]), Txn("B", 5, 6, [r("x")]), final(x=[1])]
    assert find_anomalies(txns) == []
