"""Cohere v2 chat: what the client gets, whole or as stream events. Knows nothing of the upstream and reads no clock.

Of several choices the client gets the first, as this protocol has one.
"""

from __future__ import annotations

import msgspec

from trimtab.core.errors import TrimtabError
from trimtab.core.events import OpaqueDelta, ReasoningDelta, ToolCallDelta
from trimtab.core.messages import FinishReason, Opaque, Part, Reasoning, Refusal, Request, Response, Text, ToolCall
from trimtab.core.units import Usage
from trimtab.wire.body import Json
from trimtab.wire.common.blocks import BlockEncoder, Content
from trimtab.wire.common.translation import function_call
from trimtab.wire.faults import describe
from trimtab.wire.sse import encode_event

_ENCODER = msgspec.json.Encoder()

_FINISH = {
    FinishReason.STOP: "COMPLETE",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "TOOL_CALL",
    # There is no word for an answer that was declined. The text, if there is any, says so.
    FinishReason.CONTENT_FILTER: "COMPLETE",
    FinishReason.PAUSE: "COMPLETE",
}


def _finish(reason: FinishReason | None, stop_sequence: str | None, has_calls: bool) -> str:
    if stop_sequence is not None:
        return "STOP_SEQUENCE"
    # OpenAI's servers write ``stop`` after a call that the client demanded by name.
    if has_calls and reason is FinishReason.STOP:
        return "TOOL_CALL"
    return _FINISH[reason or FinishReason.STOP]


def _usage(usage: Usage) -> Json | None:
    """``None`` where the tokens are unknown: an absent figure is this protocol's way to say so."""
    counted = {name: count for name, count in (("input_tokens", usage.input), ("output_tokens", usage.output)) if count is not None}
    if not counted:
        return None
    wire: Json = {"billed_units": counted, "tokens": counted}
    if usage.cache_read is not None:
        wire["cached_tokens"] = usage.cache_read
    return wire


class ChatStreamEncoder(BlockEncoder):
    starts_at_once = True

    def __init__(self, request: Request, decision_id: str) -> None:
        super().__init__(request, decision_id)
        self._blocks = 0
        self._calls = 0
        self._citations = 0

    def error(self, error: TrimtabError) -> bytes:
        """There is no event of its own for it: the last one says that the answer failed, and why."""
        return _write("message-end", {"delta": {"error": describe(error).message, "finish_reason": "ERROR"}})

    def begin(self) -> list[bytes]:
        empty: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return [_write("message-start", {"id": self.id, "delta": {"message": empty}})]

    def opaque(self, event: OpaqueDelta) -> list[bytes]:
        if event.kind != "citation":
            return []
        index, self._citations = self._citations, self._citations + 1
        citation = {"index": index, "delta": {"message": {"citations": event.raw}}}
        return [*self.start(), _write("citation-start", citation), _write("citation-end", {"index": index})]

    def begin_block(self, event: Content) -> bytes:
        if isinstance(event, ToolCallDelta):
            index, self._calls = self._calls, self._calls + 1
            call = {"id": event.id or "", "type": "function", "function": {"name": event.name or "", "arguments": ""}}
            return _write("tool-call-start", {"index": index, "delta": {"message": {"tool_calls": call}}})
        index, self._blocks = self._blocks, self._blocks + 1
        kind = "thinking" if isinstance(event, ReasoningDelta) else "text"
        return _write("content-start", {"index": index, "delta": {"message": {"content": {"type": kind, kind: ""}}}})

    def pieces(self, event: Content) -> list[bytes]:
        if isinstance(event, ToolCallDelta):
            if not event.arguments:
                return []
            call = {"function": {"arguments": event.arguments}}
            return [_write("tool-call-delta", {"index": self._calls - 1, "delta": {"message": {"tool_calls": call}}})]
        if not event.text:
            return []
        content = {"thinking" if isinstance(event, ReasoningDelta) else "text": event.text}
        return [_write("content-delta", {"index": self._blocks - 1, "delta": {"message": {"content": content}}})]

    def end_block(self, *, is_call: bool) -> list[bytes]:
        if is_call:
            return [_write("tool-call-end", {"index": self._calls - 1})]
        return [_write("content-end", {"index": self._blocks - 1})]

    def end(self) -> list[bytes]:
        delta: Json = {"finish_reason": _finish(self.finish.reason, self.finish.stop_sequence, self._calls > 0)}
        usage = _usage(self.usage)
        if usage is not None:
            delta["usage"] = usage
        return [_write("message-end", {"id": self.id, "delta": delta})]


def _write(kind: str, fields: Json) -> bytes:
    return encode_event(_ENCODER.encode({"type": kind, **fields}), kind)


def encode_response(response: Response, decision_id: str) -> bytes:
    choice = response.choices[0] if response.choices else None
    parts = choice.parts if choice else ()
    message: Json = {"role": "assistant"}
    content = [block for part in parts if (block := _block(part)) is not None]
    calls = [function_call(part) for part in parts if isinstance(part, ToolCall)]
    citations = [part.raw for part in parts if isinstance(part, Opaque) and part.kind == "citation"]
    if content or not calls:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    if citations:
        message["citations"] = citations
    finish = _finish(choice.finish_reason if choice else None, choice.stop_sequence if choice else None, bool(calls))
    answer: Json = {"id": response.id or decision_id, "finish_reason": finish, "message": message}
    usage = _usage(response.usage)
    if usage is not None:
        answer["usage"] = usage
    return _ENCODER.encode(answer)


def _block(part: Part) -> Json | None:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"type": "text", "text": text}
        case Reasoning(text=text) if text:
            return {"type": "thinking", "thinking": text}
        case _:
            return None


def encode_error(error: TrimtabError) -> bytes:
    return _ENCODER.encode({"message": describe(error).message})
