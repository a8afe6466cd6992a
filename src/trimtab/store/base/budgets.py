"""Money held before a request and counted after it, exact over any number of processes.

What a crash costs. A hold outlives its process until it expires, and counts until then: too much is held for a while, never too little.
After that the hold is gone, and what the dead process's requests really cost is in no budget, just as it is in no outcome: at most what
was held for requests under way. ``settle`` is handed over behind the outcome, so both are nearly always in one transaction; where the
process dies between two, the outcome's cost is in the log and not in the budget. With ``sync = "normal"`` a loss of power takes the last
groups from log and budgets alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct


class HoldLine(Struct, frozen=True):
    """``amount`` nano-USD on one budget in the period that starts at ``period_ns``. Without a ``limit`` it never refuses."""

    budget: str
    period_ns: int
    amount: int
    limit: int | None = None


class SpendLine(Struct, frozen=True):
    budget: str
    period_ns: int
    amount: int


class Spending(Struct, frozen=True):
    """Nano-USD. ``held`` is what live holds amount to."""

    spent: int = 0
    held: int = 0


class Budgets(Protocol):
    def reserve(self, id: str, lines: tuple[HoldLine, ...], *, expires_ns: int) -> asyncio.Future[tuple[str, ...]]:
        """Hold all amounts under ``id``, or none. Several calls with one id add up.

        Gives ``()`` when they are held, else the budgets of which spent, held and the amount together exceed the limit. An amount of 0
        is always held. From ``expires_ns`` on the hold counts no more.
        """

    def settle(self, id: str, spent: tuple[SpendLine, ...]) -> asyncio.Future[None]:
        """Drop all holds under ``id`` and add what was spent, once for each id: a second call changes nothing."""

    async def spending(self, wanted: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], Spending]:
        """Each wanted pair of budget and period's start, nothing spent where nothing is known."""

    async def claim_alert(self, budget: str, period_ns: int, share: float) -> bool:
        """True for the one caller, over all processes, that is to send this alert."""
