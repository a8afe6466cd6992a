"""OpenAI Chat Completions as an upstream speaks it: JSON bodies and streams of chunks.

Source: the public API reference, "Chat" and "Chat streaming" (``chat.completion`` and ``chat.completion.chunk``).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from trimtab.lab.upstream.answers import Answer, Piece, Role, body, halves
from trimtab.lab.upstream.obliging import Asked

_CREATED = 1_767_225_600


class StreamOptions(Struct):
    include_usage: bool = False


class Function(Struct):
    name: str
    parameters: Raw = Raw()


class Tool(Struct):
    function: Function | None = None


class JsonSchema(Struct):
    schema: Raw = Raw()


class ResponseFormat(Struct):
    json_schema: JsonSchema | None = None


class ChatRequest(Struct):
    """The fields of a request that change what comes back."""

    model: str
    messages: list[dict[str, object]]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    response_format: ResponseFormat | None = None

    @property
    def asked(self) -> Asked:
        functions = [tool.function for tool in self.tools or () if tool.function is not None]
        wanted = self.response_format.json_schema if self.response_format is not None else None
        return Asked(
            tools=tuple((function.name, function.parameters) for function in functions),
            schema=None if wanted is None else wanted.schema,
            settled=bool(self.messages) and self.messages[-1].get("role") == "tool",
        )

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


def pieces(answer: Answer, request: ChatRequest, id: str, *, usage: bool) -> list[Piece]:
    """The answer to ``request``. Without ``usage`` the upstream keeps its token counts to itself, though asked."""
    if not request.stream:
        return body(_whole(answer, request, id, usage=usage))
    return list(_chunks(answer, request, id, usage=usage))


def models(names: tuple[str, ...]) -> bytes:
    rows = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "trimtab-lab"} for name in names]
    return msgspec.json.encode({"object": "list", "data": rows})


def error(message: str, *, type: str, code: str | None = None, param: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": type, "param": param, "code": code}})


def _usage(answer: Answer, choices: int) -> dict[str, object]:
    output = answer.output_tokens * choices
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": output,
        "total_tokens": answer.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _whole(answer: Answer, request: ChatRequest, id: str, *, usage: bool) -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": "".join(answer.text) or None, "refusal": None}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.calls:
        message["tool_calls"] = [
            {"id": f"call_lab{index}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for index, call in enumerate(answer.calls)
        ]
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": answer.finish} for index in range(request.n or 1)
    ]
    whole: dict[str, object] = {"id": id, "object": "chat.completion", "created": _CREATED, "model": request.model}
    whole |= {"choices": choices, "service_tier": "default", "system_fingerprint": "fp_lab"}
    if usage:
        whole["usage"] = _usage(answer, len(choices))
    return msgspec.json.encode(whole)


def _chunks(answer: Answer, request: ChatRequest, id: str, *, usage: bool) -> Iterator[Piece]:
    head: dict[str, object] = {"id": id, "object": "chat.completion.chunk", "created": _CREATED, "model": request.model}
    head |= {"service_tier": "default", "system_fingerprint": "fp_lab"}
    if request.wants_usage and usage:
        head["usage"] = None

    def chunk(role: Role, choice: int, delta: dict[str, object], finish: str | None = None) -> Piece:
        choices = [{"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return Piece(role, msgspec.json.encode(head | {"choices": choices}))

    count = request.n or 1
    for choice in range(count):
        yield chunk("start", choice, {"role": "assistant", "content": "" if answer.text else None, "refusal": None})
    deltas = list(_deltas(answer))
    for delta in deltas:
        for choice in range(count):
            yield chunk("content", choice, delta)
    for choice in range(count):
        yield chunk("finish", choice, {}, answer.finish)
    if request.wants_usage and usage:
        yield Piece("usage", msgspec.json.encode(head | {"choices": [], "usage": _usage(answer, count)}))
    yield Piece("end", b"[DONE]")


def _deltas(answer: Answer) -> Iterator[dict[str, object]]:
    if answer.thinking:
        yield {"reasoning_content": answer.thinking}
    for text in answer.text:
        yield {"content": text}
    for index, call in enumerate(answer.calls):
        function: dict[str, object] = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": f"call_lab{index}", "type": "function", "function": function}]}
        for part in halves(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
