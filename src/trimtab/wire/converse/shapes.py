"""What Converse answers, as it stands on the wire (API of 2026-11). Unknown fields are passed over.

Unions are JSON objects with one member; here each is a struct whose members may all be absent.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from trimtab.wire.body import ABSENT, Count


class _Camel(Struct, rename="camel"):
    """Names as Python has them, on the wire as Java has them."""


class Usage(_Camel):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None


class ToolUse(_Camel):
    tool_use_id: str
    name: str
    input: Raw = ABSENT
    type: str | None = None


class ReasoningText(_Camel):
    text: str
    signature: str | None = None


class Reasoning(_Camel):
    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class CitedText(_Camel):
    text: str = ""


class Citations(_Camel):
    content: tuple[CitedText, ...] = ()


class Block(_Camel):
    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: Citations | None = None


class Message(_Camel):
    content: tuple[Raw, ...]


class Output(_Camel):
    message: Message


class ExtraFields(Struct):
    """What was asked for in ``additionalModelResponseFieldPaths``."""

    stop_sequence: str | None = None


class Answer(_Camel):
    output: Output
    stop_reason: str
    usage: Usage | None = None
    additional_model_response_fields: ExtraFields | None = None


class BlockStart(_Camel):
    tool_use: ToolUse | None = None


class ContentBlockStart(_Camel):
    content_block_index: int
    start: Raw = ABSENT


class ToolUseDelta(_Camel):
    input: str = ""


class ReasoningDelta(_Camel):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Delta(_Camel):
    text: str | None = None
    tool_use: ToolUseDelta | None = None
    reasoning_content: ReasoningDelta | None = None


class ContentBlockDelta(_Camel):
    content_block_index: int
    delta: Delta


class ContentBlockStop(_Camel):
    content_block_index: int


class MessageStop(_Camel):
    stop_reason: str
    additional_model_response_fields: ExtraFields | None = None


class Metadata(_Camel):
    usage: Usage | None = None
