"""Sums by any dimension, from one constant text: a column that nobody asked for is NULL in every row, and so tells nothing apart.

SQLite groups by what stands in the tables, which a year of requests brings down to days times keys and the like; places are cut to
organisations and days to months here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from operator import add
from types import MappingProxyType

from msgspec.structs import replace

from trimtab.core.errors import ReportTooLarge
from trimtab.store.base import Dimension, Filter, UsageRow
from trimtab.store.figures import levels
from trimtab.store.sqlite.reads.filters import SETTLED, parameters
from trimtab.store.sqlite.reads.records import summed

MOST_GROUPS = 50_000
"""In one report: some tens of megabytes on their way."""

# A request has one line, or one for each of its attempts (``:attempts``, where it made several), times its tags (``:by_tag``).
_USAGE = f"""WITH lines AS (
              SELECT r.id AS id,
                     CASE WHEN :by_place THEN r.place END AS place,
                     CASE WHEN :by_key THEN r.key_id END AS key_id,
                     CASE WHEN :by_owner THEN r.owner END AS owner,
                     CASE WHEN :by_tag THEN coalesce(t.tag, '') END AS tag,
                     CASE WHEN :by_deployment THEN coalesce(a.deployment, r.deployment) END AS deployment,
                     CASE WHEN :by_model THEN coalesce(a.model, r.model) END AS model,
                     CASE WHEN :by_tier THEN coalesce(a.tier, r.tier) END AS tier,
                     CASE WHEN :by_zone THEN coalesce(a.zone, r.zone) END AS zone,
                     CASE WHEN :by_dialect THEN r.dialect END AS dialect,
                     CASE WHEN :by_operation THEN r.operation END AS operation,
                     CASE WHEN :by_outcome THEN r.outcome END AS outcome,
                     CASE WHEN :by_day THEN r.at_ns / 86400000000000 - (r.at_ns % 86400000000000 < 0) END AS day,
                     CASE WHEN :by_cached THEN r.cached END AS cached,
                     r.outcome = 'complete' AND coalesce(a.last, 1) AS complete,
                     CASE WHEN a.id IS NULL THEN r.input_tokens ELSE a.input_tokens END AS input_tokens,
                     CASE WHEN a.id IS NULL THEN r.output_tokens ELSE a.output_tokens END AS output_tokens,
                     CASE WHEN a.id IS NULL THEN r.cost ELSE a.cost END AS cost,
                     CASE WHEN a.id IS NULL THEN r.cost_unknown ELSE a.cost IS NULL END AS cost_unknown
              FROM requests AS r
                   LEFT JOIN attempts AS a ON :attempts AND a.id = r.id
                   LEFT JOIN request_tags AS t ON :by_tag AND t.id = r.id
              WHERE {SETTLED}
            )
            SELECT place, key_id, owner, tag, deployment, model, tier, zone, dialect, operation, outcome, day, cached,
                   -- Only by attempts can a request come twice into one group, and only then is it worth remembering which came.
                   CASE WHEN :attempts THEN count(DISTINCT CASE WHEN :attempts THEN id END) ELSE count(*) END,
                   sum(complete),
                   CASE WHEN :attempts THEN count(DISTINCT CASE WHEN :attempts AND cost_unknown THEN id END) ELSE sum(cost_unknown) END,
                   sum(input_tokens >> 32), sum(input_tokens & 0xFFFFFFFF),
                   sum(output_tokens >> 32), sum(output_tokens & 0xFFFFFFFF),
                   sum(cost >> 32), sum(cost & 0xFFFFFFFF)
            FROM lines
            GROUP BY place, key_id, owner, tag, deployment, model, tier, zone, dialect, operation, outcome, day, cached
            LIMIT {MOST_GROUPS + 1}"""  # noqa: S608 - constants alone

_COLUMNS = (
    "place",
    "key",
    "owner",
    "tag",
    "deployment",
    "model",
    "tier",
    "zone",
    "dialect",
    "operation",
    "outcome",
    "day",
    "cached",
)
_EPOCH = date(1970, 1, 1)
_Value = str | int | None
_Sums = tuple[int, ...]


def _level(number: int) -> Callable[[_Value], str]:
    return lambda place: levels(str(place))[number]


def _day(day: _Value) -> str:
    return (_EPOCH + timedelta(days=int(day or 0))).isoformat()


# From what a row has to what a dimension wants: the column, and the word that is made of its value.
_WORDS: Mapping[Dimension, tuple[str, Callable[[_Value], str]]] = MappingProxyType(
    {
        Dimension.ORGANISATION: ("place", _level(0)),
        Dimension.TEAM: ("place", _level(1)),
        Dimension.PROJECT: ("place", _level(2)),
        Dimension.DAY: ("day", _day),
        Dimension.MONTH: ("day", lambda day: _day(day)[:7]),
        Dimension.CACHED: ("cached", lambda cached: "true" if cached else "false"),
    }
)


def usage(db: sqlite3.Connection, where: Filter, by: tuple[Dimension, ...]) -> tuple[UsageRow, ...]:
    """See :meth:`trimtab.store.base.Ledger.usage`."""
    words = [_WORDS.get(dimension, (dimension.value, str)) for dimension in by]
    asked = {column for column, _ in words}
    flags = {f"by_{column}": column in asked for column in _COLUMNS}
    groups: dict[tuple[str, ...], _Sums] = {}
    rows = db.execute(_USAGE, {**parameters(where), **flags, "attempts": any(dimension.of_attempts for dimension in by)})
    for number, row in enumerate(rows, 1):
        if number > MOST_GROUPS:
            raise ReportTooLarge(
                f"The report has more than {MOST_GROUPS} groups.", hint="Ask for a shorter time, a single place or key, or by less."
            )
        found = dict(zip(_COLUMNS, row, strict=False))
        keys = tuple(word(found[column]) for column, word in words)
        sums = tuple(number or 0 for number in row[len(_COLUMNS) :])
        groups[keys] = tuple(map(add, groups[keys], sums)) if keys in groups else sums
    return tuple(replace(summed(UsageRow, sums), keys=keys) for keys, sums in sorted(groups.items()))
