"""A store that forgets with its process: an ordinary member of the store's protocols, for tests and for trying things out.

It keeps the bytes that a database would keep, chained the same way, and works from them; so what holds here holds there. Sums are made
anew from all records each time, which checks those that a database keeps in tables.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from trimtab.core.accounts import Change, Entity, is_within, key_of
from trimtab.core.errors import LedgerError, TrimtabError
from trimtab.core.record import Correction, Intent, Outcome, OutcomeKind, Record, Row
from trimtab.core.units import DAY_NS, NanoUSD
from trimtab.store.base import (
    Dimension,
    Document,
    Filter,
    HoldLine,
    Spending,
    SpendLine,
    Statistics,
    Totals,
    UsageRow,
    VerifyReport,
)
from trimtab.store.chain import GENESIS, Link, link, walk
from trimtab.store.directory import Name, check_basis, removed_unseen, replay
from trimtab.store.figures import Share, figures, levels
from trimtab.store.rows import Entry, already_otherwise, check_storable, decode, encode, join, not_by_append, not_yet

_T = TypeVar("_T")
_WRITER = "memory"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryStore:
    """Implements :class:`trimtab.store.base.Store`. A row is kept at once, so every ``append`` is done when it returns.

    ``now_ns`` tells whether a hold has expired: hand in the clock that the rest of a test goes by.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._links: list[Link] = []
        self._bodies: dict[str, list[bytes]] = {}
        self._content_keys: dict[str, bytes] = {}
        self._changes: dict[str, bytes] = {}
        self._holds: list[tuple[str, HoldLine, int]] = []
        self._spent: dict[tuple[str, int], int] = {}
        self._settled: set[str] = set()
        self._alerts: set[tuple[str, int, float]] = set()
        self._documents: dict[tuple[str, str], Document] = {}
        self._kept = self._failed = 0

    def append(self, row: Row) -> asyncio.Future[None]:
        return self._done(lambda: self._append(row))

    def _append(self, row: Row) -> None:
        self._keep(encode(row))
        self._kept += 1

    def _done(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(work())
        except TrimtabError as error:
            self._failed += isinstance(error, LedgerError)
            done.set_exception(error)
            # Asked for here, so that nothing is logged when nobody awaits it; whoever awaits it still gets it.
            done.exception()
        return done

    def _keep(self, entry: Entry) -> None:
        bodies = self._bodies.get(entry.id, [])
        if entry.body in bodies:
            return
        held = [type(decode(body)) for body in bodies]
        match entry.row:
            case Intent() if Intent in held:
                raise already_otherwise(entry.kind, entry.id)
            case Outcome() if Intent not in held:
                raise not_yet(entry.kind, entry.id)
            case Outcome() if Outcome in held:
                raise already_otherwise(entry.kind, entry.id)
            case Correction() if Outcome not in held:
                raise not_yet(entry.kind, entry.id)
            case Change():
                raise not_by_append(entry.id)
        if isinstance(entry.row, Intent):
            self._content_keys[entry.id] = entry.content_key
        self._bodies[entry.id] = [*bodies, entry.body]
        self._chain(entry)

    def _chain(self, entry: Entry) -> None:
        seq, digest = (self._links[-1].seq, self._links[-1].digest) if self._links else (0, GENESIS)
        self._links.append(
            link(digest, writer=_WRITER, seq=seq + 1, kind=entry.kind, id=entry.id, at_ns=entry.at_ns, body=entry.body)
        )

    async def get(self, id: str) -> Record | None:
        return join([decode(body, self._content_keys.get(id, b"")) for body in self._bodies.get(id, ())])

    async def last(self) -> Record | None:
        return await self.get(max(self._bodies)) if self._bodies else None

    async def scan(self, where: Filter, *, after: str = "", limit: int = 1000) -> AsyncIterator[Record]:
        found = (record for record in self._records() if record.intent.id > after and _wanted(record, where))
        for _, record in zip(range(limit), found, strict=False):
            yield record

    async def totals(self, where: Filter) -> Totals:
        settled = [figures(record) for record in self._settled_records(where)]
        return Totals(
            requests=len(settled),
            complete=sum(found.outcome is OutcomeKind.COMPLETE for found in settled),
            input_tokens=sum(found.input_tokens or 0 for found in settled),
            output_tokens=sum(found.output_tokens or 0 for found in settled),
            cost=NanoUSD(sum(found.cost or 0 for found in settled)),
            cost_unknown=sum(found.cost_unknown for found in settled),
        )

    async def usage(self, where: Filter, by: tuple[Dimension, ...]) -> tuple[UsageRow, ...]:
        groups: dict[tuple[str, ...], list[tuple[Record, Share, bool]]] = {}
        for record in self._settled_records(where):
            shares = figures(record).shares
            for number, share in enumerate(shares):
                for tag in sorted(set(record.intent.tags)) or [""] if Dimension.TAG in by else [""]:
                    keys = tuple(_word(dimension, record, share, tag) for dimension in by)
                    groups.setdefault(keys, []).append((record, share, number == len(shares) - 1))
        return tuple(_usage_row(keys, lines) for keys, lines in sorted(groups.items()))

    async def unsettled(self, before_ns: int) -> tuple[str, ...]:
        return tuple(record.intent.id for record in self._records() if record.outcome is None and record.intent.at_ns < before_ns)

    async def verify(self) -> VerifyReport:
        return walk(self._links)

    def statistics(self) -> Statistics:
        return Statistics(rows=self._kept, groups=self._kept + self._failed, failed=self._failed)

    async def change(self, *changes: Change) -> int:
        return await self._done(lambda: self._change(changes)) if changes else await self.revision()

    def _change(self, changes: tuple[Change, ...]) -> int:
        entries = [encode(change) for change in changes]
        revision, entities = self._replayed()
        check_basis(changes, revision)
        there: set[Name] = set(entities)
        seen = set(self._changes)
        for change in changes:
            if change.id in seen:
                raise already_otherwise("change", change.id)
            seen.add(change.id)
            name = key_of(change.entity)
            if change.action == "put":
                there.add(name)
            elif name in there:
                there.remove(name)
            else:
                raise removed_unseen(name)
        for entry in entries:
            self._changes[entry.id] = entry.body
            self._chain(entry)
        self._kept += len(entries)
        return revision + 1

    def _replayed(self) -> tuple[int, Mapping[Name, Entity]]:
        rows = [decode(body) for body in self._changes.values()]
        return replay([row for row in rows if isinstance(row, Change)])

    async def directory(self) -> tuple[int, tuple[Entity, ...]]:
        revision, entities = self._replayed()
        return revision, tuple(entities[name] for name in sorted(entities))

    async def revision(self) -> int:
        return self._replayed()[0]

    async def changes(self, *, after: str = "", limit: int = 1000) -> AsyncIterator[Change]:
        for id in [id for id in sorted(self._changes) if id > after][: max(0, limit)]:
            row = decode(self._changes[id])
            if isinstance(row, Change):
                yield row

    def reserve(self, id: str, lines: tuple[HoldLine, ...], *, expires_ns: int) -> asyncio.Future[tuple[str, ...]]:
        return self._done(lambda: self._reserve(id, lines, expires_ns))

    def _reserve(self, id: str, lines: tuple[HoldLine, ...], expires_ns: int) -> tuple[str, ...]:
        check_storable(id, expires_ns, *(part for line in lines for part in (line.budget, line.period_ns)))
        if any(line.amount < 0 for line in lines):
            raise LedgerError(f"The hold {id} has an amount below zero.")
        wanted: dict[tuple[str, int], int] = {}
        exceeded: dict[str, None] = {}
        for line in lines:
            account = (line.budget, line.period_ns)
            wanted[account] = wanted.get(account, 0) + line.amount
            taken = self._spending(account)
            if line.amount and line.limit is not None and taken.spent + taken.held + wanted[account] > line.limit:
                exceeded[line.budget] = None
        if not exceeded:
            self._holds += [(id, line, expires_ns) for line in lines]
        return tuple(exceeded)

    def settle(self, id: str, spent: tuple[SpendLine, ...]) -> asyncio.Future[None]:
        return self._done(lambda: self._settle(id, spent))

    def _settle(self, id: str, spent: tuple[SpendLine, ...]) -> None:
        check_storable(id, *(part for line in spent for part in (line.budget, line.period_ns)))
        if id in self._settled:
            return
        self._settled.add(id)
        self._holds = [hold for hold in self._holds if hold[0] != id]
        for line in spent:
            account = (line.budget, line.period_ns)
            self._spent[account] = self._spent.get(account, 0) + line.amount

    async def spending(self, wanted: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], Spending]:
        return {account: self._spending(account) for account in wanted}

    def _spending(self, account: tuple[str, int]) -> Spending:
        now_ns = self._now_ns()
        live = [line.amount for _, line, until in self._holds if (line.budget, line.period_ns) == account and until > now_ns]
        return Spending(self._spent.get(account, 0), sum(live))

    async def claim_alert(self, budget: str, period_ns: int, share: float) -> bool:
        return await self._done(lambda: self._claim(budget, period_ns, share))

    def _claim(self, budget: str, period_ns: int, share: float) -> bool:
        check_storable(budget, period_ns)
        if not math.isfinite(share):
            raise LedgerError(f"The alert of {budget} is at a share that is not a number.")
        alert = (budget, period_ns, share)
        first = alert not in self._alerts
        self._alerts.add(alert)
        return first

    async def put_document(self, document: Document) -> None:
        check_storable(document.kind, document.id, document.place, document.owner, document.created_ns, document.expires_ns)
        self._documents[document.kind, document.id] = document

    async def swap_document(self, document: Document, expected: bytes | None) -> bool:
        found = self._documents.get((document.kind, document.id))
        if (None if found is None else found.body) != expected:
            return False
        await self.put_document(document)
        return True

    async def document(self, kind: str, id: str, *, now_ns: int) -> Document | None:
        found = self._documents.get((kind, id))
        return found if found is not None and found.lives(now_ns) else None

    async def documents(
        self, kind: str, *, place: str, now_ns: int, after: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[Document, ...]:
        found = [one for _, one in sorted(self._documents.items()) if one.kind == kind and one.lives(now_ns)]
        beyond = [
            one
            for one in found
            if is_within(one.place, place) and (not after or (one.id < after if newest_first else one.id > after))
        ]
        return tuple(beyond[::-1] if newest_first else beyond)[: max(0, limit)]

    async def remove_document(self, kind: str, id: str) -> bool:
        return self._documents.pop((kind, id), None) is not None

    async def remove_documents(self, kind: str, *, owner: str) -> int:
        return self._forget(lambda document: (document.kind, document.owner) == (kind, owner))

    async def expire_documents(self, now_ns: int) -> int:
        return self._forget(lambda document: not document.lives(now_ns))

    def _forget(self, unwanted: Callable[[Document], bool]) -> int:
        gone = [name for name, document in self._documents.items() if unwanted(document)]
        for name in gone:
            del self._documents[name]
        return len(gone)

    def _records(self) -> Iterator[Record]:
        for request, bodies in sorted(self._bodies.items()):
            record = join([decode(body, self._content_keys.get(request, b"")) for body in bodies])
            if record is not None:
                yield record

    def _settled_records(self, where: Filter) -> Iterator[Record]:
        return (record for record in self._records() if record.outcome is not None and _wanted(record, where))


def _wanted(record: Record, where: Filter) -> bool:
    intent = record.intent
    tried = [attempt.deployment for attempt in record.outcome.attempts] if record.outcome else []
    return (
        (where.since_ns is None or intent.at_ns >= where.since_ns)
        and (where.until_ns is None or intent.at_ns < where.until_ns)
        and (where.key_id is None or intent.key_id == where.key_id)
        and (where.place is None or is_within(intent.place, where.place))
        and (where.owner is None or intent.owner == where.owner)
        and (where.tag is None or where.tag in intent.tags)
        and (where.deployment is None or where.deployment in (tried or [""]))
    )


def _word(dimension: Dimension, record: Record, share: Share, tag: str) -> str:
    intent, outcome = record.intent, record.outcome
    organisation, team, project = levels(intent.place)
    day = (_EPOCH + timedelta(days=intent.at_ns // DAY_NS)).date().isoformat()
    words = {
        Dimension.PLACE: intent.place,
        Dimension.ORGANISATION: organisation,
        Dimension.TEAM: team,
        Dimension.PROJECT: project,
        Dimension.KEY: intent.key_id,
        Dimension.OWNER: intent.owner,
        Dimension.TAG: tag,
        Dimension.DEPLOYMENT: share.deployment,
        Dimension.MODEL: share.model,
        Dimension.TIER: share.tier,
        Dimension.ZONE: share.zone,
        Dimension.DIALECT: intent.decision.ask.dialect.value,
        Dimension.OPERATION: intent.decision.ask.operation.value,
        Dimension.OUTCOME: outcome.kind.value if outcome else "",
        Dimension.DAY: day,
        Dimension.MONTH: day[:7],
        Dimension.CACHED: "true" if outcome and outcome.cached else "false",
    }
    return words[dimension]


def _usage_row(keys: tuple[str, ...], lines: list[tuple[Record, Share, bool]]) -> UsageRow:
    completed = [record for record, _, last in lines if last and record.outcome and record.outcome.kind is OutcomeKind.COMPLETE]
    return UsageRow(
        keys=keys,
        requests=len({record.intent.id for record, _, _ in lines}),
        complete=len(completed),
        input_tokens=sum(share.input_tokens or 0 for _, share, _ in lines),
        output_tokens=sum(share.output_tokens or 0 for _, share, _ in lines),
        cost=NanoUSD(sum(share.cost or 0 for _, share, _ in lines)),
        cost_unknown=len({record.intent.id for record, share, _ in lines if share.cost is None}),
    )
