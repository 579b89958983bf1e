"""Named spaces: a folder that unrelated processes share, and that outlives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from atomos.multiprocessing._folder import Settings
from atomos.multiprocessing._homes import detach
from atomos.multiprocessing._named import named
from atomos.multiprocessing._ref import Ref
from atomos.multiprocessing.atom import Atom
from atomos.multiprocessing.atomic import (
    AtomicBoolean,
    AtomicFloat,
    AtomicInteger,
    AtomicReference,
)
from atomos.stm._arguments import NOT_GIVEN, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from atomos.multiprocessing._home import SpaceHome

__all__ = ["Space"]

T = TypeVar("T")


class Space:
    """A space that is open in this process.

    What is asked for by a name is the same location in all processes that have the
    space open. It may be used in a ``with`` statement, which closes it.

    Cost: to open one, some files: see `open`.

    Source: the named spaces of this library are its own; what is asked for with a
        default is so in Python's ``shelve`` and in Redis

    Example:
        >>> import tempfile
        >>> from atomos import multiprocessing
        >>> folder = tempfile.TemporaryDirectory()
        >>> with multiprocessing.open(folder.name) as space:
        ...     visits = space.integer("visits")
        ...     visits.increment_and_get()
        1
        >>> with multiprocessing.open(folder.name) as space:
        ...     space.integer("visits").get()
        1
        >>> folder.cleanup()
    """

    def __init__(self, home: SpaceHome, settings: Settings) -> None:
        """Not for users, who call `open`."""
        self._home = home
        self._settings = settings

    @property
    def path(self) -> str:
        """The folder, with no link in it."""
        return self._home.path

    @property
    def settings(self) -> Settings:
        """How it was made: engine, codec, durable, size."""
        return self._settings

    def __repr__(self) -> str:
        """Show the folder, and how it was made."""
        how = f"engine={self._settings.engine!r}, codec={self._settings.codec!r}"
        durable = ", durable=True" if self._settings.durable else ""
        closed = ", closed" if self._home.closed else ""
        return f"Space({self.path!r}, {how}{durable}{closed})"

    def ref(
        self,
        name: str,
        default: T = NOT_GIVEN,
        *,
        validator: Callable[[T], object] | None = None,
    ) -> Ref[T]:
        """Return the Ref with a name.

        Args:
            name: Of up to 400 bytes of UTF-8.
            default: Its value if it is not there yet, which is written at once.
            validator: Called with each value before this process commits it.

        Raises:
            SpaceError: It is not there, and there is no default; or something of
                another class has the name.
            EncodingError: The default cannot be encoded.
            SpaceClosedError: The space was closed.
            ValueError: `name` is no str of 1 to 400 bytes.
            TypeError: `validator` is not callable.
            ValidationError: `validator` refuses the value that is there.

        Cost: one read; one commit if it is new.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> folder = tempfile.TemporaryDirectory()
            >>> space = multiprocessing.open(folder.name)
            >>> space.ref("checking", default=100)
            Ref(100, name='checking')
            >>> space.close()
            >>> folder.cleanup()
        """
        ref = named(self._home, Ref, name, default)
        if validator is not None:
            ref.set_validator(validator)
        return ref

    def atom(
        self,
        name: str,
        default: T = NOT_GIVEN,
        *,
        validator: Callable[[T], object] | None = None,
    ) -> Atom[T]:
        """Return the Atom with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.
            EncodingError: As `ref`.
            SpaceClosedError: As `ref`.
            ValueError: As `ref`.
            TypeError: As `ref`.
            ValidationError: As `ref`.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> folder = tempfile.TemporaryDirectory()
            >>> space = multiprocessing.open(folder.name)
            >>> space.atom("config", default={}).swap(lambda d: {**d, "debug": True})
            {'debug': True}
            >>> space.close()
            >>> folder.cleanup()
        """
        atom = named(self._home, Atom, name, default)
        if validator is not None:
            atom.set_validator(validator)
        return atom

    def integer(self, name: str, default: int = 0) -> AtomicInteger:
        """Return the AtomicInteger with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.
            SpaceClosedError: As `ref`.
            ValueError: As `ref`.
            TypeError: It is new, and the default is not an int.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> folder = tempfile.TemporaryDirectory()
            >>> space = multiprocessing.open(folder.name)
            >>> space.integer("visits").add_and_get(5)
            5
            >>> space.close()
            >>> folder.cleanup()
        """
        return named(self._home, AtomicInteger, name, default)

    def float(self, name: str, default: float = 0.0) -> AtomicFloat:
        """Return the AtomicFloat with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.
            SpaceClosedError: As `ref`.
            ValueError: As `ref`.
            TypeError: It is new, and the default is not a float.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> folder = tempfile.TemporaryDirectory()
            >>> space = multiprocessing.open(folder.name)
            >>> space.float("total").add_and_get(0.5)
            0.5
            >>> space.close()
            >>> folder.cleanup()
        """
        return named(self._home, AtomicFloat, name, default)

    def boolean(self, name: str, default: bool = False) -> AtomicBoolean:
        """Return the AtomicBoolean with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.
            SpaceClosedError: As `ref`.
            ValueError: As `ref`.
            TypeError: It is new, and the default is not a bool.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> folder = tempfile.TemporaryDirectory()
            >>> space = multiprocessing.open(folder.name)
            >>> space.boolean("paused").get()
            False
            >>> space.close()
            >>> folder.cleanup()
        """
        return named(self._home, AtomicBoolean, name, default)

    def reference(self, name: str, default: T = NOT_GIVEN) -> AtomicReference[T]:
        """Return the AtomicReference with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.
            EncodingError: As `ref`.
            SpaceClosedError: As `ref`.
            ValueError: As `ref`.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> folder = tempfile.TemporaryDirectory()
            >>> space = multiprocessing.open(folder.name)
            >>> space.reference("leader", default=None).compare_and_set(None, "ann")
            True
            >>> space.close()
            >>> folder.cleanup()
        """
        return named(self._home, AtomicReference, name, default)

    def committed(self, id: str) -> bool:
        """Whether the transaction with this `commit_id` has committed.

        Waits until nobody is in the middle of a commit, so the answer is final also
        when the process that ran it was killed, or its call raised. The newest
        1,000 ids that were asked for are kept.

        Raises:
            ValueError: It is no such id.
            SpaceBusyError: Whoever writes was stopped.
            SpaceClosedError: The space was closed.

        Cost: the queue of those who write, and one read.

        Example:
            >>> import tempfile
            >>> from atomos import dosync, multiprocessing
            >>> folder = tempfile.TemporaryDirectory()
            >>> space = multiprocessing.open(folder.name)
            >>> paid = space.ref("paid", default=False)
            >>> @dosync
            ... def pay():
            ...     paid.set(True)
            ...     return multiprocessing.commit_id()
            >>> space.committed(pay())
            True
            >>> space.close()
            >>> folder.cleanup()
        """
        try:
            mark = bytes.fromhex(id)
        except (TypeError, ValueError):
            mark = b""
        if len(mark) != 16:
            msg = f"an id is what commit_id() has returned, not {shown(id)}"
            raise ValueError(msg)
        return self._home.was_committed(mark)

    def close(self) -> None:
        """Close the space in this process: its refs cannot be used any more.

        Cost: O(1).

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> folder = tempfile.TemporaryDirectory()
            >>> space = multiprocessing.open(folder.name)
            >>> visits = space.integer("visits")
            >>> space.close()
            >>> visits.get()
            Traceback (most recent call last):
                ...
            atomos.errors.SpaceClosedError: ...
            >>> folder.cleanup()
        """
        if not self._home.closed:
            detach(self._home)

    def __enter__(self) -> Space:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
