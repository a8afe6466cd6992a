"""How the deployments are doing: breakers, rate limits, speed. The one piece of state that routing looks at.

The caller reports each attempt's start and end; ``snapshot`` gives ``decide`` a frozen value in which time has already been settled. It is
local to the process and forgets on restart. A breaker opens also for the only deployment there is: waiting for nothing helps nobody.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from trimtab.core.errors import FailureKind
from trimtab.core.record import Attempt
from trimtab.core.units import Clock

FAILURES_TO_OPEN = 3
COOL_SECONDS = 5.0
COOL_SECONDS_STANDING = 60.0
"""For what does not pass by itself: no credit, a bad key, a model or a region that is gone."""

MAX_COOL_SECONDS = 300.0
_STANDING = frozenset({FailureKind.QUOTA, FailureKind.CREDENTIAL, FailureKind.MODEL_GONE, FailureKind.REGION})
_NEW = 0.2  # the weight of a new observation in a moving average


class Door(Struct, frozen=True):
    """One deployment as ``decide`` sees it. ``refusal`` says why it cannot be used now; ``ttft`` is seconds, ``rate`` tokens per second."""

    refusal: str = ""
    ttft: float | None = None
    rate: float | None = None


_UNKNOWN = Door()


class FleetState(Struct, frozen=True):
    """A deployment that nobody has tried yet is in good health."""

    doors: Mapping[str, Door] = field(default_factory=dict)

    def door(self, deployment: str) -> Door:
        return self.doors.get(deployment, _UNKNOWN)


class Statistics(Struct, frozen=True, kw_only=True):
    """For metrics and the admin API."""

    refusal: str
    in_flight: int
    attempts: int
    failures: int
    ttft: float | None
    rate: float | None


class _Health:
    """``failures`` in a row; ``opened`` how often in a row the breaker has; ``why`` the kind of the last failure."""

    def __init__(self) -> None:
        self.in_flight = self.attempts = self.failed = 0
        self.failures = self.opened = self.limits = 0
        self.open_until = self.limited_until = 0.0
        self.why: FailureKind | None = None
        self.probing = False
        self.ttft: float | None = None
        self.rate: float | None = None

    def refusal(self, now: float) -> str:
        if now < self.limited_until:
            return "It has asked us to slow down (rate_limit)."
        if self.opened and now < self.open_until:
            return f"It is cooling down after {self.failures} failure{'s' if self.failures > 1 else ''} in a row ({self.why})."
        if self.opened and self.probing:
            return "It has failed before, and one request is trying it out."
        return ""

    def alive(self) -> None:
        self.failures = self.opened = self.limits = 0
        self.open_until = self.limited_until = 0.0
        self.why = None

    def limit(self, now: float, retry_after: float | None) -> None:
        self.limits += 1
        wait = min(2.0 ** min(self.limits, 9), MAX_COOL_SECONDS) if retry_after is None else min(retry_after, MAX_COOL_SECONDS)
        self.limited_until = max(self.limited_until, now + wait)

    def fail(self, kind: FailureKind, now: float, retry_after: float | None) -> None:
        self.failures += 1
        self.why = kind
        standing = kind in _STANDING
        if now < self.open_until or not (standing or self.opened or self.failures >= FAILURES_TO_OPEN):
            return
        cool = (COOL_SECONDS_STANDING if standing else COOL_SECONDS) * 2.0 ** min(self.opened, 9)
        self.open_until = now + min(max(cool, retry_after or 0.0), MAX_COOL_SECONDS)
        self.opened += 1

    def measure(self, attempt: Attempt) -> None:
        """A whole answer that came in one piece tells no time to first token; its rate is that of all its time."""
        if attempt.first_token_us is not None:
            self.ttft = _moved(self.ttft, attempt.first_token_us / 1e6)
        span = ((attempt.total_us or 0) - (attempt.first_token_us or 0)) / 1e6
        if span > 0.01 and attempt.usage.output is not None and attempt.usage.output > 1:
            self.rate = _moved(self.rate, (attempt.usage.output - 1) / span)


def _moved(average: float | None, seen: float) -> float:
    return seen if average is None else average + _NEW * (seen - average)


class Fleet:
    """Ask ``snapshot`` before deciding; call ``started`` and ``observe`` around every attempt, each exactly once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._health: dict[str, _Health] = {}
        self._state = FleetState()
        self._stale_at = 0.0

    def _of(self, deployment: str) -> _Health:
        return self._health.setdefault(deployment, _Health())

    def started(self, deployment: str) -> None:
        health = self._of(deployment)
        health.in_flight += 1
        health.attempts += 1
        if health.opened:
            health.probing = True
            self._stale_at = 0.0

    def answering(self, deployment: str) -> None:
        """An attempt has said its first content: whoever was trying the deployment out has found it well, however long it goes on."""
        health = self._of(deployment)
        if health.opened:
            health.probing = False
            health.alive()
            self._stale_at = 0.0

    def observe(self, attempt: Attempt, retry_after: float | None = None, *, blameless: bool = False) -> None:
        """Learn from an attempt that has ended. ``retry_after`` is what the upstream asked for, seconds.

        ``blameless``: it failed for a credential of which the deployment has another, or because its caller's own time was up, so nothing
        is known of the deployment.
        """
        health, now, kind = self._of(attempt.deployment), self._clock.monotonic(), attempt.failure
        health.in_flight -= 1
        health.probing = False
        if kind is not None:
            health.failed += 1
        if kind is FailureKind.RATE_LIMIT and not blameless:
            health.limit(now, retry_after)
        elif kind is not None and kind.cools and not blameless:
            health.fail(kind, now, retry_after)
        elif kind is not None and kind.clients_fault:
            health.alive()  # who says that a request is wrong is there
        elif kind is None and (attempt.first_token_us is not None or attempt.finish_reason is not None):
            health.alive()
            health.measure(attempt)
        self._stale_at = 0.0

    def snapshot(self) -> FleetState:
        """The state now. The same value is given until something changes or a cool-down ends."""
        now = self._clock.monotonic()
        if now >= self._stale_at:
            self._state = FleetState(
                {name: Door(health.refusal(now), health.ttft, health.rate) for name, health in self._health.items()}
            )
            ends = [end for health in self._health.values() for end in (health.open_until, health.limited_until) if end > now]
            self._stale_at = min(ends, default=float("inf"))
        return self._state

    def wait(self) -> float | None:
        """Seconds until the next deployment that rests may be tried again; ``None`` when none rests."""
        now = self._clock.monotonic()
        ends = [max(health.open_until, health.limited_until) for health in self._health.values() if health.refusal(now)]
        return max(0.0, min(ends) - now) if ends else None

    def statistics(self) -> Mapping[str, Statistics]:
        now = self._clock.monotonic()
        return {
            name: Statistics(
                refusal=health.refusal(now),
                in_flight=health.in_flight,
                attempts=health.attempts,
                failures=health.failed,
                ttft=health.ttft,
                rate=health.rate,
            )
            for name, health in sorted(self._health.items())
        }
