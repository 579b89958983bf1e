"""The look at the caller's bytecode that tells a `return` from falling through.

The loop and the transaction here are small fakes, so nothing of the engine is
needed. Run as a script, the file goes through its table of cases once: that is
how the tests run it under coverage, in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dis
import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from textwrap import dedent

import pytest

from atomos.errors import TransactionStateError
from atomos.stm import _callsite
from atomos.stm._callsite import check_enter, check_exit, loop_site


class Retry(Exception):
    """Raised in a block: the attempt is lost, and the block swallows it."""


class Attempts:
    """What a `dosync()` yields from: each commit but the last one is lost."""

    def __init__(self, losses=0):
        self.losses = losses
        self.attempts = self.commits = 0

    def __iter__(self):
        self.site = loop_site(sys._getframe(1))
        return self

    def __next__(self):
        if self.commits:
            raise StopIteration
        self.attempts += 1
        return Tx(self)


class AttemptsByNext(Attempts):
    """The same, finding its place anew at each step of the loop."""

    def __iter__(self):
        return self

    def __next__(self):
        tx = super().__next__()
        self.site = loop_site(sys._getframe(1))
        return tx


class Tx:
    def __init__(self, loop):
        self.loop = loop

    def __enter__(self):
        check_enter(sys._getframe(1), self.loop.site)
        return self

    def __exit__(self, exc_type, exc, traceback):
        if exc_type is None:
            check_exit(sys._getframe(1), self.loop.site)
            self.loop.commits = int(self.loop.attempts > self.loop.losses)
        elif issubclass(exc_type, Retry):
            check_exit(sys._getframe(1), self.loop.site)
            return True
        return False


class World:
    """The names a case can use, and what it did with them."""

    def __init__(self, kind, losses):
        self.made = []
        self.log = []
        self.kind, self.losses = kind, losses
        self.names = {
            "dosync": self.dosync,
            "note": self.note,
            "lock": contextlib.nullcontext(),
            "closing": contextlib.closing,
            "ExitStack": contextlib.ExitStack,
            "contextmanager": contextlib.contextmanager,
            "nothing": nothing,
            "aiter3": aiter3,
            "run": asyncio.run,
            "Retry": Retry,
            "yes": True,
            "no": False,
        }

    def dosync(self):
        made = self.kind(self.losses)
        self.made.append(made)  # another thread may append, too
        return made

    def note(self, word):
        self.log.append(word)
        return len(self.log)

    def define(self, name, source):
        exec(compile(dedent(source), f"<{name}>", "exec"), self.names)
        return self.names["f"]


async def nothing():
    pass


async def aiter3():
    for n in range(3):
        yield n


# Each defines `f` and notes, when no commit is lost, what stands beside it.
ROUND = {
    "falls through": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
        """,
    ),
    "empty": (
        "",
        """
        def f():
            for tx in dosync():
                with tx:
                    pass
        """,
    ),
    "on two lines": ("a", 'def f():\n for tx in dosync():\n  with tx: note("a")'),
    "with tx as x": (
        "az",
        """
        def f():
            for tx in dosync():
                with tx as x:
                    note("a" if x is tx else "wrong")
            note("z")
            return x
        """,
    ),
    "statements after": (
        "abc",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                note("b")
                if yes:
                    note("c")
                else:
                    note("d")
        """,
    ),
    "continue": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    continue
                note("b")
        """,
    ),
    "continue in a nested if": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    if yes:
                        if not no:
                            note("a")
                            continue
                        note("b")
                    note("c")
                note("d")
        """,
    ),
    "continue after": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                if yes:
                    continue
                note("b")
        """,
    ),
    "raise before": (
        "a",
        """
        def f():
            for tx in dosync():
                if no:
                    raise KeyError
                assert yes
                with tx:
                    note("a")
        """,
    ),
    "continue before": (
        "a",
        """
        def f():
            for tx in dosync():
                if no:
                    continue
                with tx:
                    note("a")
        """,
    ),
    "loops before": (
        "aabz",
        """
        def f():
            for tx in dosync():
                for n in range(9):
                    if n == 2:
                        break
                    note("a")
                else:
                    note("wrong")
                while yes:
                    break
                with tx:
                    note("b")
            note("z")
        """,
    ),
    "either with": (
        "b",
        """
        def f():
            for tx in dosync():
                if no:
                    with tx:
                        note("a")
                else:
                    with tx:
                        note("b")
        """,
    ),
    "with in a try before": (
        "ab",
        """
        def f():
            for tx in dosync():
                try:
                    note("a")
                except KeyError:
                    break
                else:
                    with tx:
                        note("b")
        """,
    ),
    "loops within": (
        "aabbz",
        """
        def f():
            for tx in dosync():
                with tx:
                    for n in range(9):
                        if n == 2:
                            break
                        if n > 5:
                            continue
                        note("a")
                    while yes:
                        if note("b") % 2 == 0:
                            break
                    else:
                        note("wrong")
                note("z")
        """,
    ),
    "loops after": (
        "xaab",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("x")
                for n in range(9):
                    if n == 2:
                        break
                    if n > 5:
                        continue
                    note("a")
                n = 0
                while yes:
                    n += 1
                    if n < 3:
                        continue
                    note("b")
                    break
        """,
    ),
    "comprehension after": (
        "aaa",
        """
        def f():
            for tx in dosync():
                with tx:
                    pass
                [note("a") for n in range(3)]
        """,
    ),
    "for and else": (
        "ae",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
            else:
                note("e")
                return 5
        """,
    ),
    "tx, other": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx, lock:
                    note("a")
        """,
    ),
    "other, tx": (
        "a",
        """
        def f():
            for tx in dosync():
                with (
                    lock,
                    tx,
                ):
                    note("a")
                    if yes:
                        continue
                note("b")
        """,
    ),
    "with outside and inside": (
        "ab",
        """
        def f():
            for tx in dosync():
                with lock:
                    with tx:
                        with lock:
                            note("a")
                            if yes:
                                note("b")
                                continue
                    note("c")
        """,
    ),
    "a transaction in a transaction": (
        "aibc",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    for tx2 in dosync():
                        with tx2:
                            note("i")
                    note("b")
                note("c")
        """,
    ),
    "a transaction after a transaction": (
        "aibz",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                for tx2 in dosync():
                    with tx2:
                        note("i")
                        if yes:
                            continue
                note("b")
            note("z")
        """,
    ),
    "in an outer loop": (
        "abab",
        """
        def f():
            for n in range(2):
                for tx in dosync():
                    with tx:
                        note("a")
                        if yes:
                            continue
                note("b")
                if n:
                    break
        """,
    ),
    "try around the loop": (
        "aez",
        """
        def f():
            try:
                for tx in dosync():
                    with tx:
                        note("a")
            except KeyError:
                return 1
            else:
                note("e")
            finally:
                note("z")
        """,
    ),
    "try around the with": (
        "aez",
        """
        def f():
            for tx in dosync():
                try:
                    with tx:
                        note("a")
                except KeyError:
                    break
                else:
                    note("e")
                finally:
                    note("z")
        """,
    ),
    "return that finally takes back": (
        "az",
        """
        def f():
            for tx in dosync():
                try:
                    with tx:
                        note("a")
                        return 1
                finally:
                    note("z")
                    continue
        """,
    ),
    "match": (
        "ab",
        """
        def f():
            for tx in dosync():
                with tx:
                    match note("a"):
                        case 0:
                            continue
                        case int(n) if n > 0:
                            pass
                        case _:
                            raise AssertionError
                match (1, 2):
                    case [1, x]:
                        note("b")
                    case _:
                        continue
        """,
    ),
    "raise after, behind an if": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                if no:
                    raise KeyError
                assert yes
        """,
    ),
    "generator": (
        "abc",
        """
        def g():
            for tx in dosync():
                with tx:
                    yield note("a")
                yield note("b")
                yield from [note("c")]
        def f():
            list(g())
        """,
    ),
    "async def": (
        "ab",
        """
        async def g():
            for tx in dosync():
                with tx:
                    await nothing()
                    note("a")
                await nothing()
                note("b")
        def f():
            run(g())
        """,
    ),
    "async for after": (
        "abbbz",
        """
        async def g():
            for tx in dosync():
                with tx:
                    note("a")
                async for n in aiter3():
                    note("b")
                    if n > 5:
                        break
            note("z")
        def f():
            run(g())
        """,
    ),
    "module": (
        "ab",
        """
        CODE = compile(
            'for tx in dosync():\\n with tx: note("a")\\nnote("b")', "m", "exec"
        )
        def f():
            exec(CODE, globals())
        """,
    ),
    "class body": (
        "ab",
        """
        def f():
            class C:
                for tx in dosync():
                    with tx:
                        note("a")
                note("b")
        """,
    ),
    "closure": (
        "a",
        """
        def f():
            def keep():
                return tx, out
            for tx in dosync():
                with tx:
                    out = note("a")
            return keep()
        """,
    ),
    "unpacking target": (
        "a",
        """
        def f():
            box = {}
            for box["tx"] in dosync():
                with box["tx"]:
                    note("a")
        """,
    ),
    "big": (
        "a",
        "def f():\n    for tx in dosync():\n        with tx:\n            note('a')\n"
        + "            x = yes\n" * 400
        + "            if no: continue\n"
        + "            x = yes\n" * 400
        + "        if yes:\n"
        + "            x = yes\n" * 400,
    ),
}

# Each is refused at its first attempt; `# !` marks the line that is named.
LEAVES = {
    "return": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    return  # !
            note("b")
        """,
    ),
    "return of a constant": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    return 1  # !
        """,
    ),
    "return of a value": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    x = note("a")
                    return x  # !
        """,
    ),
    "return of an expression": (
        "ab",
        """
        def f():
            for tx in dosync():
                with tx as t:
                    note("a")
                    return note("b") + 1  # !
            return 7
        """,
    ),
    "return behind an if": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    if yes:
                        return 1  # !
                    note("b")
                note("c")
            return 2
        """,
    ),
    "on one line": ("", "def f():\n for tx in dosync():\n  with tx: return 1  # !"),
    "break": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    break  # !
            note("z")
        """,
    ),
    "break at the end of the function": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    break  # !
        """,
    ),
    "break, with an else": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    break  # !
            else:
                note("e")
            return 3
        """,
    ),
    "break in a nested with": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    with lock:
                        note("a")
                        break  # !
            note("z")
        """,
    ),
    "return, tx and other": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx, lock:
                    return note("a")  # !
        """,
    ),
    "return, other and tx": (
        "a",
        """
        def f():
            for tx in dosync():
                with lock, tx:
                    return note("a")  # !
        """,
    ),
    "return, other around": (
        "a",
        """
        def f():
            for tx in dosync():
                with lock:
                    with tx:
                        note("a")
                        return 5  # !
        """,
    ),
    "break after": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                break  # !
            note("z")
        """,
    ),
    "return after": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    x = note("a")
                return x  # !
        """,
    ),
    "break behind an if, after": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                if no:
                    break  # !
            note("z")
        """,
    ),
    "return behind an if, after": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                if no:
                    return 1  # !
                note("b")
            return 2
        """,
    ),
    "break, then for ever": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                if no:
                    break  # !
            while True:
                note("z")
        """,
    ),
    "for ever": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                while True:  # !
                    note("b")
        """,
    ),
    "raise after": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                raise KeyError  # !
        """,
    ),
    "return in try and finally": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    try:
                        note("a")
                    finally:
                        return 1  # !
        """,
    ),
    "return in a case": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    match note("a"):
                        case 1:
                            return "one"  # !
                        case _:
                            note("b")
        """,
    ),
    "continue of an outer loop": (
        "a",
        """
        def f():
            for n in range(2):
                for tx in dosync():
                    with tx:
                        note("a")
                    if no:
                        break
                else:
                    continue
                note("z")  # !
        """,
    ),
    "break, the last thing in an outer for": (
        "a",
        """
        def f():
            for n in range(2):
                for tx in dosync():
                    with tx:
                        note("a")
                        break  # !
        """,
    ),
    "break, the last thing in an outer while": (
        "a",
        """
        def f():
            while True:
                for tx in dosync():
                    with tx:
                        note("a")
                        break  # !
        """,
    ),
    "break of an inner transaction": (
        "a",
        """
        def f():
            for tx in dosync():
                for tx2 in dosync():
                    with tx2:
                        note("a")
                        break  # !
                with tx:
                    note("b")
        """,
    ),
    "outer tx left from the inner loop": (
        "ab",
        """
        def f():
            for tx in dosync():
                for tx2 in dosync():
                    with tx:
                        note("a")
                        with lock:
                            note("b")
                            return 1  # !
        """,
    ),
    "generator": (
        "a",
        """
        def g():
            for tx in dosync():
                with tx:
                    yield note("a")
                    return  # !
        def f():
            list(g())
        """,
    ),
    "async def": (
        "a",
        """
        async def g():
            for tx in dosync():
                with tx:
                    note("a")
                    await nothing()
                    return 1  # !
        def f():
            run(g())
        """,
    ),
    "return in an async for after": (
        "a",
        """
        async def g():
            for tx in dosync():
                with tx:
                    note("a")
                async for n in aiter3():
                    if n > 5:
                        return n  # !
        def f():
            run(g())
        """,
    ),
    "in an async for": (
        "a",
        """
        async def g():
            async for n in aiter3():
                for tx in dosync():
                    with tx:
                        note("a")
                        break  # !
        def f():
            run(g())
        """,
    ),
    "class body": (
        "a",
        """
        def f():
            class C:
                for tx in dosync():
                    with tx:
                        note("a")
                        break  # !
        """,
    ),
    "swallowed, and break after": (
        "a",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    raise Retry
                break  # !
        """,
    ),
    "big": (
        "a",
        "def f():\n    for tx in dosync():\n        with tx:\n            note('a')\n"
        + "            x = yes\n" * 400
        + "            if yes:\n                return 1  # !\n"
        + "            x = yes\n" * 400,
    ),
    "big, break after": (
        "a",
        "def f():\n    for tx in dosync():\n        with tx:\n            note('a')\n"
        + "            x = yes\n" * 400
        + "        if no:\n            break  # !\n"
        + "        x = yes\n" * 400
        + "    x = yes\n" * 400,
    ),
}

# Each can leave before it comes to a `with`, and is refused before it begins.
EARLY = {
    "break": """
        def f():
            for tx in dosync():
                break  # !
        """,
    "break, and more": """
        def f():
            for tx in dosync():
                note("a")
                break  # !
            note("z")
            return 5
        """,
    "return": """
        def f():
            for tx in dosync():
                return  # !
        """,
    "return of a value": """
        def f():
            for tx in dosync():
                x = note("a")
                return x  # !
            return 7
        """,
    "on two lines": "def f():\n for tx in dosync():\n  return 5  # !",
    "on one line": "def f():\n for tx in dosync(): break  # !",
    "a helper, and break": """
        def g(tx):
            with tx:
                note("a")
        def f():
            for tx in dosync():
                g(tx)
                break  # !
        """,
    "break behind an if": """
        def f():
            for tx in dosync():
                if no:
                    break  # !
                with tx:
                    note("a")
        """,
    "break once it is done": """
        def f():
            done = False
            for tx in dosync():
                if done:
                    break  # !
                with tx:
                    note("a")
                    done = True
            note("z")
        """,
    "return behind an if": """
        def f():
            for tx in dosync():
                x = note("a")
                if x > 5:
                    return x  # !
                with tx:
                    note("b")
            return 6
        """,
    "return in a loop": """
        def f():
            for tx in dosync():
                for n in range(3):
                    if n > 5:
                        return n  # !
                with tx:
                    note("a")
        """,
    "in a case": """
        def f():
            for tx in dosync():
                match yes:
                    case True:
                        pass
                    case _:
                        break  # !
                with tx:
                    note("a")
        """,
    "only one way has a with": """
        def f():
            for tx in dosync():
                if yes:
                    with tx:
                        note("a")
                else:
                    break  # !
        """,
    "in a finally": """
        def f():
            for tx in dosync():
                try:
                    note("a")
                finally:
                    break  # !
        """,
    "in an outer loop": """
        def f():
            for n in range(2):
                for tx in dosync():
                    if no:
                        break  # !
                    with tx:
                        note("a")
        """,
    "with an else": """
        def f():
            for tx in dosync():
                break  # !
            else:
                with lock:
                    note("e")
        """,
    "generator": """
        def g():
            for tx in dosync():
                yield note("a")
                if no:
                    return  # !
                with tx:
                    yield note("b")
        def f():
            list(g())
        """,
    "async def": """
        async def g():
            for tx in dosync():
                await nothing()
                if no:
                    return 1  # !
                with tx:
                    note("a")
        def f():
            run(g())
        """,
    "class body": """
        def f():
            class C:
                for tx in dosync():
                    break  # !
        """,
    "big": "def f():\n    for tx in dosync():\n"
    + "        x = yes\n" * 400
    + "        if no:\n            break  # !\n"
    + "        x = yes\n" * 400
    + "        with tx:\n            note('a')\n",
}

# Not a `for` statement over dosync() itself; all are refused.
NO_LOOP = {
    "next": "def f(): next(iter(dosync()))",
    "list": "def f(): list(dosync())",
    "star": "def f(): [*dosync()]",
    "unpacking": "def f(): a, b = dosync()",
    "list comprehension": "def f(): [tx for tx in dosync()]",
    "set comprehension": "def f(): {tx for tx in dosync()}",
    "dict comprehension": "def f(): {tx: 1 for tx in dosync()}",
    "generator expression": "def f(): list(tx for tx in dosync())",
    "class body comprehension": "def f():\n class C:\n  [tx for tx in dosync()]",
    "map": "def f(): list(map(str, dosync()))",
    "yield from": "def g(): yield from dosync()\ndef f(): list(g())",
    "iter": "def f():\n for tx in iter(dosync()): break",
    "zip": "def f():\n for tx, n in zip(dosync(), range(3)): break",
    "enumerate": "def f():\n for n, tx in enumerate(dosync()): break",
    "map in a for": "def f():\n for tx in map(str, dosync()): break",
}
# From __next__ these look like a `for` over dosync().
ONLY_FROM_ITER = {"iter", "zip", "enumerate", "map in a for"}

# The `with` is run by another frame than the loop's.
ELSEWHERE = {
    "helper": """
        def g(tx):
            with tx:
                note("a")
        def f():
            for tx in dosync():
                g(tx)
        """,
    "ExitStack": """
        def f():
            for tx in dosync():
                with ExitStack() as stack:
                    stack.enter_context(tx)
                    note("a")
        """,
    "ExitStack.push": """
        def f():
            for tx in dosync():
                with ExitStack() as stack:
                    stack.push(tx)
        """,
    "context manager": """
        @contextmanager
        def block(tx):
            with tx:
                yield
        def f():
            for tx in dosync():
                with block(tx):
                    note("a")
        """,
    "recursion": """
        def f(given=None):
            for tx in dosync():
                if given:
                    with given:
                        note("a")
                f(tx)
        """,
    "generator": """
        def g():
            for tx in dosync():
                yield tx
        def f():
            for tx in g():
                with tx:
                    note("a")
        """,
}

KINDS = [Attempts, AttemptsByNext]


def check_round(name, kind, losses, times=1):
    expected, source = ROUND[name]
    world = World(kind, losses)
    f = world.define(name, source)
    for _ in range(times):
        world.made.clear()
        world.log.clear()
        f()
        assert all(loop.commits == 1 for loop in world.made)
        assert all(loop.attempts == losses + 1 for loop in world.made)
        if not losses:
            assert "".join(world.log) == expected


def check_leaves(name, kind, losses):
    expected, source = LEAVES[name]
    world = World(kind, losses)
    f = world.define(name, source)
    line = 1 + dedent(source).split("# !")[0].count("\n")
    for _ in range(2):
        world.made.clear()
        world.log.clear()
        try:
            f()
        except TransactionStateError as error:
            message = str(error)
        else:
            raise AssertionError("nothing was raised")
        assert all(loop.attempts == 1 for loop in world.made)
        assert all(loop.commits == 0 for loop in world.made)
        assert "".join(world.log) == expected
        assert message.startswith(f"<{name}>:{line}: "), message


def check_early(name, kind, losses):
    source = EARLY[name]
    world = World(kind, losses)
    f = world.define(name, source)
    line = 1 + dedent(source).split("# !")[0].count("\n")
    for _ in range(2):
        try:
            f()
        except TransactionStateError as error:
            message = str(error)
        else:
            raise AssertionError("nothing was raised")
        assert all(loop.commits == 0 for loop in world.made)
        assert world.log == []
        assert message.startswith(f"<{name}>:{line}: "), message
        assert "`with tx:`" in message


def check_all(slow=frozenset()):
    for losses in 0, 2:
        for kind in KINDS:
            for name in ROUND.keys() - slow:
                check_round(name, kind, losses)
            for name in LEAVES.keys() - slow:
                check_leaves(name, kind, losses)
            for name in EARLY.keys() - slow:
                check_early(name, kind, losses)


def check_all_small():
    """Leave out what is slow when each instruction is traced."""
    slow = {name for name, (_, source) in (ROUND | LEAVES).items() if "run(" in source}
    slow |= {name for name, source in EARLY.items() if "run(" in source}
    check_all(slow | {"big", "big, break after"})


@pytest.mark.parametrize("losses", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ROUND)
def test_goes_round(name, kind, losses):
    check_round(name, kind, losses)


@pytest.mark.parametrize("losses", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LEAVES)
def test_is_refused_at_the_first_attempt(name, kind, losses):
    check_leaves(name, kind, losses)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EARLY)
def test_is_refused_before_it_begins(name, kind):
    check_early(name, kind, 0)


@pytest.mark.parametrize("name", sorted(ROUND.keys() - {"async def"}))
def test_goes_round_once_the_code_is_specialised(name):
    check_round(name, Attempts, 2, times=40)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leave", ["return", "return note('b')", "break"])
def test_a_way_out_first_taken_by_specialised_code(kind, leave):
    world = World(kind, 1)
    f = world.define(
        "warm",
        f"""
        def f(leave):
            for tx in dosync():
                with tx:
                    note("a")
                    if leave:
                        {leave}
            note("z")
        """,
    )
    for _ in range(200):
        f(False)
    world.losses = 0
    world.made.clear()
    with pytest.raises(TransactionStateError, match=r"^<warm>:7: "):
        f(True)
    assert (world.made[0].attempts, world.made[0].commits) == (1, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_swallowed_exception_goes_round(kind):
    world = World(kind, 0)
    f = world.define(
        "retry",
        """
        def f():
            for tx in dosync():
                with lock, tx:
                    if note("a") < 3:
                        raise Retry
                    note("b")
                note("c")
            note("z")
        """,
    )
    f()
    assert "".join(world.log) == "acabcz"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_in_the_block_leaves_as_it_is(kind):
    world = World(kind, 0)
    f = world.define(
        "error",
        """
        def f():
            for tx in dosync():
                with tx:
                    note("a")
                    raise KeyError("mine")
                return 1
        """,
    )
    with pytest.raises(KeyError, match="mine"):
        f()
    assert world.made[0].commits == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NO_LOOP)
def test_only_a_for_statement_can_iterate(name, kind):
    if kind is AttemptsByNext and name in ONLY_FROM_ITER:
        pytest.skip("cannot be told from a for statement from __next__")
    world = World(kind, 0)
    f = world.define(name, NO_LOOP[name])
    with pytest.raises(TransactionStateError, match="`for` statement") as caught:
        f()
    assert str(caught.value).startswith(f"<{name}>:")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_with_must_stand_in_the_frame_of_the_loop(name, kind):
    world = World(kind, 0)
    f = world.define(name, ELSEWHERE[name])
    with pytest.raises(TransactionStateError, match="same function"):
        f()
    assert world.log == []
    assert all(loop.commits == 0 for loop in world.made)


def test_the_message_names_this_file_and_says_what_to_do():
    with pytest.raises(TransactionStateError, match="loop has ended") as caught:
        for tx in Attempts():
            with tx:
                line = sys._getframe().f_lineno + 1
                break
    assert str(caught.value).startswith(f"{__file__}:{line}: ")


@pytest.mark.parametrize("name", ["big", "big, break after"])
def test_the_big_cases_have_extended_arguments(name):
    world = World(Attempts, 0)
    f = world.define(name, (ROUND | LEAVES)[name][1])
    names = [op.opname for op in dis.get_instructions(f)]
    assert names[names.index("FOR_ITER") - 1] == "EXTENDED_ARG"


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_is_read_once(kind, monkeypatch):
    read = []
    real = dis.get_instructions
    monkeypatch.setattr(
        dis, "get_instructions", lambda code: read.append(code) or real(code)
    )
    world = World(kind, 3)
    f = world.define("once", ROUND["continue in a nested if"][1])
    f()
    # The loop, and the one way out that was taken. Specialising the call moves
    # f_lasti to one of its caches on some versions, which is read as well.
    assert len(read) == 2
    for _ in range(100):
        f()
    assert 2 <= len(read) <= 3
    for _ in range(100):
        f()
    assert len(read) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_equal_code_in_two_files_is_named_rightly(kind):
    world = World(kind, 0)
    first = world.define("first", LEAVES["return"][1])
    second = world.define("second", LEAVES["return"][1])
    assert first.__code__ == second.__code__
    for f, name in (first, "first"), (second, "second"), (first, "first"):
        with pytest.raises(TransactionStateError, match=f"^<{name}>:6: "):
            f()


def test_threads_that_meet_new_code_at_once():
    for _ in range(20):
        world = World(Attempts, 0)
        good = world.define("good", ROUND["statements after"][1])
        bad = world.define("bad", LEAVES["break after"][1])
        barrier = threading.Barrier(4)
        outcomes = []

        def work(good=good, bad=bad, barrier=barrier, outcomes=outcomes):
            barrier.wait()
            good()
            try:
                bad()
            except TransactionStateError:
                outcomes.append("refused")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == ["refused"] * 4


def test_under_settrace():
    events = set()

    def tracer(frame, event, arg):
        events.add(event)
        frame.f_trace_opcodes = True
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        check_all_small()
    finally:
        sys.settrace(before)
    assert {"call", "line"} <= events


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_under_monitoring():
    monitoring = sys.monitoring
    events = monitoring.events
    tool = next(n for n in range(6) if monitoring.get_tool(n) is None)
    wanted = [events.LINE, events.INSTRUCTION, events.BRANCH, events.JUMP, events.CALL]
    seen = set()
    monitoring.use_tool_id(tool, "test_callsite")
    try:
        for event in wanted:
            monitoring.register_callback(
                tool, event, lambda *args, event=event: seen.add(event)
            )
        monitoring.set_events(tool, sum(wanted))
        check_all_small()
    finally:
        monitoring.set_events(tool, 0)
        for event in wanted:
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
    assert seen == set(wanted)


def run_as_script(tmp_path, *arguments, **environment):
    root = Path(_callsite.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("core", ["", "ctrace", "pytrace", "sysmon"])
def test_under_coverage(core, tmp_path):
    pytest.importorskip("coverage")
    if core == "ctrace":
        pytest.importorskip("coverage.tracer", reason="built without its C tracer")
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is new in 3.12")
    environment = {"COVERAGE_FILE": str(tmp_path / "data")}
    if core:
        environment["COVERAGE_CORE"] = core
    ran = run_as_script(tmp_path, "-m", "coverage", "run", __file__, **environment)
    assert (ran.returncode, ran.stdout) == (0, "went through all cases\n"), ran.stderr


def test_no_code_object_is_kept(tmp_path):
    # In a process of its own: free-threaded 3.13 makes every code object
    # immortal from the first start of a thread on.
    ran = run_as_script(tmp_path, __file__, "keep")
    assert (ran.returncode, ran.stdout) == (0, "kept none\n"), ran.stderr


def check_nothing_is_kept():
    _callsite._KNOWN.clear()
    references = []
    for kind in KINDS:
        world = World(kind, 2)
        f = world.define("gone", ROUND["continue in a nested if"][1])
        f()
        references.append(weakref.ref(f.__code__))
        g = world.define("gone too", LEAVES["break after"][1])
        with contextlib.suppress(TransactionStateError):
            g()
        references.append(weakref.ref(g.__code__))
        assert len(_callsite._KNOWN) == 2
        del f, g, world
        gc.collect()
        assert [ref() for ref in references] == [None] * len(references)
        assert _callsite._KNOWN == {}


def main():
    if sys.argv[1:] == ["keep"]:
        check_nothing_is_kept()
        print("kept none")
    else:
        check_all()
        print("went through all cases")


if __name__ == "__main__":
    main()
