"""Named spaces: a folder that unrelated processes share, and that outlives them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from atomos.errors import NoTransactionError, SpaceError
from atomos.multiprocessing._cells import Shared, place
from atomos.multiprocessing._choice import best_engine
from atomos.multiprocessing._codec import CODECS, not_encoded
from atomos.multiprocessing._folder import ENGINES, Settings, make_folder
from atomos.multiprocessing._guest import Visitor
from atomos.multiprocessing._homes import attach, detach
from atomos.multiprocessing._ref import Ref
from atomos.multiprocessing.atom import Atom
from atomos.multiprocessing.atomic import (
    AtomicBoolean,
    AtomicFloat,
    AtomicInteger,
    AtomicReference,
)
from atomos.stm._arguments import NOT_GIVEN, shown
from atomos.stm._inside import inside

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from atomos.multiprocessing._codec import Codec
    from atomos.multiprocessing._home import SpaceHome

__all__ = ["DEFAULT_SIZE", "Space", "commit_id", "open_space"]

T = TypeVar("T")
S = TypeVar("S", bound="Shared[Any]")

#: Bytes that a space may take at most if nobody says: 64 GiB of addresses, no memory.
DEFAULT_SIZE = 1 << 36
#: Bytes of the longest name: LMDB has keys of up to 511 bytes.
LONGEST = 400


class Space:
    """A space that is open in this process.

    What is asked for by a name is the same location in all processes that have the
    space open. It may be used in a ``with`` statement, which closes it.

    Source: the named spaces of this library are its own; what is asked for with a
        default is so in Python's ``shelve`` and in Redis

    Example:
        >>> import tempfile
        >>> from atomos import multiprocessing
        >>> folder = tempfile.mkdtemp()
        >>> with multiprocessing.open(folder) as space:
        ...     visits = space.integer("visits")
        ...     visits.increment_and_get()
        1
        >>> with multiprocessing.open(folder) as space:
        ...     space.integer("visits").get()
        1
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

        Cost: one read; one commit if it is new.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> space = multiprocessing.open(tempfile.mkdtemp())
            >>> space.ref("checking", default=100)
            Ref(100, name='checking')
        """
        ref = self._get(Ref, name, default)
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

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> space = multiprocessing.open(tempfile.mkdtemp())
            >>> space.atom("config", default={}).swap(lambda d: {**d, "debug": True})
            {'debug': True}
        """
        atom = self._get(Atom, name, default)
        if validator is not None:
            atom.set_validator(validator)
        return atom

    def integer(self, name: str, default: int = 0) -> AtomicInteger:
        """Return the AtomicInteger with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> space = multiprocessing.open(tempfile.mkdtemp())
            >>> space.integer("visits").add_and_get(5)
            5
        """
        return self._get(AtomicInteger, name, default)

    def float(self, name: str, default: float = 0.0) -> AtomicFloat:
        """Return the AtomicFloat with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> space = multiprocessing.open(tempfile.mkdtemp())
            >>> space.float("total").add_and_get(0.5)
            0.5
        """
        return self._get(AtomicFloat, name, default)

    def boolean(self, name: str, default: bool = False) -> AtomicBoolean:
        """Return the AtomicBoolean with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> space = multiprocessing.open(tempfile.mkdtemp())
            >>> space.boolean("paused").get()
            False
        """
        return self._get(AtomicBoolean, name, default)

    def reference(self, name: str, default: T = NOT_GIVEN) -> AtomicReference[T]:
        """Return the AtomicReference with a name; as `ref`.

        Raises:
            SpaceError: As `ref`.
            EncodingError: As `ref`.

        Cost: as `ref`.

        Example:
            >>> import tempfile
            >>> from atomos import multiprocessing
            >>> space = multiprocessing.open(tempfile.mkdtemp())
            >>> space.reference("leader", default=None).compare_and_set(None, "ann")
            True
        """
        return self._get(AtomicReference, name, default)

    def _get(self, kind: type[S], name: str, default: Any) -> S:
        """Return the cell with a name, which is made if it is new."""
        if not _is_name(name):
            msg = f"name must be a str of 1 to {LONGEST} bytes, not {shown(name)}"
            raise ValueError(msg)
        home = self._home
        if home.closed:
            home.refuse_closed(f"{kind.__name__} {name!r}")
        key, kind_key = b"cn" + name.encode(), b"ck" + name.encode()
        while (found := home.engine.get(kind_key)) is None:
            if default is NOT_GIVEN:
                msg = (
                    f"{home!r} has no {kind.__name__} {name!r}: give it a default, "
                    "or look at the name"
                )
                raise SpaceError(msg)
            data = _first(home.codec, kind, name, default)
            home.put_new({kind_key: kind.__name__.encode(), key: data})
        is_a = found[8:].decode()
        if is_a != kind.__name__:
            msg = f"{name!r} in {home!r} is no {kind.__name__}: it is {is_a}"
            raise SpaceError(msg)
        record = home.engine.get(key)
        assert record is not None
        # Of one that was changed since then nobody knows what it was at first.
        initial = record[8:] if record[:8] == found[:8] else b""
        details = kind._plain_details()
        return place(kind, home, key, initial, name, *details)  # type: ignore[return-value] # of that kind

    def committed(self, id: str) -> bool:
        """Whether the transaction with this `commit_id` has committed.

        Waits until nobody is in the middle of a commit, so the answer is final also
        when the process that ran it was killed, or its call raised. The newest
        1,000 ids that were asked for are kept.

        Raises:
            ValueError: It is no such id.
            SpaceBusyError: Whoever writes was stopped.

        Cost: the queue of those who write, and one read.

        Example:
            >>> import tempfile
            >>> from atomos import dosync, multiprocessing
            >>> space = multiprocessing.open(tempfile.mkdtemp())
            >>> paid = space.ref("paid", default=False)
            >>> @dosync
            ... def pay():
            ...     paid.set(True)
            ...     return multiprocessing.commit_id()
            >>> space.committed(pay())
            True
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
            >>> space = multiprocessing.open(tempfile.mkdtemp())
            >>> visits = space.integer("visits")
            >>> space.close()
            >>> visits.get()
            Traceback (most recent call last):
                ...
            atomos.errors.SpaceClosedError: ...
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


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name.encode()) <= LONGEST


def _first(codec: Codec, kind: type[Shared[Any]], name: str, default: object) -> bytes:
    """Return the first value of a cell as bytes.

    Raises:
        TypeError: Cells of that class do not hold such values.
        EncodingError: It cannot be encoded.
    """
    fits = getattr(kind, "_kind", object)
    if not isinstance(default, fits):
        msg = f"{kind.__name__} holds {fits.__name__} only, not {shown(default)}"
        raise TypeError(msg)
    try:
        return codec.dumps(default)
    except Exception as error:
        label = f"{kind.__name__} {name!r}"
        raise not_encoded(codec, default, label, error) from error


def open_space(
    path: str | os.PathLike[str],
    *,
    engine: str | None = None,
    codec: str | None = None,
    durable: bool | None = None,
    size: int | None = None,
) -> Space:
    """Open a space, which is made if there is none; unrelated processes share it.

    Values are pickled, and to unpickle runs what the bytes say: share a space only
    among processes that trust each other, or use ``codec="json"``, which reads nothing
    that can run code.

    Args:
        path: A folder, which is made with mode 0700; files in it have mode 0600.
        engine: "lmdb" or "sqlite"; None for how it was made, or for LMDB where it is
            installed on Linux, else SQLite.
        codec: "pickle" or "json"; None for how it was made, or pickle.
        durable: What a transaction has committed survives power loss, too; None for
            how it was made, or False. A killed process loses nothing in either case.
        size: Bytes that the space may take at most, with LMDB.

    Returns:
        The space. It stays open until it is closed, or the process ends.

    Raises:
        ValueError: There is no such engine or codec.
        SpaceError: It was made with other settings, or its package is not installed.
        SpaceAccessError: The path may not be used.
        SpaceCorruptError: The path has something else, or is damaged.

    Cost: opens some files.

    Example:
        >>> import tempfile
        >>> from atomos import multiprocessing
        >>> with multiprocessing.open(tempfile.mkdtemp(), codec="json") as space:
        ...     space.ref("point", default=[1, 2])
        Ref([1, 2], name='point')
    """
    _refuse_unknown("engine", engine, ENGINES)
    _refuse_unknown("codec", codec, tuple(CODECS))
    path = os.fspath(path)
    wanted = Settings(
        engine or best_engine(),
        codec or "pickle",
        bool(durable),
        size or DEFAULT_SIZE,
        True,
    )
    found = make_folder(path, wanted)
    for asked, name in ((engine, "engine"), (codec, "codec"), (durable, "durable")):
        if asked is not None and asked != getattr(found, name):
            msg = (
                f"the space {path} was made with {name}={getattr(found, name)!r}, not "
                f"{asked!r}: leave {name} out, or name another path"
            )
            raise SpaceError(msg)
    if size is not None:
        found = found._replace(size=size)
    return Space(attach(path, found), found)


def _refuse_unknown(name: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        msg = f"{name} must be {' or '.join(map(repr, known))}, not {shown(value)}"
        raise ValueError(msg)


def commit_id() -> str:
    """Return the id under which the running transaction will commit.

    Note it somewhere else before the transaction ends, and `Space.committed` tells
    afterwards whether it has committed, also if its process was killed meanwhile. An
    attempt that is run again has another id.

    Raises:
        NoTransactionError: No transaction is running that has used a ref of a space.

    Cost: O(1), and one more small write at the commit.

    Example:
        >>> from atomos.multiprocessing import Ref, commit_id, dosync
        >>> ref = Ref(1)
        >>> with dosync():
        ...     _ = ref.set(2)
        ...     len(commit_id())
        32
    """
    tx = inside()
    guest = None if tx is None else tx.guest
    if not isinstance(guest, Visitor):
        msg = (
            "commit_id() was called where no transaction has used a ref of a space "
            "yet: call it in the body, after a read or write"
        )
        raise NoTransactionError(msg)
    if not guest.mark:
        guest.mark = os.urandom(16)
    return guest.mark.hex()
