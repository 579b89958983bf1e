"""The same schedule and bodies make the same table, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import atomos

SCRIPT = r"""
import sys
from atomos import Atom, AtomicInteger, Ref, atomically, dosync
from atomos.agent import Agent
from atomos.testing import Priorities, Schedule, now, run_interleaved, sleep

for _ in range(int(sys.argv[1])):  # what was before makes no difference
    Atom(0).swap(lambda n: n + 1)
    atomically(lambda: Ref(0).alter(lambda n: n + 1))


def run(schedule):
    refs = [Ref(n) for n in range(3)]
    names = Atom(frozenset("abcdef"), name="names")
    plain, count, agent = Atom(0), AtomicInteger(0), Agent({"x": 1, "y": 2})

    def one():
        plain.swap(lambda n: n + 1)
        atomically(lambda: [ref.alter(lambda n: n + 1) for ref in refs])
        names.swap(lambda known: known | {object, "g"})
        agent.send(lambda state: {**state, "z": count.increment_and_get()})

    def other():
        with dosync():
            refs[2].set(refs[0].deref())
        sleep(1)
        refs[1].wait_for(lambda n: n > 0, timeout=5)
        agent.send_off(lambda state: {**state, "w": now()}).wait()

    done = run_interleaved(schedule, one, other, one)
    return f"{done}\n{done.seconds} {done.schedule}"


schedules = [Schedule((3, 0), (7, 1), (2, 0))]
schedules += [Priorities(seed, length=60) for seed in range(8)]
texts = [run(schedule) for schedule in schedules]
assert texts == [run(schedule) for schedule in schedules]
print(*texts, sep="\n")
"""


def printed(script, *args, seed):
    done = subprocess.run(
        [sys.executable, script, *args],
        cwd=Path(atomos.__file__).parent.parent,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_in_any_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    first = printed(script, "0", seed="0")
    assert len(first) > 200
    for before, seed in (("0", "1"), ("7", "2"), ("1500", "3")):
        assert printed(script, before, seed=seed) == first
