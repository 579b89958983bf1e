"""The file of a trace: rows, bars, arrows; what becomes of it when things go wrong."""

from __future__ import annotations

import itertools
import json
import os
import runpy
import sys
from collections import defaultdict
from contextvars import Context
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers import (
    FORMS,
    RERUN_FORMS,
    Attempts,
    Parked,
    asleep,
    blocked,
    elsewhere,
    run_threads,
    start,
    transact,
)
from interrupts import preempted_at_each_opcode
from interrupts import within as in_the_middle

from atomos import Atom, Ref, check, dosync, outside
from atomos.errors import TraceFileError
from atomos.stm import _arrows, _hearing, _trace, _tracefile, trace
from atomos.stm._cell import latest
from atomos.stm._seams import _places
from atomos.stm._tracefile import TraceFile

ROOT = Path(__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"


class Trace:
    """A trace that was read, after a look at what holds for each."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        of = defaultdict(list)
        for event in events:
            of[event["ph"]].append(event)
        self.rows = {
            one["tid"]: one["args"]["name"]
            for one in of["M"]
            if one["name"] == "thread_name"
        }
        self.bars = of["X"]
        self.attempts = [one for one in self.bars if one["cat"].startswith("attempt,")]
        self.waits = [one for one in self.bars if one["cat"].startswith("wait,")]
        assert set(of) <= {"M", "X", "s", "f"}
        assert all(one["tid"] in self.rows for one in self.bars)
        self._look_for_overlaps()
        self.arrows = self._arrows(of["s"], of["f"])

    def _look_for_overlaps(self):
        for row in self.rows:
            attempts = [one for one in self.attempts if one["tid"] == row]
            attempts.sort(key=lambda one: one["ts"])
            for one, following in pairwise(attempts):
                assert end_of(one) <= following["ts"] + 1e-6
            for wait in self.waits:
                if wait["tid"] == row:
                    for one in attempts:
                        apart = (
                            end_of(wait) <= one["ts"] + 1e-6
                            or end_of(one) <= wait["ts"] + 1e-6
                        )
                        assert apart or within(wait, one)

    def _arrows(self, starts, ends):
        """Return of each arrow the bar that it starts in and the one it ends in."""
        assert sorted(one["id"] for one in starts) == sorted(one["id"] for one in ends)
        assert len({one["id"] for one in starts}) == len(starts)
        ends = {one["id"]: one for one in ends}
        found = []
        for one in starts:
            end = ends[one["id"]]
            assert one["ts"] <= end["ts"]
            assert end["bp"] == "e"
            found.append((self.around(one), self.around(end)))
        return found

    def around(self, event):
        """Return the smallest bar that an end of an arrow lies in."""
        found = [
            bar
            for bar in self.bars
            if bar["tid"] == event["tid"]
            and bar["ts"] - 1e-6 <= event["ts"] < end_of(bar) + 1e-6
        ]
        assert found, f"{event} is tied to no bar"
        return min(found, key=lambda bar: bar["dur"])

    def names(self):
        return sorted(one["name"] for one in self.bars)


def end_of(bar):
    return bar["ts"] + bar["dur"]


def within(inner, outer):
    return inner["ts"] >= outer["ts"] - 1e-6 and end_of(inner) <= end_of(outer) + 1e-6


def colour(bars, name):
    return next(bar["cname"] for bar in bars if bar["name"] == name)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.json"


@pytest.mark.parametrize("form", FORMS)
def test_a_row_for_each_thread_and_a_bar_for_each_attempt(path, form):
    ref = Ref(0)
    with trace(path):
        transact(form, lambda: ref.set(1), name="here")
        elsewhere(transact, form, lambda: ref.set(2))
    found = Trace(path)
    assert next(iter(found.rows.values())) == "MainThread"
    assert len(found.rows) == len(found.attempts) == 2
    assert found.attempts[0]["name"] == "here #1: committed"
    assert found.attempts[0]["cname"] == "good"
    assert found.attempts[0]["args"]["outcome"] == "committed"
    assert found.attempts[0]["dur"] > 0
    numbers = [one["args"]["commit"] for one in found.attempts]
    assert 0 < numbers[0] < numbers[1]
    assert found.arrows == found.waits == []


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_an_arrow_leads_from_the_commit_to_what_it_overtook(path, form):
    ref, other = Ref(0, name="one"), Ref(0)
    attempts = Attempts()

    def culprit():
        transact(form, lambda: ref.set(1), name="culprit")

    def body():
        attempts.begin()
        ref.deref()
        attempts.once(culprit)
        other.set(2)

    with trace(path):
        transact(form, body, name="victim")
    found = Trace(path)
    assert found.names() == [
        "culprit #1: committed",
        "victim #1: stale read",
        "victim #2: committed",
    ]
    assert colour(found.bars, "victim #1: stale read") == "bad"
    ((one, other_one),) = found.arrows
    assert one["name"] == "culprit #1: committed"
    assert other_one["name"] == "victim #1: stale read"
    assert other_one["args"] == {
        "outcome": "stale read",
        "lost to": "Ref 'one'",
        "lost to commit": one["args"]["commit"],
    }
    assert one["tid"] != other_one["tid"]


def test_the_first_commit_after_the_read_is_the_culprit(path):
    """Later ones are not, as long as the versions between are kept."""
    ref, other = Ref(0, name="one"), Ref(0)
    attempts = Attempts()

    def write(n):
        transact("decorator", lambda: ref.set(n), name=f"writer {n}")

    def body():
        attempts.begin()
        ref.deref()
        if attempts.count == 1:
            snapshot = Parked(lambda park: transact("block", park, read_only=True))
            elsewhere(write, 1)
            between = Parked(lambda park: transact("block", park, read_only=True))
            elsewhere(write, 2)
            snapshot.finish()
            between.finish()
        other.set(1)
        ref.set(5)

    with trace(path):
        transact("decorator", body, name="victim")
    found = Trace(path)
    assert [(a["name"], b["name"]) for a, b in found.arrows] == [
        ("writer 1 #1: committed", "victim #1: stale read")
    ]


def test_a_version_that_is_let_go_just_then_is_no_culprit(monkeypatch):
    """Who looks for the culprit holds nothing: the history is cut as he looks."""

    links = iter([latest(Ref(0))])

    class Cut:
        number = 5

        @property
        def older(self):
            return next(links, None)

    monkeypatch.setattr(_hearing, "latest", lambda cell: Cut())
    assert _hearing._first_after(Ref(0), 3) == 5


def test_a_wait_for_a_held_ref_is_a_bar_inside(path):
    ref = Ref(0, name="one")

    def body(park):
        with dosync(name="holder"):
            ref.set(7)
            park()

    with trace(path):
        holder = Parked(body)
        job = start(transact, "decorator", lambda: ref.set(1))
        blocked(job)
        holder.finish()
        job.join()
    found = Trace(path)
    (wait,) = found.waits
    assert wait["name"].endswith("#1 waits: ref held")
    assert wait["args"]["for"] == "Ref 'one'"
    attempt = next(one for one in found.attempts if one["tid"] == wait["tid"])
    assert within(wait, attempt)
    ((one, other),) = found.arrows
    assert one["name"] == "holder #1: committed"
    assert other is wait


def test_a_wait_in_retry_lies_between_attempts(path):
    ref = Ref(0, name="one")
    with trace(path):
        job = start(transact, "loop", lambda: check(ref.deref()))
        asleep(ref)
        transact("decorator", lambda: ref.set(1), name="waker")
        job.join()
    found = Trace(path)
    (wait,) = found.waits
    first, second = (one for one in found.attempts if one["tid"] == wait["tid"])
    assert first["args"]["outcome"] == "waited"
    assert end_of(first) <= wait["ts"]
    assert end_of(wait) <= second["ts"]
    ((one, other),) = found.arrows
    assert one["name"] == "waker #1: committed"
    assert other is wait


def test_a_plain_block_that_waits_for_its_turn(path):
    def body(park):
        with dosync(name="first"):
            park()

    with trace(path):
        holder = Parked(body)
        job = start(transact, "block", Ref(0).deref)
        blocked(job)
        holder.finish()
        job.join()
    (wait,) = Trace(path).waits
    assert wait["name"] == "a plain block #1 waits: turn of plain blocks"


def test_what_begins_inside_of_an_attempt_has_a_row_below(path):
    ref = Ref(0)
    with trace(path):
        transact(
            "decorator",
            lambda: outside(transact, "decorator", lambda: ref.set(1), name="inner"),
            name="outer",
        )
        transact("decorator", ref.deref, name="next")
    found = Trace(path)
    rows = {one["name"]: found.rows[one["tid"]] for one in found.attempts}
    assert rows == {
        "outer #1: committed": "MainThread",
        "inner #1: committed": "MainThread (2)",
        "next #1: committed": "MainThread",
    }


def test_an_atom_alone_is_no_start_of_an_arrow(path):
    atom, ref, attempts = Atom(0), Ref(0), Attempts()

    def body():
        attempts.begin()
        atom.deref()
        attempts.once(atom.reset, 1)
        ref.set(1)

    with trace(path):
        transact("decorator", body, name="victim")
    found = Trace(path)
    assert found.arrows == []
    assert found.attempts[0]["args"]["outcome"] == "stale read"
    assert found.attempts[0]["args"]["lost to commit"] > 0


def contend(threads=4, times=150):
    """Have threads meet at two refs; return the sum, which shows that none was lost."""
    one, other = Ref(0, name="one"), Ref(0, name="other")

    def work():
        for _ in range(times):

            @dosync(name="work")
            def transaction():
                other.deref()
                one.alter(lambda n: n + 1)
                other.alter(lambda n: n + 1)

            transaction()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_threads(*[work] * threads)
    finally:
        sys.setswitchinterval(before)
    return one.deref()


def test_threads_that_meet(path, monkeypatch):
    monkeypatch.setattr(_trace, "FLUSH", 20)
    with trace(path):
        total = contend()
    found = Trace(path)
    outcomes = [one["args"]["outcome"] for one in found.attempts]
    assert outcomes.count("committed") == total == 600
    commits = {one["args"].get("commit") for one in found.attempts}
    assert len(commits - {None}) == 600
    lost = [one for one in found.attempts if one["args"]["outcome"] == "stale read"]
    assert len([b for _, b in found.arrows if b in lost]) == len(lost)
    for one, other in found.arrows:
        args = other["args"]
        known = args.get("lost to commit") or args.get("ended by commit")
        assert one["args"]["commit"] == known


def test_it_is_written_as_it_comes_and_little_is_kept(path, monkeypatch):
    monkeypatch.setattr(_trace, "FLUSH", 10)
    monkeypatch.setattr(_arrows, "COMMITS", 30)
    ref = Ref(0)
    with trace(path):
        sizes = []
        for n in range(100):
            transact("decorator", lambda n=n: ref.set(n), name="work")
            sizes.append(path.stat().st_size)
    assert sizes[5] < sizes[50] < sizes[95] < path.stat().st_size
    assert len(Trace(path).attempts) == 100


def test_old_commits_and_arrows_are_forgotten(monkeypatch):
    monkeypatch.setattr(_arrows, "COMMITS", 10)
    monkeypatch.setattr(_arrows, "ARROWS", 5)
    arrows = _arrows.Arrows()
    for number in range(1, 31):
        arrows.start(number, 1, number, number + 1)
        assert arrows.events(0) == []
        assert len(arrows._commits) <= 11
    for number in range(3, 40):
        arrows.end(number, 2, 100)
    assert len(arrows._arrows) == 5
    assert arrows.events(0) == []
    arrows.end(30, 2, 100)
    arrows.end(3, 2, 100)
    assert [(one["ph"], one["tid"], one["ts"]) for one in arrows.events(0)] == [
        ("s", 1, 0.03),
        ("f", 2, 0.1),
    ]
    assert 3 not in [one.commit for one in arrows._arrows]


def test_threads_that_have_ended_are_forgotten(path, monkeypatch):
    tracers = []
    init = _trace.Tracer.__init__
    monkeypatch.setattr(
        _trace.Tracer,
        "__init__",
        lambda self, file: (tracers.append(self), init(self, file))[1],
    )
    ref = Ref(0)
    with trace(path):
        for _ in range(20):
            elsewhere(transact, "decorator", lambda: ref.set(1))
        assert len(tracers[0]._threads) <= 2
    assert len(Trace(path).attempts) == 20


@pytest.mark.parametrize("how", ["thread has ended", "trace ends"])
def test_an_attempt_that_ends_just_then_has_one_bar(path, how):
    """Its thread is about to be forgotten, or the trace is closed."""
    ref, number = Ref(0), itertools.count()

    def generator():
        with dosync(read_only=True, name="block"):
            yield ref.deref()

    def begun():
        block = generator()
        next(block)
        return block

    def scenario():
        file = path.with_name(f"trace{next(number)}.json")
        tracing = trace(file)
        tracing.__enter__()
        block = elsewhere(begun) if how == "thread has ended" else Context().run(begun)

        def other():
            if how == "thread has ended":
                transact("decorator", ref.deref, name="other")
            else:
                tracing.__exit__(None, None, None)

        def check(*_):
            tracing.__exit__(None, None, None) if how == "thread has ended" else None
            names = [name for name in Trace(file).names() if name.startswith("block")]
            assert len(names) == 1, names

        return block.close, other, check

    moments = in_the_middle(_trace.Tracer.ended, _trace.Tracer._keep)
    assert preempted_at_each_opcode(scenario, moments) > 20


def test_the_picture_of_the_manual(path):
    """It draws each bar and arrow of the span that it shows, as XML."""
    with trace(path):
        contend(3, 40)
    picture = runpy.run_path(str(ROOT / "docs" / "pictures" / "trace.py"))
    drawn = picture["choose"](picture["read"](path))
    svg = ElementTree.fromstring(picture["draw"](drawn))
    assert len(list(svg.iter(f"{SVG}title"))) == len(drawn.bars) > 0
    arrows = [one for one in svg.iter(f"{SVG}path") if one.get("marker-end")]
    assert len(arrows) == len(drawn.arrows)
    kept = ElementTree.parse(ROOT / "docs" / "pictures" / "trace.svg")
    names = {one.text.partition(": ")[2] for one in kept.iter(f"{SVG}title")}
    assert names > {"committed", "stale read"}


# What goes wrong


def test_an_exception_inside_leaves_a_whole_file(path):
    with pytest.raises(ZeroDivisionError):
        with trace(path):
            with dosync(name="work"):
                raise ZeroDivisionError
    assert Trace(path).names() == ["work #1: exception"]
    assert not _places


def test_what_has_not_ended_is_drawn_to_the_end(path):
    def body(park):
        with dosync(name="long"):
            park()

    with trace(path):
        holder = Parked(body)
    holder.finish()
    (bar,) = Trace(path).attempts
    assert bar["name"] == "long #1: still running"
    assert bar["cname"] == "yellow"


@pytest.mark.parametrize("name", ["nowhere/trace.json", ".", "a\0b"])
def test_a_bad_path_is_refused_before_anything_runs(tmp_path, name):
    with pytest.raises(TraceFileError, match="the trace cannot be written to"):
        with trace(os.path.join(tmp_path, name)):
            pytest.fail("it has run")
    assert not _places


def test_a_file_that_another_trace_is_written_to_is_refused(path, tmp_path):
    ref = Ref(0)
    (tmp_path / "link.json").symlink_to(path)
    with trace(path):
        transact("decorator", ref.deref, name="first")
        for name in (path, tmp_path / "link.json"):
            with pytest.raises(TraceFileError, match="another trace is"), trace(name):
                pytest.fail("it ran")
        transact("decorator", ref.deref, name="second")
    assert Trace(path).names() == ["first #1: committed", "second #1: committed"]
    with trace(path):  # it is replaced
        transact("decorator", ref.deref, name="third")
    assert Trace(path).names() == ["third #1: committed"]


def test_of_two_that_open_a_file_at_once_one_is_refused(path):
    def scenario():
        def claim():
            try:
                return TraceFile(path)
            except TraceFileError:
                return None

        def check(*files):
            opened = [one for one in files if one is not None]
            for one in opened:
                one.close()
            assert len(opened) == 1

        return claim, claim, check

    assert preempted_at_each_opcode(scenario, in_the_middle(TraceFile._claim)) > 20


@pytest.mark.parametrize("path", [None, 1, b"trace.json"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match=r"path must be a str or an os\.PathLike"):
        with trace(path):
            pytest.fail("it has run")
    assert not _places


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no /dev/full")
def test_a_full_disk_reaches_no_transaction():
    ref = Ref(0)
    with pytest.raises(TraceFileError, match="No space left"):
        with trace("/dev/full"):
            transact("decorator", lambda: ref.set(1))
    assert ref.deref() == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no /dev/full")
def test_a_full_disk_hides_no_other_exception():
    with pytest.raises(ZeroDivisionError):
        with trace("/dev/full"):
            raise ZeroDivisionError


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_child_of_a_fork_leaves_the_file_alone(path, monkeypatch):
    monkeypatch.setattr(_trace, "FLUSH", 1)
    ref = Ref(0)
    child = -1
    try:
        with trace(path):
            transact("decorator", lambda: ref.set(1), name="before")
            child = os.fork()
            name = "child" if child == 0 else "parent"
            transact("decorator", lambda: ref.set(2), name=name)
        assert not _places
    except BaseException:
        if child == 0:
            os._exit(1)
        raise
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert Trace(path).names() == ["before #1: committed", "parent #1: committed"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_child_of_a_fork_keeps_nothing_of_a_trace(path):
    """It may go on for long without leaving the ``with``: a pool of processes does."""
    ref = Ref(0)
    with trace(path):
        (tracer,) = _hearing._listening.listeners
        child = os.fork()
        if child == 0:
            status = 1
            try:
                transact("decorator", lambda: ref.set(1))
                elsewhere(lambda: transact("decorator", lambda: ref.set(2)))
                assert not tracer._arrows._commits
                assert not any(thread.bars for thread in tracer._threads)
                status = 0
            finally:
                os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_bars_are_kept_while_another_one_writes(path, monkeypatch):
    """A signal handler may run a transaction in the middle of writing."""
    monkeypatch.setattr(_trace, "FLUSH", 1)
    ref, times = Ref(0), []
    write = TraceFile.write

    def interrupted(file, events):
        if len(times) < 2:
            times.append(1)
            transact("decorator", lambda: ref.set(1), name="handler")
        write(file, events)

    monkeypatch.setattr(_tracefile.TraceFile, "write", interrupted)
    with trace(path):
        transact("decorator", lambda: ref.set(2), name="work")
    assert Trace(path).names() == ["handler #1: committed"] * 2 + ["work #1: committed"]
