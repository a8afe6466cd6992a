"""What holds for every request to Bedrock's Converse, and for every answer of it. AWS's own client is the oracle of the bodies."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import strategies as some
from tests.support.bedrock import check_request, read_answer, read_stream, service

from trimtab.core.events import Event, Finished, fold
from trimtab.core.messages import (
    Choice,
    Dialect,
    FinishReason,
    Image,
    Reasoning,
    Request,
    Response,
    Text,
    ToolCall,
    ToolResult,
)
from trimtab.core.units import Usage
from trimtab.wire import Converse, EventStreamDecoder, ServerSentEvent, UpstreamErrorEvent, WireError
from trimtab.wire.body import MAX_LOST, tool_id
from trimtab.wire.eventstream import encode_event_frame

CONVERSE = Converse()
CLAUDE, NOVA = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-pro-v1:0"
law = settings(max_examples=25, deadline=None)

STOPS = {FinishReason.STOP: "end_turn", FinishReason.LENGTH: "max_tokens", FinishReason.TOOL_CALLS: "tool_use"}
STOPS[FinishReason.CONTENT_FILTER] = "guardrail_intervened"

Json = dict[str, Any]


# -- requests


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize("dialect", [Dialect.OPENAI_CHAT, Dialect.ANTHROPIC])
@law
@given(data=st.data())
def test_awss_client_would_have_written_the_same_body(model: str, dialect: Dialect, data: st.DataObject) -> None:
    check_request(CONVERSE.encode_request(data.draw(some.requests(dialect)), model)[0])


@law
@given(some.requests(Dialect.ANTHROPIC))
def test_every_part_arrives_or_is_named(request: Request) -> None:
    body, lost = CONVERSE.encode_request(request, CLAUDE)
    sent: list[tuple[str, Any]] = [("system", block) for block in json.loads(body).get("system", [])]
    sent += [(turn["role"], block) for turn in json.loads(body)["messages"] for block in turn["content"]]
    expected: list[tuple[str, Any]] = []
    missing = 0
    for message in request.messages:
        role = "user" if message.role == "tool" else message.role
        for part in message.parts:
            match part:
                case Text(text=text) if text.strip():
                    expected.append((role, {"text": text}))
                case Image(data=str(data), media_type=str(kind)):
                    expected.append((role, {"image": {"format": kind.removeprefix("image/"), "source": {"bytes": data}}}))
                case Text() | Image():
                    missing += 1
                case ToolCall():
                    use = {"toolUseId": tool_id(part.id), "name": part.name, "input": json.loads(part.arguments)}
                    expected.append((role, {"toolUse": use}))
                case ToolResult():
                    result: Json = {"toolUseId": tool_id(part.id), "content": [{"text": held.text} for held in part.parts]}  # type: ignore[union-attr]
                    expected.append((role, {"toolResult": result | ({"status": "error"} if part.is_error else {})}))
    assert expected == [(role, block) for role, block in sent if "document" not in block]
    if len(lost) <= MAX_LOST:
        assert missing == len([name for name in lost if name.split(".")[0] in ("messages", "system") and name[-1].isdigit()])


@law
@given(some.requests(Dialect.OPENAI_CHAT), st.sampled_from((CLAUDE, NOVA)))
def test_turns_alternate_and_calls_never_stand_without_tools(request: Request, model: str) -> None:
    body = json.loads(CONVERSE.encode_request(request, model)[0])
    roles = [turn["role"] for turn in body["messages"]]
    assert all(before != after for before, after in itertools.pairwise(roles))
    used = {block["toolUse"]["name"] for turn in body["messages"] for block in turn["content"] if "toolUse" in block}
    assert "toolConfig" in body or not used


# -- answers


def usage_of(usage: Usage) -> Json:
    read, written = usage.cache_read, usage.cache_write
    told = {"cacheReadInputTokens": read, "cacheWriteInputTokens": written, "outputTokens": usage.output}
    told["inputTokens"] = (usage.input or 0) - (read or 0) - (written or 0)
    total = (usage.input or 0) + (usage.output or 0)
    return {name: count for name, count in told.items() if count is not None} | {"totalTokens": total}


def block_of(part: object) -> Json:
    match part:
        case Text(text=text):
            return {"text": text}
        case Reasoning(text=text):
            return {"reasoningContent": {"reasoningText": {"text": text, "signature": "c2ln"}}}
        case ToolCall(id=id, name=name, arguments=arguments):
            return {"toolUse": {"toolUseId": id, "name": name, "input": msgspec.Raw(arguments.encode())}}
        case _:
            raise TypeError


def whole_of(choice: Choice, usage: Usage) -> bytes:
    content = [block_of(part) for part in choice.parts]
    reason = STOPS[choice.finish_reason or FinishReason.STOP]
    answer: Json = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        "usage": usage_of(usage),
    }
    return msgspec.json.encode(answer | {"metrics": {"latencyMs": 3}})


@st.composite
def streams_of(draw: st.DrawFn, choice: Choice, usage: Usage) -> list[tuple[str, Json]]:
    events: list[tuple[str, Json]] = [("messageStart", {"role": "assistant"})]
    for index, part in enumerate(choice.parts):
        at = {"contentBlockIndex": index}
        match part:
            case Text(text=text):
                deltas: list[Json] = [{"text": piece} for piece in pieces(draw, text)]
            case Reasoning(text=text):
                deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(draw, text)]
                deltas.append({"reasoningContent": {"signature": "c2ln"}})
            case ToolCall(id=id, name=name, arguments=arguments):
                events.append(("contentBlockStart", {"start": {"toolUse": {"toolUseId": id, "name": name}}} | at))
                is_silent = arguments == "{}" and draw(st.booleans())
                deltas = [] if is_silent else [{"toolUse": {"input": piece}} for piece in pieces(draw, arguments)]
            case _:
                raise TypeError
        events += [("contentBlockDelta", {"delta": delta} | at) for delta in deltas]
        events.append(("contentBlockStop", at))
    events.append(("messageStop", {"stopReason": STOPS[choice.finish_reason or FinishReason.STOP]}))
    events.append(("metadata", {"usage": usage_of(usage), "metrics": {"latencyMs": 3}}))
    return events


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    place = draw(st.integers(0, len(text)))
    return [text[:place], text[place:]]


def frame(event: tuple[str, Json]) -> bytes:
    return encode_event_frame(msgspec.json.encode(event[1] | {"p": "abc"}), event[0])


def said(choice: Choice) -> list[object]:
    signed = {"signature": "c2ln", "signer": Dialect.ANTHROPIC}
    return [msgspec.structs.replace(part, **signed) if isinstance(part, Reasoning) else part for part in choice.parts]


@law
@given(st.data())
def test_an_answer_says_the_same_whole_and_in_a_stream_and_to_aws(data: st.DataObject) -> None:
    response: Response = data.draw(some.responses())
    choice, usage = response.choices[0], msgspec.structs.replace(response.usage, reasoning=None)
    body = whole_of(choice, usage)
    whole = fold(CONVERSE.decode_response(body).events)
    assert (said(choice), choice.finish_reason, usage) == (
        list(whole.choices[0].parts),
        whole.choices[0].finish_reason,
        whole.usage,
    )
    assert usage_of(usage) == read_answer(body)["usage"]

    events = data.draw(streams_of(choice, usage))
    stream = b"".join(map(frame, events))
    framing, decoder = EventStreamDecoder(), CONVERSE.stream_decoder()
    frames = [decoder.feed(event) for piece in data.draw(some.cuts(stream)) for event in framing.feed(piece)]
    assert [frame.is_last for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert whole == fold(event for frame in frames for event in frame.events)
    assert [next(iter(told)) for told in read_stream(stream)] == [name for name, _ in events]


NAMES = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "error", "news")


@law
@given(st.binary(max_size=60) | some.json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_raise_nothing_unforeseen(body: bytes) -> None:
    CONVERSE.decode_error(body)
    for name in NAMES:
        try:
            CONVERSE.stream_decoder().feed(ServerSentEvent(name, body, body))
        except WireError:
            continue
    with pytest.raises(WireError):
        CONVERSE.decode_response(body)


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_bedrock_could_not_read_is_an_error(reason: str) -> None:
    body = json.dumps({"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": reason}).encode()
    with pytest.raises(UpstreamErrorEvent, match=reason):
        CONVERSE.decode_response(body)
    with pytest.raises(UpstreamErrorEvent, match=reason):
        CONVERSE.stream_decoder().feed(ServerSentEvent("messageStop", json.dumps({"stopReason": reason}).encode(), b""))


def finish(events: tuple[Event, ...]) -> FinishReason:
    return next(event.reason for event in events if isinstance(event, Finished))


def test_every_stop_reason_that_aws_knows_has_a_meaning() -> None:
    for reason in set(service().shape_for("StopReason").enum) - {"malformed_model_output", "malformed_tool_use"}:
        body = json.dumps({"output": {"message": {"content": []}}, "stopReason": reason}).encode()
        is_plain = finish(CONVERSE.decode_response(body).events) is FinishReason.STOP
        assert is_plain == (reason in ("end_turn", "stop_sequence"))
