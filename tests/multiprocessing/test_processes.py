"""Cells that are passed to other processes are the same there."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise

import pytest
from helpers import start
from shared import METHODS, Process

from atomos import dosync
from atomos.errors import (
    SpaceBusyError,
    SpaceError,
    TransactionStateError,
    TransactionTimeout,
)
from atomos.multiprocessing import (
    Atom,
    AtomicInteger,
    Ref,
    _queue,
    atomically,
    check,
    commit_id,
)
from atomos.multiprocessing import open as open_space
from atomos.multiprocessing.atomic import AtomicNumber

METHOD = pytest.mark.parametrize("method", METHODS)


def transfer_often(pipe, accounts, hits, seed, times):
    """Move money about, in each form."""

    def move(k):
        one, other = accounts[(seed + k) % 4], accounts[(seed + 3 * k + 1) % 4]
        one.alter(lambda v: v - 1)
        other.alter(lambda v: v + 1)
        hits.increment_and_get()

    function = dosync(move)
    for k in range(times):
        if k % 4 == 0:
            function(k)
        elif k % 4 == 1:
            atomically(move, k)
        elif k % 4 == 2:
            for tx in dosync():
                with tx:
                    move(k)
        else:
            with dosync():
                move(k)
    return times


@METHOD
def test_transfers(method):
    accounts, hits = [Ref(100) for _ in range(4)], AtomicInteger()
    workers = [
        Process(method, transfer_often, accounts, hits, seed, 40) for seed in range(3)
    ]
    audit = dosync(lambda: (sum(ref.deref() for ref in accounts), hits.get()))
    seen = 0
    while seen < 120:
        total, seen = audit()
        assert total == 400
    assert [worker.join() for worker in workers] == [40] * 3


def send_back(pipe, *cells):
    atomically(lambda: [cell.set(5) for cell in cells[:1]])
    return cells


@METHOD
def test_they_come_back_as_they_were(method):
    cells = (
        Ref(1, name="ref"),
        Atom([1], name="atom"),
        AtomicInteger(7),
        AtomicNumber(ctypes.c_byte, 127),
    )
    back = Process(method, send_back, *cells).join()
    assert all(one is other for one, other in zip(back, cells, strict=True))
    assert cells[0].deref() == 5
    assert cells[3].increment_and_get() == -128


def make_one(pipe, ref):
    """Make a ref in the child, and use it together with that of the parent."""
    mine = Ref(1, name="of the child")
    with dosync():
        mine.set(ref.deref() + 1)
    return mine


@METHOD
def test_what_a_child_makes_can_be_used_with_what_it_was_given(method):
    ref = Ref(10)
    mine = Process(method, make_one, ref).join()
    assert mine.deref() == 11
    with dosync():
        ref.set(mine.deref() + 1)
    assert ref.deref() == 12
    assert repr(mine) == "Ref(11, name='of the child')"


def add(counter):
    return counter.increment_and_get()


@METHOD
def test_a_pool(method):
    counter = AtomicInteger()
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert sorted(pool.map(add, [counter] * 6)) == [1, 2, 3, 4, 5, 6]


def wait_and_answer(pipe, asked, answer):
    pipe.send("waits")

    @dosync
    def wait():
        check(asked.deref() > 0)
        return answer.set(asked.deref() * 2)

    return wait()


@METHOD
def test_a_wait_ends_with_the_commit_of_another_process(method):
    asked, answer = Ref(0), Ref(0)
    child = Process(method, wait_and_answer, asked, answer)
    assert child.said() == "waits"
    with dosync():
        asked.set(21)
    assert dosync(lambda: check(answer.deref()) or answer.deref())() == 42
    assert child.join() == 42


def change_often(pipe, atom, times):
    for _ in range(times):
        atom.swap(lambda n: n + 1)


@METHOD
def test_watches_hear_of_other_processes(method):
    """Each call begins where the one before has ended; the last one is told."""
    atom, heard = Atom(0), []
    done = AtomicInteger()

    def watch(key, ref, old, new):
        heard.append((old, new))
        if new == 20:
            done.set(1)

    atom.add_watch("w", watch)
    Process(method, change_often, atom, 20).join()
    done.wait_for(lambda n: n == 1, timeout=30)
    assert heard[0][0] == 0
    assert heard[-1][1] == 20
    assert all(one[1] == other[0] for one, other in pairwise(heard))
    atom.remove_watch("w")


def hold(pipe, ref, space):
    with dosync():
        ref.set(1)
        pipe.send("holds")
        pipe.recv()


@METHOD
def test_a_killed_process_leaves_nothing(method):
    """Nothing of its block is there, and its queue is free at once."""
    ref, other = Ref(0), Ref(0)
    child = Process(method, hold, ref, None)
    assert child.said() == "holds"
    waiting = start(atomically, lambda: other.alter(lambda v: v + 1))
    child.kill()
    assert waiting.join() == 1
    assert ref.deref() == 0


@METHOD
def test_a_stopped_writer(method, monkeypatch):
    """Others are told who it is, and go on when it goes on."""
    monkeypatch.setattr(_queue, "_PATIENCE", 0.05)
    ref, hits = Ref(0), AtomicInteger()
    child = Process(method, hold, ref, None)
    assert child.said() == "holds"
    os.kill(child.pid, signal.SIGSTOP)
    told = rf"process {child.pid} \(stopped\) .*kill -CONT {child.pid}"
    try:
        with pytest.raises(TransactionTimeout, match=told):
            dosync(timeout=0.05)(lambda: ref.set(2))()
        with pytest.raises(TransactionTimeout, match=told):
            with dosync(timeout=0.05):
                ref.deref()
        for call in (hits.increment_and_get, dosync(lambda: ref.set(2))):
            with pytest.raises(SpaceBusyError, match=told):
                call()
        assert (ref.deref(), hits.get()) == (0, 0)  # who reads waits for nobody
    finally:
        os.kill(child.pid, signal.SIGCONT)
    waiting = start(hits.increment_and_get)
    child.tell("end")
    child.join()
    assert waiting.join() == 1
    assert dosync(lambda: ref.alter(lambda n: n + 1))() == 2


def name_commit(pipe, path, die):
    space = open_space(path)
    ref = space.ref("ref", default=0)

    @dosync
    def body():
        ref.alter(lambda v: v + 1)
        pipe.send(commit_id())
        if die:
            pipe.recv()

    body()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("die", [False, True])
def test_the_survivor_can_tell(space, die):
    """A process is killed just before its commit, or just after it."""
    child = Process("spawn", name_commit, space.path, die)
    id = child.said()
    if not die:
        child.process.join()
    child.kill()
    assert space.committed(id) is not die
    assert space.ref("ref").deref() == (0 if die else 1)


def test_a_transaction_that_is_forked_belongs_to_the_parent():
    ref = Ref(0)
    with dosync():
        ref.set(1)
        pid = os.fork()
        if pid == 0:
            try:
                ref.deref()
                ref.set(2)
                Ref(1).deref()
            except TransactionStateError:
                os._exit(0)
            except BaseException:
                os._exit(2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ref.deref() == 1


def make_and_say(pipe):
    ref = Ref(1)
    pipe.send(ref._home.path)
    pipe.recv()


def test_the_space_goes_when_its_maker_ends():
    child = Process("spawn", make_and_say)
    path = child.said()
    assert os.path.isdir(path)
    child.tell("end")
    child.join()
    assert not os.path.exists(path)


def test_the_space_of_a_killed_maker_goes_when_the_next_one_is_made():
    killed = Process("spawn", make_and_say)
    path = killed.said()
    killed.kill()
    assert os.path.isdir(path)
    lives = Process("spawn", make_and_say)
    other = lives.said()
    assert not os.path.exists(path)
    assert os.path.isdir(other)
    third = Process("spawn", make_and_say)
    third.said()
    assert os.path.isdir(other)
    for child in (lives, third):
        child.tell("end")
        child.join()


def keep(pipe, ref):
    return ref


def make_and_pass(pipe):
    import pickle

    pipe.send_bytes(pickle.dumps(Ref(1)))
    pipe.recv()


def test_a_ref_of_a_space_that_is_gone():
    import pickle

    child = Process("spawn", make_and_pass)
    data = child.pipe.recv_bytes()
    child.tell("end")
    child.join()
    with pytest.raises(SpaceError, match="its maker may have ended"):
        pickle.loads(data)


def test_nothing_starts_on_import():
    """No process, no thread, no file, no space."""
    code = (
        "import sys, threading, os; before = set(os.listdir('/dev/shm')) "
        "if os.path.isdir('/dev/shm') else set(); "
        "import atomos.multiprocessing as m, multiprocessing; "
        "assert threading.active_count() == 1; "
        "assert not multiprocessing.active_children(); "
        "assert 'lmdb' not in sys.modules; "
        "from atomos.multiprocessing import _homes; assert not _homes.homes(); "
    )
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True)
