"""OpenAI Responses: what an upstream answers, whole or as stream events, as ``core`` events. Knows nothing of the client.

Text and calls are read from their deltas; of an item whose kind we do not know, only the finished whole is. What a server did not send in
pieces is read from the finished item.
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
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from trimtab.core.messages import Dialect, FinishReason
from trimtab.core.units import Usage
from trimtab.wire.body import ABSENT, Count, figures, given, read_answer
from trimtab.wire.codec import UpstreamError, UpstreamErrorEvent, WireError
from trimtab.wire.faults import read_error
from trimtab.wire.sse import ServerSentEvent


class _InputDetails(Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(Struct):
    reasoning_tokens: Count | None = None


class _Usage(Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(Struct):
    reason: str | None = None


class _Response(Struct):
    id: str = ""
    model: str = ""
    created_at: int | float | None = None
    status: str | None = None
    error: Raw = ABSENT
    incomplete_details: _Incomplete | None = None
    output: list[Raw] | None = None
    usage: Raw = ABSENT


class _Part(Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: list[Raw] | None = None


class _Item(Struct):
    id: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    content: list[Raw] | None = None
    summary: list[_Part] | None = None
    encrypted_content: str | None = None


class _StreamEvent(Struct):
    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: str = ""
    logprobs: list[Raw] | None = None
    item: Raw = ABSENT
    response: Raw = ABSENT


class _Kind(Struct):
    type: str = ""


_EVENT = Decoder(_StreamEvent)
_RESPONSE = Decoder(_Response)
_ITEM = Decoder(_Item)
_PART = Decoder(_Part)
_KIND = Decoder(_Kind)
_USAGE = Decoder(_Usage)

_KNOWN_EVENTS = frozenset(
    {
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.function_call_arguments.delta",
        "response.completed",
        "response.incomplete",
        "response.failed",
    }
)

_INCOMPLETE = {"content_filter": FinishReason.CONTENT_FILTER}
"""Every other reason is a limit of some kind."""


def _usage(raw: Raw) -> Usage | None:
    wire = figures(_USAGE, raw)
    if wire is None:
        return None
    read, written = wire.input_tokens_details, wire.output_tokens_details
    return Usage(
        input=wire.input_tokens,
        output=wire.output_tokens,
        cache_read=read.cached_tokens if read else None,
        cache_write=read.cache_write_tokens if read else None,
        reasoning=written.reasoning_tokens if written else None,
    )


class _Reader:
    """What must be remembered between the events of one answer: which items began, and what of them was said already."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, int], int] = {}
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, tuple[str, int]] = {}
        self._said: set[int] = set()

    def text(self, item: int, part: int, text: str, logprobs: list[Raw] | None) -> list[Event]:
        if not text and not logprobs:
            return []
        self._said.add(item)
        block = self._blocks.setdefault((item, part), len(self._blocks))
        return [TextDelta(text, block=block, logprobs=tuple(logprobs or ()))]

    def refusal(self, item: int, text: str) -> list[Event]:
        self._said.add(item)
        return [RefusalDelta(text)] if text else []

    def thought(self, item: int, part: tuple[str, int], text: str) -> list[Event]:
        """Thinking comes in paragraphs, those of the summary and those of the thinking itself; one item is one block."""
        if not text:
            return []
        self._said.add(item)
        before = self._thoughts.get(item)
        self._thoughts[item] = part
        return [_thought(text if before in (None, part) else f"\n\n{text}", item)]

    def call(self, item: int, wire: _Item) -> list[Event]:
        if item in self._calls:
            return []
        self._calls[item] = len(self._calls)
        return [ToolCallDelta(self._calls[item], id=wire.call_id or wire.id, name=wire.name)]

    def arguments(self, item: int, text: str) -> list[Event]:
        if not text or item not in self._calls:
            return []
        self._said.add(item)
        return [ToolCallDelta(self._calls[item], text)]

    def begun(self, item: int, raw: Raw) -> list[Event]:
        is_call = read_answer(_KIND, raw).type == "function_call"
        return self.call(item, read_answer(_ITEM, raw)) if is_call else []

    def done(self, item: int, raw: Raw) -> list[Event]:
        """A finished item: all of it where nothing was said before, else the rest."""
        kind = read_answer(_KIND, raw).type
        if kind not in ("message", "function_call", "reasoning"):
            return [OpaqueDelta(kind, raw)]
        wire = read_answer(_ITEM, raw)
        was_said = item in self._said
        match kind:
            case "function_call":
                return [*self.call(item, wire), *([] if was_said else self.arguments(item, wire.arguments))]
            case "reasoning":
                return [*([] if was_said else self._thinking(item, wire)), *_signed(item, wire)]
            case _:
                return [] if was_said else self._message(item, wire)

    def _thinking(self, item: int, wire: _Item) -> list[Event]:
        events: list[Event] = []
        for number, raw in enumerate(wire.content or ()):
            events += self.thought(item, ("content", number), read_answer(_PART, raw).text or "")
        for number, part in enumerate(wire.summary or ()):
            events += self.thought(item, ("summary", number), part.text or "")
        return events

    def _message(self, item: int, wire: _Item) -> list[Event]:
        events: list[Event] = []
        for number, raw in enumerate(wire.content or ()):
            part = read_answer(_PART, raw)
            if part.text is not None:
                events += self.text(item, number, part.text, part.logprobs)
            elif part.refusal is not None:
                events += self.refusal(item, part.refusal)
            else:
                events.append(OpaqueDelta(part.type, raw))
        return events

    def end(self, response: _Response, status: str) -> list[Event]:
        if status == "failed":
            raise UpstreamErrorEvent(read_error(bytes(response.error)))
        if status == "incomplete":
            why = response.incomplete_details.reason if response.incomplete_details else None
            reason = _INCOMPLETE.get(why or "", FinishReason.LENGTH)
        else:
            reason = FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP
        usage = _usage(response.usage)
        return [Finished(reason), *([] if usage is None else [UsageReported(usage)]), Ended()]


def _signed(item: int, wire: _Item) -> list[Event]:
    return [_thought("", item, wire.encrypted_content)] if wire.encrypted_content else []


def _thought(text: str, item: int, signature: str | None = None) -> ReasoningDelta:
    return ReasoningDelta(text, 0, item, signature, signer=Dialect.OPENAI_RESPONSES)


def _started(response: _Response) -> Started:
    return Started(response.id, response.model, None if response.created_at is None else int(response.created_at))


class ResponsesStreamDecoder:
    def __init__(self) -> None:
        self._reader = _Reader()

    def feed(self, event: ServerSentEvent) -> Frame:
        data = event.data
        if data.startswith(b"[DONE]"):
            # Some servers say it here, too, behind the last word.
            return Frame((), event.raw)
        try:
            wire = read_answer(_EVENT, data)
        except WireError:
            kind = read_answer(_KIND, data).type or event.event
            if kind in _KNOWN_EVENTS:
                raise
            wire = _StreamEvent(kind)
        kind = wire.type or event.event
        if kind == "error":
            raise UpstreamErrorEvent(read_error(data))
        return Frame(tuple(self._events(kind, wire)), event.raw)

    def _events(self, kind: str, wire: _StreamEvent) -> list[Event]:
        reader, item = self._reader, wire.output_index
        match kind:
            case "response.output_text.delta":
                return reader.text(item, wire.content_index, wire.delta, wire.logprobs)
            case "response.function_call_arguments.delta":
                return reader.arguments(item, wire.delta)
            case "response.reasoning_summary_text.delta":
                return reader.thought(item, ("summary", wire.summary_index), wire.delta)
            case "response.reasoning_text.delta":
                return reader.thought(item, ("content", wire.content_index), wire.delta)
            case "response.refusal.delta":
                return reader.refusal(item, wire.delta)
            case "response.output_item.added" if given(wire.item):
                return reader.begun(item, wire.item)
            case "response.output_item.done" if given(wire.item):
                return reader.done(item, wire.item)
            case "response.created" if given(wire.response):
                return [_started(read_answer(_RESPONSE, wire.response))]
            case "response.completed" | "response.incomplete" | "response.failed":
                response = read_answer(_RESPONSE, wire.response) if given(wire.response) else _Response()
                return reader.end(response, kind.removeprefix("response."))
            case _:
                return []


def decode_response(body: bytes) -> Frame:
    response = read_answer(_RESPONSE, body)
    status = response.status or "completed"
    if status == "cancelled":
        raise UpstreamErrorEvent(UpstreamError(code="cancelled"))
    if status == "failed" or (given(response.error) and response.output is None):
        raise UpstreamErrorEvent(read_error(body))
    if response.output is None:
        raise WireError("an answer without output")
    if status not in ("completed", "incomplete"):
        raise WireError("an answer that is not finished")
    reader = _Reader()
    events: list[Event] = [_started(response)]
    for number, raw in enumerate(response.output):
        events += reader.done(number, raw)
    return Frame((*events, *reader.end(response, status)), body)
