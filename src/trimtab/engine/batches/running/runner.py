"""Takes batches off the queue, oldest first, and sees to it that each is worked on by one process at a time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from trimtab.core.errors import LedgerError
from trimtab.engine.batches.queue import Job
from trimtab.engine.batches.running.work import Shop, Work
from trimtab.engine.batches.values import SECOND_NS
from trimtab.telemetry import log

_POLL_SECONDS = 1.0
_BROKEN_SECONDS = 60
_SWEEP_SECONDS = 600.0


class Runner:
    """At most ``shop.lanes`` batches are worked on at once: more would only share the same places."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._work: dict[str, tuple[Work, asyncio.Task[None]]] = {}
        self._woken = asyncio.Event()
        self._sweep_at = 0.0

    def wake(self, id: str) -> None:
        """There is something new to do about a batch."""
        if id in self._work:
            self._work[id][0].nudge()
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled; then lines under way are cancelled too, and the leases given back."""
        try:
            while True:
                try:
                    await self._round()
                except LedgerError as error:
                    log(__name__, "the queue of batches cannot be read", level=logging.WARNING, reason=error.message)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._woken.wait()
                self._woken.clear()
        finally:
            tasks = [task for _, task in self._work.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _round(self) -> None:
        for id, (work, task) in [*self._work.items()]:
            if task.done():
                del self._work[id]
                await self._look_at(work.job, task)
        if self._shop.clock.monotonic() >= self._sweep_at:
            self._sweep_at = self._shop.clock.monotonic() + _SWEEP_SECONDS
            await self._shop.files.sweep()
        while len(self._work) < self._shop.lanes:
            job = await self._shop.queue.claim(self._work)
            if job is None:
                return
            work = Work(self._shop, job)
            task = asyncio.create_task(work.run())
            task.add_done_callback(lambda _: self._woken.set())
            self._work[job.id] = work, task

    async def _look_at(self, job: Job, task: asyncio.Task[None]) -> None:
        """A fault of our own stops one batch for a while, and no other."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log(__name__, "a batch could not be worked on", level=logging.ERROR, batch=job.id, error=error)
            await self._shop.queue.rest(job.id, self._shop.clock.time_ns() + _BROKEN_SECONDS * SECOND_NS)
