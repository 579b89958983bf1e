"""The packages that atomos is compared with, kept apart from everything else.

atomos 0.3.1 has the same import name as this project, and neither it nor stm
0.2.7 runs on Python 3 as it is. So both are installed into folders that are on
nobody's `sys.path`, and loaded from there under no public name.
"""

from __future__ import annotations

import importlib
import multiprocessing
import subprocess
import sys
from collections.abc import Callable as AbstractCallable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD_ATOMOS = "atomos==0.3.1"
STM = "stm==0.2.7"
_SECONDS = 180


class PeerError(Exception):
    """A peer cannot be had, or does not work on this interpreter."""


@dataclass(frozen=True)
class OldAtomos:
    """What is used of atomos 0.3.1."""

    atom: Any
    integer: Any


def home() -> Path:
    """Return the folder of the peers: in the virtual environment, if there is one."""
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "peers"
    return Path(__file__).parent.parent / ".venv" / "peers"


def install(requirement: str, *others: str) -> Path:
    """Return the folder that `requirement` is installed in; install it if need be.

    Raises:
        PeerError: pip could not install it.
    """
    folder = home() / requirement.replace("==", "-")
    if folder.is_dir():
        return folder
    print(f"Getting {requirement} for comparison, once", file=sys.stderr)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--retries=1", "--no-deps"]
    command += ["--upgrade", f"--target={unfinished}", requirement, *others]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"pip install {requirement}: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        last = lines[-1] if lines else f"pip ended with {done.returncode}"
        raise PeerError(f"pip install {requirement}: {last}")
    unfinished.rename(folder)
    return folder


@contextmanager
def _instead_of_atomos(folder: Path) -> Iterator[None]:
    """Let ``import atomos`` find what is in `folder`; undone at the end."""
    present = {
        name: module
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "atomos"
    }
    for name in present:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.partition(".")[0] == "atomos"]:
            del sys.modules[name]
        sys.modules.update(present)


@cache
def old_atomos() -> OldAtomos:
    """Return atomos 0.3.1, made to run on Python 3.

    Raises:
        PeerError: It cannot be had or loaded.
    """
    folder = install(OLD_ATOMOS, "six>=1.16")
    try:
        with _instead_of_atomos(folder):
            atom: Any = importlib.import_module("atomos.atom")
            atomic: Any = importlib.import_module("atomos.atomic")
    except Exception as error:
        raise PeerError(f"{OLD_ATOMOS}: {type(error).__name__}: {error}") from error
    if not Path(atom.__file__).is_relative_to(folder):
        raise PeerError(f"{OLD_ATOMOS}: another atomos was imported, {atom.__file__}")
    # `collections.Callable` is gone since Python 3.10.
    atom.collections = SimpleNamespace(Callable=AbstractCallable)
    return OldAtomos(atom.Atom, atomic.AtomicInteger)


@cache
def old_shared() -> Any:
    """Return the AtomicReference of `atomos.multiprocessing` 0.3.1.

    Its module starts a process when it is imported, the manager, which ends with this
    one. That is forked, so it can find what it was told to run.

    Raises:
        PeerError: It cannot be had or loaded.
    """
    folder = install(OLD_ATOMOS, "six>=1.16")
    method = multiprocessing.get_start_method()
    try:
        multiprocessing.set_start_method("fork", force=True)
        with _instead_of_atomos(folder):
            atomic: Any = importlib.import_module("atomos.multiprocessing.atomic")
    except Exception as error:
        raise PeerError(f"{OLD_ATOMOS}: {type(error).__name__}: {error}") from error
    finally:
        multiprocessing.set_start_method(method, force=True)
    return atomic.AtomicReference


@cache
def stm() -> Any:
    """Return the module stm 0.2.7, made to run on Python 3.

    Raises:
        PeerError: It cannot be had or loaded.
    """
    path = install(STM) / "stm" / "__init__.py"
    module = ModuleType("benchmarks._stm")
    try:
        source = path.read_text(encoding="utf-8").replace(".iteritems()", ".items()")
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        raise PeerError(f"{STM}: {type(error).__name__}: {error}") from error
    return module
