"""The commands `top` and `trace`: what they show, and what they refuse."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading

import pytest
from helpers import PATIENCE, until

from atomos._demo import bank, command, corpus, run, screen, top
from atomos._demo.bank import ACCOUNTS, START, Bank, at_work
from atomos.stm import collecting
from atomos.stm._seams import _places

NAMES = {"transfer", "audit", "withdraw", "interest"}


@pytest.fixture(autouse=True)
def nothing_is_left():
    turn = sys.getswitchinterval()
    yield
    assert sys.getswitchinterval() == turn
    assert not _places
    left = [one.name for one in threading.enumerate()]
    assert not [name for name in left if name.startswith(bank.NAME)]


@pytest.fixture(params=[True, False], ids=["rich", "plain"])
def rich(request, monkeypatch):
    monkeypatch.setattr(screen, "HAS_RICH", request.param)
    return request.param


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_no_money_is_lost():
    shared = Bank()
    for number in range(100):
        shared.serve(number)
    assert shared.audit() == ACCOUNTS * START
    with collecting() as collected, at_work(shared, 3):
        until(lambda: {one.name for one in collected.statistics()} >= NAMES)
    assert shared.audit() == ACCOUNTS * START


def test_what_a_thread_raises_is_not_swallowed(monkeypatch):
    def broken(self, number):
        raise ZeroDivisionError

    monkeypatch.setattr(Bank, "serve", broken)
    with pytest.raises(ZeroDivisionError):
        with at_work(Bank(), 2):
            pass


def test_a_snapshot_prints_the_table_once(capsys, rich):
    assert command.main(["top", "--snapshot", "--seconds", "0.2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["transaction", "commits", "attempts"]
    assert sum(line.startswith("transaction") for line in lines) == 1
    assert {line.split()[0] for line in lines[1:5]} <= NAMES | {""}
    assert any(line.startswith("transfer ") for line in lines)


def test_a_snapshot_as_a_command():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "atomos", "top", "--snapshot"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "transfer" in done.stdout


@pytest.mark.parametrize("more", [["--snapshot"], []])
def test_a_reader_that_has_gone_ends_it_quietly(more):
    """As `head` does."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "atomos", "top", "--seconds", "0.1", *more],
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (run.FAILED, "")


def test_text_follows_text_where_there_is_no_terminal(capsys, rich, monkeypatch):
    monkeypatch.setattr(top, "REFRESH", 0.05)
    assert command.main(["top", "--seconds", "0.2", "--threads", "2"]) == 0
    out = capsys.readouterr().out
    assert out.count("transaction  ") >= 2
    assert "\x1b" not in out


def test_a_terminal_has_tables_that_change(rich, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(top, "REFRESH", 0.05)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    assert command.main(["top", "--seconds", "0.2"]) == 0
    assert ("━" in terminal.getvalue()) == rich
    assert "transfer" in terminal.getvalue()


@pytest.mark.parametrize("arguments", [["top"], ["top", "--snapshot"]])
def test_an_interrupt_ends_it(monkeypatch, capsys, arguments):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(top.time, "sleep", interrupt)
    assert command.main(arguments) == 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    files = tmp_path / "files"
    files.mkdir()
    for number in range(20):
        (files / f"module{number}.py").write_text(f"shared = own_{number}\n" * 20)
    monkeypatch.setattr(corpus, "standard_library", lambda: files)
    return tmp_path


def test_a_trace_of_the_demo(folder, capsys):
    path = folder / "demo.json"
    assert command.main(["trace", str(path), "--limit", "15", "--threads", "2"]) == 0
    out = capsys.readouterr().out
    assert "Equal to the count by one thread" in out
    assert f"The trace is in {path}: open https://ui.perfetto.dev" in out
    events = json.loads(path.read_text())["traceEvents"]
    adds = [one for one in events if one["name"].startswith("Index.add")]
    assert len([one for one in adds if one["name"].endswith("committed")]) == 15
    rows = {one["args"]["name"] for one in events if one["name"] == "thread_name"}
    assert {name for name in rows if name != "MainThread"} <= {
        f"atomos-demo_{n}" for n in range(3)
    }


def test_a_bad_path_is_told_before_the_demo_runs(folder, capsys, monkeypatch):
    monkeypatch.setattr(run, "demo", None)
    with pytest.raises(SystemExit) as caught:
        command.main(["trace", str(folder / "nowhere" / "demo.json")])
    assert caught.value.code == 2
    assert "error: the trace cannot be written to" in capsys.readouterr().err


def test_no_files_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(corpus, "standard_library", lambda: tmp_path)
    assert command.main(["trace", str(tmp_path / "demo.json")]) == run.FAILED
    assert f"no Python files in {tmp_path}" in capsys.readouterr().out
    assert not (tmp_path / "demo.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["top", "--threads", "0"], "argument --threads: must be a whole number"),
        (["top", "--seconds", "0"], "argument --seconds: must be a number of seconds"),
        (["top", "--seconds", "inf"], "must be a number of seconds above 0, not 'inf'"),
        (["top", "--seconds", "x"], "must be a number of seconds above 0, not 'x'"),
        (["top", "more"], "unrecognized arguments: more"),
        (["trace"], "the following arguments are required: FILE"),
        (["trace", "a.json", "--limit", "0"], "argument --limit: must be a whole"),
        (["trace", "a.json", "b.json"], "unrecognized arguments: b.json"),
        (["tops"], "unrecognized arguments: tops"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["python -m atomos top", "python -m atomos trace FILE", "--packages"]),
        (["top"], ["--snapshot", "--seconds S", "Ctrl-C ends it"]),
        (["trace"], ["FILE", "--limit N"]),
    ],
)
def test_help(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main([*arguments, "--help"])
    assert caught.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert all(word in out for word in words)


def test_without_arguments_it_is_the_demo(folder, capsys):
    assert command.main([]) == 0
    assert "20 files, " in capsys.readouterr().out
