"""Who is calling, how many at once, and what may be spent.

Keys are known by their SHA-256 digest alone. A budget is held before the call and settled after it, so that requests under way count.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from trimtab.core.decision import LatencyClass
from trimtab.core.errors import Overloaded, Unauthenticated
from trimtab.core.units import Clock, NanoUSD
from trimtab.core.zones import Sensitivity
from trimtab.store import Filter, Ledger, StoredKey

KEY_PREFIX = "tt-"
_DAY_NS = 86_400 * 1_000_000_000


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks, and what their headers said beside the body. Labels raise a request's sensitivity and never lower it.

    ``seconds`` is how long the caller waits for the whole of the answer, over all attempts; ``None`` where they did not say.
    """

    key_id: str
    labels: frozenset[Sensitivity] = frozenset()
    latency: LatencyClass = LatencyClass.INTERACTIVE
    task: str | None = None
    seconds: float | None = None


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def new_key() -> str:
    """256 random bits: its digest needs no salt and no slow hash."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


class Admission:
    """Knows the keys, and how many requests are under way."""

    def __init__(self, keys: Iterable[StoredKey], max_concurrency: int) -> None:
        self._by_digest = {key.digest: key for key in keys}
        self._max_concurrency = max_concurrency
        self._under_way = 0

    @property
    def under_way(self) -> int:
        return self._under_way

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Count a request as under way. Raises :class:`Overloaded` when there are too many: a clear no beats a slow one."""
        if self._under_way >= self._max_concurrency:
            raise Overloaded(
                f"{self._under_way} requests are under way and no more are taken.",
                hint="Try again in a moment, or raise [server] max_concurrency.",
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def authenticate(self, presented: str | None) -> str:
        """The id of the presented key, or :class:`Unauthenticated`."""
        if not presented:
            raise Unauthenticated(
                "No API key was sent.",
                hint="Send 'Authorization: Bearer tt-...' (or 'x-api-key: tt-...'); 'trimtab up' prints the key.",
            )
        offered = digest(presented)
        held = self._by_digest.get(offered)
        if held is None or not hmac.compare_digest(held.digest, offered):
            raise Unauthenticated("That API key is not known here.", hint="'trimtab up' prints the key that this gateway takes.")
        return held.id


class Budget:
    """What may be spent per day (UTC). ``limit`` ``None`` is no limit. Holds of requests under way count as spent."""

    def __init__(self, limit: NanoUSD | None, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._day = 0
        self._spent = 0
        self._held = 0

    async def load(self, ledger: Ledger) -> None:
        """Start from what the log says was spent today."""
        self._day = self._clock.time_ns() // _DAY_NS
        if self._limit is not None:
            self._spent = (await ledger.totals(Filter(since_ns=self._day * _DAY_NS))).cost

    def left(self) -> NanoUSD | None:
        if self._limit is None:
            return None
        today = self._clock.time_ns() // _DAY_NS
        if today != self._day:
            self._day, self._spent = today, 0
        return NanoUSD(max(0, self._limit - self._spent - self._held))

    def hold(self, amount: int) -> int:
        self._held += amount
        return amount

    def settle(self, held: int, actual: NanoUSD | None) -> None:
        """Give back the hold and count the cost; where that is unknown the hold itself is counted."""
        self._held -= held
        self._spent += held if actual is None else actual
