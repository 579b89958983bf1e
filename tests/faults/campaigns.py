"""All campaigns, in the order of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults import (
    asynchronous,
    contexts,
    ended_threads,
    every_step,
    forks,
    long_reader,
    long_writer,
    many_threads,
    reentry,
    subinterpreters,
    user_code,
)

if TYPE_CHECKING:
    from faults.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    asynchronous.CAMPAIGN,
    every_step.CAMPAIGN,
    forks.CAMPAIGN,
    ended_threads.CAMPAIGN,
    reentry.CAMPAIGN,
    user_code.CAMPAIGN,
    contexts.CAMPAIGN,
    long_reader.CAMPAIGN,
    long_writer.CAMPAIGN,
    many_threads.CAMPAIGN,
    subinterpreters.CAMPAIGN,
)
