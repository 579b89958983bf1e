"""A permit of a rate limiter and a connection of a pool, taken in one transaction.

Who uses a gateway has both at one instant, or neither: who waits for a connection uses
up no permit, and who waits for a permit holds up no connection. Neither the limiter nor
the pool knows of the other. `gateway_clients.py` uses this.
"""

from __future__ import annotations

from contextlib import contextmanager

from atomos import dosync
from atomos.errors import TransactionTimeout


class Busy(TimeoutError):
    """No permit and connection were to be had at once within the timeout."""


class Gateway:
    """A limiter and a pool."""

    def __init__(self, limiter, pool):
        self.limiter, self.pool = limiter, pool

    @contextmanager
    def connection(self, client, timeout=None):
        """Have a permit and a connection inside of a ``with``.

        Raises:
            Busy: Not within `timeout` seconds.
            LimiterClosed: The limiter was closed.
            PoolClosed: The pool was closed.
        """
        try:
            slot = dosync(timeout=timeout)(self._take)(client)
        except TransactionTimeout as error:
            raise Busy(f"no turn for {client} in {timeout} s") from error
        try:
            with self.pool.using(slot) as connection:
                yield connection
        finally:
            self.limiter.rest(client)

    def _take(self, client):
        self.limiter.take(client)
        return self.pool.take()
