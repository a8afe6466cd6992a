"""Where clients hand in batches, ask after them and call them off. Nothing is run here, and no protocol is spoken."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from trimtab.core.errors import Conflict, NotFound
from trimtab.core.units import DAY_NS, Clock
from trimtab.engine.batches.files import KIND as FILE
from trimtab.engine.batches.files import Files
from trimtab.engine.batches.queue import Queue
from trimtab.engine.batches.running.lines import MAX_LINES
from trimtab.engine.batches.values import KINDS, WINDOW_NS, Batch, Flavour, KeptFile, Status
from trimtab.engine.caller import Caller
from trimtab.store import Document
from trimtab.wire.batches import MESSAGES, read_requests

_PREFIX: dict[Flavour, str] = {"openai": "batch_", "anthropic": "msgbatch_"}


class Desk:
    """``wake`` tells whoever works that there is something new about a batch; ``days`` is how long a batch and its results are kept."""

    def __init__(self, files: Files, queue: Queue, clock: Clock, *, days: int, wake: Callable[[str], None]) -> None:
        self.files = files
        self._queue = queue
        self._clock = clock
        self._days = days
        self._wake = wake

    def _new(self, flavour: Flavour, endpoint: str, caller: Caller) -> Batch:
        now = self._clock.time_ns()
        return Batch(
            id=self.files.fresh(_PREFIX[flavour]),
            flavour=flavour,
            endpoint=endpoint,
            caller=replace(caller, scope=None, chain=(), trace=""),
            created_ns=now,
            until_ns=now + WINDOW_NS,
            kept_until_ns=now + max(WINDOW_NS + DAY_NS, self._days * DAY_NS),
            reached={Status.VALIDATING: now},
        )

    async def create(
        self, endpoint: str, input_file: str, metadata: dict[str, str] | None, caller: Caller, *, seconds: int | None = None
    ) -> Batch:
        """A batch over a file of the caller's place; its results are kept for ``seconds``. Raises :class:`NotFound`."""
        await self.files.load(input_file, caller.place)
        batch = replace(self._new("openai", endpoint, caller), input_file=input_file, metadata=metadata, output_seconds=seconds)
        await asyncio.to_thread(_keep, self.files.path(input_file), self.files.path(f"{batch.id}.input"))
        return await self._add(batch)

    async def create_messages(self, body: bytes, headers: tuple[tuple[str, str], ...], caller: Caller) -> Batch:
        """A batch of Anthropic's. Raises :class:`MalformedRequest`."""
        lines = [*await asyncio.to_thread(read_requests, body, MAX_LINES)]
        batch = self._new("anthropic", MESSAGES, caller).at(Status.IN_PROGRESS, self._clock.time_ns())
        await self._write(lines, f"{batch.id}.input")
        return await self._add(replace(batch, headers=headers, total=len(lines)))

    async def _write(self, lines: list[bytes], name: str) -> None:
        async with self.files.making(f"{name}.part") as part:
            await asyncio.to_thread(part.writelines, lines)
            await asyncio.to_thread(part.flush)
            self.files.path(f"{name}.part").replace(self.files.path(name))

    async def _add(self, batch: Batch) -> Batch:
        await self._queue.add(batch)
        self._wake(batch.id)
        return batch

    async def load(self, flavour: Flavour, id: str, place: str) -> Batch:
        """Raises :class:`NotFound`, also for a batch of another place."""
        batch = await self._queue.load(KINDS[flavour], id)
        if batch is None or batch.caller.place != place:
            raise NotFound(
                "No such batch is kept here.", hint=f"Batches are kept for {self._days} days, for the project that handed them in."
            )
        return batch

    async def cancel(self, flavour: Flavour, id: str, place: str) -> Batch:
        """Lines under way are finished, others are not begun. Raises :class:`NotFound`, and :class:`Conflict` where it has ended."""
        await self.load(flavour, id, place)

        def change(now: Batch) -> Batch:
            if now.status in (Status.VALIDATING, Status.IN_PROGRESS):
                return now.at(Status.CANCELLING, self._clock.time_ns())
            if now.status in (Status.CANCELLING, Status.CANCELLED):
                return now
            raise Conflict(f"The batch is {now.status} and cannot be cancelled.", hint="Its results can be fetched.")

        batch = await self._queue.edit(KINDS[flavour], id, change)
        await self._queue.rest(id, 1)
        self._wake(id)
        return batch or await self.load(flavour, id, place)

    async def remove(self, flavour: Flavour, id: str, place: str) -> None:
        """Forget a batch that has ended, and its results. Raises :class:`NotFound` and :class:`Conflict`."""
        batch = await self.load(flavour, id, place)
        if not batch.status.has_ended:
            raise Conflict("The batch is under way and cannot be deleted.", hint="Cancel it first.")
        await self._queue.remove(batch)
        if batch.output:
            self.files.path(batch.output).unlink(missing_ok=True)

    async def batches(
        self, flavour: Flavour, place: str, *, after: str, limit: int, newest_first: bool = True
    ) -> tuple[list[Batch], bool]:
        found, more = await self._queue.page(KINDS[flavour], place, after=after, limit=limit, newest_first=newest_first)
        return [msgspec.json.decode(one.body, type=Batch) for one in found], more

    async def kept_files(
        self, place: str, *, after: str, limit: int, newest_first: bool, purpose: str | None
    ) -> tuple[list[KeptFile], bool]:
        def wanted(document: Document) -> bool:
            return purpose is None or msgspec.json.decode(document.body, type=KeptFile).purpose == purpose

        found, more = await self._queue.page(FILE, place, after=after, limit=limit, newest_first=newest_first, also=wanted)
        return [msgspec.json.decode(one.body, type=KeptFile) for one in found], more


def _keep(file: Path, input: Path) -> None:
    """The input stays what it is, whatever becomes of the file: a file is written once and never changed."""
    try:
        os.link(file, input)
    except FileNotFoundError:
        raise NotFound("The file is not there any more.", param="input_file_id", hint="Bring it again.") from None
    except OSError:  # a file system without links
        shutil.copyfile(file, input)
