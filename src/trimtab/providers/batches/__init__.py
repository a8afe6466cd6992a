"""Providers' own batches: many requests handed over at once, cheaper, and answered within a day."""

from trimtab.providers.batches.anthropic import AnthropicBatches
from trimtab.providers.batches.openai import OpenAIBatches
from trimtab.providers.batches.rows import batches_for

__all__ = ["AnthropicBatches", "OpenAIBatches", "batches_for"]
