"""The one thread of this process that writes, and the queue in front of it.

The event loop hands writes over and goes on; it neither encodes nor hashes nor waits. The thread takes everything that is waiting, commits
it as one group and wakes the loop once for all of it. A group that fails leaves nothing behind, and the thread lives on. What a write is
stands in ``writes``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from trimtab.core.errors import LedgerError
from trimtab.store.base import Statistics
from trimtab.store.sqlite.connection import explain
from trimtab.store.sqlite.writes.group import Job, Prepare, T, Write, commit, fail

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


class Writer:
    """``submit``, ``statistics`` and ``aclose`` belong to the event loop that made the writer, ``_run`` and what it calls to the thread."""

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        name: str,
        max_waiting: int,
        now_ns: Callable[[], int],
    ) -> None:
        self._db = db
        self._path = path
        self._name = name
        self._max_waiting = max_waiting
        self._now_ns = now_ns
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[Job, bool] | None] = SimpleQueue()
        self._waiting = self._rows = self._groups = self._failed = 0
        self._closed = self._busy = False
        self._broken_at: float | None = None
        self._unmoved = 0
        # A daemon, so that a process which forgets to close still ends. What was committed is safe either way.
        self._thread = Thread(target=self._run, name=f"trimtab-ledger-{name}", daemon=True)
        self._thread.start()

    def submit(self, prepare: Prepare[T], *, rows: int = 0, patient: bool = False) -> asyncio.Future[T]:
        """Hand over a write that brings so many ``rows`` of the log. A ``patient`` one waits a moment for company."""
        future: asyncio.Future[T] = self._loop.create_future()
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
            self._queue.put((Write(prepare, rows, future), patient))
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
        jobs, ended = self._everything_waiting()
        self._busy = len(jobs) >= _BUSY
        if jobs:
            self._write(jobs)
            # A loop that is gone has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._settle, jobs)
            self._checkpoint(len(jobs))
        return not ended

    def _everything_waiting(self) -> tuple[list[Job], bool]:
        jobs: list[Job] = []
        patience: float | None = None
        while True:
            try:
                handed = self._queue.get(timeout=patience)
            except Empty:
                return jobs, False
            if handed is None:
                return jobs, True
            job, patient = handed
            jobs.append(job)
            if self._busy:
                self._busy = False
                time.sleep(_GATHER_SECONDS)
            if not self._queue.empty():
                patience = None
            elif patient and patience is None:
                patience = _COMPANY_SECONDS
            else:
                return jobs, False

    def _write(self, jobs: Sequence[Job]) -> None:
        try:
            for job in jobs:
                job.prepare()
            commit(self._db, self._name, self._now_ns, jobs)
        except sqlite3.Error as error:
            self._broken_at = time.monotonic()
            # One error for each waiting future: raised twice, the same object would gather both tracebacks.
            for job in jobs:
                job.fail(explain(error, self._path))
        except Exception as error:  # The thread must outlive any defect: whoever waits for a dead thread waits for ever.
            for job in jobs:
                job.fail(LedgerError(f"The event log {self._path}: {type(error).__name__} ({error})."))
        else:
            if any(job.refused() is None for job in jobs):  # a group of refusals alone shows nothing about the disk
                self._broken_at = None

    def _checkpoint(self, rows: int) -> None:
        """Move the WAL into the file, after the rows' owners were told: nobody waits for this but the next group."""
        self._unmoved += rows
        if self._unmoved >= _CHECKPOINT_EVERY:
            self._unmoved = 0
            # Nothing is lost when it fails: the rows stand in the WAL, and the next turn tries again.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _settle(self, jobs: Sequence[Job]) -> None:
        self._groups += 1
        self._waiting -= len(jobs)
        for job in jobs:
            match job.refused():
                case None:
                    self._rows += job.rows
                case LedgerError():
                    self._failed += 1
            job.settle()
