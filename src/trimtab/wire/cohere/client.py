"""Cohere v2 chat: what the client gets, whole or as stream events. Knows nothing of the upstream and reads no clock.

Of several choices the client gets the first, as this protocol has one.
"""

from __future__ import annotations

import msgspec

from trimtab.core.errors import TrimtabError
from trimtab.core.events import (
    Ended,
    Event,
    Finished,
    Frame,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    merge_usage,
)
from trimtab.core.messages import FinishReason, Opaque, Part, Reasoning, Refusal, Response, Text, ToolCall
from trimtab.core.units import Usage
from trimtab.wire.faults import describe
from trimtab.wire.sse import encode_event

Json = dict[str, object]

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
            return "tool", index


class ChatStreamEncoder:
    """Writes the protocol's sequence, whatever order the events come in.

    Clients gather one block or call at a time. So while a call is open, the pieces of everything else are held back until
    the upstream says that the choice is finished.
    """

    def __init__(self, decision_id: str) -> None:
        self._id = decision_id
        self._usage = Usage()
        self._is_started = False
        self._open: _Key | None = None
        self._blocks = 0
        self._calls = 0
        self._citations = 0
        self._held: dict[_Key, list[_Content]] = {}
        self._finish: Finished | None = None
        self._has_forwarded = False

    def encode(self, frame: Frame, *, same_dialect: bool) -> bytes:
        if not same_dialect or not (frame.native or self._has_forwarded):
            return b"".join(piece for event in frame.events for piece in self._translate(event))
        self._has_forwarded = True
        return frame.native or (b"".join(self._end()) if frame.is_last else b"")

    def error(self, error: TrimtabError) -> bytes:
        """There is no event of its own for it: the last one says that the answer failed, and why."""
        return _write("message-end", {"delta": {"error": describe(error).message, "finish_reason": "ERROR"}})

    def _translate(self, event: Event) -> list[bytes]:
        match event:
            case TextDelta() | RefusalDelta() | ReasoningDelta() | ToolCallDelta():
                return self._say(event) if event.choice == 0 else []
            case Finished(choice=0):
                self._finish = event
                return self._release()
            case Started():
                self._id = event.id or self._id
                return self._start()
            case UsageReported(usage=usage):
                self._usage = merge_usage(self._usage, usage)
                return []
            case Ended():
                return [*self._start(), *self._release(), *self._end()]
            case OpaqueDelta(kind="citation", choice=0):
                return [*self._start(), *self._cite(event)]
            case _:
                return []

    def _start(self) -> list[bytes]:
        if self._is_started:
            return []
        self._is_started = True
        empty: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return [_write("message-start", {"id": self._id, "delta": {"message": empty}})]

    def _cite(self, event: OpaqueDelta) -> list[bytes]:
        index, self._citations = self._citations, self._citations + 1
        citation = {"index": index, "delta": {"message": {"citations": event.raw}}}
        return [_write("citation-start", citation), _write("citation-end", {"index": index})]

    def _say(self, event: _Content) -> list[bytes]:
        key = _key(event)
        if self._open is not None and self._open[0] == "tool" and key != self._open:
            self._held.setdefault(key, []).append(event)
            return []
        out = self._start()
        if key != self._open:
            out += self._close()
            out += self._begin(key, event)
        return out + self._piece(event)

    def _begin(self, key: _Key, event: _Content) -> list[bytes]:
        self._open = key
        if isinstance(event, ToolCallDelta):
            index, self._calls = self._calls, self._calls + 1
            call = {"id": event.id or "", "type": "function", "function": {"name": event.name or "", "arguments": ""}}
            return [_write("tool-call-start", {"index": index, "delta": {"message": {"tool_calls": call}}})]
        index, self._blocks = self._blocks, self._blocks + 1
        kind = "thinking" if isinstance(event, ReasoningDelta) else "text"
        return [_write("content-start", {"index": index, "delta": {"message": {"content": {"type": kind, kind: ""}}}})]

    def _piece(self, event: _Content) -> list[bytes]:
        if isinstance(event, ToolCallDelta):
            if not event.arguments:
                return []
            call = {"function": {"arguments": event.arguments}}
            return [_write("tool-call-delta", {"index": self._calls - 1, "delta": {"message": {"tool_calls": call}}})]
        if not event.text:
            return []
        content = {"thinking" if isinstance(event, ReasoningDelta) else "text": event.text}
        return [_write("content-delta", {"index": self._blocks - 1, "delta": {"message": {"content": content}}})]

    def _close(self) -> list[bytes]:
        closed, self._open = self._open, None
        if closed is None:
            return []
        if closed[0] == "tool":
            return [_write("tool-call-end", {"index": self._calls - 1})]
        return [_write("content-end", {"index": self._blocks - 1})]

    def _release(self) -> list[bytes]:
        """Close what is open and write out, one after the other, what was held back."""
        out = self._close()
        held, self._held = self._held, {}
        for key, events in held.items():
            first = next((event for event in events if isinstance(event, ToolCallDelta) and event.id), events[0])
            out += self._begin(key, first)
            for event in events:
                out += self._piece(event)
            out += self._close()
        return out

    def _end(self) -> list[bytes]:
        finish = self._finish or Finished(FinishReason.STOP)
        delta: Json = {"finish_reason": _finish(finish.reason, finish.stop_sequence, self._calls > 0)}
        usage = _usage(self._usage)
        if usage is not None:
            delta["usage"] = usage
        return [_write("message-end", {"id": self._id, "delta": delta})]


def _write(kind: str, fields: Json) -> bytes:
    return encode_event(_ENCODER.encode({"type": kind, **fields}), kind)


def encode_response(response: Response, decision_id: str) -> bytes:
    choice = response.choices[0] if response.choices else None
    parts = choice.parts if choice else ()
    message: Json = {"role": "assistant"}
    content = [block for part in parts if (block := _block(part)) is not None]
    calls = [_call(part) for part in parts if isinstance(part, ToolCall)]
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


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def encode_error(error: TrimtabError) -> bytes:
    return _ENCODER.encode({"message": describe(error).message})
