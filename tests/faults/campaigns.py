"""All campaigns, in the order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults import asynchronous, ended_threads, forks

if TYPE_CHECKING:
    from faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    asynchronous.CAMPAIGN,
    forks.CAMPAIGN,
    ended_threads.CAMPAIGN,
)
