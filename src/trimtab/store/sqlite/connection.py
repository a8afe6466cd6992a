"""Opening the file, and what its errors mean. Nothing here knows what the rows are."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Literal

from trimtab.core.errors import LedgerError

Sync = Literal["normal", "full"]
"""``normal`` survives the death of the process, ``full`` also the loss of power."""

BUSY_SECONDS = 5.0
_SYNCHRONOUS = {"normal": "PRAGMA synchronous = NORMAL", "full": "PRAGMA synchronous = FULL"}


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes. Creates the file, readable by its owner alone, and changes nothing in one that is there."""
    if path.is_dir():
        raise LedgerError(f"The event log {path} is a folder.", hint="Name a file in [store] path.")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise LedgerError(
            f"The event log {path} cannot be created: {error.strerror}.", hint="Name a path in [store] that this user may write."
        ) from error
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def configure_writer(db: sqlite3.Connection, sync: Sync) -> None:
    """WAL mode, which the file keeps, and what this connection does at a commit."""
    _use_wal(db)
    db.execute(_SYNCHRONOUS[sync])
    # The writer moves the WAL into the file itself, after it has told everybody that their rows are safe.
    db.execute("PRAGMA wal_autocheckpoint = 0")


def _use_wal(db: sqlite3.Connection) -> None:
    """SQLite does not wait its busy time-out for this one statement when two processes open a new file at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for one thread and one question."""
    if not path.is_file():
        raise LedgerError(f"There is no event log at {path}.", hint="Start the server once, or name the right path in [store].")
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    # A file that somebody damaged may hold anything; verify wants to see it rather than fail over it.
    db.text_factory = lambda text: text.decode("utf-8", "replace")
    return db


def explain(error: sqlite3.Error, path: Path) -> LedgerError:
    """The same failure in words, with the next step."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            message, hint = "the disk is full", "Free some space; the log goes on by itself."
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            message = f"another process has kept it locked for {BUSY_SECONDS:g} s"
            hint = "Find out who holds it (a backup, an SQLite shell); the log goes on by itself."
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_AUTH:
            message, hint = (
                "this user may not open or write it",
                "Check who owns the file and its folder, or name another path in [store].",
            )
        case sqlite3.SQLITE_NOTADB:
            message, hint = "the file is not an SQLite database", "Name another path in [store]."
        case sqlite3.SQLITE_CORRUPT:
            message, hint = "the file is damaged", "Move it away and restore a backup, or rescue it with: sqlite3 FILE .recover"
        case sqlite3.SQLITE_IOERR:
            message, hint = f"the file system failed ({error})", "Check the disk; the log goes on by itself once it works."
        case _:
            message, hint = f"SQLite failed ({error})", ""
    return LedgerError(f"The event log {path}: {message}.", hint=hint)
