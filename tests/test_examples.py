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
    "gateway_clients": "72 answered, 18 hung up on",
    "index": "100 files; the totals of each snapshot agree",
    "ledger": "1796 payments booked, 204 rejected",
    "scheduler": "20 done, 1 failed, 9 skipped",
    "web_clients": "20 clients bought 100 seats, none of them twice",
}
#: What these import.
PARTS = {"chat", "gateway", "limiter", "pool", "web"}

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


@pytest.mark.parametrize("name", sorted([*WORKS, *PARTS]))
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


#: Helpers of the tests below: what a call raises, and a connection that is none.
CALLS = """
from concurrent.futures import ThreadPoolExecutor

def raised(enter):
    try:
        with enter():
            return "nothing"
    except Exception as error:
        return f"{type(error).__name__}: {error}"

class Line:
    made = []

    def __init__(self):
        self.open = True
        self.made.append(self)

    def close(self):
        self.open = False
"""


def test_a_limiter_takes_both_permits_or_neither():
    """And a client with no permit left is told so, the others are not held up."""
    code = CALLS + (
        "from limiter import Limiter\n"
        "with Limiter(limit=3, each=1, per=3600) as limiter:\n"
        "    with limiter.permit('ann'):\n"
        "        print(raised(lambda: limiter.permit('ann', timeout=0.01)))\n"
        "    print(raised(lambda: limiter.permit('ann', timeout=0)))\n"
        "    print(limiter.left.deref())\n"
        "    print(raised(lambda: limiter.permit('bob')))\n"
        "    print(raised(lambda: limiter.permit('cid')))\n"
        "    print(raised(lambda: limiter.permit('dee', timeout=0.01)))\n"
        "    print(sorted(limiter.clients.deref()), limiter.left.deref())"
    )
    assert python("-c", code).splitlines() == [
        "LimitExceeded: no permit for ann in 0.01 s",
        "LimitExceeded: no permit for ann in 0 s",
        "2",
        "nothing",
        "nothing",
        "LimitExceeded: no permit for dee in 0.01 s",
        "['ann', 'bob', 'cid'] 0",
    ]


def test_a_permit_comes_back_after_an_error_and_when_its_time_is_over():
    code = CALLS + (
        "from limiter import Limiter\n"
        "from time import monotonic\n"
        "with Limiter(limit=1, each=1, per=0.2) as limiter:\n"
        "    try:\n"
        "        with limiter.permit('ann'):\n"
        "            begin = monotonic()\n"
        "            raise KeyError('ann')\n"
        "    except KeyError:\n"
        "        pass\n"
        "    with limiter.permit('bob'):\n"
        "        print(monotonic() - begin >= 0.2, *limiter.clients.deref())\n"
        "    limiter.left.wait_for(lambda n: n == 1)\n"
        "    print(limiter.clients.deref(), limiter.resting.deref())"
    )
    assert python("-c", code).splitlines() == ["True bob", "{} ()"]


@pytest.mark.parametrize(
    ("make", "call", "close", "told"),
    [
        (
            "limiter.Limiter(0, 1, 1).__enter__()",
            "permit('ann')",
            "__exit__()",
            "LimiterClosed: no permit for ann: the limiter is closed",
        ),
        (
            "pool.Pool(Line, 0)",
            "connection()",
            "close()",
            "PoolClosed: no connection: the pool is closed",
        ),
    ],
)
def test_who_waits_is_told_that_it_was_closed(make, call, close, told):
    """Also who comes later."""
    code = CALLS + (
        "import limiter, pool, threading\n"
        f"it = {make}\n"
        f"enter = lambda: it.{call}\n"
        "tried, take = threading.Semaphore(0), it.take\n"
        "def try_to_take(*args):\n"
        "    try:\n"
        "        return take(*args)\n"
        "    finally:\n"
        "        tried.release()\n"
        "it.take = try_to_take\n"
        "with ThreadPoolExecutor(3) as threads:\n"
        "    waiting = [threads.submit(raised, enter) for _ in range(3)]\n"
        "    for _ in waiting:\n"
        "        tried.acquire()\n"
        f"    it.{close}\n"
        "    print(*{job.result() for job in waiting}, raised(enter), sep='\\n')"
    )
    assert python("-c", code).splitlines() == [told, told]


def test_a_pool_replaces_a_broken_connection_and_loses_no_slot():
    """Nor does it if one cannot be opened; all that it has opened is closed."""
    code = CALLS + (
        "from pool import Pool\n"
        "pool = Pool(Line, 1)\n"
        "with pool.connection() as one:\n"
        "    print(raised(lambda: pool.connection(timeout=0.01)))\n"
        "try:\n"
        "    with pool.connection() as same:\n"
        "        raise ConnectionError\n"
        "except ConnectionError:\n"
        "    print(same is one, one.open)\n"
        "pool.connect = lambda: 1 / 0\n"
        "print(raised(pool.connection), len(pool.free.deref()))\n"
        "pool.connect = Line\n"
        "with pool.connection() as other:\n"
        "    pool.close()\n"
        "    print(other is not one, other.open)\n"
        "print([line.open for line in Line.made])"
    )
    assert python("-c", code).splitlines() == [
        "PoolTimeout: no connection in 0.01 s",
        "True False",
        "ZeroDivisionError: division by zero 1",
        "True True",
        "[False, False]",
    ]


def test_a_gateway_takes_a_permit_and_a_connection_or_neither():
    code = CALLS + (
        "from gateway import Gateway\n"
        "from limiter import Limiter\n"
        "from pool import Pool\n"
        "def left():\n"
        "    return limiter.left.deref(), len(pool.free.deref())\n"
        "with Limiter(limit=2, each=2, per=3600) as limiter:\n"
        "    pool = Pool(Line, 1)\n"
        "    gateway = Gateway(limiter, pool)\n"
        "    def enter():\n"
        "        return gateway.connection('ann', timeout=0.01)\n"
        "    with pool.connection():\n"
        "        print(raised(enter), *left())\n"
        "    print(raised(enter), raised(enter), *left())\n"
        "    print(raised(enter), *left())"
    )
    assert python("-c", code).splitlines() == [
        "Busy: no turn for ann in 0.01 s 2 0",
        "nothing nothing 0 1",
        "Busy: no turn for ann in 0.01 s 0 1",
    ]


def test_an_index_is_that_of_the_files_and_tells_what_is_not_read(tmp_path):
    (tmp_path / "a.py").write_text("x = y = x\n")
    (tmp_path / "b.py").write_text("y.x()\n")
    (tmp_path / "c.py").write_bytes(b"\xff\n")
    code = (
        "import index, pathlib\n"
        f"snapshots, unreadable = index.run(pathlib.Path({str(tmp_path)!r}))\n"
        "print(snapshots[-1].counts() == {'x': 3, 'y': 2}, snapshots[-1].files)\n"
        "print(*(path.name for path in unreadable))\n"
        "try:\n"
        f"    index.run(pathlib.Path({str(tmp_path / 'none')!r}))\n"
        "except FileNotFoundError as error:\n"
        "    print(str(error).startswith('there are no Python files in'))"
    )
    assert python("-c", code).splitlines() == ["True 2", "c.py", "True"]


def test_the_reader_of_an_index_refuses_totals_that_do_not_agree():
    code = (
        "import index\n"
        "from collections import Counter\n"
        "from atomos import atomically\n"
        "from atomos._demo.corpus import Source\n"
        "made = index.Index(['p'])\n"
        "made.add(Source('p/a.py', 'p'), Counter(x=2))\n"
        "atomically(made.names.set, 3)\n"
        "reader = index.Reader(made)\n"
        "reader.complete.reset(True)\n"
        "try:\n"
        "    reader.read()\n"
        "except AssertionError as error:\n"
        "    print(error)"
    )
    assert "the buckets hold 2 names, the total 3" in python("-c", code)


def test_a_theatre_refuses_what_it_cannot_sell_and_changes_nothing():
    code = (
        "import web_clients as w\n"
        "from web import make_app\n"
        "with w.served(make_app()) as port, w.connected(port) as server:\n"
        "    def book(name, *seats, method='POST'):\n"
        "        asked = {'name': name, 'seats': seats}\n"
        "        print(w.ask(server, method, '/book', asked))\n"
        "    book('ann', 'A1', 'A2')\n"
        "    book('bob', 'A3', 'A2')\n"
        "    book('bob', 'A3', 'A3')\n"
        "    book('bob', 'A3', 'Z9')\n"
        "    book('bob', 'A1', method='DELETE')\n"
        "    book('ann', 'A1', method='DELETE')\n"
        "    print(w.ask(server, 'GET', '/total')[1])\n"
        "    print(*w.ask(server, 'GET', '/wait?seen=2&seconds=0.01'))\n"
        "    print(*w.ask(server, 'GET', '/wait?seen=x'))\n"
        "    print(*w.ask(server, 'POST', '/book', ['ann']))"
    )
    assert python("-c", code).splitlines() == [
        "(200, {'change': 1})",
        "(409, 'seat A2 is taken')",
        "(409, 'seat A3 is taken')",
        "(409, 'there is no seat Z9')",
        "(409, 'seat A1 is not yours')",
        "(200, {'change': 2})",
        "{'owners': {'A2': 'ann'}, 'free': 99, 'takings': 25, 'changes': 2}",
        "204 ",
        "400 seen is a number, and seconds, too",
        "400 a name and seats are needed, as JSON",
    ]


def test_the_total_of_a_theatre_is_of_one_instant():
    """Seats that are booked while it is read are all in it, or none."""
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from copy import copy\n"
        "from web import Theatre\n"
        "theatre = Theatre(rows='A', places=3)\n"
        "class Slow:\n"
        "    def deref(self):\n"
        "        with ThreadPoolExecutor() as pool:\n"
        "            pool.submit(theatre.change, None, 'ann', ['A1', 'A3']).result()\n"
        "        return theatre.seats['A2'].deref()\n"
        "slow = copy(theatre)\n"
        "slow.seats = {**theatre.seats, 'A2': Slow()}\n"
        "print(slow.total())\n"
        "print(list(theatre.total()['owners']), theatre.free.deref())"
    )
    assert python("-c", code).splitlines() == [
        "{'owners': {}, 'free': 3, 'takings': 0, 'changes': 0}",
        "['A1', 'A3'] 1",
    ]


def test_a_theatre_wakes_who_waits_and_logs_after_the_answer():
    code = (
        "import web_clients as w\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from web import make_app\n"
        "app = make_app()\n"
        "def wait():\n"
        "    with w.connected(port) as server:\n"
        "        return w.ask(server, 'GET', '/wait?seen=0')\n"
        "with w.served(app) as port, ThreadPoolExecutor() as pool:\n"
        "    waiting = pool.submit(wait)\n"
        "    with w.connected(port) as server:\n"
        "        w.ask(server, 'POST', '/book', {'name': 'ann', 'seats': ['B7']})\n"
        "    print(waiting.result()[1]['owners'])\n"
        "    print(*app.state.theatre.log.wait_for(bool, timeout=30))"
    )
    assert python("-c", code).splitlines() == ["{'B7': 'ann'}", "1: POST ann B7"]


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
