"""Hypothesis strategies for the core values: the one place that knows how to make an arbitrary one."""

from __future__ import annotations

import base64
import json
from typing import TypeVar

from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from trimtab.core.messages import (
    CacheHint,
    Choice,
    Dialect,
    Document,
    FinishReason,
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Response,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.core.units import Usage

P = TypeVar("P", bound=Part)

# What any JSON string can hold: all but surrogates (Hypothesis leaves them out), line separators and control characters too.
texts = st.text(max_size=24)
some_text = st.text(min_size=1, max_size=24)
names = st.text("abcXYZ_", min_size=1, max_size=8)
tool_ids = st.text("abcXYZ019-_", min_size=1, max_size=8).map("call_{}".format)
base64_data = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode())

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=3,
)
json_objects = st.dictionaries(names, json_values, max_size=3)
arguments = json_objects.map(json.dumps)
schemas = json_objects.map(lambda fields: Raw(json.dumps({"type": "object", **fields}).encode()))

token_counts = st.integers(0, 2**40)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What a provider reports: cached tokens are part of the input, reasoning is part of the output."""
    read, write = draw(st.none() | token_counts), draw(st.none() | token_counts)
    reasoning = draw(st.none() | token_counts)
    return Usage(
        input=(read or 0) + (write or 0) + draw(token_counts),
        output=(reasoning or 0) + draw(token_counts),
        cache_read=read,
        cache_write=write,
        reasoning=reasoning,
    )


cache_hints = st.none() | st.builds(CacheHint, st.sampled_from((None, "5m", "1h")))
text_parts = st.builds(Text, some_text)
image_parts = st.builds(Image, data=base64_data, media_type=st.sampled_from(("image/png", "image/jpeg"))) | st.builds(
    Image, url=names.map(lambda name: f"https://example.test/{name}.png")
)
document_parts = st.builds(Document, data=base64_data, media_type=st.just("application/pdf"), name=names)
tool_calls = st.builds(ToolCall, id=tool_ids, name=names, arguments=arguments)
tool_results = st.builds(ToolResult, id=tool_ids, parts=st.lists(text_parts, max_size=2).map(tuple), is_error=st.booleans())
tools = st.builds(Tool, name=names, description=st.none() | texts, parameters=schemas, strict=st.none() | st.booleans())
tool_choices = st.builds(ToolChoice, st.sampled_from(("auto", "none", "required"))) | st.builds(ToolChoice, st.just("tool"), names)
outputs = st.builds(OutputFormat, st.just("json_schema"), name=names, schema=schemas, strict=st.none() | st.booleans())


def _parts(part: st.SearchStrategy[P], *, least: int = 1) -> st.SearchStrategy[tuple[P, ...]]:
    return st.lists(part, min_size=least, max_size=3).map(tuple)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """A conversation that every protocol can hold: a system prompt or none, then turns; each call is answered right behind it."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message("system", draw(_parts(text_parts))))
    messages.append(Message("user", draw(_parts(text_parts | image_parts))))
    for _ in range(draw(st.integers(0, 2))):
        calls = draw(st.lists(tool_calls, max_size=2, unique_by=lambda call: call.id))
        spoken = draw(_parts(text_parts, least=0 if calls else 1))
        messages.append(Message("assistant", (*spoken, *calls)))
        results = [ToolResult(call.id, draw(_parts(text_parts)), draw(st.booleans())) for call in calls]
        messages += [Message("tool", (result,)) for result in results]
        messages.append(Message("user", draw(_parts(text_parts | image_parts | document_parts))))
    return tuple(messages)


samplings = st.builds(
    Sampling,
    max_tokens=st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(some_text, max_size=3).map(tuple),
    reasoning_effort=st.sampled_from((None, "low", "high")),
)


@st.composite
def requests(draw: st.DrawFn, dialect: Dialect = Dialect.OPENAI_CHAT) -> Request:
    """A request without a native body, as one that was made inside the gateway."""
    held = tuple(draw(st.lists(tools, max_size=3, unique_by=lambda tool: tool.name)))
    return Request(
        dialect=dialect,
        model=draw(names),
        messages=draw(conversations()),
        tools=held,
        tool_choice=draw(st.none() | tool_choices) if held else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if held else None,
        output=draw(st.none() | outputs),
        sampling=draw(samplings),
        stream=draw(st.booleans()),
        include_usage=draw(st.booleans()),
        user=draw(st.none() | names),
    )


@st.composite
def choices(draw: st.DrawFn, index: int = 0) -> Choice:
    """One answer, its parts in the order that every protocol can write: thinking, text, calls."""
    thinking = draw(st.lists(st.builds(Reasoning, text=some_text), max_size=1))
    spoken = draw(st.lists(text_parts, max_size=1))
    calls = draw(st.lists(tool_calls, max_size=3, unique_by=lambda call: call.id))
    reasons = (FinishReason.TOOL_CALLS,) if calls else (FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER)
    return Choice(index, (*thinking, *spoken, *calls), draw(st.sampled_from(reasons)))


def by(response: Response, signer: Dialect | None, signature: str | None = None) -> Response:
    """The answer with its thinking as a provider of that protocol gives it."""
    return replace(
        response,
        choices=tuple(
            replace(
                choice,
                parts=tuple(
                    replace(part, signer=signer, signature=signature) if isinstance(part, Reasoning) else part
                    for part in choice.parts
                ),
            )
            for choice in response.choices
        ),
    )


@st.composite
def responses(draw: st.DrawFn, most_choices: int = 1) -> Response:
    return Response(
        id=draw(names),
        model=draw(names),
        choices=tuple(draw(choices(index)) for index in range(draw(st.integers(1, most_choices)))),
        usage=draw(usages()),
        created=draw(st.none() | st.integers(1, 2**31)),
    )


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """``data`` in pieces, cut anywhere."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]
