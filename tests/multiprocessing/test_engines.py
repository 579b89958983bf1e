"""What every engine does for a space."""

from __future__ import annotations

import os
from time import monotonic

import pytest
from children import PATIENCE, Child
from helpers import Job
from interrupts import preempted_at_each_opcode, within

from atomos.errors import SpaceClosedError, SpaceError
from atomos.multiprocessing._connections import Pool
from atomos.multiprocessing._engines import open_engine
from atomos.multiprocessing._store import KEEP

ME = b"0123456789abcdef"
MARK = b"a mark"


def write(engine, read=None, since=-1, client=ME, mark=MARK, **writes):
    """Commit what `writes` says, with the queue held."""
    engine.queue.take(monotonic() + PATIENCE)
    try:
        return engine.commit(
            read or {},
            {b"c" + key.encode(): value for key, value in writes.items()},
            client,
            mark,
            since,
        )
    finally:
        engine.queue.leave()


def stamp(number):
    return number.to_bytes(8, "big")


def test_a_record_is_a_stamp_and_a_payload(engine):
    number = write(engine, a=b"one", b=b"")
    assert engine.get(b"ca") == stamp(number) + b"one"
    assert engine.get(b"cb") == stamp(number)
    assert engine.get(b"cx") is None


def test_numbers_grow(engine):
    before = engine.number()
    first, second = write(engine, a=b"1"), write(engine, a=b"2")
    assert before < first < second
    assert engine.number() == second


def test_a_snapshot_stays_as_it_is(engine):
    number = write(engine, a=b"old", b=b"old")
    snapshot = engine.snapshot()
    assert snapshot.number == number
    write(engine, a=b"new", c=b"new")
    assert snapshot.get(b"ca") == stamp(number) + b"old"
    assert snapshot.get(b"cb") == stamp(number) + b"old"
    assert snapshot.get(b"cc") is None
    assert engine.get(b"ca")[8:] == b"new"
    snapshot.end()


def test_a_snapshot_is_ended_by_another_thread_and_twice(engine):
    write(engine, a=b"1")
    snapshot = engine.snapshot()
    assert snapshot.get(b"ca")[8:] == b"1"
    Job(snapshot.end).join()
    snapshot.end()
    with pytest.raises(SpaceClosedError):
        snapshot.get(b"ca")


def test_many_snapshots_at_once(engine):
    snapshots = []
    for n in range(50):
        number = write(engine, a=b"%d" % n)
        snapshots.append((engine.snapshot(), stamp(number) + b"%d" % n))
    for snapshot, record in snapshots:
        assert snapshot.get(b"ca") == record
        snapshot.end()


def test_a_commit_whose_reads_are_unchanged(engine):
    write(engine, a=b"1")
    record = engine.get(b"ca")
    write(engine, b=b"1")
    assert write(engine, {b"ca": record, b"cx": None}, a=b"2") is not None
    assert engine.get(b"ca")[8:] == b"2"
    short = engine.get(b"ca")[:8]
    assert write(engine, {b"ca": short}, a=b"3") is not None


@pytest.mark.parametrize("seen", ["old", "nothing", "something"])
def test_a_commit_whose_reads_have_changed(engine, seen):
    write(engine, a=b"1")
    old = engine.get(b"ca")
    number = write(engine, a=b"1")
    read = {
        "old": {b"ca": old},
        "nothing": {b"ca": None},
        "something": {b"cx": old},
    }[seen]
    for full in (True, False):
        cut = {key: one and one[: None if full else 8] for key, one in read.items()}
        assert write(engine, cut, a=b"2", mark=b"other") is None
    assert engine.get(b"ca") == stamp(number) + b"1"
    assert engine.number() == number
    assert engine.mark(ME)[8:] == MARK


def test_since_the_newest_number_nothing_has_to_be_compared(engine):
    write(engine, a=b"1")
    old = engine.get(b"ca")
    number = write(engine, a=b"2")
    assert write(engine, {b"ca": old}, since=old[7], a=b"3") is None
    now = engine.get(b"ca")
    assert write(engine, {b"ca": now}, since=number, a=b"3") == number + 1


def test_a_commit_that_writes_nothing_but_its_mark(engine):
    number = write(engine, a=b"1")
    assert write(engine, mark=b"next") > number
    assert engine.mark(ME)[8:] == b"next"


def test_the_mark_is_of_the_newest_commit_of_the_client(engine):
    assert engine.mark(ME) is None
    first = write(engine, a=b"1", mark=b"1")
    assert engine.mark(ME) == stamp(first) + b"1"
    second = write(engine, a=b"2", mark=b"2")
    write(engine, a=b"3", client=b"x" * 16)
    assert engine.mark(ME) == stamp(second) + b"2"


def test_old_marks_are_dropped_and_new_ones_kept(engine):
    def client(n):
        return n.to_bytes(16, "big")

    many = 2 * KEEP + 100
    for n in range(many):
        write(engine, client=client(n))
    known = [n for n in range(many) if engine.mark(client(n)) is not None]
    assert known == list(range(known[0], many))
    assert KEEP // 2 <= len(known) <= KEEP + 64


def test_settle_changes_nothing(engine):
    number = write(engine, a=b"1")
    engine.queue.take()
    engine.settle()
    engine.queue.leave()
    assert engine.number() == number
    assert engine.get(b"ca") == stamp(number) + b"1"


def test_large_and_strange_payloads(engine):
    large = os.urandom(3_000_000)
    write(engine, a=large, b=bytes(100))
    assert engine.get(b"ca")[8:] == large
    assert engine.get(b"cb")[8:] == bytes(100)


def test_one_engine_for_a_folder_and_it_is_counted(opened, kind, place, tmp_path):
    engine = opened()
    link = tmp_path / "link"
    link.symlink_to(place)
    assert opened(folder=str(link)) is engine
    engine.close()
    write(engine, a=b"1")
    engine.close()
    for call in (engine.snapshot, engine.number, lambda: engine.get(b"ca")):
        with pytest.raises(SpaceClosedError, match="open it again"):
            call()
    with pytest.raises(SpaceClosedError):
        write(engine, a=b"1")
    engine.close()
    again = opened()
    assert again is not engine
    assert again.get(b"ca")[8:] == b"1"


def test_open_with_another_engine(engine, kind, place):
    other = {"sqlite": "lmdb", "lmdb": "sqlite"}[kind]
    with pytest.raises(SpaceError, match=f"open in this process with {engine.name}"):
        open_engine(other, place, durable=False, size=1 << 20)


def test_durable(opened):
    engine = opened(durable=True)
    number = write(engine, a=b"1")
    assert engine.get(b"ca") == stamp(number) + b"1"


def test_files_are_for_their_owner_alone(engine, place):
    write(engine, a=b"1")
    modes = {file.name: file.stat().st_mode & 0o777 for file in os.scandir(place)}
    assert set(modes.values()) == {0o600}, modes
    assert os.path.exists(engine.path)


def test_after_a_fork_both_go_on(engine):
    first = write(engine, a=b"1")
    snapshot = engine.snapshot()
    assert snapshot.get(b"ca")[8:] == b"1"

    def go_on(line):
        with pytest.raises(SpaceClosedError, match="the process that began it"):
            snapshot.get(b"ca")
        snapshot.end()
        mine = engine.snapshot()
        line.say(engine.get(b"ca"))
        line.hear()
        line.say(mine.get(b"ca"))
        mine.end()
        line.say(write(engine, b=b"child", client=b"c" * 16))
        engine.close()

    with Child(go_on) as child:
        assert child.hear() == stamp(first) + b"1"
        second = write(engine, a=b"2")
        child.say()
        assert child.hear() == stamp(first) + b"1"
        assert child.hear() == second + 1
    for n in range(20):  # pages that nobody sees are used again
        write(engine, a=b"%d" % n)
    assert snapshot.get(b"ca") == stamp(first) + b"1"
    snapshot.end()
    assert engine.get(b"cb")[8:] == b"child"
    write(engine, a=b"3")


@pytest.mark.parametrize("first", ["close", "end"])
def test_closed_while_a_snapshot_ends(place, first):
    """A connection to SQLite is closed once, and is not called after that."""

    def scenario():
        engine = open_engine("sqlite", place, durable=False, size=1 << 20)
        snapshot, pool, used = engine.snapshot(), engine._pool, []

        def end():
            try:
                snapshot.end()
            except BaseException as error:
                used.append(error)

        def check(*_):
            assert not used
            assert not pool._all
            assert not pool._idle
            with pytest.raises(SpaceClosedError):
                engine.get(b"ca")

        both = (engine.close, end) if first == "close" else (end, engine.close)
        return *both, check

    moments = within(Pool.close, Pool._close_idle, Pool.give_back, Pool._drop)
    assert preempted_at_each_opcode(scenario, moments) > 20


def test_a_child_goes_on_when_the_parent_closes(opened):
    """It is not taken for nobody: its own locks keep the log of SQLite."""
    engine = opened()
    write(engine, a=b"1")
    open_at_the_fork = engine.snapshot()

    def go_on(line):
        line.say(write(engine, b=b"before", client=b"c" * 16))
        line.hear()
        line.say(write(engine, c=b"after", client=b"c" * 16))

    with Child(go_on) as child:
        child.hear()
        open_at_the_fork.end()
        engine.close()
        again = opened()
        assert again.get(b"cb")[8:] == b"before"
        child.say()
        number = child.hear()
        assert again.get(b"cc") == stamp(number) + b"after"
        assert write(again, a=b"2") == number + 1


def test_a_child_ends_and_the_parent_goes_on(engine):
    """What the child has inherited is not taken for the last that uses the file."""
    write(engine, a=b"1")
    snapshot = engine.snapshot()

    def end(line):
        write(engine, b=b"child", client=b"c" * 16)
        engine.close()

    with Child(end):
        pass
    number = write(engine, a=b"2")
    assert snapshot.get(b"ca")[8:] == b"1"
    assert snapshot.get(b"cb") is None
    snapshot.end()
    with Child(lambda line: line.say(engine.get(b"ca"))) as child:
        assert child.hear() == stamp(number) + b"2"


def test_a_fork_while_other_threads_read_and_write(engine):
    write(engine, a=b"0")
    stop = []

    def work(n):
        while not stop:
            write(engine, client=b"%016d" % n, a=b"%d" % n)
            engine.number()
            snapshot = engine.snapshot()
            snapshot.get(b"ca")
            snapshot.end()

    jobs = [Job(work, n) for n in range(3)]

    def look(line):
        line.say(engine.get(b"ca") is not None)
        line.say(write(engine, client=b"c" * 16, b=b"1") is not None)

    try:
        for _ in range(20):
            with Child(look) as child:
                assert child.hear()
                assert child.hear()
    finally:
        stop.append(1)
        for job in jobs:
            job.join()


def add(engine, client):
    """Add one to a counter, which is in two keys."""
    while True:
        snapshot = engine.snapshot()
        seen = {key: snapshot.get(key) for key in (b"ca", b"cb")}
        number = snapshot.number
        snapshot.end()
        assert seen[b"ca"] == seen[b"cb"]
        more = b"%d" % (int(seen[b"ca"][8:]) + 1)
        done = write(engine, seen, number, client, more, a=more, b=more)
        if done is not None:
            return


def test_threads_of_processes_count(opened, kind, place):
    engine = opened()
    write(engine, a=b"0", b=b"0")

    def count(line, who):
        engine = open_engine(kind, place, durable=False, size=64 << 20)

        def many(n):
            for _ in range(50):
                add(engine, b"%015d" % n + who)

        line.hear()
        jobs = [Job(many, n) for n in range(4)]
        for job in jobs:
            job.join()

    with Child(count, b"x") as one, Child(count, b"y") as two:
        one.say()
        two.say()
    assert engine.get(b"ca")[8:] == engine.get(b"cb")[8:] == b"400"
