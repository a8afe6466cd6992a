"""The request body of OpenAI Chat Completions as it stands on the wire (API reference of 2026-11). Unknown fields are passed over.

Lists whose members may be of an unknown kind hold ``Raw``; the members' own shapes are the tagged unions below.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

from trimtab.wire.body import ABSENT, Count


class TextPart(Struct, tag="text"):
    text: str


class RefusalPart(Struct, tag="refusal"):
    refusal: str


class ImageUrl(Struct):
    url: str
    detail: str | None = None


class ImagePart(Struct, tag="image_url"):
    image_url: ImageUrl | str


class InputAudio(Struct):
    data: str
    format: str


class AudioPart(Struct, tag="input_audio"):
    input_audio: InputAudio


class File(Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Struct, tag="file"):
    file: File


ContentPart = TextPart | RefusalPart | ImagePart | AudioPart | FilePart

KNOWN_PARTS = frozenset({"text", "refusal", "image_url", "input_audio", "file"})


class Function(Struct):
    name: str
    arguments: str


class FunctionCall(Struct, tag="function"):
    id: str
    function: Function


class ChatMessage(Struct):
    role: str
    content: str | list[Raw] | None = None
    name: str | None = None
    tool_calls: list[Raw] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    function_call: Function | None = None
    audio: Raw = ABSENT


class FunctionTool(Struct):
    name: str
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None


class ToolDefinition(Struct, tag="function"):
    function: FunctionTool


class Named(Struct):
    name: str


class NamedChoice(Struct):
    type: str
    function: Named | None = None


class JsonSchema(Struct):
    name: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(Struct):
    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


class ChatRequest(Struct):
    model: str
    messages: list[ChatMessage]
    tools: list[Raw] | None = None
    tool_choice: str | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Raw = ABSENT
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None


CARRIED = frozenset(ChatRequest.__struct_fields__)
"""The top-level fields that ``core.Request`` has a place for."""
