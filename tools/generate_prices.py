"""Writes ``src/trimtab/catalog/data/prices.json`` from the installed genai-prices (a development dependency, MIT).

Run ``python -m tools.generate_prices``. The list has what holds at the day of generation: a price with a start date in the past is taken,
one that changes with the hour is left unpriced, and so is one with a unit that Trimtab does not count (characters, audio, images, a fee
per request). Prices that rise with the length of the input become steps. Half-price batches and service tiers are not base prices.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version
from pathlib import Path

import msgspec
from genai_prices import types as genai
from genai_prices.data import providers as genai_providers

from trimtab import catalog
from trimtab.catalog.prices import PriceList, PriceRow, Rates
from trimtab.core.units import USD, PriceStep

TARGET = Path(__file__).parent.parent / "src/trimtab/catalog/data/prices.json"
COUNTED = {"input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cache_read", "cache_write_mtok": "cache_write"}
# Units that no plain chat answer is charged by, or that are a variant of a counted one.
BESIDE = frozenset({"cache_write_1h_mtok", "web_searches_kcount", "storage_searches_kcount"})


class Unpriced(Exception):
    """The model has no price that fits; the message says why."""


def clauses(match: genai.MatchLogic) -> Iterator[tuple[str, str]]:
    """A match rule as pairs of how and what. What is not known here stops the build."""
    match match:
        case genai.ClauseOr():
            for clause in match.or_:
                yield from clauses(clause)
        case genai.ClauseEquals():
            yield "equals", match.equals.lower()
        case genai.ClauseStartsWith():
            yield "starts_with", match.starts_with.lower()
        case genai.ClauseEndsWith():
            yield "ends_with", match.ends_with.lower()
        case genai.ClauseContains():
            yield "contains", match.contains.lower()
        case genai.ClauseRegex():
            yield "regex", match.regex
        case genai.ClauseAnd() if not any(isinstance(each, genai.ClauseOr) for each in match.and_):
            yield "regex", "^" + "".join(f"(?=.*?(?:{pattern(how, what)}))" for each in match.and_ for how, what in clauses(each))
        case _:
            raise TypeError(f"a match rule that prices.json has no word for: {match!r}")


def pattern(how: str, what: str) -> str:
    """A rule of one kind as a regular expression that is searched for."""
    literal = re.escape(what)
    return {"equals": f"^{literal}$", "starts_with": f"^{literal}", "ends_with": f"{literal}$", "contains": literal}.get(how, what)


def current(model: genai.ModelInfo, at: datetime) -> genai.ModelPrice:
    if isinstance(model.prices, list) and any(isinstance(p.constraint, genai.TimeOfDateConstraint) for p in model.prices):
        raise Unpriced("changes with the hour")
    if isinstance(model.prices, list) and any(p.constraint is not None and not p.constraint.active(at) for p in model.prices):
        raise Unpriced("about to change")
    return model.get_prices(at)


def nano(amount: Decimal) -> int:
    """Nano-USD, rounded half up: a few rows of the source are thirds of a cent."""
    return int((amount * USD).to_integral_value(ROUND_HALF_UP))


def at_length(price: Decimal | genai.TieredPrices, tokens: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tokens > tier.start), price.base)


def rates(price: genai.ModelPrice) -> Rates:
    units = {key: value for key, value in price.__dict__.items() if value is not None}
    strange = sorted(units.keys() - COUNTED.keys() - BESIDE)
    if strange:
        raise Unpriced(f"priced by {', '.join(strange)}")
    if units.keys() == {"input_mtok"}:  # an embedding: a vector is no token
        units["output_mtok"] = Decimal(0)
    if not {"input_mtok", "output_mtok"} <= units.keys():
        raise Unpriced("no price per token of input and output")
    counted = {ours: units[theirs] for theirs, ours in COUNTED.items() if theirs in units}
    starts = sorted({tier.start for value in counted.values() if isinstance(value, genai.TieredPrices) for tier in value.tiers})

    def at(tokens: int) -> dict[str, int]:
        return {name: nano(at_length(value, tokens)) for name, value in counted.items()}

    return Rates(**at(0), steps=tuple(PriceStep(over=start, **at(start + 1)) for start in starts))


def row(model: genai.ModelInfo, at: datetime) -> PriceRow:
    rules: dict[str, list[str]] = {}
    for how, what in clauses(model.match):
        rules.setdefault(how, []).append(what)
    price, unpriced = None, ""
    try:
        price = rates(current(model, at))
    except Unpriced as why:
        unpriced = str(why)
    return PriceRow(
        equals=tuple(sorted(set(rules.get("equals", ())))),
        starts_with=tuple(rules.get("starts_with", ())),
        ends_with=tuple(rules.get("ends_with", ())),
        contains=tuple(rules.get("contains", ())),
        regex=tuple(rules.get("regex", ())),
        price=price,
        unpriced=unpriced,
    )


def build(at: datetime) -> PriceList:
    theirs = {provider.id: provider for provider in genai_providers}
    listed = {row.prices for row in catalog.providers().values() if row.prices}
    return PriceList(
        version=f"genai-prices {version('genai-prices')} of {at:%Y-%m-%d}",
        source="https://github.com/pydantic/genai-prices",
        as_of=f"{at:%Y-%m-%d}",
        providers={name: tuple(row(model, at) for model in theirs[name].models) for name in sorted(listed)},
    )


def encode(prices: PriceList) -> str:
    """JSON with one row a line, so that a new edition reads as a diff."""

    def text(value: object) -> str:
        return msgspec.json.encode(value).decode()

    head = "".join(f'"{name}":{text(getattr(prices, name))},\n' for name in ("version", "source", "as_of"))
    blocks = (f'"{name}":[\n' + ",\n".join(text(row) for row in found) + "\n]" for name, found in prices.providers.items())
    return "{" + head + '"providers":{\n' + ",\n".join(blocks) + "\n}}\n"


def main() -> int:
    prices = build(datetime.now(UTC))
    TARGET.write_text(encode(prices), encoding="utf-8")
    for name, found in prices.providers.items():
        sys.stdout.write(f"{name}: {sum(row.price is not None for row in found)} priced of {len(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
