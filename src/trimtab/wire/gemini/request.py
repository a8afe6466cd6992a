"""Google's Gemini API: the client's request, bytes to ``core.Request``. Knows nothing of other dialects nor of answers.

The model and the wish for a stream stand in the path, so ``model`` is ``""`` here and ``stream`` false until the door adds them. A
signature on a part becomes a :class:`Reasoning` of its own in front of that part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec
from msgspec import Raw
from msgspec.json import Decoder
from msgspec.structs import replace

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
    Request,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.wire.body import extras_of, given, json_text, read_fields, read_request, refuse
from trimtab.wire.common.signatures import refuse_foreign_alone, unseal
from trimtab.wire.gemini import shapes
from trimtab.wire.gemini.schema import to_json_schema
from trimtab.wire.outline import content_turns

_REQUEST = Decoder(shapes.GenerateContentRequest)
_FIELDS: Decoder[dict[str, Raw]] = Decoder(dict[str, Raw])
_PART = Decoder(shapes.Part)
_FUNCTION = Decoder(shapes.FunctionDeclaration)
_TOOL_CONFIG = Decoder(shapes.ToolConfig)
_CONFIG = Decoder(shapes.GenerationConfig)
_TEXT = Decoder(str)

_ROLES: dict[str | None, Role] = {None: "user", "": "user", "user": "user", "model": "assistant", "function": "tool"}
_ENCODED = str.maketrans("-_", "+/")


def decode_request(body: bytes) -> Request:
    spelled = shapes.camel_body(body)
    fields = read_fields(spelled)
    wire = read_request(_REQUEST, spelled)
    contents = wire.contents if isinstance(wire.contents, list) else [wire.contents]
    if not contents:
        raise refuse("contents", "must hold at least one content", "Add a content with role user.")
    extras = extras_of(fields, shapes.CARRIED)
    reader = PartReader(extras)
    system = reader.content(wire.system_instruction, "systemInstruction") if wire.system_instruction else ()
    turns = content_turns([content.role for content in contents])
    messages = [_message([(f"contents.{number}", contents[number]) for number in turn], reader) for turn in turns]
    refuse_foreign_alone(messages, reader.foreign, "contents")
    sampling, output = _config(wire.generation_config, extras)
    return Request(
        dialect=Dialect.GEMINI,
        model="",
        messages=(*((Message("system", system),) if system else ()), *messages),
        tools=_tools(wire.tools, extras),
        tool_choice=_tool_choice(wire.tool_config, extras),
        output=output,
        sampling=sampling,
        # This protocol always reports usage.
        include_usage=True,
        native=body,
        extras=tuple(dict.fromkeys(extras)),
        foreign=tuple(reader.foreign),
    )


# -- contents ----------------------------------------------------------------------------------------------------------------------


def _message(turn: list[tuple[str, shapes.Content]], reader: PartReader) -> Message:
    at, first = turn[0]
    role = _ROLES.get(first.role)
    if role is None:
        raise refuse(f"{at}.role", "is none of user, model", "Put a system prompt into the field systemInstruction.")
    parts: list[Part] = []
    for at, content in turn:
        _join(parts, reader.content(content, at))
    return Message(role=role, parts=tuple(parts))


def _join(parts: list[Part], more: tuple[Part, ...]) -> None:
    """Put what one chunk said behind what the chunks before it said: a text, or a thought, that was cut in two becomes one again."""
    match parts, more:
        case [*_, _], [Text(text="")]:
            return
        case [*_, Text(text=begun)], [Text(text=text), *rest]:
            parts[-1] = Text(begun + text)
        case [*_, Reasoning(text=begun, signature=None)], [Reasoning(text=text) as thought, *rest] if text:
            parts[-1] = replace(thought, text=begun + text)
        case _:
            rest = [*more]
    parts += rest


class _Calls:
    """Which calls of the conversation wait for their result, so that a result without an id finds its own: by name, in order."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: dict[str, deque[str]] = {}

    def called(self, name: str, id: str | None) -> str:
        id = id or self._make(name)
        self._waiting.setdefault(name, deque()).append(id)
        return id

    def answered(self, name: str, id: str | None) -> str:
        waiting = self._waiting.get(name, deque())
        if id:
            if id in waiting:
                waiting.remove(id)
            return id
        return waiting.popleft() if waiting else self._make(name)

    def _make(self, name: str) -> str:
        self._count += 1
        return shapes.made_id(name, self._count - 1)


class PartReader:
    """Reads parts, and names in ``extras`` the fields of known parts that ``core`` has no place for."""

    def __init__(self, extras: list[str]) -> None:
        self._extras = extras
        self.foreign: list[str] = []
        self._calls = _Calls()

    def content(self, wire: shapes.Content, at: str) -> tuple[Part, ...]:
        parts: list[Part] = []
        for number, raw in enumerate(shapes.members(wire.parts)):
            parts += self._part(raw, f"{at}.parts.{number}")
        return tuple(parts)

    def _part(self, raw: Raw, at: str) -> list[Part]:
        fields = read_request(_FIELDS, raw, at)
        unknown = [
            name for name, inner in fields.items() if given(inner) and name not in _PART_FIELDS and name not in shapes.PART_ASIDES
        ]
        if unknown:
            return [Opaque(unknown[0], raw)]
        wire = read_request(_PART, raw, at)
        known = self._known(wire, fields, raw, at)
        if isinstance(known, Opaque):
            return [known]
        self._extras += [f"{at}.{name}" for name in fields if name in shapes.PART_ASIDES and given(fields[name])]
        thought = unseal(Reasoning(signature=wire.thought_signature, signer=Dialect.GEMINI))
        is_thought = wire.thought and isinstance(known, Text | None)
        is_bare = is_thought or known is None or known == Text("")
        if thought.signer is not Dialect.GEMINI:
            self.foreign.append(at if is_bare else f"{at}.thoughtSignature")
        if is_thought:
            return [replace(thought, text=wire.text or "")]
        signature: list[Part] = [] if wire.thought_signature is None else [thought]
        if known is None and not signature:
            raise refuse(at, "holds no content", "Give the part a text, inlineData, fileData, functionCall or functionResponse.")
        # An empty text is what a signature at the end of a turn stands on.
        return signature if known is None or (signature and known == Text("")) else [*signature, known]

    def _known(self, wire: shapes.Part, fields: Mapping[str, Raw], raw: Raw, at: str) -> Part | None:
        if wire.inline_data is not None:
            return _inline(wire.inline_data) or Opaque("inlineData", raw)
        if wire.file_data is not None:
            return _linked(wire.file_data) or Opaque("fileData", raw)
        if wire.function_call is not None:
            call = wire.function_call
            if given(call.partial_args) or call.will_continue or wire.function_response is not None:
                return Opaque("functionCall", raw)
            arguments = self._object(call.args, f"{at}.functionCall.args")
            return ToolCall(id=self._calls.called(call.name, call.id), name=call.name, arguments=arguments)
        if wire.function_response is not None:
            return self._result(wire.function_response, raw, f"{at}.functionResponse")
        return None if wire.text is None else Text(wire.text)

    @staticmethod
    def _object(raw: Raw, at: str) -> str:
        if not given(raw):
            return "{}"
        if not bytes(raw).startswith(b"{"):
            raise refuse(at, "is not an object")
        return json_text(raw)

    def _result(self, wire: shapes.FunctionResponse, raw: Raw, at: str) -> Part:
        said = self._object(wire.response, f"{at}.response")
        parts: list[Text | Image | Document] = []
        text, is_error = _said(said)
        if text or not given(wire.parts):
            parts.append(Text(text))
        for number, inner in enumerate(shapes.members(wire.parts)):
            shown = self._part(inner, f"{at}.parts.{number}")
            if len(shown) != 1 or not isinstance(shown[0], Image | Document):
                # A result with a part that nobody can read counts as unreadable as a whole.
                return Opaque("functionResponse", raw)
            parts.append(shown[0])
        beside = {"scheduling": wire.scheduling, "willContinue": wire.will_continue}
        self._extras += [f"{at}.{name}" for name, field in beside.items() if given(field)]
        return ToolResult(id=self._calls.answered(wire.name, wire.id), parts=tuple(parts), is_error=is_error)


_PART_FIELDS = shapes.PART_KINDS | {"thought", "thoughtSignature"}


def _said(response: str) -> tuple[str, bool]:
    """What a function answered, as text: the protocol reads ``output`` and ``error``, where they stand alone, as the answer itself."""
    fields = _FIELDS.decode(response)
    if len(fields) == 1:
        ((name, raw),) = fields.items()
        if name in ("output", "error"):
            is_text = bytes(raw).startswith(b'"')
            return _TEXT.decode(raw) if is_text else json_text(raw), name == "error"
    return response, False


def _inline(blob: shapes.Blob) -> Part | None:
    """``None`` for media that ``core`` has no word for."""
    kind, _, form = blob.mime_type.partition(";")[0].strip().lower().partition("/")
    data = blob.data.translate(_ENCODED)
    data += "=" * (-len(data) % 4)
    media_type = f"{kind}/{form}"
    match kind:
        case "image":
            return Image(data=data, media_type=media_type)
        case "audio":
            return Audio(data=data, format=_AUDIO.get(form, form))
        case "application" | "text":
            return Document(data=data, media_type=media_type, name=blob.display_name)
        case _:
            return None


_AUDIO = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-aac": "aac", "x-flac": "flac", "x-aiff": "aiff"}


def _linked(file: shapes.FileData) -> Part | None:
    """``None`` for what only Google can fetch, or nobody can tell the kind of."""
    if not file.file_uri.startswith(("https://", "http://")) or "googleapis.com/" in file.file_uri:
        return None
    match (file.mime_type or "").partition("/")[0]:
        case "image":
            return Image(url=file.file_uri, media_type=file.mime_type)
        case "application" | "text":
            return Document(url=file.file_uri, media_type=file.mime_type, name=file.display_name)
        case _:
            return None


# -- tools -------------------------------------------------------------------------------------------------------------------------


def _tools(wire: Raw, extras: list[str]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for number, raw in enumerate(shapes.members(wire)):
        for name, inner in read_request(_FIELDS, raw, f"tools.{number}").items():
            at = f"tools.{number}.{name}"
            if name == "functionDeclarations":
                found = enumerate(shapes.members(inner))
                tools += [_function(function, f"{at}.{place}", extras) for place, function in found]
            elif given(inner):
                tools.append(Tool(name=name, builtin=name, raw=Raw(msgspec.json.encode({name: inner}))))
    return tuple(tools)


def _function(raw: Raw, at: str, extras: list[str]) -> Tool:
    wire = read_request(_FUNCTION, raw, at)
    beside = {"response": wire.response, "responseJsonSchema": wire.response_json_schema, "behavior": wire.behavior}
    extras += [f"{at}.{name}" for name, field in beside.items() if given(field)]
    parameters = None
    if given(wire.parameters_json_schema):
        parameters = wire.parameters_json_schema
    elif given(wire.parameters):
        parameters = to_json_schema(wire.parameters)
    return Tool(name=wire.name, description=wire.description, parameters=parameters)


def _tool_choice(raw: Raw, extras: list[str]) -> ToolChoice | None:
    if not given(raw):
        return None
    fields = read_request(_FIELDS, raw, "toolConfig")
    extras += [f"toolConfig.{name}" for name in extras_of(fields, _CALLING)]
    wire = read_request(_TOOL_CONFIG, raw, "toolConfig").function_calling_config or shapes.FunctionCallingConfig()
    at = "toolConfig.functionCallingConfig"
    names = wire.allowed_function_names or []
    match (wire.mode or "MODE_UNSPECIFIED").upper():
        case "ANY" if len(names) == 1:
            return ToolChoice("tool", names[0])
        case "MODE_UNSPECIFIED":
            choice = None
        case "AUTO":
            choice = ToolChoice("auto")
        case "ANY":
            choice = ToolChoice("required")
        case "NONE":
            choice = ToolChoice("none")
        case "VALIDATED":
            extras.append(f"{at}.mode")
            choice = ToolChoice("auto")
        case _:
            raise refuse(f"{at}.mode", "is none of AUTO, ANY, NONE, VALIDATED")
    if names:
        extras.append(f"{at}.allowedFunctionNames")
    return choice


_CALLING = frozenset({"functionCallingConfig"})


# -- generationConfig --------------------------------------------------------------------------------------------------------------


def _config(raw: Raw, extras: list[str]) -> tuple[Sampling, OutputFormat | None]:
    if not given(raw):
        return Sampling(), None
    at = "generationConfig"
    fields = read_request(_FIELDS, raw, at)
    wire = read_request(_CONFIG, raw, at)
    extras += [f"{at}.{name}" for name in extras_of(fields, shapes.CARRIED_CONFIG)]
    thinking = wire.thinking_config or shapes.ThinkingConfig()
    budget, level = thinking.thinking_budget, (thinking.thinking_level or "").lower()
    if budget is not None and budget <= 0:
        # 0 is never, -1 is as the model likes: no other protocol has a number for these.
        extras.append(f"{at}.thinkingConfig.thinkingBudget")
        budget = None
    if thinking.include_thoughts is not None:
        extras.append(f"{at}.thinkingConfig.includeThoughts")
    sampling = Sampling(
        max_tokens=wire.max_output_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=None if wire.top_k is None else int(wire.top_k),
        stop=tuple(wire.stop_sequences or ()),
        n=wire.candidate_count,
        seed=wire.seed,
        presence_penalty=wire.presence_penalty,
        frequency_penalty=wire.frequency_penalty,
        logprobs=wire.response_logprobs,
        top_logprobs=wire.logprobs,
        reasoning_effort=level if level not in ("", "thinking_level_unspecified") else None,
        thinking_budget=budget,
    )
    return sampling, _output(wire, extras)


def _output(wire: shapes.GenerationConfig, extras: list[str]) -> OutputFormat | None:
    schema = None
    if given(wire.response_json_schema):
        schema = wire.response_json_schema
    elif given(wire.response_schema):
        schema = to_json_schema(wire.response_schema)
    match wire.response_mime_type:
        case "application/json":
            return OutputFormat("json_object") if schema is None else OutputFormat("json_schema", schema=schema)
        case None:
            if schema is not None:
                extras.append("generationConfig.responseSchema")
            return None
        case "text/plain":
            return OutputFormat("text")
        case _:
            extras.append("generationConfig.responseMimeType")
            return None
