"""What a space asks of the engine that stores it.

A space is a map from keys to records, kept in a folder that processes share. Each
commit has a number, greater than those of all commits before it. A *record* is the
number of the commit that wrote it, its *stamp*, as 8 bytes in big-endian order, and
after them the payload, of which an engine knows nothing.

Reading. A `Snapshot` sees the records as one commit left them, however long it is
held, and waits for nobody. Its `number` says of which commit; it may be too low,
since an engine may learn the number before it looks, but never too high. So who
remembers a value as "what is there at this number" is never wrong about the past.

Writing. Writers come one after another: whoever writes holds the `queue` of the
space from before `commit` until after it. `commit` compares what was read with what
is there now, by the stamps, and writes all or nothing. Since stamps are never used
twice, an equal stamp is an equal record.

Which commit was mine? `commit` gets an identity of the *client*, a thread of a
process, and a *mark*, and stores the mark in the same commit. If a writer is killed
or interrupted while it commits, the mark of the client tells afterwards whether the
commit happened. Before it is asked, the queue must be taken and `settle` called, so
that what a killed writer left half done is over. Marks of clients that have not
committed for long are dropped when there are more than about a thousand.

Keys of the engine's own records begin with ``m`` (marks) and ``s`` (state); those
of its user must begin with something else.

An engine may be used by all threads of a process. After a fork, the child opens it
anew when it uses it first. A snapshot stays with the process that began it: in the
child `end` does nothing, and `get` raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atomos.multiprocessing._queue import Queue

__all__ = ["Engine", "Snapshot"]


class Snapshot(Protocol):
    """The records as one commit left them."""

    #: The number of the newest commit that is seen; may be too low, never too high.
    number: int

    def get(self, key: bytes) -> bytes | None:
        """Return the record under this key, or None if there is none."""

    def end(self) -> None:
        """Give up the snapshot; any thread may do so, and more than once."""


class Engine(Protocol):
    """One space, as this process has it open."""

    name: str
    path: str
    queue: Queue
    #: The number of the commit that this process has tried last; 0 before the first.
    #: Written by who holds the queue, just before the step that decides. So who set it
    #: to 0, was interrupted in `commit`, and holds the queue still, knows that the
    #: commit has happened if it is above 0 and `number` is up to it.
    tried: int

    def snapshot(self) -> Snapshot:
        """Begin a snapshot of what is there now."""

    def get(self, key: bytes) -> bytes | None:
        """Return the newest record under this key, or None if there is none."""

    def number(self) -> int:
        """Return the number of the newest commit; may be too low, never too high."""

    def commit(
        self,
        read: Mapping[bytes, bytes | None],
        writes: Mapping[bytes, bytes],
        client: bytes,
        mark: bytes,
        since: int,
    ) -> int | None:
        """Write if what was read is unchanged. The caller holds the queue.

        Args:
            read: Under each key the record that was seen, or its first 8 bytes;
                None if there was none.
            writes: The new payloads, without stamps.
            client: Who commits; empty for nobody, who leaves no mark.
            mark: What to store for this client in the same commit.
            since: The number at which all that was read was seen. If no commit
                was made since, the records need not be compared.

        Returns:
            The number of the commit, or None if something that was read has
            changed and so nothing was written.
        """

    def settle(self) -> None:
        """Finish or undo what a killed writer left. The caller holds the queue."""

    def mark(self, client: bytes) -> bytes | None:
        """Return a stamp and the mark of the client's newest commit, if known."""

    def close(self) -> None:
        """Close the space for this process, once all that opened it have."""
