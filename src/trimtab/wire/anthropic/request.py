"""Anthropic Messages: the client's request, bytes to ``core.Request``. Knows nothing of other dialects nor of answers."""

from __future__ import annotations

from msgspec import Raw, ValidationError
from msgspec.json import Decoder

from trimtab.core.messages import (
    CacheHint,
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
from trimtab.wire.anthropic import shapes
from trimtab.wire.body import extras_of, given, json_text, kind_of, read_fields, read_request, refuse, strange
from trimtab.wire.common.choosing import refuse_choosing
from trimtab.wire.common.signatures import refuse_foreign_alone, unseal

_REQUEST = Decoder(shapes.MessagesRequest)
_BLOCK: Decoder[shapes.Block] = Decoder(shapes.Block)
_SOURCE_KIND = Decoder(shapes.SourceKind)
_TOOL_KIND = Decoder(shapes.ToolKind)
_TOOL = Decoder(shapes.CustomTool)

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_UNCARRIED_TOOL_FIELDS = ("allowed_callers", "defer_loading", "eager_input_streaming", "input_examples")


def decode_request(body: bytes, *, to_count: bool = False) -> Request:
    """``to_count`` reads the body of ``count_tokens``, which has no ``max_tokens``."""
    fields = read_fields(body)
    wire = read_request(_REQUEST, body)
    if not wire.messages:
        raise refuse("messages", "must hold at least one message", "Add a message with role user.")
    if wire.max_tokens is None and not to_count:
        raise refuse("max_tokens", "is required", "Say how many tokens the answer may have at most.")
    extras = extras_of(fields, shapes.CARRIED)
    refuse_choosing(fields)
    parts = _Parts(extras)
    tool_choice = wire.tool_choice
    output = _output(wire.output_config, extras)
    thinking = wire.thinking
    if thinking is not None and (thinking.type != "enabled" or thinking.display is not None):
        # To say that there be none is this protocol's default in words; elsewhere a model may think unasked.
        extras.append("thinking")
    system = parts.content(wire.system, "system") if wire.system else ()
    turns = [_turn(turn, f"messages.{number}", parts) for number, turn in enumerate(wire.messages)]
    refuse_foreign_alone(turns, parts.foreign, "messages")
    return Request(
        dialect=Dialect.ANTHROPIC,
        model=wire.model,
        messages=(*((Message("system", system),) if system else ()), *turns),
        tools=tuple(_tool(raw, f"tools.{number}", extras) for number, raw in enumerate(wire.tools or ())),
        tool_choice=_tool_choice(tool_choice),
        parallel_tool_calls=_parallel(tool_choice),
        output=output,
        sampling=Sampling(
            max_tokens=wire.max_tokens,
            temperature=wire.temperature,
            top_p=wire.top_p,
            top_k=wire.top_k,
            stop=tuple(wire.stop_sequences or ()),
            reasoning_effort=wire.output_config.effort if wire.output_config else None,
            thinking_budget=thinking.budget_tokens if thinking is not None and thinking.type == "enabled" else None,
        ),
        stream=bool(wire.stream),
        # This protocol always reports usage.
        include_usage=True,
        user=wire.metadata.user_id if wire.metadata else None,
        native=body,
        extras=tuple(dict.fromkeys(extras)),
        foreign=tuple(parts.foreign),
    )


def _output(wire: shapes.OutputConfig | None, extras: list[str]) -> OutputFormat | None:
    if wire is None or wire.format is None:
        return None
    if wire.format.type != "json_schema" or not given(wire.format.schema):
        extras.append("output_config.format")
        return None
    return OutputFormat("json_schema", schema=wire.format.schema)


def _tool_choice(wire: shapes.ToolChoice | None) -> ToolChoice | None:
    match wire:
        case None:
            return None
        case shapes.ToolChoice(type="auto" | "none" as mode):
            return ToolChoice(mode)
        case shapes.ToolChoice(type="any"):
            return ToolChoice("required")
        case shapes.ToolChoice(type="tool", name=str(name)):
            return ToolChoice("tool", name)
        case shapes.ToolChoice(type="tool"):
            raise refuse("tool_choice.name", "is required", "Name the tool that must be used.")
        case _:
            raise refuse("tool_choice.type", "is none of auto, any, tool, none")


def _parallel(wire: shapes.ToolChoice | None) -> bool | None:
    return None if wire is None or wire.disable_parallel_tool_use is None else not wire.disable_parallel_tool_use


def _tool(raw: Raw, at: str, extras: list[str]) -> Tool:
    kind = read_request(_TOOL_KIND, raw, at)
    if kind.type not in (None, "custom"):
        return Tool(name=kind.name or kind.type or "", builtin=kind.type, raw=raw)
    wire = read_request(_TOOL, raw, at)
    extras += [f"{at}.{name}" for name in _UNCARRIED_TOOL_FIELDS if given(getattr(wire, name))]
    return Tool(
        name=wire.name,
        description=wire.description,
        parameters=wire.input_schema,
        strict=wire.strict,
        cache=_cache(wire.cache_control),
    )


def _turn(wire: shapes.Turn, at: str, parts: _Parts) -> Message:
    role = _ROLES.get(wire.role)
    if role is None:
        raise refuse(f"{at}.role", "is none of user, assistant, system", "Put a system prompt into the field system.")
    return Message(role=role, parts=parts.content(wire.content, f"{at}.content"))


def _cache(wire: shapes.CacheControl | None) -> CacheHint | None:
    match wire:
        case None:
            return None
        case shapes.CacheControl(ttl="5m" | "1h" as ttl):
            return CacheHint(ttl)
        case _:
            return CacheHint()


class _Parts:
    """Reads blocks, and names in ``extras`` the fields of known blocks that no part has a place for."""

    def __init__(self, extras: list[str]) -> None:
        self._extras = extras
        self.foreign: list[str] = []

    def content(self, content: str | list[Raw] | None, at: str) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (Text(content),)
        return tuple(self._block(raw, f"{at}.{number}") for number, raw in enumerate(content or ()))

    def _block(self, raw: Raw, at: str) -> Part:
        try:
            wire = _BLOCK.decode(raw)
        except ValidationError:
            return self._strange(raw, at)
        match wire:
            case shapes.TextBlock(text=text):
                self._note(at, citations=wire.citations)
                return Text(text, _cache(wire.cache_control))
            case shapes.ImageBlock(source=source):
                return self._image(wire, source, at) or Opaque("image", raw)
            case shapes.DocumentBlock(source=source):
                return self._document(wire, source, at) or Opaque("document", raw)
            case shapes.ToolUseBlock(id=id, name=name, input=input):
                if not bytes(input).startswith(b"{"):
                    raise refuse(f"{at}.input", "is not an object")
                return ToolCall(id=id, name=name, arguments=json_text(input), cache=_cache(wire.cache_control))
            case shapes.ToolResultBlock():
                return self._tool_result(wire, raw, at)
            case shapes.ThinkingBlock(thinking=text, signature=signature):
                return self._thought(Reasoning(text, signature, signer=Dialect.ANTHROPIC), at)
            case shapes.RedactedThinkingBlock(data=data):
                return self._thought(Reasoning(redacted=data, signer=Dialect.ANTHROPIC), at)

    def _thought(self, thought: Reasoning, at: str) -> Reasoning:
        thought = unseal(thought)
        if thought.signer is not Dialect.ANTHROPIC:
            self.foreign.append(at)
        return thought

    def _strange(self, raw: Raw, at: str) -> Opaque:
        """A block of an unknown kind, or with a source of an unknown kind, is kept whole; a known one that does not fit is refused."""
        kind = kind_of(raw, at)
        if kind in ("image", "document") and read_request(_SOURCE_KIND, raw, at).source.type not in ("base64", "url", "text"):
            return Opaque(kind, raw)
        return strange(raw, at, _BLOCK, shapes.KNOWN_BLOCKS)

    def _note(self, at: str, **fields: Raw) -> None:
        self._extras += [f"{at}.{name}" for name, raw in fields.items() if given(raw)]

    def _image(self, wire: shapes.ImageBlock, source: shapes.Source, at: str) -> Image | None:
        """``None`` for a source of an unknown kind."""
        if source.type not in ("base64", "url"):
            return None
        self._note(at, transformations=wire.transformations)
        cache = _cache(wire.cache_control)
        match source:
            case shapes.Source(type="base64"):
                data, media_type = self._data(source, at), self._media_type(source, at)
                return Image(data=data, media_type=media_type, cache=cache)
            case shapes.Source(type="url", url=str(url)):
                return Image(url=url, cache=cache)
            case _:
                raise refuse(f"{at}.source.url", "is required")

    def _document(self, wire: shapes.DocumentBlock, source: shapes.Source, at: str) -> Document | None:
        """``None`` for a source of an unknown kind."""
        if source.type not in ("base64", "text", "url"):
            return None
        self._note(at, citations=wire.citations, context=wire.context)
        cache = _cache(wire.cache_control)
        match source:
            case shapes.Source(type="base64"):
                data, media_type = self._data(source, at), self._media_type(source, at)
                return Document(data=data, media_type=media_type, name=wire.title, cache=cache)
            case shapes.Source(type="text"):
                return Document(text=self._data(source, at), media_type=source.media_type, name=wire.title, cache=cache)
            case shapes.Source(type="url", url=str(url)):
                return Document(url=url, name=wire.title, cache=cache)
            case _:
                raise refuse(f"{at}.source.url", "is required")

    @staticmethod
    def _data(source: shapes.Source, at: str) -> str:
        if source.data is None:
            raise refuse(f"{at}.source.data", "is required")
        return source.data

    @staticmethod
    def _media_type(source: shapes.Source, at: str) -> str:
        if source.media_type is None:
            raise refuse(f"{at}.source.media_type", "is required")
        return source.media_type

    def _tool_result(self, wire: shapes.ToolResultBlock, raw: Raw, at: str) -> Part:
        parts = self.content(wire.content, f"{at}.content")
        known = tuple(part for part in parts if isinstance(part, Text | Image | Document))
        if len(known) != len(parts):
            # A result with a part that nobody can read counts as unreadable as a whole.
            return Opaque("tool_result", raw)
        return ToolResult(id=wire.tool_use_id, parts=known, is_error=bool(wire.is_error), cache=_cache(wire.cache_control))
