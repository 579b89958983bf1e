"""Whoever switches a check off says why, on the same line."""

from __future__ import annotations

import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for folder in ("atomos", "benchmarks", "docs", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
SUPPRESSES = re.compile(
    r"#\s*(noqa|(type|pyright):\s*ignore|fmt:\s*(skip|off)|pragma:)"
)
WITH_REASON = re.compile(
    r"# (noqa: [A-Z]+\d+(, [A-Z]+\d+)*|(type|pyright): ignore\[[a-zA-Z, -]+\]"
    r"|fmt: (skip|off)|pragma: no (cover|branch)) [-#] \S.+"
)


def without_reason(comment: str) -> bool:
    return bool(SUPPRESSES.search(comment)) and not WITH_REASON.fullmatch(comment)


def test_each_suppression_has_a_reason():
    assert len(FILES) > 50
    found = []
    for path in FILES:
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                if token.type == tokenize.COMMENT and without_reason(token.string):
                    found.append(f"{path.relative_to(ROOT)}:{token.start[0]}")
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "noqa",
        "noqa: E731",
        "noqa - why",
        "type: ignore[misc]",
        "type: ignore # why",
        "pyright: ignore[reportCallIssue]",
        "fmt: skip",
        "pragma: no cover",
    ],
)
def test_one_without_is_found(code):
    assert without_reason(f"# {code}")


def test_other_comments_are_left_alone():
    assert not without_reason("# noqa: E731 - why")
    assert not without_reason("# type: ignore[misc, arg-type] # why")
    assert not without_reason("# why")
