"""Atom: one value that changes by functions, after Clojure's atom."""

from __future__ import annotations

from _thread import get_ident
from operator import eq
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from atomos.reference import ARef
from atomos.stm import _solo
from atomos.stm._arguments import NOT_GIVEN, one_of
from atomos.stm._cell import Version
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._publish import publish
from atomos.stm._seat import seated, seats
from atomos.stm._turn import FREE, clock, release

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Concatenate

__all__ = ["ARef", "Atom"]

T = TypeVar("T")
P = ParamSpec("P")


class Atom(ARef[T]):
    """A value that any thread may read, and change by a function of it.

    Outside a transaction each call is a transaction of its own. Inside one it
    joins: the change takes effect with the transaction, or not at all.

    Raises:
        TypeError: `validator` is not callable, `name` is no str, or `value` was left
            out or given twice, as `state` too.
        ValidationError: `validator` refuses `value`.

    Cost: to make one, O(1) and 144 bytes without the value (CPython 3.11); 136 more
    with a name, a validator or metadata.

    Source: the atom of Clojure

    Example:
        >>> from atomos import Atom
        >>> tally = Atom({})
        >>> tally.swap(lambda d: {**d, "apples": 3})
        {'apples': 3}
        >>> tally
        Atom({'apples': 3})
    """

    __slots__ = ()

    @overload
    def __init__(
        self,
        value: T,
        *,
        name: str | None = None,
        validator: Callable[[T], object] | None = None,
        meta: Any = None,
    ) -> None: ...

    @overload
    def __init__(self, *, state: T) -> None: ...

    def __init__(
        self,
        value: T = NOT_GIVEN,
        *,
        name: str | None = None,
        validator: Callable[[T], object] | None = None,
        meta: Any = None,
        state: T = NOT_GIVEN,
    ) -> None:
        """Start with `value`.

        Args:
            value: Any object; treat it as immutable.
            name: What `repr` and errors call it.
            validator: Called with each value before it is stored; a false
                answer or an exception refuses it.
            meta: Metadata, any object.
            state: The name of `value` in atomos 0.3.
        """
        if value is NOT_GIVEN or state is not NOT_GIVEN:
            value = one_of(type(self).__name__, "value", value, "state", state)
        super().__init__(value, name=name, validator=validator, meta=meta)

    def deref(self) -> T:
        """Return the value: in a transaction its own, else the latest.

        Cost: O(1), no lock.

        Source: clojure.core/deref

        Example:
            >>> from atomos import Atom
            >>> Atom(7).deref()
            7
        """
        version = self._newest
        if not seated and version.number:
            return version.value
        try:
            if seats[get_ident()].tx is None and version.number:
                return version.value
        except KeyError:
            pass
        return _solo.read(self)

    def swap(
        self, fn: Callable[Concatenate[T, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Set the atom to ``fn(value, *args, **kwargs)`` and return that.

        Args:
            fn: Runs outside of every lock, and again when another thread was
                faster, so it should have no effects.
            *args: Passed to `fn` after the value.
            **kwargs: Passed to `fn`.

        Returns:
            The new value.

        Raises:
            TypeError: `fn` is not callable.
            ValidationError: The validator refuses the new value.
            WouldDeadlockError: This thread itself holds the atom elsewhere.
            ReadOnlyError: A read_only transaction is running.

        Cost: one call of `fn` and one commit, more if another thread is faster.

        Source: clojure.core/swap!

        Example:
            >>> from atomos import Atom
            >>> Atom(7).swap(max, 9)
            9
        """
        alone = not seated
        if not alone:
            try:
                alone = seats[get_ident()].tx is None
            except KeyError:
                pass
        if alone and self._extras is None:
            old = self._newest
            seen = old.number
            if seen > 0:
                try:
                    # Passing nothing on saves 15 % of the whole.
                    value = (
                        fn(old.value, *args, **kwargs)
                        if args or kwargs
                        else fn(old.value)  # type: ignore[call-arg] # there are none
                    )
                except TypeError:
                    refuse_uncallable(fn, "swap")
                    raise
                # As `publish`, where nothing is in the way, without its call,
                # which would be another tenth.
                new: Version[T] = Version()
                new.value = value
                c = clock
                for number in c.steps:
                    if number != c.done + 1:
                        c.skipped[number] = None
                        break
                    try:
                        if (
                            self._newest is old
                            and self._extras is None  # type: ignore[redundant-expr] # `fn` may set it
                            and self._holder is None
                            and self._sleepers is None
                            and seen >= c.fresh
                            and not c.observed
                            and old.older is None
                        ):
                            c.now = number
                            new.number = number
                            # Again: see `AtomicNumber.add_and_get`.
                            new.older = old if c.observed else None  # type: ignore[redundant-expr] # others set it
                            self._newest = new  # the commit point
                            return value
                    finally:
                        c.done = number
                        if FREE:
                            release()
                    break
                if (
                    self._extras is None  # type: ignore[redundant-expr] # as above
                    and publish(self, old, value)
                ):
                    return value
        refuse_uncallable(fn, "swap")
        return _solo.update(self, fn, args, kwargs)[1]

    def swap_vals(
        self, fn: Callable[Concatenate[T, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[T, T]:
        """Do as `swap`, and return the value before and after.

        Raises:
            TypeError: `fn` is not callable.
            ValidationError: The validator refuses the new value.
            WouldDeadlockError: As `swap`.
            ReadOnlyError: As `swap`.

        Cost: as `swap`.

        Source: clojure.core/swap-vals!

        Example:
            >>> from atomos import Atom
            >>> Atom(7).swap_vals(max, 9)
            (7, 9)
        """
        refuse_uncallable(fn, "swap_vals")
        return _solo.update(self, fn, args, kwargs)

    def reset(self, newval: T) -> T:
        """Set the atom to `newval`; return the value BEFORE, as atomos 0.3 does.

        Raises:
            ValidationError: The validator refuses `newval`.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: clojure.core/reset!, which returns the value after

        Example:
            >>> from atomos import Atom
            >>> atom = Atom(7)
            >>> atom.reset(8)
            7
            >>> atom.deref()
            8
        """
        return _solo.exchange(self, newval)

    def reset_vals(self, newval: T) -> tuple[T, T]:
        """Set the atom to `newval`; return the value before and after.

        Raises:
            ValidationError: The validator refuses `newval`.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one commit.

        Source: clojure.core/reset-vals!

        Example:
            >>> from atomos import Atom
            >>> Atom(7).reset_vals(8)
            (7, 8)
        """
        return _solo.exchange(self, newval), newval

    @overload
    def compare_and_set(self, old: object, new: T) -> bool: ...

    @overload
    def compare_and_set(self, *, oldval: object, newval: T) -> bool: ...

    def compare_and_set(
        self,
        old: object = NOT_GIVEN,
        new: T = NOT_GIVEN,
        *,
        oldval: object = NOT_GIVEN,
        newval: T = NOT_GIVEN,
    ) -> bool:
        """Set the atom to `new` if its value equals `old` (``==``).

        Args:
            old: What the value must be equal to.
            new: The value to set.
            oldval: The name of `old` in atomos 0.3.
            newval: The name of `new` in atomos 0.3.

        Returns:
            Whether it was set.

        Raises:
            ValidationError: The validator refuses `new`.
            TypeError: An argument was left out, or given by both of its names.
            ReadOnlyError: A read_only transaction is running.
            WouldDeadlockError: This thread itself holds it elsewhere.

        Cost: one comparison, outside of every lock, and one commit.

        Source: clojure.core/compare-and-set!, which compares by identity

        Example:
            >>> from atomos import Atom
            >>> atom = Atom(7)
            >>> atom.compare_and_set(7, 8), atom.compare_and_set(7, 9)
            (True, False)
        """
        if old is NOT_GIVEN or oldval is not NOT_GIVEN:
            old = one_of("compare_and_set", "old", old, "oldval", oldval)
        if new is NOT_GIVEN or newval is not NOT_GIVEN:
            new = one_of("compare_and_set", "new", new, "newval", newval)
        return _solo.compare_and_exchange(self, old, new, eq)[0]
