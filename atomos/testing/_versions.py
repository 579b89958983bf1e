"""What the reads of a history tell by themselves: the order of the versions.

The longest list that a committed transaction has read of a key is the order in which
its elements were appended. Every other read must be a beginning of it. What does not
fit is an anomaly by itself, whatever the order of the transactions.

A transaction that may have committed has done so if what it appended was read. Else
it is left out: what can be explained with it can be explained without it, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from atomos.errors import HistoryError
from atomos.testing._anomaly import Anomaly
from atomos.testing._records import Append, Read, label, shown

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from atomos.testing._records import Transaction

    Element = tuple[Hashable, Hashable]

__all__ = ["Seen", "Versions"]


class Seen(NamedTuple):
    """What a transaction saw of the lists that others append to.

    Attributes:
        reader: The number of the transaction.
        key: What it read.
        value: Without what it had appended itself.
    """

    reader: int
    key: Hashable
    value: tuple[Hashable, ...]


class Versions:
    """What is known of the versions of a history.

    Attributes:
        transactions: Those that have committed. Their places here are their numbers.
        writer: By key and element, the number of who has appended it.
        seen: What they saw, but for what is an anomaly by itself.
        orders: For each key the longest list that one of them saw.
        anomalies: What is wrong whatever their order is.
        _own: By number and key, what was appended, in its order.
        _odd: The reads that hold every element that any read holds.
    """

    def __init__(self, every: Sequence[Transaction]) -> None:
        """Find out what is known.

        Raises:
            HistoryError: An element was appended twice, or is not hashable.
        """
        self.anomalies: list[Anomaly] = []
        self.seen: list[Seen] = []
        self.orders: dict[Hashable, tuple[Hashable, ...]] = {}
        self.writer: dict[Element, int] = {}
        self._own: dict[tuple[int, Hashable], list[Hashable]] = {}
        self._odd: list[Seen] = []
        try:
            self.transactions = _committed(every)
            self._look_at_appends()
            self._look_at_reads()
            self._look_for_lost_updates()
            self._look_at_elements(every)
            self._look_for_halves()
        except TypeError as error:
            msg = f"a key or an element of a list is not hashable: {error}"
            raise HistoryError(msg) from error

    def _wrong(self, name: str, fact: str, *numbers: int) -> None:
        members = tuple(self.transactions[number] for number in numbers)
        self.anomalies.append(Anomaly(name, members, (fact,)))

    def _look_at_appends(self) -> None:
        for number, transaction in enumerate(self.transactions):
            for step in _appends(transaction.steps):
                if step in self.writer:
                    other = self.transactions[self.writer[step]]
                    msg = (
                        f"{step.element!r} was appended twice to {label(step.key)}, by "
                        f"{other} and {transaction}: append another element each time, "
                        "and call begin() first in a body that may run again"
                    )
                    raise HistoryError(msg)
                self.writer[step] = number
                self._own.setdefault((number, step.key), []).append(step.element)

    def _look_at_reads(self) -> None:
        """Collect what was seen, and the order for each key."""
        reads: list[Seen] = []
        for number in range(len(self.transactions)):
            reads += self._reads_of(number)
        longest: dict[Hashable, Seen] = {}
        for read in reads:
            best = longest.setdefault(read.key, read)
            if len(read.value) > len(best.value):
                longest[read.key] = read
        self._odd = list(longest.values())
        self.orders = {key: read.value for key, read in longest.items()}
        for read in reads:
            other = longest[read.key]
            if other.value[: len(read.value)] == read.value:
                self.seen.append(read)
                continue
            self._odd.append(read)
            fact = (
                f"{self._told(read)}, but {self._told(other)}: neither is the "
                "beginning of the other"
            )
            self._wrong("incompatible order", fact, read.reader, other.reader)

    def _reads_of(self, number: int) -> Iterator[Seen]:
        """Yield what a transaction saw first of each key."""
        transaction = self.transactions[number]
        own: dict[Hashable, tuple[Hashable, ...]] = {}
        first: dict[Hashable, tuple[Hashable, ...]] = {}
        for step in transaction.steps:
            key = step.key
            mine = own.get(key, ())
            if isinstance(step, Append):
                own[key] = (*mine, step.element)
                continue
            rest = len(step.value) - len(mine)
            others = step.value[: max(rest, 0)]
            told = f"{transaction} read {label(key)} = {shown(step.value)}"
            if rest < 0 or step.value[rest:] != mine:
                fact = f"{told} after it had appended {shown(mine)}"
                self._wrong("internal inconsistency", fact, number)
            elif others and self.writer.get((key, others[-1])) == number:
                fact = f"{told} before it appended {others[-1]!r} itself"
                self._wrong("internal inconsistency", fact, number)
            elif key not in first:
                first[key] = others
                yield Seen(number, key, others)
            elif first[key] != others:
                fact = f"{told}, where others had appended {shown(first[key])} before"
                self._wrong("internal inconsistency", fact, number)

    def _told(self, read: Seen) -> str:
        reader = self.transactions[read.reader]
        return f"{reader} read {label(read.key)} = {shown(read.value)}"

    def _look_at_elements(self, every: Sequence[Transaction]) -> None:
        """See that each element that was read was appended, once, and for good."""
        given_up: dict[Element, Transaction] = {
            step: transaction
            for transaction in every
            for step in (*_appends(transaction.steps), *transaction.lost)
        }
        for read in self._odd:
            found: set[Hashable] = set()
            count: dict[int, int] = {}
            for element in read.value:
                if element in found:
                    fact = f"{self._told(read)}, with {element!r} twice"
                    self._wrong("duplicate append", fact, read.reader)
                    break
                found.add(element)
                writer = self.writer.get((read.key, element))
                if writer is None:
                    self._look_at_stranger(read, element, given_up)
                    break
                place = count.get(writer, 0)
                count[writer] = place + 1
                expected = self._own[writer, read.key][place]
                if element != expected:
                    self._out_of_order(read, writer, expected, element)
                    break

    def _out_of_order(
        self, read: Seen, writer: int, first: Hashable, second: Hashable
    ) -> None:
        by = self.transactions[writer]
        how = "after it" if first in read.value else "not in it"
        fact = (
            f"{self._told(read)}, but {by} had appended {first!r} before {second!r}, "
            f"and {first!r} is {how}"
        )
        name = "incompatible order" if first in read.value else "lost append"
        self._wrong(name, fact, read.reader, writer)

    def _look_at_stranger(
        self, read: Seen, element: Hashable, given_up: Mapping[Element, Transaction]
    ) -> None:
        """Tell of an element that no transaction has appended for good."""
        told, reader = self._told(read), self.transactions[read.reader]
        writer = given_up.get((read.key, element))
        if writer is None:
            fact = f"{told}, and nobody had appended {element!r}"
            self.anomalies.append(Anomaly("garbage read", (reader,), (fact,)))
            return
        why = "did not commit" if writer.committed is False else "was run again"
        fact = f"{told}, but {writer}, which had appended {element!r}, {why}"
        self.anomalies.append(Anomaly("aborted read (G1a)", (reader, writer), (fact,)))

    def _look_for_halves(self) -> None:
        """See that who saw an append saw all that its transaction appended there."""
        for reader, key, value in self.seen:
            writer = self.writer.get((key, value[-1])) if value else None
            if writer is None or (last := self._own[writer, key][-1]) == value[-1]:
                continue
            fact = (
                f"{self._told(Seen(reader, key, value))}, the middle of "
                f"{self.transactions[writer]}, which appended {last!r}, too"
            )
            self._wrong("intermediate read (G1b)", fact, reader, writer)

    def _look_for_lost_updates(self) -> None:
        """See that of those who saw the same of a key only one appended to it."""
        first: dict[tuple[Hashable, int], int] = {}
        for reader, key, value in self.seen:
            if (reader, key) not in self._own:
                continue
            other = first.setdefault((key, len(value)), reader)
            if other != reader:
                fact = (
                    f"{self.transactions[other]} and {self.transactions[reader]} both "
                    f"read {label(key)} = {shown(value)}, and both appended to it: "
                    f"{self._own[other, key][-1]!r} and {self._own[reader, key][-1]!r}"
                )
                self._wrong("lost update (P4)", fact, other, reader)


def _appends(steps: Iterable[Read | Append]) -> Iterator[Append]:
    return (step for step in steps if isinstance(step, Append))


def _committed(every: Sequence[Transaction]) -> tuple[Transaction, ...]:
    """Return those that have committed, also those of which only others tell."""
    seen: set[Element] = set()

    def note(transaction: Transaction) -> None:
        for step in transaction.steps:
            if isinstance(step, Read):
                seen.update((step.key, element) for element in step.value)

    unknown = [each for each in every if each.committed is None]
    if not unknown:
        return tuple(each for each in every if each.committed)
    for each in every:
        if each.committed:
            note(each)
    names = {each.name for each in every if each.committed}
    while found := [t for t in unknown if not seen.isdisjoint(_appends(t.steps))]:
        for each in found:
            note(each)
            names.add(each.name)
        unknown = [each for each in unknown if each.name not in names]
    return tuple(each for each in every if each.name in names)
