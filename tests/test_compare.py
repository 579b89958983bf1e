"""The comparison with other packages: it checks its results, and finds wrong ones.

How fast anything is, no test asks.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks import peers
from benchmarks.banks import Bank
from benchmarks.compare import __main__ as program
from benchmarks.compare import period as periods
from benchmarks.compare import runner, store, workloads
from benchmarks.compare.clojure import Clojure
from benchmarks.compare.contestant import OURS, OWN, Ledger, Single
from benchmarks.compare.memory import TITLES, memory_round
from benchmarks.compare.period import Period, Worker, figures, spend
from benchmarks.compare.store import Cell, Results
from benchmarks.compare.workloads import THREADS, WORKLOADS
from benchmarks.measure import Settings

TINY = Settings(rounds=1, scale=0.02, use_peers=False)
BY_KEY = {workload.key: workload for workload in WORKLOADS}
EACH = [
    pytest.param(workload, name, id=f"{workload.key}-{name}")
    for workload in WORKLOADS
    for name in workload.contestants
]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Peers that are here already are used; none is fetched."""

    def present(requirement, *_):
        folder = peers.home() / requirement.replace("==", "-")
        if folder.is_dir():
            return folder
        raise peers.PeerError(f"{requirement} is not installed")

    monkeypatch.setattr(peers, "install", present)
    monkeypatch.setattr(workloads, "MANY", 200)


def contestant(workload, name):
    try:
        return workload.contestants[name]()
    except peers.PeerError as error:
        pytest.skip(str(error))


def checked(workload, given, threads=3, seconds=0.02):
    trial = BY_KEY[workload].prepare(given, threads)
    found = spend(seconds, trial.workers)
    trial.check()
    return found


# The workloads


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("workload", "name"), EACH)
def test_each_contestant_keeps_the_invariant_of_each_workload(workload, name, threads):
    given = contestant(workload, name)
    found = checked(workload.key, given, threads)
    assert sorted(found) == sorted(workload.operations)


def test_clojure_keeps_the_invariants_and_names_the_same_operations():
    try:
        clojure = Clojure()
    except peers.PeerError as error:
        pytest.skip(str(error))
    with clojure:
        for key, workload in BY_KEY.items():
            found = clojure.ask(key, 3, 0.02)
            assert sorted(found) == sorted(workload.operations)
            assert {name for one in found.values() for name in one} == {"wall", "cpu"}
        with pytest.raises(peers.PeerError, match="Clojure"):
            clojure.ask("no such workload", 1, 0.02)
    assert clojure.versions["clojure"].startswith("1.")


@pytest.mark.parametrize("key", ["counter-shared", "counter-own", "swap"])
def test_a_lost_addition_is_found(key):
    def forget_one(box, times):
        box[0] += times - 1

    forgetful = Single(lambda: [0], forget_one, lambda box: box[0])
    with pytest.raises(AssertionError, match="the count is"):
        checked(key, forgetful, threads=1)


class Box:
    """A balance without a lock."""

    def __init__(self):
        self.balance = workloads.START


def ledger(transfer, total=None):
    def whole(boxes):
        return sum(box.balance for box in boxes)

    def open_bank(size):
        boxes = [Box() for _ in range(size)]
        return Bank(boxes, transfer, lambda box: box.balance)

    return Ledger(open_bank, total or whole)


@pytest.mark.parametrize("key", ["transfer", "read-mostly", "hot", "long-reader"])
def test_lost_money_is_found(key):
    def lose(a, b, n):
        a.balance -= n

    with pytest.raises(AssertionError, match="instead of"):
        checked(key, ledger(lose))


@pytest.mark.parametrize("key", ["transfer", "read-mostly", "long-reader"])
def test_a_torn_sum_is_found(key):
    def move_nothing(a, b, n):
        pass

    torn = ledger(move_nothing, total=lambda boxes: workloads.START * len(boxes) - 1)
    with pytest.raises(AssertionError, match="a sum is"):
        checked(key, torn)


def test_a_transfer_not_done_on_the_hot_account_is_found():
    with pytest.raises(AssertionError, match="the hot account is"):
        checked("hot", ledger(lambda a, b, n: None), threads=1)


# Working for a time


def test_work_that_ends_too_late_is_done_but_not_timely():
    period = Period(3600)
    worker = Worker("thing", lambda: 5)
    steps = iter([5, 5])

    def step():
        count = next(steps)
        if worker.done:
            period._end = 0.0
        return count

    worker.step = step
    worker.work(period)
    assert (worker.done, worker.timely) == (10, 5)


def test_what_was_not_finished_in_time_has_no_figure():
    late = Worker("thing", lambda: 1)
    assert spend(0, [late]) == {"thing": {"wall": None, "cpu": None}}
    assert (late.done, late.timely) == (1, 0)


def test_the_figure_is_of_all_threads_together():
    one = Worker("thing", lambda: 1, done=40, timely=30, cpu=6.0)
    other = Worker("thing", lambda: 1, done=20, timely=20, cpu=3.0)
    assert figures(10, [one, other]) == {"wall": 10 / 50, "cpu": 9 / 60}


def test_each_operation_has_its_own_figure(monkeypatch):
    monkeypatch.setattr(periods, "seconds_for", lambda jobs: None)
    one = Worker("a", lambda: 1, done=40, timely=30, cpu=6.0)
    two = Worker("a", lambda: 1, done=20, timely=20, cpu=3.0)
    other = Worker("b", lambda: 1, done=5, timely=4, cpu=1.0)
    found = spend(10, [one, other, two])
    assert found == {
        "a": {"wall": 10 / 50, "cpu": 9 / 60},
        "b": {"wall": 10 / 4, "cpu": 1 / 5},
    }


# The runner


def test_everything_is_measured_and_stored(tmp_path):
    begun = []
    cells, clojure = runner.measure(list(program.ALL), TINY, begun.append)
    assert clojure == {}
    assert len(begun) == len(WORKLOADS) + 1
    assert len(cells) == len(WORKLOADS) * len(THREADS) + len(TITLES)
    for cell in cells:
        assert len(cell.figures) >= 1, cell
        assert set(cell.figures) <= set(OWN)
        assert set(cell.missing.values()) <= {"not here: peer not wanted"}
        for operations in cell.figures.values():
            for measures in operations.values():
                assert {len(values) for values in measures.values()} == {1}
    results = Results("3.99", "2030-01-01", {}, {}, 1, 0.005, cells)
    store.write(tmp_path / "new" / "peers-3.99.json", results)
    assert store.read_all(tmp_path / "new") == [results]


def test_a_peer_that_is_not_here_is_left_out_with_the_reason(monkeypatch):
    def absent():
        raise peers.PeerError("it was never written")

    lone = SimpleNamespace(contestants={"one": absent}, prepare=None)
    assert runner.tried(lone, "one", 1, 0) == "not here: it was never written"


def test_a_wrong_result_is_a_failure():
    lose = ledger(lambda a, b, n: setattr(a, "balance", 0))
    wrong = SimpleNamespace(
        contestants={"one": lambda: lose}, prepare=BY_KEY["hot"].prepare
    )
    outcome = runner.tried(wrong, "one", 1, 0.01)
    assert outcome.startswith("failed: AssertionError: the bank has")


def test_who_fails_once_has_no_figures():
    cells = runner.Cells()
    for outcome in ({"x": {"cpu": 1.0}}, "failed: so", {"x": {"cpu": 2.0}}):
        cells.add("w", 1, "one", outcome)
        cells.add("w", 1, "two", {"x": {"cpu": None}})
    kept = {"two": {"x": {"cpu": [None, None, None]}}}
    assert cells.all() == [Cell("w", 1, kept, {"one": "failed: so"})]


def test_memory_is_measured_of_what_is_here():
    found = memory_round(Settings(1, 0.01))
    assert found["memory-object"][OURS] > 50
    assert found["memory-version"][OURS] > 20
