"""One group of rows into the tables, in one transaction: all of it or nothing.

A row that the log already holds is fine and takes no place in the chain. A row that contradicts the log, or that came before the row it
belongs to, is refused alone; the rest of its group is kept. Called on the writer's thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from trimtab.core.errors import LedgerError
from trimtab.core.record import Correction, Intent, Outcome
from trimtab.store.base import StoredKey
from trimtab.store.chain import GENESIS, Link, link
from trimtab.store.rows import Entry, already_otherwise, decode, figures, join, not_yet

Verdicts = list[LedgerError | None]

_HEAD = "SELECT seq, digest FROM events WHERE writer = ? ORDER BY seq DESC LIMIT 1"
_ADD_EVENT = """INSERT INTO events (writer, seq, id, kind, at_ns, body, prev, digest)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_ADD_REQUEST = "INSERT INTO requests (id, at_ns, key_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_ADD_CONTENT_KEY = "INSERT INTO content_keys (id, key) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SETTLE = """UPDATE requests SET outcome = ?, input_tokens = ?, output_tokens = ?, cost = ?
             WHERE id = ? AND outcome IS NULL"""
_CORRECT = "UPDATE requests SET input_tokens = ?, output_tokens = ?, cost = ? WHERE id = ?"
_IS_SETTLED = "SELECT outcome IS NOT NULL FROM requests WHERE id = ?"
_BODY = "SELECT body FROM events WHERE id = ? AND kind = ?"
_HAS_CORRECTION = "SELECT 1 FROM events WHERE id = ? AND kind = 'correction' AND body = ?"
_BODIES = "SELECT body FROM events WHERE id = ? ORDER BY at_ns, writer, seq"
_ADD_KEY = "INSERT INTO keys (id, digest, created_ns) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_KEY = "SELECT digest, created_ns FROM keys WHERE id = ?"


def commit(db: sqlite3.Connection, writer: str, group: Sequence[Entry | StoredKey]) -> Verdicts:
    """For each of the group, in order, ``None`` when it is in the log, else why not. Raises :class:`sqlite3.Error` with nothing kept."""
    db.execute("BEGIN IMMEDIATE")
    try:
        # Read anew each time: even two processes that were given one writer's name keep one whole chain.
        seq, digest = db.execute(_HEAD, (writer,)).fetchone() or (0, GENESIS)
        verdicts: Verdicts = []
        for item in group:
            if isinstance(item, StoredKey):
                verdicts.append(_add_key(db, item))
                continue
            new, verdict = _claim(db, item)
            verdicts.append(verdict)
            if new:
                seq += 1
                linked = link(digest, writer=writer, seq=seq, kind=item.kind, id=item.id, at_ns=item.at_ns, body=item.body)
                _add_event(db, linked)
                digest = linked.digest
                if isinstance(item.row, Correction):
                    _refigure(db, item.id)
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
    return verdicts


def _claim(db: sqlite3.Connection, entry: Entry) -> tuple[bool, LedgerError | None]:
    """Enter the row into ``requests``. True when it is new there, and so is to be chained."""
    match entry.row:
        case Intent():
            if db.execute(_ADD_REQUEST, (entry.id, entry.at_ns, entry.row.key_id)).rowcount:
                db.execute(_ADD_CONTENT_KEY, (entry.id, entry.content_key))
                return True, None
        case Outcome(kind=kind, usage=usage, cost=cost):
            if db.execute(_SETTLE, (kind.value, usage.input, usage.output, cost, entry.id)).rowcount:
                return True, None
            if db.execute(_IS_SETTLED, (entry.id,)).fetchone() is None:
                return False, not_yet(entry.kind, entry.id)
        case Correction():
            if db.execute(_IS_SETTLED, (entry.id,)).fetchone() != (1,):
                return False, not_yet(entry.kind, entry.id)
            return db.execute(_HAS_CORRECTION, (entry.id, entry.body)).fetchone() is None, None
    if db.execute(_BODY, (entry.id, entry.kind)).fetchone() == (entry.body,):
        return False, None
    return False, already_otherwise(entry.kind, entry.id)


def _add_event(db: sqlite3.Connection, linked: Link) -> None:
    db.execute(
        _ADD_EVENT,
        (linked.writer, linked.seq, linked.id, linked.kind, linked.at_ns, linked.body, linked.prev, linked.digest),
    )


def _refigure(db: sqlite3.Connection, id: str) -> None:
    """A correction counts by its time, not by when it arrived: let the rows themselves say what stands now."""
    record = join([decode(body) for (body,) in db.execute(_BODIES, (id,))])
    if record is not None:
        now = figures(record)
        db.execute(_CORRECT, (now.input_tokens, now.output_tokens, now.cost, id))


def _add_key(db: sqlite3.Connection, key: StoredKey) -> LedgerError | None:
    db.execute(_ADD_KEY, (key.id, key.digest, key.created_ns))
    if db.execute(_KEY, (key.id,)).fetchone() == (key.digest, key.created_ns):
        return None
    return LedgerError(f"There is another virtual key with the id {key.id}.", hint="Give the new key an id of its own.")
