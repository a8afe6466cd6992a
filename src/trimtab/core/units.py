"""Tokens, money, prices, deadlines and the shape of a clock.

Money is an integer count of nano-USD: exact to 9.2 billion USD in a signed 64-bit sum. Unknown is ``None`` and never 0.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NewType, Protocol

from msgspec import Struct

NanoUSD = NewType("NanoUSD", int)
USD = 1_000_000_000
"""Nano-USD in one USD."""


SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS


def usd(amount: NanoUSD | int | None) -> str:
    """Six decimals for people; an unknown amount says so."""
    return "unknown" if amount is None else f"${amount / USD:.6f}"


def iso(at_ns: int) -> str:
    """A moment, in nanoseconds since the epoch, as RFC 3339 writes it: UTC, the second that it lies in."""
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens of one attempt, as the provider counted them (OpenTelemetry ``gen_ai.usage.*``).

    ``input`` includes what was read from and written to the provider's cache; ``output`` includes ``reasoning``.
    ``None`` is unknown. ``estimated`` marks counts that we made because the provider sent none.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=_plus(self.input, other.input),
            output=_plus(self.output, other.output),
            cache_read=_plus(self.cache_read, other.cache_read),
            cache_write=_plus(self.cache_write, other.cache_write),
            reasoning=_plus(self.reasoning, other.reasoning),
            estimated=self.estimated or other.estimated,
        )


class PriceStep(Struct, frozen=True, kw_only=True):
    """The rates of a request whose input exceeds ``over`` tokens; they hold for all of its tokens, not only for those beyond."""

    over: int
    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None


class Price(Struct, frozen=True, kw_only=True):
    """List price in nano-USD per million tokens, with the version of the list it came from.

    A missing cache price means that cached tokens are charged as plain input. ``steps`` rise with ``over``; the last that applies holds.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    version: str
    steps: tuple[PriceStep, ...] = ()

    def cost(self, usage: Usage) -> NanoUSD | None:
        """What ``usage`` costs, rounded half up; ``None`` when the tokens are unknown."""
        if usage.input is None or usage.output is None:
            return None
        rates: Price | PriceStep = self
        for step in self.steps:
            if usage.input > step.over:
                rates = step
        read, write = usage.cache_read or 0, usage.cache_write or 0
        per_million = (
            max(0, usage.input - read - write) * rates.input
            + read * (rates.input if rates.cache_read is None else rates.cache_read)
            + write * (rates.input if rates.cache_write is None else rates.cache_write)
            + usage.output * rates.output
        )
        return NanoUSD((per_million + 500_000) // 1_000_000)

    def at(self, percent: int) -> Price:
        """The same list with every rate at ``percent`` of itself: what a provider's batches cost. Its version says so."""

        def share(rate: int) -> int:
            return (rate * percent + 50) // 100

        def shared(rate: int | None) -> int | None:
            return None if rate is None else share(rate)

        return Price(
            input=share(self.input),
            output=share(self.output),
            cache_read=shared(self.cache_read),
            cache_write=shared(self.cache_write),
            version=f"{self.version}, batch at {percent} %",
            steps=tuple(
                PriceStep(
                    over=step.over,
                    input=share(step.input),
                    output=share(step.output),
                    cache_read=shared(step.cache_read),
                    cache_write=shared(step.cache_write),
                )
                for step in self.steps
            ),
        )


FREE = Price(input=0, output=0, version="free")
"""The price of a model on one's own machine, per token. What the machine costs is the total-cost report's affair."""


class Clock(Protocol):
    """Where time comes from. The engine has the real one, ``lab`` a manual one."""

    def monotonic(self) -> float:
        """Seconds that never run backwards: for time-outs and latencies."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, UTC: for the record."""

    async def sleep(self, seconds: float) -> None: ...


class Deadline(Struct, frozen=True):
    """The moment, on the clock's monotonic scale, after which nobody waits any more. It is carried, never restarted."""

    at: float

    def remaining(self, now: float) -> float:
        return max(0.0, self.at - now)

    def capped(self, now: float, seconds: float) -> Deadline:
        """The earlier of this deadline and ``seconds`` from now."""
        return Deadline(min(self.at, now + seconds))


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds that one attempt may spend in each phase."""

    connect: float = 5.0
    first_token: float = 60.0
    idle: float = 30.0
    total: float = 600.0
