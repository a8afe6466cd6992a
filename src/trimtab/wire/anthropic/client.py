"""Anthropic Messages: what the client gets, whole or as stream events. Knows nothing of the upstream and reads no clock.

Of several choices the client gets the first, as this protocol has one. A count that nobody knows is written 0, where the protocol demands
a number; the record keeps it unknown.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from trimtab.core.errors import TrimtabError
from trimtab.core.events import (
    Ended,
    Event,
    Finished,
    Frame,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    merge_usage,
)
from trimtab.core.messages import FinishReason, Part, Reasoning, Refusal, Request, Response, Text, ToolCall
from trimtab.core.units import Usage
from trimtab.wire.body import tool_id
from trimtab.wire.faults import describe
from trimtab.wire.sse import encode_event

Json = dict[str, object]

_STOP = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.PAUSE: "pause_turn",
}

_ENCODER = msgspec.json.Encoder()


def _stop_reason(reason: FinishReason | None, stop_sequence: str | None, has_calls: bool) -> str:
    if stop_sequence is not None:
        return "stop_sequence"
    # OpenAI's servers write ``stop`` after a call that the client demanded by name; clients of this protocol wait for ``tool_use``.
    if has_calls and reason is FinishReason.STOP:
        return "tool_use"
    return _STOP[reason or FinishReason.STOP]


def _usage(usage: Usage) -> Json:
    read, written = usage.cache_read, usage.cache_write
    wire: Json = {
        "input_tokens": max(0, (usage.input or 0) - (read or 0) - (written or 0)),
        "output_tokens": usage.output or 0,
    }
    if read is not None:
        wire["cache_read_input_tokens"] = read
    if written is not None:
        wire["cache_creation_input_tokens"] = written
    if usage.reasoning is not None:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return wire


def _message(id: str, model: str, content: list[Json], stop: str | None, sequence: str | None, usage: Usage) -> Json:
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": sequence,
        "usage": _usage(usage),
    }


class _TextDelta(Struct, tag="text_delta"):
    text: str


class _ThinkingDelta(Struct, tag="thinking_delta"):
    thinking: str


class _SignatureDelta(Struct, tag="signature_delta"):
    signature: str


class _InputDelta(Struct, tag="input_json_delta"):
    partial_json: str


_Delta = _TextDelta | _ThinkingDelta | _SignatureDelta | _InputDelta


class _BlockDelta(Struct, tag="content_block_delta"):
    index: int
    delta: _Delta


_Key = tuple[str, int]
_Content = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta


def _key(event: _Content) -> _Key:
    match event:
        case TextDelta(block=block):
            return "text", block
        case RefusalDelta():
            return "refusal", 0
        case ReasoningDelta(block=block):
            return "thinking", block
        case ToolCallDelta(index=index):
            return "tool_use", index


class MessagesStreamEncoder:
    """Writes the protocol's sequence, whatever order the events come in.

    Blocks cannot interleave here, and a tool call's block cannot be opened again. So while one is open, the pieces of every other block
    are held back until the upstream says that the choice is finished.
    """

    def __init__(self, request: Request, decision_id: str) -> None:
        self._id = decision_id
        self._model = request.model
        self._usage = Usage()
        self._is_started = False
        self._open: _Key | None = None
        self._index = -1
        self._held: dict[_Key, list[_Content]] = {}
        self._has_calls = False
        self._finish: Finished | None = None
        self._has_forwarded = False

    def encode(self, frame: Frame, *, same_dialect: bool) -> bytes:
        if not same_dialect or not (frame.native or self._has_forwarded):
            return b"".join(piece for event in frame.events for piece in self._translate(event))
        self._has_forwarded = True
        return frame.native or (_write("message_stop", {}) if frame.is_last else b"")

    def error(self, error: TrimtabError) -> bytes:
        return encode_event(encode_error(error), "error")

    def _translate(self, event: Event) -> list[bytes]:
        match event:
            case TextDelta() | RefusalDelta() | ReasoningDelta() | ToolCallDelta():
                return self._say(event) if event.choice == 0 else []
            case Finished(choice=0):
                self._finish = event
                return self._release()
            case Started():
                self._id = event.id or self._id
                self._model = event.model or self._model
                return []
            case UsageReported(usage=usage):
                self._usage = merge_usage(self._usage, usage)
                return []
            case Ended():
                return self._end()
            case _:
                return []

    def _start(self) -> list[bytes]:
        if self._is_started:
            return []
        self._is_started = True
        so_far = msgspec.structs.replace(self._usage, output=None, reasoning=None)
        message = _message(self._id, self._model, [], None, None, so_far)
        return [_write("message_start", {"message": message})]

    def _say(self, event: _Content) -> list[bytes]:
        key = _key(event)
        if self._open is not None and self._open[0] == "tool_use" and key != self._open:
            self._held.setdefault(key, []).append(event)
            return []
        out = self._start()
        if key != self._open:
            out += self._close()
            out += self._begin(key, event)
        out += self._deltas(event)
        return out

    def _begin(self, key: _Key, event: _Content) -> list[bytes]:
        self._open = key
        self._index += 1
        block: Json
        match event:
            case ReasoningDelta(redacted=str(data)):
                block = {"type": "redacted_thinking", "data": data}
            case ReasoningDelta():
                block = {"type": "thinking", "thinking": "", "signature": ""}
            case ToolCallDelta():
                self._has_calls = True
                block = {"type": "tool_use", "id": tool_id(event.id or ""), "name": event.name or "", "input": {}}
            case _:
                block = {"type": "text", "text": ""}
        return [_write("content_block_start", {"index": self._index, "content_block": block})]

    def _deltas(self, event: _Content) -> list[bytes]:
        deltas: list[_Delta] = []
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text) if text:
                deltas.append(_TextDelta(text))
            case ReasoningDelta(text=text, signature=signature):
                if text:
                    deltas.append(_ThinkingDelta(text))
                if signature is not None:
                    deltas.append(_SignatureDelta(signature))
            case ToolCallDelta(arguments=arguments) if arguments:
                deltas.append(_InputDelta(arguments))
            case _:
                pass
        return [encode_event(_ENCODER.encode(_BlockDelta(self._index, delta)), "content_block_delta") for delta in deltas]

    def _close(self) -> list[bytes]:
        if self._open is None:
            return []
        self._open = None
        return [_write("content_block_stop", {"index": self._index})]

    def _release(self) -> list[bytes]:
        """Close the open block and write out, one after the other, the blocks that were held back."""
        out = self._close()
        held, self._held = self._held, {}
        for key, events in held.items():
            first = next((event for event in events if isinstance(event, ToolCallDelta) and event.id), events[0])
            out += self._begin(key, first)
            for event in events:
                out += self._deltas(event)
            out += self._close()
        return out

    def _end(self) -> list[bytes]:
        finish = self._finish or Finished(FinishReason.STOP)
        delta = {
            "stop_reason": _stop_reason(finish.reason, finish.stop_sequence, self._has_calls),
            "stop_sequence": finish.stop_sequence,
        }
        return [
            *self._start(),
            *self._release(),
            _write("message_delta", {"delta": delta, "usage": _usage(self._usage)}),
            _write("message_stop", {}),
        ]


def _write(kind: str, fields: Json) -> bytes:
    return encode_event(_ENCODER.encode({"type": kind, **fields}), kind)


def encode_response(response: Response, decision_id: str) -> bytes:
    choice = response.choices[0] if response.choices else None
    parts = choice.parts if choice else ()
    stop = _stop_reason(
        choice.finish_reason if choice else None,
        choice.stop_sequence if choice else None,
        any(isinstance(part, ToolCall) for part in parts),
    )
    content = [block for part in parts if (block := _block(part)) is not None]
    sequence = choice.stop_sequence if choice else None
    return _ENCODER.encode(_message(response.id or decision_id, response.model, content, stop, sequence, response.usage))


def _block(part: Part) -> Json | None:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"type": "text", "text": text}
        case Reasoning(redacted=str(data)):
            return {"type": "redacted_thinking", "data": data}
        case Reasoning(text=text, signature=signature):
            return {"type": "thinking", "thinking": text, "signature": signature or ""}
        case ToolCall():
            return {"type": "tool_use", "id": tool_id(part.id), "name": part.name, "input": _input(part.arguments)}
        case _:
            return None


def _input(arguments: str) -> object:
    """The arguments as the object that the protocol wants. What a model wrote that is none goes along as one string."""
    if not arguments.strip():
        return {}
    try:
        msgspec.json.decode(arguments, type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError):
        return {"arguments": arguments}
    return Raw(arguments)


_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


def encode_error(error: TrimtabError) -> bytes:
    fault = describe(error)
    if fault.is_overload:
        kind = "overloaded_error"
    else:
        kind = _ERROR_TYPES.get(fault.status, "invalid_request_error" if fault.status < 500 else "api_error")
    return _ENCODER.encode({"type": "error", "error": {"type": kind, "message": fault.message}})
