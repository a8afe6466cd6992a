"""What is looked after beside the requests: each chore by itself, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from trimtab.core.accounts import ROOT, Budget, Period
from trimtab.core.errors import LedgerError
from trimtab.core.units import NanoUSD
from trimtab.engine.access import AccountBook, digest, rules
from trimtab.engine.assembly.housekeeping import Housekeeper
from trimtab.engine.clock import new_id
from trimtab.engine.limits import Alerts, Purse
from trimtab.lab.clock import ManualClock, virtual
from trimtab.lab.memory import MemoryStore
from trimtab.store import Filter, Totals
from trimtab.telemetry import Metrics

BUDGET = Budget(id="all", of=f"place:{ROOT}", period=Period.DAY, limit=NanoUSD(1))


class Troubled(MemoryStore):
    """``failing`` is raised where the accounts are asked for; the totals wait for ``scanned``."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock.time_ns)
        self.failing: Exception | None = None
        self.scanned = asyncio.Event()
        self.asked = self.scans = self.expiries = 0

    async def revision(self) -> int:
        self.asked += 1
        if self.failing is not None:
            raise self.failing
        return await super().revision()

    async def totals(self, where: Filter) -> Totals:
        self.scans += 1
        await self.scanned.wait()
        return await super().totals(where)

    async def expire_documents(self, now_ns: int) -> int:
        self.expiries += 1
        return await super().expire_documents(now_ns)


class Kept:
    """A gateway's accounts and budgets, looked after; ``other`` is the book of another process."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.store = Troubled(clock)
        self.book, self.other = (AccountBook(self.store, clock, new_id) for _ in range(2))
        self.purse = Purse(self.store, clock)
        self.keeper = Housekeeper(
            self.book, self.purse, self.store, clock, (BUDGET,), Alerts(self.store, self.purse, Metrics(), clock)
        )

    async def place(self, path: str) -> None:
        """Made by the other process."""
        failing, self.store.failing = self.store.failing, None
        key = await self.other.ensure_bootstrap(digest("tt-key"), "up")
        actor = self.other.actor(f"key:{key.id}")
        await self.other.apply(actor, lambda directory, actor: rules.create_place(directory, actor, path))
        self.store.failing = failing

    def sees(self, path: str) -> bool:
        return path in self.book.directory.standings


@asynccontextmanager
async def keeping() -> AsyncIterator[Kept]:
    kept = Kept()
    task = asyncio.create_task(kept.keeper.run())
    try:
        yield kept
        assert not task.done(), "it never ends by itself"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@virtual
async def test_a_budget_that_takes_long_to_open_holds_up_neither_accounts_nor_documents() -> None:
    async with keeping() as kept:
        await kept.place("acme")
        await asyncio.sleep(2.5)
        assert kept.sees("acme")
        assert (kept.store.scans, kept.store.expiries) == (1, 1), "the scan is still under way"
        kept.store.scanned.set()
        await asyncio.sleep(2.5)
        await kept.place("zeta")
        await asyncio.sleep(2.5)
        assert kept.sees("zeta")
        assert kept.store.scans == 1, "the log is read for new budgets alone, not with every change of the accounts"
        await asyncio.sleep(600)
        assert kept.store.expiries == 2


@pytest.mark.parametrize(
    ("failure", "level", "event"),
    [
        (LedgerError("The event log is locked."), logging.WARNING, "housekeeping failed"),
        (ZeroDivisionError("a defect"), logging.ERROR, "housekeeping is broken"),
    ],
)
@virtual
async def test_what_fails_is_told_and_tried_again_less_and_less_often(
    caplog: pytest.LogCaptureFixture, failure: Exception, level: int, event: str
) -> None:
    async with keeping() as kept:
        kept.store.scanned.set()
        await asyncio.sleep(0.5)
        kept.store.failing = failure
        await kept.place("acme")
        asked = kept.store.asked
        await asyncio.sleep(60)
        assert 6 <= kept.store.asked - asked <= 10
        told = [record for record in caplog.records if record.getMessage() == event]
        assert {record.levelno for record in told} == {level}
        assert {getattr(record, "facts", {}).get("chore") for record in told} == {"accounts"}
        assert not kept.sees("acme")
        kept.store.failing = None
        await asyncio.sleep(11)
        assert kept.sees("acme")
        asked = kept.store.asked
        await asyncio.sleep(10)
        assert kept.store.asked - asked >= 9, "every second again"
