"""Anthropic Messages. ``request`` and ``client`` face the client, ``translate`` and ``upstream`` the upstream."""

from trimtab.wire.anthropic.codec import AnthropicMessages

__all__ = ["AnthropicMessages"]
