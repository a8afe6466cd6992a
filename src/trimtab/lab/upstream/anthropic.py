"""Anthropic Messages as an upstream speaks it: JSON bodies and streams of named events.

Source: the public API reference, "Messages" and "Streaming Messages".
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from trimtab.lab.upstream.answers import Answer, Piece, Role, body, halves
from trimtab.lab.upstream.obliging import Asked

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_SIGNATURE = "bGFiLXNpZ25hdHVyZQ=="


class Tool(Struct):
    name: str
    input_schema: Raw = Raw()


class Format(Struct):
    schema: Raw = Raw()


class OutputConfig(Struct):
    format: Format | None = None


class MessagesRequest(Struct):
    """The fields of a request that change what comes back."""

    model: str
    messages: list[dict[str, object]]
    stream: bool | None = False
    tools: list[Tool] | None = None
    output_config: OutputConfig | None = None

    @property
    def asked(self) -> Asked:
        wanted = self.output_config.format if self.output_config is not None else None
        last = self.messages[-1].get("content") if self.messages else None
        return Asked(
            tools=tuple((tool.name, tool.input_schema) for tool in self.tools or ()),
            schema=None if wanted is None else wanted.schema,
            settled=isinstance(last, list) and any(isinstance(block, dict) and "tool_use_id" in block for block in last),
        )


def pieces(answer: Answer, request: MessagesRequest, id: str, *, usage: bool) -> list[Piece]:
    """The answer to ``request``. Without ``usage`` the upstream keeps its token counts to itself."""
    if not request.stream:
        return body(_whole(answer, request, id, usage=usage))
    return list(_events(answer, request, id, usage=usage))


def error(message: str, *, type: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": type, "message": message}, "request_id": "req_lab"})


def _message(request: MessagesRequest, id: str, blocks: list[dict[str, object]], stop: str | None) -> dict[str, object]:
    message: dict[str, object] = {"id": id, "type": "message", "role": "assistant", "model": request.model}
    return message | {"content": blocks, "stop_reason": stop, "stop_sequence": None}


def _usage(answer: Answer, output: int) -> dict[str, object]:
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": answer.input_tokens, **cache, "output_tokens": output}


def _whole(answer: Answer, request: MessagesRequest, id: str, *, usage: bool) -> bytes:
    blocks: list[dict[str, object]] = []
    if answer.thinking:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": _SIGNATURE})
    if answer.text:
        blocks.append({"type": "text", "text": "".join(answer.text)})
    for index, call in enumerate(answer.calls):
        block: dict[str, object] = {"type": "tool_use", "id": f"toolu_lab{index}", "name": call.name}
        blocks.append(block | {"input": msgspec.Raw(call.arguments.encode())})
    whole = _message(request, id, blocks, _STOP_REASONS[answer.finish])
    if usage:
        whole["usage"] = _usage(answer, answer.output_tokens) | {"service_tier": "standard"}
    return msgspec.json.encode(whole)


def _events(answer: Answer, request: MessagesRequest, id: str, *, usage: bool) -> Iterator[Piece]:
    message = _message(request, id, [], None)
    if usage:
        message["usage"] = _usage(answer, 1) | {"service_tier": "standard"}
    yield _event("start", "message_start", {"message": message})
    yield _event("aside", "ping", {})
    for index, (block, deltas) in enumerate(_blocks(answer)):
        yield _event("start", "content_block_start", {"index": index, "content_block": block})
        for delta in deltas:
            yield _event("content", "content_block_delta", {"index": index, "delta": delta})
        yield _event("aside", "content_block_stop", {"index": index})
    end: dict[str, object] = {"delta": {"stop_reason": _STOP_REASONS[answer.finish], "stop_sequence": None}}
    if usage:
        end["usage"] = _usage(answer, answer.output_tokens)  # cumulative
    yield _event("finish", "message_delta", end)
    yield _event("end", "message_stop", {})


def _event(role: Role, name: str, fields: dict[str, object]) -> Piece:
    return Piece(role, msgspec.json.encode({"type": name, **fields}), event=name)


def _blocks(answer: Answer) -> Iterator[tuple[dict[str, object], list[dict[str, object]]]]:
    if answer.thinking:
        thought: list[dict[str, object]] = [{"type": "thinking_delta", "thinking": part} for part in halves(answer.thinking)]
        thought.append({"type": "signature_delta", "signature": _SIGNATURE})
        yield {"type": "thinking", "thinking": "", "signature": ""}, thought
    if answer.text:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in answer.text]
    for index, call in enumerate(answer.calls):
        parts = ("", *halves(call.arguments))
        block: dict[str, object] = {"type": "tool_use", "id": f"toolu_lab{index}", "name": call.name, "input": {}}
        yield block, [{"type": "input_json_delta", "partial_json": part} for part in parts]
