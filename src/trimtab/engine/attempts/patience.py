"""One timer for a whole stream.

``asyncio.timeout`` makes a timer for every wait; a stream waits once per token. Here one timer is set and looks, when it rings, whether
anybody is still waiting for what it was set for. What is timed is each wait alone: time between waits belongs to whoever reads the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """For one task at a time. Call :meth:`rest` when there is nothing more to wait for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._until: float | None = None
        self._waiter: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    async def wait(self, awaited: Awaitable[T], seconds: float) -> T:
        """The result of ``awaited``, or ``TimeoutError`` after ``seconds``."""
        self._waiter = asyncio.current_task()
        self._until = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._until:
            self._set(self._until)
        try:
            return await awaited
        except asyncio.CancelledError:
            if self._expired and self._waiter is not None and self._waiter.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            self._until = None

    def rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float) -> None:
        self.rest()
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._until is None or self._waiter is None:
            return
        if self._loop.time() < self._until:
            self._set(self._until)
        else:
            self._expired = True
            self._waiter.cancel()
