"""Google's Gemini API: what an upstream answers, whole or in chunks, as events. Knows nothing of the client.

Chunks are answers of the same shape, and the stream has no last word: it is complete once its candidates are. Calls come whole. What was
counted before a candidate is finished is a count so far, so until then only the input is told.
"""

from __future__ import annotations

from msgspec import DecodeError, Raw, Struct
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
from trimtab.wire.body import ABSENT, as_raw, figures, given, json_text, read_answer
from trimtab.wire.codec import UpstreamErrorEvent, WireError
from trimtab.wire.faults import read_error
from trimtab.wire.gemini.shapes import PART_ASIDES, UsageMetadata, made_id
from trimtab.wire.sse import ServerSentEvent


class _Call(Struct, rename="camel"):
    name: str | None = None
    id: str | None = None
    args: Raw = ABSENT


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None


class _Content(Struct):
    parts: list[Raw] | None = None


class _Token(Struct, rename="camel"):
    token: str = ""
    log_probability: float | None = None


class _Tops(Struct):
    candidates: list[_Token] | None = None


class _Logprobs(Struct, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_Tops] | None = None


class _Candidate(Struct, rename="camel"):
    index: int = 0
    content: _Content | None = None
    finish_reason: str | None = None
    logprobs_result: Raw = ABSENT


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _Answer(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Raw = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    error: Raw = ABSENT


_ANSWER = Decoder(_Answer)
_ANSWERS: Decoder[list[Raw]] = Decoder(list[Raw])
_PART = Decoder(_Part)
_FIELDS = Decoder(dict[str, Raw])
_USAGE = Decoder(UsageMetadata)
_LOGPROBS = Decoder(_Logprobs)

_TEXT_FIELDS = frozenset({"text", "thought", "thoughtSignature"})
_ASIDES = PART_ASIDES | {"audioTranscription"}

_FINISH = {
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.PAUSE,
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "MODEL_ARMOR",
            "ESCALATION",
            "PUP_LIMITED_DISABLED",
        ),
        FinishReason.CONTENT_FILTER,
    ),
}
"""All others, STOP and OTHER and what went wrong with a call, are an end as any."""


def read_usage(raw: Raw, *, is_final: bool = True) -> Usage | None:
    wire = figures(_USAGE, raw)
    if wire is None:
        return None
    count = wire.prompt_token_count
    used = None if count is None else count + (wire.tool_use_prompt_token_count or 0)
    said: int | None = None
    if wire.candidates_token_count is not None:
        said = wire.candidates_token_count + (wire.thoughts_token_count or 0)
    elif wire.total_token_count is not None and used is not None:
        # proto3 leaves a zero out; the sum tells it from an unknown.
        said = max(0, wire.total_token_count - used)
    return Usage(
        input=used,
        output=said if is_final else None,
        cache_read=wire.cached_content_token_count,
        reasoning=wire.thoughts_token_count if is_final else None,
    )


class _Lane:
    """What one candidate has said so far: the kind of its last block, its number, the last block of text, and how many calls."""

    def __init__(self) -> None:
        self._kind = ""
        self._block = -1
        self.text = -1
        self.calls = 0

    def block(self, kind: str) -> int:
        if kind != self._kind:
            self._kind = kind
            self._block += 1
        if kind == "text":
            self.text = self._block
        return self._block

    def close(self) -> None:
        self._kind = ""


class _Reader:
    """Turns answers and chunks into events; remembers what each candidate has said."""

    def __init__(self) -> None:
        self._id = ""
        self._is_started = False
        self._is_final = False
        self._lanes: dict[int, _Lane] = {}

    def read(self, answer: _Answer) -> list[Event]:
        events: list[Event] = []
        candidates = answer.candidates or ()
        feedback = answer.prompt_feedback
        is_blocked = feedback is not None and bool(feedback.block_reason) and not candidates
        self._id = self._id or answer.response_id or ""
        if not self._is_started and (answer.response_id or answer.model_version or candidates or is_blocked):
            self._is_started = True
            events.append(Started(self._id, answer.model_version or ""))
        for candidate in candidates:
            self._candidate(candidate, events)
        if is_blocked:
            self._is_final = True
            events.append(Finished(FinishReason.CONTENT_FILTER))
        usage = read_usage(answer.usage_metadata, is_final=self._is_final)
        if usage is not None:
            events.append(UsageReported(usage))
        return events

    def _candidate(self, candidate: _Candidate, events: list[Event]) -> None:
        number = candidate.index
        lane = self._lanes.setdefault(number, _Lane())
        for raw in (candidate.content.parts if candidate.content else None) or ():
            events += self._part(raw, lane, number)
        logprobs = _tokens(candidate.logprobs_result)
        if logprobs and lane.text >= 0:
            events.append(TextDelta("", number, lane.text, logprobs))
        reason = candidate.finish_reason
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._is_final = True
            stopped = FinishReason.TOOL_CALLS if reason == "STOP" and lane.calls else FinishReason.STOP
            events.append(Finished(_FINISH.get(reason, stopped), number))

    def _part(self, raw: Raw, lane: _Lane, number: int) -> list[Event]:
        fields = read_answer(_FIELDS, raw)
        unknown = [name for name in fields if name not in _TEXT_FIELDS and name not in _ASIDES and given(fields[name])]
        if unknown and unknown[0] != "functionCall":
            lane.close()
            return [OpaqueDelta(unknown[0], raw, number)]
        part = read_answer(_PART, raw)
        signature = part.thought_signature or None
        if part.thought and part.function_call is None:
            return _thought(part.text or "", signature, lane, number)
        events: list[Event] = []
        if signature is not None:
            # It belongs to the part behind it, and is a thought of no words here.
            lane.close()
            events.append(ReasoningDelta("", number, lane.block("signature"), signature, signer=Dialect.GEMINI))
            lane.close()
        if part.function_call is not None:
            events += self._call(part.function_call, lane, number)
        elif part.text:
            events.append(TextDelta(part.text, number, lane.block("text")))
            if signature is not None:
                lane.close()
        return events

    def _call(self, call: _Call, lane: _Lane, number: int) -> list[Event]:
        if not call.name:
            # A piece of a call's arguments (Vertex AI, streamFunctionCallArguments): asked for by clients of this protocol alone.
            return []
        lane.close()
        arguments = json_text(call.args) if given(call.args) else "{}"
        id = call.id or made_id(call.name, lane.calls, f"{self._id}/{number}")
        lane.calls += 1
        return [ToolCallDelta(lane.calls - 1, arguments, id, call.name, number)]


def _thought(text: str, signature: str | None, lane: _Lane, number: int) -> list[Event]:
    if not text and signature is None:
        return []
    event = ReasoningDelta(text, number, lane.block("thought"), signature, signer=Dialect.GEMINI)
    if signature is not None:
        lane.close()
    return [event]


def _tokens(raw: Raw) -> tuple[Raw, ...]:
    """One value per token, in OpenAI's words."""
    try:
        wire = _LOGPROBS.decode(raw) if given(raw) else _Logprobs()
    except (DecodeError, UnicodeDecodeError):
        return ()
    tops = wire.top_candidates or []
    tokens: list[Raw] = []
    for place, chosen in enumerate(wire.chosen_candidates or ()):
        others = (tops[place].candidates if place < len(tops) else None) or []
        tokens.append(as_raw({**_token(chosen), "top_logprobs": [_token(other) for other in others]}))
    return tuple(tokens)


def _token(wire: _Token) -> dict[str, object]:
    return {"token": wire.token, "logprob": wire.log_probability or 0.0, "bytes": list(wire.token.encode("utf-8", "surrogatepass"))}


def _checked(data: bytes) -> _Answer:
    """Raises :class:`UpstreamErrorEvent` for an error, which may stand in a list of one."""
    if data.lstrip().startswith(b"["):
        data = b"".join(bytes(raw) for raw in read_answer(_ANSWERS, data)[:1])
    answer = read_answer(_ANSWER, data)
    if given(answer.error):
        raise UpstreamErrorEvent(read_error(data))
    return answer


class GenerateStreamDecoder:
    def __init__(self) -> None:
        self._reader = _Reader()

    def feed(self, event: ServerSentEvent) -> Frame:
        return Frame(tuple(self._reader.read(_checked(event.data))), event.raw)


def decode_response(body: bytes) -> Frame:
    answer = _checked(body)
    if answer.candidates is None and answer.prompt_feedback is None:
        raise WireError("an answer without candidates")
    events = _Reader().read(answer)
    return Frame((*events, Ended()), body)
