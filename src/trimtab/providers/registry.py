"""Which class speaks for a row, and what its key looks like on the wire. Knows no addresses: those are rows and configuration."""

from __future__ import annotations

from collections.abc import Mapping

from trimtab.catalog import ProviderRow
from trimtab.core.messages import Dialect
from trimtab.core.zones import Secret
from trimtab.net import Egress
from trimtab.providers.anthropic import AnthropicProvider
from trimtab.providers.base import Provider
from trimtab.providers.http import HTTPProvider
from trimtab.providers.openai import OpenAIProvider

_BY_DIALECT: Mapping[Dialect, type[HTTPProvider]] = {
    Dialect.OPENAI_CHAT: OpenAIProvider,
    Dialect.ANTHROPIC: AnthropicProvider,
}


def provider_for(row: ProviderRow, egress: Egress) -> Provider:
    """The provider of a row. It sends to the receiver whose id is the deployment's."""
    return _BY_DIALECT[row.dialect](egress, row)


def auth_headers(row: ProviderRow, key: Secret) -> dict[str, Secret]:
    """The headers that carry ``key``, for :class:`~trimtab.net.Receiver`."""
    match row.auth:
        case "bearer":
            return {"authorization": Secret(f"Bearer {key.reveal()}")}
        case "x-api-key":
            return {"x-api-key": key}
        case "none":
            return {}
