"""Google's Gemini API: what the client gets, whole or in chunks. Knows nothing of the upstream and reads no clock.

A stream has no last word here: it ends with the chunk that tells why. So that chunk, and whatever comes behind it, is held back until the
answer has ended. Calls are written whole, each once its candidate is finished.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

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
    VectorDelta,
    merge_usage,
)
from trimtab.core.messages import Choice, Dialect, FinishReason, Part, Reasoning, Refusal, Request, Response, Text, ToolCall
from trimtab.core.units import Usage
from trimtab.wire.body import arguments_object
from trimtab.wire.common.signatures import seal
from trimtab.wire.faults import describe
from trimtab.wire.gemini.shapes import UsageMetadata, own_id
from trimtab.wire.sse import encode_event

_FINISH = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
    # No client of this protocol can go on with another's paused turn.
    FinishReason.PAUSE: "OTHER",
}


class _Call(Struct, omit_defaults=True):
    name: str
    args: Raw
    id: str | None = None


class _Part(Struct, rename="camel", omit_defaults=True):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None


class _Content(Struct):
    parts: Sequence[_Part]
    role: str = "model"


class _Candidate(Struct, rename="camel", omit_defaults=True):
    content: _Content
    index: int | None = None
    finish_reason: str | None = None
    logprobs_result: Raw | None = None


class _Answer(Struct, rename="camel", omit_defaults=True):
    candidates: list[_Candidate]
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None


_ENCODER = msgspec.json.Encoder()
_NOTHING = _Part(text="")
"""Clients drop a content without parts."""


def _signature(thought: Reasoning | ReasoningDelta) -> str | None:
    """Nobody asks for a thought's signature here, so what has none goes without a seal."""
    return seal(thought, Dialect.GEMINI) if thought.signature or thought.redacted else None


def _call(id: str, name: str, arguments: str, signature: str | None) -> _Part:
    """Arguments are an object here. What a model wrote that is none goes along as one string."""
    args = arguments_object(arguments) or Raw(_ENCODER.encode({"arguments": arguments}))
    return _Part(function_call=_Call(name, args, own_id(id)), thought_signature=signature)


class _Parts:
    """Writes parts in their order; a signature without words stands on the part behind it."""

    def __init__(self) -> None:
        self._signature: str | None = None

    def text(self, text: str) -> _Part:
        return _Part(text=text, thought_signature=self.take())

    def call(self, id: str, name: str, arguments: str) -> _Part:
        return _call(id, name, arguments, self.take())

    def thought(self, text: str, signature: str | None) -> list[_Part]:
        rest = self.rest()
        if text:
            return [*rest, _Part(text=text, thought=True, thought_signature=signature)]
        self._signature = signature
        return rest

    def rest(self) -> list[_Part]:
        return [] if self._signature is None else [_Part(text="", thought_signature=self.take())]

    def take(self) -> str | None:
        signature, self._signature = self._signature, None
        return signature


_Said = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | Finished


class _Pending:
    """A call whose arguments still come."""

    def __init__(self, signature: str | None) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.signature = signature

    def part(self) -> _Part:
        return _call(self.id, self.name, "".join(self.arguments), self.signature)


class _Lane:
    """What one candidate has under way, and its last word, which is held back."""

    def __init__(self) -> None:
        self.parts = _Parts()
        self.finish: Finished | None = None
        self._thinking: int | None = None
        self._calls: dict[int, _Pending] = {}

    def add(self, event: ToolCallDelta) -> None:
        call = self._calls.get(event.index)
        if call is None:
            call = self._calls[event.index] = _Pending(self.parts.take())
        call.id = call.id or event.id or ""
        call.name = call.name or event.name or ""
        call.arguments.append(event.arguments)

    def think(self, event: ReasoningDelta) -> list[_Part]:
        signature = _signature(event)
        if event.text:
            self._thinking = event.block
        elif signature is not None and self._thinking == event.block:
            return [_Part(text="", thought=True, thought_signature=signature)]
        return self.parts.thought(event.text, signature)

    def whole_calls(self) -> list[_Part]:
        calls, self._calls = self._calls, {}
        return [call.part() for _, call in sorted(calls.items(), key=lambda item: item[0])]


class GenerateStreamEncoder:
    def __init__(self, request: Request, decision_id: str) -> None:
        self._expected = request.sampling.n or 1
        self._id = decision_id
        self._model = request.model
        self._usage = Usage()
        self._lanes: dict[int, _Lane] = {}
        self._finished: set[int] = set()
        self._held: list[bytes] | None = None
        """The client's own last chunks, once there are such."""
        self._has_forwarded = False

    def encode(self, frame: Frame, *, same_dialect: bool) -> bytes:
        if not same_dialect or not (frame.native or self._has_forwarded):
            return b"".join(self._translate(event) for event in frame.events)
        self._has_forwarded = True
        self._finished.update(event.choice for event in frame.events if isinstance(event, Finished))
        if self._held is None and len(self._finished) < self._expected:
            return frame.native
        held = self._held = [*(self._held or ()), frame.native]
        if not frame.is_last:
            return b""
        self._held = []
        return b"".join(held)

    def error(self, error: TrimtabError) -> bytes:
        return encode_event(encode_error(error))

    def _translate(self, event: Event) -> bytes:
        match event:
            case Started():
                self._id = event.id or self._id
                self._model = event.model or self._model
                return b""
            case UsageReported(usage=usage):
                self._usage = merge_usage(self._usage, usage)
                return b""
            case Ended():
                return self._end()
            case OpaqueDelta() | VectorDelta():
                return b""
            case _:
                parts = self._say(event, self._lanes.setdefault(event.choice, _Lane()))
                if not parts:
                    return b""
                logprobs = _logprobs(event.logprobs) if isinstance(event, TextDelta) else None
                return self._write([_Candidate(_Content(parts), event.choice, None, logprobs)])

    def _say(self, event: _Said, lane: _Lane) -> list[_Part]:
        match event:
            case TextDelta(text=text) if text or event.logprobs:
                return [lane.parts.text(text)]
            case RefusalDelta(text=text) if text:
                return [lane.parts.text(text)]
            case ReasoningDelta():
                return lane.think(event)
            case ToolCallDelta():
                lane.add(event)
            case Finished():
                lane.finish = event
                return lane.whole_calls()
            case _:
                pass
        return []

    def _end(self) -> bytes:
        candidates: list[_Candidate] = []
        for number, lane in sorted((self._lanes or {0: _Lane()}).items()):
            parts = [*lane.whole_calls(), *lane.parts.rest()]
            reason = lane.finish.reason if lane.finish else FinishReason.STOP
            candidates.append(_Candidate(_Content(parts or [_NOTHING]), number, _FINISH[reason]))
        return self._write(candidates, write_usage(self._usage))

    def _write(self, candidates: list[_Candidate], usage: UsageMetadata | None = None) -> bytes:
        return encode_event(_ENCODER.encode(_Answer(candidates, usage, self._model or None, self._id or None)))


def encode_response(response: Response, decision_id: str) -> bytes:
    candidates = [_candidate(choice) for choice in response.choices]
    return _ENCODER.encode(
        _Answer(candidates, write_usage(response.usage), response.model or None, response.id or decision_id or None)
    )


def _candidate(choice: Choice) -> _Candidate:
    writer = _Parts()
    parts: list[_Part] = []
    for part in choice.parts:
        parts += _written(part, writer)
    parts += writer.rest()
    finish = _FINISH[choice.finish_reason or FinishReason.STOP]
    return _Candidate(_Content(parts or [_NOTHING]), choice.index, finish, _logprobs(choice.logprobs))


def _written(part: Part, writer: _Parts) -> list[_Part]:
    match part:
        case Text(text=text) | Refusal(text=text):
            return [writer.text(text)]
        case Reasoning(text=text):
            return writer.thought(text, _signature(part))
        case ToolCall():
            return [writer.call(part.id, part.name, part.arguments)]
        case _:
            return []


def write_usage(usage: Usage) -> UsageMetadata | None:
    """The protocol's figures; ``None`` where nothing is known, as it has no word for that but silence."""
    wire = UsageMetadata(
        prompt_token_count=usage.input,
        candidates_token_count=None if usage.output is None else max(0, usage.output - (usage.reasoning or 0)),
        total_token_count=None if usage.input is None or usage.output is None else usage.input + usage.output,
        thoughts_token_count=usage.reasoning,
        cached_content_token_count=usage.cache_read,
    )
    return None if wire == UsageMetadata() else wire


class _Chance(Struct):
    token: str
    logprob: float


class _Token(_Chance):
    top_logprobs: list[_Chance] = []


_TOKEN = msgspec.json.Decoder(_Token)


def _logprobs(tokens: Sequence[Raw]) -> Raw | None:
    """OpenAI's words for the chances of tokens in Google's; ``None`` for what was not asked for or cannot be read."""
    try:
        read = [_TOKEN.decode(raw) for raw in tokens]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not read:
        return None
    chosen = [_chance(token) for token in read]
    tops = [{"candidates": [_chance(other) for other in token.top_logprobs]} for token in read]
    return Raw(_ENCODER.encode({"chosenCandidates": chosen, "topCandidates": tops}))


def _chance(token: _Chance) -> dict[str, object]:
    return {"token": token.token, "logProbability": token.logprob}


_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def encode_error(error: TrimtabError) -> bytes:
    """``google.rpc.Status`` as JSON, with our own code as the reason in an ``ErrorInfo``."""
    fault = describe(error)
    status = _STATUS.get(fault.status, "INVALID_ARGUMENT" if fault.status < 500 else "INTERNAL")
    details: list[dict[str, object]] = [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": fault.code.upper(), "domain": "trimtab"}
    ]
    if fault.param is not None:
        violation = {"field": fault.param, "description": fault.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    return _ENCODER.encode({"error": {"code": fault.status, "message": fault.message, "status": status, "details": details}})
