"""Everything around a batch but the far end: a gateway over scripted providers, a folder, and whichever store and clock a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct
from tests.support.fleet import deployment, gateway_of

from trimtab.core.accounts import Limits, VirtualKey
from trimtab.core.accounts.rights import ANY_SCOPE, NO_LIMITS
from trimtab.core.units import Clock, NanoUSD
from trimtab.engine import AccountBook, Caller
from trimtab.engine.access.edits import put
from trimtab.engine.batches import Batch, Carrier, Desk, Files, Queue, Resources, Runner
from trimtab.engine.clock import new_id
from trimtab.providers import Provider
from trimtab.store import Store

CALLER = Caller(key_id="key", line="key")


class Bench(Struct):
    """One process, as far as batches are concerned."""

    desk: Desk
    runner: Runner
    resources: Resources
    book: AccountBook

    async def loaded(self, batch: Batch) -> Batch:
        found = await self.resources.queue.load(batch.kind, batch.id)
        assert found is not None
        return found

    async def until_ended(self, batch: Batch, seconds: float = 48 * 3600) -> Batch:
        running = asyncio.create_task(self.runner.run())
        try:
            async with asyncio.timeout(seconds):
                while not (await self.loaded(batch)).status.has_ended:
                    await asyncio.sleep(5)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return await self.loaded(batch)

    async def hand_in(self, count: int) -> Batch:
        """A batch of ``count`` lines; each says its number."""
        id = self.desk.files.fresh("file-")
        async with self.desk.files.making(f"{id}.part") as part:
            part.write(b"".join(line(number) for number in range(count)))
            part.flush()
            await self.desk.files.publish(id, "lines.jsonl", "batch", CALLER)
        return await self.desk.create("/v1/chat/completions", id, None, CALLER)

    def rows(self, id: str) -> dict[int, dict[str, object]]:
        if not id:
            return {}
        found = [json.loads(row) for row in self.desk.files.path(id).read_text().splitlines()]
        rows = {int(row["custom_id"]): row for row in found}
        assert len(rows) == len(found)
        return rows


def line(number: int) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": f"line {number}"}]}
    row = {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(row).encode() + b"\n"


async def bench(
    folder: Path,
    clock: Clock,
    store: Store,
    provider: Provider,
    *,
    lanes: int = 4,
    lease_seconds: float = 15.0,
    budget: NanoUSD | None = None,
    limits: Limits = NO_LIMITS,
    busy: Callable[[], bool] = lambda: False,
    carriers: Mapping[str, Carrier] | None = None,
    hands_over: bool = True,
) -> Bench:
    gateway = gateway_of([deployment("m")], provider, store=store, clock=clock, budget=budget)
    book = AccountBook(store, clock, new_id)
    await book.load()
    admin = await book.ensure_bootstrap(bytes(32), "test")
    if "key" not in book.directory.keys:
        key = VirtualKey(id="key", digest=bytes(31) + b"k", place="", scope=ANY_SCOPE, limits=limits)
        await book.apply(book.actor(f"key:{admin.id}"), lambda _directory, _actor: put(key))
    files = Files(folder, store, clock, new_id, days=30, max_bytes=1 << 20)
    files.make()
    queue = Queue(store, clock, new_id(clock.time_ns()), lease_seconds=lease_seconds)
    resources = Resources(
        gateway=gateway,
        book=book,
        files=files,
        queue=queue,
        clock=clock,
        places=asyncio.Semaphore(lanes),
        lanes=lanes,
        busy=busy,
        longest=1 << 16,
        carriers=carriers or {},
        hands_over=hands_over,
    )
    runner = Runner(resources)
    return Bench(Desk(files, queue, clock, days=30, wake=runner.wake), runner, resources, book)
