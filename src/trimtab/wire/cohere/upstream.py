"""Cohere v2 chat: what an upstream answers, whole or as stream events, as ``core`` events. Knows nothing of the client.

The protocol never says which model answered.
"""

from __future__ import annotations

from msgspec import Raw, Struct
from msgspec.json import Decoder

from trimtab.core.events import (
    Ended,
    Event,
    Finished,
    Frame,
    OpaqueDelta,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from trimtab.core.messages import FinishReason
from trimtab.core.units import Usage
from trimtab.wire.body import ABSENT, figures, given, read_answer
from trimtab.wire.codec import UpstreamError, UpstreamErrorEvent, WireError
from trimtab.wire.cohere.shapes import Number, whole
from trimtab.wire.faults import read_error
from trimtab.wire.sse import ServerSentEvent


class _Units(Struct):
    input_tokens: Number | None = None
    output_tokens: Number | None = None


class _Usage(Struct):
    billed_units: _Units | None = None
    tokens: _Units | None = None
    cached_tokens: Number | None = None


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    id: str | None = None
    type: str = "function"
    function: _Function | None = None


class _Content(Struct):
    """One block of an answer, or a piece of one: then without ``type``."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None


class _Message(Struct):
    """A whole message, where three fields are lists, or what a stream's event has of it, where they are single values."""

    content: Raw = ABSENT
    tool_plan: str | None = None
    tool_calls: Raw = ABSENT
    citations: Raw = ABSENT


class _Delta(Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Raw = ABSENT
    error: str | None = None


class _StreamEvent(Struct):
    type: str = ""
    id: str | None = None
    index: int = 0
    delta: _Delta | None = None


class _Answer(Struct):
    id: str = ""
    finish_reason: str | None = None
    message: _Message | None = None
    usage: Raw = ABSENT


_ANSWER = Decoder(_Answer)
_EVENT = Decoder(_StreamEvent)
_USAGE = Decoder(_Usage)
_CONTENT = Decoder(_Content)
_CALL = Decoder(_Call)
_LIST = Decoder(list[Raw])

_FINISH = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
}
_FAILED = ("ERROR", "TIMEOUT")

PLAN = -1
"""The block of a tool plan: it has no index, and content blocks begin at 0."""


def usage_of(raw: Raw) -> Usage | None:
    """What is billed, where that is told.

    ``tokens`` counts all that the model read and wrote, hidden preamble and special tokens included; ``billed_units`` leaves out
    what the caller has no hand in, and is what is charged (docs, "How does Cohere's pricing work?"). A ledger that multiplies by
    prices wants the second. ``cached_tokens`` is a share of the first, often more than all that is billed, and is not priced
    apart: beside billed units it would say nothing true.
    """
    wire = figures(_USAGE, raw)
    if wire is None:
        return None
    billed, tokens = wire.billed_units, wire.tokens
    if billed is not None and billed.input_tokens is not None:
        return Usage(input=whole(billed.input_tokens), output=whole(billed.output_tokens))
    if tokens is not None:
        cached = whole(wire.cached_tokens)
        return Usage(input=whole(tokens.input_tokens), output=whole(tokens.output_tokens), cache_read=cached)
    return None


def _content(raw: Raw, index: int) -> list[Event]:
    content = read_answer(_CONTENT, raw)
    if content.thinking is not None:
        return [ReasoningDelta(content.thinking, block=index)] if content.thinking else []
    if content.text is not None:
        return [TextDelta(content.text, block=index)] if content.text else []
    return [OpaqueDelta(content.type, raw)] if content.type not in ("", "text", "thinking") else []


def _call(raw: Raw, index: int) -> Event:
    call = read_answer(_CALL, raw)
    function = call.function or _Function()
    return ToolCallDelta(index, function.arguments or "", id=call.id, name=function.name)


def _end(finish: str | None, usage: Raw, error: str | None = None) -> list[Event]:
    if finish in _FAILED:
        # A failed generation comes under a good status line.
        raise UpstreamErrorEvent(UpstreamError(code=finish, message=error or ""))
    events: list[Event] = []
    if finish:
        events.append(Finished(_FINISH.get(finish, FinishReason.STOP)))
    counted = usage_of(usage)
    if counted is not None:
        events.append(UsageReported(counted))
    return events


class ChatStreamDecoder:
    def __init__(self) -> None:
        self._calls: dict[int, int] = {}

    def feed(self, event: ServerSentEvent) -> Frame:
        data = event.data
        if data.startswith(b"[DONE]"):
            return Frame((Ended(),), event.raw)
        wire = read_answer(_EVENT, data)
        if not wire.type or wire.type == "error" or event.event == "error":
            # No error event is documented; a body like that of a refusal is what is left to be expected.
            raise UpstreamErrorEvent(read_error(data))
        return Frame(tuple(self._events(wire, data)), event.raw)

    def _events(self, wire: _StreamEvent, data: bytes) -> list[Event]:
        delta = wire.delta or _Delta()
        said = delta.message or _Message()
        match wire.type:
            case "content-start" | "content-delta" if given(said.content):
                return _content(said.content, wire.index)
            case "tool-plan-delta" if said.tool_plan:
                return [ReasoningDelta(said.tool_plan, block=PLAN)]
            case "tool-call-start" if given(said.tool_calls):
                self._calls.setdefault(wire.index, len(self._calls))
                return [_call(said.tool_calls, self._calls[wire.index])]
            case "tool-call-delta" if given(said.tool_calls) and wire.index in self._calls:
                return [_call(said.tool_calls, self._calls[wire.index])]
            case "citation-start" if given(said.citations):
                return [OpaqueDelta("citation", said.citations)]
            case "message-start":
                return [Started(wire.id or "")]
            case "message-end":
                return [*_end(delta.finish_reason, delta.usage, delta.error), Ended()]
            case _:
                return []


def decode_response(body: bytes) -> Frame:
    answer = read_answer(_ANSWER, body)
    if answer.message is None:
        if answer.finish_reason in _FAILED:
            _end(answer.finish_reason, answer.usage)
        raise WireError("an answer without a message")
    said = answer.message
    events: list[Event] = [Started(answer.id)]
    for index, raw in enumerate(_list(said.content)):
        events += _content(raw, index)
    if said.tool_plan:
        events.append(ReasoningDelta(said.tool_plan, block=PLAN))
    events += [_call(raw, index) for index, raw in enumerate(_list(said.tool_calls))]
    events += [OpaqueDelta("citation", raw) for raw in _list(said.citations)]
    return Frame((*events, *_end(answer.finish_reason, answer.usage), Ended()), body)


def _list(raw: Raw) -> list[Raw]:
    return read_answer(_LIST, raw) if given(raw) else []
