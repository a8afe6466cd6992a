"""Anthropic Messages: what an upstream answers, whole or as stream events, as ``core`` events. Knows nothing of the client.

``input_tokens`` of this protocol leaves out what the cache held; ``core.Usage.input`` does not, so a report is re-added from its parts.
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
from trimtab.core.messages import Dialect, FinishReason
from trimtab.core.units import Usage
from trimtab.wire.body import ABSENT, Count, given, json_text, read_answer
from trimtab.wire.codec import UpstreamErrorEvent, WireError
from trimtab.wire.faults import read_error
from trimtab.wire.sse import ServerSentEvent, encode_event


class _OutputDetails(Struct):
    thinking_tokens: Count | None = None


class _Usage(Struct):
    input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    output_tokens: Count | None = None
    output_tokens_details: _OutputDetails | None = None


class _Message(Struct):
    id: str = ""
    model: str = ""
    content: tuple[Raw, ...] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: _Usage | None = None
    type: str = "message"


class _Delta(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _StreamEvent(Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: Raw = ABSENT
    delta: _Delta | None = None
    usage: _Usage | None = None


class _Block(Struct):
    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: Raw = ABSENT
    id: Raw = ABSENT
    name: Raw = ABSENT
    input: Raw = ABSENT


class _Kind(Struct):
    type: str = ""


_EVENT = Decoder(_StreamEvent)
_MESSAGE = Decoder(_Message)
_BLOCK = Decoder(_Block)
_KIND = Decoder(_Kind)
_TEXT = Decoder(str)

_KNOWN_EVENTS = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
)
_KNOWN_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})

_STOP = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "refusal": FinishReason.CONTENT_FILTER,
}


class _Reader:
    """What must be remembered between the events of one answer: the figures of usage, and which blocks are tool calls."""

    def __init__(self) -> None:
        self._input: int | None = None
        self._read: int | None = None
        self._written: int | None = None
        self._calls: dict[int, int] = {}
        self._without_arguments: set[int] = set()

    def usage(self, wire: _Usage, *, is_final: bool) -> UsageReported:
        if wire.input_tokens is not None:
            self._input = wire.input_tokens
        if wire.cache_read_input_tokens is not None:
            self._read = wire.cache_read_input_tokens
        if wire.cache_creation_input_tokens is not None:
            self._written = wire.cache_creation_input_tokens
        details = wire.output_tokens_details
        return UsageReported(
            Usage(
                input=None if self._input is None else self._input + (self._read or 0) + (self._written or 0),
                # What a stream says at its start is a count so far, and not what the answer will have cost.
                output=wire.output_tokens if is_final else None,
                cache_read=self._read,
                cache_write=self._written,
                reasoning=details.thinking_tokens if details and is_final else None,
            )
        )

    def block_start(self, index: int, raw: Raw) -> list[Event]:
        kind = read_answer(_KIND, raw).type
        if kind not in _KNOWN_BLOCKS:
            return [OpaqueDelta(kind, raw)]
        block = read_answer(_BLOCK, raw)
        match kind:
            case "text":
                return [TextDelta(block.text, block=index)] if block.text else []
            case "thinking":
                if block.thinking or block.signature:
                    return [_thought(block.thinking or "", block=index, signature=block.signature or None)]
                return []
            case "redacted_thinking":
                return [_thought(block=index, redacted=read_answer(_TEXT, block.data))]
            case _:
                return [self._call(index, block)]

    def _call(self, index: int, block: _Block) -> Event:
        number = self._calls[index] = len(self._calls)
        arguments = json_text(block.input) if given(block.input) else ""
        if len(arguments) < 16 and "".join(arguments.split()) == "{}":
            arguments = ""
        if not arguments:
            self._without_arguments.add(index)
        return ToolCallDelta(number, arguments, id=read_answer(_TEXT, block.id), name=read_answer(_TEXT, block.name))

    def block_delta(self, index: int, delta: _Delta) -> list[Event]:
        match delta.type:
            case "text_delta":
                return [TextDelta(delta.text, block=index)] if delta.text else []
            case "input_json_delta" if index in self._calls and delta.partial_json:
                self._without_arguments.discard(index)
                return [ToolCallDelta(self._calls[index], delta.partial_json)]
            case "thinking_delta":
                return [_thought(delta.thinking, block=index)] if delta.thinking else []
            case "signature_delta":
                return [_thought(block=index, signature=delta.signature)] if delta.signature else []
            case _:
                return []

    def block_stop(self, index: int) -> list[Event]:
        if index not in self._without_arguments:
            return []
        # No piece of JSON at all is this protocol's way of writing no arguments; elsewhere that is an empty object.
        self._without_arguments.discard(index)
        return [ToolCallDelta(self._calls[index], "{}")]


def _finished(reason: str, sequence: str | None) -> Finished:
    return Finished(_STOP.get(reason, FinishReason.STOP), stop_sequence=sequence)


def _thought(text: str = "", *, block: int, signature: str | None = None, redacted: str | None = None) -> ReasoningDelta:
    return ReasoningDelta(text, 0, block, signature, redacted, Dialect.ANTHROPIC)


class MessagesStreamDecoder:
    def __init__(self) -> None:
        self._reader = _Reader()

    def feed(self, event: ServerSentEvent) -> Frame:
        data = event.data
        try:
            wire = read_answer(_EVENT, data)
        except WireError:
            kind = read_answer(_KIND, data).type or event.event
            if kind in _KNOWN_EVENTS:
                raise
            wire = _StreamEvent(kind)
        if wire.type == "error" or event.event == "error":
            raise UpstreamErrorEvent(read_error(data))
        # The official client drops data without an event name silently.
        native = event.raw if event.event else encode_event(data.replace(b"\n", b" "), wire.type)
        return Frame(tuple(self._events(wire)), native)

    def _events(self, wire: _StreamEvent) -> list[Event]:
        match wire.type:
            case "content_block_delta" if wire.delta is not None:
                return self._reader.block_delta(wire.index, wire.delta)
            case "content_block_start" if given(wire.content_block):
                return self._reader.block_start(wire.index, wire.content_block)
            case "content_block_stop":
                return self._reader.block_stop(wire.index)
            case "message_start" if wire.message is not None:
                started: list[Event] = [Started(wire.message.id, wire.message.model)]
                if wire.message.usage is not None:
                    started.append(self._reader.usage(wire.message.usage, is_final=False))
                return started
            case "message_delta":
                return self._end_of_message(wire)
            case "message_stop":
                return [Ended()]
            case _:
                return []

    def _end_of_message(self, wire: _StreamEvent) -> list[Event]:
        events: list[Event] = []
        if wire.delta is not None and wire.delta.stop_reason:
            events.append(_finished(wire.delta.stop_reason, wire.delta.stop_sequence))
        if wire.usage is not None:
            events.append(self._reader.usage(wire.usage, is_final=True))
        return events


def decode_response(body: bytes) -> Frame:
    message = read_answer(_MESSAGE, body)
    if message.type == "error":
        raise UpstreamErrorEvent(read_error(body))
    if message.content is None:
        raise WireError("an answer without content")
    reader = _Reader()
    events: list[Event] = [Started(message.id, message.model)]
    for index, raw in enumerate(message.content):
        events += reader.block_start(index, raw)
        events += reader.block_stop(index)
    if message.stop_reason:
        events.append(_finished(message.stop_reason, message.stop_sequence))
    if message.usage is not None:
        events.append(reader.usage(message.usage, is_final=True))
    return Frame((*events, Ended()), body)
