"""A store that forgets with its process: an ordinary member of the store's protocols, for tests and for trying things out.

It keeps the bytes that a database would keep, chained the same way, and works from them; so what holds here holds there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from trimtab.core.errors import LedgerError
from trimtab.core.record import Correction, Intent, Outcome, OutcomeKind, Record, Row
from trimtab.core.units import NanoUSD
from trimtab.store.base import Filter, Statistics, StoredKey, Totals, VerifyReport
from trimtab.store.chain import GENESIS, Link, link, walk
from trimtab.store.rows import Entry, already_otherwise, decode, encode, figures, join, not_yet

_WRITER = "memory"


class MemoryStore:
    """Implements :class:`trimtab.store.base.Store`. A row is kept at once, so every ``append`` is done when it returns."""

    def __init__(self) -> None:
        self._links: list[Link] = []
        self._bodies: dict[str, list[bytes]] = {}
        self._content_keys: dict[str, bytes] = {}
        self._virtual_keys: dict[str, StoredKey] = {}
        self._kept = self._failed = 0

    def append(self, row: Row) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._keep(encode(row))
        except LedgerError as error:
            self._failed += 1
            done.set_exception(error)
            # Asked for here, so that nothing is logged when nobody awaits it; whoever awaits it still gets it.
            done.exception()
        else:
            self._kept += 1
            done.set_result(None)
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
        if isinstance(entry.row, Intent):
            self._content_keys[entry.id] = entry.content_key
        self._bodies[entry.id] = [*bodies, entry.body]
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
        settled = [figures(record) for record in self._records() if record.outcome is not None and _wanted(record, where)]
        return Totals(
            requests=len(settled),
            complete=sum(found.outcome is OutcomeKind.COMPLETE for found in settled),
            input_tokens=sum(found.input_tokens or 0 for found in settled),
            output_tokens=sum(found.output_tokens or 0 for found in settled),
            cost=NanoUSD(sum(found.cost or 0 for found in settled)),
            cost_unknown=sum(found.cost is None for found in settled),
        )

    async def unsettled(self, before_ns: int) -> tuple[str, ...]:
        return tuple(record.intent.id for record in self._records() if record.outcome is None and record.intent.at_ns < before_ns)

    async def verify(self) -> VerifyReport:
        return walk(self._links)

    def statistics(self) -> Statistics:
        return Statistics(rows=self._kept, groups=self._kept + self._failed, failed=self._failed)

    async def add_key(self, key: StoredKey) -> None:
        if self._virtual_keys.setdefault(key.id, key) != key:
            raise LedgerError(f"There is another virtual key with the id {key.id}.", hint="Give the new key an id of its own.")

    async def keys(self) -> tuple[StoredKey, ...]:
        return tuple(key for _, key in sorted(self._virtual_keys.items()))

    def _records(self) -> Iterator[Record]:
        for request, bodies in sorted(self._bodies.items()):
            record = join([decode(body, self._content_keys.get(request, b"")) for body in bodies])
            if record is not None:
                yield record


def _wanted(record: Record, where: Filter) -> bool:
    at_ns = record.intent.at_ns
    return (
        (where.since_ns is None or at_ns >= where.since_ns)
        and (where.until_ns is None or at_ns < where.until_ns)
        and (where.key_id is None or record.intent.key_id == where.key_id)
    )
