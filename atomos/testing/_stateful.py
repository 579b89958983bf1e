"""State machines whose rules run as transactions, at once.

Hypothesis runs the rules of a `RuleBasedStateMachine` one after the other. Here it
chooses a few calls of rules and a schedule; the calls are run under that schedule, each
in a thread and a transaction of its own. Then the same calls are run on the model, one
after the other, in the order in which they have committed. Results and states must be
equal: that is what serializable means.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from atomos.errors import TransactionTimeout
from atomos.stm._arguments import shown
from atomos.stm._dosync import dosync
from atomos.stm._run import is_count
from atomos.testing._commit_order import CommitOrder
from atomos.testing._interleaved import run_interleaved
from atomos.testing._schedule import Schedule
from atomos.testing._strategies import schedules

__all__ = ["TransactionalStateMachine", "transaction"]

M = TypeVar("M", bound=Callable[..., Any])

#: The name of a rule, and its arguments.
Call: TypeAlias = "tuple[str, dict[str, Any]]"
#: Where `transaction` leaves the strategies of a rule.
_MARK = "_atomos_strategies"
#: Of the schedules. A rule is about ten steps; so found most of the bugs of the tests.
SWITCHES = 4
GAP = 12
#: Virtual seconds that a rule may wait for the others. Then it has not happened.
PATIENCE = 1.0


class _NotHappened:
    """The result of a call that has waited in vain."""

    def __repr__(self) -> str:
        return "nothing: it waited in vain"


def transaction(**strategies: st.SearchStrategy[Any]) -> Callable[[M], M]:
    """Mark a method of a `TransactionalStateMachine` as a rule.

    It is called with the state, and what is drawn from the strategies, in one
    transaction.

    Args:
        **strategies: One for each argument of the method after the state.

    Raises:
        TypeError: One of them is no strategy of Hypothesis.

    Cost: O(1).

    Example:
        >>> from atomos import AtomicInteger
        >>> from atomos.testing import TransactionalStateMachine, transaction
        >>> from hypothesis import settings, strategies as st
        >>> class Counter(TransactionalStateMachine):
        ...     def make_state(self):
        ...         return AtomicInteger()
        ...
        ...     def observe(self, state):
        ...         return state.get()
        ...
        ...     @transaction(n=st.integers(1, 9))
        ...     def add(self, hits, n):
        ...         return hits.add_and_get(n)
        >>> Counter.TestCase.settings = settings(max_examples=5, database=None)
        >>> Counter.TestCase().runTest()
    """
    for name, strategy in strategies.items():
        if not isinstance(strategy, st.SearchStrategy):
            kind = type(strategy).__name__
            msg = (
                f"transaction needs a strategy for {name}, not {kind} "
                f"{shown(strategy)}; st.just() makes one of a value"
            )
            raise TypeError(msg)

    def mark(method: M) -> M:
        setattr(method, _MARK, strategies)
        return method

    return mark


class TransactionalStateMachine(RuleBasedStateMachine):
    """Rules that run as concurrent transactions, against a model.

    A subclass says what the state is (`make_state`), what can be seen of it
    (`observe`), and marks its rules with `transaction`. The model is the same state,
    used by one call at a time, unless `make_model` says otherwise. Rules and
    invariants of Hypothesis may be added; they run while nothing else does.

    A rule that calls `retry`, and that nobody wakes, has not happened.

    Attributes:
        at_once: How many calls run at once, at most.
        state: What the calls work on.
        model: What they are repeated on.

    Raises:
        TypeError: When a subclass is made: `at_once` is no number from 1 on.

    Cost: one thread for each call that runs at once.

    Example:
        >>> from atomos import Ref
        >>> from atomos.testing import TransactionalStateMachine, transaction
        >>> from hypothesis import settings, strategies as st
        >>> class Stock(TransactionalStateMachine):
        ...     def make_state(self):
        ...         return Ref(10, name="stock")
        ...
        ...     def observe(self, state):
        ...         return state.deref()
        ...
        ...     @transaction(n=st.integers(1, 9))
        ...     def take(self, stock, n):
        ...         if stock.deref() >= n:
        ...             return stock.alter(lambda left: left - n)
        >>> Stock.TestCase.settings = settings(max_examples=10, deadline=None)
        >>> Stock.TestCase().runTest()
    """

    at_once: ClassVar[int] = 3

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make one rule of Hypothesis of all that are marked.

        Raises:
            TypeError: `at_once` is no number from 1 on.
        """
        super().__init_subclass__(**kwargs)
        if not is_count(cls.at_once, 1):
            msg = f"at_once must be a whole number from 1 on, not {shown(cls.at_once)}"
            raise TypeError(msg)
        calls = [
            st.tuples(st.just(name), st.fixed_dictionaries(getattr(method, _MARK)))
            for name, method in _members(cls).items()
            if hasattr(method, _MARK)
        ]
        if calls:
            cls.run_together = rule(  # type: ignore[method-assign] # one for each class
                schedule=schedules(switches=SWITCHES, gap=GAP),
                calls=st.lists(st.one_of(calls), min_size=1, max_size=cls.at_once),
            )(TransactionalStateMachine.run_together)

    def __init__(self) -> None:
        """Make the state and the model."""
        super().__init__()
        self.state = self.make_state()
        self.model = self.make_model()

    def make_state(self) -> Any:
        """Return a new state: what the rules are called with. To be defined."""
        raise NotImplementedError

    def make_model(self) -> Any:
        """Return what rules are repeated on, one at a time: another state."""
        return self.make_state()

    def observe(self, state: Any) -> object:
        """Return what can be seen of a state, or of the model. To be defined."""
        raise NotImplementedError

    def run_together(self, schedule: Schedule, calls: list[Call]) -> None:
        """Run `calls` at once under `schedule`, then on the model, and compare."""
        order = CommitOrder()
        bodies = [self._body(n, call, order) for n, call in enumerate(calls)]
        with order:
            done = run_interleaved(schedule, *bodies)
        try:
            _repeat(self, calls, order.names(), done.results)
        except AssertionError as error:
            error.add_note(f"under {done.schedule!r}:\n{done}")
            raise

    def _body(self, number: int, call: Call, order: CommitOrder) -> Callable[[], Any]:
        """Return what the thread `number` runs, under the name of its rule."""
        name, arguments = call
        method = partial(getattr(self, name), self.state, **arguments)
        work = dosync(name=name, timeout=PATIENCE)(method)

        def body() -> Any:
            order.expect(number)
            try:
                return work()
            except TransactionTimeout:
                return _NotHappened()

        body.__name__ = name
        return body


def _members(cls: type) -> dict[str, Any]:
    """Return the methods of a class and its bases."""
    return {name: getattr(cls, name) for name in dir(cls)}


def _repeat(
    self: TransactionalStateMachine,
    calls: list[Call],
    order: list[int],
    results: tuple[Any, ...],
) -> None:
    """Run `calls` on the model, in order of commit.

    Raises:
        AssertionError: A result, or what can be seen afterwards, is another one.
    """
    for number in order:
        name, arguments = calls[number]
        work = partial(getattr(self, name), self.model, **arguments)
        expected = dosync(name=name)(work)()
        if results[number] != expected:
            msg = (
                f"{name} returned {shown(results[number])} in thread {number}; alone, "
                f"in the order of the commits {order}, it returns {shown(expected)}"
            )
            raise AssertionError(msg)
    seen, expected = self.observe(self.state), self.observe(self.model)
    if seen != expected:
        msg = (
            f"the state is {shown(seen)}; after the same calls alone, in the order of "
            f"the commits {order}, it is {shown(expected)}"
        )
        raise AssertionError(msg)
