"""Exceptions that come from outside, between any two steps of a thread.

Three threads use a bank while a fourth one raises in them by
`PyThreadState_SetAsyncExc`; the main thread uses it, too, and a timer sends it real
signals whose handler raises `KeyboardInterrupt`. Meanwhile, and afterwards, the sums
are looked at.

An exception that strikes outside of every `try` would end the thread. So each victim
says when it is ready for the next one, inside of its `try`.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from random import Random
from time import monotonic, sleep
from typing import Any

from atomos.stm import _commit, _scope
from faults.aftermath import nothing_left
from faults.apart import run_apart
from faults.bank import ACTS, Bank, Customer
from faults.campaign import Campaign, Figure, Load, at_least, at_most, empty, none, seen
from faults.quiet import in_silence

#: Seconds after which one that has not landed is raised again: it was swallowed by
#: a finalizer, or with an attempt that was lost anyway.
LOST = 0.05
#: Seconds from one signal to the next.
EVERY = 0.0003
VICTIMS = 3


class Struck(BaseException):
    """Raised from outside."""


class StruckError(Exception):
    """The same, as an ordinary error: one that is lost anyway may swallow it."""


RAISED = (Struck, StruckError, KeyboardInterrupt)


class Victim(Customer):
    """A customer that goes on, whatever it is struck by.

    Attributes:
        landed: How many have arrived.
        ready: What `landed` was when it was last inside of its `try`.
        over: It is to end; nothing more is raised in it.
        failures: What else was raised.
        at_last: How many of its acts worked when nothing was raised any more.
    """

    def __init__(self, bank: Bank, seed: int) -> None:
        super().__init__(bank, seed)
        self.ident = threading.get_ident()
        self.landed, self.ready = 0, -1
        self.over, self.at_last = False, 0
        self.failures: list[BaseException] = []

    def live(self) -> None:
        while not self.over:
            try:
                self._go_on()
            except RAISED:
                self.landed += 1  # no exception from outside comes in here
        try:
            for act in ACTS:
                act(self)
                self.at_last += 1
        except BaseException as error:
            self.failures.append(error)

    def _go_on(self) -> None:
        while not self.over:
            try:
                while not self.over:
                    self.ready = self.landed
                    self.act()
            except RAISED:
                self.landed += 1
            except BaseException as error:
                # What a pool raises may be the cause of an error of the agent.
                if isinstance(error.__cause__, RAISED):
                    self.landed += 1
                else:
                    self.failures.append(error)


class Strikes:
    """All that happens at once.

    Attributes:
        victims: The threads struck by `PyThreadState_SetAsyncExc`.
        main: The victim that is the main thread, and gets signals.
        signals: How many have come.
        wrong: How many snapshots were wrong.
        errors: What the threads that do this have raised.
    """

    def __init__(self, load: Load) -> None:
        self.load, self.bank = load, Bank()
        self.random = Random(load.seed)
        self.victims: list[Victim] = []
        self.main = Victim(self.bank, load.seed)
        self.signals = self.wrong = 0
        self.errors: list[BaseException] = []
        self.by_signal = load.amount // 4

    @property
    def landed(self) -> int:
        return sum(victim.landed for victim in self.victims)

    def more(self) -> bool:
        """Whether more have to land."""
        rest = self.load.amount - self.by_signal
        return (
            self.landed < rest
            or self.main.landed < self.by_signal
            or self.load.left() > 0
        )

    def run(self) -> None:
        """Be the victim of signals, and have the rest done by other threads."""
        threads = [self._begin(self._suffer) for _ in range(VICTIMS)]
        while len(self.victims) < VICTIMS:
            sleep(0.001)
        strikers = [self._begin(fn) for fn in (self._strike, self._look)]
        ending = self._begin(self._end, strikers)
        signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, EVERY, EVERY)
        self.main.live()
        for thread in [ending, *threads]:
            thread.join(10.0)

    def _begin(self, fn: Any, *args: Any) -> threading.Thread:
        def run() -> None:
            try:
                fn(*args)
            except BaseException as error:
                self.errors.append(error)

        thread = threading.Thread(target=run, name=fn.__name__, daemon=True)
        thread.start()
        return thread

    def _suffer(self) -> None:
        victim = Victim(self.bank, self.random.randrange(1000))
        self.victims.append(victim)
        victim.live()

    def _strike(self) -> None:
        raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
        sent = dict.fromkeys(self.victims, (-1, 0.0))
        while self.more():
            for victim, (before, when) in list(sent.items()):
                for _ in range(self.random.randrange(200)):
                    pass
                ready, now = victim.ready, monotonic()
                if ready == victim.landed and (ready != before or now > when + LOST):
                    sent[victim] = ready, now
                    kind = StruckError if self.random.random() < 0.2 else Struck
                    raise_in(ctypes.c_ulong(victim.ident), ctypes.py_object(kind))

    def _handle(self, number: int, frame: object) -> None:
        """Raise in the main thread, unless it has not caught the last one yet."""
        self.signals += 1
        if self.main.ready == self.main.landed and not self.main.over:
            self.main.ready = -1
            raise KeyboardInterrupt

    def _look(self) -> None:
        told = 0
        while self.more():
            self.wrong += self.bank.wrong()
            landed = self.landed + self.main.landed
            if landed > told + 1000:
                told = landed
                self.load.say(f"{landed:,} have landed")

    def _end(self, strikers: list[threading.Thread]) -> None:
        for thread in strikers:
            thread.join()
        sleep(LOST)  # until the last one has landed
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for victim in [*self.victims, self.main]:
            victim.over = True


def strike(load: Load) -> list[Figure]:
    """Do it in this process and its main thread."""
    sys.setswitchinterval(1e-5)
    strikes = Strikes(load)
    with in_silence() as reports:  # it strikes in finalizers and hooks, too
        strikes.run()
    bank, victims = strikes.bank, [*strikes.victims, strikes.main]
    others = [type(one).__name__ for victim in victims for one in victim.failures]
    others += [type(one).__name__ for one in strikes.errors]
    landed = strikes.landed + strikes.main.landed
    unable = sum(victim.at_last < len(ACTS) for victim in victims)
    found = [
        at_least("exceptions landed", landed, load.amount),
        at_least("of these by a signal", strikes.main.landed, strikes.by_signal),
        seen(f"signals handled, one sent each {EVERY * 1000} ms", strikes.signals),
        seen("snapshots looked at", bank.looks),
        none("snapshots with a wrong sum", strikes.wrong + bank.wrong()),
        empty("other exceptions", ", ".join(sorted(set(others)))),
        none("struck threads that cannot commit", unable),
        at_most("sends run twice, or lost", bank.miscounted(victims), reports.count),
        seen("errors of hooks, each of which may have lost one", reports.count),
        *nothing_left(bank.cells),
    ]
    bank.pool.shutdown()
    return found


def run(load: Load) -> list[Figure]:
    """Have `load.amount` exceptions land."""
    return run_apart(strike, load)


def a_block_is_not_given_up() -> None:
    _scope.Scope._dropped = lambda self, _: None
    _scope.finish = lambda tx: None


def updates_are_lost() -> None:
    _commit._accept = lambda *args: True


CAMPAIGN = Campaign(
    "asynchronous",
    "exceptions from outside at any moment",
    run,
    200,
    20_000,
    (a_block_is_not_given_up, updates_are_lost),
)
