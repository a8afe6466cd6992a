"""What every route works on."""

from __future__ import annotations

from msgspec import Struct

from trimtab.engine import AccountBook, Gate, Gateway
from trimtab.store import Store


class Site(Struct, frozen=True, kw_only=True):
    """One gateway as it is served. ``open_metrics``: are the metrics told to whoever asks, without a key?"""

    gateway: Gateway
    book: AccountBook
    gate: Gate
    store: Store
    max_body_bytes: int
    open_metrics: bool = False
