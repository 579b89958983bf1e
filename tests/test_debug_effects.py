"""Files, sockets and processes in what may run again are reported, and nothing else."""

from __future__ import annotations

import linecache
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import traceback
import warnings
from importlib import invalidate_caches

import pytest
from helpers import FORMS, RERUN_FORMS, elsewhere, transact

from atomos import (
    Atom,
    Ref,
    atomically,
    current_transaction,
    debug,
    dosync,
    outside,
)
from atomos.agent import Agent
from atomos.debug import EffectWarning

OPTIONS = {"read_only": True}


@pytest.fixture(scope="module", autouse=True)
def _reporting():
    debug.enable(mutation=False, skew=False)
    yield
    debug.disable()


def line() -> int:
    return sys._getframe(1).f_lineno


def heard(fn):
    """Return what is reported while `fn` runs."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fn()
    assert all(one.category is EffectWarning for one in found), found
    return found


def open_null():
    open(os.devnull, "rb").close()


def in_transaction(fn):
    return lambda: atomically(fn)


@pytest.mark.parametrize("form", RERUN_FORMS)
def test_a_file_is_reported_with_the_line(form):
    def body():
        open_null()

    (warning,) = heard(lambda: transact(form, body))
    assert warning.filename == __file__
    assert warning.lineno == open_null.__code__.co_firstlineno + 1
    message = str(warning.message)
    assert message.startswith(f"open {os.devnull!r} in ")
    assert "after_commit()" in message


def test_the_transaction_is_named():
    @dosync(name="the report", read_only=True)
    def report():
        open_null()

    (warning,) = heard(report)
    assert "in the report, which may run again" in str(warning.message)


def test_nothing_is_reported_of_what_runs_once():
    def body():
        open_null()

    assert heard(lambda: transact("block", body)) == []
    assert heard(body) == []

    def nested():
        with dosync():
            atomically(body)

    assert heard(nested) == []

    @dosync
    def hooked():
        current_transaction().after_commit(body)
        outside(body)
        elsewhere(body)

    assert heard(hooked) == []
    assert heard(lambda: Agent(0).send(lambda _: body()).wait()) == []


def test_a_block_in_a_function_that_may_run_again_may_run_again():
    def nested():
        with dosync():
            open_null()

    assert len(heard(in_transaction(nested))) == 1


def test_a_function_given_to_commute():
    ref = Ref(0)

    def add(n):
        open_null()
        return n + 1

    (warning,) = heard(lambda: atomically(ref.commute, add))
    assert "in a function given to commute()" in str(warning.message)
    assert ref.deref() == 1


def test_each_attempt_is_heard_of():
    ref, runs = Ref(0), []

    def body():
        runs.append(1)
        ref.deref()
        open_null()
        if len(runs) == 1:
            elsewhere(atomically, ref.set, 1)
        ref.set(2)

    assert len(heard(in_transaction(body))) == len(runs) == 2


def sockets(path):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


def connected(path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("127.0.0.1", 9))


def database(path):
    sqlite3.connect(":memory:").close()


EFFECTS = {
    "write": (lambda path: path.write_text("x"), {"open"}),
    "os.open": (lambda path: os.close(os.open(os.devnull, 0)), {"open"}),
    "mkdir": (lambda path: path.with_name("new").mkdir(), {"os.mkdir"}),
    "rename": (lambda path: path.rename(path.with_name("to")), {"os.rename"}),
    "remove": (lambda path: path.unlink(), {"os.remove"}),
    "tree": (lambda path: shutil.rmtree(path.parent), {"os.remove", "os.rmdir"}),
    "copy": (lambda path: shutil.copyfile(path, str(path) + "2"), {"open"}),
    "bind": (sockets, {"socket.__new__", "socket.bind"}),
    "connect": (connected, {"socket.__new__", "socket.connect"}),
    "sqlite": (database, {"sqlite3.connect"}),
    "system": (lambda path: os.system("exit 0"), {"os.system"}),
    "process": (
        lambda path: subprocess.run([sys.executable, "-c", ""], check=True),
        {"subprocess.Popen"},
    ),
}


@pytest.mark.parametrize("effect", EFFECTS)
def test_what_is_reported(effect, tmp_path):
    fn, events = EFFECTS[effect]
    path = tmp_path / "inner" / "file"
    path.parent.mkdir()
    path.write_text("x")
    found = heard(in_transaction(lambda: fn(path)))
    assert events <= {str(one.message).split()[0] for one in found}
    assert {one.filename for one in found} == {__file__}


def imports(path):
    (path / "imported_inside.py").write_text("x = 1\n")
    sys.path.insert(0, str(path))
    invalidate_caches()
    try:
        yield
        import imported_inside

        assert imported_inside.x == 1
        yield
    finally:
        sys.path.remove(str(path))
        del sys.modules["imported_inside"]


def shows_lines(path):
    linecache.clearcache()
    yield
    linecache.getline(__file__, 1)
    try:
        raise KeyError
    except KeyError:
        assert "KeyError" in traceback.format_exc()
    yield


def logs(path):
    handler = logging.FileHandler(path / "log", delay=True)
    logger = logging.getLogger("tests.debug.effects")
    logger.propagate = False
    logger.addHandler(handler)
    yield
    logger.warning("something")
    yield
    logger.removeHandler(handler)
    handler.close()


def uses_what_is_open(path):
    with open(path / "file", "w+") as file:
        yield
        file.write("x")
        os.fdopen(os.dup(file.fileno())).close()
        yield


@pytest.mark.parametrize("harmless", [imports, shows_lines, logs, uses_what_is_open])
def test_what_is_not_reported(harmless, tmp_path):
    steps = harmless(tmp_path)
    next(steps)
    assert heard(in_transaction(lambda: next(steps))) == []
    list(steps)


def test_a_warning_made_an_error_keeps_the_effect_from_happening(tmp_path):
    ref, path = Ref(0), tmp_path / "new"

    def body():
        ref.set(1)
        path.touch()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(EffectWarning):
            atomically(body)
    assert (ref.deref(), path.exists()) == (0, False)


def test_what_a_report_opens_itself_is_not_reported(monkeypatch):
    told = []

    def show(message, *args):
        told.append(str(message))
        open_null()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        atomically(open_null)
    assert len(told) == 1


def test_a_line_is_shown_once_by_default():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(3):
            atomically(open_null)
    assert len(found) == 1


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_reported_when_it_is_off(form):
    debug.disable()
    try:
        assert heard(lambda: transact(form, open_null)) == []
    finally:
        debug.enable(mutation=False, skew=False)


def test_one_hook_is_added_however_often_it_is_enabled(monkeypatch):
    monkeypatch.setattr(sys, "addaudithook", lambda hook: pytest.fail("another one"))
    debug.enable(mutation=False, skew=False)


def test_a_wait_is_a_transaction_too():
    assert len(heard(lambda: Atom(1).wait_for(lambda n: open_null() is None))) == 1
