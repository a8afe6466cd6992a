"""The SQLite store as its users see it: WAL, one writer thread for each process, any number of processes.

Writes go through ``writer``; each question is asked on a read-only connection of its own, in a worker thread, so the event loop never
waits for the disk and no reader for another. Reports have worker threads of their own. All SQL is constant text; values travel as
parameters.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from trimtab.core.accounts import Change, Entity
from trimtab.core.errors import LedgerError
from trimtab.core.record import Intent, Record, Row
from trimtab.store.base import (
    Dimension,
    Document,
    Filter,
    HoldLine,
    Spending,
    SpendLine,
    Statistics,
    Totals,
    UsageRow,
    VerifyReport,
)
from trimtab.store.sqlite import audit
from trimtab.store.sqlite.connection import Sync, configure_writer, connect_reader, connect_writer, explain
from trimtab.store.sqlite.migrations import migrate, pending
from trimtab.store.sqlite.reads import accounts, budgets, documents, records, usage
from trimtab.store.sqlite.reports import SECONDS, Reports
from trimtab.store.sqlite.writer import Writer
from trimtab.store.sqlite.writes.accounts import changing
from trimtab.store.sqlite.writes.budgets import claiming, reserving, settling
from trimtab.store.sqlite.writes.documents import expiring, putting, removing, removing_owned, swapping
from trimtab.store.sqlite.writes.group import Prepare, fail
from trimtab.store.sqlite.writes.log import appending

_MAX_WAITING = 10_000
"""Rows that may wait for the disk; at a few kilobytes each some tens of megabytes."""

_PAGE = 200
_T = TypeVar("_T")


class SQLiteStore:
    """Implements :class:`trimtab.store.base.Store`. Made by :meth:`open`; ``aclose`` commits what is waiting and lets go of the file."""

    def __init__(self, path: Path, writer: Writer | None, now_ns: Callable[[], int]) -> None:
        self._path = path
        self._writer = writer
        self._now_ns = now_ns
        self._reports = Reports(path, None if writer is None else SECONDS)

    @classmethod
    async def open(
        cls,
        path: str | Path,
        *,
        writer: str = "",
        sync: Sync = "normal",
        readonly: bool = False,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> SQLiteStore:
        """Open the file, creating it and bringing its tables up to date, or read-only beside a running server.

        ``writer`` names this process's chain and is required unless ``readonly``; a new name for each start is as good as an old one.
        ``now_ns`` tells whether a hold has expired, and nothing else.
        Raises :class:`LedgerError`, with the next step, when the file cannot be used.
        """
        place = Path(path)
        if readonly:
            await _answer(place, _require_current)
            return cls(place, None, now_ns)
        if not writer:
            raise ValueError("a store that writes needs the name of its writer")
        db = await asyncio.to_thread(_prepare, place, sync)
        return cls(place, Writer(db, place, writer, _MAX_WAITING, now_ns), now_ns)

    async def aclose(self) -> None:
        self._reports.close()
        if self._writer is not None:
            await self._writer.aclose()

    def append(self, row: Row) -> asyncio.Future[None]:
        return self._submit(partial(appending, row), rows=1, patient=isinstance(row, Intent))

    def _submit(self, prepare: Prepare[_T], *, rows: int = 0, patient: bool = False) -> asyncio.Future[_T]:
        if self._writer is not None:
            return self._writer.submit(prepare, rows=rows, patient=patient)
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        fail(future, LedgerError(f"The event log {self._path} was opened for reading alone."))
        return future

    async def _answer(self, ask: Callable[[sqlite3.Connection], _T]) -> _T:
        return await _answer(self._path, ask)

    def statistics(self) -> Statistics:
        return Statistics() if self._writer is None else self._writer.statistics()

    async def get(self, id: str) -> Record | None:
        return await self._answer(lambda db: records.get(db, id))

    async def last(self) -> Record | None:
        return await self._answer(records.last)

    async def scan(self, where: Filter, *, after: str = "", limit: int = 1000) -> AsyncIterator[Record]:
        while limit > 0:
            size = min(limit, _PAGE)
            page = await self._answer(partial(records.page, where=where, after=after, limit=size))
            for record in page:
                yield record
            if len(page) < size:
                return
            limit -= size
            after = page[-1].intent.id

    async def totals(self, where: Filter) -> Totals:
        return await self._answer(lambda db: records.totals(db, where))

    async def usage(self, where: Filter, by: tuple[Dimension, ...]) -> tuple[UsageRow, ...]:
        return await self._reports.answer(lambda db: usage.usage(db, where, by))

    async def unsettled(self, before_ns: int) -> tuple[str, ...]:
        return await self._answer(lambda db: records.unsettled(db, before_ns))

    async def verify(self) -> VerifyReport:
        return await self._answer(audit.verify)

    async def change(self, *changes: Change) -> int:
        if not changes:
            return await self.revision()
        return await self._submit(partial(changing, changes), rows=len(changes))

    async def directory(self) -> tuple[int, tuple[Entity, ...]]:
        return await self._answer(accounts.directory)

    async def revision(self) -> int:
        return await self._answer(accounts.revision)

    async def changes(self, *, after: str = "", limit: int = 1000) -> AsyncIterator[Change]:
        while limit > 0:
            size = min(limit, _PAGE)
            page = await self._answer(partial(accounts.changes, after=after, limit=size))
            for change in page:
                yield change
            if len(page) < size:
                return
            limit -= size
            after = page[-1].id

    def reserve(self, id: str, lines: tuple[HoldLine, ...], *, expires_ns: int) -> asyncio.Future[tuple[str, ...]]:
        return self._submit(partial(reserving, id, lines, expires_ns))

    def settle(self, id: str, spent: tuple[SpendLine, ...]) -> asyncio.Future[None]:
        return self._submit(partial(settling, id, spent))

    async def spending(self, wanted: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], Spending]:
        return await self._answer(lambda db: budgets.spending(db, wanted, self._now_ns()))

    async def claim_alert(self, budget: str, period_ns: int, share: float) -> bool:
        return await self._submit(partial(claiming, budget, period_ns, share))

    async def put_document(self, document: Document) -> None:
        await self._submit(partial(putting, document))

    async def swap_document(self, document: Document, expected: bytes | None) -> bool:
        return await self._submit(partial(swapping, document, expected))

    async def document(self, kind: str, id: str, *, now_ns: int) -> Document | None:
        return await self._answer(lambda db: documents.document(db, kind, id, now_ns))

    async def documents(
        self, kind: str, *, place: str, now_ns: int, after: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[Document, ...]:
        page = documents.Page(kind=kind, place=place, now_ns=now_ns, after=after, limit=limit, newest_first=newest_first)
        return await self._answer(lambda db: documents.documents(db, page))

    async def remove_document(self, kind: str, id: str) -> bool:
        return await self._submit(partial(removing, kind, id))

    async def remove_documents(self, kind: str, *, owner: str) -> int:
        return await self._submit(partial(removing_owned, kind, owner))

    async def expire_documents(self, now_ns: int) -> int:
        return await self._submit(partial(expiring, now_ns))


def _prepare(path: Path, sync: Sync) -> sqlite3.Connection:
    try:
        db = connect_writer(path)
        try:
            pending(db)  # Somebody else's file is refused before anything is done to it.
            configure_writer(db, sync)
            migrate(db)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return db


def _require_current(db: sqlite3.Connection) -> None:
    if pending(db):
        raise LedgerError(
            "The event log is of an older version of Trimtab.", hint="Start the server once: it brings the file up to date."
        )


async def _answer(path: Path, ask: Callable[[sqlite3.Connection], _T]) -> _T:
    """``ask`` on a fresh read-only connection, in a worker thread."""

    def work() -> _T:
        try:
            with closing(connect_reader(path)) as db:
                return ask(db)
        except sqlite3.Error as error:
            raise explain(error, path) from error

    return await asyncio.to_thread(work)
