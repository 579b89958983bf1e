"""The page of the comparison says what is stored, and the program keeps whole runs."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.compare import __main__ as program
from benchmarks.compare import page, plots, store
from benchmarks.compare.clojure import NAME
from benchmarks.compare.contestant import OURS
from benchmarks.compare.page import blocks, fill, ratio
from benchmarks.compare.store import Cell, Results
from benchmarks.compare.workloads import WORKLOADS
from benchmarks.measure import Settings

BY_KEY = {workload.key: workload for workload in WORKLOADS}


# The page


def some(cells):
    machine = {"python": "CPython 3.99"}
    return Results("3.99", "2030-01-01", machine, {"stm": "1"}, 1, 0.25, cells)


def pair(ours, theirs):
    def both(values):
        return {"transfer": {"cpu": values, "wall": values}}

    return Cell("hot", 1, {OURS: both(ours), "stm": both(theirs)})


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ([4.0, 6.0, 20.0], [2.0, 2.0, 2.0], "**3** (2..10)"),
        ([1.0, 1.0, 1.0], [4.0, 4.0, 3.0], "**0.25** (0.25..0.33)"),
        ([4.0, 6.0, 1.0], [2.0, None, 2.0], "**1.2** (0.5..2), 2 of 3"),
        ([1.0], [None], "stm: none"),
        ([None], [1.0], "atomos: none"),
    ],
)
def test_a_ratio_is_in_words(ours, theirs, words):
    assert ratio(pair(ours, theirs), "stm", "transfer") == words


def test_who_was_left_out_stands_on_the_page_with_the_reason():
    cell = pair([1.0], [1.0])
    cell.missing[NAME] = "not here: no java"
    assert ratio(cell, NAME, "transfer") == page.NOTHING
    found = blocks([some([cell])])["missing"]
    assert found == "- Python 3.99, Clojure: not here: no java (hot)"


def test_a_block_is_filled_and_what_is_around_it_stays():
    text = "before\n<!-- figures: missing -->\nold\n<!-- end -->\nafter"
    filled = fill(text, [])
    assert "old" not in filled
    assert filled.startswith("before\n")
    assert filled.endswith("<!-- end -->\nafter")
    assert fill(filled, []) == filled


def test_a_block_that_there_is_not_is_refused():
    with pytest.raises(KeyError, match="no-such"):
        fill("<!-- figures: no-such -->\n<!-- end -->", [])


def test_the_tables_of_the_page_say_what_is_stored():
    text = page.PAGE.read_text(encoding="utf-8")
    every = store.read_all()
    assert every
    assert fill(text, every) == text


def test_the_page_leaves_out_no_table_and_no_plot():
    text = page.PAGE.read_text(encoding="utf-8")
    assert {block[2] for block in page.BLOCK.finditer(text)} == set(blocks([]))
    for key in BY_KEY:
        assert f"(pictures/performance/{key}.svg)" in text
        assert (plots.FOLDER / f"{key}.svg").is_file()


def test_what_is_stored_is_of_whole_runs_and_names_no_folder():
    for results in store.read_all():
        assert results.rounds >= 5
        assert {cell.workload for cell in results.cells} == set(program.ALL)
    for path in store.FOLDER.glob("*.json"):
        assert not re.search(r"/(home|root|tmp|work|usr)/", path.read_text())


def test_plots_are_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra plots only")
    paths = plots.draw([some([pair([1.0, 2.0], [None, 4.0])])], tmp_path)
    assert [path.stem for path in paths] == list(BY_KEY)
    assert all("</svg>" in path.read_text() for path in paths)


# The program


@pytest.fixture
def measured(monkeypatch):
    """Let the program measure nothing; return what it is asked for."""
    asked = []

    def measure(keys, settings, begin):
        asked.append((list(keys), settings))
        return [pair([3.0], [2.0])], {}

    monkeypatch.setattr(program, "measure", measure)
    return asked


def test_the_program_shows_and_keeps_the_ratios(measured, capsys, tmp_path):
    file = tmp_path / "mine.json"
    assert program.main(["--only=hot", "--quick", f"--json={file}"]) == 0
    assert measured == [(["hot"], Settings(2, 0.1))]
    assert "**1.5** (1.5..1.5)" in capsys.readouterr().out
    assert json.loads(file.read_text())["cells"][0]["workload"] == "hot"


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [([], 1), (["--quick"], 0), (["--only=hot"], 0), (["--no-peers"], 0)],
)
def test_only_a_whole_run_is_kept_without_being_asked(
    arguments, kept, measured, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    program.main(arguments)
    assert len(list(tmp_path.glob("peers-*.json"))) == kept


def test_a_failure_is_told_by_the_exit_status(monkeypatch, capsys):
    failed = [Cell("hot", 1, {}, {"stm": "failed: so"})]
    monkeypatch.setattr(program, "measure", lambda *_: (failed, {}))
    assert program.main(["--quick"]) == 1
    assert "stm: failed: so (hot)" in capsys.readouterr().out


def test_the_page_is_made_when_asked(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(plots, "draw", lambda every: [])
    page.PAGE.write_text("<!-- figures: missing -->\n<!-- end -->\n")
    assert program.main(["--page"]) == 0
    assert "\n- " in page.PAGE.read_text()


def test_the_workloads_are_listed(capsys):
    assert program.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(program.ALL)


@pytest.mark.parametrize(
    "wrong", [["--only", "no such"], ["--only", "("], ["--rounds=0"]]
)
def test_wrong_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        program.main(wrong)
