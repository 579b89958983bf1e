"""The examples run to the end, and lose nothing; what they teach is short."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PATIENCE

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

#: What each prints, or a check of what its `run` returns.
PRINTED = {
    "barrier": "8 threads met 30 times",
    "bounded_buffer": "2000 items went through a buffer of 8 places",
    "philosophers": "5 philosophers ate 100 meals\n"
    "20 philosophers ate 400 meals\n"
    "50 philosophers ate 1000 meals",
    "read_write_lock": "100 writes, and no reader saw half of one",
    "semaphore": "3 permits are left",
    "token_ring": "the token was passed on 240 times",
}

#: Programs that do real work, and the end of what they print.
WORKS = {
    "chat_clients": "50 clients heard 6250 lines",
    "ledger": "1796 payments booked, 204 rejected",
    "scheduler": "20 done, 1 failed, 9 skipped",
}
#: What these import.
PARTS = {"chat"}

#: The class that a user would write.
TAUGHT = {
    "barrier": "Barrier",
    "bounded_buffer": "Buffer",
    "philosophers": "Table",
    "read_write_lock": "ReadWriteLock",
    "semaphore": "Semaphore",
    "token_ring": "Ring",
}


def python(*args):
    """Run Python in the folder of examples; return what it has printed."""
    path = os.pathsep.join(str(ROOT) if p == "" else p for p in sys.path)
    done = subprocess.run(
        [sys.executable, *args],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_each_example_is_tested():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == set(PRINTED) | set(WORKS) | PARTS
    assert set(PRINTED) == set(TAUGHT)


@pytest.mark.parametrize("name", WORKS)
def test_it_works(name):
    assert python(f"{name}.py").endswith(WORKS[name])


@pytest.mark.parametrize("name", [*WORKS, *PARTS])
def test_what_works_has_less_than_150_lines(name):
    lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150


def test_the_chat_keeps_the_order_of_each_member():
    """All of a room hear the same lines; those of one member in his order."""
    code = (
        "import chat_clients as c\n"
        "for name, lines in c.run(clients=8, lines=20).items():\n"
        "    room = [f'c{k}' for k in range(8) if k % 2 == int(name[1:]) % 2]\n"
        "    for member in room:\n"
        "        said = [line for line in lines if line.startswith(member)]\n"
        "        assert said == [f'{member}: {k}' for k in range(20)]\n"
        "    assert len(lines) == 20 * len(room)\n"
        "print('ok')"
    )
    assert python("-c", code) == "ok"


def test_the_ledger_tells_each_bad_line(tmp_path):
    """With its number and the reason; the good ones are booked."""
    text = "ann,bob,10\nann,bob\nann,zoe,5\n\nann,ann,5\nbob,ann,x\nbob,cid,999999\n"
    (tmp_path / "payments.csv").write_text(text)
    code = (
        "import ledger, pathlib, sys\n"
        f"text = pathlib.Path({str(tmp_path / 'payments.csv')!r}).read_text()\n"
        "opening = dict.fromkeys(['ann', 'bob', 'cid'], 100)\n"
        "booked, bad = ledger.run(text, opening)\n"
        "print({n: a.deref() for n, a in booked.accounts.items()})\n"
        "print(bad)"
    )
    assert python("-c", code).splitlines() == [
        "{'ann': 90, 'bob': 110, 'cid': 100}",
        "{2: 'a payment has 3 fields, not 2', 3: \"there is no account 'zoe'\", "
        "5: 'ann pays himself', 6: \"'x' is no number of cents above 0\", "
        "7: 'not enough money'}",
    ]


def test_a_scheduler_refuses_what_cannot_end():
    code = (
        "from scheduler import Scheduler\n"
        "for needs in ({'a': ['b'], 'b': ['a']}, {'a': ['c']}):\n"
        "    try:\n"
        "        Scheduler(needs)\n"
        "    except ValueError as error:\n"
        "        print(error)"
    )
    assert python("-c", code).splitlines() == [
        "these wait for each other: ['a', 'b', 'a']",
        "a needs c, which is no job",
    ]


@pytest.mark.parametrize("name", PRINTED)
def test_it_runs(name):
    assert python(f"{name}.py") == PRINTED[name]


@pytest.mark.parametrize("name", TAUGHT)
def test_what_it_teaches_has_less_than_30_lines(name):
    """Without docstrings and blank lines."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    (taught,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == TAUGHT[name]
    )
    lines = set()
    for node in ast.walk(taught):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if hasattr(node, "lineno") and not isinstance(node, ast.Constant):
            lines.update((node.lineno, *(d.lineno for d in _decorators(node))))
    assert 5 < len(lines) < 30


def _decorators(node):
    return getattr(node, "decorator_list", [])


def test_a_buffer_loses_nothing_and_keeps_the_order_of_each_producer():
    """What each consumer has of one producer is in order, and all of it arrives."""
    code = (
        "import bounded_buffer as b\n"
        "taken = b.run(count=200, places=1)\n"
        "for items in taken:\n"
        "    for maker in range(4):\n"
        "        mine = [n for name, n in items if name == maker]\n"
        "        assert mine == sorted(mine)\n"
        "everything = sorted(item for items in taken for item in items)\n"
        "assert everything == [(m, n) for m in range(4) for n in range(200)]\n"
        "print('ok')"
    )
    assert python("-c", code) == "ok"


def test_a_token_goes_round_in_order():
    code = "import token_ring as r; print(r.run(12, 5) == list(range(12)) * 5)"
    assert python("-c", code) == "True"
