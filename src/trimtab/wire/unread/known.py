"""What the decoders of each dialect know of a body, read off their shapes. Knows nothing of what a field means.

A list whose members are kept undecoded says nothing of them in its shape, so those are told here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, inspect

from trimtab.core.messages import Dialect
from trimtab.wire.anthropic import shapes as anthropic
from trimtab.wire.cohere import shapes as cohere
from trimtab.wire.gemini import shapes as gemini
from trimtab.wire.openai_chat import shapes as chat
from trimtab.wire.openai_responses import shapes as responses

Inside = Mapping[str, type[Struct]]
"""What a list of undecoded members holds, by the members' ``type``; under ``""`` what has none, or has another."""

ANY = ""
_TYPE = "type"


class _Declarations(Struct, rename="camel"):
    function_declarations: list[gemini.FunctionDeclaration] | None = None


class _Shown(Struct, rename="camel"):
    """A part of a function's response."""

    text: str | None = None
    inline_data: gemini.Blob | None = None
    file_data: gemini.FileData | None = None


class _Batch(Struct):
    requests: list[gemini.EmbedRequest]


class _Text(Struct):
    """The field ``text`` of Responses."""

    format: responses.TextFormat


def _by_tag(union: object) -> Inside:
    info = inspect.type_info(union)
    assert isinstance(info, inspect.UnionType)
    return {str(kind.tag): kind.cls for kind in info.types if isinstance(kind, inspect.StructType)}


_SOURCES: Inside = dict.fromkeys(("base64", "url", "text"), anthropic.Source)

_INSIDE: Mapping[tuple[type[Struct], str], Inside] = {
    (chat.ChatRequest, "tools"): {"function": chat.ToolDefinition},
    (chat.ChatMessage, "content"): _by_tag(chat.ContentPart),
    (chat.ChatMessage, "tool_calls"): {"function": chat.FunctionCall},
    (responses.ResponsesRequest, "input"): {
        ANY: responses.MessageItem,
        "message": responses.MessageItem,
        "function_call": responses.CallItem,
        "function_call_output": responses.OutputItem,
        "reasoning": responses.ReasoningItem,
    },
    (responses.ResponsesRequest, "tools"): {"function": responses.FunctionTool},
    (responses.ResponsesRequest, "text"): {ANY: _Text},
    (responses.MessageItem, "content"): _by_tag(responses.ContentPart),
    (responses.OutputItem, "output"): _by_tag(responses.ContentPart),
    (anthropic.MessagesRequest, "system"): _by_tag(anthropic.Block),
    (anthropic.MessagesRequest, "tools"): {ANY: anthropic.CustomTool, "custom": anthropic.CustomTool},
    (anthropic.Turn, "content"): _by_tag(anthropic.Block),
    (anthropic.ImageBlock, "source"): _SOURCES,
    (anthropic.DocumentBlock, "source"): _SOURCES,
    (anthropic.ToolResultBlock, "content"): {
        "text": anthropic.TextBlock,
        "image": anthropic.ImageBlock,
        "document": anthropic.DocumentBlock,
    },
    (gemini.Content, "parts"): {ANY: gemini.Part},
    (gemini.FunctionResponse, "parts"): {ANY: _Shown},
    (gemini.GenerateContentRequest, "tools"): {ANY: _Declarations},
    (gemini.GenerateContentRequest, "tool_config"): {ANY: gemini.ToolConfig},
    (gemini.GenerateContentRequest, "generation_config"): {ANY: gemini.GenerationConfig},
    (cohere.ChatRequest, "tools"): {"function": cohere.ToolDefinition},
    (cohere.ChatMessage, "content"): _by_tag(cohere.ContentPart),
    (cohere.ChatMessage, "tool_calls"): {"function": cohere.FunctionCall},
}

_OPEN: frozenset[type[Struct]] = frozenset({gemini.Part, _Shown, _Declarations, _Text})
"""Where the decoder itself names what it does not know."""

IDLE: Mapping[Dialect, frozenset[str]] = {
    # A server's own marks on what a client sends back.
    Dialect.OPENAI_CHAT: frozenset({"index"}),
    Dialect.OPENAI_RESPONSES: frozenset({"id", "status"}),
}


class Shape(Struct, frozen=True):
    """A struct's fields by their names on the wire, and what each holds further in."""

    fields: Mapping[str, Mapping[str, Shape]]
    is_open: bool


def _shape(kind: type[Struct]) -> Shape:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    fields = {field.encode_name: _inside(kind, field) for field in info.fields}
    return Shape({_TYPE: {}, **fields}, kind in _OPEN)


def _inside(kind: type[Struct], field: inspect.Field) -> Mapping[str, Shape]:
    found = _INSIDE.get((kind, field.name))
    if found is None:
        held = next(_structs(field.type), None)
        found = {} if held is None else {ANY: held}
    return {tag: _shape(held) for tag, held in found.items()}


def _structs(info: inspect.Type) -> Iterator[type[Struct]]:
    match info:
        case inspect.StructType(cls=cls):
            yield cls
        case inspect.ListType(item_type=inner):
            yield from _structs(inner)
        case inspect.UnionType(types=types):
            for inner in types:
                yield from _structs(inner)
        case _:
            return


SHAPES: Mapping[Dialect, Shape] = {
    Dialect.OPENAI_CHAT: _shape(chat.ChatRequest),
    Dialect.OPENAI_RESPONSES: _shape(responses.ResponsesRequest),
    Dialect.ANTHROPIC: _shape(anthropic.MessagesRequest),
    Dialect.GEMINI: _shape(gemini.GenerateContentRequest),
    Dialect.GEMINI_EMBED: _shape(_Batch),
    Dialect.COHERE: _shape(cohere.ChatRequest),
}
