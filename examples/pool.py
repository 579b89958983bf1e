"""A pool of connections: so many at the most, each used by one thread at a time.

It has a fixed number of slots. Who takes a slot is alone with the connection in it, so
opening, using and closing are done outside of transactions. Who finds no slot sleeps
until one is put back. `gateway.py` uses this.
"""

from __future__ import annotations

from contextlib import contextmanager

from atomos import Ref, check, dosync
from atomos.errors import TransactionTimeout


class PoolTimeout(TimeoutError):
    """All connections were in use until the timeout."""


class PoolClosed(RuntimeError):
    """The pool hands out no connections any more."""


class Slot:
    """A place for a connection, which is None until it is opened."""

    def __init__(self):
        self.connection = None

    def empty(self):
        """Close the connection."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


class Pool:
    """At most `size` connections, which `connect` opens and their `close` closes."""

    def __init__(self, connect, size):
        self.connect = connect
        self.free = Ref(tuple(Slot() for _ in range(size)), name="free slots")
        self.closed = Ref(False, name="closed")

    @contextmanager
    def connection(self, timeout=None):
        """Use a connection inside of a ``with``.

        Raises:
            PoolTimeout: All were in use for `timeout` seconds.
            PoolClosed: The pool was closed.
        """
        try:
            slot = dosync(timeout=timeout)(self.take)()
        except TransactionTimeout as error:
            raise PoolTimeout(f"no connection in {timeout} s") from error
        with self.using(slot) as connection:
            yield connection

    @contextmanager
    def using(self, slot):
        """Use the connection of a slot that was taken, and put the slot back.

        An error that leaves the ``with`` closes the connection, since nobody knows in
        which state it is; who takes the slot next opens another one.
        """
        try:
            if slot.connection is None:
                slot.connection = self.connect()
            yield slot.connection
        except BaseException:
            slot.empty()
            raise
        finally:
            if not self._put(slot):
                slot.empty()

    @dosync
    def take(self):
        """Take a slot, when one is free. Ends with `using`."""
        if self.closed.deref():
            raise PoolClosed("no connection: the pool is closed")
        free = self.free.deref()
        check(free)
        self.free.set(free[:-1])
        return free[-1]

    @dosync
    def _put(self, slot):
        """Put a slot back; return False if the pool is closed and has no use for it."""
        if self.closed.deref():
            return False
        self.free.alter(lambda free: (*free, slot))
        return True

    def close(self):
        """Hand out none any more; who waits for one gets `PoolClosed`.

        What is in use is closed when its ``with`` ends.
        """
        for slot in self._shut():
            slot.empty()

    @dosync
    def _shut(self):
        """Say that the pool is closed; return the slots that were free."""
        free = self.free.deref()
        self.free.set(())
        self.closed.set(True)
        return free
