"""The request body of Cohere's ``/v2/chat`` as it stands on the wire (API reference and SDK 7.3, 2026-11).

Unknown fields are passed over. Lists whose members may be of an unknown kind hold ``Raw``; the parts are the tagged union below.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

from trimtab.wire.body import ABSENT, Count


class TextPart(Struct, tag="text"):
    text: str


class ThinkingPart(Struct, tag="thinking"):
    thinking: str


class ImageUrl(Struct):
    url: str
    detail: str | None = None


class ImagePart(Struct, tag="image_url"):
    image_url: ImageUrl


class DocumentBody(Struct):
    """``data`` is an object of the client's own keys; metadata and text alike are shown to the model."""

    data: Raw
    id: str | None = None


class DocumentPart(Struct, tag="document"):
    document: DocumentBody


ContentPart = TextPart | ThinkingPart | ImagePart | DocumentPart

KNOWN_PARTS = frozenset({"text", "thinking", "image_url", "document"})


class Function(Struct):
    name: str
    arguments: str = ""


class FunctionCall(Struct, tag="function"):
    id: str
    function: Function


class ChatMessage(Struct):
    role: str
    content: str | list[Raw] | None = None
    tool_calls: list[Raw] | None = None
    tool_plan: str | None = None
    tool_call_id: str | None = None
    citations: Raw = ABSENT


class FunctionTool(Struct):
    name: str
    description: str | None = None
    parameters: Raw = ABSENT


class ToolDefinition(Struct, tag="function"):
    function: FunctionTool


class ResponseFormat(Struct):
    type: str
    json_schema: Raw = ABSENT


class Thinking(Struct):
    type: str
    token_budget: Count | None = None


class ChatRequest(Struct):
    model: str
    messages: list[ChatMessage]
    tools: list[Raw] | None = None
    strict_tools: bool | None = None
    tool_choice: str | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Count | None = None
    temperature: float | None = None
    p: float | None = None
    k: int | None = None
    seed: int | None = None
    stop_sequences: list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    thinking: Thinking | None = None
    stream: bool | None = None


Number = Annotated[float, Meta(ge=0, le=2**53)]
"""A count of tokens in an answer: by the specification a number, not an integer."""


def whole(number: float | None) -> int | None:
    return None if number is None else int(number)


CARRIED = frozenset(ChatRequest.__struct_fields__)
"""The top-level fields that ``core.Request`` has a place for."""
