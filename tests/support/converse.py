"""Bedrock's Converse by hand: what a request's body says in ``core``'s terms, and an answer as Bedrock streams it.

Written from the API reference, apart from ``wire/``: nobody speaks this protocol to us, so no decoder of ours reads it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw

from trimtab.core.messages import (
    Audio,
    CacheHint,
    Dialect,
    Document,
    FinishReason,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Response,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.core.units import Usage
from trimtab.wire.eventstream import encode_event_frame

Json = dict[str, Any]


def read_request(body: Json) -> Request:
    inference, extra = body.get("inferenceConfig", {}), body.get("additionalModelRequestFields", {})
    output = body.get("outputConfig", {})
    tools = body.get("toolConfig", {})
    system = _parts(body.get("system", []))
    roles: dict[str, Role] = {"user": "user", "assistant": "assistant"}
    turns = tuple(Message(roles[turn["role"]], _parts(turn["content"])) for turn in body["messages"])
    return Request(
        dialect=Dialect.CONVERSE,
        model="",
        messages=(*((Message("system", system),) if system else ()), *turns),
        tools=_tools(tools.get("tools", [])),
        tool_choice=_choice(tools.get("toolChoice")),
        output=_output(output.get("textFormat")),
        sampling=Sampling(
            max_tokens=inference.get("maxTokens"),
            temperature=inference.get("temperature"),
            top_p=inference.get("topP"),
            stop=tuple(inference.get("stopSequences", ())),
            top_k=extra.get("top_k"),
            thinking_budget=extra.get("thinking", {}).get("budget_tokens"),
            reasoning_effort=output.get("effort"),
        ),
    )


def _cache(point: Json) -> CacheHint:
    return CacheHint(point.get("ttl"))


def _parts(blocks: list[Json]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for block in blocks:
        ((kind, value),) = block.items()
        if kind == "cachePoint":
            parts[-1] = msgspec.structs.replace(parts[-1], cache=_cache(value))
        else:
            parts.append(_part(kind, value))
    return tuple(parts)


def _part(kind: str, value: Any) -> Part:
    match kind:
        case "text":
            return Text(value)
        case "image":
            return Image(data=value["source"]["bytes"], media_type=f"image/{value['format']}")
        case "audio":
            return Audio(data=value["source"]["bytes"], format=value["format"])
        case "document":
            kinds = {"pdf": "application/pdf", "txt": "text/plain"}
            return Document(data=value["source"]["bytes"], media_type=kinds[value["format"]], name=value["name"])
        case "toolUse":
            return ToolCall(id=value["toolUseId"], name=value["name"], arguments=json.dumps(value["input"]))
        case "toolResult":
            held = tuple(part for part in _parts(value["content"]) if isinstance(part, Text | Image | Document))
            return ToolResult(id=value["toolUseId"], parts=held, is_error=value.get("status") == "error")
        case "reasoningContent":
            said = value.get("reasoningText", {})
            return Reasoning(said.get("text", ""), said.get("signature"), value.get("redactedContent"), Dialect.ANTHROPIC)
        case _:
            raise AssertionError(f"a block of the unknown kind {kind}")


def _tools(specs: list[Json]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for member in specs:
        if "cachePoint" in member:
            tools[-1] = msgspec.structs.replace(tools[-1], cache=_cache(member["cachePoint"]))
            continue
        spec = member["toolSpec"]
        schema = Raw(json.dumps(spec["inputSchema"]["json"]).encode())
        tools.append(Tool(name=spec["name"], description=spec.get("description"), parameters=schema, strict=spec.get("strict")))
    return tuple(tools)


def _choice(choice: Json | None) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case {"tool": {"name": name}}:
            return ToolChoice("tool", name)
        case {"any": _}:
            return ToolChoice("required")
        case _:
            return ToolChoice("auto")


def _output(format: Json | None) -> OutputFormat | None:
    if format is None:
        return None
    definition = format["structure"]["jsonSchema"]
    return OutputFormat("json_schema", name=definition.get("name"), schema=Raw(definition["schema"].encode()))


def stream_of(response: Response) -> bytes:
    """The answer as Bedrock streams it, by the API reference of ConverseStream."""
    choice = response.choices[0]
    events: list[tuple[str, Json]] = [("messageStart", {"role": "assistant"})]
    for index, part in enumerate(choice.parts):
        at: Json = {"contentBlockIndex": index}
        start, deltas = _block(part)
        if start is not None:
            events.append(("contentBlockStart", {"start": start} | at))
        events += [("contentBlockDelta", {"delta": delta} | at) for delta in deltas]
        events.append(("contentBlockStop", at))
    stop: Json = {"stopReason": _STOPS[choice.finish_reason or FinishReason.STOP]}
    if choice.stop_sequence is not None:
        stop = {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": choice.stop_sequence}}
    events += [("messageStop", stop), ("metadata", _usage(response.usage) | {"metrics": {"latencyMs": 1}})]
    return b"".join(encode_event_frame(json.dumps(fields).encode(), name) for name, fields in events)


_STOPS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "guardrail_intervened",
}


def _block(part: Part) -> tuple[Json | None, list[Json]]:
    match part:
        case Text(text=text):
            return None, [{"text": text[:2]}, {"text": text[2:]}]
        case ToolCall(id=id, name=name, arguments=arguments):
            return {"toolUse": {"toolUseId": id, "name": name}}, [{"toolUse": {"input": arguments}}]
        case Reasoning(redacted=str(data)):
            return None, [{"reasoningContent": {"redactedContent": data}}]
        case Reasoning(text=text, signature=signature):
            return None, [{"reasoningContent": {"text": text}}, {"reasoningContent": {"signature": signature}}]
        case Opaque(raw=raw):
            return json.loads(bytes(raw)), []
        case _:
            raise AssertionError(f"Bedrock does not answer with {type(part).__name__}")


def _usage(usage: Usage) -> Json:
    if usage.input is None:
        return {}
    read, written = usage.cache_read, usage.cache_write
    counts = {
        "inputTokens": usage.input - (read or 0) - (written or 0),
        "outputTokens": usage.output,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }
    return {"usage": {name: count for name, count in counts.items() if count is not None}}
