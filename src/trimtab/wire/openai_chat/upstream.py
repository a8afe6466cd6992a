"""OpenAI Chat Completions: what an upstream answers, whole or in chunks, as events. Knows nothing of the client.

Read leniently, as the many servers of this dialect differ: ``reasoning_content`` (DeepSeek, vLLM, SGLang) or ``reasoning`` (OpenRouter,
newer vLLM), content as a list of chunks (Mistral), tool calls without an index (Gemini's endpoint), usage inside ``x_groq``.
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
from trimtab.core.messages import FinishReason
from trimtab.core.units import Usage
from trimtab.wire.body import ABSENT, Count, figures, given, read_answer
from trimtab.wire.codec import UpstreamErrorEvent, WireError
from trimtab.wire.faults import read_error
from trimtab.wire.sse import ServerSentEvent


class _PromptDetails(Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: Count | None = None


class _Usage(Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: Count | None = None


class _GroqExtra(Struct):
    usage: Raw = ABSENT


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None
    custom: Raw = ABSENT


class _Delta(Struct):
    """A chunk's ``delta`` or a whole answer's ``message``: they hold the same fields."""

    content: str | list[Raw] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    audio: Raw = ABSENT


class _Logprobs(Struct):
    content: list[Raw] | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Answer(Struct):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | None = None
    usage: Raw = ABSENT
    error: Raw = ABSENT
    x_groq: _GroqExtra | None = None


class _Chunk(Struct):
    """A part of a content that came as a list."""

    type: str = ""
    text: str | None = None


_ANSWER = Decoder(_Answer)
_CHUNK = Decoder(_Chunk)
_USAGE = Decoder(_Usage)

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def _usage(raw: Raw) -> Usage | None:
    wire = figures(_USAGE, raw)
    if wire is None:
        return None
    prompt, completion = wire.prompt_tokens_details, wire.completion_tokens_details
    cached = prompt.cached_tokens if prompt else None
    return Usage(
        input=wire.prompt_tokens,
        output=wire.completion_tokens,
        cache_read=wire.prompt_cache_hit_tokens if cached is None else cached,
        cache_write=prompt.cache_write_tokens if prompt else None,
        reasoning=completion.reasoning_tokens if completion else None,
    )


class _Reader:
    """Turns answers and chunks into events; remembers which tool call of each choice is under way."""

    def __init__(self) -> None:
        self._is_started = False
        self._calls: dict[int, int] = {}

    def read(self, answer: _Answer) -> list[Event]:
        events: list[Event] = []
        choices = answer.choices or ()
        if not self._is_started and (answer.id or answer.model or choices):
            self._is_started = True
            created = None if answer.created is None else int(answer.created)
            events.append(Started(answer.id or "", answer.model or "", created))
        for choice in choices:
            said = choice.delta or choice.message
            if said is not None:
                self._read_said(said, choice, events)
            if choice.finish_reason:
                events.append(Finished(_FINISH.get(choice.finish_reason, FinishReason.STOP), choice.index))
        counted = answer.usage if answer.x_groq is None or given(answer.usage) else answer.x_groq.usage
        usage = _usage(counted) if given(counted) else None
        if usage is not None:
            events.append(UsageReported(usage))
        return events

    def _read_said(self, said: _Delta, choice: _Choice, events: list[Event]) -> None:
        number = choice.index
        thinking = said.reasoning_content or said.reasoning
        if thinking:
            events.append(ReasoningDelta(thinking, number))
        logprobs = tuple(choice.logprobs.content or ()) if choice.logprobs else ()
        if isinstance(said.content, list):
            events += _chunks(said.content, number)
            if logprobs:
                events.append(TextDelta("", number, logprobs=logprobs))
        elif said.content or logprobs:
            events.append(TextDelta(said.content or "", number, logprobs=logprobs))
        if said.refusal:
            events.append(RefusalDelta(said.refusal, number))
        for call in said.tool_calls or ():
            events.append(self._call(call, number))
        if said.function_call is not None:
            # The legacy form has no id: there the name pairs call and result.
            name = said.function_call.name or None
            events.append(ToolCallDelta(0, said.function_call.arguments or "", name, name, number))
        if given(said.audio):
            events.append(OpaqueDelta("audio", said.audio, number))

    def _call(self, call: _ToolCall, choice: int) -> Event:
        if given(call.custom):
            return OpaqueDelta("custom", call.custom, choice)
        function = call.function or _Function()
        index = call.index
        if index is None:
            # Servers that leave the index out send whole calls, each with its id.
            index = self._calls.get(choice, -1) + 1 if call.id or choice not in self._calls else self._calls[choice]
        self._calls[choice] = max(index, self._calls.get(choice, -1))
        return ToolCallDelta(index, function.arguments or "", call.id or None, function.name or None, choice)


def _chunks(content: list[Raw], choice: int) -> list[Event]:
    events: list[Event] = []
    for raw in content:
        chunk = read_answer(_CHUNK, raw)
        if chunk.text is None:
            events.append(OpaqueDelta(chunk.type, raw, choice))
        elif chunk.text:
            events.append(TextDelta(chunk.text, choice))
    return events


class ChatStreamDecoder:
    def __init__(self) -> None:
        self._reader = _Reader()

    def feed(self, event: ServerSentEvent) -> Frame:
        data = event.data
        if data.startswith(b"[DONE]"):
            return Frame((Ended(),), event.raw)
        if event.event == "error":
            raise UpstreamErrorEvent(read_error(data))
        answer = read_answer(_ANSWER, data)
        if given(answer.error):
            raise UpstreamErrorEvent(read_error(data))
        return Frame(tuple(self._reader.read(answer)), event.raw)


def decode_response(body: bytes) -> Frame:
    answer = read_answer(_ANSWER, body)
    if given(answer.error):
        raise UpstreamErrorEvent(read_error(body))
    if answer.choices is None:
        raise WireError("an answer without choices")
    return Frame((*_Reader().read(answer), Ended()), body)
