"""The price list against genai-prices, from which it is generated and which is the oracle of what things cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import pytest
from genai_prices import types as genai
from genai_prices.data import providers as genai_providers
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.generate_prices import COUNTED, build, encode

from trimtab import catalog
from trimtab.catalog.load import read_data
from trimtab.catalog.prices import PriceRow
from trimtab.core.units import USD, Usage

THEIRS = {provider.id: provider for provider in genai_providers}
COVERED = sorted(catalog.price_list().providers)
AT = datetime.fromisoformat(catalog.price_list().as_of).replace(hour=12, tzinfo=UTC)

USAGES = (
    Usage(input=0, output=0),
    Usage(input=1, output=1),
    Usage(input=1_234, output=567),
    Usage(input=99_999, output=8_191, cache_read=64_000),
    Usage(input=5_000, output=300, cache_write=4_096),
    Usage(input=300_001, output=2_048, cache_read=200_000, cache_write=50_000),
)


def names(row: PriceRow) -> Iterator[str]:
    """Model names that the row is for."""
    yield from row.equals
    yield from row.starts_with
    yield from row.ends_with
    yield from row.contains


def theirs(model: genai.ModelInfo, provider: genai.Provider, usage: Usage) -> int:
    tokens = genai.Usage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )
    total = model.calc_price(tokens, provider, genai_request_timestamp=AT).total_price
    return int((total * USD).to_integral_value(ROUND_HALF_UP))


def whole(model: genai.ModelInfo) -> bool:
    """Are the list's own figures whole nano-USD per million tokens? A few rows are thirds of a cent."""
    price = model.get_prices(AT)
    amounts = [getattr(price, key) for key in COUNTED]
    flat = [one for amount in amounts if amount is not None for one in ([amount] if isinstance(amount, Decimal) else [amount.base])]
    return all(amount * USD == int(amount * USD) for amount in flat)


def test_the_lists_that_rows_name_are_covered() -> None:
    assert sorted({row.prices for row in catalog.providers().values() if row.prices}) == COVERED


def test_a_row_that_the_list_knows_by_its_name_names_it() -> None:
    unnamed = {name for name, row in catalog.providers().items() if not row.prices and name in THEIRS}
    assert unnamed == {"azure"}, "the names of its deployments are the operator's own"


def test_an_embedding_is_priced_by_its_input() -> None:
    price = catalog.price("openai", "text-embedding-3-small")
    assert price is not None
    assert price.cost(Usage(input=1_000_000, output=0)) == USD // 50


@pytest.mark.parametrize("provider", COVERED)
def test_costs_are_those_of_genai_prices(provider: str) -> None:
    compared = 0
    for row in catalog.price_list().providers[provider]:
        for name in names(row):
            model = THEIRS[provider].find_model(name)
            assert model is not None, name
            price = catalog.price(provider, name)
            if price is None:
                continue
            slack = 0 if whole(model) else 1
            for usage in USAGES:
                ours = price.cost(usage)
                assert ours is not None
                assert abs(ours - theirs(model, THEIRS[provider], usage)) <= slack, (name, usage)
                compared += 1
    assert compared > 0


def test_no_model_is_free() -> None:
    rows = [row for rows in catalog.price_list().providers.values() for row in rows]
    assert all(row.price.input > 0 for row in rows if row.price is not None)
    assert all(bool(row.unpriced) is (row.price is None) for row in rows), "a missing price has its reason"


def test_a_price_that_changes_with_the_hour_is_unknown() -> None:
    assert catalog.price("deepseek", "deepseek-flash") is None
    assert catalog.price("deepseek", "deepseek-v3.2") is not None


def test_a_price_that_steps_up_with_the_input_does() -> None:
    price = catalog.price("anthropic", "claude-haiku-5-5")
    assert price is not None
    assert price.cost(Usage(input=100_000, output=0)) == 10_000_000
    assert price.cost(Usage(input=100_001, output=0)) == 50_000_500, "beyond 100,000 all tokens cost five times as much"


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-0"), ("openai", ""), ("vllm", "meta-llama/Llama-3.1-8B"), ("no-such", "gpt-6-luna")]
)
def test_an_unknown_model_has_no_price(provider: str, model: str) -> None:
    assert catalog.price(provider, model) is None


@settings(max_examples=200, deadline=None)
@given(provider=st.sampled_from(COVERED), model=st.text(max_size=30))
def test_no_name_is_priced_that_genai_prices_does_not_know(provider: str, model: str) -> None:
    if catalog.price(provider, model) is not None:
        assert THEIRS[provider].find_model(model) is not None


def test_the_file_is_what_the_generator_writes() -> None:
    assert read_data("prices.json") == encode(build(AT)), "run: python -m tools.generate_prices"
