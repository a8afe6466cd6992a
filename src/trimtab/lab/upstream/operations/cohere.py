"""Cohere v2 chat as an upstream speaks it: JSON bodies and streams of named events.

Source: the public API reference, "Chat API v2" and "A Guide to Streaming Responses", and the official SDK's types.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from trimtab.core.messages import Dialect
from trimtab.lab.upstream.answers import Answer, Piece, Role, body, halves
from trimtab.lab.upstream.obliging import Asked

_FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL", "content_filter": "COMPLETE"}
_PREAMBLE = 200
"""Tokens of the hidden prompt, which are counted and not billed."""


class Function(Struct):
    name: str
    parameters: Raw = Raw()


class Tool(Struct):
    function: Function | None = None


class ResponseFormat(Struct):
    json_schema: Raw = Raw()


class CohereRequest(Struct):
    """The fields of a request that change what comes back."""

    model: str
    messages: list[dict[str, object]]
    stream: bool | None = False
    tools: list[Tool] | None = None
    response_format: ResponseFormat | None = None

    dialect = Dialect.COHERE
    content_type = "application/json"

    @property
    def asked(self) -> Asked:
        functions = [tool.function for tool in self.tools or () if tool.function is not None]
        return Asked(
            tools=tuple((function.name, function.parameters) for function in functions),
            schema=self.response_format.json_schema if self.response_format and bytes(self.response_format.json_schema) else None,
            settled=bool(self.messages) and self.messages[-1].get("role") == "tool",
        )

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        """Without ``usage`` the upstream keeps its token counts to itself."""
        return list(_events(answer, id, usage=usage)) if self.stream else body(_whole(answer, id, usage=usage))


def failed(message: str) -> bytes:
    """How a generation fails under a good status line: the last event of a stream and, in fields beside it, a whole answer."""
    end = {"type": "message-end", "delta": {"error": message, "finish_reason": "ERROR"}}
    return msgspec.json.encode({**end, "id": "lab", "finish_reason": "ERROR", "message": {"role": "assistant", "content": []}})


def _usage(answer: Answer) -> dict[str, object]:
    return {
        "billed_units": {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens},
        "tokens": {"input_tokens": answer.input_tokens + _PREAMBLE, "output_tokens": answer.output_tokens + 2},
        "cached_tokens": _PREAMBLE,
    }


def _whole(answer: Answer, id: str, *, usage: bool) -> bytes:
    content: list[dict[str, object]] = []
    if answer.thinking:
        content.append({"type": "thinking", "thinking": answer.thinking})
    if answer.text:
        content.append({"type": "text", "text": "".join(answer.text)})
    message: dict[str, object] = {"role": "assistant"}
    if content:
        message["content"] = content
    if answer.calls:
        message["tool_calls"] = [
            {"id": f"call_lab{index}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for index, call in enumerate(answer.calls)
        ]
    whole: dict[str, object] = {"id": id, "message": message, "finish_reason": _FINISH[answer.finish]}
    if usage:
        whole["usage"] = _usage(answer)
    return msgspec.json.encode(whole)


def _event(role: Role, kind: str, fields: dict[str, object]) -> Piece:
    return Piece(role, msgspec.json.encode({"type": kind, **fields}), event=kind)


def _said(message: dict[str, object], index: int) -> dict[str, object]:
    return {"index": index, "delta": {"message": message}}


def _events(answer: Answer, id: str, *, usage: bool) -> Iterator[Piece]:
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield _event("start", "message-start", {"id": id, "delta": {"message": empty}})
    blocks: list[tuple[str, tuple[str, ...]]] = [("thinking", halves(answer.thinking))] if answer.thinking else []
    blocks += [("text", answer.text)] if answer.text else []
    for index, (kind, texts) in enumerate(blocks):
        yield _event("start", "content-start", _said({"content": {"type": kind, kind: ""}}, index))
        for text in texts:
            yield _event("content", "content-delta", _said({"content": {kind: text}}, index))
        yield _event("aside", "content-end", {"index": index})
    for index, call in enumerate(answer.calls):
        head = {"id": f"call_lab{index}", "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield _event("content", "tool-call-start", _said({"tool_calls": head}, index))
        for part in halves(call.arguments):
            yield _event("content", "tool-call-delta", _said({"tool_calls": {"function": {"arguments": part}}}, index))
        yield _event("aside", "tool-call-end", {"index": index})
    delta: dict[str, object] = {"finish_reason": _FINISH[answer.finish]}
    if usage:
        delta["usage"] = _usage(answer)
    yield _event("end", "message-end", {"id": id, "delta": delta})
