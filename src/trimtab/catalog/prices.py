"""List prices per provider and model, generated from genai-prices by ``tools/generate_prices.py``.

A row without a price is there on purpose: it keeps a broader rule below it from pricing what has no plain price (a price that changes
with the hour, say). Such a model, like one that no row matches, has no price here, which is never the price 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import msgspec
from msgspec import Struct

from trimtab.catalog.load import read_data
from trimtab.core.units import Price, PriceStep


class Rates(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Nano-USD per million tokens."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    steps: tuple[PriceStep, ...] = ()


class PriceRow(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which model names the row is for, in lower case, and their price, or ``unpriced``: why there is none."""

    equals: tuple[str, ...] = ()
    starts_with: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    price: Rates | None = None
    unpriced: str = ""

    def matches(self, model: str) -> bool:
        return (
            model in self.equals
            or model.startswith(self.starts_with)
            or model.endswith(self.ends_with)
            or any(part in model for part in self.contains)
            or any(re.search(pattern, model) for pattern in self.regex)
        )


class PriceList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``version`` goes into every record that is priced by the list. In each provider's rows the first match counts."""

    version: str
    source: str
    as_of: str
    providers: Mapping[str, tuple[PriceRow, ...]]


@cache
def price_list() -> PriceList:
    return msgspec.json.decode(read_data("prices.json"), type=PriceList)


@cache
def price(provider: str, model: str) -> Price | None:
    """What ``model`` costs at ``provider`` by the list; ``None`` when the list does not say."""
    prices = price_list()
    name = model.lower()
    row = next((row for row in prices.providers.get(provider, ()) if row.matches(name)), None)
    if row is None or row.price is None:
        return None
    rates = row.price
    return Price(
        input=rates.input,
        output=rates.output,
        cache_read=rates.cache_read,
        cache_write=rates.cache_write,
        version=prices.version,
        steps=rates.steps,
    )
