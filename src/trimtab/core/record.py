"""The rows of the event log: an intent, an outcome, a correction, a change of the accounts. Rows are only ever added.

The engine makes ids and times; the store inserts as is and chains each writer's rows by digest.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from trimtab.core.accounts import Change
from trimtab.core.catalog import Tier
from trimtab.core.decision import Decision
from trimtab.core.errors import FailureKind
from trimtab.core.units import NanoUSD, Usage


class OutcomeKind(StrEnum):
    """``complete``: the client was given all of it. ``partial``: an error after content. ``cancelled``: the client left."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class Attempt(Struct, frozen=True, kw_only=True):
    """One upstream try. Times are nanoseconds since the epoch; latencies are microseconds from the attempt's start.

    ``cost`` is ``None`` when usage or price is unknown. ``price_version`` names the list that priced it. ``lost`` names the fields of
    the request that the deployment's dialect could not carry. ``credential`` tells which of several keys was used, by its place.
    """

    deployment: str
    model: str
    tier: Tier
    zone: str
    started_ns: int
    first_token_us: int | None = None
    total_us: int | None = None
    failure: FailureKind | None = None
    detail: str = ""
    upstream_status: int | None = None
    upstream_id: str = ""
    credential: str = ""
    finish_reason: str | None = None
    usage: Usage = Usage()
    cost: NanoUSD | None = None
    price_version: str | None = None
    lost: tuple[str, ...] = ()


class Intent(Struct, frozen=True, kw_only=True, tag="intent"):
    """Written when the first attempt starts. ``content_key`` is random per record and keys ``content_digest`` (keyed BLAKE2b, RFC 7693, of
    the client's body): the digest proves what was asked to whoever holds the body, and forgetting the key makes it mean nothing.
    """

    id: str
    at_ns: int
    key_id: str
    place: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    decision: Decision
    stream: bool
    content_digest: str
    content_key: bytes


class Outcome(Struct, frozen=True, kw_only=True, tag="outcome"):
    """Written when the last attempt ends. ``usage`` and ``cost`` are sums over the attempts; unknown stays unknown.

    ``cached``: the answer came from our own cache, so nobody was asked and nothing was used.
    """

    id: str
    at_ns: int
    kind: OutcomeKind
    attempts: tuple[Attempt, ...]
    usage: Usage
    cost: NanoUSD | None
    error: str = ""
    cached: bool = False


class Correction(Struct, frozen=True, kw_only=True, tag="correction"):
    """A later, better figure for an earlier row, with why. The earlier row stays."""

    id: str
    at_ns: int
    reason: str
    usage: Usage
    cost: NanoUSD | None


Row = Intent | Outcome | Correction | Change


class Record(Struct, frozen=True):
    """All rows of one request, joined for reading. ``outcome`` is ``None`` while it runs, or after a crash."""

    intent: Intent
    outcome: Outcome | None = None
    corrections: tuple[Correction, ...] = ()

    def public(self) -> Record:
        """The record without the key that gives its content digest a meaning."""
        return replace(self, intent=replace(self.intent, content_key=b""))
