"""Rates: requests and tokens per minute, and requests at once, of a key and of every place above it.

Token buckets (RFC 2697's committed rate with a minute's burst). A request that comes a little too early waits its turn, key by key;
one that would wait too long is refused with the time to come back. State is local to the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType

from trimtab.core.accounts import Limits
from trimtab.core.errors import RateLimited
from trimtab.core.units import Clock
from trimtab.engine.limits.fair import FairQueue

_MINUTE = 60.0
Chain = Sequence[tuple[str, Limits]]
"""Who is limited, innermost first: ``("key:ID", limits)``, ``("place:acme/search", limits)``, ..."""


class _Bucket:
    """``level`` may go below zero: what a request turned out to use beyond its estimate is paid by those after it."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = float(per_minute)
        self._at = clock.monotonic()
        self._queue = FairQueue()
        self._amounts: dict[asyncio.Future[None], float] = {}
        self._server: asyncio.Task[None] | None = None

    def take(self, amount: float) -> None:
        self._level -= amount

    def wait_for(self, amount: float) -> float:
        """Seconds until ``amount`` can be taken. One that exceeds the whole bucket needs a full one."""
        now = self._clock.monotonic()
        self._level = min(self.per_minute, self._level + (now - self._at) * self.per_minute / _MINUTE)
        self._at = now
        missing = min(amount, self.per_minute) - self._level
        if missing <= 0 < self.per_minute:
            return 0.0
        return missing * _MINUTE / self.per_minute if self.per_minute else float("inf")

    async def acquire(self, tenant: str, amount: float, patience: float) -> None:
        """Take ``amount``, or raise :class:`TimeoutError` when that is not possible within ``patience`` seconds."""
        wait = self.wait_for(amount)
        if wait == 0.0 and not self._queue.size:
            self.take(amount)
            return
        if wait > patience:
            raise TimeoutError
        place = self._queue.join(tenant)
        self._amounts[place] = amount
        if self._server is None:
            self._server = asyncio.create_task(self._serve())
        try:
            async with asyncio.timeout(patience):
                await place
        except BaseException:
            if place.done() and not place.cancelled():
                self.take(-amount)  # served in the very moment in which it left
            raise
        finally:
            self._queue.leave(tenant, place)
            self._amounts.pop(place, None)

    async def _serve(self) -> None:
        """Serve whoever's turn it is, as soon as the bucket holds enough, until nobody waits."""
        try:
            while (place := self._queue.peek()) is not None:
                amount = self._amounts[place]
                if (wait := self.wait_for(amount)) > 0.0:
                    await self._clock.sleep(wait)
                elif self._queue.call():
                    self.take(amount)
        finally:
            self._server = None


class Rates:
    """``patience`` is the longest that a request may wait for its rate, seconds."""

    def __init__(self, clock: Clock, patience: float = 2.0) -> None:
        self._clock = clock
        self._patience = patience
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._at_once: dict[str, int] = {}

    def entered(self, chain: Chain, tokens: int) -> Ticket:
        """Entering the ticket takes one request and ``tokens`` from every bucket of ``chain``, or raises :class:`RateLimited`."""
        return Ticket(self, chain, tokens)

    async def enter(self, chain: Chain, ticket: Ticket) -> None:
        limited = [(who, limits.concurrency) for who, limits in chain if limits.concurrency is not None]
        for who, most in limited:
            if self._at_once.get(who, 0) >= most:
                raise _limited(who, f"{most} requests at once", 1.0)
        for who, _ in limited:
            self._at_once[who] = self._at_once.get(who, 0) + 1
        ticket.counted = tuple(who for who, _ in limited)
        try:
            await self._take(chain, ticket)
        except BaseException:
            self.leave(ticket)
            raise

    def leave(self, ticket: Ticket) -> None:
        """Settle the estimate with what was used, where that is known."""
        for who in ticket.counted:
            self._at_once[who] -= 1
            if not self._at_once[who]:
                del self._at_once[who]
        if ticket.used is not None:
            for bucket in ticket.buckets:
                bucket.take(ticket.used - ticket.tokens)

    async def _take(self, chain: Chain, ticket: Ticket) -> None:
        tenant = chain[0][0]
        deadline = self._clock.monotonic() + self._patience
        taken: list[tuple[_Bucket, float]] = []
        try:
            for who, limits in chain:
                for unit, per_minute, amount in (
                    ("requests", limits.requests_per_minute, 1.0),
                    ("tokens", limits.tokens_per_minute, float(ticket.tokens)),
                ):
                    if per_minute is None:
                        continue
                    bucket = self._bucket(who, unit, per_minute)
                    try:
                        await bucket.acquire(tenant, amount, max(0.0, deadline - self._clock.monotonic()))
                    except TimeoutError:
                        raise _limited(who, f"{per_minute} {unit} per minute", bucket.wait_for(amount)) from None
                    taken.append((bucket, amount))
                    if unit == "tokens":
                        ticket.buckets.append(bucket)
        except BaseException:
            for bucket, amount in taken:  # nothing was asked, so nothing was used
                bucket.take(-amount)
            raise

    def _bucket(self, who: str, unit: str, per_minute: int) -> _Bucket:
        held = self._buckets.get((who, unit))
        if held is None or held.per_minute != per_minute:
            held = self._buckets[who, unit] = _Bucket(per_minute, self._clock)
        return held


class Ticket:
    """What was taken, and from whom. Its holder tells what was really ``used``, so that an estimate that was too low is made up for."""

    def __init__(self, rates: Rates, chain: Chain, tokens: int) -> None:
        self.tokens = tokens
        self.used: int | None = None
        self.buckets: list[_Bucket] = []
        self.counted: tuple[str, ...] = ()
        self._rates = rates
        self._chain = chain

    async def __aenter__(self) -> Ticket:
        if self._chain:
            await self._rates.enter(self._chain, self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._chain:
            self._rates.leave(self)


def _limited(who: str, what: str, seconds: float) -> RateLimited:
    kind, _, name = who.partition(":")
    whose = "This key" if kind == "key" else f"The place {name or '(all)'}"
    return RateLimited(
        f"{whose} may make {what}.",
        retry_after=min(seconds, _MINUTE),
        hint="Come back when Retry-After says, or ask for a higher limit.",
    )
