"""For files of before there was usage: what step m004 derives from the rows that are there.

Belongs to that step, and is edited no more than the step itself once both have shipped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from trimtab.core.errors import LedgerError
from trimtab.core.record import Record
from trimtab.store.figures import figures
from trimtab.store.rows import decode, join

_ROWS = "SELECT id, body FROM events WHERE kind <> 'change' ORDER BY id, at_ns, writer, seq"
_REQUEST = """UPDATE requests
              SET dialect = ?, operation = ?, deployment = ?, model = ?, tier = ?, zone = ?,
                  input_tokens = ?, output_tokens = ?, cost = ?, cost_unknown = ?
              WHERE id = ?"""
_ATTEMPT = """INSERT INTO attempts (id, number, last, deployment, model, tier, zone, input_tokens, output_tokens, cost)
              VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def derive_usage(db: sqlite3.Connection) -> None:
    """Fill what is new in ``requests``, and ``attempts``. Rows that cannot be read are left to ``verify``, which names them."""
    for record in _records(db):
        id, ask, now = record.intent.id, record.intent.decision.ask, figures(record)
        answered = now.answered
        names = (answered.deployment, answered.model, answered.tier, answered.zone)
        sums = (now.input_tokens, now.output_tokens, now.cost, now.cost_unknown)
        db.execute(_REQUEST, (ask.dialect.value, ask.operation.value, *names, *sums, id))
        for number, share in enumerate(now.shares if len(now.shares) > 1 else ()):
            names = (share.deployment, share.model, share.tier, share.zone)
            is_last = number == len(now.shares) - 1
            db.execute(_ATTEMPT, (id, number, is_last, *names, share.input_tokens, share.output_tokens, share.cost))


def _records(db: sqlite3.Connection) -> Iterator[Record]:
    for _, rows in groupby(db.execute(_ROWS), key=itemgetter(0)):
        try:
            record = join([decode(body) for _, body in rows])
        except LedgerError:
            continue
        if record is not None:
            yield record
