"""How Sphinx makes the manual. `make docs` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import atomos

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent

project = "Atomos"
release = atomos.__version__
html_title = f"Atomos {release}"
html_theme = "furo"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.svgbob",
]
exclude_patterns = ["_build"]
default_role = "code"

myst_heading_anchors = 3
autodoc_default_options = {"members": True}
autoclass_content = "both"  # what a class is made of is told by its __init__
autodoc_member_order = "bysource"
autodoc_typehints = "none"
copybutton_prompt_text = ">>> |... "
copybutton_prompt_is_regexp = True


def take_readme(app: Sphinx, name: str, source: list[str]) -> None:
    """Make README.md the first page, with links from and to there.

    Its last section leads to files that are no pages here.
    """
    if name == "index":
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        readme = readme.partition("\n## More\n")[0]
        source[0] = readme.replace("](docs/", "](") + "\n" + source[0]
    source[0] = source[0].replace("](../README.md", "](index.md")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", take_readme)
