"""Small programs to be run under schedules; some of them are wrong."""

from __future__ import annotations

import signal
import threading

from helpers import PATIENCE

from atomos import dosync


def add_badly(tally):
    """Add one to an atom, by a read and a write: wrong."""
    tally.reset(tally.deref() + 1)


def add(tally):
    """Add one to an atom."""
    tally.swap(lambda n: n + 1)


@dosync
def transfer(one, other):
    """Move one from a ref to another, in a transaction."""
    one.alter(lambda n: n - 1)
    other.alter(lambda n: n + 1)


@dosync
def total(one, other):
    """Read both refs, in a transaction."""
    return one.deref() + other.deref()


def bodies(*pairs):
    """Return functions without parameters: ``bodies((add, tally), (add, tally))``."""

    def bound(function, args):
        def body():
            return function(*args)

        body.__name__ = function.__name__
        return body

    return [bound(function, args) for function, *args in pairs]


def interrupted_by(signum, fn, ready):
    """Return what `fn` raises, when the main thread gets a signal once `ready` is set.

    The signal raises `KeyboardInterrupt`.
    """
    main = threading.main_thread().ident

    def send():
        assert ready.wait(PATIENCE)
        signal.pthread_kill(main, signum)

    before = signal.signal(signum, signal.default_int_handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        fn()
    except BaseException as error:
        return error
    finally:
        sender.join(PATIENCE)
        signal.signal(signum, before)
    return None
