"""OpenAI Responses: the client's request, bytes to ``core.Request``. Knows nothing of other dialects, of answers nor of stored ones."""

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
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.wire.body import (
    ABSENT,
    extras_of,
    given,
    image_at,
    parse_data_url,
    read_fields,
    read_request,
    refuse,
    strange,
)
from trimtab.wire.common.choosing import refuse_choosing
from trimtab.wire.common.signatures import refuse_foreign_alone, unseal
from trimtab.wire.openai_responses import shapes
from trimtab.wire.outline import Outline, turns

_REQUEST = Decoder(shapes.ResponsesRequest)
_OUTLINE = Decoder(Outline)
_MESSAGE = Decoder(shapes.MessageItem)
_CALL = Decoder(shapes.CallItem)
_OUTPUT = Decoder(shapes.OutputItem)
_REASONING = Decoder(shapes.ReasoningItem)
_PART: Decoder[shapes.ContentPart] = Decoder(shapes.ContentPart)
_TOOL_HEAD = Decoder(shapes.ToolHead)
_TOOL = Decoder(shapes.FunctionTool)
_FORMAT = Decoder(shapes.TextFormat)
_EFFORT = Decoder(str)

_SPEAKERS = ("user", "assistant", "system", "developer")
_UNCARRIED_TOOL_FIELDS = ("allowed_callers", "defer_loading", "output_schema")


def decode_request(body: bytes) -> Request:
    fields = read_fields(body)
    wire = read_request(_REQUEST, body)
    _refuse_what_needs_state(wire)
    extras = extras_of(fields, shapes.CARRIED)
    refuse_choosing(fields)
    reader = _Items(extras)
    asked = tuple(_messages(wire.input, reader))
    refuse_foreign_alone(asked, reader.foreign, "input")
    messages = (*((Message("system", (Text(wire.instructions),)),) if wire.instructions else ()), *asked)
    tools = tuple(_tool(raw, f"tools.{number}", extras) for number, raw in enumerate(wire.tools or ()))
    tool_choice = _tool_choice(wire.tool_choice, extras)
    output = _output(wire.text or {}, extras)
    sampling = _sampling(wire, extras)
    return Request(
        dialect=Dialect.OPENAI_RESPONSES,
        model=wire.model,
        messages=messages,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=wire.parallel_tool_calls,
        output=output,
        sampling=sampling,
        stream=bool(wire.stream),
        # This protocol always reports usage.
        include_usage=True,
        user=wire.user,
        native=body,
        extras=tuple(dict.fromkeys(extras)),
        foreign=tuple(reader.foreign),
    )


def _refuse_what_needs_state(wire: shapes.ResponsesRequest) -> None:
    if wire.previous_response_id is not None:
        raise refuse(
            "previous_response_id",
            "names an answer, and no answers are kept here",
            "Turn on [responses] store in the gateway's configuration, or send the earlier items in input.",
        )
    if given(wire.conversation):
        raise refuse("conversation", "is not supported", "Send the earlier items in input, or use previous_response_id.")
    if given(wire.prompt):
        raise refuse("prompt", "names a template that is kept elsewhere", "Send its text as instructions and input.")
    if wire.background:
        raise refuse("background", "is not supported", "Leave it out, and stream the answer or wait for it.")


def _sampling(wire: shapes.ResponsesRequest, extras: list[str]) -> Sampling:
    wanted = wire.include or ()
    has_logprobs = shapes.LOGPROBS in wanted
    if any(name != shapes.LOGPROBS for name in wanted):
        extras.append("include")
    if wire.top_logprobs and not has_logprobs:
        # Without the member of ``include`` none are given, and elsewhere the number alone is an error.
        extras.append("top_logprobs")
    reasoning = wire.reasoning or {}
    extras += [f"reasoning.{name}" for name in extras_of(reasoning, frozenset({"effort"}))]
    effort = reasoning.get("effort", ABSENT)
    return Sampling(
        max_tokens=wire.max_output_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        logprobs=True if has_logprobs else None,
        top_logprobs=wire.top_logprobs if has_logprobs else None,
        reasoning_effort=read_request(_EFFORT, effort, "reasoning.effort") if given(effort) else None,
    )


def _tool_choice(wire: str | shapes.NamedChoice | None, extras: list[str]) -> ToolChoice | None:
    match wire:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(wire)
        case shapes.NamedChoice(type="function", name=str(name)):
            return ToolChoice("tool", name)
        case shapes.NamedChoice(type="function"):
            raise refuse("tool_choice.name", "is required", "Name the function that must be called.")
        case shapes.NamedChoice():
            extras.append("tool_choice")
            return None
        case _:
            raise refuse("tool_choice", "is none of auto, none, required or an object that names a tool")


def _output(text: dict[str, Raw], extras: list[str]) -> OutputFormat | None:
    extras += [f"text.{name}" for name in extras_of(text, frozenset({"format"}))]
    raw = text.get("format", ABSENT)
    if not given(raw):
        return None
    match read_request(_FORMAT, raw, "text.format"):
        case shapes.TextFormat(type="text" | "json_object" as kind):
            return OutputFormat(kind)
        case shapes.TextFormat(type="json_schema") as wire:
            if wire.description is not None:
                extras.append("text.format.description")
            schema = wire.schema if given(wire.schema) else None
            return OutputFormat("json_schema", name=wire.name, schema=schema, strict=wire.strict)
        case _:
            extras.append("text.format")
            return None


def _tool(raw: Raw, at: str, extras: list[str]) -> Tool:
    head = read_request(_TOOL_HEAD, raw, at)
    if head.type != "function":
        return Tool(name=head.name or head.type, builtin=head.type, raw=raw)
    wire = read_request(_TOOL, raw, at)
    extras += [f"{at}.{name}" for name in _UNCARRIED_TOOL_FIELDS if given(getattr(wire, name))]
    return Tool(
        name=wire.name,
        description=wire.description,
        parameters=wire.parameters if given(wire.parameters) else None,
        strict=wire.strict,
    )


# -- input -------------------------------------------------------------------------------------------------------------------------


def _messages(items: str | list[Raw] | None, reader: _Items) -> list[Message]:
    if isinstance(items, str):
        return [Message("user", (Text(items),))]
    if not items:
        raise refuse("input", "is required", "Send a text or a list with at least one item.")
    outlines = [read_request(_OUTLINE, raw, f"input.{number}") for number, raw in enumerate(items)]
    return [
        Message(
            outlines[turn.start].speaker,
            tuple(part for number in turn for part in reader.item(items[number], outlines[number].kind, f"input.{number}")),
        )
        for turn in turns(outlines)
    ]


class _Items:
    """Reads items, and names in ``extras`` the fields of known items that no part has a place for."""

    def __init__(self, extras: list[str]) -> None:
        self._extras = extras
        self.foreign: list[str] = []

    def item(self, raw: Raw, kind: str, at: str) -> tuple[Part, ...]:
        match kind:
            case "":
                # An object with nothing but an id is a reference, too.
                raise refuse(f"{at}.type", "is required", "Say what the item is; a reference to a stored item is not supported.")
            case "item_reference":
                raise refuse(at, "is a reference to a stored item, and none are kept here", "Send the item itself.")
            case "message":
                return self._message(raw, at)
            case "function_call":
                call = read_request(_CALL, raw, at)
                self._note(at, namespace=call.namespace, caller=call.caller)
                return (ToolCall(id=call.call_id, name=call.name, arguments=call.arguments),)
            case "function_call_output":
                return (self._result(raw, at),)
            case "reasoning":
                thought = read_request(_REASONING, raw, at)
                pieces = [piece.text for piece in (*(thought.content or ()), *(thought.summary or ()))]
                signature = thought.encrypted_content or None
                found = unseal(Reasoning("\n\n".join(pieces), signature, signer=Dialect.OPENAI_RESPONSES))
                if found.signer is not Dialect.OPENAI_RESPONSES:
                    self.foreign.append(at)
                return (found,)
            case _:
                return (Opaque(kind, raw),)

    def _note(self, at: str, **fields: Raw) -> None:
        self._extras += [f"{at}.{name}" for name, raw in fields.items() if given(raw)]

    def _message(self, raw: Raw, at: str) -> tuple[Part, ...]:
        wire = read_request(_MESSAGE, raw, at)
        if wire.role not in _SPEAKERS:
            raise refuse(f"{at}.role", f"is none of {', '.join(_SPEAKERS)}")
        self._note(at, phase=wire.phase)
        return self._content(wire.content, f"{at}.content")

    def _result(self, raw: Raw, at: str) -> Part:
        wire = read_request(_OUTPUT, raw, at)
        parts = self._content(wire.output, f"{at}.output")
        known = tuple(part for part in parts if isinstance(part, Text | Image | Document))
        if wire.call_id is None or len(known) != len(parts):
            # A result with a part that nobody can read counts as unreadable as a whole.
            return Opaque("function_call_output", raw)
        return ToolResult(id=wire.call_id, parts=known)

    def _content(self, content: str | list[Raw], at: str) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (Text(content),)
        return tuple(self._part(raw, f"{at}.{number}") for number, raw in enumerate(content))

    def _part(self, raw: Raw, at: str) -> Part:
        try:
            wire = _PART.decode(raw)
        except ValidationError:
            return strange(raw, at, _PART, shapes.KNOWN_PARTS)
        match wire:
            case shapes.TextPart(text=text):
                self._note(at, prompt_cache_breakpoint=wire.prompt_cache_breakpoint)
                return Text(text)
            case shapes.SaidPart(text=text):
                if wire.annotations:
                    self._extras.append(f"{at}.annotations")
                return Text(text)
            case shapes.RefusalPart(refusal=text):
                return Refusal(text)
            case shapes.ImagePart():
                self._note(at, prompt_cache_breakpoint=wire.prompt_cache_breakpoint)
                return _image(wire) or Opaque("input_image", raw)
            case shapes.FilePart():
                self._note(at, detail=wire.detail, prompt_cache_breakpoint=wire.prompt_cache_breakpoint)
                return _document(wire) or Opaque("input_file", raw)
            case shapes.AudioPart(input_audio=audio):
                return Audio(data=audio.data, format=audio.format)


def _image(wire: shapes.ImagePart) -> Image | None:
    """``None`` for an image that lies in the provider's own store."""
    if wire.image_url is None:
        return None
    # The protocol wants a detail to be said; this one says nothing.
    return image_at(wire.image_url, None if wire.detail == "auto" else wire.detail)


def _document(wire: shapes.FilePart) -> Document | None:
    """``None`` for a file that lies in the provider's own store."""
    if wire.file_data is None:
        return None if wire.file_url is None else Document(url=wire.file_url, name=wire.filename)
    inline = parse_data_url(wire.file_data)
    if inline is None:
        return Document(data=wire.file_data, name=wire.filename)
    return Document(data=inline.data, media_type=inline.media_type, name=wire.filename)
