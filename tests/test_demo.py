"""The demo: its result, its exit status, and what goes wrong on purpose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from atomos._demo import corpus, index, run, screen
from atomos._demo.index import Index, Snapshot, Tally
from atomos._demo.threads import NAME, Work

WITHOUT_RICH = "import sys; sys.modules['rich'] = None; import runpy; "
LIMIT = 60  # seconds that one run of the demo may take

#: The demo, with two threads that count nothing before they are told to stop. It says
#: when all of its threads are started and both of these wait.
HELD = """
import sys, threading
from collections import Counter
import atomos._demo.threads
from atomos._demo import run

waiting = threading.Semaphore(0)

class Work(run.Work):
    said = False

    def done(self):
        if not self.said:
            self.said = waiting.acquire() and waiting.acquire()
            print("at work", flush=True)
        return super().done()

    def wait(self, path):
        waiting.release()
        self._stop.wait()
        return Counter(a=1)

def make(*arguments):
    work = Work(*arguments)
    atomos._demo.threads.names_in = work.wait
    return work

run.Work = make
sys.exit(run.main(["--threads", "2"]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A corpus of 60 files in 4 packages, and of files that are left out."""
    for number in range(60):
        package = tmp_path / f"package{number % 3}" if number % 4 else tmp_path
        package.mkdir(exist_ok=True)
        lines = ["shared += other"] * (number + 1)
        text = "\n".join([*lines, f"own_{number} = 'no name'  # nor here"])
        (package / f"module{number}.py").write_text(text)
    tests = tmp_path / "package1" / "tests"
    tests.mkdir()
    (tests / "test_it.py").write_text("left = out")
    (tmp_path / "package1" / "data.txt").write_text("left = out")
    (tmp_path / "package2" / "a_folder.py").mkdir()
    return tmp_path


@pytest.fixture(params=[True, False], ids=["rich", "plain"])
def rich(request, monkeypatch) -> bool:
    monkeypatch.setattr(screen, "HAS_RICH", request.param)
    return request.param


def start(*arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"the demo hangs\n{out}\n{err}")
    return process.returncode, out, err


def test_counts_the_names_in_code_only(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("import re  # os\nx = re.x('y', f=1) if x else None\n")
    assert corpus.names_in(path) == {"re": 2, "x": 3, "f": 1}


def test_finds_files_below_and_their_packages(folder):
    found = corpus.find_sources(folder)
    assert len(found) == 60
    assert found == sorted(found)
    packages = Counter(source.package for source in found)
    assert packages["package0"] == packages["package1"] == packages["package2"] == 15
    assert packages["module0"] == 1


@pytest.mark.parametrize("threads", [1, 4])
def test_result_equals_the_count_by_one_thread(folder, threads, rich, capsys):
    turn = sys.getswitchinterval()
    assert run.demo(corpus.find_sources(folder), threads) == 0
    assert sys.getswitchinterval() == turn
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if "yes" in line and "Equal" in line]
    assert "WRONG" not in out


def test_index_holds_what_was_counted(folder):
    sources = corpus.find_sources(folder)
    shared = Index({source.package for source in sources})
    work = Work(shared, sources)
    seen: list[int] = []
    work.run(4, seen.append)
    found, runs = shared.snapshot()
    assert runs == 1
    assert work.snapshot_reruns == 0
    assert work.complaints == []
    assert found.counts()["shared"] == found.counts()["other"] == 60 * 61 // 2
    assert found.counts()["own_7"] == 1
    assert found.files == work.done() == 60
    assert found.names == 60 * 61 + 60
    assert found.longest == (121, str(folder / "package2" / "module59.py"))
    assert seen == sorted(seen)


def test_runs_again_when_it_lost(monkeypatch, folder):
    """One thread is kept inside of its transaction until the other committed."""
    one, two = corpus.find_sources(folder)[:2]
    shared = Index({one.package, two.package})
    inside, committed = threading.Event(), threading.Event()
    counted = index._counted

    def hold_up(old: Tally, names: int) -> Tally:
        if threading.current_thread() is slow and not inside.is_set():
            # What is read first must be what the other one changes.
            shared.files.get()
            inside.set()
            assert committed.wait(LIMIT)
        return counted(old, names)

    monkeypatch.setattr(index, "_counted", hold_up)
    runs: list[int] = []
    slow = threading.Thread(target=lambda: runs.append(shared.add(one, Counter(a=1))))
    slow.start()
    assert inside.wait(LIMIT)
    assert shared.add(two, Counter(a=2)) == 1
    committed.set()
    slow.join(LIMIT)
    assert runs == [2]
    found, _ = shared.snapshot()
    assert found.counts() == {"a": 3}
    assert found.complaints() == []


def test_audit_complains_of_each_total():
    right = Snapshot([{"a": 2}, {"b": 1}], {"p": Tally(1, 3)}, 3, 1, (3, "p"))
    assert right.complaints() == []
    for wrong in (
        right._replace(buckets=[{"a": 2}]),
        right._replace(packages={"p": Tally(1, 2)}),
        right._replace(files=2),
    ):
        assert len(wrong.complaints()) == 1, wrong
    assert len(right._replace(names=4).complaints()) == 2


def test_a_lost_name_is_found(folder, rich, monkeypatch, capsys):
    merged = index._merged
    monkeypatch.setattr(
        index, "_merged", lambda old, new: merged(old, new | dict.fromkeys(new, 1))
    )
    assert run.demo(corpus.find_sources(folder), 2) == 1
    out = capsys.readouterr().out
    assert "WRONG: the buckets hold" in out
    assert "WRONG: the count of each name" in out
    assert [line for line in out.splitlines() if "NO" in line and "Equal" in line]


def test_unreadable_files_are_named_and_counted(folder, rich, capsys):
    bad = {
        "bad_bytes.py": b"# \xff\xfe\n",
        "bad_coding.py": b"# coding: nothing\n",
        "bad_end.py": b"x = (1,\n",
        "bad_indent.py": b"if x:\n        y\n    z\n",
        "bad_null.py": b"x = 1\n\0\n",
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    (folder / "bad_link.py").symlink_to(folder / "nowhere")
    sources = corpus.find_sources(folder)
    assert len(sources) == 66
    assert run.demo(sources, 2) == 0
    out = capsys.readouterr().out.replace("\n", "")
    for name in ("bad_bytes", "bad_coding", "bad_end", "bad_indent", "bad_link"):
        assert f"{name}.py: " in out, name


def test_an_error_in_a_thread_is_not_swallowed(folder, monkeypatch):
    def broken(path: Path) -> Counter:
        raise ZeroDivisionError

    monkeypatch.setattr("atomos._demo.threads.names_in", broken)
    with pytest.raises(ZeroDivisionError):
        run.demo(corpus.find_sources(folder), 3)
    left = [one.name for one in threading.enumerate()]
    assert not [name for name in left if name.startswith(NAME)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "argument --threads: must be a whole number from 1 on"),
        (["--threads", "two"], "argument --threads: must be a whole number from 1 on"),
        (["--limit", "-1"], "argument --limit: must be a whole number from 1 on"),
        (["more"], "unrecognized arguments: more"),
    ],
)
def test_bad_options(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        run.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_no_files_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(corpus, "standard_library", lambda: tmp_path)
    assert run.main([]) == 1
    assert f"no Python files in {tmp_path}" in capsys.readouterr().out


def test_packages_are_added(folder, monkeypatch, tmp_path_factory, capsys):
    other = tmp_path_factory.mktemp("installed")
    (other / "more.py").write_text("x = 1")
    monkeypatch.setattr(corpus, "standard_library", lambda: folder)
    monkeypatch.setattr(corpus, "installed", lambda: [other])
    assert run.main([]) == 0
    assert "60 files" in capsys.readouterr().out
    assert run.main(["--packages"]) == 0
    assert "61 files" in capsys.readouterr().out


def test_installed_packages_are_found_even_below_site_packages():
    folders = corpus.installed()
    assert folders == list(dict.fromkeys(folders))
    assert all(folder.is_absolute() for folder in folders)


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "atomos"],
        ["-c", WITHOUT_RICH + "runpy.run_module('atomos', run_name='__main__')"],
    ],
    ids=["rich", "plain"],
)
def test_as_a_command(command):
    status, out, err = finish(start(*command, "--limit", "40"))
    assert (status, err) == (0, "")
    assert out.startswith("40 files, ")
    assert "Equal to the count by one thread" in out


def test_plain_terminal_with_few_characters(folder):
    """A name that the terminal cannot show does not end the demo."""
    (folder / "ä_bad.py").write_bytes(b"x = (")
    code = (
        WITHOUT_RICH + "import pathlib; from atomos._demo import corpus, run; "
        f"sys.exit(run.demo(corpus.find_sources(pathlib.Path({str(folder)!r})), 2))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    status, out, err = finish(start("-c", code, env=environment))
    assert (status, err) == (0, "")
    assert r"\xe4_bad.py" in out


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGINT for a child")
def test_interrupt_ends_it_cleanly():
    process = start("-c", HELD)
    assert process.stdout is not None
    for line in process.stdout:
        if "at work" in line:
            break
    process.send_signal(signal.SIGINT)
    status, out, err = finish(process)
    assert (status, err) == (130, "")
    assert "Interrupted: 2 of " in out
