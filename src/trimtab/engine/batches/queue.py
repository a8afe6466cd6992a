"""Who works on which batch: a queue in the store, and leases on what stands in it.

A lease is a document that is swapped for the next: of several processes one gets it. A process that dies loses it when it is not renewed in
time; one that was only away for too long finds out when it renews, and writes nothing that anybody reads after that (see ``journal``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trimtab.core.errors import Conflict
from trimtab.core.units import SECOND_NS, Clock
from trimtab.engine.batches.values import Batch
from trimtab.store import Document, Documents

KIND = "batch_job"
_SWAPS = 20
_ORPHAN_NS = 60 * SECOND_NS


class Job(Struct, frozen=True, kw_only=True):
    """A batch that has not ended. ``epoch`` counts the leases there were; before ``rests_until_ns`` nobody need look at it."""

    id: str
    kind: str
    place: str
    created_ns: int
    kept_until_ns: int
    epoch: int = 0
    holder: str = ""
    until_ns: int = 0
    rests_until_ns: int = 0


class Queue:
    """``holder`` names this process, ``lease_seconds`` is how long it may be silent."""

    def __init__(self, documents: Documents, clock: Clock, holder: str, *, lease_seconds: float) -> None:
        self._documents = documents
        self._clock = clock
        self._holder = holder
        self._lease_ns = round(lease_seconds * SECOND_NS)

    # -- batches

    async def add(self, batch: Batch) -> None:
        job = Job(
            id=batch.id,
            kind=batch.kind,
            place=batch.caller.place,
            created_ns=batch.created_ns,
            kept_until_ns=batch.kept_until_ns,
        )
        # The job first: one without its batch is found and forgotten, a batch without its job would wait for ever.
        await self._documents.swap_document(_job_document(job), None)
        await self._documents.put_document(_document(batch))

    async def load(self, kind: str, id: str) -> Batch | None:
        held = await self._documents.document(kind, id, now_ns=self._clock.time_ns())
        return None if held is None else msgspec.json.decode(held.body, type=Batch)

    async def remove(self, batch: Batch) -> None:
        await self._documents.remove_document(batch.kind, batch.id)

    async def edit(self, kind: str, id: str, change: Callable[[Batch], Batch]) -> Batch | None:
        """Let ``change`` make another of the batch as it stands; called again where somebody else was quicker. ``None``: it is gone."""
        for _ in range(_SWAPS):
            held = await self._documents.document(kind, id, now_ns=self._clock.time_ns())
            if held is None:
                return None
            before = msgspec.json.decode(held.body, type=Batch)
            after = change(before)
            if after == before or await self._documents.swap_document(_document(after), held.body):
                return after
        raise Conflict("The batch was changed by others many times in a row.", hint="Try again in a moment.")

    async def page(
        self,
        kind: str,
        place: str,
        *,
        after: str,
        limit: int,
        newest_first: bool = True,
        also: Callable[[Document], bool] | None = None,
    ) -> tuple[list[Document], bool]:
        """At most ``limit`` documents of the place itself, and whether there are more."""
        found: list[Document] = []
        while True:
            some = await self._documents.documents(
                kind, place=place, now_ns=self._clock.time_ns(), after=after, limit=limit + 1, newest_first=newest_first
            )
            found += [one for one in some if one.place == place and (also is None or also(one))]
            if len(found) > limit or len(some) <= limit:
                return found[:limit], len(found) > limit
            after = some[-1].id

    # -- leases

    async def claim(self, taken: Collection[str]) -> Job | None:
        """The oldest job that nobody works on, with a lease for this process."""
        after = ""
        while True:
            now = self._clock.time_ns()
            held = await self._documents.documents(KIND, place="", now_ns=now, after=after)
            for document in held:
                job = msgspec.json.decode(document.body, type=Job)
                if job.id in taken or now < max(job.until_ns, job.rests_until_ns):
                    continue
                mine = replace(job, holder=self._holder, epoch=job.epoch + 1, until_ns=now + self._lease_ns)
                if await self._documents.swap_document(_job_document(mine), document.body):
                    return mine
            if not held:
                return None
            after = held[-1].id

    async def renew(self, job: Job) -> Job | None:
        """The lease, for longer; ``None`` when it is another's by now."""
        longer = replace(job, until_ns=self._clock.time_ns() + self._lease_ns)
        return longer if await self._swap(job, longer) else None

    async def release(self, job: Job, *, rests_until_ns: int = 0) -> None:
        await self._swap(job, replace(job, holder="", until_ns=0, rests_until_ns=rests_until_ns))

    async def rest(self, id: str, until_ns: int) -> None:
        """Let a job that nobody works on rest until then; 1 for no longer at all, since whatever it rested for may still be so."""
        held = await self._documents.document(KIND, id, now_ns=self._clock.time_ns())
        if held is not None:
            job = msgspec.json.decode(held.body, type=Job)
            if not job.holder:
                await self._swap(job, replace(job, rests_until_ns=until_ns))

    async def forget(self, job: Job) -> None:
        """The batch has ended."""
        await self._documents.remove_document(KIND, job.id)

    def is_orphan(self, job: Job) -> bool:
        """A job whose batch is not there: will it never be?"""
        return self._clock.time_ns() > job.created_ns + _ORPHAN_NS

    async def _swap(self, before: Job, after: Job) -> bool:
        return await self._documents.swap_document(_job_document(after), msgspec.json.encode(before))


def _document(batch: Batch) -> Document:
    return Document(
        kind=batch.kind,
        id=batch.id,
        place=batch.caller.place,
        owner=batch.caller.owner,
        created_ns=batch.created_ns,
        expires_ns=batch.kept_until_ns,
        body=msgspec.json.encode(batch, order="deterministic"),
    )


def _job_document(job: Job) -> Document:
    return Document(
        kind=KIND,
        id=job.id,
        place=job.place,
        created_ns=job.created_ns,
        expires_ns=job.kept_until_ns,
        body=msgspec.json.encode(job),
    )
