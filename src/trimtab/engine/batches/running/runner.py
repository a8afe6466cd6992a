"""Takes batches off the queue, oldest first, and sees to it that each is worked on by one process at a time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from trimtab.core.errors import LedgerError
from trimtab.core.units import SECOND_NS
from trimtab.engine.batches.queue import Job
from trimtab.engine.batches.running.work import Resources, Work
from trimtab.telemetry import log

_POLL_SECONDS = 1.0
_BROKEN_SECONDS = 60
_SWEEP_SECONDS = 600.0


class Runner:
    """At most ``resources.lanes`` batches are worked on at once: more would only share the same places."""

    def __init__(self, resources: Resources) -> None:
        self._with = resources
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
            for _, task in self._work.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._work.values()), return_exceptions=True)
            await asyncio.gather(*(work.let_go() for work, _ in self._work.values()))

    async def _round(self) -> None:
        for id, (work, task) in [*self._work.items()]:
            if task.done():
                await work.let_go()
                del self._work[id]
                await self._look_at(work.job, task)
        if self._with.clock.monotonic() >= self._sweep_at:
            self._sweep_at = self._with.clock.monotonic() + _SWEEP_SECONDS
            await self._with.files.sweep()
        while len(self._work) < self._with.lanes:
            job = await self._claimed()
            if job is None:
                return
            work = Work(self._with, job)
            task = asyncio.create_task(work.run())
            task.add_done_callback(lambda _: self._woken.set())
            self._work[job.id] = work, task

    async def _claimed(self) -> Job | None:
        """Cancelled in the middle, it gives back what it got: a lease that nobody here knows of would keep the batch from everybody."""
        claim = asyncio.create_task(self._with.queue.claim(self._work))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            with suppress(LedgerError):
                if (job := await claim) is not None:
                    await self._with.queue.release(job)
            raise

    async def _look_at(self, job: Job, task: asyncio.Task[None]) -> None:
        """A fault of our own stops one batch for a while, and no other."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log(__name__, "a batch could not be worked on", level=logging.ERROR, batch=job.id, error=error)
            await self._with.queue.rest(job.id, self._with.clock.time_ns() + _BROKEN_SECONDS * SECOND_NS)
