"""OpenAI Chat Completions: what the client gets, whole or in chunks. Knows nothing of the upstream and reads no clock.

Thinking goes out as ``reasoning_content``, as DeepSeek, vLLM and SGLang write it; its signature has no place in this protocol.
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
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    merge_usage,
)
from trimtab.core.messages import Choice, FinishReason, Reasoning, Refusal, Request, Response, Text, ToolCall
from trimtab.core.units import Usage
from trimtab.wire.faults import describe
from trimtab.wire.sse import encode_event

_FINISH = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    # No client of this protocol can go on with a paused turn.
    FinishReason.PAUSE: "stop",
}

_DONE = b"data: [DONE]\n\n"


class _Function(Struct, omit_defaults=True):
    arguments: str
    name: str | None = None


class _Call(Struct, omit_defaults=True):
    function: _Function
    index: int | None = None
    id: str | None = None
    type: str | None = None


class _Said(Struct, omit_defaults=True):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _Logprobs(Struct):
    content: Sequence[Raw]
    refusal: None = None


class _ChunkChoice(Struct):
    index: int
    delta: _Said
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _PromptDetails(Struct, omit_defaults=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: int


class _Usage(Struct, omit_defaults=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Chunk(Struct):
    id: str
    created: int
    model: str
    choices: list[_ChunkChoice]
    object: str = "chat.completion.chunk"


class _UsageChunk(_Chunk):
    usage: _Usage | None = None


class _Message(Struct, omit_defaults=True):
    role: str
    content: str | None
    refusal: str | None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _WholeChoice(Struct):
    index: int
    message: _Message
    finish_reason: str
    logprobs: _Logprobs | None = None


class _Completion(Struct, omit_defaults=True):
    id: str
    object: str
    created: int
    model: str
    choices: list[_WholeChoice]
    usage: _Usage | None = None


_ENCODER = msgspec.json.Encoder()


def _usage(usage: Usage) -> _Usage | None:
    """``None`` where the tokens are unknown: the protocol has no way to say so but to say nothing."""
    if usage.input is None or usage.output is None:
        return None
    prompt = completion = None
    if usage.cache_read is not None or usage.cache_write is not None:
        prompt = _PromptDetails(usage.cache_read, usage.cache_write)
    if usage.reasoning is not None:
        completion = _CompletionDetails(usage.reasoning)
    return _Usage(usage.input, usage.output, usage.input + usage.output, prompt, completion)


class ChatStreamEncoder:
    def __init__(self, request: Request, decision_id: str) -> None:
        self._include_usage = request.include_usage
        self._id = decision_id
        self._model = request.model
        self._created = 0
        self._usage = Usage()
        self._begun: set[int] = set()
        self._has_forwarded = False

    def encode(self, frame: Frame, *, same_dialect: bool) -> bytes:
        if not same_dialect or not (frame.native or self._has_forwarded):
            return b"".join(self._translate(event) for event in frame.events)
        self._has_forwarded = True
        if not frame.native:
            return _DONE if frame.is_last else b""
        events = frame.events
        if not self._include_usage and events and isinstance(events[-1], UsageReported) and not frame.has_content:
            return b""
        return frame.native

    def error(self, error: TrimtabError) -> bytes:
        return encode_event(encode_error(error))

    def _translate(self, event: Event) -> bytes:
        match event:
            case TextDelta(text=text, choice=choice, logprobs=logprobs):
                return self._chunk(choice, _Said(content=text), _Logprobs(logprobs) if logprobs else None)
            case ToolCallDelta(choice=choice):
                kind = "function" if event.id is not None else None
                call = _Call(_Function(event.arguments, event.name), event.index, event.id, kind)
                return self._chunk(choice, _Said(tool_calls=[call]))
            case ReasoningDelta(text=text, choice=choice):
                return self._chunk(choice, _Said(reasoning_content=text)) if text else b""
            case RefusalDelta(text=text, choice=choice):
                return self._chunk(choice, _Said(refusal=text))
            case Finished(reason=reason, choice=choice):
                return self._chunk(choice, _Said(), None, _FINISH[reason])
            case Started():
                self._id = event.id or self._id
                self._model = event.model or self._model
                self._created = event.created or 0
                return self._role(0)
            case UsageReported(usage=usage):
                self._usage = merge_usage(self._usage, usage)
                return b""
            case Ended():
                return self._end()
            case _:
                return b""

    def _chunk(self, choice: int, said: _Said, logprobs: _Logprobs | None = None, finish: str | None = None) -> bytes:
        role = b"" if choice in self._begun else self._role(choice)
        return role + self._write([_ChunkChoice(choice, said, logprobs, finish)])

    def _role(self, choice: int) -> bytes:
        self._begun.add(choice)
        return self._write([_ChunkChoice(choice, _Said(role="assistant", content=""))])

    def _write(self, choices: list[_ChunkChoice]) -> bytes:
        return encode_event(_ENCODER.encode(_Chunk(self._id, self._created, self._model, choices)))

    def _end(self) -> bytes:
        usage = _usage(self._usage) if self._include_usage else None
        if usage is None:
            return _DONE
        chunk = _UsageChunk(self._id, self._created, self._model, [], usage=usage)
        return encode_event(_ENCODER.encode(chunk)) + _DONE


def encode_response(response: Response, decision_id: str) -> bytes:
    completion = _Completion(
        id=response.id or decision_id,
        object="chat.completion",
        created=response.created or 0,
        model=response.model,
        choices=[_whole_choice(choice) for choice in response.choices],
        usage=_usage(response.usage),
    )
    return _ENCODER.encode(completion)


def _whole_choice(choice: Choice) -> _WholeChoice:
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    calls: list[_Call] = []
    for part in choice.parts:
        match part:
            case Text(text=text):
                texts.append(text)
            case Refusal(text=text):
                refusals.append(text)
            case Reasoning(text=text):
                thoughts.append(text)
            case ToolCall():
                calls.append(_Call(_Function(part.arguments, part.name), id=part.id, type="function"))
            case _:
                continue
    message = _Message(
        role="assistant",
        content="".join(texts) if texts else None,
        refusal="".join(refusals) if refusals else None,
        reasoning_content="".join(thoughts) or None,
        tool_calls=calls or None,
    )
    finish = _FINISH[choice.finish_reason or FinishReason.STOP]
    return _WholeChoice(choice.index, message, finish, _Logprobs(choice.logprobs) if choice.logprobs else None)


_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def encode_error(error: TrimtabError) -> bytes:
    fault = describe(error)
    kind = _ERROR_TYPES.get(fault.status, "invalid_request_error" if fault.status < 500 else "server_error")
    return _ENCODER.encode({"error": {"message": fault.message, "type": kind, "param": fault.param, "code": fault.code}})
