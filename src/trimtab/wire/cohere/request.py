"""Cohere v2 chat: the client's request, bytes to ``core.Request``. Knows nothing of other dialects nor of answers."""

from __future__ import annotations

from msgspec import Raw, ValidationError
from msgspec.json import Decoder

from trimtab.core.messages import (
    Dialect,
    Document,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.wire.body import extras_of, given, image_at, json_text, kind_of, read_fields, read_request, refuse, strange
from trimtab.wire.cohere import shapes

_REQUEST = Decoder(shapes.ChatRequest)
_PART: Decoder[shapes.ContentPart] = Decoder(shapes.ContentPart)
_CALL = Decoder(shapes.FunctionCall)
_TOOL = Decoder(shapes.ToolDefinition)

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def decode_request(body: bytes) -> Request:
    fields = read_fields(body)
    wire = read_request(_REQUEST, body)
    if not wire.messages:
        raise refuse("messages", "must hold at least one message", "Add a message with role user.")
    extras = extras_of(fields, shapes.CARRIED)
    if wire.logprobs:
        # Asked for upstream, but no other protocol's figures can be written as this one's, which come with token ids.
        extras.append("logprobs")
    messages = tuple(_message(message, f"messages.{number}", extras) for number, message in enumerate(wire.messages))
    return Request(
        dialect=Dialect.COHERE,
        model=wire.model,
        messages=messages,
        tools=tuple(_tool(raw, f"tools.{number}", wire.strict_tools) for number, raw in enumerate(wire.tools or ())),
        tool_choice=_tool_choice(wire.tool_choice),
        output=_output(wire.response_format, extras),
        sampling=_sampling(wire, extras),
        stream=bool(wire.stream),
        # This protocol always reports usage.
        include_usage=True,
        native=body,
        extras=tuple(dict.fromkeys(extras)),
    )


def _sampling(wire: shapes.ChatRequest, extras: list[str]) -> Sampling:
    thinking = wire.thinking
    is_budgeted = thinking is not None and thinking.type == "enabled" and thinking.token_budget is not None
    is_off = thinking is not None and thinking.type == "disabled"
    if thinking is not None and not (is_budgeted or is_off):
        extras.append("thinking")
    return Sampling(
        max_tokens=wire.max_tokens,
        temperature=wire.temperature,
        top_p=wire.p,
        top_k=wire.k,
        stop=tuple(wire.stop_sequences or ()),
        seed=wire.seed,
        presence_penalty=wire.presence_penalty,
        frequency_penalty=wire.frequency_penalty,
        logprobs=wire.logprobs,
        reasoning_effort="none" if is_off else None,
        thinking_budget=thinking.token_budget if thinking is not None and is_budgeted else None,
    )


def _tool_choice(wire: str | None) -> ToolChoice | None:
    match wire:
        case None:
            return None
        case "REQUIRED":
            return ToolChoice("required")
        case "NONE":
            return ToolChoice("none")
        case _:
            raise refuse("tool_choice", "is none of REQUIRED, NONE", "Leave the field out to let the model choose.")


def _output(wire: shapes.ResponseFormat | None, extras: list[str]) -> OutputFormat | None:
    match wire:
        case None:
            return None
        case shapes.ResponseFormat(type="json_object", json_schema=schema) if given(schema):
            return OutputFormat("json_schema", schema=schema)
        case shapes.ResponseFormat(type="text" | "json_object" as kind):
            return OutputFormat(kind)
        case _:
            extras.append("response_format")
            return None


def _tool(raw: Raw, at: str, strict: bool | None) -> Tool:
    kind = kind_of(raw, at)
    if kind != "function":
        return Tool(name=kind, builtin=kind, raw=raw)
    wire = read_request(_TOOL, raw, at).function
    parameters = wire.parameters if given(wire.parameters) else None
    return Tool(name=wire.name, description=wire.description, parameters=parameters, strict=strict)


def _message(wire: shapes.ChatMessage, at: str, extras: list[str]) -> Message:
    role = _ROLES.get(wire.role)
    if role is None:
        raise refuse(f"{at}.role", f"is none of {', '.join(_ROLES)}")
    if wire.content is None and role != "assistant":
        raise refuse(f"{at}.content", "is required", "Send a string or a list of parts.")
    parts = _content(wire.content, f"{at}.content")
    if role == "tool":
        return Message(role, _tool_result(wire, parts, at))
    # The plan is said before the calls, and told apart from other thinking by standing right in front of them.
    if wire.tool_plan:
        parts.append(Reasoning(text=wire.tool_plan))
    parts += [_call(raw, f"{at}.tool_calls.{number}") for number, raw in enumerate(wire.tool_calls or ())]
    if given(wire.citations):
        extras.append(f"{at}.citations")
    return Message(role, tuple(parts))


def _tool_result(wire: shapes.ChatMessage, parts: list[Part], at: str) -> tuple[Part, ...]:
    if wire.tool_call_id is None:
        raise refuse(f"{at}.tool_call_id", "is required", "Name the call that this is the result of.")
    known = tuple(part for part in parts if isinstance(part, Text | Image | Document))
    strange = tuple(part for part in parts if not isinstance(part, Text | Image | Document))
    return (ToolResult(id=wire.tool_call_id, parts=known), *strange)


def _call(raw: Raw, at: str) -> Part:
    kind = kind_of(raw, at)
    if kind != "function":
        return Opaque(kind, raw)
    call = read_request(_CALL, raw, at)
    return ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)


def _content(content: str | list[Raw] | None, at: str) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)]
    return [_part(raw, f"{at}.{number}") for number, raw in enumerate(content or ())]


def _part(raw: Raw, at: str) -> Part:
    try:
        wire = _PART.decode(raw)
    except ValidationError:
        return strange(raw, at, _PART, shapes.KNOWN_PARTS)
    match wire:
        case shapes.TextPart(text=text):
            return Text(text)
        case shapes.ThinkingPart(thinking=text):
            return Reasoning(text=text)
        case shapes.ImagePart(image_url=image):
            return image_at(image.url, image.detail)
        case shapes.DocumentPart(document=document):
            if not bytes(document.data).startswith(b"{"):
                raise refuse(f"{at}.document.data", "is not an object")
            return Document(text=json_text(document.data), media_type="application/json", name=document.id)
