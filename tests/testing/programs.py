"""Small concurrent programs, each with a bug, and a correct twin.

A program makes fresh cells and returns its bodies, and a check of what is left when
they have run. `broken` tells which of the two is made.
"""

from __future__ import annotations

from atomos import (
    Atom,
    AtomicBoolean,
    AtomicInteger,
    AtomicReference,
    AtomicStampedReference,
    Ref,
    atomically,
    dosync,
    retry,
)
from atomos.agent import Agent


def add_one(n):
    return n + 1


def atom_read_then_set(broken):
    tally = Atom(0, name="tally")

    def add():
        if broken:
            tally.reset(tally.deref() + 1)
        else:
            tally.swap(add_one)

    def right(run):
        assert tally.deref() == 2

    return (add, add), right


def counter_read_then_set(broken):
    hits = AtomicInteger(0)

    def hit():
        if broken:
            hits.set(hits.get() + 1)
        else:
            hits.increment_and_get()

    def right(run):
        assert hits.get() == 2

    return (hit, hit), right


def transfer_in_two_transactions(broken):
    checking, savings = Ref(100, name="checking"), Ref(0, name="savings")

    def withdraw():
        checking.alter(lambda n: n - 30)

    def deposit():
        savings.alter(lambda n: n + 30)

    def transfer():
        if broken:
            atomically(withdraw)
            atomically(deposit)
        else:
            atomically(lambda: (withdraw(), deposit()))

    @dosync
    def audit():
        return checking.deref() + savings.deref()

    def right(run):
        assert run.results[1] == 100

    return (transfer, audit), right


def audit_outside_a_transaction(broken):
    checking, savings = Ref(100, name="checking"), Ref(0, name="savings")

    @dosync
    def transfer():
        checking.alter(lambda n: n - 30)
        savings.alter(lambda n: n + 30)

    def total():
        return checking.deref() + savings.deref()

    def right(run):
        assert run.results[1] == 100

    return (transfer, total if broken else dosync(total)), right


def write_skew(broken):
    """On call: one of the two must stay (Berenson et al. 1995)."""
    alice, bob = Ref(True, name="alice"), Ref(True, name="bob")

    def leaves(me, other):
        @dosync(isolation="snapshot")
        def leave():
            if other.deref() if broken else other.ensure():
                me.set(False)

        return leave

    def right(run):
        assert alice.deref() or bob.deref()

    return (leaves(alice, bob), leaves(bob, alice)), right


def check_then_act(broken):
    seats = Ref(1, name="seats")

    def take():
        if seats.deref() == 0:
            return False
        seats.alter(lambda n: n - 1)
        return True

    def take_one():
        if not broken:
            return atomically(take)
        if atomically(seats.deref) == 0:
            return False
        atomically(seats.alter, lambda n: n - 1)
        return True

    def right(run):
        assert sum(run.results) == 1
        assert seats.deref() == 0

    return (take_one, take_one), right


def set_up_twice(broken):
    """Double-checked set-up: two make the one thing."""
    made = AtomicInteger(0)
    thing = AtomicReference(None)

    def get():
        if thing.get() is None:
            if broken:
                made.increment_and_get()
                thing.set("thing")
            elif thing.compare_and_set(None, "thing"):
                made.increment_and_get()
        return thing.get()

    def right(run):
        assert made.get() == 1

    return (get, get), right


def waits_for_what_it_has_not_read(broken):
    """The condition is read outside, so a change of it wakes nobody."""
    mail, noise = Ref(0, name="mail"), Ref(0, name="noise")

    def wait():
        letters = atomically(mail.deref) if broken else None

        @dosync
        def body():
            noise.deref()
            if not (letters if broken else mail.deref()):
                retry()

        body()

    def post():
        atomically(mail.set, 1)

    return (wait, post), lambda run: None


def locks_in_two_orders(broken):
    """Two locks, taken in two orders."""
    left, right = AtomicBoolean(False), AtomicBoolean(False)

    def lock(one):
        while not one.compare_and_set(False, True):
            one.wait_for(lambda held: not held)

    def eater(first, second):
        def eat():
            lock(first)
            lock(second)
            second.set(False)
            first.set(False)

        return eat

    return (
        (eater(left, right), eater(right, left) if broken else eater(left, right)),
        lambda run: None,
    )


def agent_read_then_sent(broken):
    agent = Agent(0, name="agent")

    def send():
        if broken:
            seen = agent.deref()
            agent.send(lambda _: seen + 1)
        else:
            agent.send(add_one)

    def right(run):
        assert agent.deref() == 2

    return (send, send), right


def aba(broken):
    """A stack of nodes that are used again: the head is the same, what is below not."""

    class Node:
        def __init__(self, below):
            self.below = below

    bottom = Node(None)
    top = Node(bottom)
    head = AtomicStampedReference(top, 0)
    popped = []

    def pop():
        while True:
            node, stamp = head.get()
            if node is None:
                return None
            below = node.below
            now = head.get_stamp() if broken else stamp
            if head.compare_and_set(node, below, now, now + 1):
                return node

    def pop_two_and_push():
        first = pop()
        popped.append(pop())
        _, stamp = head.get()
        first.below = None
        head.compare_and_set(None, first, stamp, stamp + 1)

    def right(run):
        popped.append(run.results[0])
        rest = head.get_reference()
        assert rest is None or rest not in popped, (
            "a node that was taken is on the stack"
        )

    return (pop, pop_two_and_push), right


def effect_in_a_body(broken):
    """A list is appended to in a body that may run again."""
    tally, log = Ref(0, name="tally"), []

    def add():
        def body():
            if broken:
                log.append("added")
            tally.alter(add_one)

        atomically(body)
        if not broken:
            log.append("added")

    def right(run):
        assert len(log) == tally.deref() == 2

    return (add, add), right


PROGRAMS = [
    atom_read_then_set,
    counter_read_then_set,
    transfer_in_two_transactions,
    audit_outside_a_transaction,
    write_skew,
    check_then_act,
    set_up_twice,
    waits_for_what_it_has_not_read,
    locks_in_two_orders,
    agent_read_then_sent,
    aba,
    effect_in_a_body,
]
