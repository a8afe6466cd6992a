"""LiteLLM's configuration, turned into ours. Nothing of LiteLLM is imported, and nothing it does is imitated but what its file means."""

from trimtab.config.importing.litellm.conversion import Converted, convert

__all__ = ["Converted", "convert"]
