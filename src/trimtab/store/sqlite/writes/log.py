"""Rows of requests into the log and into what is derived from it: ``requests``, ``request_tags`` and ``attempts``.

A row that the log already holds is fine and takes no place in the chain. A row that contradicts the log, or that came before the row it
belongs to, is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from trimtab.core.errors import LedgerError
from trimtab.core.record import Correction, Intent, Outcome, Record, Row
from trimtab.store.figures import Figures, figures, settled
from trimtab.store.rows import Entry, already_otherwise, decode, encode, join, not_by_append, not_yet
from trimtab.store.sqlite.writes.group import Group, Work

_ADD_REQUEST = """INSERT INTO requests (id, at_ns, key_id, place, owner, dialect, operation)
                  VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_ADD_TAG = "INSERT INTO request_tags (id, tag) VALUES (?, ?) ON CONFLICT DO NOTHING"
_ADD_CONTENT_KEY = "INSERT INTO content_keys (id, key) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SETTLE = """UPDATE requests
             SET outcome = ?, cached = ?, deployment = ?, model = ?, tier = ?, zone = ?,
                 input_tokens = ?, output_tokens = ?, cost = ?, cost_unknown = ?
             WHERE id = ? AND outcome IS NULL"""
_CORRECT = "UPDATE requests SET input_tokens = ?, output_tokens = ?, cost = ?, cost_unknown = ? WHERE id = ?"
_ADD_ATTEMPT = """INSERT INTO attempts (id, number, last, deployment, model, tier, zone, input_tokens, output_tokens, cost)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CORRECT_ATTEMPT = "UPDATE attempts SET input_tokens = ?, output_tokens = ?, cost = ? WHERE id = ? AND number = ?"
_IS_SETTLED = "SELECT outcome IS NOT NULL FROM requests WHERE id = ?"
_BODY = "SELECT body FROM events WHERE id = ? AND kind = ?"
_HAS_CORRECTION = "SELECT 1 FROM events WHERE id = ? AND kind = 'correction' AND body = ?"
_BODIES = "SELECT body FROM events WHERE id = ? AND kind <> 'change' ORDER BY at_ns, writer, seq"


Line = tuple[str | int | None, ...]


def appending(row: Row) -> Work[None]:
    """Prepare :meth:`trimtab.store.base.Ledger.append`."""
    entry = encode(row)
    match row:
        case Intent():
            return partial(_intend, entry, row)
        case Outcome():
            now = settled(row)
            return partial(_settle, entry, (*outcome_line(now), row.id), attempt_lines(row.id, now))
        case Correction():
            return partial(_correct, entry)
    raise not_by_append(row.id)


def _intend(entry: Entry, intent: Intent, group: Group) -> None:
    ask = intent.decision.ask
    line = (intent.id, intent.at_ns, intent.key_id, intent.place, intent.owner, ask.dialect.value, ask.operation.value)
    if not group.db.execute(_ADD_REQUEST, line).rowcount:
        return _check_the_same(group.db, entry)
    if intent.tags:
        group.db.executemany(_ADD_TAG, [(intent.id, tag) for tag in intent.tags])
    group.db.execute(_ADD_CONTENT_KEY, (intent.id, entry.content_key))
    return group.chain(entry)


def _settle(entry: Entry, line: Line, attempts: Sequence[Line], group: Group) -> None:
    if not group.db.execute(_SETTLE, line).rowcount:
        if group.db.execute(_IS_SETTLED, (entry.id,)).fetchone() is None:
            raise not_yet(entry.kind, entry.id)
        return _check_the_same(group.db, entry)
    if attempts:
        group.db.executemany(_ADD_ATTEMPT, attempts)
    return group.chain(entry)


def outcome_line(now: Figures) -> Line:
    """What an outcome adds to the request's row, as the table has it."""
    last = now.answered
    names = (last.deployment, last.model, last.tier, last.zone)
    return (now.outcome and now.outcome.value, now.cached, *names, now.input_tokens, now.output_tokens, now.cost, now.cost_unknown)


def attempt_lines(id: str, now: Figures) -> list[Line]:
    """The rows of ``attempts`` for one request: none, unless there are several."""
    last = len(now.shares) - 1
    if last < 1:
        return []
    return [
        (
            *(id, number, number == last, share.deployment, share.model, share.tier, share.zone),
            *(share.input_tokens, share.output_tokens, share.cost),
        )
        for number, share in enumerate(now.shares)
    ]


def _correct(entry: Entry, group: Group) -> None:
    """A correction counts by its time, not by when it arrived: let the rows themselves say what stands now."""
    if group.db.execute(_IS_SETTLED, (entry.id,)).fetchone() != (1,):
        raise not_yet(entry.kind, entry.id)
    if group.db.execute(_HAS_CORRECTION, (entry.id, entry.body)).fetchone():
        return
    _record(group.db, entry.id)  # What cannot be read refuses the correction before anything is changed.
    group.chain(entry)
    now = figures(_record(group.db, entry.id))
    group.db.execute(_CORRECT, (now.input_tokens, now.output_tokens, now.cost, now.cost_unknown, entry.id))
    parts = [(share.input_tokens, share.output_tokens, share.cost, entry.id, number) for number, share in enumerate(now.shares)]
    group.db.executemany(_CORRECT_ATTEMPT, parts)


def _record(db: sqlite3.Connection, id: str) -> Record:
    record = join([decode(body) for (body,) in db.execute(_BODIES, (id,))])
    if record is None:
        raise LedgerError(f"{id} has an outcome and no intent.", hint="Verify the log: it names the first bad row.")
    return record


def _check_the_same(db: sqlite3.Connection, entry: Entry) -> None:
    if db.execute(_BODY, (entry.id, entry.kind)).fetchone() != (entry.body,):
        raise already_otherwise(entry.kind, entry.id)
