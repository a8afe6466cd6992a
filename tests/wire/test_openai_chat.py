"""The dialect's own corners, beyond what the laws and the official SDK hold."""

from __future__ import annotations

import json

import pytest

from trimtab.core.errors import MalformedRequest
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
    Opaque,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.core.units import Usage
from trimtab.wire import CODECS, OpenAIChat, SSEDecoder, UpstreamErrorEvent, WireError

CODEC = CODECS[Dialect.OPENAI_CHAT]
HI = [{"role": "user", "content": "Hi"}]


def ask(**fields: object) -> Request:
    return CODEC.decode_request(json.dumps({"model": "auto", "messages": HI, **fields}).encode())


def events(*chunks: object) -> list[Event]:
    decoder = CODEC.stream_decoder()
    stream = b"".join(b"data: %b\n\n" % (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()) for chunk in chunks)
    return [event for sent in SSEDecoder().feed(stream) for event in decoder.feed(sent).events]


def chunk(finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"id": "x", "model": "m", "created": 1, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b"", None, "not valid JSON"),
        (b"{", None, "not valid JSON"),
        (b"[]", None, "not a JSON object"),
        (b'"text"', None, "not a JSON object"),
        (b"\xff\xfe", None, "not UTF-8"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', None, "not UTF-8"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', None, "not valid JSON"),
        (b'{"model":"m","messages":[],"x":NaN}', None, "not valid JSON"),
        (b'{"x":' + b"[" * 100_000, None, "nested too deeply"),
        (b'{"messages":[]}', "model", "is required"),
        (b'{"model":"m"}', "messages", "is required"),
        (b'{"model":"m","messages":[]}', "messages", "at least one"),
        (b'{"model":1,"messages":[]}', "model", "expected `str`, got `int`"),
        (b'{"model":"m","messages":[3]}', "messages.0", "expected `object`"),
        (b'{"model":"m","messages":[{"content":"x"}]}', "messages.0.role", "is required"),
        (b'{"model":"m","messages":[{"role":"king","content":"x"}]}', "messages.0.role", "is none of system"),
        (b'{"model":"m","messages":[{"role":"user"}]}', "messages.0.content", "is required"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}', "messages.0.content.0.text", "is required"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}', "messages.0.content.0.type", "is required"),
        (b'{"model":"m","messages":[{"role":"user","content":[7]}]}', "messages.0.content.0", "expected `object`"),
        (b'{"model":"m","messages":[{"role":"tool","content":"x"}]}', "messages.0.tool_call_id", "is required"),
        (
            b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"type":"function","id":"c","function":{"name":"f"}}]}]}',
            "messages.0.tool_calls.0.function.arguments",
            "is required",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place_and_the_next_step(body: bytes, param: str | None, says: str) -> None:
    with pytest.raises(MalformedRequest, match=says) as refusal:
        CODEC.decode_request(body)
    assert refusal.value.param == param
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("tools", [{"type": "function", "function": {}}], "tools.0.function.name"),
        ("tools", "x", "tools"),
        ("tool_choice", "perhaps", "tool_choice"),
        ("tool_choice", {"type": "function"}, "tool_choice.function"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
        ("max_tokens", -1, "max_tokens"),
        ("max_tokens", 10**30, "max_tokens"),
        ("temperature", "hot", "temperature"),
        ("stop", [1], "stop.0"),
        ("stream", "yes", "stream"),
    ],
)
def test_wrong_values_are_named(field: str, value: object, param: str) -> None:
    with pytest.raises(MalformedRequest) as refusal:
        ask(**{field: value})
    assert refusal.value.param == param


def test_a_refusal_holds_no_content_of_the_request() -> None:
    with pytest.raises(MalformedRequest) as refusal:
        ask(messages=[{"role": "geheim", "content": "geheim"}])
    assert "geheim" not in str(refusal.value)


def test_what_the_real_api_accepts_is_accepted() -> None:
    request = ask(
        messages=[
            {"role": "developer", "content": "d"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "hologram", "hologram": {}}], "name": "ann"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "n", "input": "i"}}],
            },
            {"role": "assistant", "content": "", "function_call": {"name": "old", "arguments": "{}"}},
            {"role": "function", "name": "old", "content": "r"},
            {
                "role": "user",
                "content": [{"type": "file", "file": {"file_id": "f"}}, {"type": "file", "file": {"file_data": "AA=="}}],
            },
            {"role": "assistant", "reasoning_content": "hm", "content": "x"},
        ],
        stop=None,
        tools=[{"type": "custom", "custom": {"name": "n"}}],
        tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        response_format={"type": "grammar"},
        metadata=None,
        store=True,
        max_tokens=1,
        max_completion_tokens=2,
    )
    parts = [part for message in request.messages for part in message.parts]
    assert [type(part).__name__ for part in parts] == [
        "Text",
        "Text",
        "Opaque",
        "Opaque",
        "Text",
        "ToolCall",
        "ToolResult",
        "Opaque",
        "Document",
        "Reasoning",
        "Text",
    ]
    assert parts[5] == ToolCall("old", "old", "{}")
    assert parts[6] == ToolResult("old", (Text("r"),))
    assert parts[8] == Document(data="AA==")
    assert isinstance(parts[2], Opaque)
    assert json.loads(bytes(parts[2].raw)) == {"type": "hologram", "hologram": {}}
    assert request.messages[1].name == "ann"
    assert request.tools[0].builtin == "custom"
    assert set(request.extras) == {"store", "tool_choice", "response_format"}
    assert request.sampling.max_tokens == 2


@pytest.mark.parametrize("mode", ["auto", "none", "required"])
def test_tool_choice_as_a_string(mode: str) -> None:
    choice = ask(tool_choice=mode).tool_choice
    assert choice is not None
    assert (choice.mode, choice.name) == (mode, None)


def test_forwarding_replaces_the_model_and_nothing_else() -> None:
    body = b'{ "messages" : [ {"role":"user", "content":"\\u00e9"} ], "model":"a", "x" : 1.50, "model":"b" }'
    request = CODEC.decode_request(body)
    assert request.model == "b"
    sent = CODEC.forward_request(request, "c", want_usage=True)
    assert sent == b'{"messages":[ {"role":"user", "content":"\\u00e9"} ],"model":"c","x":1.50}'


@pytest.mark.parametrize("options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}])
def test_usage_is_asked_for_when_wanted(options: dict[str, object]) -> None:
    request = ask(stream=True, **options)
    assert json.loads(CODEC.forward_request(request, "m", want_usage=True))["stream_options"] == {"include_usage": True}
    assert json.loads(CODEC.forward_request(request, "m", want_usage=False)).get("stream_options") == options.get("stream_options")
    assert "stream_options" not in json.loads(CODEC.forward_request(ask(), "m", want_usage=True))


def test_a_request_without_a_native_body_is_written_anew() -> None:
    made = Request(dialect=Dialect.OPENAI_CHAT, model="auto", messages=ask().messages, stream=True)
    sent = json.loads(CODEC.forward_request(made, "m", want_usage=True))
    assert sent == {"model": "m", "messages": HI, "stream": True, "stream_options": {"include_usage": True}}


def test_the_limit_of_tokens_under_the_name_that_the_upstream_knows() -> None:
    body, _ = OpenAIChat("max_completion_tokens").encode_request(ask(max_tokens=5), "m")
    assert json.loads(body)["max_completion_tokens"] == 5


def test_a_stream_as_the_real_api_sends_it() -> None:
    read = events(
        {**chunk(role="assistant", content=""), "usage": None},
        {**chunk(content="Hel"), "service_tier": "default"},
        chunk(content="lo"),
        chunk("stop"),
        {
            "id": "x",
            "model": "m",
            "choices": [],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
        },
        b"[DONE]",
    )
    assert read == [
        Started("x", "m", 1),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finished(FinishReason.STOP),
        UsageReported(Usage(input=9, output=3, cache_read=4, reasoning=2)),
        Ended(),
    ]


def test_the_first_chunks_without_content_are_no_content() -> None:
    decoder = CODEC.stream_decoder()
    azure = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    for sent in (azure, chunk(role="assistant", content=""), chunk(role="assistant", content=None)):
        (event,) = SSEDecoder().feed(b"data: %b\n\n" % json.dumps(sent).encode())
        frame = decoder.feed(event)
        assert not frame.has_content
        assert frame.native == event.raw


def test_liberties_of_servers_of_this_dialect() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    read = events(
        chunk(reasoning_content="h", content=None),
        chunk(reasoning="m"),
        chunk(content=[{"type": "text", "text": "t"}, {"type": "thinking", "thinking": []}]),
        chunk(tool_calls=[call]),
        chunk(tool_calls=[{**call, "id": "b"}]),
        chunk(audio={"id": "z"}),
        {**chunk("model_length"), "x_groq": {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}},
    )
    assert read[1:5] == [ReasoningDelta("h"), ReasoningDelta("m"), TextDelta("t"), read[4]]
    assert isinstance(read[4], OpaqueDelta)
    assert [(e.index, e.id) for e in read if isinstance(e, ToolCallDelta)] == [(0, "a"), (1, "b")]
    assert read[-2:] == [Finished(FinishReason.LENGTH), UsageReported(Usage(input=1, output=2))]


@pytest.mark.parametrize(
    ("fields", "usage"),
    [
        ({"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5}, Usage(input=9, output=3, cache_read=4)),
        ({"prompt_tokens_details": None, "completion_tokens_details": None}, Usage(input=9, output=3)),
        (
            {"prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 6}},
            Usage(input=9, output=3, cache_read=0, cache_write=6),
        ),
    ],
)
def test_usage_in_the_words_of_several_servers(fields: dict[str, object], usage: Usage) -> None:
    sent = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, **fields}}
    assert events(sent) == [UsageReported(usage)]


@pytest.mark.parametrize(
    "stream",
    [
        b'data: {"error":{"message":"m","type":"server_error","code":"c"}}\n\n',
        b'event: error\ndata: {"error":{"message":"m","type":"server_error","code":"c"}}\n\n',
        b'event: error\ndata: {"message":"m","type":"server_error","code":"c"}\n\n',
    ],
)
def test_case_02_an_error_event_is_raised(stream: bytes) -> None:
    (event,) = SSEDecoder().feed(stream)
    with pytest.raises(UpstreamErrorEvent) as seen:
        CODEC.stream_decoder().feed(event)
    assert (seen.value.error.message, seen.value.error.code) == ("m", "c")


@pytest.mark.parametrize("data", [b"{", b"[]", b"3", b'{"choices":3}', b'{"choices":[{"delta":{"content":1}}]}', b'{"id":"\xff"}'])
def test_what_no_server_may_send_is_a_wire_error(data: bytes) -> None:
    (event,) = SSEDecoder().feed(b"data: %b\n\n" % data)
    with pytest.raises(WireError):
        CODEC.stream_decoder().feed(event)


def test_an_error_body_under_a_good_status_is_no_answer() -> None:
    with pytest.raises(UpstreamErrorEvent):
        CODEC.decode_response(b'{"error":{"message":"m"}}')
    with pytest.raises(WireError):
        CODEC.decode_response(b"{}")


@pytest.mark.parametrize("asked", [True, False])
def test_case_19_the_usage_chunk_is_forwarded_only_when_asked_for(asked: bool) -> None:
    usage = {"id": "x", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    stream = [b"data: %b\n\n" % json.dumps(sent).encode() for sent in (chunk(content="a"), chunk("stop"), usage)] + [
        b"data: [DONE]\n\n"
    ]
    encoder = CODEC.stream_encoder(ask(stream=True, stream_options={"include_usage": asked}), "d")
    decoder = CODEC.stream_decoder()
    out = b"".join(encoder.encode(decoder.feed(event), same_dialect=True) for event in SSEDecoder().feed(b"".join(stream)))
    assert out == b"".join(stream if asked else [*stream[:2], stream[3]])


def test_case_18_unknown_usage_is_not_reported_as_zero() -> None:
    read = fold(events(chunk(content="a"), chunk("stop"), b"[DONE]"))
    assert read.usage == Usage()
    assert "usage" not in json.loads(CODEC.encode_response(read, "d"))
    encoder = CODEC.stream_encoder(ask(stream=True, stream_options={"include_usage": True}), "d")
    assert encoder.encode(Frame((Ended(),)), same_dialect=False) == b"data: [DONE]\n\n"


def test_a_forwarded_stream_that_ended_without_its_last_word_gets_one() -> None:
    encoder = CODEC.stream_encoder(ask(stream=True), "d")
    forwarded = Frame((Started("x", "m"), TextDelta("a")), b"data: {}\n\n")
    assert encoder.encode(forwarded, same_dialect=True) == forwarded.native
    assert encoder.encode(Frame((Ended(),)), same_dialect=True) == b"data: [DONE]\n\n"


def test_a_whole_answer_to_a_client_that_wanted_a_stream_is_told_as_one() -> None:
    encoder = CODEC.stream_encoder(ask(stream=True), "d")
    frame = Frame((Started("x", "m"), TextDelta("a"), Finished(FinishReason.STOP), Ended()))
    decoder = CODEC.stream_decoder()
    told = [event for sent in SSEDecoder().feed(encoder.encode(frame, same_dialect=True)) for event in decoder.feed(sent).events]
    assert fold(told) == fold((Started("x", "m", 0), *frame.events[1:]))


def test_each_choice_begins_with_its_role() -> None:
    encoder = CODEC.stream_encoder(ask(stream=True, n=2), "d")
    out = encoder.encode(Frame((Started("x", "m"), TextDelta("a", choice=1), TextDelta("b"))), same_dialect=False)
    told = [json.loads(event.data)["choices"][0] for event in SSEDecoder().feed(out)]
    assert [(choice["index"], choice["delta"].get("role"), choice["delta"]["content"]) for choice in told] == [
        (0, "assistant", ""),
        (1, "assistant", ""),
        (1, None, "a"),
        (0, None, "b"),
    ]


def test_a_foreign_thought_and_a_foreign_tool_are_named_as_lost() -> None:
    request = Request(
        dialect=Dialect.ANTHROPIC,
        model="auto",
        messages=(
            *ask().messages,
            CODEC.decode_request(b'{"model":"m","messages":[{"role":"assistant","content":"x"}]}').messages[0],
        ),
        tools=(Tool("web_search", builtin="web_search_20250305"),),
        tool_choice=ToolChoice("auto"),
        extras=("container",),
    )
    thinking = Request(
        dialect=request.dialect,
        model="auto",
        messages=(type(request.messages[0])("assistant", (Reasoning("t", "sig"), Text("x"))),),
        tools=request.tools,
        tool_choice=request.tool_choice,
        extras=request.extras,
    )
    body, lost = CODEC.encode_request(thinking, "m")
    assert lost == ("container", "messages.0.content.0", "tools.0")
    assert json.loads(body) == {"model": "m", "messages": [{"role": "assistant", "content": "x"}]}
