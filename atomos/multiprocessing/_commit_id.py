"""The id under which a transaction commits, to be asked for later."""

from __future__ import annotations

import os

from atomos.errors import NoTransactionError
from atomos.multiprocessing._guest import Visitor
from atomos.stm._inside import inside

__all__ = ["commit_id"]


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
