"""The campaigns at full load, and the table of what they have shown."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic, time

from benchmarks.machine import describe
from faults import table
from faults.campaign import Campaign, Figure, Load, failed
from faults.campaigns import CAMPAIGNS

MINUTES = 10.0
#: Seconds from one line of progress to the next.
PAUSE = 5.0

Results = list[table.Result]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Make faults under load, and count what they leave behind. "
        "The exit status is 1 if a figure does not hold.",
    )
    add = parser.add_argument
    minutes = f"how long to go on (default: {MINUTES:g}); each load is made in any case"
    add("--minutes", type=float, default=MINUTES, metavar="N", help=minutes)
    add("--only", metavar="NAME", default="", help="campaigns whose name has NAME")
    add("--json", metavar="FILE", type=Path, help="write the figures to FILE, too")
    add("--seed", type=int, default=int(time()), metavar="N", help="for what is random")
    add("--list", action="store_true", help="list the campaigns")
    return parser


def soak(campaigns: Sequence[Campaign], minutes: float, seed: int) -> Results:
    """Run `campaigns`; what is left of the time is split evenly at each one."""
    end, results = monotonic() + 60 * minutes, []
    for n, campaign in enumerate(campaigns):
        begun = monotonic()
        seconds = max(0.0, (end - begun) / (len(campaigns) - n))
        _say(f"{campaign.name}: {campaign.what}, {campaign.many:,} at least")
        load = Load(campaign.many, seconds, seed=seed, say=_Progress())
        results.append((campaign, *_run(campaign, load)))
    return results


def _run(campaign: Campaign, load: Load) -> tuple[float, list[Figure]]:
    try:
        figures = campaign.run(load)
    except Exception as error:
        figures = [failed(error)]
    for figure in figures:
        if not figure.holds:
            _say(f"    DOES NOT HOLD: {figure}")
    return monotonic() - load.begun, figures


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


class _Progress:
    """Prints what a campaign says, but not all of it."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, words: str) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + PAUSE
            _say(f"    {words}")


def _write(file: Path, machine: dict[str, str], results: Results) -> None:
    told = {
        campaign.name: {
            "what": campaign.what,
            "seconds": round(seconds, 1),
            "figures": [asdict(figure) for figure in figures],
        }
        for campaign, seconds, figures in results
    }
    text = json.dumps({"machine": machine, "campaigns": told}, indent=2)
    file.write_text(text + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaigns that were asked for; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    campaigns = [one for one in CAMPAIGNS if options.only in one.name]
    if not campaigns:
        parser.error(f"--only: no campaign has {options.only!r} in it; see --list")
    if options.list:
        for one in campaigns:
            print(f"{one.name:14} {one.what}, {one.many:,} at least")
        return 0
    machine, begun = describe(), monotonic()
    results = soak(campaigns, options.minutes, options.seed)
    took = (monotonic() - begun) / 60
    print(", ".join(f"{key}: {value}" for key, value in machine.items()))
    table.show(results)
    longer = ": the least loads take longer" if took > options.minutes + 0.5 else ""
    asked = f"{options.minutes:g} minutes were asked for{longer}"
    print(f"It took {took:.1f} minutes; {asked}. Seed: {options.seed}.")
    if options.json:
        _write(options.json, machine, results)
    return 0 if all(one.holds for _, _, figures in results for one in figures) else 1
