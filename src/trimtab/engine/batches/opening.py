"""Puts the desk and the runner together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from trimtab.catalog import ProviderRow
from trimtab.config import Batches
from trimtab.engine.access import AccountBook
from trimtab.engine.batches.desk import Desk
from trimtab.engine.batches.files import Files
from trimtab.engine.batches.queue import Queue
from trimtab.engine.batches.running import Carrier, Resources, Runner
from trimtab.engine.clock import new_id
from trimtab.engine.gateway import Gateway
from trimtab.net import Egress
from trimtab.providers.batches import batches_for
from trimtab.store import Documents

LEASE_SECONDS = 15.0
"""How long after the death of a process another one takes over its batches."""


def carriers_of(gateway: Gateway, rows: Mapping[str, ProviderRow], egress: Egress) -> dict[str, Carrier]:
    """The deployments whose provider has batches at a discount. That holds at the provider's own address alone, as its price list does."""
    carriers = {}
    for id, deployment in gateway.deployments.items():
        row = rows[deployment.provider]
        batches = batches_for(row, egress)
        if batches is None or row.batch is None or deployment.base_url != row.base_url.rstrip("/"):
            continue
        price = deployment.price.at(row.batch.price_percent) if deployment.price else None
        carriers[id] = Carrier(replace(deployment, price=price), batches)
    return carriers


@asynccontextmanager
async def batching(
    settings: Batches,
    folder: Path,
    gateway: Gateway,
    book: AccountBook,
    documents: Documents,
    *,
    carriers: Mapping[str, Carrier],
    busy: Callable[[], bool],
    longest: int,
) -> AsyncIterator[Desk]:
    """Run what is in the queue while inside; a batch that is under way on leaving goes on where it was, here or elsewhere.

    ``busy`` says that interactive requests need the room; ``longest`` is the longest line, bytes.
    """
    clock = gateway.recorder.clock
    files = Files(folder, documents, clock, new_id, days=settings.keep_days, max_bytes=settings.max_file_bytes)
    files.make()
    queue = Queue(documents, clock, new_id(clock.time_ns()), lease_seconds=LEASE_SECONDS)
    resources = Resources(
        gateway=gateway,
        book=book,
        files=files,
        queue=queue,
        clock=clock,
        places=asyncio.Semaphore(settings.concurrency),
        lanes=settings.concurrency,
        busy=busy,
        longest=longest,
        carriers=carriers,
        hands_over=settings.provider == "auto",
    )
    runner = Runner(resources)
    running = asyncio.create_task(runner.run())
    try:
        yield Desk(files, queue, clock, days=settings.keep_days, wake=runner.wake)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
