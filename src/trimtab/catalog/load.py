"""Reads the shipped rows, once each. Knows their files and their shapes, and nothing of what they are used for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from trimtab.catalog.rows import CardRow, Licence, ProviderRow, Starter, WeightsRow
from trimtab.core.catalog import ModelCard


def read_data(name: str) -> str:
    """The text of a file in ``catalog/data``."""
    return resources.files("trimtab.catalog").joinpath("data", name).read_text(encoding="utf-8")


class _Providers(Struct, forbid_unknown_fields=True):
    provider: tuple[ProviderRow, ...]


class _Cards(Struct, forbid_unknown_fields=True):
    card: tuple[CardRow, ...]


class _Starters(Struct, forbid_unknown_fields=True):
    starter: tuple[Starter, ...]


class _Weights(Struct, forbid_unknown_fields=True):
    weights: tuple[WeightsRow, ...]


class _Licences(Struct, forbid_unknown_fields=True):
    licence: tuple[Licence, ...]


@cache
def providers() -> Mapping[str, ProviderRow]:
    """Provider rows by name."""
    return {row.name: row for row in msgspec.convert(tomllib.loads(read_data("providers.toml")), _Providers).provider}


@cache
def card_rows() -> tuple[CardRow, ...]:
    return msgspec.convert(tomllib.loads(read_data("cards.toml")), _Cards).card


@cache
def _cards() -> Mapping[str, ModelCard]:
    return index_cards(card_rows())


def index_cards(rows: tuple[CardRow, ...]) -> dict[str, ModelCard]:
    """Cards by name and alias, lower case. A name always means its own card, whatever another's aliases say."""
    found = {alias.lower(): row.card() for row in rows for alias in row.aliases}
    return found | {row.name.lower(): row.card() for row in rows}


def card(name: str) -> ModelCard | None:
    """The card of a model by its name or by a name that a provider sells it under, whatever the case."""
    return _cards().get(name.lower())


@cache
def starters() -> tuple[Starter, ...]:
    return msgspec.convert(tomllib.loads(read_data("starters.toml")), _Starters).starter


@cache
def weights() -> tuple[WeightsRow, ...]:
    return msgspec.convert(tomllib.loads(read_data("weights.toml")), _Weights).weights


@cache
def licences() -> Mapping[str, Licence]:
    """Licences by identifier."""
    return {row.id: row for row in msgspec.convert(tomllib.loads(read_data("licences.toml")), _Licences).licence}
