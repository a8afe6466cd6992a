"""What every backend promises. ``lab.check_store`` holds each implementation to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

from msgspec import Struct

from trimtab.core.record import Record, Row
from trimtab.core.units import NanoUSD


class Filter(Struct, frozen=True, kw_only=True):
    """Which records; ``None`` means any. Times are nanoseconds since the epoch, ``until_ns`` exclusive."""

    since_ns: int | None = None
    until_ns: int | None = None
    key_id: str | None = None


class Totals(Struct, frozen=True, kw_only=True):
    """Sums over outcomes. ``cost`` adds what is known; ``cost_unknown`` counts the requests whose cost is not."""

    requests: int = 0
    complete: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: NanoUSD = NanoUSD(0)
    cost_unknown: int = 0


class StoredKey(Struct, frozen=True):
    """A virtual key as kept: its SHA-256 digest, never itself."""

    id: str
    digest: bytes
    created_ns: int


class VerifyReport(Struct, frozen=True):
    """``first_bad`` is (writer, sequence number) of the first row that does not continue its writer's chain."""

    rows: int
    writers: int
    first_bad: tuple[str, int] | None = None
    reason: str = ""


class Ledger(Protocol):
    """The event log. Rows are only ever added."""

    def append(self, row: Row) -> Awaitable[None]:
        """Hand over a row at once, without waiting; awaiting the result waits for its commit.

        Rows of one process are committed in the order in which they were handed over, in groups. Appending the same row twice keeps
        one. Raises :class:`LedgerError` when the row cannot be kept.
        """

    async def get(self, id: str) -> Record | None: ...

    def scan(self, where: Filter, *, after: str = "", limit: int = 1000) -> AsyncIterator[Record]:
        """Records in order of id, from the first id greater than ``after``."""

    async def totals(self, where: Filter) -> Totals: ...

    async def verify(self) -> VerifyReport:
        """Re-derive every digest of every writer's chain."""


class Keys(Protocol):
    async def add_key(self, key: StoredKey) -> None: ...

    async def keys(self) -> tuple[StoredKey, ...]: ...
