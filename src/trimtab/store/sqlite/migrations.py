"""The tables, as an ordered list of named steps. Each runs in one transaction together with the record of its having run.

A step that has shipped is never edited: a change of the tables is a new step at the end. A file that knows a step which this version
does not know was written by a newer one, and is refused untouched.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from trimtab.core.errors import LedgerError
from trimtab.store.sqlite.derive import derive_usage


def m001_event_log(db: sqlite3.Connection) -> None:
    """``events`` is the truth. ``requests`` has one row for each request, derived from it, so that totals need not read bodies."""
    db.execute(
        """CREATE TABLE events (
             writer TEXT NOT NULL,
             seq INTEGER NOT NULL,
             id TEXT NOT NULL,
             kind TEXT NOT NULL,
             at_ns INTEGER NOT NULL,
             body BLOB NOT NULL,
             prev BLOB NOT NULL,
             digest BLOB NOT NULL,
             PRIMARY KEY (writer, seq)
           )"""
    )
    # One intent and one outcome for each request; corrections may be many, each of them once.
    db.execute("CREATE UNIQUE INDEX events_once ON events (id, kind, CASE kind WHEN 'correction' THEN body END)")
    db.execute(
        """CREATE TABLE requests (
             id TEXT PRIMARY KEY,
             at_ns INTEGER NOT NULL,
             key_id TEXT NOT NULL,
             outcome TEXT,
             input_tokens INTEGER,
             output_tokens INTEGER,
             cost INTEGER
           ) WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX requests_by_time ON requests (at_ns)")


def m002_content_keys(db: sqlite3.Connection) -> None:
    """Outside the chain, so that forgetting a key leaves the chain whole."""
    db.execute("CREATE TABLE content_keys (id TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID")


def m003_virtual_keys(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE keys (id TEXT PRIMARY KEY, digest BLOB NOT NULL, created_ns INTEGER NOT NULL) WITHOUT ROWID")


def m004_usage(db: sqlite3.Connection) -> None:
    """More about each request, its tags and its attempts, so that usage can be told apart without reading bodies.

    ``cost_unknown`` is 1 where an attempt's cost is not known; ``cost`` is what is known. ``deployment`` and what follows it are those of
    the last attempt. ``attempts`` has all attempts of the requests that made several, and nothing of the others: they are nearly all, and
    a row more for each is what the writer would feel.
    """
    for column in (
        "ALTER TABLE requests ADD COLUMN place TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE requests ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE requests ADD COLUMN dialect TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE requests ADD COLUMN operation TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE requests ADD COLUMN cached INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE requests ADD COLUMN cost_unknown INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE requests ADD COLUMN deployment TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE requests ADD COLUMN model TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE requests ADD COLUMN tier TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE requests ADD COLUMN zone TEXT NOT NULL DEFAULT ''",
    ):
        db.execute(column)
    db.execute("CREATE TABLE request_tags (id TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (id, tag)) WITHOUT ROWID")
    db.execute(
        """CREATE TABLE attempts (
             id TEXT NOT NULL,
             number INTEGER NOT NULL,
             last INTEGER NOT NULL,
             deployment TEXT NOT NULL,
             model TEXT NOT NULL,
             tier TEXT NOT NULL,
             zone TEXT NOT NULL,
             input_tokens INTEGER,
             output_tokens INTEGER,
             cost INTEGER,
             PRIMARY KEY (id, number)
           ) WITHOUT ROWID"""
    )
    derive_usage(db)


def m005_accounts(db: sqlite3.Connection) -> None:
    """``entities`` is derived from the rows of kind ``change``; ``directory`` has one row."""
    db.execute(
        "CREATE TABLE entities (kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE directory (revision INTEGER NOT NULL)")
    db.execute("INSERT INTO directory (revision) VALUES (0)")
    db.execute("CREATE INDEX changes ON events (id) WHERE kind = 'change'")


def m006_budgets(db: sqlite3.Connection) -> None:
    """Amounts are decimal text. ``balances`` has what was spent, and what all ``holds`` that are not yet dropped amount to.

    ``settlements`` keeps each id for good, so that settling twice is settling once however late the second comes.
    """
    db.execute(
        """CREATE TABLE balances (
             budget TEXT NOT NULL,
             period_ns INTEGER NOT NULL,
             spent TEXT NOT NULL,
             held TEXT NOT NULL,
             PRIMARY KEY (budget, period_ns)
           ) WITHOUT ROWID"""
    )
    db.execute(
        """CREATE TABLE holds (
             id TEXT NOT NULL,
             budget TEXT NOT NULL,
             period_ns INTEGER NOT NULL,
             expires_ns INTEGER NOT NULL,
             amount TEXT NOT NULL,
             PRIMARY KEY (id, budget, period_ns, expires_ns)
           ) WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX holds_by_end ON holds (expires_ns)")
    db.execute("CREATE TABLE settlements (id TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute(
        """CREATE TABLE alerts (
             budget TEXT NOT NULL, period_ns INTEGER NOT NULL, share REAL NOT NULL, PRIMARY KEY (budget, period_ns, share)
           ) WITHOUT ROWID"""
    )


def m007_documents(db: sqlite3.Connection) -> None:
    """Bodies may be long, so they are no part of the index."""
    db.execute(
        """CREATE TABLE documents (
             kind TEXT NOT NULL,
             id TEXT NOT NULL,
             place TEXT NOT NULL,
             owner TEXT NOT NULL,
             created_ns INTEGER NOT NULL,
             expires_ns INTEGER,
             body BLOB NOT NULL,
             PRIMARY KEY (kind, id)
           )"""
    )
    db.execute("CREATE INDEX documents_by_end ON documents (expires_ns) WHERE expires_ns IS NOT NULL")


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    m001_event_log,
    m002_content_keys,
    m003_virtual_keys,
    m004_usage,
    m005_accounts,
    m006_budgets,
    m007_documents,
)


def applied(db: sqlite3.Connection) -> tuple[str, ...]:
    """The names of the steps that the file has seen, in order. Raises :class:`LedgerError` for a database of somebody else."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "migrations" not in tables:
        raise LedgerError("The file is an SQLite database, but not an event log of Trimtab.", hint="Name another path in [store].")
    if not tables:
        return ()
    return tuple(name for (name,) in db.execute("SELECT name FROM migrations ORDER BY step"))


def pending(db: sqlite3.Connection) -> tuple[Callable[[sqlite3.Connection], None], ...]:
    """The steps that are still to run. Raises :class:`LedgerError` for a file from a newer version."""
    names = tuple(step.__name__ for step in STEPS)
    done = applied(db)
    if done != names[: len(done)]:
        unknown = next((name for name in done if name not in names), done[-1])
        raise LedgerError(
            f"The event log was written by a newer version of Trimtab: step {unknown!r} is not known here.",
            hint="Upgrade Trimtab, or name another path in [store].",
        )
    return STEPS[len(done) :]


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables up to date. Several processes may do so at once: whoever comes second finds the step done."""
    while pending(db):
        db.execute("BEGIN IMMEDIATE")
        try:
            for step in pending(db)[:1]:
                db.execute("CREATE TABLE IF NOT EXISTS migrations (step INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
                step(db)
                db.execute("INSERT INTO migrations (name) VALUES (?)", (step.__name__,))
            db.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise
