"""`check_serializable` and `check_snapshot_isolation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atomos.testing._anomaly import Anomaly, anomaly_of
from atomos.testing._dependencies import cycle_of
from atomos.testing._history import refuse_no_history
from atomos.testing._versions import Versions

if TYPE_CHECKING:
    from atomos.testing._history import History

__all__ = ["Isolation", "check_serializable", "check_snapshot_isolation"]

#: How many anomalies a message tells of.
SHOWN = 3


@dataclass(frozen=True, slots=True, repr=False)
class Isolation:
    """The answer of `check_serializable`; true if nothing is wrong.

    Attributes:
        level: What was asked for, in words.
        transactions: How many have committed.
        anomalies: What is wrong; empty if nothing is.
    """

    level: str
    transactions: int
    anomalies: tuple[Anomaly, ...]

    def __bool__(self) -> bool:
        """Whether nothing is wrong."""
        return not self.anomalies

    def __repr__(self) -> str:
        """Tell what is wrong."""
        if not self.anomalies:
            return f"{self.level}: {self.transactions} transactions"
        lines = [f"not {self.level}"]
        lines += map(str, self.anomalies[:SHOWN])
        if len(self.anomalies) > SHOWN:
            lines.append(f"... and {len(self.anomalies) - SHOWN} more")
        return "\n".join(lines)


def check_serializable(history: History, /, *, real_time: bool = True) -> Isolation:
    """Look for an order of the transactions that explains what they have read.

    Run one after the other in that order, each would have read what it has read.
    With `real_time`, one that had ended before another one began also comes before
    it; that is called strict serializability.

    The answer tells of reads that no order explains (of what was given up, of the
    middle of a transaction, of two orders, lost updates, and the like). If there are
    none, it tells of one cycle of transactions, each of which must come before the
    next: a shortest one without real time, or one with it if there is none. In a
    large history with many long cycles it is the shortest of those found in about
    a second.

    What transactions that did not commit have read is not looked at. One of which
    nobody knows has committed if others saw what it appended.

    Args:
        history: Its transactions; operations in it do not matter.
        real_time: Whether the order must agree with real time.

    Returns:
        An answer that is true if there is such an order, and else says in words what
        is wrong.

    Raises:
        HistoryError: Two transactions appended the same to a list.
        TypeError: `history` is something else.

    Cost: about 20 µs for each step of a transaction, and comparing the lists read.

    Source: Adya, "Weak consistency: a generalized theory and optimistic
        implementations for distributed transactions", 1999, for the graph and its
        phenomena. Berenson et al., "A critique of ANSI SQL isolation levels", 1995.
        Kingsbury and Alvaro, "Elle", 2020, for lists.

    Example:
        >>> from atomos.testing import History, check_serializable
        >>> history = History()
        >>> with history.transaction() as one, history.transaction() as two:
        ...     _ = one.read("x", []), two.read("y", [])
        ...     _ = one.append("y", 1), two.append("x", 2)
        >>> check_serializable(history)
        not strictly serializable
        write skew (G2-item, A5B)
          T1 read x = [], before T2 appended 2
          T2 read y = [], before T1 appended 1
    """
    refuse_no_history(history, "check_serializable")
    level = "strictly serializable" if real_time else "serializable"
    return _check(history, level, snapshot=False, real_time=real_time)


def check_snapshot_isolation(
    history: History, /, *, real_time: bool = True
) -> Isolation:
    """Look for snapshots and commits that explain what the transactions have read.

    Each transaction has a snapshot, of all that had committed before, and a commit. It
    reads from its snapshot. Of two that append to the same list one has committed
    before the snapshot of the other. With `real_time`, snapshot and commit are between
    its begin and its end; that is called strong snapshot isolation.

    In terms of edges: a cycle is allowed only if it has two rw edges in a row. As
    `check_serializable` it tells of reads that nothing explains, or of one cycle.

    The order of appends that no read shows is not known, and none is assumed. So
    end a history with a transaction that reads each list.

    Args:
        history: Its transactions; operations in it do not matter.
        real_time: Whether snapshots and commits must agree with real time.

    Returns:
        An answer that is true if nothing is wrong, and else says in words what is.

    Raises:
        HistoryError: Two transactions appended the same to a list.
        TypeError: `history` is something else.

    Cost: as `check_serializable`.

    Source: Adya, 1999, for PL-SI. Fekete et al., "Making snapshot isolation
        serializable", 2005, for rw edges in a row. Zhang et al., "Viper: a fast
        snapshot isolation checker", 2023, for a graph of begins and commits.

    Example:
        >>> from atomos.testing import History, check_snapshot_isolation
        >>> history = History()
        >>> with history.transaction() as one, history.transaction() as two:
        ...     _ = one.read("x", []), two.read("y", [])
        ...     _ = one.append("y", 1), two.append("x", 2)
        >>> check_snapshot_isolation(history)
        snapshot isolation: 2 transactions
    """
    refuse_no_history(history, "check_snapshot_isolation")
    return _check(history, "snapshot isolation", snapshot=True, real_time=real_time)


def _check(
    history: History, level: str, *, snapshot: bool, real_time: bool
) -> Isolation:
    versions = Versions(history.transactions)
    anomalies = versions.anomalies
    if not anomalies:
        cycle = cycle_of(versions, snapshot=snapshot, time=False)
        if cycle is None and real_time:
            cycle = cycle_of(versions, snapshot=snapshot, time=True)
        if cycle is not None:
            anomalies = [anomaly_of(cycle, versions.transactions)]
    return Isolation(level, len(versions.transactions), tuple(anomalies))
