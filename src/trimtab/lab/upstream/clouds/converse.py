"""Bedrock's Converse as an upstream speaks it: JSON bodies, and streams of named events that ``frames`` puts into frames.

Source: the API reference of Amazon Bedrock Runtime, "Converse" and "ConverseStream".
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct, field

from trimtab.lab.upstream.answers import Answer, Piece, Role, body, halves
from trimtab.lab.upstream.obliging import Asked
from trimtab.wire.body import Json

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}
_SIGNATURE = "bGFiLXNpZ25hdHVyZQ=="


class _Camel(Struct, rename="camel"):
    """Names as Python has them, on the wire as Java has them."""


class InputSchema(_Camel):
    json: Raw = Raw()


class ToolSpec(_Camel):
    name: str
    input_schema: InputSchema


class Tool(_Camel):
    tool_spec: ToolSpec | None = None


class ToolConfig(_Camel):
    tools: list[Tool]


class JsonSchema(_Camel):
    schema: str


class Structure(_Camel):
    json_schema: JsonSchema


class TextFormat(_Camel):
    structure: Structure


class OutputConfig(_Camel):
    text_format: TextFormat | None = None


class Message(_Camel):
    role: str
    content: list[dict[str, object]]


class ConverseRequest(_Camel, forbid_unknown_fields=True):
    """The whole body, since an unknown field is refused here. ``model`` and ``stream`` are the path's."""

    messages: list[Message]
    system: list[Json] = field(default_factory=list)
    inference_config: Json = field(default_factory=dict)
    tool_config: ToolConfig | None = None
    output_config: OutputConfig | None = None
    additional_model_request_fields: Json = field(default_factory=dict)
    additional_model_response_field_paths: list[str] = field(default_factory=list)
    model: str = field(default="", name="(model)")
    stream: bool = field(default=False, name="(stream)")

    @property
    def asked(self) -> Asked:
        wanted = self.output_config.text_format if self.output_config is not None else None
        specs = [tool.tool_spec for tool in self.tool_config.tools if tool.tool_spec] if self.tool_config else []
        return Asked(
            tools=tuple((spec.name, spec.input_schema.json) for spec in specs),
            schema=None if wanted is None else Raw(wanted.structure.json_schema.schema.encode()),
            settled=bool(self.messages) and any("toolResult" in block for block in self.messages[-1].content),
        )


def pieces(answer: Answer, request: ConverseRequest, *, usage: bool) -> list[Piece]:
    """The answer to ``request``. Without ``usage`` the upstream keeps its token counts to itself."""
    if not request.stream:
        return body(_whole(answer, usage=usage))
    return list(_events(answer, usage=usage))


def error(message: str) -> bytes:
    """What kind of error it is stands in a header, or in the frame."""
    return msgspec.json.encode({"message": message})


def _usage(answer: Answer) -> Json:
    counts: Json = {"inputTokens": answer.input_tokens, "outputTokens": answer.output_tokens}
    return counts | {"totalTokens": answer.input_tokens + answer.output_tokens}


def _whole(answer: Answer, *, usage: bool) -> bytes:
    blocks: list[Json] = []
    if answer.thinking:
        blocks.append({"reasoningContent": {"reasoningText": {"text": answer.thinking, "signature": _SIGNATURE}}})
    if answer.text:
        blocks.append({"text": "".join(answer.text)})
    for index, call in enumerate(answer.calls):
        arguments = Raw(call.arguments.encode())
        blocks.append({"toolUse": {"toolUseId": f"tooluse_lab{index}", "name": call.name, "input": arguments}})
    whole: Json = {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": _STOP_REASONS[answer.finish]}
    if usage:
        whole["usage"] = _usage(answer)
    return msgspec.json.encode(whole | {"metrics": {"latencyMs": 1}})


def _events(answer: Answer, *, usage: bool) -> Iterator[Piece]:
    yield _event("start", "messageStart", {"role": "assistant"})
    for index, (start, deltas) in enumerate(_blocks(answer)):
        at: Json = {"contentBlockIndex": index}
        if start is not None:
            yield _event("start", "contentBlockStart", {"start": start} | at)
        for delta in deltas:
            yield _event("content", "contentBlockDelta", {"delta": delta} | at)
        yield _event("aside", "contentBlockStop", at)
    yield _event("finish", "messageStop", {"stopReason": _STOP_REASONS[answer.finish]})
    told: Json = {"usage": _usage(answer)} if usage else {}
    yield _event("end", "metadata", told | {"metrics": {"latencyMs": 1}})


def _event(role: Role, name: str, fields: Json) -> Piece:
    """``p`` is padding, which hides how long the pieces of an answer are."""
    return Piece(role, msgspec.json.encode(fields | {"p": "abcdefghijk"}), event=name)


def _blocks(answer: Answer) -> Iterator[tuple[Json | None, list[Json]]]:
    """Only a tool call announces itself."""
    if answer.thinking:
        thought: list[Json] = [{"reasoningContent": {"text": part}} for part in halves(answer.thinking)]
        yield None, [*thought, {"reasoningContent": {"signature": _SIGNATURE}}]
    if answer.text:
        yield None, [{"text": text} for text in answer.text]
    for index, call in enumerate(answer.calls):
        start: Json = {"toolUse": {"toolUseId": f"tooluse_lab{index}", "name": call.name}}
        yield start, [{"toolUse": {"input": part}} for part in halves(call.arguments)]
