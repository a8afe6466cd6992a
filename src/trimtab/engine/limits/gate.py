"""How many requests are under way at once. Beyond that they wait a moment, tenant by tenant, and then get a clear no."""

from __future__ import annotations

import asyncio

from trimtab.core.errors import Overloaded
from trimtab.engine.limits.fair import FairQueue

_WAITING_PER_PLACE = 4
"""As many may wait as fit four times: a longer line is only a slower no."""


class Gate:
    """``seconds`` is how long a request may wait for its turn; 0 refuses at once."""

    def __init__(self, capacity: int, seconds: float = 0.0) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._queue = FairQueue()
        self.under_way = 0

    @property
    def waiting(self) -> int:
        return self._queue.size

    async def enter(self, tenant: str) -> None:
        """Count a request of ``tenant`` as under way until :meth:`leave`. Raises :class:`Overloaded` when there is no room in time."""
        if self.under_way >= self._capacity or self._queue.size:
            await self._turn(tenant)
        else:
            self.under_way += 1

    def leave(self) -> None:
        # The room goes to whoever is next without ever being free: nobody slips in between.
        if not (self._queue.size and self._queue.call()):
            self.under_way -= 1

    async def _turn(self, tenant: str) -> None:
        if self._seconds <= 0 or self._queue.size >= self._capacity * _WAITING_PER_PLACE:
            raise self._full()
        place = self._queue.join(tenant)
        try:
            async with asyncio.timeout(self._seconds):
                await place
        except TimeoutError:
            if place.done() and not place.cancelled():
                return  # called in the very moment
            raise self._full() from None
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise
        finally:
            self._queue.leave(tenant, place)

    def _full(self) -> Overloaded:
        return Overloaded(
            f"{self.under_way} requests are under way and no more are taken.",
            hint="Try again in a moment, or raise [server] max_concurrency.",
        )
