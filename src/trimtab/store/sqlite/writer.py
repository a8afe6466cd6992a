"""The one thread of this process that writes, and the queue in front of it.

The event loop hands rows over and goes on; it neither encodes nor hashes nor waits. The thread takes everything that is waiting, commits
it as one group and wakes the loop once for all of it. A group that fails leaves nothing behind, and the thread lives on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from trimtab.core.errors import LedgerError
from trimtab.core.record import Intent, Row
from trimtab.store.base import Statistics, StoredKey
from trimtab.store.rows import Entry, encode
from trimtab.store.sqlite.commit import Verdicts, commit
from trimtab.store.sqlite.connection import explain

_CHECKPOINT_EVERY = 4_000
"""Rows between two moves of the WAL into the file: some ten megabytes. Fewer moves mean fewer groups that wait for one."""

_BUSY = 4
"""Rows in a group from which on the next one is gathered for a moment."""

_GATHER_SECONDS = 0.005
"""Less than a tenth of what a request takes then. It means fewer commits, and taking the interpreter from the event loop less often."""

_COMPANY_SECONDS = 0.001
"""How long an intent waits for its outcome, which may be right behind it: one commit instead of two. A real model takes longer."""

_FAILING_SECONDS = 10.0
"""How long a failed group counts as a sign that the next one would fail, too."""

_Handed = tuple[Row | StoredKey, "asyncio.Future[None]"]


class Writer:
    """``submit``, ``statistics`` and ``aclose`` belong to the event loop that made the writer, ``_run`` and what it calls to the thread."""

    def __init__(self, db: sqlite3.Connection, path: Path, name: str, max_waiting: int) -> None:
        self._db = db
        self._path = path
        self._name = name
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Handed | None] = SimpleQueue()
        self._waiting = self._rows = self._groups = self._failed = 0
        self._closed = self._busy = False
        self._broken_at: float | None = None
        self._unmoved = 0
        # A daemon, so that a process which forgets to close still ends. What was committed is safe either way.
        self._thread = Thread(target=self._run, name=f"trimtab-ledger-{name}", daemon=True)
        self._thread.start()

    def submit(self, item: Row | StoredKey) -> asyncio.Future[None]:
        future = self._loop.create_future()
        if self._closed:
            self._failed += 1
            fail(future, LedgerError("The event log is closed."))
        elif self._waiting >= self._max_waiting:
            self._failed += 1
            fail(
                future,
                LedgerError(
                    f"{self._waiting} rows are waiting for the event log {self._path}; no more are taken.",
                    hint="The disk is too slow or full. Clients may try again later.",
                ),
            )
        else:
            self._waiting += 1
            self._queue.put((item, future))
        return future

    def statistics(self) -> Statistics:
        failing = self._broken_at is not None and time.monotonic() - self._broken_at < _FAILING_SECONDS
        return Statistics(rows=self._rows, groups=self._groups, failed=self._failed, queued=self._waiting, failing=failing)

    async def aclose(self) -> None:
        """Commit everything that was handed over, then let go of the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        with contextlib.closing(self._db):
            while self._turn():
                pass

    def _turn(self) -> bool:
        """One group. False once the writer was closed. A method of its own, so that an idle thread holds no rows."""
        handed, ended = self._everything_waiting()
        self._busy = len(handed) >= _BUSY
        if handed:
            verdicts = self._write([item for item, _ in handed])
            # A loop that is gone has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._settle, [future for _, future in handed], verdicts)
            self._checkpoint(len(handed))
        return not ended

    def _everything_waiting(self) -> tuple[list[_Handed], bool]:
        handed: list[_Handed] = []
        patience: float | None = None
        while True:
            try:
                item = self._queue.get(timeout=patience)
            except Empty:
                return handed, False
            if item is None:
                return handed, True
            handed.append(item)
            if self._busy:
                self._busy = False
                time.sleep(_GATHER_SECONDS)
            if not self._queue.empty():
                patience = None
            elif isinstance(item[0], Intent) and patience is None:
                patience = _COMPANY_SECONDS
            else:
                return handed, False

    def _write(self, items: Sequence[Row | StoredKey]) -> Verdicts:
        encoded = [_encoded(item) for item in items]
        good = [item for item in encoded if not isinstance(item, LedgerError)]
        try:
            verdicts = commit(self._db, self._name, good)
        except sqlite3.Error as error:
            self._broken_at = time.monotonic()
            # One error for each waiting future: raised twice, the same object would gather both tracebacks.
            return [explain(error, self._path) for _ in items]
        except Exception as error:  # The thread must outlive any defect: whoever waits for a dead thread waits for ever.
            return [LedgerError(f"The event log {self._path}: {type(error).__name__} ({error}).") for _ in items]
        if None in verdicts:  # something was kept; a group of refusals alone shows nothing about the disk
            self._broken_at = None
        kept = iter(verdicts)
        return [item if isinstance(item, LedgerError) else next(kept) for item in encoded]

    def _checkpoint(self, rows: int) -> None:
        """Move the WAL into the file, after the rows' owners were told: nobody waits for this but the next group."""
        self._unmoved += rows
        if self._unmoved >= _CHECKPOINT_EVERY:
            self._unmoved = 0
            # Nothing is lost when it fails: the rows stand in the WAL, and the next turn tries again.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _settle(self, futures: Sequence[asyncio.Future[None]], verdicts: Verdicts) -> None:
        self._groups += 1
        self._waiting -= len(futures)
        for future, verdict in zip(futures, verdicts, strict=True):
            if verdict is not None:
                self._failed += 1
                fail(future, verdict)
            else:
                self._rows += 1
                if not future.done():
                    future.set_result(None)


def fail(future: asyncio.Future[None], error: LedgerError) -> None:
    """Let the future raise ``error`` in whoever awaits it, and stay silent when nobody does: the statistics have counted it."""
    if not future.done():
        future.set_exception(error)
        future.exception()


def _encoded(item: Row | StoredKey) -> Entry | StoredKey | LedgerError:
    if isinstance(item, StoredKey):
        return item
    try:
        return encode(item)
    except LedgerError as error:
        return error
