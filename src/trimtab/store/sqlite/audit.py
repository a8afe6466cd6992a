"""Does the file still say what was written? The chains first, then the table of requests against the rows it was derived from.

What a chain cannot show stands in ``chain``. The table needs its own check, because a request that is missing there is missing from
``scan`` and ``totals`` too, while its rows lie untouched.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from trimtab.core.errors import LedgerError
from trimtab.store.base import VerifyReport
from trimtab.store.chain import Link, walk
from trimtab.store.rows import decode, figures, join

# The casts let a value of the wrong type show itself as a wrong digest rather than as a failure to read it.
_LINKS = """SELECT CAST(writer AS TEXT), CAST(seq AS INTEGER), CAST(kind AS TEXT), CAST(id AS TEXT), CAST(at_ns AS INTEGER),
                   CAST(body AS BLOB), CAST(prev AS BLOB), CAST(digest AS BLOB)
            FROM events ORDER BY writer, seq"""
_BESIDE = """SELECT e.id, e.writer, e.seq, e.body, r.at_ns, r.key_id, r.outcome, r.input_tokens, r.output_tokens, r.cost
             FROM events AS e LEFT JOIN requests AS r ON r.id = e.id
             ORDER BY e.id, e.at_ns, e.writer, e.seq"""
_ORPHAN = "SELECT id FROM requests AS r WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = r.id) LIMIT 1"


def verify(db: sqlite3.Connection) -> VerifyReport:
    """See :meth:`trimtab.store.base.Ledger.verify`. Reads one moment of the file, whatever is written meanwhile."""
    db.execute("BEGIN")
    report = walk(_links(db))
    if not report.ok:
        return report
    for first_bad, reason in _misfits(db):
        return VerifyReport(rows=report.rows, writers=report.writers, first_bad=first_bad, reason=reason)
    return report


def _links(db: sqlite3.Connection) -> Iterator[Link]:
    for writer, seq, kind, request, at_ns, body, prev, digest in db.execute(_LINKS):
        yield Link(writer=writer, seq=seq, kind=kind, id=request, at_ns=at_ns, body=body, prev=prev, digest=digest)


def _misfits(db: sqlite3.Connection) -> Iterator[tuple[tuple[str, int] | None, str]]:
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
            continue
        now = figures(record)
        derived = (record.intent.at_ns, record.intent.key_id, now.outcome, now.input_tokens, now.output_tokens, now.cost)
        if derived != found[0][4:]:
            yield place, f"the rows of {request} and its line in the table of requests differ"
    for (request,) in db.execute(_ORPHAN):
        yield None, f"the table of requests names {request}, of which there is no row"
