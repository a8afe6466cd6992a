"""What a client asks and what a model answers, in no protocol's dialect.

Values only: equal content is an equal value, and ids, times and storage keys belong to others.
This file knows nothing of JSON dialects (see ``wire/``) nor of where a request may go (see ``zones.py``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Raw, Struct

from trimtab.core.units import Usage
from trimtab.core.zones import Sensitivity


class Operation(StrEnum):
    """What is asked for (OpenTelemetry ``gen_ai.operation.name``, where it has a word)."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    MODERATION = "moderation"
    TRANSCRIPTION = "transcription"
    IMAGE_GENERATION = "image_generation"


class Dialect(StrEnum):
    """A wire protocol of one operation, as spoken on either side of the gateway."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    COHERE = "cohere"
    CONVERSE = "converse"
    REPLICATE = "replicate"
    OPENAI_EMBEDDINGS = "openai_embeddings"
    COHERE_EMBED = "cohere_embed"
    GEMINI_EMBED = "gemini_embed"
    OPENAI_MODERATIONS = "openai_moderations"
    OPENAI_TRANSCRIPTIONS = "openai_transcriptions"
    OPENAI_IMAGES = "openai_images"

    @property
    def operation(self) -> Operation:
        return _OPERATIONS.get(self.value, Operation.CHAT)


_OPERATIONS = {
    "openai_embeddings": Operation.EMBEDDINGS,
    "cohere_embed": Operation.EMBEDDINGS,
    "gemini_embed": Operation.EMBEDDINGS,
    "openai_moderations": Operation.MODERATION,
    "openai_transcriptions": Operation.TRANSCRIPTION,
    "openai_images": Operation.IMAGE_GENERATION,
}


class CacheHint(Struct, frozen=True):
    """Anthropic's ``cache_control``: ask the provider to cache the prompt up to and including this part."""

    ttl: Literal["5m", "1h"] | None = None


class Text(Struct, frozen=True, tag="text"):
    text: str
    cache: CacheHint | None = None


class Image(Struct, frozen=True, tag="image"):
    """Either ``data`` (base64) with ``media_type``, or ``url``. The gateway never fetches the URL."""

    data: str | None = None
    media_type: str | None = None
    url: str | None = None
    detail: str | None = None
    cache: CacheHint | None = None


class Audio(Struct, frozen=True, tag="audio"):
    """Base64 ``data`` in ``format`` (``wav``, ``mp3``)."""

    data: str
    format: str


class Document(Struct, frozen=True, tag="document"):
    """A file given by value, base64 ``data`` (a PDF, say), or as plain ``text``."""

    data: str | None = None
    text: str | None = None
    media_type: str | None = None
    name: str | None = None
    url: str | None = None
    cache: CacheHint | None = None


class Reasoning(Struct, frozen=True, tag="reasoning"):
    """A model's own thinking. ``signature`` and ``redacted`` are opaque to all but the provider that wrote them.

    ``signer`` is the protocol of that provider, under its maker's name where several have the same signatures (Bedrock's are
    Anthropic's); ``None`` where nobody knows.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    signer: Dialect | None = None


class Refusal(Struct, frozen=True, tag="refusal"):
    text: str


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """``arguments`` is JSON text exactly as the model wrote it; it may be invalid JSON."""

    id: str
    name: str
    arguments: str
    cache: CacheHint | None = None


class ToolResult(Struct, frozen=True, tag="tool_result"):
    id: str
    parts: tuple[Text | Image | Document, ...] = ()
    is_error: bool = False
    cache: CacheHint | None = None


class Opaque(Struct, frozen=True, tag="opaque"):
    """A part of a kind that we do not know. It survives forwarding on its own protocol, and it counts as unreadable."""

    kind: str
    raw: Raw


class Vector(Struct, frozen=True, tag="vector"):
    """An embedding as the model gave it: a JSON array of numbers, or a JSON string of base64 little-endian float32."""

    raw: Raw


Part = Text | Image | Audio | Document | Reasoning | Refusal | ToolCall | ToolResult | Opaque | Vector
Role = Literal["system", "user", "assistant", "tool"]


class Message(Struct, frozen=True):
    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(Struct, frozen=True):
    """A function the model may call. ``parameters`` is its JSON Schema, undecoded.

    A tool that the provider runs itself (web search, code execution) has a ``builtin`` kind and its whole body in ``raw``.
    """

    name: str
    description: str | None = None
    parameters: Raw | None = None
    strict: bool | None = None
    builtin: str | None = None
    raw: Raw | None = None
    cache: CacheHint | None = None


class ToolChoice(Struct, frozen=True):
    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None


class OutputFormat(Struct, frozen=True):
    """``schema`` is JSON Schema, undecoded, when ``kind`` is ``json_schema``."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: Raw | None = None
    strict: bool | None = None


class Sampling(Struct, frozen=True, omit_defaults=True):
    """How to sample. ``None`` means that the client did not say. Names follow OpenAI, temperatures and all."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Raw | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    thinking_budget: int | None = None


class Embedding(Struct, frozen=True, omit_defaults=True):
    """How to embed. ``None`` means that the client did not say.

    ``encoding`` is the form of each :class:`Vector`. ``purpose`` is what the vectors are for: ``search_document``, ``search_query``,
    ``classification`` or ``clustering``, or else a word of the client's own protocol. ``truncate`` is which end of an input that is
    too long is cut off.
    """

    dimensions: int | None = None
    encoding: Literal["float", "base64"] | None = None
    purpose: str | None = None
    truncate: Literal["none", "start", "end"] | None = None


class Request(Struct, frozen=True, kw_only=True):
    """One question to a model.

    ``native`` is the client's own body of type ``content_type``, forwarded as it is when the deployment speaks the same dialect, and
    ``headers`` are the protocol's own headers that go with it then (``anthropic-beta``); elsewhere they are lost by name.
    ``extras`` names the top-level fields of ``native`` that no field here carries: they survive on the same dialect and are
    reported as lost on another.
    ``foreign`` are the dotted paths of what in ``native`` another protocol's provider signed: left out where the rest is forwarded.
    ``sensitivity`` is written by the engine once the signals have read the request. Until then the request counts as unreadable,
    so that a forgotten step closes doors and never opens one.
    """

    dialect: Dialect
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    sampling: Sampling = Sampling()
    embedding: Embedding | None = None
    stream: bool = False
    include_usage: bool = False
    user: str | None = None
    native: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    extras: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    sensitivity: frozenset[Sensitivity] = frozenset({Sensitivity.UNREADABLE})

    @property
    def operation(self) -> Operation:
        return self.dialect.operation


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    PAUSE = "pause"


class Choice(Struct, frozen=True):
    """One of ``n`` answers. ``stop_sequence`` is the client's own stop string, where the provider tells which one it met."""

    index: int
    parts: tuple[Part, ...]
    finish_reason: FinishReason | None
    stop_sequence: str | None = None
    logprobs: tuple[Raw, ...] = ()


class Response(Struct, frozen=True):
    """A whole answer. Only ever made by :func:`trimtab.core.events.fold`."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    created: int | None = None
