"""The dialect's own corners, beyond what the laws hold."""

from __future__ import annotations

import json

import pytest

from trimtab.core.errors import FailureKind as K
from trimtab.core.errors import MalformedRequest, ProviderError
from trimtab.core.events import (
    Ended,
    Event,
    Finished,
    Frame,
    OpaqueDelta,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    fold,
)
from trimtab.core.messages import (
    Dialect,
    Document,
    FinishReason,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.core.units import Usage
from trimtab.wire import CODECS, SSEDecoder, UpstreamErrorEvent, WireError

CODEC = CODECS[Dialect.COHERE]
OPENAI = CODECS[Dialect.OPENAI_CHAT]
HI = [{"role": "user", "content": "Hi"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def ask(**fields: object) -> Request:
    return CODEC.decode_request(json.dumps({"model": "auto", "messages": HI, **fields}).encode())


def sent(request: Request) -> tuple[dict[str, object], tuple[str, ...]]:
    body, lost = CODEC.encode_request(request, "m")
    return json.loads(body), lost


def asked_by_openai(**fields: object) -> Request:
    return OPENAI.decode_request(json.dumps({"model": "auto", "messages": HI, **fields}).encode())


def events(*wires: dict[str, object]) -> list[Event]:
    decoder = CODEC.stream_decoder()
    stream = b"".join(b"event: %b\ndata: %b\n\n" % (str(wire["type"]).encode(), json.dumps(wire).encode()) for wire in wires)
    return [event for one in SSEDecoder().feed(stream) for event in decoder.feed(one).events]


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b'{"messages":[]}', "model", "is required"),
        (b'{"model":"m","messages":[]}', "messages", "at least one"),
        (b'{"model":"m","messages":[{"role":"chatbot","content":"x"}]}', "messages.0.role", "is none of system"),
        (b'{"model":"m","messages":[{"role":"user"}]}', "messages.0.content", "is required"),
        (b'{"model":"m","messages":[{"role":"tool","content":"x"}]}', "messages.0.tool_call_id", "is required"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}', "messages.0.content.0.text", "is required"),
        (
            b'{"model":"m","messages":[{"role":"tool","tool_call_id":"c","content":[{"type":"document","document":{"data":3}}]}]}',
            "messages.0.content.0.document.data",
            "is not an object",
        ),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"tool_choice":"auto"}', "tool_choice", "REQUIRED"),
    ],
)
def test_bad_requests_name_the_field(body: bytes, param: str, says: str) -> None:
    with pytest.raises(MalformedRequest, match=says) as caught:
        CODEC.decode_request(body)
    assert caught.value.param == param
    assert caught.value.hint


def test_a_conversation_is_read() -> None:
    request = ask(
        messages=[
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "t"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                    {"type": "hologram", "x": 1},
                ],
            },
            {"role": "assistant", "tool_plan": "I will.", "tool_calls": [CALL], "citations": [{"start": 0}]},
            {
                "role": "tool",
                "tool_call_id": "c1",
                "content": [{"type": "text", "text": "r"}, {"type": "document", "document": {"id": "d", "data": {"k": "v"}}}],
            },
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "So."}]},
        ],
    )
    system, user, calling, result, said = request.messages
    assert system == Message("system", (Text("s"),))
    assert user.parts[:2] == (Text("t"), Image(data="AA==", media_type="image/png", detail="low"))
    assert isinstance(user.parts[2], Opaque)
    assert calling.parts == (Reasoning(text="I will."), ToolCall(id="c1", name="f", arguments='{"a":1}'))
    document = Document(text='{"k": "v"}', media_type="application/json", name="d")
    assert result.parts == (ToolResult(id="c1", parts=(Text("r"), document)),)
    assert said.parts == (Reasoning(text="hm"), Text("So."))
    assert request.extras == ("messages.2.citations",)
    # What it says in its own dialect is what it was read from.
    again = CODEC.decode_request(CODEC.encode_request(request, "m")[0])
    assert again.messages == request.messages


def test_what_the_model_is_told() -> None:
    request = ask(
        tools=[TOOL],
        strict_tools=True,
        tool_choice="REQUIRED",
        response_format={"type": "json_object", "json_schema": {"type": "object"}},
        max_tokens=5,
        p=0.5,
        k=3,
        stop_sequences=["x"],
        thinking={"type": "enabled", "token_budget": 64},
        safety_mode="STRICT",
        documents=["d"],
        logprobs=True,
    )
    assert request.tools[0].strict is True
    assert request.tool_choice == ToolChoice("required")
    assert request.output is not None
    assert request.output.kind == "json_schema"
    assert request.sampling == Sampling(max_tokens=5, top_p=0.5, top_k=3, stop=("x",), logprobs=True, thinking_budget=64)
    assert set(request.extras) == {"safety_mode", "documents", "logprobs"}
    body, lost = sent(request)
    assert lost == ()
    assert (body["strict_tools"], body["tool_choice"], body["p"], body["k"]) == (True, "REQUIRED", 0.5, 3)
    assert body["thinking"] == {"type": "enabled", "token_budget": 64}
    assert sent(ask(thinking={"type": "disabled"}))[0]["thinking"] == {"type": "disabled"}
    assert ask(thinking={"type": "enabled"}).extras == ("thinking",)


def test_figures_of_another_protocol_are_brought_within_bounds_and_named() -> None:
    body, lost = sent(asked_by_openai(top_p=1, frequency_penalty=-1, presence_penalty=0.5, stop=list("abcdefg"), user="u", n=2))
    assert (body["p"], body["frequency_penalty"], body["presence_penalty"]) == (0.99, 0.0, 0.5)
    assert body["stop_sequences"] == list("abcde")
    assert set(lost) == {"top_p", "frequency_penalty", "stop", "user", "n"}


def test_one_tool_by_name_is_the_only_one_and_required() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    named = {"type": "function", "function": {"name": "f"}}
    body, lost = sent(asked_by_openai(tools=[TOOL, other], tool_choice=named))
    assert body["tools"] == [TOOL]
    assert (body["tool_choice"], lost) == ("REQUIRED", ())
    assert sent(asked_by_openai(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "x"}}))[1] == ("tool_choice",)


def test_one_switch_makes_all_tools_strict_or_none() -> None:
    strict = {"type": "function", "function": {"name": "g", "strict": True}}
    assert sent(asked_by_openai(tools=[strict]))[0]["strict_tools"] is True
    body, lost = sent(asked_by_openai(tools=[TOOL, strict]))
    assert "strict_tools" not in body
    assert lost == ("tools.1.strict",)


def test_a_document_in_a_tools_result_goes_out_as_one() -> None:
    parts = (
        Document(text='{"k":1}', media_type="application/json", name="d"),
        Document(text="plain"),
        Image(url="https://x.test/i"),
    )
    request = Request(dialect=Dialect.ANTHROPIC, model="m", messages=(Message("tool", (ToolResult(id="c", parts=parts),)),))
    body, lost = sent(request)
    assert body["messages"] == [
        {
            "role": "tool",
            "tool_call_id": "c",
            "content": [
                {"type": "document", "document": {"data": {"k": 1}, "id": "d"}},
                {"type": "document", "document": {"data": {"text": "plain"}}},
            ],
        },
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/i"}}]},
    ]
    assert lost == ()


def test_foreign_thinking_and_schemas_names_are_named_as_lost() -> None:
    request = Request(
        dialect=Dialect.OPENAI_CHAT,
        model="m",
        messages=(Message("assistant", (Reasoning(text="hm"), Text("a")), name="bob"),),
        tools=(Tool(name="web", builtin="web"),),
        output=OutputFormat("json_schema", name="j"),
        sampling=Sampling(reasoning_effort="high"),
    )
    expected = {"messages.0.content.0", "messages.0.name", "tools.0", "response_format.json_schema.name", "reasoning_effort"}
    assert set(sent(request)[1]) == expected


USAGE = {
    "billed_units": {"input_tokens": 31.0, "output_tokens": 7},
    "tokens": {"input_tokens": 245, "output_tokens": 9},
    "cached_tokens": 144,
}


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (USAGE, Usage(input=31, output=7)),
        ({"tokens": {"input_tokens": 245, "output_tokens": 9}, "cached_tokens": 144}, Usage(input=245, output=9, cache_read=144)),
        ({"billed_units": {"search_units": 1}}, Usage()),
        ({"tokens": "many"}, Usage()),
        (None, Usage()),
    ],
)
def test_what_is_billed_is_counted_and_unknown_stays_unknown(usage: object, read: Usage) -> None:
    body = {"id": "x", "finish_reason": "COMPLETE", "message": {"content": []}, "usage": usage}
    assert fold(CODEC.decode_response(json.dumps(body).encode()).events).usage == read


def test_a_stream_with_thinking_a_plan_calls_and_citations() -> None:
    read = events(
        {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant", "content": [], "tool_calls": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "thinking", "thinking": ""}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"thinking": "hm"}}}},
        {"type": "content-end", "index": 0},
        {"type": "content-start", "index": 1, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        {"type": "content-delta", "index": 1, "delta": {"message": {"content": {"text": "So"}}}},
        {"type": "citation-start", "index": 0, "delta": {"message": {"citations": {"start": 0, "end": 2}}}},
        {"type": "citation-end", "index": 0},
        {"type": "content-end", "index": 1},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will."}}},
        {
            "type": "tool-call-start",
            "index": 4,
            "delta": {"message": {"tool_calls": {**CALL, "function": {"name": "f", "arguments": ""}}}},
        },
        {"type": "tool-call-delta", "index": 4, "delta": {"message": {"tool_calls": {"function": {"arguments": '{"a":1}'}}}}},
        {"type": "tool-call-end", "index": 4},
        {"type": "lab-news", "delta": None},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
    )
    assert read == [
        Started("x"),
        ReasoningDelta("hm", block=0),
        TextDelta("So", block=1),
        OpaqueDelta("citation", read[3].raw if isinstance(read[3], OpaqueDelta) else pytest.fail("no citation")),
        ReasoningDelta("I will.", block=-1),
        ToolCallDelta(0, "", id="c1", name="f"),
        ToolCallDelta(0, '{"a":1}'),
        Finished(FinishReason.TOOL_CALLS),
        UsageReported(Usage(input=31, output=7)),
        Ended(),
    ]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("COMPLETE", FinishReason.STOP),
        ("STOP_SEQUENCE", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("TOOL_CALL", FinishReason.TOOL_CALLS),
        ("NEW_REASON", FinishReason.STOP),
    ],
)
def test_finish_reasons(reason: str, finish: FinishReason) -> None:
    assert events({"type": "message-end", "delta": {"finish_reason": reason}}) == [Finished(finish), Ended()]


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_a_failed_generation_under_a_good_status_is_an_error(reason: str) -> None:
    with pytest.raises(UpstreamErrorEvent) as streamed:
        events({"type": "message-end", "delta": {"finish_reason": reason, "error": "went wrong"}})
    assert (streamed.value.error.code, streamed.value.error.message) == (reason, "went wrong")
    with pytest.raises(UpstreamErrorEvent):
        CODEC.decode_response(json.dumps({"id": "x", "finish_reason": reason, "message": {"content": []}}).encode())


def test_an_error_within_a_stream() -> None:
    with pytest.raises(UpstreamErrorEvent) as caught:
        events({"type": "error", "message": "overloaded"})
    assert caught.value.error.message == "overloaded"


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"id":"x","message":{"content":3}}', b'{"id":"x","message":{"content":[3]}}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(WireError):
        CODEC.decode_response(body)


def written(*said: Event) -> list[dict[str, object]]:
    encoder = CODEC.stream_encoder(ask(stream=True), "d")
    stream = b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in said)
    read = SSEDecoder().feed(stream)
    assert [event.event for event in read] == [json.loads(event.data)["type"] for event in read]
    return [json.loads(event.data) for event in read]


def test_parallel_calls_go_out_one_after_the_other() -> None:
    out = written(
        Started("x"),
        ToolCallDelta(0, "{", id="a", name="f"),
        ToolCallDelta(1, "[", id="b", name="g"),
        ToolCallDelta(0, "}"),
        ToolCallDelta(1, "]"),
        Finished(FinishReason.TOOL_CALLS),
        UsageReported(Usage(input=1, output=2)),
        Ended(),
    )
    kinds = [(event["type"], event.get("index")) for event in out]
    one = ["tool-call-start", "tool-call-delta", "tool-call-delta", "tool-call-end"]
    assert kinds == [("message-start", None), *((kind, 0) for kind in one), *((kind, 1) for kind in one), ("message-end", None)]
    counted = {"input_tokens": 1, "output_tokens": 2}
    assert out[-1]["delta"] == {"finish_reason": "TOOL_CALL", "usage": {"billed_units": counted, "tokens": counted}}


def test_unknown_usage_is_left_out() -> None:
    out = written(Started("x"), TextDelta("a"), Finished(FinishReason.STOP), UsageReported(Usage()), Ended())
    assert out[-1]["delta"] == {"finish_reason": "COMPLETE"}


def test_an_error_after_the_first_words_is_the_last_event() -> None:
    encoder = CODEC.stream_encoder(ask(stream=True), "d")
    (event,) = SSEDecoder().feed(encoder.error(ProviderError(K.TRANSIENT, "It broke.")))
    assert json.loads(event.data)["delta"]["finish_reason"] == "ERROR"
    with pytest.raises(UpstreamErrorEvent, match="ERROR"):
        CODEC.stream_decoder().feed(event)


def test_forwarded_bytes_end_with_a_last_word_of_ours_where_the_upstream_had_none() -> None:
    encoder = CODEC.stream_encoder(ask(stream=True), "d")
    assert encoder.encode(Frame((TextDelta("a"),), b"native"), same_dialect=True) == b"native"
    assert b"message-end" in encoder.encode(Frame((Ended(),)), same_dialect=True)
    assert b'"message":"' in CODEC.encode_error(MalformedRequest("m"))
