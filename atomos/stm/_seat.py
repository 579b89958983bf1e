"""Where the transaction that runs in a thread is found.

Each thread has a *seat*. A function that runs as a transaction is stored into it at
its begin and taken out at its end, by plain stores. That is right because a
function runs from its begin to its end without a pause: whoever runs in its thread
meanwhile has been called by it.

A block may be left for a while, by `yield` or `await`. So each block has a seat of
its own, in a `ContextVar`, and a context that is not its own does not see it. As long
as a thread has blocks open, `BLOCKS` stands in its seat: look into the context.

asyncio can run other tasks in the middle of a function, if that runs an event loop.
So where asyncio is in use each use compares the task, too. What then begins in the
same thread needs a seat while that of the thread is taken: a new one lies over it,
and `elsewhere` looks through all of them.
"""

from __future__ import annotations

from _thread import get_ident
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from atomos.stm._registry import ThreadRecord, my_record, seats
from atomos.stm._turn import FREE

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.stm._owner import Owner

__all__ = [
    "BLOCKS",
    "Seat",
    "elsewhere",
    "get_up",
    "new_seat",
    "run_over",
    "seated",
    "seats",
    "sit_in_block",
]

P = ParamSpec("P")
R = TypeVar("R")


class BLOCKS:
    """Stands in a thread's seat: it had blocks open, so look into the context.

    A class, since each use of an instance by two threads at once costs more on a
    free-threaded build, for its reference count; classes have none there.
    """

    running: Final = False


class Seat:
    """A place for one running transaction.

    Attributes:
        thread: The record of the thread whose seat it is.
        tx: The transaction that runs there, or what stands in for it; None while
            nothing runs. Written only by the thread, but that a block may be ended by
            another. `Any`, since the class of transactions builds on this module.
        spare: A transaction that has ended, as good as new, or None. To use it
            again saves 120 ns of 2,240 that a transfer takes on 3.11.
        under: The seat of the same thread that was taken when this one was made;
            None if there was none, or it is known to be free.
        beyond: The seat of a block that was open in this context when this one was
            made; whoever sits here is outside of that. Never changes.
    """

    __slots__ = ("beyond", "spare", "thread", "tx", "under")

    def __init__(self, thread: ThreadRecord, under: Seat | None = None) -> None:
        self.thread = thread
        self.tx: Any = None
        self.spare: Any = None
        self.under = under
        self.beyond: Seat | None = None if under is None else under.beyond


def _nobodys_seat() -> Seat:
    """Return a seat in which nothing ever runs, of no thread."""
    record = ThreadRecord()
    record.ident, record.dead = 0, True
    return Seat(record)


#: The seat of the block that is open in this context, or was when it was copied.
current: ContextVar[Seat] = ContextVar(
    "atomos.current",
    default=_nobodys_seat(),  # noqa: B039 - nobody writes it: its thread has no ident
)


#: The seats in use. While there are none, atoms need not look for their own, which
#: saves 30 ns. Without the GIL a dict that all threads write would cost more than
#: that. There only the truth of it is asked for.
seated: dict[Seat, None] = True if FREE else {}  # type: ignore[assignment] # truth only


def new_seat() -> Seat:
    """Return a seat for the calling thread, which has none in `seats` yet."""
    thread = my_record()
    seat = Seat(thread)
    if thread.blocks:
        seat.tx = BLOCKS
    seats[get_ident()] = seat
    return seat


def sit_in_block(block: Seat) -> None:
    """Take a seat for a block of the calling thread, which is inside of nothing.

    Args:
        block: The block's own seat; its transaction is in it.
    """
    block.thread.blocks[block] = None
    _note_blocks(block.thread)
    if not FREE:
        seated[block] = None
    current.set(block)


def _note_blocks(thread: ThreadRecord) -> None:
    """Have the seat of the calling thread say that blocks are open."""
    seat = seats.get(get_ident())
    if seat is not None and seat.tx is None:
        seat.tx = BLOCKS
    elif seat is None or seat.tx is not BLOCKS:
        seat = Seat(thread, seat)  # an event loop runs in a function
        seat.tx = BLOCKS
        seats[get_ident()] = seat


def get_up(block: Seat, before: Seat | None) -> None:
    """Leave the seat of a block, in whatever thread; again does no harm.

    Args:
        block: The seat.
        before: What this context had before it.
    """
    block.tx = None
    if not FREE:
        seated.pop(block, None)
    block.thread.blocks.pop(block, None)
    if before is not None and current.get() is block:
        current.set(before)


def elsewhere(seat: Seat) -> Owner | None:
    """Return what runs here, where `seat`, that of the thread, does not tell."""
    thread = seat.thread
    if thread.blocks:
        block = current.get()
        owner: Owner | None = block.tx
        if (
            block is not seat.beyond
            and block.thread is thread
            and owner is not None
            and owner.is_here()
        ):
            return owner
    idle = not thread.blocks
    under = seat.under
    while under is not None:
        owner = under.tx
        if owner is not None and owner is not BLOCKS:
            idle = False
            if owner.is_here():
                return owner
        under = under.under
    if idle:
        seat.under = None
        if seat.tx is BLOCKS:
            seat.tx = None
    return None


def run_over(seat: Seat, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `fn` with another seat for the calling thread, since `seat` is taken.

    What runs around it is not found from there, also when `fn` has had a block open:
    the new seat leads neither to the one under it nor to the block around.
    """
    ident = get_ident()
    other = Seat(seat.thread)
    if seat.thread.blocks:
        other.beyond = current.get()
    try:
        seats[ident] = other
        return fn(*args, **kwargs)
    finally:
        seats[ident] = seat
        if seat.thread.blocks:
            _note_blocks(seat.thread)
