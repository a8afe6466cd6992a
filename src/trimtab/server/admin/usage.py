"""What was used, told apart by any dimension. The sums are the store's; what may be asked for is ``engine.access.sight``'s."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from trimtab.core.errors import MalformedRequest
from trimtab.server.admin.shapes import Moment, Nothing, Paging, dollars, nanoseconds
from trimtab.server.admin.table import Asked, operation
from trimtab.store import Dimension, Filter, Totals, UsageRow

_MOST_DIMENSIONS = 4


class UsageQuery(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    by: Annotated[
        tuple[Dimension, ...],
        Meta(
            max_length=_MOST_DIMENSIONS,
            description=f"What to tell usage apart by, at most {_MOST_DIMENSIONS} of them; nothing gives the totals alone.",
        ),
    ] = ()
    since: Annotated[Moment | None, Meta(description="Requests that started then or later.")] = None
    until: Annotated[Moment | None, Meta(description="Requests that started before.")] = None
    place: Annotated[str | None, Meta(description="Requests from this place or below.")] = None
    key: Annotated[str | None, Meta(description="Requests with the key of this id.")] = None
    owner: Annotated[str | None, Meta(description="Requests with the keys of this user or service account.")] = None
    tag: Annotated[str | None, Meta(description="Requests with this tag.")] = None
    deployment: Annotated[str | None, Meta(description="Requests that tried this deployment.")] = None


class Sums(Struct, frozen=True, kw_only=True):
    """`cost_usd` and the tokens add what is known; `cost_unknown` counts the requests whose cost is not known whole."""

    requests: int
    complete: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    cost_unknown: int

    @staticmethod
    def of(row: Totals) -> Sums:
        return Sums(
            requests=row.requests,
            complete=row.complete,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cost_usd=dollars(row.cost),
            cost_unknown=row.cost_unknown,
        )


class UsageGroup(Struct, frozen=True, kw_only=True):
    """`by` has a word for each dimension; what is missing is empty."""

    by: dict[str, str]
    sums: Sums


class Covered(Struct, frozen=True, kw_only=True):
    """Which requests were added up. Null is no restriction. Whoever may not read all usage gets that of their place, or their own."""

    since: datetime | None
    until: datetime | None
    place: str | None
    key: str | None
    owner: str | None
    tag: str | None
    deployment: str | None


class UsageReport(Struct, frozen=True, kw_only=True):
    """A page of groups, and the totals of all of them. Rows by tag, or by what single attempts have, do not add up to it in requests."""

    covered: Covered
    totals: Sums
    data: tuple[UsageGroup, ...]
    has_more: bool
    next_after: str | None


async def usage(asked: Asked[UsageQuery, Nothing]) -> UsageReport:
    """What was used: requests, tokens and cost. A report that takes too long is refused; ask it of a shorter time."""
    query = asked.query
    by = tuple(dict.fromkeys(query.by))
    where = asked.sight.usage(wanted(query))
    after = None if query.after is None else _read(query.after)
    store = asked.site.store
    rows = [row for row in await store.usage(where, by) if after is None or row.keys > after] if by else []
    whole = await store.usage(where, ())
    shown = rows[: query.limit]
    more = len(rows) > len(shown)
    return UsageReport(
        covered=Covered(
            since=query.since,
            until=query.until,
            place=where.place,
            key=where.key_id,
            owner=where.owner,
            tag=where.tag,
            deployment=where.deployment,
        ),
        totals=Sums.of(whole[0] if whole else Totals()),
        data=groups(by, shown),
        has_more=more,
        next_after=_written(shown[-1].keys) if more else None,
    )


def wanted(asked: UsageQuery | Covered) -> Filter:
    return Filter(
        since_ns=None if asked.since is None else nanoseconds(asked.since, "since"),
        until_ns=None if asked.until is None else nanoseconds(asked.until, "until"),
        key_id=asked.key,
        place=asked.place,
        owner=asked.owner,
        tag=asked.tag,
        deployment=asked.deployment,
    )


def groups(by: tuple[Dimension, ...], rows: Iterable[UsageRow]) -> tuple[UsageGroup, ...]:
    return tuple(
        UsageGroup(by={dimension.value: word for dimension, word in zip(by, row.keys, strict=True)}, sums=Sums.of(row))
        for row in rows
    )


_KEYS = msgspec.json.Decoder(tuple[str, ...])


def _written(keys: tuple[str, ...]) -> str:
    """A group's words as one word that needs no quoting in a query."""
    return base64.urlsafe_b64encode(msgspec.json.encode(keys)).decode()


def _read(after: str) -> tuple[str, ...]:
    try:
        return _KEYS.decode(base64.urlsafe_b64decode(after.encode()))
    except ValueError:  # binascii's, msgspec's and Unicode's errors are all of this kind
        raise MalformedRequest(
            "after: that is no place to go on from.", param="after", hint="Send next_after as it came, or leave it out."
        ) from None


USAGE = (
    operation(
        "GET",
        "/-/usage",
        usage,
        query=UsageQuery,
        body=Nothing,
        answer=UsageReport,
        needs="read_usage at the place; one's own is always visible",
    ),
)
