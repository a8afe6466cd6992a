"""From a row of data to a provider, and what its key looks like on the wire. Knows no addresses: those are rows and configuration."""

from __future__ import annotations

from trimtab.catalog import ProviderRow
from trimtab.core.zones import Secret
from trimtab.net import Egress
from trimtab.providers.base import Provider
from trimtab.providers.http import HTTPProvider
from trimtab.providers.keyring import Keyring


def provider_for(row: ProviderRow, egress: Egress, keyring: Keyring | None = None) -> Provider:
    """The provider of a row. Without a keyring it sends to the receiver whose id is the deployment's."""
    return HTTPProvider(egress, row, keyring=keyring)


def auth_headers(row: ProviderRow, key: Secret) -> dict[str, Secret]:
    """The headers that carry ``key``, for :class:`~trimtab.net.Receiver`."""
    match row.auth:
        case "bearer" | "aws_sigv4" | "google":  # Amazon's keys for Bedrock, and tokens that were granted elsewhere
            return {"authorization": Secret(f"Bearer {key.reveal()}")}
        case "none":
            return {}
        case header:
            return {header: key}
