"""Histories made by hand, and checkers that try every order.

A history is written as begins and ends in their order, so that any overlap can be
made in one thread.
"""

from __future__ import annotations

from itertools import chain, combinations, permutations

from atomos.testing import History

RAISED = (ValueError, KeyError)


def operations(*events):
    """Make a history: ``("a", "put", 1)`` begins a, ``("a", result)`` ends it."""
    history, begun = History(), {}
    for who, *rest in events:
        if who not in begun:
            begun[who] = history.operation(*rest)
            begun[who].__enter__()
        elif isinstance(rest[0], BaseException):
            begun[who].__exit__(type(rest[0]), rest[0], None)
        else:
            begun[who].result = rest[0]
            begun[who].__exit__(None, None, None)
    return history


class Plan:
    """A transaction to come: its steps, how it ends, when it begins and ends."""

    def __init__(self, *steps, ends=True, begin=0, end=100, name=None):
        self.steps = steps
        self.ends = ends
        self.begin = begin
        self.end = end
        self.name = name


def r(key, *elements):
    return ("read", key, elements)


def w(key, element):
    return ("append", key, element)


def transactions(*plans):
    """Make a history. Plans begin and end by their times; begins come first.

    `ends`: True, it commits; False, it gives up; None, nobody knows.
    """
    history = History()
    events = []
    recorders = [history.transaction(plan.name) for plan in plans]
    for n, plan in enumerate(plans):
        events += [(plan.begin, 0, n), (plan.end, 1, n)]
    for _, is_end, n in sorted(events):
        if not is_end:
            recorders[n].__enter__()
            for what, key, value in plans[n].steps:
                getattr(recorders[n], what)(key, value)
        elif plans[n].ends is not None:
            error = None if plans[n].ends else ValueError()
            recorders[n].__exit__(error and ValueError, error, None)
    return history


def after(**values):
    """A transaction at the end that reads everything."""
    steps = [r(key, *value) for key, value in values.items()]
    return Plan(*steps, begin=1000, end=1001, name="after")


def subsets(items):
    return chain.from_iterable(combinations(items, n) for n in range(len(items) + 1))


def orders(items, optional, real_time=True):
    """Yield each order of the items, with and without the optional ones."""
    for some in subsets(optional):
        for order in permutations([*items, *some]):
            if not real_time or all(
                two.returned is None or one.invoked < two.returned
                for n, one in enumerate(order)
                for two in order[n + 1 :]
            ):
                yield order


def explained(order, model):
    """Whether that order of operations explains what came out."""
    state = model.initial
    for operation in order:
        try:
            state, result = model.step(state, operation.name, operation.args)
            error = None
        except RAISED as raised:
            result, error = None, raised
        if operation.returned is None:
            continue
        if (result, type(error)) != (operation.result, type(operation.error)):
            return False
    return True


def is_linearizable(found, model):
    """Try each order of operations."""
    ended = [each for each in found if each.returned is not None]
    pending = [each for each in found if each.returned is None]
    return any(explained(order, model) for order in orders(ended, pending))


def runs_serially(order):
    """Whether that order of transactions explains what they read."""
    lists = {}
    for transaction in order:
        for step in transaction.steps:
            value = lists.get(step.key, ())
            if hasattr(step, "element"):
                lists[step.key] = (*value, step.element)
            elif value != step.value:
                return False
    return True


def is_serializable(found, real_time):
    committed = [each for each in found if each.committed]
    unknown = [each for each in found if each.committed is None]
    return any(runs_serially(o) for o in orders(committed, unknown, real_time))


def is_snapshot(found, real_time):
    """Try each order of commits, and for each transaction each earlier snapshot."""
    committed = [each for each in found if each.committed]
    unknown = [each for each in found if each.committed is None]
    return any(
        _commits(list(order), [], {}, real_time)
        for some in subsets(unknown)
        for order in permutations([*committed, *some])
    )


def _commits(todo, done, begins, real_time):
    """Whether the next can commit, from one of the snapshots it may have.

    A snapshot is a number of commits. `begins` has that of each one that committed.
    """
    if not todo:
        return True
    one, rest = todo[0], todo[1:]
    for begin in range(len(done) + 1):
        if _fits(one, begin, done, begins, real_time):
            begins[id(one)] = begin
            if _commits(rest, [*done, one], begins, real_time):
                return True
    return False


def _fits(one, begin, done, begins, real_time):
    written = {step.key for step in one.steps if hasattr(step, "element")}
    for place, other in enumerate(done):
        if place >= begin and any(
            hasattr(step, "element") and step.key in written for step in other.steps
        ):
            return False
        # Real time: who had ended is in the snapshot.
        ended = other.returned is not None and other.returned < one.invoked
        if real_time and ended and place >= begin:
            return False
        # Whose snapshot was taken when this one had ended: it must be in it.
        before = one.returned is not None and one.returned < other.invoked
        if real_time and before:
            return False
    lists = {}
    for other in done[:begin]:
        for step in other.steps:
            if hasattr(step, "element"):
                lists[step.key] = (*lists.get(step.key, ()), step.element)
    for step in one.steps:
        value = lists.get(step.key, ())
        if hasattr(step, "element"):
            lists[step.key] = (*value, step.element)
        elif value != step.value:
            return False
    return True
