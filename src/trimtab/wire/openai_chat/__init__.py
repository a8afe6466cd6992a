"""OpenAI Chat Completions. ``request`` and ``client`` face the client, ``translate`` and ``upstream`` the upstream."""

from trimtab.wire.openai_chat.codec import OpenAIChat

__all__ = ["OpenAIChat"]
