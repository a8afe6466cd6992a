"""OpenAI Responses as an upstream speaks it: JSON bodies and streams of named, numbered events.

Source: the public API reference, "Responses" and "Streaming events".
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from trimtab.lab.upstream.answers import Answer, Piece, Role, body, halves
from trimtab.lab.upstream.obliging import Asked
from trimtab.wire.body import Json

_CREATED = 1_767_225_600
_SEAL = "bGFiLWVuY3J5cHRlZA=="
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Tool(Struct):
    type: str
    name: str = ""
    parameters: Raw = Raw()


class Format(Struct):
    type: str = "text"
    schema: Raw = Raw()


class TextConfig(Struct):
    format: Format | None = None


class ResponsesRequest(Struct):
    """The fields of a request that change what comes back."""

    model: str
    input: str | list[dict[str, object]]
    stream: bool | None = False
    tools: list[Tool] | None = None
    text: TextConfig | None = None

    @property
    def asked(self) -> Asked:
        wanted = self.text.format if self.text is not None else None
        last = self.input[-1] if isinstance(self.input, list) and self.input else {}
        return Asked(
            tools=tuple((tool.name, tool.parameters) for tool in self.tools or () if tool.type == "function"),
            schema=wanted.schema if wanted is not None and wanted.type == "json_schema" else None,
            settled=last.get("type") == "function_call_output",
        )


def pieces(answer: Answer, request: ResponsesRequest, id: str, *, usage: bool) -> list[Piece]:
    """The answer to ``request``. Without ``usage`` the upstream keeps its token counts to itself."""
    if not request.stream:
        items = [item for item, _ in _items(answer, id)]
        return body(msgspec.json.encode(_response(answer, request, id, items, _status(answer), usage=usage)))
    numbered: list[Piece] = []
    for number, (role, kind, fields) in enumerate(_events(answer, request, id, usage=usage)):
        data = msgspec.json.encode({"type": kind, "sequence_number": number, **fields})
        numbered.append(Piece(role, data, event=kind))
    return numbered


def error(message: str, *, code: str) -> bytes:
    """The event of a stream that fails, as the API reference has it, with the ``error`` that the service's own streams add."""
    told = {"code": code, "message": message, "param": None}
    return msgspec.json.encode({"type": "error", "sequence_number": 0, **told, "error": {"type": "server_error", **told}})


def _status(answer: Answer) -> str:
    return "incomplete" if answer.finish in _INCOMPLETE else "completed"


def _response(answer: Answer, request: ResponsesRequest, id: str, items: list[Json], status: str, *, usage: bool) -> Json:
    incomplete = {"reason": _INCOMPLETE[answer.finish]} if status == "incomplete" else None
    response: Json = {"id": id, "object": "response", "created_at": _CREATED, "status": status, "background": False}
    response |= {"error": None, "incomplete_details": incomplete, "instructions": None, "max_output_tokens": None}
    response |= {"metadata": {}, "model": request.model, "output": items, "parallel_tool_calls": True}
    response |= {"previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "service_tier": "default"}
    response |= {"store": False, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": []}
    response |= {"top_p": 1.0, "truncation": "disabled", "usage": None, "user": None}
    if usage and status != "in_progress":
        response["usage"] = {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        }
    return response


_Told = tuple[Role, str, Json]


def _items(answer: Answer, id: str) -> Iterator[tuple[Json, tuple[str, ...]]]:
    """The finished items, each with the pieces in which its text or its arguments come."""
    if answer.thinking:
        summary = [{"type": "summary_text", "text": answer.thinking}]
        yield {"id": f"rs_{id}", "type": "reasoning", "summary": summary, "encrypted_content": _SEAL}, halves(answer.thinking)
    if answer.text:
        part = {"type": "output_text", "text": "".join(answer.text), "annotations": [], "logprobs": []}
        yield {"id": f"msg_{id}", "type": "message", "status": _status(answer), "role": "assistant", "content": [part]}, answer.text
    for index, call in enumerate(answer.calls):
        item: Json = {"id": f"fc_{id}_{index}", "type": "function_call", "status": "completed", "call_id": f"call_lab{index}"}
        yield item | {"name": call.name, "arguments": call.arguments}, halves(call.arguments)


def _events(answer: Answer, request: ResponsesRequest, id: str, *, usage: bool) -> Iterator[_Told]:
    begun = _response(answer, request, id, [], "in_progress", usage=usage)
    yield "start", "response.created", {"response": begun}
    yield "aside", "response.in_progress", {"response": begun}
    items: list[Json] = []
    for place, (item, parts) in enumerate(_items(answer, id)):
        items.append(item)
        yield "start", "response.output_item.added", {"output_index": place, "item": _empty(item)}
        yield from _inside(item, parts, {"item_id": item["id"], "output_index": place})
        yield "aside", "response.output_item.done", {"output_index": place, "item": item}
    status = _status(answer)
    yield "end", f"response.{status}", {"response": _response(answer, request, id, items, status, usage=usage)}


def _empty(item: Json) -> Json:
    """The item as it is announced."""
    match item["type"]:
        case "reasoning":
            return item | {"summary": [], "encrypted_content": None}
        case "message":
            return item | {"status": "in_progress", "content": []}
        case _:
            return item | {"status": "in_progress", "arguments": ""}


def _inside(item: Json, parts: tuple[str, ...], at: Json) -> Iterator[_Told]:
    whole = "".join(parts)
    match item["type"]:
        case "reasoning":
            at = at | {"summary_index": 0}
            part: Json = {"type": "summary_text", "text": ""}
            yield "aside", "response.reasoning_summary_part.added", at | {"part": part}
            for text in parts:
                yield "content", "response.reasoning_summary_text.delta", at | {"delta": text}
            yield "aside", "response.reasoning_summary_text.done", at | {"text": whole}
            yield "aside", "response.reasoning_summary_part.done", at | {"part": part | {"text": whole}}
        case "message":
            at = at | {"content_index": 0}
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield "aside", "response.content_part.added", at | {"part": part}
            for text in parts:
                yield "content", "response.output_text.delta", at | {"delta": text, "logprobs": [], "obfuscation": "x"}
            yield "aside", "response.output_text.done", at | {"text": whole, "logprobs": []}
            yield "aside", "response.content_part.done", at | {"part": part | {"text": whole}}
        case _:
            for text in parts:
                yield "content", "response.function_call_arguments.delta", at | {"delta": text}
            yield "aside", "response.function_call_arguments.done", at | {"arguments": whole}
