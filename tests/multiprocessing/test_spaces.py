"""Named spaces: what opening them promises, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from weakref import WeakValueDictionary

import pytest
from helpers import Attempts, done_or_blocked, elsewhere, start
from interrupts import preempted_at_each_opcode, within

from atomos import dosync, multiprocessing, outside
from atomos.errors import (
    DecodingError,
    EncodingError,
    HistoryLostError,
    NoTransactionError,
    SpaceAccessError,
    SpaceClosedError,
    SpaceCorruptError,
    SpaceError,
    SpaceFullError,
    WouldDeadlockError,
)
from atomos.multiprocessing import _homes
from atomos.multiprocessing._space import Space


@pytest.fixture
def path(place):
    return os.path.join(place, "space")


@pytest.fixture
def reopen(path, kind):
    """Return a function that opens the same space again, as another process would."""
    spaces = []

    def opened(**options):
        for space in spaces:
            space.close()
        spaces.append(multiprocessing.open(path, **{"engine": kind, **options}))
        return spaces[-1]

    yield opened
    for space in spaces:
        space.close()


def test_it_outlives_who_has_it_open(reopen):
    space = reopen()
    space.ref("a", default=1)
    with dosync():
        space.ref("a").set(2)
    space.integer("n").add_and_get(3)
    space = reopen()
    assert space.ref("a", default=7).deref() == 2
    assert space.integer("n").get() == 3


def test_what_has_a_name_is_one_object(space):
    assert space.ref("a", default=1) is space.ref("a", default=2)
    assert space.ref("a").deref() == 1


def test_each_kind(space):
    assert space.ref("ref", default=[1]).deref() == [1]
    assert space.atom("atom", default=1).swap(lambda n: n + 1) == 2
    assert space.integer("integer", default=5).increment_and_get() == 6
    assert space.float("float", default=0.5).add_and_get(1) == 1.5
    assert space.boolean("boolean", default=True).get() is True
    assert space.reference("reference", default=None).get() is None


def test_names(space):
    for wrong in ("", None, 7, "x" * 401, "\N{EURO SIGN}" * 134):
        with pytest.raises(ValueError, match="name must be"):
            space.ref(wrong, default=1)
    assert space.ref("\N{EURO SIGN}" * 133, default=1).deref() == 1


def test_without_a_default(space):
    with pytest.raises(SpaceError, match="no Ref 'a'"):
        space.ref("a")
    with pytest.raises(SpaceError, match="no Ref 'a'"):
        space.ref("a")


def test_of_another_kind(space):
    space.ref("a", default=1)
    with pytest.raises(SpaceError, match=r"'a' in .* is no Atom: it is Ref"):
        space.atom("a", default=1)
    with pytest.raises(TypeError, match="holds int only"):
        space.integer("n", default="x")
    assert space.integer("n").get() == 0


def test_a_default_inside_of_a_transaction(space):
    """Whoever makes a ref sees it at once, and others see it, too."""

    @dosync
    def optimistic():
        return space.ref("a", default=1).alter(lambda v: v + 1)

    assert optimistic() == 2
    with dosync():
        space.ref("b", default=1).alter(lambda v: v + space.ref("a").deref())
    assert (space.ref("a").deref(), space.ref("b").deref()) == (2, 3)


def test_a_default_in_the_middle_of_a_commit_is_refused(space):
    """As a finalizer might ask for one; the engine's own transaction is open then."""
    ref = space.ref("a", default=1)
    told = []

    class Asks:
        def __reduce__(self):
            with pytest.raises(WouldDeadlockError, match="a new name"):
                space.ref("b", default=1)
            told.append(1)
            return int, (5,)

    with dosync():
        ref.set(Asks())
    with dosync():
        ref.deref()
        with pytest.raises(WouldDeadlockError):
            outside(space.ref, "b", default=1)
    assert (told, ref.deref()) == ([1], 5)
    assert space.ref("b", default=2).deref() == 2


def test_settings_are_kept(reopen, kind, path):
    space = reopen(codec="json", durable=True)
    assert repr(space) == (
        f"Space({os.path.realpath(path)!r}, engine={kind!r}, codec='json', "
        "durable=True)"
    )
    space = reopen(engine=None)
    assert (space.settings.codec, space.settings.durable) == ("json", True)
    other = "sqlite" if kind == "lmdb" else "lmdb"
    for options in ({"codec": "pickle"}, {"durable": False}, {"engine": other}):
        with pytest.raises(SpaceError, match="was made with"):
            multiprocessing.open(path, **options)
    for options in ({"codec": "yaml"}, {"engine": "redis"}):
        with pytest.raises(ValueError, match="must be"):
            multiprocessing.open(path, **options)


def test_durable(reopen):
    space = reopen(durable=True)
    for k in range(3):
        assert space.integer("n").increment_and_get() == k + 1


def test_rights(reopen, path):
    space = reopen()
    space.integer("n").increment_and_get()
    space._home.listener.listen()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    for folder, folders, files in os.walk(path):
        for name in folders:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o700
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600


def test_a_closed_space(space):
    ref, n = space.ref("a", default=1), space.integer("n")
    with dosync():
        ref.set(2)
        with pytest.raises(WouldDeadlockError):
            space.close()
    assert ref.deref() == 2

    @dosync
    def closes():
        ref.deref()
        space.close()
        ref.set(3)

    with pytest.raises(SpaceClosedError, match="was closed"):
        closes()
    for call in (
        ref.deref,
        n.get,
        n.increment_and_get,
        lambda: space.ref("b", default=1),
        dosync(ref.deref),
        dosync(lambda: ref.set(1)),
        lambda: n.wait_for(bool),
    ):
        with pytest.raises(SpaceClosedError):
            call()
    space.close()
    assert repr(space).endswith("closed)")
    assert repr(ref) == "Ref(<SpaceClosedError>, name='a')"
    assert repr(n) == "AtomicInteger(<SpaceClosedError>)"


def test_a_value_that_cannot_be_pickled(space):
    ref = space.ref("a", default=1)
    with pytest.raises(EncodingError, match=r"Ref 'a' cannot hold .*lambda"):
        with dosync():
            space.ref("b", default=1).set(5)
            ref.set(lambda: 1)
    with pytest.raises(EncodingError, match="Ref 'new'"):
        space.ref("new", default=lambda: 1)
    assert (ref.deref(), space.ref("b").deref()) == (1, 1)


class Movable:
    """A class that can be pickled as long as it has this name."""


def test_a_class_that_is_gone(reopen, monkeypatch):
    space = reopen()
    ref = space.ref("a", default=None)
    with dosync():
        ref.set(Movable())
    with monkeypatch.context() as patch:
        patch.delattr(sys.modules[__name__], "Movable")
        for call in (ref.deref, dosync(ref.deref)):
            with pytest.raises(DecodingError, match="Ref 'a' cannot be read"):
                call()
    assert type(ref.deref()) is Movable
    with dosync():
        ref.set(1)
    assert ref.deref() == 1


class Touch:
    """What runs code when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (self.file, "w")


def test_json_runs_nothing(reopen, tmp_path):
    import pickle

    space = reopen(codec="json")
    ref = space.ref("a", default={"b": [1, 2.5, None, True, "x"]})
    assert ref.deref() == {"b": [1, 2.5, None, True, "x"]}
    for wrong in ((1, 2), {1: 2}, b"x", {"a": {1}}, float("nan"), Movable()):
        with pytest.raises(EncodingError, match="codec='json'"):
            with dosync():
                ref.set(wrong)
    evil = pickle.dumps(Touch(str(tmp_path / "evil")))
    space._home.put_new({b"cnevil": evil, b"ckevil": b"Ref"})
    with pytest.raises(DecodingError, match="Ref 'evil'"):
        space.ref("evil").deref()
    assert not (tmp_path / "evil").exists()


def test_a_path_that_is_something_else(tmp_path, kind):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    for name in ("file", "folder"):
        with pytest.raises(SpaceCorruptError, match=name):
            multiprocessing.open(tmp_path / name, engine=kind)
    (tmp_path / "empty").mkdir()
    multiprocessing.open(tmp_path / "empty", engine=kind).close()
    assert (tmp_path / "folder" / "file").read_text() == "x"


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "{", '{"format": 99}', '{"format": 1}']
)
def test_damaged_settings(tmp_path, text):
    (tmp_path / "space.json").write_text(text)
    with pytest.raises(SpaceCorruptError, match=r"space\.json"):
        multiprocessing.open(tmp_path)
    assert (tmp_path / "space.json").read_text() == text


def test_settings_of_another_version(path, reopen):
    reopen().close()
    file = os.path.join(path, "space.json")
    with open(file) as source:
        settings = json.load(source)
    settings["format"] = 2
    with open(file, "w") as target:
        json.dump(settings, target)
    with pytest.raises(SpaceCorruptError, match="another version"):
        multiprocessing.open(path)


def test_a_path_where_no_folder_can_be(tmp_path, kind):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SpaceError, match="below a file"):
        multiprocessing.open(tmp_path / "file" / "space", engine=kind)
    if os.path.isdir("/proc/self"):
        with pytest.raises(SpaceError, match="/proc/self/space"):
            multiprocessing.open("/proc/self/space", engine=kind)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, SpaceFullError),
        (errno.EROFS, SpaceAccessError),
        (errno.EACCES, SpaceAccessError),
        (errno.EIO, SpaceError),
    ],
)
def test_a_disk_on_which_no_folder_can_be(tmp_path, monkeypatch, number, error):
    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "makedirs", fails)
    with pytest.raises(error, match=str(tmp_path)) as caught:
        multiprocessing.open(tmp_path / "space")
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_path_without_rights(tmp_path, kind):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(SpaceAccessError, match="no right"):
        multiprocessing.open(closed / "space", engine=kind)
    locked = tmp_path / "locked"
    multiprocessing.open(locked, engine=kind).close()
    locked.chmod(0)
    with pytest.raises(SpaceAccessError, match="no right"):
        multiprocessing.open(locked, engine=kind)
    locked.chmod(0o700)


def test_ids(space):
    with pytest.raises(NoTransactionError):
        multiprocessing.commit_id()
    with pytest.raises(NoTransactionError):
        dosync(multiprocessing.commit_id)()
    for wrong in ("", "xyz", 7, None, "00"):
        with pytest.raises(ValueError, match="commit_id"):
            space.committed(wrong)
    ref = space.ref("a", default=0)
    ids = []

    def body(fail):
        ref.alter(lambda v: v + 1)
        ids.append(multiprocessing.commit_id())
        assert multiprocessing.commit_id() == ids[-1]
        if fail:
            raise KeyError

    for fail in (False, True):
        try:
            dosync(body)(fail)
        except KeyError:
            pass
    assert [space.committed(id) for id in ids] == [True, False]


def test_a_full_space_can_be_enlarged(reopen):
    space = reopen(size=1 << 20)
    ref = space.ref("a", default=b"")
    with pytest.raises(SpaceFullError, match=r"larger size|free space"):
        with dosync():
            ref.set(os.urandom(1 << 21))
    assert ref.deref() == b""
    with dosync():
        ref.set(b"small")
    reopen(size=1 << 23)
    space = reopen()
    assert space.settings.size == 1 << 23
    ref = space.ref("a")
    with dosync():
        ref.set(os.urandom(1 << 21))
    assert len(ref.deref()) == 1 << 21
    for wrong in (0, -1, 1.5, "x", True):
        with pytest.raises(ValueError, match="size must be"):
            reopen(size=wrong)


def test_the_id_of_one_that_wrote_nothing(space):
    ref = space.ref("ref", default=0)

    @dosync
    def body():
        ref.deref()
        return multiprocessing.commit_id()

    with dosync():
        ref.deref()
        id = multiprocessing.commit_id()
    assert space.committed(id)
    assert space.committed(body())


def test_a_close_that_was_cut_short_does_not_keep_it_closed(space, monkeypatch):
    """So does not one that is under way in another thread."""
    ref = space.ref("ref", default=1)

    def cut_short(home):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(space._home.bells), "ring", cut_short)
        space.close()
    with pytest.raises(SpaceClosedError):
        ref.deref()
    with multiprocessing.open(space.path) as again:
        assert again.ref("ref").deref() == 1
    space._home.engine.close()


def test_one_that_two_threads_close_at_once_and_a_third_one_opens(path, kind):
    """It is closed once, so who has opened it again keeps it."""

    def scenario():
        space = multiprocessing.open(path, engine=kind)

        def close_and_open():
            space.close()
            return multiprocessing.open(path, engine=kind)

        def check(_, again):
            try:
                assert again.integer("n").increment_and_get() > 0
            finally:
                again.close()

        return space.close, close_and_open, check

    moments = within(Space.close, _homes.detach)
    assert preempted_at_each_opcode(scenario, moments) > 20


def test_what_was_made_and_changed_after_the_snapshot(space):
    """It is not seen with values of different moments."""
    a = space.ref("a", default=0)
    attempts = Attempts()

    def make_and_change(name):
        dosync(space.ref(name, default=0).set)(1)

    @dosync(read_only=True)
    def body():
        attempts.begin()
        a.deref()
        attempts.once(make_and_change, "x")
        return space.ref("x").deref(), space.ref("y", default=2).deref()

    assert (body(), attempts.count) == ((1, 2), 2)
    with dosync(read_only=True):
        a.deref()
        elsewhere(make_and_change, "z")
        with pytest.raises(HistoryLostError, match="Ref 'z' was made and changed"):
            space.ref("z").deref()
    assert space.ref("z").deref() == 1


def test_threads_that_get_the_same_name_get_the_same_object(space):
    """Also if one of them comes while the other one is about to enter it."""
    space.ref("a", default=0)
    others = []

    class Cells(WeakValueDictionary):
        def setdefault(self, key, default):
            found = self.get(key)
            if not others:
                others.append(start(space.ref, "a"))
                done_or_blocked(others[0])
            if found is None:
                found = self[key] = default
            return found

    space._home.cells = Cells()
    assert space.ref("a") is others[0].join()
