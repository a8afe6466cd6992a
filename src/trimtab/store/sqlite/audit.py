"""Does the file still say what was written? The chains first, then what is derived from their rows: requests, attempts, accounts.

What a chain cannot show stands in ``chain``. The derived tables need their own check, because a request that is missing there is missing
from ``scan`` and ``totals`` too, while its rows lie untouched. Budgets and documents are derived from nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from trimtab.core.accounts import Change, Entity, key_of
from trimtab.core.errors import LedgerError
from trimtab.core.record import Record
from trimtab.store.base import VerifyReport
from trimtab.store.chain import Link, walk
from trimtab.store.directory import entity_of, replay
from trimtab.store.figures import figures
from trimtab.store.rows import decode, join
from trimtab.store.sqlite.writes.log import attempt_lines, outcome_line

# The casts let a value of the wrong type show itself as a wrong digest rather than as a failure to read it.
_LINKS = """SELECT CAST(writer AS TEXT), CAST(seq AS INTEGER), CAST(kind AS TEXT), CAST(id AS TEXT), CAST(at_ns AS INTEGER),
                   CAST(body AS BLOB), CAST(prev AS BLOB), CAST(digest AS BLOB)
            FROM events ORDER BY writer, seq"""
_BESIDE = """SELECT e.id, e.writer, e.seq, e.body, r.at_ns, r.key_id, r.place, r.owner, r.dialect, r.operation,
                    r.outcome, r.cached, r.deployment, r.model, r.tier, r.zone, r.input_tokens, r.output_tokens, r.cost, r.cost_unknown
             FROM events AS e LEFT JOIN requests AS r ON r.id = e.id
             WHERE e.kind <> 'change'
             ORDER BY e.id, e.at_ns, e.writer, e.seq"""
_ATTEMPTS = """SELECT id, number, last, deployment, model, tier, zone, input_tokens, output_tokens, cost
               FROM attempts WHERE id = ? ORDER BY number"""
_TAGS = "SELECT tag FROM request_tags WHERE id = ? ORDER BY tag"
_ORPHAN = """SELECT id FROM (SELECT id FROM requests UNION ALL SELECT id FROM attempts UNION ALL SELECT id FROM request_tags) AS named
             WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = named.id AND kind = 'intent') LIMIT 1"""
_CHANGES = "SELECT writer, seq, body FROM events WHERE kind = 'change' ORDER BY writer, seq"
_ENTITIES = "SELECT kind, id, body FROM entities"
_REVISION = "SELECT revision FROM directory"

_Fault = tuple[tuple[str, int] | None, str]


def verify(db: sqlite3.Connection) -> VerifyReport:
    """See :meth:`trimtab.store.base.Ledger.verify`. Reads one moment of the file, whatever is written meanwhile."""
    db.execute("BEGIN")
    report = walk(_links(db))
    if not report.ok:
        return report
    for misfits in (_misfits(db), _changed_otherwise(db)):
        for first_bad, reason in misfits:
            return VerifyReport(rows=report.rows, writers=report.writers, first_bad=first_bad, reason=reason)
    return report


def _links(db: sqlite3.Connection) -> Iterator[Link]:
    for writer, seq, kind, request, at_ns, body, prev, digest in db.execute(_LINKS):
        yield Link(writer=writer, seq=seq, kind=kind, id=request, at_ns=at_ns, body=body, prev=prev, digest=digest)


def _misfits(db: sqlite3.Connection) -> Iterator[_Fault]:
    for request, group in groupby(db.execute(_BESIDE), key=itemgetter(0)):
        found = list(group)
        place = (found[0][1], found[0][2])
        try:
            record = join([decode(body) for _, _, _, body, *_ in found])
        except LedgerError as error:
            yield place, error.message
            continue
        if record is None:
            yield place, f"{request} has an outcome or a correction, but no intent"
        elif not _derived(db, record, found[0][4:]):
            yield place, f"the rows of {request} and its lines in the tables of requests differ"
    for (request,) in db.execute(_ORPHAN):
        yield None, f"the table of requests names {request}, of which there is no row"


def _derived(db: sqlite3.Connection, record: Record, line: tuple[str | int | None, ...]) -> bool:
    """Are ``line``, the tags and the attempts what the rows say?"""
    intent, now = record.intent, figures(record)
    ask = intent.decision.ask
    expected = (
        *(intent.at_ns, intent.key_id, intent.place, intent.owner, ask.dialect.value, ask.operation.value),
        *outcome_line(now),
    )
    return (
        line == expected
        and db.execute(_ATTEMPTS, (intent.id,)).fetchall() == attempt_lines(intent.id, now)
        and [tag for (tag,) in db.execute(_TAGS, (intent.id,))] == sorted(set(intent.tags))
    )


def _changed_otherwise(db: sqlite3.Connection) -> Iterator[_Fault]:
    found: list[tuple[Change, tuple[str, int]]] = []
    for writer, seq, body in db.execute(_CHANGES):
        try:
            row = decode(body)
        except LedgerError as error:
            yield (writer, seq), error.message
            return
        if isinstance(row, Change):
            found.append((row, (writer, seq)))
    found.sort(key=lambda one: one[0].basis)
    last = {key_of(change.entity): place for change, place in found}
    revision, said = replay([change for change, _ in found])
    kept = {(kind, id): body for kind, id, body in db.execute(_ENTITIES)}
    for name in sorted(said.keys() | kept.keys()):
        if not _is_kept(said.get(name), kept.get(name)):
            yield last.get(name), f"the changes of the {name[0]} {name[1]!r} and its line in the table of entities differ"
    if db.execute(_REVISION).fetchall() != [(revision,)]:
        yield None, f"the accounts should be at revision {revision}: a change is missing, or the number was changed"


def _is_kept(entity: Entity | None, body: bytes | None) -> bool:
    """Values are compared, since a later version may write the same entity with more fields."""
    try:
        return entity == (None if body is None else entity_of(body))
    except LedgerError:
        return False
