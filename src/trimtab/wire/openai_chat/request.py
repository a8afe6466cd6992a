"""OpenAI Chat Completions: the client's request, bytes to ``core.Request``. Knows nothing of other dialects nor of answers."""

from __future__ import annotations

from msgspec import Raw, ValidationError
from msgspec.json import Decoder

from trimtab.core.messages import (
    Audio,
    Dialect,
    Document,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.wire.body import extras_of, given, image_at, kind_of, parse_data_url, read_fields, read_request, refuse, strange
from trimtab.wire.common.choosing import refuse_choosing
from trimtab.wire.openai_chat import shapes

_REQUEST = Decoder(shapes.ChatRequest)
_PART: Decoder[shapes.ContentPart] = Decoder(shapes.ContentPart)
_CALL = Decoder(shapes.FunctionCall)
_TOOL = Decoder(shapes.ToolDefinition)

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def decode_request(body: bytes) -> Request:
    fields = read_fields(body)
    wire = read_request(_REQUEST, body)
    if not wire.messages:
        raise refuse("messages", "must hold at least one message", "Add a message with role user.")
    extras = extras_of(fields, shapes.CARRIED)
    refuse_choosing(fields)
    tool_choice = _tool_choice(wire.tool_choice, extras)
    output = _output(wire.response_format, extras)
    return Request(
        dialect=Dialect.OPENAI_CHAT,
        model=wire.model,
        messages=tuple(_message(message, f"messages.{number}", extras) for number, message in enumerate(wire.messages)),
        tools=tuple(_tool(raw, f"tools.{number}") for number, raw in enumerate(wire.tools or ())),
        tool_choice=tool_choice,
        parallel_tool_calls=wire.parallel_tool_calls,
        output=output,
        sampling=_sampling(wire),
        stream=bool(wire.stream),
        include_usage=bool(wire.stream_options and wire.stream_options.include_usage),
        user=wire.user,
        native=body,
        extras=tuple(extras),
    )


def _sampling(wire: shapes.ChatRequest) -> Sampling:
    stop = (wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ())
    return Sampling(
        max_tokens=wire.max_tokens if wire.max_completion_tokens is None else wire.max_completion_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        stop=stop,
        n=wire.n,
        seed=wire.seed,
        presence_penalty=wire.presence_penalty,
        frequency_penalty=wire.frequency_penalty,
        logit_bias=wire.logit_bias if given(wire.logit_bias) else None,
        logprobs=wire.logprobs,
        top_logprobs=wire.top_logprobs,
        reasoning_effort=wire.reasoning_effort,
    )


def _tool_choice(wire: str | shapes.NamedChoice | None, extras: list[str]) -> ToolChoice | None:
    match wire:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(wire)
        case shapes.NamedChoice(type="function", function=shapes.Named(name=name)):
            return ToolChoice("tool", name)
        case shapes.NamedChoice(type="function"):
            raise refuse("tool_choice.function", "is required", "Name the function that must be called.")
        case shapes.NamedChoice():
            extras.append("tool_choice")
            return None
        case _:
            raise refuse("tool_choice", "is none of auto, none, required or an object that names a function")


def _output(wire: shapes.ResponseFormat | None, extras: list[str]) -> OutputFormat | None:
    match wire:
        case None:
            return None
        case shapes.ResponseFormat(type="text" | "json_object" as kind):
            return OutputFormat(kind)
        case shapes.ResponseFormat(type="json_schema", json_schema=shapes.JsonSchema() as found):
            if found.description is not None:
                extras.append("response_format.json_schema.description")
            schema = found.schema if given(found.schema) else None
            return OutputFormat("json_schema", name=found.name, schema=schema, strict=found.strict)
        case shapes.ResponseFormat(type="json_schema"):
            raise refuse("response_format.json_schema", "is required", "Add the schema, or set type to json_object.")
        case _:
            extras.append("response_format")
            return None


def _tool(raw: Raw, at: str) -> Tool:
    kind = kind_of(raw, at)
    if kind != "function":
        return Tool(name=kind, builtin=kind, raw=raw)
    wire = read_request(_TOOL, raw, at).function
    return Tool(
        name=wire.name,
        description=wire.description,
        parameters=wire.parameters if given(wire.parameters) else None,
        strict=wire.strict,
    )


def _message(wire: shapes.ChatMessage, at: str, extras: list[str]) -> Message:
    role = _ROLES.get(wire.role)
    if role is None:
        raise refuse(f"{at}.role", f"is none of {', '.join(_ROLES)}")
    if role == "tool":
        return _tool_message(wire, at)
    if wire.content is None and role != "assistant":
        raise refuse(f"{at}.content", "is required", "Send a string or a list of parts.")
    parts: list[Part] = []
    if wire.reasoning_content:
        parts.append(Reasoning(text=wire.reasoning_content))
    parts += _content(wire.content, f"{at}.content")
    if wire.refusal:
        parts.append(Refusal(wire.refusal))
    parts += [_tool_call(raw, f"{at}.tool_calls.{number}") for number, raw in enumerate(wire.tool_calls or ())]
    if wire.function_call is not None:
        call = wire.function_call
        parts.append(ToolCall(id=call.name, name=call.name, arguments=call.arguments))
    if given(wire.audio):
        extras.append(f"{at}.audio")
    return Message(role=role, parts=tuple(parts), name=wire.name)


def _tool_message(wire: shapes.ChatMessage, at: str) -> Message:
    # The legacy role function has no call id: there the function's name pairs call and result.
    id = wire.tool_call_id if wire.role == "tool" else wire.name
    if id is None:
        raise refuse(
            f"{at}.{'tool_call_id' if wire.role == 'tool' else 'name'}", "is required", "Name the call that this is the result of."
        )
    if wire.content is None and wire.role == "tool":
        raise refuse(f"{at}.content", "is required", "Send the tool's result, as a string or as a list of text parts.")
    parts = _content(wire.content, f"{at}.content")
    known = tuple(part for part in parts if isinstance(part, Text | Image | Document))
    if len(known) == len(parts):
        return Message(role="tool", parts=(ToolResult(id=id, parts=known),))
    strange = tuple(part for part in parts if not isinstance(part, Text | Image | Document))
    return Message(role="tool", parts=(ToolResult(id=id, parts=known), *strange))


def _tool_call(raw: Raw, at: str) -> Part:
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
        case shapes.RefusalPart(refusal=text):
            return Refusal(text)
        case shapes.AudioPart(input_audio=audio):
            return Audio(data=audio.data, format=audio.format)
        case shapes.ImagePart(image_url=image):
            return _image(image)
        case shapes.FilePart(file=file):
            return _document(file, raw)


def _image(wire: shapes.ImageUrl | str) -> Image:
    url, detail = (wire, None) if isinstance(wire, str) else (wire.url, wire.detail)
    return image_at(url, detail)


def _document(file: shapes.File, raw: Raw) -> Part:
    if file.file_data is None:
        return Opaque("file", raw)
    inline = parse_data_url(file.file_data)
    if inline is None:
        return Document(data=file.file_data, name=file.filename)
    return Document(data=inline.data, media_type=inline.media_type, name=file.filename)
