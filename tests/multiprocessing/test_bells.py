"""Who waits is woken by whoever commits, and nobody else pays for it."""

from __future__ import annotations

import os
import statistics
from time import monotonic

import pytest
from children import PATIENCE, Child
from helpers import Job

from atomos.errors import SpaceAccessError, SpaceError
from atomos.multiprocessing._bells import Bells
from atomos.multiprocessing._page import BELL


@pytest.fixture
def bells(place):
    return Bells(place)


@pytest.fixture
def bell(bells):
    bell = bells.hang()
    yield bell
    bell.close()


def hung(place):
    return os.listdir(os.path.join(place, "bells"))


def test_rung_by_another_thread(bells, bell):
    waiter = Job(bell.wait, PATIENCE)
    bells.ring()
    assert waiter.join()


def test_rung_before_it_waits(bells, bell):
    bells.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_rung_often_is_heard_once(bells, bell):
    for _ in range(1000):
        bells.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_not_rung(bell):
    start = monotonic()
    assert not bell.wait(0.05)
    assert monotonic() - start >= 0.04


def test_without_a_limit_it_is_told_to_look_now_and_then(bell, monkeypatch):
    monkeypatch.setattr("atomos.multiprocessing._bells._LOOK", 0.02)
    assert bell.wait(None)
    assert bell.wait(1.0)
    assert not bell.wait(0.01)


def test_nobody_waits_and_nobody_calls_the_system(bells, monkeypatch):
    monkeypatch.setattr(bells, "_ring", None)
    bells.ring()


def test_the_sign_goes_with_the_last_bell(bells, place):
    one, two = bells.hang(), bells.hang()
    assert len(hung(place)) == 2
    one.close()
    bells.ring()
    assert bells._bytes[BELL]
    assert two.wait(0)
    two.close()
    bells.ring()
    assert not bells._bytes[BELL]
    assert hung(place) == []


def test_the_sign_is_set_anew_by_who_waits(bells, bell):
    """Somebody who was killed may have cleared it, and rung nobody."""
    bells._bytes[BELL] = 0
    waiter = Job(bell.wait, PATIENCE)
    while not bells._bytes[BELL]:
        waiter.thread.join(0.001)
    bells.ring()
    assert waiter.join()


def test_closed_by_another_thread_while_it_waits(bells, place):
    bell = bells.hang()
    waiter = Job(bell.wait, None)
    while not bell._waiting:
        waiter.thread.join(0.001)
    start = monotonic()
    bell.close()
    assert waiter.join() is False
    assert monotonic() - start < 0.5
    bell.close()
    assert bell.wait(None) is False
    assert hung(place) == []


def wait(line, place, rounds=1):
    bells = Bells(place)
    bell = bells.hang()
    for _ in range(rounds):
        line.say()
        assert bell.wait(PATIENCE)
        line.say(monotonic())
    line.hear()
    bell.close()


def test_rung_in_another_process_within_10_ms(bells, place):
    late = []
    with Child(wait, place, 20) as child:
        for _ in range(20):
            child.hear()
            start = monotonic()
            bells.ring()
            late.append(child.hear() - start)
        child.say()
    assert statistics.median(late) < 0.01


def test_of_a_killed_process(bells, bell, place):
    child = Child(wait, place)
    child.hear()
    child.kill()
    assert len(hung(place)) == 2
    bells.ring()
    assert len(hung(place)) == 1
    assert bell.wait(0)


def test_of_a_killed_process_whose_child_lives_on(bells, place):
    """The child has no copy of the bell that would still take what is sent."""

    def hang_and_fork(line):
        bell = bells.hang()
        Child(lambda _: (line.say("grandchild"), line.hear()))
        assert bell.wait(PATIENCE)

    child = Child(hang_and_fork)
    assert child.hear() == "grandchild"
    child.signal(9)
    child.wait()
    bells.ring()
    assert hung(place) == []
    child.say()
    child.line.close()


def test_after_a_fork_it_is_the_parents(bells, bell, place):
    def look(line):
        assert bell.wait(None) is False
        bell.close()
        line.say()
        line.hear()
        mine = bells.hang()
        bells.ring()
        assert mine.wait(0)
        mine.close()

    with Child(look) as child:
        child.hear()
        bells.ring()
        assert bell.wait(0)
        bell.close()
        assert hung(place) == []  # the child has no copy that still listens
        child.say()


def test_a_folder_with_a_long_name(place):
    folder = os.path.join(place, "x" * 120)
    os.mkdir(folder)
    bells = Bells(folder)
    if not os.path.isdir("/proc/self/fd"):
        with pytest.raises(SpaceError):
            bells.hang()
        return
    bell = bells.hang()
    bells.ring()
    assert bell.wait(0)
    bell.close()
    assert hung(folder) == []


def test_what_rings_does_not_fail(bells, bell, monkeypatch):
    def no_files(*_):
        raise OSError("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", no_files)
        bells.ring()
    bells.ring()
    assert bell.wait(0)


def test_for_the_owner_alone(bell, place):
    folder = os.path.join(place, "bells")
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert os.stat(bell._path).st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_without_rights(place):
    os.chmod(place, 0o500)
    try:
        with pytest.raises(SpaceAccessError):
            Bells(place)
    finally:
        os.chmod(place, 0o700)
