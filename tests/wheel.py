"""What `make package` runs where nothing but the wheel is installed.

The package is imported, and the examples of README.md run.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from pathlib import Path

from pages import run_blocks

import atomos

README = Path(__file__).parent.parent / "README.md"
MODULES = ("agent", "atom", "atomic", "debug", "multiprocessing", "stm", "testing")


def main() -> None:
    """Look at what is installed, and use it."""
    here = Path(atomos.__file__).parent
    assert here.is_relative_to(sys.prefix), f"{here} is not what was installed"
    assert (here / "py.typed").is_file(), "py.typed is missing"
    assert importlib.metadata.version("atomos") == atomos.__version__
    files = importlib.metadata.files("atomos") or []
    tops = {file.parts[0] for file in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"atomos"}, tops
    for name in MODULES:
        importlib.import_module(f"atomos.{name}")
    count = run_blocks(README.read_text(encoding="utf-8"), README.name)
    assert count > 10, f"README.md has {count} examples"
    print(f"package: atomos {atomos.__version__} and {count} examples run")


if __name__ == "__main__":
    main()
