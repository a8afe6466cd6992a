"""The SQLite store as its users see it: WAL, one writer thread for each process, any number of processes.

Writes go through ``writer``; each question is asked on a read-only connection of its own, in a worker thread, so the event loop never
waits for the disk and no reader for another. All SQL is constant text; values travel as parameters.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import closing
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from trimtab.core.errors import LedgerError
from trimtab.core.record import Record, Row
from trimtab.core.units import NanoUSD
from trimtab.store.base import Filter, Statistics, StoredKey, Totals, VerifyReport
from trimtab.store.rows import decode, join
from trimtab.store.sqlite.audit import verify
from trimtab.store.sqlite.connection import Sync, configure_writer, connect_reader, connect_writer, explain
from trimtab.store.sqlite.migrations import migrate, pending
from trimtab.store.sqlite.writer import Writer, fail

MAX_WAITING = 10_000
"""Rows that may wait for the disk; at a few kilobytes each some tens of megabytes."""

_PAGE = 200
_T = TypeVar("_T")

_GET = """SELECT e.id, e.body, k.key FROM events AS e LEFT JOIN content_keys AS k ON k.id = e.id
          WHERE e.id = ? ORDER BY e.at_ns, e.writer, e.seq"""
# The unary plus keeps the planner on the order of ids: by time it would sort all that is left for every page.
_SCAN = """WITH page AS (
             SELECT id FROM requests
             WHERE id > :after
               AND (:since_ns IS NULL OR +at_ns >= :since_ns)
               AND (:until_ns IS NULL OR +at_ns < :until_ns)
               AND (:key_id IS NULL OR key_id = :key_id)
             ORDER BY id LIMIT :limit
           )
           SELECT e.id, e.body, k.key FROM page
           JOIN events AS e ON e.id = page.id LEFT JOIN content_keys AS k ON k.id = page.id
           ORDER BY e.id, e.at_ns, e.writer, e.seq"""
# Sums are taken in halves of 32 bits: SQLite fails on a sum beyond 64 bits, and one absurd figure must not hide all others.
_TOTALS = """SELECT count(*), count(*) FILTER (WHERE outcome = 'complete'),
                    sum(input_tokens >> 32), sum(input_tokens & 0xFFFFFFFF),
                    sum(output_tokens >> 32), sum(output_tokens & 0xFFFFFFFF),
                    sum(cost >> 32), sum(cost & 0xFFFFFFFF),
                    count(*) FILTER (WHERE cost IS NULL)
             FROM requests
             WHERE outcome IS NOT NULL
               AND at_ns >= coalesce(:since_ns, -9223372036854775808)
               AND (:until_ns IS NULL OR at_ns < :until_ns)
               AND (:key_id IS NULL OR key_id = :key_id)"""
_UNSETTLED = "SELECT id FROM requests WHERE outcome IS NULL AND at_ns < ? ORDER BY id"
_LAST = "SELECT max(id) FROM requests"
_KEYS = "SELECT id, digest, created_ns FROM keys ORDER BY id"


class SQLiteStore:
    """Implements :class:`trimtab.store.base.Store`. Made by :meth:`open`; ``aclose`` commits what is waiting and lets go of the file."""

    def __init__(self, path: Path, writer: Writer | None) -> None:
        self._path = path
        self._writer = writer

    @classmethod
    async def open(
        cls,
        path: str | Path,
        *,
        writer: str = "",
        sync: Sync = "normal",
        readonly: bool = False,
        max_waiting: int = MAX_WAITING,
    ) -> SQLiteStore:
        """Open the file, creating it and bringing its tables up to date, or read-only beside a running server.

        ``writer`` names this process's chain and is required unless ``readonly``; a new name for each start is as good as an old one.
        Raises :class:`LedgerError`, with the next step, when the file cannot be used.
        """
        place = Path(path)
        if readonly:
            await _answer(place, _require_current)
            return cls(place, None)
        if not writer:
            raise ValueError("a store that writes needs the name of its writer")
        db = await asyncio.to_thread(_prepare, place, sync)
        return cls(place, Writer(db, place, writer, max_waiting))

    async def aclose(self) -> None:
        if self._writer is not None:
            await self._writer.aclose()

    def append(self, row: Row) -> asyncio.Future[None]:
        return self._submit(row)

    async def add_key(self, key: StoredKey) -> None:
        await self._submit(key)

    def _submit(self, item: Row | StoredKey) -> asyncio.Future[None]:
        if self._writer is not None:
            return self._writer.submit(item)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        fail(future, LedgerError(f"The event log {self._path} was opened for reading alone."))
        return future

    def statistics(self) -> Statistics:
        return Statistics() if self._writer is None else self._writer.statistics()

    async def get(self, id: str) -> Record | None:
        records = await _answer(self._path, lambda db: _records(db.execute(_GET, (id,))))
        return records[0] if records else None

    async def last(self) -> Record | None:
        ((newest,),) = await _answer(self._path, lambda db: db.execute(_LAST).fetchall())
        return None if newest is None else await self.get(newest)

    async def scan(self, where: Filter, *, after: str = "", limit: int = 1000) -> AsyncIterator[Record]:
        while limit > 0:
            size = min(limit, _PAGE)
            page = await _answer(self._path, partial(_page, parameters={**_parameters(where), "after": after, "limit": size}))
            for record in page:
                yield record
            if len(page) < size:
                return
            limit -= size
            after = page[-1].intent.id

    async def totals(self, where: Filter) -> Totals:
        row = await _answer(self._path, lambda db: db.execute(_TOTALS, _parameters(where)).fetchone())
        requests, complete, *halves, unknown = (number or 0 for number in row)
        sums = [(high << 32) + low for high, low in zip(halves[::2], halves[1::2], strict=True)]
        return Totals(
            requests=requests,
            complete=complete,
            input_tokens=sums[0],
            output_tokens=sums[1],
            cost=NanoUSD(sums[2]),
            cost_unknown=unknown,
        )

    async def unsettled(self, before_ns: int) -> tuple[str, ...]:
        rows = await _answer(self._path, lambda db: db.execute(_UNSETTLED, (before_ns,)).fetchall())
        return tuple(request for (request,) in rows)

    async def verify(self) -> VerifyReport:
        return await _answer(self._path, verify)

    async def keys(self) -> tuple[StoredKey, ...]:
        rows = await _answer(self._path, lambda db: db.execute(_KEYS).fetchall())
        return tuple(StoredKey(*row) for row in rows)


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


def _parameters(where: Filter) -> dict[str, int | str | None]:
    return {"since_ns": where.since_ns, "until_ns": where.until_ns, "key_id": where.key_id}


def _page(db: sqlite3.Connection, parameters: Mapping[str, int | str | None]) -> list[Record]:
    return _records(db.execute(_SCAN, parameters))


def _records(rows: Iterable[tuple[str, bytes, bytes | None]]) -> list[Record]:
    """Rows come ordered by id. A key that was forgotten leaves an empty one."""
    groups = (join([decode(body, key or b"") for _, body, key in group]) for _, group in groupby(rows, key=itemgetter(0)))
    return [record for record in groups if record is not None]
