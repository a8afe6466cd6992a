"""The codec of each dialect: the one table that the other floors look a protocol up in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trimtab.core.messages import Dialect
from trimtab.wire.anthropic import AnthropicMessages
from trimtab.wire.codec import Codec
from trimtab.wire.openai_chat import OpenAIChat

CODECS: Mapping[Dialect, Codec] = MappingProxyType({Dialect.OPENAI_CHAT: OpenAIChat(), Dialect.ANTHROPIC: AnthropicMessages()})
