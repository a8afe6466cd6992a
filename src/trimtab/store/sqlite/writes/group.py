"""One group of writes in one transaction: all of it or nothing.

A write comes in two steps, so that nothing is encoded while other processes wait for the lock: *preparing* makes the write's bytes, and
the *work* that this gives is done inside the transaction. Either may refuse with a :class:`TrimtabError`; a work does so before it changes
anything, and then the rest of its group is kept.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from trimtab.core.errors import LedgerError, TrimtabError
from trimtab.store.chain import GENESIS, link
from trimtab.store.rows import Entry
from trimtab.store.sqlite.writes.book import Book

T = TypeVar("T")

_HEAD = "SELECT seq, digest FROM events WHERE writer = ? ORDER BY seq DESC LIMIT 1"
_ADD_EVENT = """INSERT INTO events (writer, seq, id, kind, at_ns, body, prev, digest)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""


class Group:
    """The open transaction: the file, this writer's chain, and the book of budgets."""

    def __init__(self, db: sqlite3.Connection, writer: str, now_ns: Callable[[], int]) -> None:
        self.db = db
        self._writer = writer
        self._now_ns = now_ns
        self._head: tuple[int, bytes] | None = None
        self._book: Book | None = None

    def chain(self, entry: Entry) -> None:
        """Add the row to this writer's chain."""
        # Read anew in each group: even two processes that were given one writer's name keep one whole chain.
        seq, prev = self._head or self.db.execute(_HEAD, (self._writer,)).fetchone() or (0, GENESIS)
        seq += 1
        linked = link(prev, writer=self._writer, seq=seq, kind=entry.kind, id=entry.id, at_ns=entry.at_ns, body=entry.body)
        self.db.execute(_ADD_EVENT, (self._writer, seq, entry.id, entry.kind, entry.at_ns, entry.body, prev, linked.digest))
        self._head = (seq, linked.digest)

    @property
    def book(self) -> Book:
        if self._book is None:
            self._book = Book(self.db, self._now_ns())
        return self._book

    def finish(self) -> None:
        if self._book is not None:
            self._book.keep()


Work = Callable[[Group], T]
Prepare = Callable[[], Work[T]]


class Job(Protocol):
    """A write on its way through the writer's thread and back. ``rows`` is how many rows of the log it brings."""

    rows: int

    def prepare(self) -> None: ...

    def run(self, group: Group) -> None: ...

    def fail(self, error: LedgerError) -> None:
        """The group was not kept, whatever the job itself came to."""

    def refused(self) -> TrimtabError | None: ...

    def settle(self) -> None:
        """Tell whoever waits. Only on the event loop."""


class Write(Generic[T]):
    """A :class:`Job` with a result."""

    def __init__(self, prepare: Prepare[T], rows: int, future: asyncio.Future[T]) -> None:
        self.rows = rows
        self._prepare = prepare
        self._future = future
        self._work: Work[T] | None = None
        self._values: list[T] = []
        self._error: TrimtabError | None = None

    def prepare(self) -> None:
        try:
            self._work = self._prepare()
        except TrimtabError as error:
            self._error = error

    def run(self, group: Group) -> None:
        if self._work is None:
            return
        before = group.db.total_changes
        try:
            self._values.append(self._work(group))
        except TrimtabError as error:
            if group.db.total_changes != before:
                raise
            self._error = error

    def fail(self, error: LedgerError) -> None:
        self._error = error

    def refused(self) -> TrimtabError | None:
        return self._error

    def settle(self) -> None:
        if self._future.done():
            return
        if self._error is None:
            self._future.set_result(self._values[0])
        else:
            fail(self._future, self._error)


def fail(future: asyncio.Future[T], error: TrimtabError) -> None:
    """Let the future raise ``error`` in whoever awaits it, and stay silent when nobody does: the statistics have counted it."""
    future.set_exception(error)
    future.exception()


def commit(db: sqlite3.Connection, writer: str, now_ns: Callable[[], int], jobs: Sequence[Job]) -> None:
    """Run prepared jobs. Raises :class:`sqlite3.Error`, with nothing kept, when the file does not take them."""
    db.execute("BEGIN IMMEDIATE")
    try:
        group = Group(db, writer, now_ns)
        for job in jobs:
            job.run(group)
        group.finish()
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
