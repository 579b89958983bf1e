"""A rate limiter: so many permits in any window of time, for all and for each client.

A permit counts while it is held and for `per` seconds after. So however long a thread
is held up, what is done under permits is never more than the limit in any window. The
permit of the client and that of all are taken in one transaction: both or neither.

Time enters in one place. A thread sleeps until the first permit that rests is due, and
gives it back; that commit wakes who waits for it. `gateway.py` uses this.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from time import monotonic

from atomos import Ref, atomically, check, dosync
from atomos.errors import TransactionTimeout


class LimitExceeded(TimeoutError):
    """There was no permit within the timeout."""


class LimiterClosed(RuntimeError):
    """The limiter gives no permits any more."""


class Limiter:
    """Permits, `limit` in all and `each` for a client, within `per` seconds."""

    def __init__(self, limit, each, per):
        self.each, self.per = each, per
        self.left = Ref(limit, name="permits for all")
        #: Client -> the Ref of what is left to it, if that is less than `each`.
        self.clients = Ref({}, name="clients")
        #: When they are due, and whose they are.
        self.resting = Ref((), name="resting permits")
        self.closed = Ref(False, name="closed")
        self._thread = threading.Thread(target=self._refill, name="limiter")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Give no permits any more; who waits for one gets `LimiterClosed`."""
        atomically(self.closed.set, True)
        self._thread.join()

    @contextmanager
    def permit(self, client, timeout=None):
        """Hold a permit inside of a ``with``.

        Raises:
            LimitExceeded: There was none within `timeout` seconds.
            LimiterClosed: The limiter was closed.
        """
        try:
            dosync(timeout=timeout)(self.take)(client)
        except TransactionTimeout as error:
            raise LimitExceeded(f"no permit for {client} in {timeout} s") from error
        try:
            yield
        finally:
            self.rest(client)

    @dosync
    def take(self, client):
        """Take a permit, when the client and all may have one. Ends with `rest`."""
        if self.closed.deref():
            raise LimiterClosed(f"no permit for {client}: the limiter is closed")
        clients = self.clients.deref()
        own = clients.get(client)
        if own is None:
            own = Ref(self.each, name=f"permits for {client}")
            self.clients.set({**clients, client: own})
        for left in (own, self.left):
            check(left.deref() > 0)
            left.alter(lambda n: n - 1)

    def rest(self, client):
        """Stop holding a permit: in `per` seconds it is given back."""
        due = monotonic() + self.per
        atomically(self.resting.alter, lambda all_: (*all_, (due, client)))

    def _refill(self):
        """Give back what has rested for long enough, until the limiter is closed."""
        while (due := self._first()) is not None:
            try:
                self.closed.wait_for(bool, timeout=max(0.0, due - monotonic()))
            except TransactionTimeout:
                self._give_back(monotonic())

    @dosync
    def _first(self):
        """Return when the first permit that rests is due; None when closed."""
        if self.closed.deref():
            return None
        resting = self.resting.deref()
        check(resting)  # sleep while there is none
        return resting[0][0]

    @dosync
    def _give_back(self, now):
        resting, clients = self.resting.deref(), dict(self.clients.deref())
        for due, client in resting:
            if due <= now:
                self.left.alter(lambda n: n + 1)
                if clients[client].alter(lambda n: n + 1) == self.each:
                    del clients[client]  # as if it had never come
        self.clients.set(clients)
        self.resting.set(tuple(entry for entry in resting if entry[0] > now))
