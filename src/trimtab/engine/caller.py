"""Who asks, and what their headers said beside the body."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from trimtab.core.accounts import Limits, Scope
from trimtab.core.decision import LatencyClass
from trimtab.core.zones import Sensitivity


class CacheUse(StrEnum):
    """``no-store``: the answer is neither looked for in the cache nor kept there. ``refresh``: it is kept, and made anew."""

    NORMAL = "normal"
    NO_STORE = "no-store"
    REFRESH = "refresh"


class Caller(Struct, frozen=True, kw_only=True):
    """``line`` is what the key and all its rotations have in common: budgets go by it. ``chain`` has whoever limits the caller's rates,
    innermost first. Labels raise a request's sensitivity; ``lowered`` classes are taken away where ``scope`` allows that.

    ``seconds`` is how long the caller waits for the whole of the answer, over all attempts; ``None`` where they did not say.
    ``trace`` is the W3C ``traceparent`` that the request came with.
    """

    key_id: str
    line: str
    place: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    scope: Scope | None = None
    chain: tuple[tuple[str, Limits], ...] = ()
    labels: frozenset[Sensitivity] = frozenset()
    lowered: frozenset[Sensitivity] = frozenset()
    latency: LatencyClass = LatencyClass.INTERACTIVE
    task: str | None = None
    seconds: float | None = None
    trace: str = ""
    cache: CacheUse = CacheUse.NORMAL
