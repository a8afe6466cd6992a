"""How each wire protocol is called over HTTP: its path, its own headers, its framing, and what counts as the end of its stream.

A provider's row may give other paths (Azure's deployments, Vertex's publishers). A row's ``base_url`` ends where the protocol's own clients
expect theirs to: ``https://api.openai.com/v1``, ``https://api.anthropic.com``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol
from urllib.parse import quote

from msgspec import Struct, field
from msgspec.structs import replace

from trimtab.catalog import ProviderRow
from trimtab.core.messages import Dialect
from trimtab.wire import (
    UPSTREAM_CODECS,
    AnthropicMessages,
    ChunkedEventStreamDecoder,
    EventStreamDecoder,
    OpenAIChat,
    ServerSentEvent,
    SSEDecoder,
    UpstreamCodec,
)

_EVENT_STREAM = "application/vnd.amazon.eventstream"


class Framing(Protocol):
    """Cuts a stream's bytes into events."""

    @property
    def pending(self) -> bool:
        """Was an event begun and not ended?"""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]: ...


class Endpoint(Struct, frozen=True, kw_only=True):
    """``path`` may hold ``{model}``; ``stream_path`` is for protocols whose stream has a path of its own.

    ``may_end_unsaid``: a stream whose choices are all finished may end without a last word of the protocol. ``models`` is the path that
    lists the models, where the protocol has one. ``plain`` are characters that stay as they are when a model's name goes into the path.
    """

    path: str
    stream_path: str = ""
    models: str = ""
    plain: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    may_end_unsaid: bool = False
    stream_type: str = "text/event-stream"
    framing: Callable[[], Framing] = SSEDecoder

    def target(self, model: str, *, stream: bool) -> str:
        path = self.stream_path if stream and self.stream_path else self.path
        return path.replace("{model}", quote(model, safe=self.plain)) if "{" in path else path


ENDPOINTS: Mapping[Dialect, Endpoint] = MappingProxyType(
    {
        Dialect.OPENAI_CHAT: Endpoint(
            path="/chat/completions", models="/models", may_end_unsaid=True
        ),  # not every server says [DONE]
        Dialect.OPENAI_RESPONSES: Endpoint(path="/responses", models="/models"),
        Dialect.OPENAI_EMBEDDINGS: Endpoint(path="/embeddings", models="/models"),
        Dialect.OPENAI_MODERATIONS: Endpoint(path="/moderations", models="/models"),
        Dialect.OPENAI_TRANSCRIPTIONS: Endpoint(path="/audio/transcriptions", models="/models"),
        Dialect.OPENAI_IMAGES: Endpoint(path="/images/generations", models="/models"),
        Dialect.ANTHROPIC: Endpoint(path="/v1/messages", models="/v1/models", headers={"anthropic-version": "2023-06-01"}),
        Dialect.GEMINI: Endpoint(
            path="/models/{model}:generateContent",
            stream_path="/models/{model}:streamGenerateContent?alt=sse",
            models="/models",
            may_end_unsaid=True,  # the protocol has no last word
        ),
        Dialect.GEMINI_EMBED: Endpoint(path="/models/{model}:batchEmbedContents", models="/models"),
        Dialect.COHERE: Endpoint(path="/v2/chat", models="/v1/models", may_end_unsaid=True),
        Dialect.COHERE_EMBED: Endpoint(path="/v2/embed", models="/v1/models"),
        Dialect.CONVERSE: Endpoint(
            path="/model/{model}/converse",
            stream_path="/model/{model}/converse-stream",
            may_end_unsaid=True,  # the usage comes last, and may fail to come
            stream_type=_EVENT_STREAM,
            framing=EventStreamDecoder,
        ),
        # The connection is held for as long as Replicate holds it: a minute.
        Dialect.REPLICATE: Endpoint(path="/models/{model}/predictions", models="/models", plain="/", headers={"prefer": "wait"}),
    }
)

_ANTHROPIC_BEHIND: Mapping[str, Endpoint] = MappingProxyType(
    {
        "bedrock": Endpoint(
            path="/model/{model}/invoke",
            stream_path="/model/{model}/invoke-with-response-stream",
            stream_type=_EVENT_STREAM,
            framing=ChunkedEventStreamDecoder,
        ),
        "vertex": Endpoint(
            path="/publishers/anthropic/models/{model}:rawPredict",
            stream_path="/publishers/anthropic/models/{model}:streamRawPredict",
        ),
    }
)


def codec_for(row: ProviderRow, dialect: Dialect) -> UpstreamCodec:
    """The codec of ``dialect`` as this provider wants it spoken."""
    if dialect is Dialect.OPENAI_CHAT:
        return OpenAIChat(row.max_tokens_field)
    if dialect is Dialect.ANTHROPIC:
        return AnthropicMessages(row.cloud)
    return UPSTREAM_CODECS[dialect]


def endpoint_for(row: ProviderRow, dialect: Dialect) -> Endpoint:
    """How ``dialect`` is called at this provider."""
    behind_a_cloud = dialect is Dialect.ANTHROPIC and row.cloud is not None
    endpoint = _ANTHROPIC_BEHIND[row.cloud or ""] if behind_a_cloud else ENDPOINTS[dialect]
    path = row.paths.get(dialect)
    if path is None:
        return endpoint
    return replace(endpoint, path=path, stream_path=row.stream_paths.get(dialect, ""), models="")
