"""The transfer between two of 1,000 refs in one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.banks import atomos_bank, draw, in_one_thread, locked_bank, stm_bank
from benchmarks.measure import in_ns, ratios, take_turns
from benchmarks.result import Figure, Row, Work, at_least, at_most

if TYPE_CHECKING:
    from benchmarks.measure import Settings

SIZE = 1_000


def measure_transfer(settings: Settings) -> dict[str, Figure]:
    """Compare the transfer with two locks by hand, and with stm."""
    draws = draw(settings.count(5_000), range(SIZE))
    banks = {"atomos": atomos_bank(SIZE), "locks": locked_bank(SIZE)}
    reason = "peer not wanted"
    if settings.use_peers:
        try:
            banks["stm"] = stm_bank(SIZE, peers.stm())
        except peers.PeerError as error:
            reason = f"peer not available: {error}"
    figures = take_turns(
        {name: in_one_thread(bank, draws) for name, bank in banks.items()},
        settings.rounds,
    )
    ours, words = figures["atomos"], in_ns(figures)
    against_stm = Figure(missing=reason)
    if "stm" in figures:
        against_stm = Figure(ratios(figures["stm"], ours), words)
    return {
        "transfer-locks": Figure(ratios(ours, figures["locks"]), words),
        "transfer-stm": against_stm,
    }


WORKS = (
    Work(
        (
            Row("transfer-locks", "transfer / two locks by hand", at_most(8)),
            Row("transfer-stm", "transfer against the package stm", at_least(2.5)),
        ),
        measure_transfer,
    ),
)
