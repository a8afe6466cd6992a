"""From a row of data to a provider's own batches."""

from __future__ import annotations

from trimtab.catalog import ProviderRow
from trimtab.net import Egress
from trimtab.providers.base import BatchProvider
from trimtab.providers.batches.anthropic import AnthropicBatches
from trimtab.providers.batches.openai import OpenAIBatches


def batches_for(row: ProviderRow, egress: Egress) -> BatchProvider | None:
    """The batches of a row's provider; ``None`` where it has none at a discount."""
    match row.batch and row.batch.protocol:
        case "openai":
            return OpenAIBatches(egress, row)
        case "anthropic":
            return AnthropicBatches(egress, row)
        case _:
            return None
