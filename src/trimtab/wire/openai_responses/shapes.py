"""The request body of OpenAI Responses as it stands on the wire (API reference of 2026-11). Unknown fields are passed over.

Lists whose members may be of an unknown kind hold ``Raw``; the members' own shapes are below.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from trimtab.wire.body import ABSENT, Count


class TextPart(Struct, tag="input_text"):
    text: str
    prompt_cache_breakpoint: Raw = ABSENT


class SaidPart(Struct, tag="output_text"):
    text: str
    annotations: list[Raw] | None = None


class RefusalPart(Struct, tag="refusal"):
    refusal: str


class ImagePart(Struct, tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: Raw = ABSENT


class FilePart(Struct, tag="input_file"):
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: Raw = ABSENT
    prompt_cache_breakpoint: Raw = ABSENT


class InputAudio(Struct):
    data: str
    format: str


class AudioPart(Struct, tag="input_audio"):
    input_audio: InputAudio


ContentPart = TextPart | SaidPart | RefusalPart | ImagePart | FilePart | AudioPart

KNOWN_PARTS = frozenset({"input_text", "output_text", "refusal", "input_image", "input_file", "input_audio"})


class MessageItem(Struct):
    role: str
    content: str | list[Raw]
    phase: Raw = ABSENT


class CallItem(Struct):
    call_id: str
    name: str
    arguments: str
    namespace: Raw = ABSENT
    caller: Raw = ABSENT


class OutputItem(Struct):
    """An output without ``call_id`` answers no call that we could name."""

    output: str | list[Raw]
    call_id: str | None = None


class Thought(Struct):
    text: str


class ReasoningItem(Struct):
    summary: list[Thought] | None = None
    content: list[Thought] | None = None
    encrypted_content: str | None = None


class FunctionTool(Struct):
    name: str
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None
    allowed_callers: Raw = ABSENT
    defer_loading: Raw = ABSENT
    output_schema: Raw = ABSENT


class ToolHead(Struct):
    type: str
    name: str | None = None


class NamedChoice(Struct):
    type: str
    name: str | None = None


class TextFormat(Struct):
    type: str
    name: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None
    description: str | None = None


class ResponsesRequest(Struct):
    model: str
    input: str | list[Raw] | None = None
    instructions: str | None = None
    tools: list[Raw] | None = None
    tool_choice: str | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    text: dict[str, Raw] | None = None
    reasoning: dict[str, Raw] | None = None
    include: list[str] | None = None
    max_output_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Count | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Raw = ABSENT
    prompt: Raw = ABSENT
    user: str | None = None


CARRIED = frozenset(ResponsesRequest.__struct_fields__)
"""The top-level fields that ``core.Request`` has a place for, or that are refused."""

LOGPROBS = "message.output_text.logprobs"
"""The member of ``include`` that asks for them."""
