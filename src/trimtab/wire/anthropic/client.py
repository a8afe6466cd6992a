"""Anthropic Messages: what the client gets, whole or as stream events. Knows nothing of the upstream and reads no clock.

Of several choices the client gets the first, as this protocol has one. A count that nobody knows is written 0, where the protocol demands
a number; the record keeps it unknown.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from trimtab.core.errors import TrimtabError
from trimtab.core.events import ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from trimtab.core.messages import Dialect, FinishReason, Part, Reasoning, Refusal, Request, Response, Text, ToolCall
from trimtab.core.units import Usage
from trimtab.wire.body import Json, tool_id
from trimtab.wire.common.blocks import BlockEncoder, Content
from trimtab.wire.common.signatures import seal
from trimtab.wire.faults import describe
from trimtab.wire.sse import encode_event

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


class MessagesStreamEncoder(BlockEncoder):
    def __init__(self, request: Request, decision_id: str) -> None:
        super().__init__(request, decision_id)
        self._index = -1
        self._has_calls = False
        self._unsealed: ReasoningDelta | None = None
        """The open block's thinking, where another's is under way that its signature is still to come for."""

    def error(self, error: TrimtabError) -> bytes:
        return encode_event(encode_error(error), "error")

    def begin(self) -> list[bytes]:
        so_far = msgspec.structs.replace(self.usage, output=None, reasoning=None)
        return [_write("message_start", {"message": _message(self.id, self.model, [], None, None, so_far)})]

    def begin_block(self, event: Content) -> bytes:
        self._index += 1
        block: Json
        match event:
            case ReasoningDelta(redacted=str(data), signer=Dialect.ANTHROPIC):
                block = {"type": "redacted_thinking", "data": data}
            case ReasoningDelta():
                self._unsealed = None if event.signer is Dialect.ANTHROPIC else event
                block = {"type": "thinking", "thinking": "", "signature": ""}
            case ToolCallDelta():
                self._has_calls = True
                block = {"type": "tool_use", "id": tool_id(event.id or ""), "name": event.name or "", "input": {}}
            case _:
                block = {"type": "text", "text": ""}
        return _write("content_block_start", {"index": self._index, "content_block": block})

    def pieces(self, event: Content) -> list[bytes]:
        deltas: list[_Delta] = []
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text) if text:
                deltas.append(_TextDelta(text))
            case ReasoningDelta(text=text):
                if text:
                    deltas.append(_ThinkingDelta(text))
                if event.signature or (event.redacted and self._unsealed):
                    self._unsealed = None
                    deltas.append(_SignatureDelta(seal(event, Dialect.ANTHROPIC) or ""))
            case ToolCallDelta(arguments=arguments) if arguments:
                deltas.append(_InputDelta(arguments))
            case _:
                pass
        return [self._delta(delta) for delta in deltas]

    def _delta(self, delta: _Delta) -> bytes:
        return encode_event(_ENCODER.encode(_BlockDelta(self._index, delta)), "content_block_delta")

    def end_block(self, *, is_call: bool) -> list[bytes]:
        thought, self._unsealed = self._unsealed, None
        signed = [] if thought is None else [self._delta(_SignatureDelta(seal(thought, Dialect.ANTHROPIC) or ""))]
        return [*signed, _write("content_block_stop", {"index": self._index})]

    def end(self) -> list[bytes]:
        sequence = self.finish.stop_sequence
        delta = {"stop_reason": _stop_reason(self.finish.reason, sequence, self._has_calls), "stop_sequence": sequence}
        return [_write("message_delta", {"delta": delta, "usage": _usage(self.usage)}), _write("message_stop", {})]


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
        case Reasoning(redacted=str(data), signer=Dialect.ANTHROPIC):
            return {"type": "redacted_thinking", "data": data}
        case Reasoning(text=text):
            return {"type": "thinking", "thinking": text, "signature": seal(part, Dialect.ANTHROPIC) or ""}
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
