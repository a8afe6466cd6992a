"""Reports: questions that may read the whole log. They have threads of their own, so that no small question waits behind them.

A report that takes too long, or finds more groups than anybody reads, is given up with an error that says so. It knows nothing of what
is asked.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from trimtab.core.errors import LedgerError, ReportTooLarge
from trimtab.store.sqlite.connection import connect_reader, explain

SECONDS = 15.0
"""For one report, the wait for its turn included."""

AT_ONCE = 2
"""Reports that read at the same time in one process; the others wait for their turn."""

_STEPS = 1_000_000
"""Of SQLite's virtual machine between two looks at the time: some ten milliseconds. Each takes the interpreter from the event loop."""

_T = TypeVar("_T")


class Reports:
    """``seconds`` is ``None`` where nobody waits behind a report: it may take as long as it takes."""

    def __init__(self, path: Path, seconds: float | None) -> None:
        self._path = path
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="trimtab-report")
        self._closed = False

    async def answer(self, ask: Callable[[sqlite3.Connection], _T]) -> _T:
        """What ``ask`` gives on a read-only connection. Raises :class:`ReportTooLarge`, and :class:`LedgerError` where the file fails."""
        if self._closed:
            raise LedgerError("The event log is closed.")
        until = None if self._seconds is None else time.monotonic() + self._seconds
        left = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, ask, until, left)
        finally:
            left.set()  # nobody waits for it any more: its thread is somebody else's

    def close(self) -> None:
        """Give up what is under way: nobody waits for it any more."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, ask: Callable[[sqlite3.Connection], _T], until: float | None, left: threading.Event) -> _T:
        def is_over() -> bool:
            return self._closed or left.is_set() or (until is not None and time.monotonic() > until)

        try:
            with closing(connect_reader(self._path)) as db:
                db.set_progress_handler(is_over, _STEPS)
                if is_over():
                    raise _too_slow(self._seconds)
                return ask(db)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise _too_slow(self._seconds) from None
            raise explain(error, self._path) from error


def _too_slow(seconds: float | None) -> ReportTooLarge:
    within = "" if seconds is None else f" within {seconds:g} seconds"
    return ReportTooLarge(
        f"The report was not done{within}.", hint="Ask for a shorter time, a single place or key, or by fewer dimensions."
    )
