"""Requests: one by one, in pages, and in sums."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

from trimtab.core.record import Record
from trimtab.core.units import NanoUSD
from trimtab.store.base import Filter, Totals
from trimtab.store.rows import decode, join
from trimtab.store.sqlite.reads.filters import SETTLED, WANTED, parameters

T = TypeVar("T", bound=Totals)

_GET = """SELECT e.id, e.body, k.key FROM events AS e LEFT JOIN content_keys AS k ON k.id = e.id
          WHERE e.id = ? AND e.kind <> 'change' ORDER BY e.at_ns, e.writer, e.seq"""
# The unary plus keeps the planner on the order of ids: by time it would sort all that is left for every page.
_SCAN = f"""WITH page AS (
             SELECT r.id FROM requests AS r
             WHERE r.id > :after
               AND (:since_ns IS NULL OR +r.at_ns >= :since_ns)
               AND (:until_ns IS NULL OR +r.at_ns < :until_ns)
               AND {WANTED}
             ORDER BY r.id LIMIT :limit
           )
           SELECT e.id, e.body, k.key FROM page
           JOIN events AS e ON e.id = page.id AND e.kind <> 'change' LEFT JOIN content_keys AS k ON k.id = page.id
           ORDER BY e.id, e.at_ns, e.writer, e.seq"""  # noqa: S608 - constants alone
# Sums are taken in halves of 32 bits: SQLite fails on a sum beyond 64 bits, and one absurd figure must not hide all others.
_TOTALS = f"""SELECT count(*), count(*) FILTER (WHERE r.outcome = 'complete'), sum(r.cost_unknown),
                    sum(r.input_tokens >> 32), sum(r.input_tokens & 0xFFFFFFFF),
                    sum(r.output_tokens >> 32), sum(r.output_tokens & 0xFFFFFFFF),
                    sum(r.cost >> 32), sum(r.cost & 0xFFFFFFFF)
             FROM requests AS r
             WHERE {SETTLED}"""  # noqa: S608 - constants alone
_UNSETTLED = "SELECT id FROM requests WHERE outcome IS NULL AND at_ns < ? ORDER BY id"
_LAST = "SELECT max(id) FROM requests"


def get(db: sqlite3.Connection, id: str) -> Record | None:
    records = _records(db.execute(_GET, (id,)))
    return records[0] if records else None


def last(db: sqlite3.Connection) -> Record | None:
    ((newest,),) = db.execute(_LAST)
    return None if newest is None else get(db, newest)


def page(db: sqlite3.Connection, where: Filter, after: str, limit: int) -> list[Record]:
    return _records(db.execute(_SCAN, {**parameters(where), "after": after, "limit": limit}))


def _records(rows: Iterable[tuple[str, bytes, bytes | None]]) -> list[Record]:
    """Rows come ordered by id. A key that was forgotten leaves an empty one."""
    groups = (join([decode(body, key or b"") for _, body, key in group]) for _, group in groupby(rows, key=itemgetter(0)))
    return [record for record in groups if record is not None]


def totals(db: sqlite3.Connection, where: Filter) -> Totals:
    return summed(Totals, [number or 0 for number in db.execute(_TOTALS, parameters(where)).fetchone()])


def summed(kind: type[T], sums: Sequence[int]) -> T:
    """Requests, complete ones, those of unknown cost; then input tokens, output tokens and cost, each by halves."""
    requests, complete, unknown, *halves = sums
    input_tokens, output_tokens, cost = ((high << 32) + low for high, low in zip(halves[::2], halves[1::2], strict=True))
    return kind(
        requests=requests,
        complete=complete,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=NanoUSD(cost),
        cost_unknown=unknown,
    )


def unsettled(db: sqlite3.Connection, before_ns: int) -> tuple[str, ...]:
    return tuple(id for (id,) in db.execute(_UNSETTLED, (before_ns,)))
