"""The request body of Anthropic Messages as it stands on the wire (API of 2026-11). Unknown fields are passed over.

Lists whose members may be of an unknown kind hold ``Raw``; the blocks' own shapes are the tagged union below.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from trimtab.wire.body import ABSENT, Count, Kind


class CacheControl(Struct):
    type: str = "ephemeral"
    ttl: str | None = None


class TextBlock(Struct, tag="text"):
    text: str
    cache_control: CacheControl | None = None
    citations: Raw = ABSENT


class Source(Struct):
    """Where an image's or document's bytes are: ``base64``, ``url`` and ``text`` are carried, other types stay opaque."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class ImageBlock(Struct, tag="image"):
    source: Source
    cache_control: CacheControl | None = None
    transformations: Raw = ABSENT


class DocumentBlock(Struct, tag="document"):
    source: Source
    title: str | None = None
    cache_control: CacheControl | None = None
    citations: Raw = ABSENT
    context: Raw = ABSENT


class ToolUseBlock(Struct, tag="tool_use"):
    id: str
    name: str
    input: Raw
    cache_control: CacheControl | None = None


class ToolResultBlock(Struct, tag="tool_result"):
    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(Struct, tag="thinking"):
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(Struct, tag="redacted_thinking"):
    data: str


Block = TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock

KNOWN_BLOCKS = frozenset({"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"})


class SourceKind(Struct):
    source: Kind


class Turn(Struct):
    role: str
    content: str | list[Raw]


class CustomTool(Struct):
    name: str
    input_schema: Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    allowed_callers: Raw = ABSENT
    defer_loading: Raw = ABSENT
    eager_input_streaming: Raw = ABSENT
    input_examples: Raw = ABSENT


class ToolKind(Struct):
    """``type`` is absent, null or ``custom`` for a function of the client's own."""

    name: str = ""
    type: str | None = None


class ToolChoice(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct):
    type: str
    budget_tokens: Count | None = None
    display: str | None = None


class Metadata(Struct):
    user_id: str | None = None


class OutputFormat(Struct):
    type: str
    schema: Raw = ABSENT


class OutputConfig(Struct):
    effort: str | None = None
    format: OutputFormat | None = None


class MessagesRequest(Struct):
    model: str
    messages: list[Turn]
    max_tokens: Count | None = None
    system: str | list[Raw] | None = None
    tools: list[Raw] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None
    stream: bool | None = None


CARRIED = frozenset(MessagesRequest.__struct_fields__)
"""The top-level fields that ``core.Request`` has a place for."""
