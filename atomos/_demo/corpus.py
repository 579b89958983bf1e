"""What the demo indexes: Python files, and the names that each one uses."""

from __future__ import annotations

import keyword
import sysconfig
import tokenize
from collections import Counter
from pathlib import Path
from typing import NamedTuple

__all__ = ["Source", "find_sources", "installed", "names_in", "standard_library"]

#: Folders that are left out: other people's packages, and the tests, which are
#: as large as all the rest.
_LEFT_OUT = frozenset({"__pycache__", "idle_test", "site-packages", "test", "tests"})


class Source(NamedTuple):
    """One file, and the package or module at the top that it belongs to."""

    path: Path
    package: str


def standard_library() -> Path:
    """Return the folder of the running interpreter's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def installed() -> list[Path]:
    """Return the folders of installed packages, each once."""
    found = (Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
    return list(dict.fromkeys(found))


def find_sources(folder: Path) -> list[Source]:
    """Return the Python files in `folder` and below, in a fixed order."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if _LEFT_OUT.isdisjoint(parts) and not path.is_dir():
            found.append(Source(path, parts[0].removesuffix(".py")))
    return found


def names_in(path: Path) -> Counter[str]:
    """Count the names in a Python file; keywords, strings, comments are none.

    Raises:
        OSError: It cannot be opened or read.
        SyntaxError: It is no Python.
        tokenize.TokenError: It ends in the middle of something.
        UnicodeError: It is not in the encoding that it declares.
    """
    with tokenize.open(path) as file:
        return Counter(
            token.string
            for token in tokenize.generate_tokens(file.readline)
            if token.type == tokenize.NAME and not keyword.iskeyword(token.string)
        )
