"""The fixture, in a run of pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import atomos

TEST = """
from atomos import Atom

def read(cell):
    cell.deref()

def test_it(explore_schedules):
    done = explore_schedules(read, read, setup=lambda: Atom(0), preemptions=1)
    print("preemptions:", done.preemptions)
    assert done.complete

def test_limited(explore_schedules):
    explore_schedules(read, read, setup=lambda: Atom(0), limit=1)
"""


@pytest.mark.parametrize(("options", "bound"), [((), 1), (("--preemptions", "0"), 0)])
def test_the_fixture_explores(tmp_path, options, bound):
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["atomos.testing.pytest_plugin"]\n'
    )
    root = Path(atomos.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", *options],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"preemptions: {bound}" in done.stdout
    assert "schedules run in 2 explorations, not all to the end" in done.stdout
