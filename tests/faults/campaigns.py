"""All campaigns, in the order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults import asynchronous, ended_threads, every_step, forks, reentry

if TYPE_CHECKING:
    from faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    asynchronous.CAMPAIGN,
    every_step.CAMPAIGN,
    forks.CAMPAIGN,
    ended_threads.CAMPAIGN,
    reentry.CAMPAIGN,
)
