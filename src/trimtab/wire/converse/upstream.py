"""Converse: what an upstream answers, whole or as stream events, as ``core`` events. Knows nothing of the client.

``inputTokens`` leaves out what the cache held; ``core.Usage.input`` does not, so a report is re-added from its parts. The answer names
neither itself nor the model.

A stream's last event is ``metadata``, with the usage; the protocol has no other last word. A stream that ends behind ``messageStop``
without it has given the whole answer and no usage: whoever reads the stream says so, as with every protocol whose last word may fail to
come.
"""

from __future__ import annotations

from msgspec import Raw
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
from trimtab.wire.body import given, json_text, read_answer
from trimtab.wire.codec import UpstreamError, UpstreamErrorEvent
from trimtab.wire.converse import shapes
from trimtab.wire.faults import read_error
from trimtab.wire.sse import ServerSentEvent

_ANSWER = Decoder(shapes.Answer)
_BLOCK = Decoder(shapes.Block)
_MEMBERS = Decoder(dict[str, Raw])
_BLOCK_START = Decoder(shapes.ContentBlockStart)
_START = Decoder(shapes.BlockStart)
_DELTA = Decoder(shapes.ContentBlockDelta)
_BLOCK_STOP = Decoder(shapes.ContentBlockStop)
_MESSAGE_STOP = Decoder(shapes.MessageStop)
_METADATA = Decoder(shapes.Metadata)

_KNOWN_BLOCKS = frozenset({"text", "toolUse", "reasoningContent", "citationsContent"})

_STOP = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
}

_NO_ANSWER = frozenset({"malformed_model_output", "malformed_tool_use"})
"""The model wrote what Bedrock could not read; what there is of the answer is no answer."""


def _finished(reason: str, fields: shapes.ExtraFields | None) -> Finished:
    if reason in _NO_ANSWER:
        raise UpstreamErrorEvent(UpstreamError(code=reason))
    return Finished(_STOP.get(reason, FinishReason.STOP), stop_sequence=fields.stop_sequence if fields else None)


def _reported(wire: shapes.Usage) -> UsageReported:
    read, written = wire.cache_read_input_tokens, wire.cache_write_input_tokens
    return UsageReported(
        Usage(
            input=None if wire.input_tokens is None else wire.input_tokens + (read or 0) + (written or 0),
            output=wire.output_tokens,
            cache_read=read,
            cache_write=written,
        )
    )


def decode_response(body: bytes) -> Frame:
    answer = read_answer(_ANSWER, body)
    events: list[Event] = [Started()]
    calls = 0
    for index, raw in enumerate(answer.output.message.content):
        for event in _block(index, raw, calls):
            calls += isinstance(event, ToolCallDelta)
            events.append(event)
    events.append(_finished(answer.stop_reason, answer.additional_model_response_fields))
    if answer.usage is not None:
        events.append(_reported(answer.usage))
    return Frame((*events, Ended()), body)


def _kind(raw: Raw) -> str:
    """The one member of a union; ``""`` where there is none."""
    return next((name for name, value in read_answer(_MEMBERS, raw).items() if given(value)), "")


def _block(index: int, raw: Raw, calls: int) -> list[Event]:
    kind = _kind(raw)
    if kind not in _KNOWN_BLOCKS:
        return [OpaqueDelta(kind, raw)]
    match read_answer(_BLOCK, raw):
        case shapes.Block(text=str(text)):
            return [TextDelta(text, block=index)] if text else []
        case shapes.Block(tool_use=shapes.ToolUse(type=str())):
            return [OpaqueDelta(kind, raw)]  # a tool that Bedrock ran itself
        case shapes.Block(tool_use=shapes.ToolUse() as call):
            arguments = json_text(call.input) if given(call.input) else "{}"
            return [ToolCallDelta(calls, arguments, id=call.tool_use_id, name=call.name)]
        case shapes.Block(reasoning_content=shapes.Reasoning(reasoning_text=thought, redacted_content=redacted)):
            text, signature = (thought.text, thought.signature or None) if thought is not None else ("", None)
            return [ReasoningDelta(text, 0, index, signature, redacted, Dialect.ANTHROPIC)]
        case shapes.Block(citations_content=shapes.Citations(content=pieces)):
            return [TextDelta(piece.text, block=index) for piece in pieces if piece.text]
        case _:
            return []


class ConverseStreamDecoder:
    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._without_arguments: set[int] = set()
        self._is_stopped = False
        self._is_reported = False

    def feed(self, event: ServerSentEvent) -> Frame:
        if event.event == "error":
            raise UpstreamErrorEvent(read_error(event.data))
        return Frame(tuple(self._events(event.event, event.data)), event.raw)

    def _events(self, name: str, data: bytes) -> list[Event]:
        match name:
            case "contentBlockDelta":
                wire = read_answer(_DELTA, data)
                return self._delta(wire.content_block_index, wire.delta)
            case "contentBlockStart":
                return self._start(read_answer(_BLOCK_START, data))
            case "contentBlockStop":
                return self._stop(read_answer(_BLOCK_STOP, data).content_block_index)
            case "messageStart":
                return [Started()]
            case "messageStop":
                stop = read_answer(_MESSAGE_STOP, data)
                self._is_stopped = True
                finished: list[Event] = [_finished(stop.stop_reason, stop.additional_model_response_fields)]
                return [*finished, Ended()] if self._is_reported else finished
            case "metadata":
                return self._metadata(read_answer(_METADATA, data))
            case _:
                return []

    def _start(self, wire: shapes.ContentBlockStart) -> list[Event]:
        if not given(wire.start):
            return []
        kind = _kind(wire.start)
        if kind in ("", "text"):
            return []
        call = read_answer(_START, wire.start).tool_use if kind == "toolUse" else None
        if call is None or call.type is not None:
            return [OpaqueDelta(kind, wire.start)]
        number = self._calls[wire.content_block_index] = len(self._calls)
        self._without_arguments.add(wire.content_block_index)
        return [ToolCallDelta(number, id=call.tool_use_id, name=call.name)]

    def _delta(self, index: int, delta: shapes.Delta) -> list[Event]:
        match delta:
            case shapes.Delta(text=str(text)):
                return [TextDelta(text, block=index)] if text else []
            case shapes.Delta(tool_use=shapes.ToolUseDelta(input=arguments)) if index in self._calls and arguments:
                self._without_arguments.discard(index)
                return [ToolCallDelta(self._calls[index], arguments)]
            case shapes.Delta(reasoning_content=shapes.ReasoningDelta() as thought):
                if not (thought.text or thought.signature or thought.redacted_content):
                    return []
                signature = thought.signature or None
                return [ReasoningDelta(thought.text or "", 0, index, signature, thought.redacted_content, Dialect.ANTHROPIC)]
            case _:
                return []

    def _stop(self, index: int) -> list[Event]:
        if index not in self._without_arguments:
            return []
        # No piece of JSON at all is this protocol's way of writing no arguments; elsewhere that is an empty object.
        self._without_arguments.discard(index)
        return [ToolCallDelta(self._calls[index], "{}")]

    def _metadata(self, wire: shapes.Metadata) -> list[Event]:
        self._is_reported = True
        events: list[Event] = [_reported(wire.usage)] if wire.usage is not None else []
        if self._is_stopped:
            events.append(Ended())
        return events
