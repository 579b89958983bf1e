"""All campaigns, in the order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults import ended_threads

if TYPE_CHECKING:
    from faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (ended_threads.CAMPAIGN,)
