"""Code that runs in the middle of other code, and uses refs there.

Finalizers of values that a commit displaces, and of garbage that is collected at any
moment; signal handlers; watches. Each reads a snapshot and writes, by a transaction of
its own, or inside of the one that it has met. A write works, or raises at once.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable
from random import Random
from time import monotonic
from typing import Any

from atomos import Atom, Ref, atomically, dosync, outside
from atomos.errors import AtomosError
from atomos.stm import _commit, _status
from atomos.stm._footprint import Restart
from faults.aftermath import nothing_left
from faults.apart import run_apart
from faults.bank import add
from faults.campaign import Campaign, Figure, Load, at_least, at_most, empty, none

START = 100
#: Seconds from one signal to the next.
EVERY = 0.0005
THREADS = 2
#: After so many new objects the garbage is collected, which runs finalizers.
OFTEN = 40
#: How many transactions collect it by a call.
SELDOM = 0.05
#: Whether what comes in may begin a block. CPython 3.11 collects garbage in the middle
#: of `ContextVar.set`, and crashes if a finalizer then sets one, as a block does; so
#: does a signal handler that runs in the middle of that finalizer.
MAY_USE_BLOCKS = sys.version_info >= (3, 12)
HOW = ("a finalizer", "the collector", "a signal handler", "a watch")
#: What must have come before it ends: each way, and one that would wait for itself.
NEEDED = {*HOW, "WouldDeadlockError"}


class Money:
    """A value whose finalizer uses refs."""

    __slots__ = ("how", "me", "much", "place")

    def __init__(self, much: int, place: Place, in_a_cycle: bool) -> None:
        self.much, self.place = much, place
        self.how = HOW[1] if in_a_cycle else HOW[0]
        self.me = self if in_a_cycle else None

    def __del__(self) -> None:
        self.place.come_in(self.how)


class Place:
    """Accounts, and what comes in while they change.

    Attributes:
        hits: Counts the writes that came in by transactions of their own.
        inside: Written by those that join what they have met.
        worked: How each write that worked came in.
        ways: Each of these, and of the refusals, once.
        own: How many of these were transactions of their own.
        refused: The names of the errors that others have got.
        slowest: Seconds until one got it, at most.
        handling: A signal handler runs.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.hits, self.inside = Ref(0, name="hits"), Ref(0, name="inside")
        self.worked: list[str] = []
        self.ways: set[str] = set()
        self.own: list[None] = []
        self.refused: list[str] = []
        self.unexpected: list[str] = []
        self.slowest, self.handling = 0.0, False
        self.wrong: list[None] = []
        kinds: tuple[Callable[..., Any], ...] = (Ref, Ref, Ref, Ref, Atom, Atom)
        money = [Money(START, self, in_a_cycle=False) for _ in kinds]
        self.accounts = [kind(one) for kind, one in zip(kinds, money, strict=True)]
        for account in self.accounts[::3]:
            account.add_watch("watch", lambda *change: self.come_in(HOW[3]))

    @property
    def cells(self) -> list[Any]:
        return [*self.accounts, self.hits, self.inside]

    def _total(self) -> int:
        return sum(account.deref().much for account in self.accounts)

    def is_wrong(self, by_a_block: bool = True) -> bool:
        """Look at one snapshot: is the sum not as it must be?"""
        if by_a_block:
            with dosync(read_only=True):
                total = self._total()
        else:
            total = dosync(read_only=True)(self._total)()
        return total != START * len(self.accounts)

    def come_in(self, how: str) -> None:
        """Use refs, wherever this is called."""
        alone, begun = len(self.worked) % 2 == 0, monotonic()
        try:
            if alone:
                if outside(self.is_wrong, MAY_USE_BLOCKS):
                    self.wrong.append(None)
                outside(atomically, self.hits.alter, add)
            else:
                atomically(self.inside.alter, add)
        except AtomosError as error:
            self.slowest = max(self.slowest, monotonic() - begun)
            self.refused.append(type(error).__name__)
            self.ways.add(type(error).__name__)
        except Restart:
            pass  # what it was in the middle of has lost, and will find out
        except Exception as error:
            self.unexpected.append(type(error).__name__)
        else:
            self.worked.append(how)
            self.ways.add(how)
            if alone:
                self.own.append(None)

    def handle(self, number: int, frame: object) -> None:
        """Come in by a signal, unless the last one is still there."""
        if not self.handling:
            self.handling = True
            try:
                self.come_in(HOW[2])
            finally:
                self.handling = False

    @property
    def came_in(self) -> int:
        return len(self.worked) + len(self.refused)

    def more(self) -> bool:
        enough = self.ways >= NEEDED and not self.load.more(self.came_in)
        return not enough and not self.unexpected

    def move(self, random: Random) -> None:
        """Move money from one account to another one, which displaces two values."""
        if random.random() < SELDOM:
            gc.collect(0)  # without the GIL it does not come as often by itself
        for account, more in zip(random.sample(self.accounts, 2), (-1, 1), strict=True):
            money = Money(account.deref().much + more, self, random.random() < 0.3)
            (account.set if isinstance(account, Ref) else account.reset)(money)

    def use(self, seed: int) -> None:
        """Use the accounts in all forms, until enough has come in."""
        random = Random(seed)
        while self.more():
            form = random.randrange(3)
            if form == 0:
                atomically(self.move, random)
            elif form == 1:
                for tx in dosync():
                    with tx:
                        self.move(random)
                        self.inside.commute(add)
            else:
                with dosync():
                    self.hits.deref()  # and hold it
                    self.move(random)


def come_in(load: Load) -> list[Figure]:
    """Do it in this process and its main thread."""
    sys.setswitchinterval(1e-5)
    gc.set_threshold(OFTEN)
    place = Place(load)
    failures: list[str] = []

    def use(seed: int) -> None:
        try:
            place.use(seed)
        except BaseException as error:
            failures.append(repr(error))

    def tell() -> None:
        told = 0
        while not over.wait(0.2):
            came_in = place.came_in
            if came_in > told:  # else it may stand still
                told = came_in
                load.say(f"{told:,} have come in")

    over = threading.Event()
    seeds = range(load.seed + 1, load.seed + 1 + THREADS)
    threads = [
        threading.Thread(target=use, args=(seed,), daemon=True) for seed in seeds
    ]
    teller = threading.Thread(target=tell, daemon=True)
    signal.signal(signal.SIGALRM, place.handle)
    signal.setitimer(signal.ITIMER_REAL, EVERY, EVERY)
    for thread in [*threads, teller]:
        thread.start()
    use(load.seed)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    for thread in threads:
        thread.join(load.patience)
    over.set()
    teller.join(load.patience)
    failures += ["it does not end" for thread in threads if thread.is_alive()]
    return figures(place, failures)


def figures(place: Place, failures: list[str]) -> list[Figure]:
    """Return what has come of it, when all has ended."""
    left = nothing_left(place.cells)
    refused = len(place.refused)
    which = ", ".join(sorted(set(place.refused))) or "none"
    lost = len(place.own) - place.hits.deref()
    return [
        at_least("came in", place.came_in, place.load.amount),
        *(at_least(f"worked in {how}", place.worked.count(how), 1) for how in HOW),
        Figure(f"refused ({which})", refused, "at once", True),
        at_most("seconds until refused", place.slowest, place.load.slack),
        none("wrong sums that they saw", len(place.wrong) + place.is_wrong()),
        none("writes of their own that were lost", lost),
        empty("other exceptions", ", ".join({*place.unexpected, *failures})),
        *left,
    ]


def run(load: Load) -> list[Figure]:
    """Let `load.amount` come in."""
    return run_apart(come_in, load)


def a_thread_waits_for_itself() -> None:
    _status._refuse_to_wait_for_oneself = lambda *args: None


def updates_are_lost() -> None:
    _commit._accept = lambda *args: True


CAMPAIGN = Campaign(
    "reentry",
    "finalizers, signal handlers and watches that use refs in between",
    run,
    500,
    10_000,
    (a_thread_waits_for_itself, updates_are_lost),
)
