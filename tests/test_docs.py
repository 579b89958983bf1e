"""The examples in README.md, docs/ and the docstrings run and print what they show."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest
from pages import FENCE, run_blocks

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [
    "atomos",
    "atomos.agent",
    "atomos.atom",
    "atomos.atomic",
    "atomos.atomic._pair",
    "atomos.debug",
    "atomos.errors",
    "atomos.multiprocessing",
    "atomos.multiprocessing._cells",
    "atomos.multiprocessing._commit_id",
    "atomos.multiprocessing._open",
    "atomos.multiprocessing._ref",
    "atomos.multiprocessing._space",
    "atomos.multiprocessing._typed",
    "atomos.multiprocessing.atom",
    "atomos.multiprocessing.atomic",
    "atomos.reference",
    "atomos.stm._alternatives",
    "atomos.stm._block",
    "atomos.stm._effects",
    "atomos.stm._handle",
    "atomos.stm._local",
    "atomos.stm._outside",
    "atomos.stm._retry",
    "atomos.stm._seams",
    "atomos.stm._waited",
    "atomos.stm",
    "atomos.stm.ref",
    "atomos.testing",
]
WITHOUT_EXAMPLES = (
    "changelog.md",
    "design.md",
    "examples.md",
    "glossary.md",
    "index.md",
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TEST_NAME = re.compile(r"`(tests/[\w./*]+)`")


def anchors(text: str) -> set[str]:
    """Return what GitHub makes of the headings, to be linked to."""
    titles = HEADING.findall(FENCE.sub("", text))
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_a_page_run(page):
    text = page.read_text(encoding="utf-8")
    count = run_blocks(text, page.name)
    assert count == len(re.findall(r"^```(python|pycon)$", text, re.MULTILINE))
    assert count or page.name in WITHOUT_EXAMPLES


@pytest.mark.parametrize(
    "wrong",
    [
        "```python\nraise ValueError\n```",
        "```pycon\n>>> 1 + 1\n3\n```",
        "```python\nx = 1\n```\n```pycon\n>>> x\n2\n```",
    ],
)
def test_a_wrong_example_is_found(wrong):
    with pytest.raises((ValueError, AssertionError)):
        run_blocks(wrong, "wrong")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_named_on_a_page_exist(page):
    for name in TEST_NAME.findall(page.read_text(encoding="utf-8")):
        assert list(ROOT.glob(name.rstrip("/"))), name


def modules() -> list[str]:
    """Return the public modules, and those that a public package is made of."""
    found = list(MODULES)
    for name in MODULES:
        module = importlib.import_module(name)
        public = (getattr(module, item) for item in getattr(module, "__all__", ()))
        found += [getattr(item, "__module__", name) for item in public]
    return sorted({name for name in found if name.startswith("atomos")})


@pytest.mark.parametrize("name", modules())
def test_doctests_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0, f"{name}: {result.failed} examples failed, see above"


def test_a_link_of_the_manual_that_leads_nowhere_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    links = importlib.import_module("links")
    (tmp_path / "b.html").write_text('<h1 id="here">B</h1><a href="#">up</a>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here"><a href="https://example.org/"><img src="no.png">'
        '<a href="b.html"><a href="b.html#there"><a href="c.html"><a href="#a">'
    )
    assert links.broken(tmp_path) == [
        "a.html: #a leads to nothing on that page",
        "a.html: b.html#there leads to nothing on that page",
        "a.html: c.html leads to no file",
        "a.html: no.png leads to no file",
    ]
