"""Who is running: a record for each thread.

A shared dict of running transactions would be written at each begin and end by
every thread, and on a free-threaded build each such write waits for a cache
line. So each thread has a record of its own, with a list of its open snapshots that
only it appends to and removes from, and a number in a buffer that is shared by all
(see `_snapshots`). Each thread has views of its own of that buffer and of the clock,
since without the GIL each use of one object by two threads costs as much as what is
done with it.

A record dies with its thread: the only strong reference to its token is in
that thread's `threading.local`, and the token's weak reference marks the
record. Thread idents are reused, so an ident alone would not do. After a fork
the records of all other threads are marked dead in the child.

The last finalizers of a thread may use the library when its `threading.local` is gone
already, and make a record and a seat that nothing ends. Likewise somebody may keep a
token. The next thread with the same ident finds that seat, and takes the record over:
from then on it ends with the token of that thread, and no longer with the one before.
"""

from __future__ import annotations

import sys
import threading
import weakref
from _thread import allocate_lock, get_ident
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from atomos.stm._turn import FREE, clock, own_clock, own_turns

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Container, Sequence

    from atomos.stm._turn import Numbered, Numbers

__all__ = [
    "MANY",
    "Snapshot",
    "ThreadRecord",
    "buffer",
    "forget_other_threads",
    "my_record",
    "numbers",
    "registry",
    "seats",
]


#: In the buffer: look at the thread's list of snapshots.
MANY = -1
#: Threads with a place in the buffer. Are there more, the last place has `MANY`.
PLACES = 256


def numbers(buffer: bytearray | bytes) -> memoryview[int]:
    return memoryview(buffer).cast("q")


buffer = bytearray(8 * PLACES)


class Snapshot(Protocol):
    """A read point that keeps the versions it can read.

    Attributes:
        point: The read point; never decreases.
        running: False once its transaction has ended.
    """

    point: int
    running: bool


class ThreadRecord:
    """What the others may know of one thread.

    Attributes:
        ident: The thread's ident; 0 once it has ended, for idents are used again.
        snapshots: Open snapshots. Changed only by the thread itself, in
            single calls; others copy it.
        mine: Its number in the buffer, a view of one. Others write `MANY` only.
        copied: Returns a copy of the whole buffer. Used without the GIL, where the
            buffer itself would be one object for all threads. (To compare it takes
            40 ns, to copy it 20 more, to compare views 250.)
        none_open: What is in it while no snapshot is open.
        raw: What was in it when this thread last looked.
        found: What `open_points` made of that, to be given out again.
        place: Where `mine` is in it; -1 if nowhere, since there are too many.
        steps: Its own way to the clock's turn, without the GIL; see `own_turns`.
        release: And how to pass the turn on.
        clock: Its own view of the clock's numbers.
        blocks: The seats of its open blocks. Added to only by the thread itself.
        pending: The record of its last commit that was announced to readers and
            may be under way; see `_clock`. Written only with the turn.
        modules: Its own view of what has been imported.
        waits_for: The status that the thread sleeps for; None while it does not.
        dead: The thread has ended, or did not survive a fork. Never reset.
    """

    __slots__ = (
        "__weakref__",
        "blocks",
        "clock",
        "copied",
        "dead",
        "found",
        "ident",
        "mine",
        "modules",
        "none_open",
        "pending",
        "place",
        "raw",
        "release",
        "snapshots",
        "steps",
        "token",
        "waits_for",
    )

    def __init__(self) -> None:
        self.ident = get_ident()
        self.snapshots: list[Snapshot] = []
        self.dead = False
        self.token: weakref.ref[_Token] | None = None
        self.copied = memoryview(buffer).tobytes
        self.none_open = bytes(8 * PLACES)
        self.waits_for: Any = None  # a `Status`, which builds on this module
        self.raw = self.none_open
        self.found: Sequence[int] = ()
        self.mine = numbers(bytearray(8))
        self.place = -1
        self.steps, self.release = own_turns()
        self.clock: Numbers = clock
        self.pending: Numbered | None = None
        self.blocks: dict[Any, None] = {}
        # A view that leads to what has been imported without touching its count.
        self.modules: Container[str] = MappingProxyType(sys.modules)

    def choose_place(self, others: list[ThreadRecord]) -> None:
        """Choose a place that none of `others` has, if there is one."""
        used = {other.place for other in others}
        self.place = next((n for n in range(PLACES - 1) if n not in used), -1)

    def take_place(self) -> None:
        """Write to the buffer from now on.

        Not before the record is among those of `registry`: until then another thread
        may take the place, and its number is not ours to clear.
        """
        if self.place >= 0:
            self.mine = numbers(buffer)[self.place : self.place + 1]
            self.clock = own_clock(self.place)
        else:
            numbers(buffer)[-1] = MANY  # for good: from now on all look at lists


class _Token:
    """Lives as long as the thread whose `threading.local` holds it."""

    __slots__ = ("__weakref__", "record")

    def __init__(self, record: ThreadRecord) -> None:
        self.record = record


class _Local(threading.local):
    token: _Token | None = None


class registry:  # noqa: N801 - there is one; it is used as an object
    """All records.

    A class, since each use of an instance by two threads at once costs more on a
    free-threaded build, for its reference count; classes have none there.

    Attributes:
        records: One for each thread. Replaced as a whole, under `lock`.
        places: From here on nobody has used the buffer yet. Never decreases.
        lock: Guards both.
    """

    records: ClassVar[tuple[ThreadRecord, ...]] = ()
    places: ClassVar[int] = 0
    lock: ClassVar[LockType] = allocate_lock()


_local = _Local()
#: The seat of each thread that has one, by ident (see `_seat`). Without the GIL it is
#: the dict of a module, since no use of such a dict is counted.
seats: dict[int, Any] = vars(ModuleType("seats")) if FREE else {}  # type: ignore[assignment] # it is cleared
seats.clear()


def _replace(before: tuple[ThreadRecord, ...], after: tuple[ThreadRecord, ...]) -> bool:
    """Swap the tuple if nobody else did; no call happens under the lock."""
    place = after[-1].place
    places = PLACES if place < 0 else place + 1
    with registry.lock:
        if registry.records is before:
            registry.records = after
            if places > registry.places:
                registry.places = places
            return True
    return False


def _new_token(record: ThreadRecord, ident: int) -> _Token:
    """Return the token with which the record ends, and no longer with another one.

    The weak reference to the one before goes, and one that is gone is not called.
    """
    token = _Token(record)

    def ended(_: weakref.ref[_Token]) -> None:
        seat = seats.get(ident)
        if seat is not None and seat.thread is record:
            del seats[ident]
        record.ident = 0
        record.mine[0] = 0  # before `dead`: the place of a dead record is given away
        record.dead = True

    record.token = weakref.ref(token, ended)
    return token


def _taken_over(ident: int) -> ThreadRecord | None:
    """Return the record of a thread that had the ident of this one, and has ended.

    It has left its seat behind if its finalizers have used the library when its
    `threading.local` was gone already, or if somebody still keeps its token. This
    thread has found that seat, and may be in the middle of a transaction in it. So it
    goes on with the record that belongs to it.
    """
    seat = seats.get(ident)
    return None if seat is None or seat.thread.dead else seat.thread


def _register() -> ThreadRecord:
    """Make this thread's record, and drop those of threads that have ended."""
    ident = get_ident()
    taken_over = _taken_over(ident)
    record = taken_over or ThreadRecord()
    token = _new_token(record, ident)
    while taken_over is None:
        before = registry.records
        # One whose commit was cut short is kept until its number is known to all.
        alive = [one for one in before if not one.dead or one.pending is not None]
        record.choose_place(alive)
        if _replace(before, (*alive, record)):
            record.take_place()
            record.mine[0] = 0
            break
    _local.token = token
    return record


def my_record() -> ThreadRecord:
    """Return the calling thread's record, made at its first call.

    Cost: one `threading.local` lookup.
    """
    token = _local.token
    return token.record if token is not None else _register()


def forget_other_threads() -> None:
    """In the child of a fork: only the calling thread lives on."""
    mine = my_record()
    for record in registry.records:
        if record is not mine:
            record.ident = 0
            record.dead = True
            record.mine[0] = 0
    # The seat of a thread whose token is in a frame would stay, for the next one with
    # its ident.
    ident = get_ident()
    for other in seats.keys() - {ident}:
        del seats[other]
    registry.lock = allocate_lock()
    registry.records = (mine,)
