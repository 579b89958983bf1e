"""What is counted of attempts: each cause, exactly, and nothing when nobody counts."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from time import perf_counter
from types import SimpleNamespace

import pytest
from helpers import (
    FORMS,
    PATIENCE,
    RERUN_FORMS,
    Attempts,
    Parked,
    asleep,
    blocked,
    commit,
    elsewhere,
    put,
    run_threads,
    start,
    transact,
)

import atomos.stm
from atomos import Atom, Ref, atomically, check, dosync, outside
from atomos.errors import (
    HistoryLostError,
    StatisticsOffError,
    TransactionAborted,
    TransactionTimeout,
    ValidationError,
)
from atomos.stm import (
    Cause,
    Collected,
    Wait,
    _commit,
    _hold,
    _part,
    _queue,
    _runner,
    _scope,
    _status,
    _tallies,
    _transaction,
    _wait,
    collecting,
    statistics,
    trace,
)
from atomos.stm._attempts import Attempt
from atomos.stm._run import Run
from atomos.stm._scope import Scope
from atomos.stm._seams import _places
from atomos.stm._transaction import Transaction


@pytest.fixture
def collected():
    with collecting() as found:
        yield found


def of(collected, name="work"):
    """Return what was counted of one name, as plain values."""
    found = collected.statistics()[name]
    aborted = sum(found.aborts.values())
    assert found.attempts == found.commits + aborted
    return found.commits, dict(found.aborts), dict(found.failures), dict(found.waits)


def wrapped():
    """Return all that is wrapped while somebody listens."""
    return [
        vars(Transaction)["begin"],
        vars(Transaction)["lose"],
        vars(Scope)["_running"],
        vars(Scope)["_dropped"],
        *(_runner.commit, _scope.commit, _commit.commit),
        *(_runner.finish, _scope.finish),
        *(_status.wait_for, _hold.wait_for, _queue.wait_for, _commit.wait_for),
        *(_wait.sleep, _transaction.sleep),
    ]


# Each cause


@pytest.mark.parametrize("form", FORMS)
def test_a_commit(collected, form):
    ref = Ref(1)
    transact(form, lambda: ref.set(2), name="work")
    transact(form, ref.deref, name="work")
    assert of(collected) == (2, {}, {}, {})


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_stale_read(collected, form):
    read, written = Ref(1, name="read"), Ref(1)
    attempts = Attempts()

    def body():
        attempts.begin()
        read.deref()
        attempts.once(commit, read, attempts.count)
        written.set(2)

    transact(form, body, name="work")
    assert of(collected) == (1, {"stale read": 1}, {}, {})
    assert dict(collected.statistics()["work"].conflicts) == {"Ref 'read'": 1}


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_ref_that_another_one_has_written_first(collected, form):
    ref = Ref(1, name="one")
    attempts = Attempts()

    def body():
        attempts.begin()
        ref.deref()
        attempts.once(commit, ref, 5)
        ref.set(2)

    transact(form, body, name="work", isolation="snapshot")
    assert of(collected) == (1, {"overtaken": 1}, {}, {})
    assert dict(collected.statistics()["work"].conflicts) == {"Ref 'one'": 1}


def test_history_that_was_dropped(collected):
    ref, other = Ref(1, name="one", max_history=0), Ref(1)
    attempts = Attempts()

    def body():
        attempts.begin()
        other.deref()
        attempts.once(commit, ref, 5)
        return ref.deref()

    assert transact("decorator", body, name="work", read_only=True) == 5
    assert of(collected) == (1, {"history lost": 1}, {}, {})


def test_history_that_was_dropped_under_a_plain_block(collected):
    ref, other = Ref(1, name="one", max_history=0), Ref(1)
    with pytest.raises(HistoryLostError):
        with dosync(read_only=True, name="work"):
            other.deref()
            elsewhere(commit, ref, 5)
            ref.deref()
    assert of(collected) == (0, {"history lost": 1}, {"history lost": 1}, {})


def test_having_waited_in_retry(collected):
    ref = Ref(0, name="one")
    attempts = Attempts()

    def body():
        attempts.begin()
        check(ref.deref())

    job = start(lambda: transact("loop", body, name="work"))
    asleep(ref)
    commit(ref, 1)
    job.join()
    assert of(collected) == (1, {"waited": 1}, {}, {"retry": 1})
    found = collected.statistics()["work"]
    assert found.waited > 0
    assert dict(found.conflicts) == {}


def hold(ref):
    """Return a plain block in another thread that holds `ref`."""

    def body(park):
        with dosync(name="holder"):
            ref.set(7)
            park()

    return Parked(body)


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_ref_that_is_held(collected, form):
    ref = Ref(0, name="one")
    holder = hold(ref)
    job = start(lambda: transact(form, lambda: ref.set(1), name="work"))
    blocked(job)
    holder.finish()
    job.join()
    assert of(collected) == (1, {}, {}, {"ref held": 1})
    found = collected.statistics()["work"]
    assert dict(found.conflicts) == {"Ref 'one'": 1}
    assert found.waited > 0
    assert of(collected, "holder") == (1, {}, {}, {})


def test_the_turn_of_plain_blocks(collected):
    holder = hold(Ref(0))
    job = start(lambda: transact("block", Ref(1).deref, name="work"))
    blocked(job)
    holder.finish()
    job.join()
    assert of(collected) == (1, {}, {}, {"turn of plain blocks": 1})
    assert collected.statistics()["work"].conflicts == {}


@pytest.mark.parametrize("form", FORMS)
def test_a_timeout_while_a_ref_is_held(collected, form):
    ref = Ref(0, name="one")
    if form == "block":
        # That one would wait for its turn: another transaction is to hold the ref.
        status = _status.undecided(None, "nobody")
        _hold.take(ref, status)
        finish = lambda: _status.abort(status)  # noqa: E731 - as `Parked.finish`
    else:
        finish = hold(ref).finish
    before = perf_counter()
    with pytest.raises(TransactionTimeout):
        transact(form, lambda: ref.set(1), name="work", timeout=0.05)
    elapsed = perf_counter() - before
    finish()
    assert of(collected) == (0, {"timeout": 1}, {"timeout": 1}, {"ref held": 1})
    found = collected.statistics()["work"]
    assert found.waited > 0.04
    assert found.seconds + found.waited <= elapsed


def test_a_timeout_before_a_plain_block_has_its_turn(collected):
    holder = hold(Ref(0))
    with pytest.raises(TransactionTimeout):
        transact("block", Ref(0).deref, name="work", timeout=0.01)
    holder.finish()
    waits = {"turn of plain blocks": 1}
    assert of(collected) == (0, {"timeout": 1}, {"timeout": 1}, waits)


def test_a_timeout_between_attempts_is_no_attempt(collected):
    ref = Ref(0)
    with pytest.raises(TransactionTimeout):
        transact("loop", lambda: check(ref.deref()), name="work", timeout=0.01)
    assert of(collected) == (0, {"waited": 1}, {"timeout": 1}, {"retry": 1})


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_max_attempts(collected, form):
    ref = Ref(0)

    def body():
        before = ref.deref()
        elsewhere(commit, ref, before + 1)
        ref.set(0)

    with pytest.raises(TransactionAborted):
        transact(form, body, name="work", max_attempts=3)
    assert of(collected) == (0, {"stale read": 3}, {"given up": 1}, {})


@pytest.mark.parametrize("form", FORMS)
def test_an_exception(collected, form):
    ref = Ref(0, validator=lambda n: n >= 0)

    def body():
        raise LookupError

    with pytest.raises(LookupError):
        transact(form, body, name="work")
    with pytest.raises(ValidationError):
        transact(form, lambda: ref.set(-1), name="work")
    assert of(collected) == (0, {"exception": 2}, {"exception": 2}, {})


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_that_is_caught_around_is_another_ones(collected, form):
    """An attempt that is lost or ends in an ``except`` of something else."""
    ref, attempts = Ref(0), Attempts()

    def body():
        attempts.begin()
        ref.deref()
        if form != "block":
            attempts.once(commit, ref, 5)
        ref.set(1)

    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        transact(form, body, name="work")
    lost = {} if form == "block" else {"stale read": 1}
    assert of(collected) == (1, lost, {}, {})


def test_a_block_that_is_dropped(collected):
    def generator():
        with dosync(name="work"):
            yield

    steps = generator()
    next(steps)
    steps.close()
    assert of(collected) == (0, {"exception": 1}, {"exception": 1}, {})

    block = dosync(name="dropped")
    block.__enter__()
    leave = block.__exit__
    del leave
    gc.collect()
    assert of(collected, "dropped") == (0, {"given up": 1}, {"given up": 1}, {})


def test_a_part_that_was_half_undone(collected, monkeypatch):
    ref, attempts = Ref(0), Attempts()
    undo = _part.undo_part

    def cut_short(tx, part):
        if attempts.count == 1:
            raise ZeroDivisionError
        undo(tx, part)

    monkeypatch.setattr(_part, "undo_part", cut_short)

    @dosync
    def part():
        ref.set(1)
        raise LookupError

    def body():
        attempts.begin()
        if attempts.count == 1:
            part()

    transact("function", body, name="work")
    assert of(collected) == (1, {"cut short": 1}, {}, {})


def test_an_exception_after_the_commit_point_is_a_commit(collected, monkeypatch):
    def trimmed(tx):
        changes = published(tx)
        if tx.label == "work":
            raise KeyboardInterrupt
        return changes

    published = _commit.publish_one
    monkeypatch.setattr(_commit, "publish_one", trimmed)
    ref = Ref(0)
    with pytest.raises(KeyboardInterrupt):
        transact("decorator", lambda: ref.set(1), name="work")
    assert ref.deref() == 1
    assert of(collected) == (1, {}, {}, {})


# What is one transaction


@pytest.mark.parametrize("form", FORMS)
def test_a_nested_call_is_a_part(collected, form):
    ref = Ref(0)
    inner = dosync(name="inner")(lambda: ref.set(1))

    def body():
        inner()
        with dosync(name="inner"):
            ref.set(2)

    transact(form, body, name="work")
    assert [one.name for one in collected.statistics()] == ["work"]


def test_what_runs_outside_is_another_one(collected):
    ref = Ref(0)
    atomically(lambda: outside(atomically, lambda: put(ref, 1)))
    assert collected.statistics().commits == 2


def test_a_transaction_that_began_before_is_left_out():
    holder = hold(Ref(0))
    with collecting() as collected:
        holder.finish()
        atomically(Ref(0).deref)
    assert [one.name for one in collected.statistics()] == ["Ref.deref"]


def test_what_ends_after_it_is_left_out():
    with collecting() as outer:
        with collecting() as collected:
            holder = hold(Ref(0))
        holder.finish()
    assert collected.statistics().attempts == 0
    assert outer.statistics().attempts == 1


def test_an_attempt_that_began_in_another_collection_is_left_out():
    ref, attempts = Ref(0), Attempts()
    events = [threading.Event() for _ in range(3)]

    def body():
        attempts.begin()
        events[attempts.count - 1].set()
        assert events[2].wait(PATIENCE)
        ref.set(1)

    with collecting():
        job = start(lambda: transact("decorator", body, name="work"))
        assert events[0].wait(PATIENCE)
    with collecting() as second:
        events[2].set()
        job.join()
    assert second.statistics().attempts == 0


# Threads


def test_counts_are_exact_with_four_threads(collected):
    times, total, shared = 300, Ref(0, name="total"), Ref(0, name="shared")
    runs = [0] * 4

    def work(me):
        @dosync(name="work")
        def transaction():
            runs[me] += 1
            shared.deref()
            total.alter(lambda n: n + 1)
            shared.alter(lambda n: n + 1)
            if runs[me] % 10 == 0:
                raise LookupError

        for _ in range(times):
            try:
                transaction()
            except LookupError:
                pass

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_threads(*(lambda me=me: work(me) for me in range(4)))
    finally:
        sys.setswitchinterval(before)
    found = collected.statistics()["work"]
    assert found.attempts == sum(runs)
    assert found.commits == total.deref() == shared.deref()
    assert found.aborts["exception"] == found.failures["exception"]
    assert found.commits + found.failures["exception"] == 4 * times
    stale = found.aborts.get("stale read", 0)
    assert found.attempts == found.commits + found.aborts["exception"] + stale
    assert sum(found.conflicts.values()) == stale + sum(found.waits.values())
    assert found.seconds > 0


def test_no_thread_counts_where_another_one_does():
    """Counting alone, so that threads without the GIL meet at it all the time."""
    collected, tx = Collected(), SimpleNamespace(label="work")
    times = 5000
    mine = collected._counts("work")
    assert mine is collected._counts("work")
    assert elsewhere(collected._counts, "work") is not mine

    def count():
        attempt = Attempt()
        for _ in range(times):
            collected.ended(tx, attempt, Cause.COMMITTED, None, 1)
            collected.ended(tx, attempt, Cause.STALE, "one", 1)
            collected.waited(tx, attempt, Wait.HELD, "one", 0, (0, 1))
            collected.failed(tx, attempt, Cause.TIMEOUT)

    run_threads(*[count] * 4)
    all_of_them = 4 * times
    assert of(collected) == (
        all_of_them,
        {"stale read": all_of_them},
        {"timeout": all_of_them},
        {"ref held": all_of_them},
    )
    found = collected.statistics()["work"]
    assert dict(found.conflicts) == {"one": 2 * all_of_them}
    assert found.seconds == pytest.approx(2 * all_of_them / 1e9)
    assert found.waited == pytest.approx(all_of_them / 1e9)


def test_threads_that_have_ended_are_kept_as_one(collected):
    ref = Ref(0)
    for _ in range(20):
        elsewhere(lambda: transact("decorator", lambda: ref.set(1), name="work"))
    assert of(collected)[0] == 20
    assert len(collected._state[1]) <= 2


def test_what_is_kept_is_bounded(collected, monkeypatch):
    monkeypatch.setattr(_tallies, "NAMES", 2)
    monkeypatch.setattr(_tallies, "REFS", 2)
    for name in ("a", "b", "c", "d"):
        transact("decorator", Ref(0).deref, name=name)
    for name in range(4):
        ref, attempts = Ref(0, name=str(name)), Attempts()

        def body(ref=ref, attempts=attempts):
            attempts.begin()
            ref.deref()
            attempts.once(commit, ref, 5)
            ref.set(1)

        transact("decorator", body, name="a")
    found = collected.statistics()
    assert {one.name for one in found} <= {
        "a",
        "b",
        _tallies.OTHER_NAMES,
        "commit.<locals>.body",
    }
    assert found[_tallies.OTHER_NAMES].commits >= 2
    assert dict(found["a"].conflicts) == {
        "Ref '0'": 1,
        "Ref '1'": 1,
        _tallies.OTHER_REFS: 2,
    }


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGUSR1")
def test_a_signal_handler_may_be_the_first_to_count(collected):
    """It runs in the middle of an attempt, and is counted beside it."""
    ref, other = Ref(0), Ref(0)

    def handler(number, frame):
        outside(transact, "decorator", lambda: other.set(1), name="handler")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        transact("decorator", lambda: signal.raise_signal(signal.SIGUSR1), name="work")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert of(collected) == (1, {}, {}, {})
    assert of(collected, "handler") == (1, {}, {}, {})
    assert ref.deref() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_it_goes_on_in_the_child_of_a_fork(collected):
    transact("decorator", Ref(0).deref, name="work")
    child = os.fork()
    if child == 0:
        transact("decorator", Ref(0).deref, name="work")
        os._exit(0 if of(collected)[0] == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert of(collected)[0] == 1


# The switch


def test_when_nobody_counts_it_says_so():
    with pytest.raises(StatisticsOffError, match=r"with atomos\.stm\.collecting\(\):"):
        statistics()


def test_the_one_opened_last_answers():
    with collecting() as outer:
        transact("decorator", Ref(0).deref, name="one")
        with collecting():
            transact("decorator", Ref(0).deref, name="two")
            assert [one.name for one in statistics()] == ["two"]
        assert {one.name for one in statistics()} == {"one", "two"}
    assert {one.name for one in outer.statistics()} == {"one", "two"}
    assert atomos.stm.statistics is statistics


def test_all_is_as_it_was_afterwards(tmp_path):
    before = wrapped()
    with trace(tmp_path / "a.json"):
        with collecting():
            assert not any(a is b for a, b in zip(before, wrapped(), strict=True))
            with pytest.raises(ZeroDivisionError):
                with collecting(), trace(tmp_path / "b.json"):
                    raise ZeroDivisionError
        assert not any(a is b for a, b in zip(before, wrapped(), strict=True))
    assert all(a is b for a, b in zip(before, wrapped(), strict=True))
    assert not _places


def test_importing_wraps_nothing():
    assert all("stm._hearing" not in one.__module__ for one in wrapped())
    assert all(one.__module__.startswith("atomos.stm.") for one in wrapped())


PROGRAM = """
from atomos import Ref, atomically
from atomos.stm import statistics
atomically(Ref(1).deref)
print(statistics().commits)
"""


def run_with(value, program=PROGRAM):
    environment = {**os.environ, "ATOMOS_STATISTICS": value}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(
    ("value", "out", "err"),
    [
        ("1", "1\n", ""),
        ("0", "", "StatisticsOffError"),
        ("yes", "", "ValueError: ATOMOS_STATISTICS must be 0 or 1, not 'yes'"),
    ],
)
def test_the_environment_switches_it_on(value, out, err):
    done = run_with(value)
    assert done.stdout == out
    assert err in done.stderr


# The record


def test_the_record_is_immutable(collected):
    transact("decorator", Ref(0).deref, name="work")
    found = collected.statistics()
    with pytest.raises(AttributeError):
        found.seconds = 0
    with pytest.raises(AttributeError):
        found["work"].commits = 0
    for mapping in ("aborts", "failures", "waits", "conflicts"):
        with pytest.raises(TypeError):
            getattr(found["work"], mapping)["x"] = 1
    with pytest.raises(KeyError):
        found["nothing"]
    assert repr(found).startswith("<1 commits in 1 attempts of 1 transactions in ")


def test_the_table_names_what_ended_attempts(collected):
    ref, attempts = Ref(0, name="one"), Attempts()

    def body():
        attempts.begin()
        ref.deref()
        attempts.once(commit, ref, 5)
        ref.set(1)

    transact("decorator", body, name="work")
    lines = collected.statistics().table().splitlines()
    assert lines[0].split()[:2] == ["transaction", "commits"]
    row = next(line for line in lines if line.startswith("work"))
    assert row.endswith("stale read 1")
    assert row.split()[1:4] == ["1", "2", "0"]
    assert lines[-1].split() == ["Ref", "'one'", "1"]


def test_atoms_alone_are_not_counted(collected):
    Atom(1).swap(lambda n: n + 1)
    assert collected.statistics().attempts == 0


# Notes


def note_of(error):
    (note,) = error.__notes__
    return note.splitlines()


def test_a_timeout_tells_what_was_lost_and_how_long_it_waited():
    ref, other = Ref(0, name="one"), Ref(0, name="two")
    attempts = Attempts()

    def body():
        attempts.begin()
        ref.deref()
        attempts.once(commit, ref, 0)
        other.set(1)
        check(attempts.count == 1)

    with pytest.raises(TransactionTimeout) as caught:
        transact("decorator", body, name="work", timeout=0.05)
    ended, lost, seconds = note_of(caught.value)
    assert ended == "attempts that ended: 1 stale read, 1 waited"
    assert lost == "lost to: Ref 'one': 1"
    words = seconds.replace(",", "").split()
    spent, waited = float(words[1]), float(words[4])
    assert seconds == f"seconds: {spent:.3f} in attempts, {waited:.3f} waiting"
    assert 0 < waited < PATIENCE
    assert spent + waited >= 0.049


@pytest.mark.parametrize("form", FORMS)
def test_a_timeout_in_the_first_attempt_tells_how_long_it_waited(form):
    ref = Ref(0, name="one")
    holder = hold(ref)
    with pytest.raises(TransactionTimeout) as caught:
        transact(form, lambda: ref.set(1), name="work", timeout=0.05)
    holder.finish()
    ended, seconds = note_of(caught.value)
    assert ended == "attempts that ended: none"
    assert float(seconds.replace(",", "").split()[4]) >= 0.04


def test_giving_up_tells_the_refs_and_says_what_it_does_not_know():
    one, two, attempts = Ref(0, name="one"), Ref(0, name="two"), Attempts()

    def body():
        attempts.begin()
        ref = one if attempts.count == 2 else two
        ref.deref()
        elsewhere(commit, ref, attempts.count)
        ref.set(0)

    with pytest.raises(TransactionAborted) as caught:
        transact("loop", body, max_attempts=3)
    ended, lost, seconds = note_of(caught.value)
    assert ended == "attempts that ended: 3 stale read"
    assert lost == "lost to: Ref 'two': 2, Ref 'one': 1"
    assert "since the first loss or wait (all are timed only with a timeout)" in seconds


def test_notes_survive_pickling():
    import pickle

    ref = Ref(0)
    with pytest.raises(TransactionTimeout) as caught:
        transact("loop", lambda: check(ref.deref()), timeout=0.0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.__notes__ == caught.value.__notes__
    assert (again.attempts, again.lost_to) == (1, caught.value.lost_to)


@pytest.mark.parametrize("form", FORMS)
def test_a_transaction_that_commits_at_once_keeps_no_account(form, monkeypatch):
    monkeypatch.setattr(Run, "need_account", None)
    ref = Ref(0)
    transact(form, lambda: ref.set(1))
    transact(form, lambda: ref.set(2), timeout=PATIENCE, max_attempts=3)
    assert ref.deref() == 2
