"""The codec of each dialect: the tables that the other floors look a protocol up in. Some protocols only upstreams speak."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trimtab.core.messages import Dialect
from trimtab.wire.anthropic import AnthropicMessages
from trimtab.wire.codec import Codec, UpstreamCodec
from trimtab.wire.cohere import Cohere, CohereEmbed
from trimtab.wire.converse import Converse
from trimtab.wire.gemini import Gemini, GeminiEmbed
from trimtab.wire.openai_chat import OpenAIChat
from trimtab.wire.openai_responses import OpenAIResponses
from trimtab.wire.operations import OpenAIEmbeddings, OpenAIImages, OpenAIModerations, OpenAITranscriptions
from trimtab.wire.replicate import Replicate

CODECS: Mapping[Dialect, Codec] = MappingProxyType(
    {
        Dialect.OPENAI_CHAT: OpenAIChat(),
        Dialect.OPENAI_RESPONSES: OpenAIResponses(),
        Dialect.ANTHROPIC: AnthropicMessages(),
        Dialect.GEMINI: Gemini(),
        Dialect.GEMINI_EMBED: GeminiEmbed(),
        Dialect.COHERE: Cohere(),
        Dialect.OPENAI_EMBEDDINGS: OpenAIEmbeddings(),
        Dialect.COHERE_EMBED: CohereEmbed(),
        Dialect.OPENAI_MODERATIONS: OpenAIModerations(),
        Dialect.OPENAI_TRANSCRIPTIONS: OpenAITranscriptions(),
        Dialect.OPENAI_IMAGES: OpenAIImages(),
    }
)

UPSTREAM_CODECS: Mapping[Dialect, UpstreamCodec] = MappingProxyType(
    {**CODECS, Dialect.CONVERSE: Converse(), Dialect.REPLICATE: Replicate()}
)
"""All of :data:`CODECS`, and the protocols that nobody speaks to us."""
