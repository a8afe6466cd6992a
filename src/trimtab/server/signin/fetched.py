"""Something that is fetched and kept for a while: asked for once however many wait, and not again at once when it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from trimtab.core.errors import SignInUnavailable
from trimtab.core.units import Clock

RESTING = 5.0
"""Seconds between two fetches at least, whoever asks and however the last one went."""

_STALE = 24 * 3600.0
"""Seconds for which a copy is better than none."""

T = TypeVar("T")


class Fetched(Generic[T]):
    """``fetch`` raises :class:`SignInUnavailable`."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._fetching = asyncio.Lock()
        self._value: T | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._failure: SignInUnavailable | None = None

    async def get(self, max_age: float) -> T:
        """A copy of at most ``max_age`` seconds, or the last one where there is no better. Raises :class:`SignInUnavailable`."""
        if (fresh := self._within(max_age)) is not None:
            return fresh
        async with self._fetching:
            if (fresh := self._within(max_age)) is not None:
                return fresh
            if self._clock.monotonic() - self._tried_at >= RESTING:
                await self._try()
        if (last := self._within(_STALE)) is not None:
            return last
        failure = self._failure
        # A new one each time: an error that is raised again and again gathers the frames of all who met it.
        raise SignInUnavailable(
            failure.message if failure else "The sign-in provider did not answer.", hint=failure.hint if failure else ""
        )

    async def _try(self) -> None:
        try:
            self._value = await self._fetch()
            self._fetched_at = self._clock.monotonic()
            self._failure = None
        except SignInUnavailable as failure:
            self._failure = failure.with_traceback(None)
        self._tried_at = self._clock.monotonic()

    def _within(self, age: float) -> T | None:
        return self._value if self._clock.monotonic() - self._fetched_at < age else None
