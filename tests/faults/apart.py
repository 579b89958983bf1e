"""A function that takes a `Load` and returns figures, in a process of its own.

For what would disturb the caller: signals, forks, an interpreter that ends, an engine
that was broken on purpose. What the process says and finds comes back as lines
of JSON; what it prints on stderr is a figure, too: there must be nothing.

When nothing is said for `Load.patience` seconds, the process prints the stacks of all
threads and ends.

Run by hand: ``python -m faults.apart faults.forks:run 20``, in the folder `tests`.
"""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name

from faults.campaign import Figure, Load, empty, failed

#: Names what breaks the engine of a process.
BREAK = "ATOMOS_FAULTS_BREAK"
#: How much of what is printed becomes a figure.
LONGEST = 3000
TESTS = Path(__file__).parents[1]


def run_apart(
    run: Callable[[Load], list[Figure]],
    load: Load,
    broken_by: Callable[[], None] | None = None,
) -> list[Figure]:
    """Do ``run(load)`` in a process of its own; return its figures, and two more.

    In a process whose engine is broken, which is one of its own already, it is done
    here: who stands still there must not leave another process behind.
    """
    if BREAK in os.environ:
        return run(load)
    environment = dict(os.environ)
    path = (str(TESTS), str(TESTS.parent), environment.get("PYTHONPATH", ""))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    if broken_by is not None:
        environment[BREAK] = _name(broken_by)
    numbers = (load.amount, load.left(), load.patience, load.slack, load.seed)
    command = [sys.executable, "-X", "faulthandler", "-m", "faults.apart", _name(run)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        with subprocess.Popen(
            [*command, *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=printed,
            env=environment,
            text=True,
        ) as process:
            figures = _listen(process, load)
            status = process.wait()
        printed.seek(0)
        words = printed.read(LONGEST).strip()
    ended = Figure("exit status", status, "0", status == 0)
    return [*figures, ended, empty("printed on stderr", words)]


def _name(fn: Callable[..., object]) -> str:
    return f"{fn.__module__}:{fn.__qualname__}"


def _listen(process: subprocess.Popen[str], load: Load) -> list[Figure]:
    """Pass on what `process` says; return the figures that it has found."""
    figures = []
    assert process.stdout is not None
    for line in process.stdout:
        told = json.loads(line)
        if isinstance(told, str):
            load.say(told)
        else:
            figures.append(Figure(**told))
    return figures


def _tell(told: str | dict[str, object]) -> None:
    os.write(1, (json.dumps(told) + "\n").encode())


def main(name: str, amount: str, *others: str) -> None:
    """Do what `run_apart` asks for."""
    seconds, patience, slack, seed = others or ("0", "120", "1", "0")
    run = resolve_name(name)  # imports much, and is not hurried

    def say(words: str) -> None:
        faulthandler.dump_traceback_later(float(patience), exit=True)
        _tell(words)

    numbers = map(float, (seconds, patience, slack))
    load = Load(int(amount), *numbers, int(seed), say)
    faulthandler.dump_traceback_later(load.patience, exit=True)
    if BREAK in os.environ:
        # What it breaks may print: only the figures are of interest.
        sys.unraisablehook = threading.excepthook = lambda args: None
        resolve_name(os.environ[BREAK])()
    try:
        figures = run(load)
    except Exception as error:
        figures = [failed(error)]
    for figure in figures:
        _tell(asdict(figure))


if __name__ == "__main__":
    main(*sys.argv[1:])
