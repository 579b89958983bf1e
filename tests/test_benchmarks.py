"""The measuring code works. How fast anything is, no test asks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

import atomos
from benchmarks import __main__ as program
from benchmarks import peers, registry, table
from benchmarks.measure import UNROLLED, Settings, per_call, ratios, take_turns
from benchmarks.result import (
    Bound,
    Figure,
    Row,
    Unit,
    Work,
    at_least,
    at_most,
    no_bound,
    run,
)
from benchmarks.threads import seconds_for

TINY = Settings(rounds=1, scale=0.0002, use_peers=False)
ROWS = [
    *("add-lock", "add-old", "deref", "get", "swap-old"),
    *("transfer-locks", "transfer-stm"),
    *("transfer-2", "transfer-4", "transfer-8", "transfer-free"),
    *("integer-8", "atom-8"),
    *("memory-ref", "memory-atom", "memory-integer"),
    *("memory-version", "memory-version-deep"),
    "sum",
    *("hand-over-1", "hand-over-4", "wake-up"),
    *("kit-swap", "kit-transfer"),
    "lmdb-transfer",
    "lmdb-add-old",
    "lmdb-call-old",
    "sqlite-transfer",
    "sqlite-add-old",
    "sqlite-call-old",
]


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sleeper:
    """Has a method that takes a given time of a clock."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self.clock, self.seconds, self.calls = clock, seconds, 0

    def call(self) -> None:
        self.calls += 1
        self.clock.now += self.seconds


# Measuring


def test_a_call_is_timed_by_the_clock_given():
    clock = FakeClock()
    slow = Sleeper(clock, 0.5)
    one_round = per_call("thing.call()", slow, 3 * UNROLLED, clock)
    assert one_round() == 0.5
    assert slow.calls == 3 * UNROLLED


def test_the_number_of_calls_is_rounded_up():
    slow = Sleeper(FakeClock(), 1)
    per_call("thing.call()", slow, UNROLLED + 1, slow.clock)()
    assert slow.calls == 2 * UNROLLED


def test_a_statement_may_use_further_names():
    found = []
    per_call("thing.append(value)", found, 1, FakeClock(), value=7)()
    assert set(found) == {7}


def test_the_ratio_of_two_calls_is_the_ratio_of_their_times():
    clock = FakeClock()
    figures = take_turns(
        {
            "slow": per_call("thing.call()", Sleeper(clock, 3.0), 50, clock),
            "fast": per_call("thing.call()", Sleeper(clock, 2.0), 50, clock),
        },
        rounds=5,
    )
    assert ratios(figures["slow"], figures["fast"]) == [1.5] * 5
    assert ratios(figures["fast"], figures["slow"], 300) == [200] * 5


@pytest.mark.parametrize(
    ("warm_up", "order", "first"), [(True, "ABABAB", 3), (False, "ABAB", 1)]
)
def test_rounds_take_turns_and_the_warm_up_is_dropped(warm_up, order, first):
    ran = []

    def contestant(name):
        def one_round():
            ran.append(name)
            return len(ran)

        return one_round

    contestants = {name: contestant(name) for name in "AB"}
    figures = take_turns(contestants, 2, warm_up=warm_up)
    assert "".join(ran) == order
    assert figures == {"A": [first, first + 2], "B": [first + 1, first + 3]}


def test_threads_start_together_and_are_timed_from_first_to_last():
    met = threading.Barrier(3)
    clock = FakeClock()

    def body():
        met.wait(30)
        clock.now = 4.0

    assert seconds_for([body] * 3, clock) == 4.0


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        seconds_for([lambda: None, lambda: 1 / 0])


# Bounds and verdicts


@pytest.mark.parametrize(
    ("bound", "values", "verdict"),
    [
        (at_most(2), [1, 2, 9], "ok"),
        (at_most(2), [1, 3, 3], "MISSED"),
        (at_least(2), [0, 2, 9], "ok"),
        (at_least(2), [0, 1, 9], "MISSED"),
        (Bound(True, 1, Unit.ATTEMPTS, every_round=True), [1, 1, 2], "MISSED"),
        (Bound(False, 1, Unit.TIMES, every_round=True), [0, 1, 1], "MISSED"),
        (at_most(2), [], "-"),
        (no_bound(Unit.TIMES), [1], "-"),
    ],
)
def test_the_verdict_is_about_the_median_or_about_every_round(bound, values, verdict):
    assert Figure(values).verdict(bound) == verdict


def test_a_bound_is_shown_in_words():
    assert str(at_most(1.6)) == "at most 1.6 x"
    assert str(at_least(80, Unit.PERCENT)) == "at least 80 %"
    assert str(no_bound(Unit.TIMES)) == "-"


ROW = Row("one", "One thing", at_most(2))


def work(measure, not_here=lambda: ""):
    return Work((ROW,), measure, not_here)


def test_a_failure_becomes_the_figure_of_the_row():
    figure = run(work(lambda settings: 1 / 0), TINY)["one"]
    assert figure.verdict(ROW.bound) == "FAILED"
    assert "division by zero" in figure.missing


def test_what_makes_no_sense_here_is_not_measured():
    def measure(settings):
        raise AssertionError

    figure = run(work(measure, lambda: "the GIL is on"), TINY)["one"]
    assert figure == Figure(missing="n/a here: the GIL is on")


# The rows


def test_every_row_is_there_once():
    assert [row.key for work in registry.WORKS for row in work.rows] == ROWS


@pytest.mark.parametrize("work", registry.WORKS, ids=lambda work: work.rows[0].key)
def test_each_work_measures_its_rows(work):
    if "lmdb" in work.rows[0].key and work.not_here():
        pytest.skip(work.not_here())
    figures = work.measure(TINY)
    for row in work.rows:
        figure = figures[row.key]
        assert figure.missing == ("" if figure.values else "peer not wanted")
        assert len(figure.values) == (not figure.missing)
        assert not figure.failed


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [("^deref", ["deref"]), ("STM", ["transfer-stm"]), ("no such row", [])],
)
def test_rows_are_chosen_by_pattern(pattern, keys):
    assert [row.key for _, rows in registry.chosen(pattern) for row in rows] == keys


# The peers


@pytest.fixture
def fake_peers(tmp_path, monkeypatch):
    """A folder that takes the place of both installed peers."""
    monkeypatch.setattr(peers, "install", lambda *_: tmp_path)
    sources = {
        "atomos/__init__.py": "",
        "atomos/atom.py": "import atomos.atomic as atomic\nAtom = atomic.Old",
        "atomos/atomic.py": "class Old: pass\nAtomicInteger = Old",
        "stm/__init__.py": "pairs = list({1: 2}.iteritems())",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def test_the_old_atomos_is_loaded_and_ours_stays(fake_peers):
    path = list(sys.path)
    modules = {name: sys.modules[name] for name in sys.modules if "atomos" in name}
    old = peers.old_atomos.__wrapped__()
    assert old.atom is old.integer
    assert old.atom is not atomos.Atom
    assert sys.path == path
    assert {n: sys.modules[n] for n in sys.modules if "atomos" in n} == modules


def test_a_broken_old_atomos_leaves_ours_in_place(fake_peers):
    (fake_peers / "atomos" / "atom.py").write_text("import no_such_module")
    with pytest.raises(peers.PeerError, match="no_such_module"):
        peers.old_atomos.__wrapped__()
    assert sys.modules["atomos"] is atomos
    assert str(fake_peers) not in sys.path


def test_stm_is_patched(fake_peers):
    assert peers.stm.__wrapped__().pairs == [(1, 2)]
    assert "stm" not in sys.modules


def test_a_peer_that_cannot_be_installed_is_reported(tmp_path, monkeypatch):
    failed = SimpleNamespace(returncode=1, stderr="ERROR: no network\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(peers, "home", lambda: tmp_path)
    with pytest.raises(peers.PeerError, match=r"stm==0\.2\.7: ERROR: no network"):
        peers.install("stm==0.2.7")


# The program


@pytest.fixture
def one_row(monkeypatch):
    """Let the program have a single row, whose bound is missed."""
    missed = work(lambda settings: {"one": Figure([3.0, 4.0, 5.0], "four")})
    monkeypatch.setattr(program, "chosen", lambda pattern: [(missed, [ROW])])


@pytest.mark.parametrize("have_rich", [True, False])
def test_the_table_says_everything(one_row, capsys, monkeypatch, have_rich):
    monkeypatch.setattr(table, "HAVE_RICH", have_rich and table.HAVE_RICH)
    assert program.main([]) == 0
    printed = capsys.readouterr().out
    for words in ("One thing", "4.00 x", "3.00..5.00", "at most 2 x", "MISSED"):
        assert words in printed
    assert "for orientation only: four" in printed


def test_only_strict_minds_a_missed_bound(one_row, capsys):
    assert program.main(["--strict"]) == 1


def test_a_failed_measurement_is_minded_always(monkeypatch, capsys):
    broken = work(lambda settings: 1 / 0)
    monkeypatch.setattr(program, "chosen", lambda pattern: [(broken, [ROW])])
    assert program.main([]) == 1


def test_results_are_written_when_asked(one_row, capsys, tmp_path):
    file = tmp_path / "results" / "3.99.json"
    program.main(["--json", str(file), "--quick"])
    stored = json.loads(file.read_text())
    assert stored["settings"] == {"rounds": 5, "scale": 0.1}
    assert stored["rows"][0]["measured"] == 4.0
    assert stored["rows"][0]["verdict"] == "MISSED"


def test_the_rows_are_listed(capsys):
    assert program.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ROWS


@pytest.mark.parametrize(
    "wrong", [["--only", "no such"], ["--only", "("], ["--rounds=0"]]
)
def test_wrong_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        program.main(wrong)
