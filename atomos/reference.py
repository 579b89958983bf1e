"""What Refs and Atoms have in common: watches, a validator, metadata, a name.

All of it lies in one `Extras` object that most cells never need.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from atomos._extras import Extras, ask, guard
from atomos.stm._arguments import shown
from atomos.stm._cell import latest
from atomos.stm._fitness import refuse_uncallable
from atomos.stm._waited import WaitedFor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["ARef"]

T = TypeVar("T")
X = TypeVar("X")

_logger = logging.getLogger("atomos")


class ARef(WaitedFor[T]):
    """Base of `Ref` and `Atom`: a reference that can be watched.

    Subclasses that only want watches call ``super().__init__()`` and
    `notify_watches`, as with atomos 0.3.

    Raises:
        TypeError: `validator` is not callable, or `name` is no str.
        ValidationError: `validator` refuses `value`.

    Cost: to make one, O(1) and 144 bytes without the value (CPython 3.11); 136 more
    with a name, a validator or metadata.

    Example:
        >>> from atomos import Atom
        >>> temperature = Atom(20, name="temperature")
        >>> def report(key, ref, old, new):
        ...     print(key, old, "->", new)
        >>> temperature.add_watch("log", report)
        >>> temperature.swap(lambda t: t + 1)
        log 20 -> 21
        21
    """

    __slots__ = ()

    def __init__(
        self,
        value: T = None,  # type: ignore[assignment] # 0.3 allows ARef() alone
        *,
        name: str | None = None,
        validator: Callable[[T], object] | None = None,
        meta: Any = None,
    ) -> None:
        """Start with `value`.

        Args:
            value: Any object; treat it as immutable.
            name: What `repr` and errors call it.
            validator: See `set_validator`.
            meta: See `meta`.
        """
        if name is not None and not isinstance(name, str):
            msg = f"name must be a str or None, not {shown(name)}"
            raise TypeError(msg)
        super().__init__(value)
        if name is not None or meta is not None:
            extras = self._need_extras()
            extras.name = name
            extras.meta = meta
        if validator is not None:
            self.set_validator(validator)

    def _need_extras(self) -> Extras:
        extras: Extras | None = self._extras
        if extras is None:
            made = Extras()
            with guard.lock:
                if self._extras is None:
                    self._extras = made
            extras = self._extras
        assert extras is not None
        return extras

    # What the engine asks

    def _label(self) -> str:
        extras: Extras | None = self._extras
        if extras is None or extras.name is None:
            return super()._label()
        return f"{type(self).__name__} {extras.name!r}"

    def _admit(self, value: T) -> None:
        extras: Extras | None = self._extras
        validator = None if extras is None else extras.validator
        if validator is not None:  # looked at once: another thread may take it away
            ask(validator, value, self._label())

    def _committed(self, old: T, new: T) -> None:
        if self._extras.watches:
            self.notify_watches(old, new)

    def _history_cap(self) -> int | None:
        extras: Extras | None = self._extras
        return None if extras is None else extras.max_history

    def __repr__(self) -> str:
        """Show the name and the latest committed value."""
        extras: Extras | None = self._extras
        name = (
            "" if extras is None or extras.name is None else f", name={extras.name!r}"
        )
        return f"{type(self).__name__}({self._shown()}{name})"

    # Watches

    def add_watch(self, key: Hashable, fn: Callable[[Any, Any, T, T], object]) -> None:
        """Have `fn` called after each commit that wrote this reference.

        Called as ``fn(key, ref, old, new)``, outside of the transaction and of
        every lock, in the thread that committed, once for each commit. Calls
        for different commits may come in any order. An `Exception` that it
        raises is reported through `logging` and stops nothing.

        Args:
            key: Identifies the watch; a watch with the same key is replaced.
            fn: The function.

        Raises:
            TypeError: `fn` is not callable, or `key` not hashable.

        Cost: O(watches).

        Source: clojure.core/add-watch

        Example:
            >>> from atomos import Ref
            >>> Ref(1).add_watch("print", print)
        """
        refuse_uncallable(fn, "add_watch")
        extras = self._need_extras()
        while True:
            before = extras.watches
            after = {**before, key: fn}
            with guard.lock:
                if extras.watches is before:
                    extras.watches = after
                    return

    def remove_watch(self, key: Hashable) -> None:
        """Remove the watch with `key`; nothing happens if there is none.

        Raises:
            TypeError: `key` is not hashable, and there are watches.

        Cost: O(watches).

        Source: clojure.core/remove-watch

        Example:
            >>> from atomos import Ref
            >>> Ref(1).remove_watch("never added")
        """
        extras: Extras | None = self._extras
        while extras is not None:
            before = extras.watches
            after = dict(before)
            after.pop(key, None)
            with guard.lock:
                if extras.watches is before:
                    extras.watches = after
                    return

    def get_watches(self) -> dict[Any, Callable[[Any, Any, T, T], object]]:
        """Return a copy of the watches, key -> function.

        Cost: O(watches).

        Example:
            >>> from atomos import Ref
            >>> Ref(1).get_watches()
            {}
        """
        extras: Extras | None = self._extras
        return {} if extras is None else dict(extras.watches)

    def notify_watches(self, oldval: T, newval: T) -> None:
        """Call every watch as if this reference had gone from `oldval` to `newval`.

        Cost: O(watches) calls.

        Example:
            >>> from atomos import Ref
            >>> ref = Ref(1)
            >>> ref.add_watch("w", lambda key, ref, old, new: print(old, new))
            >>> ref.notify_watches("before", "after")
            before after
        """
        extras: Extras | None = self._extras
        if extras is not None:
            self._call_watches(extras.watches, oldval, newval)

    def _call_watches(
        self, watches: dict[Any, Callable[[Any, Any, T, T], object]], old: T, new: T
    ) -> None:
        """Call some watches, which may have been taken off meanwhile."""
        for key, fn in watches.items():
            try:
                fn(key, self, old, new)
            except Exception:
                _logger.exception("watch %r of %s raised", key, self._label())

    # Validator

    def set_validator(self, fn: Callable[[T], object] | None, /) -> None:
        """Refuse from now on each value for which `fn` is false or raises.

        Args:
            fn: Called with a value before it is stored; None for no validator.

        Raises:
            TypeError: `fn` is not callable.
            ValidationError: It refuses the present value; nothing is changed.

        Cost: one call of `fn`.

        Source: clojure.core/set-validator!

        Example:
            >>> from atomos import Atom
            >>> age = Atom(3)
            >>> age.set_validator(lambda years: years >= 0)
            >>> age.reset(-1)
            Traceback (most recent call last):
                ...
            atomos.errors.ValidationError: ...
        """
        if fn is not None:
            refuse_uncallable(fn, "set_validator")
            ask(fn, latest(self).value, self._label())
        self._need_extras().validator = fn

    def get_validator(self) -> Callable[[T], object] | None:
        """Return the validator, or None.

        Cost: O(1).

        Source: clojure.core/get-validator

        Example:
            >>> from atomos import Ref
            >>> print(Ref(1).get_validator())
            None
        """
        extras: Extras | None = self._extras
        return None if extras is None else extras.validator

    # Metadata

    def meta(self) -> Any:
        """Return the metadata: any object, None at first, not transactional.

        Cost: O(1).

        Source: clojure.core/meta

        Example:
            >>> from atomos import Ref
            >>> Ref(1, meta={"unit": "EUR"}).meta()
            {'unit': 'EUR'}
        """
        extras: Extras | None = self._extras
        return None if extras is None else extras.meta

    def alter_meta(self, fn: Callable[..., X], /, *args: Any, **kwargs: Any) -> X:
        """Set the metadata to ``fn(meta, *args, **kwargs)`` and return that.

        Raises:
            TypeError: `fn` is not callable.

        Cost: one call of `fn`, more if another thread changes it meanwhile.

        Source: clojure.core/alter-meta!

        Example:
            >>> from atomos import Ref
            >>> Ref(1, meta=1).alter_meta(max, 5)
            5
        """
        refuse_uncallable(fn, "alter_meta")
        extras = self._need_extras()
        while True:
            before = extras.meta
            after = fn(before, *args, **kwargs)
            with guard.lock:
                if extras.meta is before:
                    extras.meta = after
                    return after

    def reset_meta(self, meta: X, /) -> X:
        """Set the metadata to `meta` and return it.

        Cost: O(1).

        Source: clojure.core/reset-meta!

        Example:
            >>> from atomos import Ref
            >>> Ref(1).reset_meta("new")
            'new'
        """
        self._need_extras().meta = meta
        return meta
