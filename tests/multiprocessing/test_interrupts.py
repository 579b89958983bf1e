"""An exception at any point leaves nothing held, and nothing half done."""

from __future__ import annotations

from itertools import count

import pytest
from interrupts import interrupted_at_each_point

from atomos import current_transaction, dosync
from atomos.errors import TransactionTimeout

_names = count()

pytestmark = [
    pytest.mark.usefixtures("quiet_hook", "dropped"),
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
]


@pytest.fixture
def check(space):
    """Return a function that looks whether the space is as if nothing had happened."""
    home = space._home
    probe = space.ref("probe", default=0)

    def check():
        assert not home.engine.queue.held, "the queue is held"
        with dosync(timeout=1):
            probe.alter(lambda n: n)

    return check


@pytest.mark.parametrize(
    "call",
    [
        lambda space: space.integer("n").increment_and_get(),
        lambda space: space.atom("atom", default=0).swap(lambda n: n + 1),
        lambda space: space.atom("atom", default=0).compare_and_set(0, 0),
        lambda space: space.ref(f"new {next(_names)}", default=0),
        lambda space: space.committed("00" * 16),
    ],
    ids=["add", "swap", "compare_and_set", "new", "committed"],
)
def test_calls_outside_of_transactions(space, call, check):
    interrupted_at_each_point(lambda tracer: lambda: call(space), check)


def wait_in_vain(ref):
    with pytest.raises(TransactionTimeout):
        ref.wait_for(lambda value: value == "never", timeout=0)


def raise_inside(ref):
    @dosync
    def body():
        ref.set(1)
        raise KeyError

    with pytest.raises(KeyError):
        body()


@pytest.mark.parametrize("call", [wait_in_vain, raise_inside])
def test_an_attempt_that_ends_without_a_commit_keeps_nothing(space, call, check):
    ref = space.ref("ref", default=0)
    guests = []
    space._home.listener.listen()  # its bell is not what this test is about

    def scenario(tracer):
        return lambda: call(ref)

    def look():
        check()
        assert all(guest.snapshot is None for guest in guests)
        guests.clear()

    with pytest.MonkeyPatch.context() as patch:
        home_type, guest_of = type(space._home), type(space._home).guest

        def guest(home, tx):
            guests.append(guest_of(home, tx))
            return guests[-1]

        patch.setattr(home_type, "guest", guest)
        interrupted_at_each_point(scenario, look)


@pytest.mark.parametrize("commuting", [False, True])
def test_hooks_tell_the_truth(space, commuting, check):
    a, b = space.ref("a", default=0), space.ref("b", default=0)
    said = []

    def scenario(tracer):
        said.clear()
        before = a.deref()

        @dosync
        def body():
            tx = current_transaction()
            tx.after_commit(lambda: said.append(before + 1))
            tx.after_rollback(lambda: said.append(before))
            for ref in (a, b):
                (ref.commute if commuting else ref.alter)(lambda n: n + 1)

        return body

    def look():
        check()
        assert a.deref() == b.deref()
        assert said in ([], [a.deref()])

    interrupted_at_each_point(scenario, look)
