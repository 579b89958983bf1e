"""What goes wrong around a space is told, and costs nothing that was committed."""

from __future__ import annotations

import errno
import importlib
import os
import resource
import signal
import sqlite3
import sys
from itertools import count
from time import monotonic
from types import SimpleNamespace

import pytest
from children import Child
from helpers import Job, elsewhere
from interrupts import Interrupted, interrupted_at_each_point
from kills import campaign
from test_engines import ME, stamp, write

from atomos.errors import (
    SpaceAccessError,
    SpaceBusyError,
    SpaceClosedError,
    SpaceCorruptError,
    SpaceError,
    SpaceFullError,
)
from atomos.multiprocessing._calls import entered, left
from atomos.multiprocessing._engines import open_engine
from atomos.multiprocessing._faults import translated

#: `make soak-processes` asks for more.
#: A connection that was just made may go before it is stored; it is closed as it goes.
INTERRUPTED = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
KILLS = int(os.environ.get("ATOMOS_KILLS", "20"))

NOBODY = 65534


def test_killed_writers(kind, place):
    assert campaign(kind, place, KILLS) > 0


def test_killed_readers_do_not_fill_the_map(opened, kind, place):
    """Each leaves its snapshot behind, and with it the pages that it saw."""
    engine = opened(size=4 << 20)
    payload = os.urandom(100_000)
    write(engine, a=payload)

    def read(line):
        snapshot = engine.snapshot()
        line.say(len(snapshot.get(b"ca")))
        line.hear()

    for n in range(5):
        child = Child(read)
        child.hear()
        child.kill()
        for _ in range(20):
            try:
                write(engine, a=payload, client=b"%016d" % n)
            except SpaceFullError:
                write(engine, a=payload, client=b"%016d" % n)


def announced(engine):
    """Return what the head of LMDB's lock file says, as numbers of 8 bytes."""
    with open(engine.path + "-lock", "rb") as file:
        return memoryview(file.read(192)).cast("Q").tolist()


def test_what_a_killed_writer_left_half_done_is_settled(opened, kind):
    """A writer of LMDB is killed when its commit is in the file but not announced."""
    if kind != "lmdb":
        pytest.skip("SQLite has no such state: a commit is what its log has in full")
    engine = opened()

    def commit_and_die(line):
        write(engine, a=b"1")
        number = write(engine, a=b"2")
        before = announced(engine)
        assert write(engine, a=b"3") == number + 1
        after = announced(engine)
        where = [n for n in range(24) if before[n] == number and after[n] == number + 1]
        _txn = engine._begin(None, None, True)  # it dies with LMDB's lock of writers
        fd = os.open(engine.path + "-lock", os.O_RDWR)
        os.pwrite(fd, number.to_bytes(8, sys.byteorder), 8 * where[0])
        line.say(number)
        line.hear()

    child = Child(commit_and_die)
    number = child.hear()
    child.kill()
    assert engine.number() == number
    assert engine.get(b"ca")[8:] == b"2"
    engine.queue.take()
    engine.settle()
    assert engine.number() == number + 1
    assert engine.get(b"ca")[8:] == b"3"
    engine.queue.leave()


def hold(line, engine):
    engine.queue.take()
    line.say()
    line.hear()
    engine.queue.leave()


@pytest.mark.parametrize("then", ["continue", "kill"])
def test_a_stopped_writer(engine, then):
    number = write(engine, a=b"1")
    child = Child(hold, engine)
    child.hear()
    child.stop()
    with pytest.raises(SpaceBusyError, match=rf"{child.pid} \(stopped\) holds"):
        engine.queue.take(monotonic() + 0.02)
    assert engine.get(b"ca") == stamp(number) + b"1"  # readers wait for nobody
    snapshot = engine.snapshot()
    assert snapshot.get(b"ca") == stamp(number) + b"1"
    snapshot.end()
    if then == "continue":
        child.signal(signal.SIGCONT)
        child.say()
        assert child.wait() == 0
    child.kill()
    engine.queue.take(monotonic() + 2.0)
    engine.queue.leave()
    assert write(engine, a=b"2") > number


def fill(engine, size=20_000):
    """Write until there is no more room; return what was written, by its key."""
    written = {}
    for n in range(10_000):
        payload = os.urandom(size)
        try:
            write(engine, **{str(n): payload})
        except SpaceFullError as error:
            return written, error
        written[b"c%d" % n] = payload
    pytest.fail("it is never full")


def test_a_full_map(opened):
    engine = opened(size=1 << 20)
    written, error = fill(engine)
    assert engine.path in str(error)
    assert "nothing was written" in str(error)
    assert isinstance(error, OSError)
    assert error.__cause__ is not None
    number = engine.number()
    with pytest.raises(SpaceFullError):
        write(engine, big=os.urandom(200_000), mark=b"never")
    assert engine.number() == number
    assert engine.get(b"cbig") is None
    assert engine.mark(ME)[8:] != b"never"
    for key, payload in written.items():
        assert engine.get(key)[8:] == payload
    engine.close()
    larger = opened(size=8 << 20)
    write(larger, big=os.urandom(2_000_000))


def test_a_file_that_may_not_grow(kind, place):
    """As on a full disk: the system refuses to write."""

    def until_full(line):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        engine = open_engine(kind, place, durable=False, size=1 << 30)
        written = {}
        try:
            for n in range(1000):
                payload = os.urandom(20_000)
                write(engine, **{str(n): payload})
                written[b"c%d" % n] = payload
        except SpaceError as error:
            line.say((type(error).__name__, str(error)))
        line.say(all(engine.get(key)[8:] == written[key] for key in written))
        line.say(len(written))
        engine.close()

    with Child(until_full) as child:
        name, text = child.hear()
        assert name in ("SpaceFullError", "SpaceError")
        assert place in text
        assert child.hear()
        many = child.hear()
    engine = open_engine(kind, place, durable=False, size=1 << 30)
    assert all(engine.get(b"c%d" % n) for n in range(many))
    assert engine.get(b"c%d" % many) is None
    write(engine, more=os.urandom(20_000))
    engine.close()


def test_a_write_that_is_cut_short_on_a_full_disk(kind, monkeypatch):
    if kind != "lmdb":
        pytest.skip("SQLite says itself that the disk is full")
    error = importlib.import_module("lmdb").Error("cut short")
    error.code = errno.EIO
    assert type(translated(error, "/tmp/space")) is SpaceError
    full = SimpleNamespace(f_bavail=10, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    assert type(translated(error, "/tmp/space")) is SpaceFullError


@INTERRUPTED
def test_an_exception_anywhere_in_a_commit(engine, dropped):
    """All is written or nothing, the mark tells which, and the next writer gets on."""
    write(engine, a=b"0", b=b"0", mark=b"0")
    rounds = count(1)
    made = {}

    def scenario(tracer):
        made["n"] = b"%d" % next(rounds)
        read = {key: engine.get(key) for key in (b"ca", b"cb")}
        writes = dict.fromkeys(read, made["n"])

        def run():
            try:
                engine.queue.take(monotonic() + 2.0)
                engine.commit(read, writes, ME, made["n"], -1)
                engine.queue.leave()
            except Interrupted:
                while engine.queue.held:
                    engine.queue.leave()
                raise

        return run

    def check():
        one, other = engine.get(b"ca"), engine.get(b"cb")
        assert one == other
        assert (engine.mark(ME)[8:] == made["n"]) == (one[8:] == made["n"])
        Job(write, engine, None, -1, b"y" * 16).join()
        with Child(lambda line: line.say(engine.number())) as child:
            assert child.hear() == engine.number()

    start = monotonic()
    assert interrupted_at_each_point(scenario, check) > 10
    assert monotonic() - start < 10.0  # no fork has waited for who is not inside


@INTERRUPTED
def test_an_exception_anywhere_in_a_snapshot(engine, dropped):
    """What it has begun is over, so the pages that it saw are used again."""
    write(engine, a=b"0")

    def scenario(tracer):
        def run():
            snapshot = None
            try:
                snapshot = engine.snapshot()
                snapshot.get(b"ca")
                engine.get(b"ca")
                snapshot.end()
            finally:
                if snapshot is not None:
                    snapshot.end()

        return run

    def check():
        number = write(engine, a=b"1")
        assert engine.get(b"ca") == stamp(number) + b"1"

    assert interrupted_at_each_point(scenario, check) > 5


def damaged(opened, change):
    """Make a space, close it, change its file, and open it again."""
    engine = opened()
    for n in range(50):
        write(engine, **{str(n): os.urandom(1000)})
    engine.close()
    with open(engine.path, "r+b") as file:
        change(file)
    return engine.path


CHANGES = {
    "garbage": lambda file: file.write(os.urandom(20_000)),
    "cut off": lambda file: file.truncate(20_480),
    "cut short": lambda file: file.truncate(100),
    "empty": lambda file: file.truncate(0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_file(opened, place, change):
    path = damaged(opened, CHANGES[change])
    before = os.stat(path).st_size
    with pytest.raises(SpaceCorruptError) as caught:
        opened()
    assert path in str(caught.value)
    assert "restore" in str(caught.value)
    assert os.stat(path).st_size == before


def test_a_missing_file(opened):
    engine = opened()
    engine.close()
    os.unlink(engine.path)
    with pytest.raises(SpaceCorruptError, match="missing or empty"):
        opened()


def test_a_file_of_no_engine(opened, kind, place):
    name = {"sqlite": "space.sqlite", "lmdb": "space.lmdb"}[kind]
    with open(os.path.join(place, name), "wb") as file:
        file.write(b"Dear diary, " * 1000)
    with pytest.raises(SpaceCorruptError, match="another program"):
        opened()


def test_a_file_of_another_program(opened, kind, place):
    if kind == "sqlite":
        path = os.path.join(place, "space.sqlite")
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE diary (day, text)")
        other.close()
    else:
        lmdb = importlib.import_module("lmdb")
        path = os.path.join(place, "space.lmdb")
        with lmdb.open(path, subdir=False) as env, env.begin(write=True) as txn:
            txn.put(b"day", b"text")
    with pytest.raises(SpaceCorruptError, match="another program"):
        opened()


@pytest.mark.parametrize("what", ["folder", "file", "page"])
def test_without_rights(opened, kind, place, what):
    engine = opened()
    engine.close()
    forbidden = {
        "folder": place,
        "file": engine.path,
        "page": os.path.join(place, "page"),
    }
    if os.geteuid() == 0 and what != "folder":
        os.chmod(place, 0o777)
        for name in os.listdir(place):
            os.chmod(os.path.join(place, name), 0o666)
    os.chmod(forbidden[what], 0o000)

    def attempt(line):
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        try:
            open_engine(kind, place, durable=False, size=64 << 20)
        except SpaceAccessError as error:
            line.say(str(error))

    with Child(attempt) as child:
        assert place in child.hear()
    os.chmod(place, 0o700)


def test_a_folder_that_is_not_there(kind, place):
    with pytest.raises(SpaceError, match="make its folder first"):
        open_engine(kind, place + "/none", durable=False, size=1 << 20)


def test_without_py_lmdb(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(SpaceError, match=r"pip install atomos\[lmdb\]"):
        open_engine("lmdb", place, durable=False, size=1 << 20)


def test_py_lmdb_is_imported_only_when_it_is_asked_for(place):
    def look(line):
        sys.modules.pop("lmdb", None)
        open_engine("sqlite", place, durable=False, size=1 << 20).close()
        line.say("lmdb" in sys.modules)

    with Child(look) as child:
        assert child.hear() is False


def test_closed_while_a_snapshot_is_held(opened):
    engine = opened()
    write(engine, a=b"1")
    snapshot = engine.snapshot()
    engine.close()
    with pytest.raises(SpaceClosedError):
        snapshot.get(b"ca")
    snapshot.end()
    again = opened()
    assert again.get(b"ca")[8:] == b"1"


@pytest.mark.parametrize("kind", ["sqlite"])
def test_closed_while_another_thread_is_in_a_call(opened, kind):
    """To close its connection meanwhile would crash the process."""
    engine = opened()
    entered()
    try:
        connection = engine._pool.take()
        elsewhere(engine.close)
        assert connection.execute("SELECT 1").fetchone() == (1,)
        engine._pool.give_back(connection)
    finally:
        left()
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")
