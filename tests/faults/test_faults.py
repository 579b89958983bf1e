"""A little of each campaign, and that each one can fail."""

from __future__ import annotations

import json

import pytest
from helpers import elsewhere

from faults import soak, table
from faults.apart import run_apart
from faults.campaign import Campaign, Load, at_least, none
from faults.campaigns import CAMPAIGNS

#: Seconds that a broken engine may stand still.
PATIENCE = 1.0
#: So often at most the load is doubled until a break shows.
MORE = 8
BREAKS = [
    pytest.param(one, broken, id=f"{one.name}-{broken.__name__}")
    for one in CAMPAIGNS
    for broken in one.breaks
]


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda one: one.name)
def test_a_little_of_it(campaign):
    # In a thread of its own, whose record ends with it.
    figures = elsewhere(campaign.run, Load(campaign.few, patience=20.0, slack=10.0))
    assert figures
    assert [str(one) for one in figures if not one.holds] == []


@pytest.mark.parametrize(("campaign", "broken"), BREAKS)
def test_it_shows_that_the_engine_is_broken(campaign, broken):
    """What shows a break only now and then is given more to do, until it does."""
    for times in range(MORE):
        load = Load(campaign.few << times, patience=PATIENCE, seed=times)
        figures = run_apart(campaign.run, load, broken)
        if not all(one.holds for one in figures):
            return
    pytest.fail("it does not show")


def test_each_campaign_can_fail():
    assert [one.name for one in CAMPAIGNS if not one.breaks] == []
    assert len({one.name for one in CAMPAIGNS}) == len(CAMPAIGNS)


def good(load):
    load.say("half of it")
    return [at_least("made", load.amount, 3)]


def bad(load):
    return [none("left", load.amount)]


def ugly(load):
    raise ZeroDivisionError("oh dear")


def campaigns(*runs):
    return tuple(Campaign(run.__name__, "things", run, 1, 7, ()) for run in runs)


@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize(("runs", "status"), [((good,), 0), ((good, bad, ugly), 1)])
def test_the_table_and_the_status(runs, status, rich, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(soak, "CAMPAIGNS", campaigns(*runs))
    monkeypatch.setattr(table, "HAVE_RICH", rich and table.HAVE_RICH)
    file = tmp_path / "figures.json"
    assert soak.main(["--minutes", "0", "--json", str(file)]) == status
    out, err = capsys.readouterr()
    assert "half of it" in err
    assert ("NO" in out) == ("DOES NOT HOLD" in err) == (status == 1)
    told = json.loads(file.read_text(encoding="utf-8"))["campaigns"]
    assert list(told) == [run.__name__ for run in runs]
    assert told["good"]["figures"][0]["value"] == 7


def test_what_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr(soak, "CAMPAIGNS", campaigns(good, bad))
    with pytest.raises(SystemExit):
        soak.main(["--only", "bod"])
    assert soak.main(["--only", "oo", "--list"]) == 0
    assert "bad" not in capsys.readouterr().out


def test_a_load_ends_when_both_are_done():
    assert Load(3).more(2)
    assert not Load(3).more(3)
    assert Load(3, seconds=1000.0).more(3)


def hang(load):
    load.say("now")
    while True:
        pass


def shout(load):
    import sys

    print("help", file=sys.stderr)
    raise OSError("no")


def test_what_happens_apart_comes_back():
    told = []
    assert run_apart(good, Load(3, say=told.append))[0] == at_least("made", 3, 3)
    assert told == ["half of it"]
    held = {one.what: (one.value, one.holds) for one in run_apart(shout, Load(1))}
    assert held["the campaign itself"] == ("OSError: no", False)
    assert held["printed on stderr"] == ("help", False)


def test_who_stands_still_apart_is_ended():
    figures = run_apart(hang, Load(1, patience=0.2))
    assert [one.holds for one in figures] == [False, False]
    assert "in hang" in str(figures[-1].value)
