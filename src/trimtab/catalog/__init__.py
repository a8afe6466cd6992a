"""Facts about the world as dated rows: providers, model cards, prices, licences, weights. Loads and looks up; fetches nothing."""

from trimtab.catalog.load import card, card_rows, index_cards, licences, providers, starters, weights
from trimtab.catalog.prices import PriceList, price, price_list
from trimtab.catalog.rows import AbilityRow, CardRow, Licence, ProviderRow, Starter, WeightsRow

__all__ = [
    "AbilityRow",
    "CardRow",
    "Licence",
    "PriceList",
    "ProviderRow",
    "Starter",
    "WeightsRow",
    "card",
    "card_rows",
    "index_cards",
    "licences",
    "price",
    "price_list",
    "providers",
    "starters",
    "weights",
]
