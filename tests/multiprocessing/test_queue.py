"""The writers' queue: one holder at a time, and none for good."""

from __future__ import annotations

import errno
import os
import signal
import threading
from contextlib import contextmanager
from time import monotonic

import pytest
from children import PATIENCE, Child
from helpers import Job, elsewhere
from interrupts import Interrupted, interrupted_at_each_point

from atomos.errors import (
    SpaceBusyError,
    SpaceClosedError,
    SpaceError,
    WouldDeadlockError,
)
from atomos.multiprocessing import _porter
from atomos.multiprocessing._page import HOLDER, LINE, Page
from atomos.multiprocessing._queue import Queue, open_queue


@pytest.fixture
def queue(place):
    queue = open_queue(place, Page(place))
    yield queue
    queue.close()


def another(place):
    """Return the queue as another process has it, in a forked child."""
    return Queue(place, Page(place))


def hold(line, place):
    queue = another(place)
    queue.take()
    line.say()
    line.hear()
    queue.leave()
    line.say()


def take_and_tell(line, place, deadline=None):
    queue = another(place)
    line.say()
    queue.take(deadline)
    line.say("taken")
    line.hear()
    queue.leave()


@contextmanager
def held_elsewhere(place):
    with Child(hold, place) as child:
        child.hear()
        yield child


def is_free(place):
    """Whether another process can take the queue at once."""

    def attempt(line):
        try:
            another(place).take(0.0)
            line.say(True)
        except SpaceBusyError:
            line.say(False)

    with Child(attempt) as child:
        return child.hear()


def test_taken_and_left(queue, place):
    assert not queue.held
    queue.take()
    assert queue.held
    assert not Job(lambda: queue.held).join()
    assert not is_free(place)
    queue.leave()
    assert not queue.held
    assert is_free(place)


def test_the_file_is_for_its_owner_alone(queue, place):
    for name in ("queue", "page"):
        assert os.stat(os.path.join(place, name)).st_mode & 0o777 == 0o600


def test_twice_by_one_thread_is_an_error(queue, place):
    queue.take()
    with pytest.raises(WouldDeadlockError, match="already"):
        queue.take()
    assert queue.held
    assert not is_free(place)
    queue.leave()


def test_left_by_who_does_not_hold_it(queue):
    with pytest.raises(SpaceError, match="does not hold"):
        queue.leave()


def test_a_thread_waits_for_another(queue):
    queue.take()
    waiter = Job(lambda: (queue.take(monotonic() + PATIENCE), queue.leave()))
    while not queue._waiting:
        waiter.thread.join(0.001)
    queue.leave()
    waiter.join()


def test_who_has_just_left_does_not_overtake(queue):
    """The sign at the door sends him behind who waits there."""
    order = []
    queue.take()

    def wait():
        queue.take()
        order.append("waiter")
        queue.leave()

    waiter = Job(wait)
    while not queue._waiting:
        waiter.thread.join(0.001)
    queue.leave()
    while queue._waiting:
        queue.take()
        order.append("again")
        queue.leave()
    waiter.join()
    assert order[:3].index("waiter") <= 1


def test_time_is_up_while_a_thread_holds_it(queue):
    queue.take()
    with pytest.raises(SpaceBusyError, match="another thread of this process"):
        Job(queue.take, monotonic() + 0.05).join()
    assert isinstance(SpaceBusyError("x"), TimeoutError)
    queue.leave()
    queue.take(monotonic())
    queue.leave()


def test_time_is_up_while_a_process_holds_it(queue, place):
    with held_elsewhere(place) as child:
        with pytest.raises(SpaceBusyError, match=rf"process {child.pid} holds"):
            queue.take(monotonic() + 0.05)
        assert not queue.held
        assert queue._porter.busy
        child.say()
        child.hear()
    until(lambda: not queue._porter.busy)
    assert is_free(place)  # nobody wanted it any more


def until(condition):
    end = monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert monotonic() < end
        pause.wait(0.001)


def test_the_next_one_waits_for_the_porter_that_waits_already(queue, place):
    with held_elsewhere(place) as child:
        for _ in range(2):
            with pytest.raises(SpaceBusyError):
                queue.take(monotonic() + 0.02)
        waiter = Job(lambda: (queue.take(), queue.held, queue.leave())[1])
        until(lambda: queue._porter._wanted is not None)
        child.say()
        child.hear()
        assert waiter.join()
    assert is_free(place)


@pytest.mark.parametrize("seconds", [None, PATIENCE], ids=["forever", "deadline"])
def test_handed_over_between_processes(queue, place, seconds):
    with held_elsewhere(place) as child:
        deadline = None if seconds is None else monotonic() + seconds
        waiter = Job(lambda: (queue.take(deadline), queue.held, queue.leave())[1])
        until(lambda: queue._page.bytes[LINE])
        child.say()
        child.hear()
        assert waiter.join()
    assert not queue._page.bytes[LINE]
    assert is_free(place)


def test_a_stopped_holder_is_named_and_then_killed(queue, place):
    with pytest.raises(KeyboardInterrupt):  # only a way out of the block
        with held_elsewhere(place) as child:
            child.stop()
            with pytest.raises(SpaceBusyError) as caught:
                queue.take(monotonic() + 0.05)
            if os.path.exists("/proc/self/stat"):
                assert f"process {child.pid} (stopped)" in str(caught.value)
            assert f"process {child.pid}" in str(caught.value)
            child.signal(signal.SIGCONT)
            child.say()
            child.hear()
            queue.take(monotonic() + 2.0)
            queue.leave()
            raise KeyboardInterrupt


def test_a_killed_holder_frees_it(queue, place):
    child = Child(hold, place)
    child.hear()
    child.stop()
    child.kill()
    queue.take(monotonic() + 2.0)
    assert queue._page.numbers[HOLDER] == os.getpid()
    queue.leave()


def test_a_killed_waiter_leaves_a_sign_that_the_next_one_removes(queue, place):
    queue.take()
    child = Child(take_and_tell, place)
    child.hear()
    until(lambda: queue._page.bytes[LINE])
    child.kill()
    queue.leave()
    assert queue._page.bytes[LINE]
    queue.take(monotonic() + 2.0)
    assert not queue._page.bytes[LINE]
    queue.leave()
    assert is_free(place)


@pytest.mark.parametrize("seconds", [None, PATIENCE], ids=["forever", "deadline"])
def test_a_signal_ends_waiting_and_leaves_nothing_held(place, seconds):
    def wait(line):
        queue = another(place)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        line.say()
        try:
            queue.take(None if seconds is None else monotonic() + seconds)
        except KeyboardInterrupt:
            line.say(queue.held)
        line.hear()
        queue.take(monotonic() + 2.0)
        line.say(queue.held)
        queue.leave()

    queue = Queue(place, Page(place))
    with held_elsewhere(place) as holder, Child(wait) as child:
        child.hear()
        until(lambda: queue._page.bytes[LINE])
        child.signal(signal.SIGINT)
        assert child.hear() is False
        holder.say()
        holder.hear()
        child.say()
        assert child.hear() is True
    queue.close()


def test_a_thread_that_ended_with_it_does_not_keep_it(queue, place):
    Job(queue.take).join()
    queue.take(monotonic() + PATIENCE)
    queue.leave()
    assert is_free(place)


def test_a_thread_that_ended_with_it_is_not_taken_for_the_next_one(queue, place):
    """A new thread has, in most cases, the ident of one that has ended."""

    def holds():
        queue.take()
        return threading.get_ident()

    def held():
        return queue.held, threading.get_ident()

    ident = elsewhere(holds)
    found = [elsewhere(held) for _ in range(20)]
    assert ident in [one for _, one in found]
    assert not any(held for held, _ in found)
    taken = [elsewhere(lambda: (queue.take(), queue.leave())) for _ in range(5)]
    assert len(taken) == 5
    assert is_free(place)


def test_after_a_fork_the_child_holds_nothing(queue, place):
    queue.take()

    def look(line):
        line.say(queue.held)
        try:
            queue.take(monotonic() + 0.02)
        except SpaceBusyError as error:
            line.say(str(error))
        line.hear()
        queue.take(monotonic() + 2.0)
        line.say(queue.held)
        queue.leave()

    with Child(look) as child:
        assert child.hear() is False
        assert f"process {os.getpid()} " in child.hear()
        queue.leave()
        child.say()
        assert child.hear() is True


def test_a_false_deadlock_is_tried_again(queue, place, monkeypatch):
    real, failures = _porter.lockf, []

    def lockf(fd, command, *rest):
        if command == _porter.LOCK_EX and len(failures) < 3:
            failures.append(rest)
            raise OSError(errno.EDEADLK, "Resource deadlock avoided")
        return real(fd, command, *rest)

    monkeypatch.setattr(_porter, "lockf", lockf)
    with held_elsewhere(place) as child:
        waiter = Job(lambda: (queue.take(), queue.leave()))
        until(lambda: queue._page.bytes[LINE])
        child.say()
        child.hear()
        waiter.join()
    assert len(failures) == 3


def test_two_spaces_taken_crosswise_in_different_threads(place, tmp_path):
    """The kernel takes that for a deadlock, as it does not know of threads."""
    other = str(tmp_path)

    def crosswise(line, mine, theirs):
        first, second = another(mine), another(theirs)
        first.take()
        line.say()
        line.hear()
        waiter = Job(lambda: (second.take(monotonic() + PATIENCE), second.leave()))
        line.hear()
        first.leave()
        waiter.join()
        line.say("done")

    with Child(crosswise, place, other) as a, Child(crosswise, other, place) as b:
        pair = (a, b)
        for child in pair:
            child.hear()
        for child in pair:
            child.say()
        pages = [Page(place), Page(other)]
        until(lambda: all(page.bytes[LINE] for page in pages))
        for child in pair:
            child.say()
        assert [child.hear() for child in pair] == ["done", "done"]


def test_closed(place):
    queue = open_queue(place, Page(place))
    queue.close()
    with pytest.raises(SpaceClosedError, match="open it again"):
        queue.take()
    assert not queue.held


def test_closed_by_another_thread_while_it_is_held(place):
    queue = open_queue(place, Page(place))
    queue.take()
    elsewhere(queue.close)
    queue.leave()
    assert not queue.held


def test_closed_while_its_porter_waits(place):
    """It comes to life again, as the porter would give away a new one's lock."""
    queue = open_queue(place, Page(place))
    with held_elsewhere(place) as child:
        with pytest.raises(SpaceBusyError):
            queue.take(monotonic() + 0.02)
        queue.close()
        again = open_queue(place, Page(place))
        assert again is queue
        child.say()
        child.hear()
        again.take()
        assert not is_free(place)
        again.leave()
    until(lambda: not again._porter.busy)
    again.close()


@pytest.mark.parametrize("detour", [False, True], ids=["straight", "detour"])
@pytest.mark.parametrize("seconds", [None, PATIENCE], ids=["forever", "deadline"])
def test_an_exception_anywhere_leaves_it_free(queue, place, seconds, detour):
    """Who is struck in `leave` has to call it again."""

    def scenario(tracer):
        queue._page.bytes[LINE] = detour

        def run():
            try:
                queue.take(None if seconds is None else monotonic() + seconds)
                queue.leave()
            except Interrupted:
                while queue.held:
                    queue.leave()
                raise

        return run

    def check():
        assert not queue.held
        Job(lambda: (queue.take(monotonic() + 2.0), queue.leave())).join()

    assert interrupted_at_each_point(scenario, check) > 5
    assert is_free(place)


def test_counted_by_threads_of_processes(place):
    """Each adds one to a number in a file, which only the holder may touch."""
    path = os.path.join(place, "number")
    with open(path, "wb") as file:
        file.write(bytes(8))

    def count(line):
        queue = another(place)

        def add():
            for _ in range(100):
                queue.take(monotonic() + PATIENCE)
                with open(path, "r+b") as file:
                    number = int.from_bytes(file.read(8), "big")
                    file.seek(0)
                    file.write((number + 1).to_bytes(8, "big"))
                queue.leave()

        line.hear()
        jobs = [Job(add) for _ in range(3)]
        for job in jobs:
            job.join()

    with Child(count) as a, Child(count) as b:
        a.say()
        b.say()
    with open(path, "rb") as file:
        assert int.from_bytes(file.read(), "big") == 600
