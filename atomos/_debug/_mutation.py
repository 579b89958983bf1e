"""Finding values that were changed in place.

Each load of a value looks at it (`_guarded`). Beyond that, what a function has been
given is looked at again when it has returned, before anything is written: that finds
the function which changes its argument, where it happens. And a commit looks at all
that the attempt has read and written, before it begins.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from atomos._debug._guarded import (
    Guarded,
    Kept,
    Mode,
    guard_all,
    guarding,
    here,
    kept_of,
    let_go_all,
    plain,
    with_mode,
)
from atomos._debug._prints import Prints
from atomos._performer import Performer
from atomos.atom import Atom
from atomos.atomic import AtomicReferenceArray
from atomos.stm import _cell, _commit, _history, _local, _publish, _solo
from atomos.stm._cell import Cell, latest
from atomos.stm._footprint import COMMUTED
from atomos.stm._journal import Journal
from atomos.stm._seams import Seams
from atomos.stm._transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atomos._action import Action
    from atomos.stm._cell import Version
    from atomos.stm._commit import Change
    from atomos.stm._footprint import Write

__all__ = ["look_for_mutation", "stop_looking"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def look_for_mutation(seams: Seams, classes: tuple[type, ...]) -> None:
    """Look from now on, until `seams` are closed and `stop_looking` was called.

    Args:
        seams: To be closed by the caller.
        classes: Those to look into that the user has named.
    """
    guarding.prints = Prints(classes)
    seams.function(_cell, "Version", _guarded_version)
    seams.method(_local, "pending", _not_guarding)
    seams.function(_commit, "commit", _looking_at_all)
    seams.function(_commit, "_compute_commutes", _looking_at_bases)
    seams.function(_commit, "_settle", with_mode(Mode.QUIET))
    seams.function(_history, "_deep", with_mode(Mode.QUIET))
    seams.function(_publish, "publish", _looking_before_publish)
    seams.function(_solo, "exchange", _passing_on)
    seams.function(_solo, "update", _passing_on)
    seams.function(_solo, "compare_and_exchange", _passing_on)
    seams.method(Transaction, "write", _looking_before_write)
    seams.method(Transaction, "_compute_now", _looking_after_compute)
    seams.method(Journal, "keep", with_mode(Mode.MOVES))
    seams.method(Atom, "swap", _looking_after_swap)
    seams.method(Performer, "_perform", _noting_the_action)
    for kind in (*_kinds(Cell), AtomicReferenceArray):
        if "__repr__" in vars(kind):
            seams.method(kind, "__repr__", with_mode(Mode.QUIET))
    guard_all()


def stop_looking() -> None:
    """Let all values go; also where looking has only half begun, and again."""
    guarding.prints = None
    let_go_all()


def _kinds(kind: type) -> Iterator[type]:
    """Yield the classes of cells of this library."""
    if kind.__module__.startswith("atomos."):
        yield kind
    below: type
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _look(version: Version[Any] | None, again: bool = True) -> None:
    """Raise if the value of `version` was changed.

    Args:
        version: Any, or none.
        again: Also if that was reported already.
    """
    kept = kept_of(version)
    if kept is not None:
        kept.look(again)


def _guarded_version(_: type[Version[Any]]) -> type[Version[Any]]:
    return Guarded


def _not_guarding(pending: Callable[[T], Version[T]]) -> Callable[[T], Version[T]]:
    """Make versions that are not guarded: the values of a `TransactionLocal`."""

    def unguarded(value: T) -> Version[T]:
        version = pending(value)
        version.__class__ = plain()
        return version

    return unguarded


def _looking_at_all(
    commit: Callable[[Transaction], list[Change]],
) -> Callable[[Transaction], list[Change]]:
    """Refuse to commit an attempt if one of its values was changed."""

    def looking(tx: Transaction) -> list[Change]:
        for version in list(tx.view.values()):
            own, read = kept_of(version), kept_of(version.older)
            if own is not None:
                own.look()
            if read is not None and version.number <= 0:
                # It may have been reported: to write another value is the way to go on.
                read.look(
                    again=version.number == COMMUTED
                    or (own is not None and own.value is read.value)
                )
        return commit(tx)

    return looking


def _looking_at_bases(
    compute: Callable[[list[Write]], None],
) -> Callable[[list[Write]], None]:
    """Look at what the functions given to `commute` were called with."""

    def looking(entries: list[Write]) -> None:
        compute(entries)
        for entry in entries:
            if entry.calls is not None:
                _look(entry.base)

    return looking


def _looking_before_publish(publish: Callable[..., bool]) -> Callable[..., bool]:
    """Look at what an Atom or atomic alone is about to displace."""

    def looking(cell: Cell[T], old: Version[T], value: T) -> bool:
        kept = kept_of(old)
        if kept is None:
            return publish(cell, old, value)
        kept.look(again=False)
        done = publish(cell, old, value)
        if done and here.displaced is not None:
            here.displaced.append(kept)
        return done

    return looking


def _passing_on(operation: Callable[P, R]) -> Callable[P, R]:
    """Let an operation return what it has displaced, which was looked at before."""

    def passing_on(*args: P.args, **kwargs: P.kwargs) -> R:
        before = here.displaced
        try:
            here.displaced = []
            return operation(*args, **kwargs)
        finally:
            here.displaced = before

    return passing_on


def _looking_before_write(write: Callable[..., None]) -> Callable[..., None]:
    """Look at what a transaction is about to write over."""

    def looking(tx: Transaction, cell: Cell[T], value: T) -> None:
        seen = tx.view.get(cell)
        _look(latest(cell) if seen is None else seen, again=False)
        write(tx, cell, value)

    return looking


def _looking_after_compute(
    compute_now: Callable[..., Version[Any]],
) -> Callable[..., Version[Any]]:
    """Look at what the commutes of a cell were computed on that is read now."""

    def looking(tx: Transaction, cell: Cell[T], commutes: Version[T]) -> Version[T]:
        version = compute_now(tx, cell, commutes)
        _look(version.older)
        return version

    return looking


def _looking_after_swap(swap: Callable[..., Any]) -> Callable[..., Any]:
    """Look at what the function of a swap was called with, when it has returned."""

    @wraps(swap)
    def looking(atom: Atom[Any], fn: Any, *args: Any, **kwargs: Any) -> Any:
        return swap(atom, _looking_after(fn) if callable(fn) else fn, *args, **kwargs)

    return looking


def _looking_after(fn: Callable[..., Any]) -> Callable[..., Any]:
    def looking(value: Any, *args: Any, **kwargs: Any) -> Any:
        lent: Kept | None = None if here.lent is None else here.lent()
        result = fn(value, *args, **kwargs)
        if lent is not None and lent.value is value:
            lent.look()
        return result

    return looking


def _noting_the_action(perform: Callable[..., None]) -> Callable[..., None]:
    """Note where the function of an action is: its value is set by no code of it."""

    def noting(agent: Performer[Any], action: Action) -> None:
        code = getattr(action.fn, "__code__", None)
        before = here.action
        if code is not None:
            here.action = code.co_filename, code.co_firstlineno
        try:
            perform(agent, action)
        finally:
            here.action = before

    return noting
