"""The event log: rows of requests and of changes, only ever added, and what they amount to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from trimtab.core.record import Record, Row
from trimtab.store.base.usage import Dimension, Totals, UsageRow


class Filter(Struct, frozen=True, kw_only=True):
    """Which records; ``None`` means any. A record's time is its intent's, nanoseconds since the epoch; ``until_ns`` is exclusive.

    ``place`` takes in everything below it. ``deployment`` is one that the request tried, as its outcome tells; an empty
    one chooses the requests of which no attempt is known.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    key_id: str | None = None
    place: str | None = None
    owner: str | None = None
    tag: str | None = None
    deployment: str | None = None


class VerifyReport(Struct, frozen=True):
    """``first_bad`` is (writer, sequence number) of the first row that does not continue its writer's chain, or that is counted wrongly.

    ``reason`` is empty when all is well. ``first_bad`` is ``None`` where what is wrong is that a row is not there.
    """

    rows: int
    writers: int
    first_bad: tuple[str, int] | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        return not self.reason


class Statistics(Struct, frozen=True, kw_only=True):
    """What became of the rows handed over in this process: kept (``rows``, in ``groups``), ``failed``, or still ``queued``.

    Holds, settlements and documents are no rows; they too come in groups, may be queued, and fail where the file does.
    ``failing``: the last group failed, and not long ago. It passes by itself after a while, since only a new row can show that the disk
    is well again.
    """

    rows: int = 0
    groups: int = 0
    failed: int = 0
    queued: int = 0
    failing: bool = False


class Ledger(Protocol):
    """The event log. Rows are only ever added."""

    def append(self, row: Row) -> asyncio.Future[None]:
        """Hand over a row at once, without waiting; awaiting the result waits for its commit.

        Rows of one process are committed in the order in which they were handed over, in groups. Appending the same row twice keeps
        one. An outcome needs its intent, a correction its outcome; a change goes through ``Accounts.change``. Awaiting raises
        :class:`LedgerError` when the row cannot be kept; a result that nobody awaits is silent and counted in ``statistics``.
        """

    async def get(self, id: str) -> Record | None: ...

    async def last(self) -> Record | None:
        """The record with the greatest id; ids made by the engine grow with time."""

    def scan(self, where: Filter, *, after: str = "", limit: int = 1000) -> AsyncIterator[Record]:
        """At most ``limit`` records in order of id, from the first id greater than ``after``."""

    async def totals(self, where: Filter) -> Totals: ...

    async def usage(self, where: Filter, by: tuple[Dimension, ...]) -> tuple[UsageRow, ...]:
        """The totals, told apart; in order of the keys, and only what there is. Without a dimension one row, or none.

        Raises :class:`trimtab.core.errors.ReportTooLarge` where a backend that others wait for would be busy with it for too long.
        """

    async def unsettled(self, before_ns: int) -> tuple[str, ...]:
        """The ids of intents older than ``before_ns`` without an outcome, in order: under way, or left by a crash."""

    async def verify(self) -> VerifyReport:
        """Re-derive every digest of every writer's chain, and what is derived from the rows.

        Finds rows that were edited, removed from between others, put in or moved. Rows cut off the end of a chain, or a chain rewritten
        from some row on, are not found by the chain alone: that needs a copy of the last digest outside. Budgets and documents are no
        part of the log.
        """

    def statistics(self) -> Statistics: ...
