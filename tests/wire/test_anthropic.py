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
    CacheHint,
    Choice,
    Dialect,
    Document,
    FinishReason,
    Message,
    Opaque,
    OutputFormat,
    Request,
    Response,
    Sampling,
    Text,
    ToolCall,
    ToolResult,
)
from trimtab.core.units import Usage
from trimtab.wire import CODECS, SSEDecoder, UpstreamErrorEvent, WireError
from trimtab.wire.anthropic.translate import DEFAULT_MAX_TOKENS

CODEC = CODECS[Dialect.ANTHROPIC]
HI = [{"role": "user", "content": "Hi"}]


def ask(**fields: object) -> Request:
    return CODEC.decode_request(json.dumps({"model": "auto", "max_tokens": 9, "messages": HI, **fields}).encode())


def frames(*sent: dict[str, object], named: bool = True) -> list[Frame]:
    decoder = CODEC.stream_decoder()
    stream = b"".join(
        (b"event: %b\n" % str(event["type"]).encode() if named else b"") + b"data: %b\n\n" % json.dumps(event).encode()
        for event in sent
    )
    return [decoder.feed(event) for event in SSEDecoder().feed(stream)]


def events(*sent: dict[str, object]) -> list[Event]:
    return [event for frame in frames(*sent) for event in frame.events]


def start(index: int, **block: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **fields: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def stop(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


BEGIN: dict[str, object] = {
    "type": "message_start",
    "message": {
        "id": "msg",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7, "output_tokens": 1},
    },
}
END: dict[str, object] = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 8},
}
LAST: dict[str, object] = {"type": "message_stop"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content.0.source"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
            "messages.0.content.0.source.data",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url"}}]}]},
            "messages.0.content.0.source.url",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": []}]}]},
            "messages.0.content.0.input",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text"}]}]}
                ]
            },
            "messages.0.content.0.content.0.text",
        ),
        ({"system": 3}, "system"),
        ({"system": [{"type": "text", "text": 3}]}, "system.0.text"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place_and_the_next_step(fields: dict[str, object], param: str) -> None:
    with pytest.raises(MalformedRequest) as refusal:
        ask(**fields)
    assert refusal.value.param == param
    assert refusal.value.hint


def test_what_we_do_not_know_is_kept_and_named() -> None:
    request = ask(
        system="s",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "search_result", "title": "t"},
                    {"type": "image", "source": {"type": "file", "file_id": "f"}},
                    {"type": "document", "source": {"type": "content", "content": []}, "context": "c"},
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                        "citations": {"enabled": True},
                    },
                    {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_reference", "tool_name": "x"}]},
                    {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}},
                ],
            },
            {"role": "system", "content": "later"},
        ],
        tools=[{"name": "f", "input_schema": {}, "type": "custom", "defer_loading": True}],
        thinking={"type": "adaptive"},
        container="c",
        service_tier=None,
    )
    kinds = [part.kind if isinstance(part, Opaque) else type(part).__name__ for part in request.messages[1].parts]
    assert kinds == ["search_result", "image", "document", "Document", "tool_result", "Text"]
    assert request.messages[1].parts[3] == Document(text="d", media_type="text/plain")
    assert request.messages[1].parts[5] == Text("x", CacheHint())
    assert request.messages[2] == Message("system", (Text("later"),))
    assert set(request.extras) == {
        "container",
        "thinking",
        "messages.0.content.3.citations",
        "tools.0.defer_loading",
    }


def test_a_request_of_the_other_dialect() -> None:
    request = CODECS[Dialect.OPENAI_CHAT].decode_request(
        json.dumps(
            {
                "model": "auto",
                "messages": [
                    {"role": "system", "content": "be kind"},
                    {"role": "developer", "content": "be brief"},
                    {"role": "user", "content": "a", "name": "ann"},
                    {"role": "user", "content": ""},
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                            {"id": "b", "type": "function", "function": {"name": "f", "arguments": "not json"}},
                            {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}},
                        ],
                    },
                    {"role": "tool", "tool_call_id": "functions.f:0", "content": "1"},
                    {"role": "tool", "tool_call_id": "b", "content": "2"},
                    {"role": "tool", "tool_call_id": "c", "content": ""},
                    {"role": "system", "content": "be quick"},
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}]},
                ],
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": "required",
                "parallel_tool_calls": False,
                "temperature": 1.5,
                "reasoning_effort": "minimal",
                "response_format": {"type": "json_object"},
                "presence_penalty": 0,
                "n": 1,
            }
        ).encode()
    )
    body, lost = CODEC.encode_request(request, "claude")
    sent = json.loads(body)
    first_id = sent["messages"][1]["content"][0]["id"]
    assert sent == {
        "model": "claude",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "system": [{"type": "text", "text": "be kind"}, {"type": "text", "text": "be brief"}, {"type": "text", "text": "be quick"}],
        "messages": [
            {"role": "user", "content": "a"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": first_id, "name": "f", "input": {"a": 1}},
                    {"type": "tool_use", "id": "b", "name": "f", "input": {"arguments": "not json"}},
                    {"type": "tool_use", "id": "c", "name": "f", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": first_id, "content": "1"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "2"},
                    {"type": "tool_result", "tool_use_id": "c"},
                    {"type": "image", "source": {"type": "url", "url": "https://example.test/a.png"}},
                ],
            },
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "temperature": 1.0,
    }
    assert set(lost) == {
        "messages.2.name",
        "messages.4.content.1.arguments",
        "messages.8.role",
        "temperature",
        "reasoning_effort",
        "response_format",
    }


def test_structured_output_is_carried() -> None:
    schema = ask(tools=[{"name": "f", "input_schema": {"type": "object"}}]).tools[0].parameters
    request = Request(
        dialect=Dialect.OPENAI_CHAT,
        model="m",
        messages=ask().messages,
        output=OutputFormat("json_schema", schema=schema),
        sampling=Sampling(),
    )
    body, lost = CODEC.encode_request(request, "m")
    assert json.loads(body)["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert lost == ()


def test_forwarding_replaces_the_model_and_nothing_else() -> None:
    body = b'{ "model":"a", "max_tokens":1, "messages":[ {"role":"user","content":"\\u00e9"} ], "container" : null }'
    sent = CODEC.forward_request(CODEC.decode_request(body), "b", want_usage=True)
    assert sent == b'{"model":"b","max_tokens":1,"messages":[ {"role":"user","content":"\\u00e9"} ],"container":null}'


def test_a_stream_as_the_real_api_sends_it() -> None:
    read = events(
        BEGIN,
        {"type": "ping"},
        start(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="sig"),
        stop(0),
        start(1, type="text", text=""),
        delta(1, type="text_delta", text="Hi"),
        delta(1, type="citations_delta", citation={"type": "char_location"}),
        stop(1),
        start(2, type="server_tool_use", id="s", name="web_search", input={}),
        delta(2, type="input_json_delta", partial_json='{"query"'),
        stop(2),
        start(3, type="tool_use", id="t", name="f", input={}),
        delta(3, type="input_json_delta", partial_json=""),
        delta(3, type="input_json_delta", partial_json='{"a":'),
        delta(3, type="input_json_delta", partial_json="1}"),
        stop(3),
        start(4, type="tool_use", id="u", name="g", input={}),
        stop(4),
        {"type": "some_new_event", "delta": "a string", "index": "x"},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 8}},
        LAST,
    )
    opaque = read[5]
    assert isinstance(opaque, OpaqueDelta)
    assert opaque.kind == "server_tool_use"
    assert read == [
        Started("msg", "claude"),
        UsageReported(Usage(input=15, cache_read=5, cache_write=7)),
        ReasoningDelta("hm", signer=Dialect.ANTHROPIC),
        ReasoningDelta(signature="sig", signer=Dialect.ANTHROPIC),
        TextDelta("Hi", block=1),
        opaque,
        ToolCallDelta(0, id="t", name="f"),
        ToolCallDelta(0, '{"a":'),
        ToolCallDelta(0, "1}"),
        ToolCallDelta(1, id="u", name="g"),
        ToolCallDelta(1, "{}"),
        Finished(FinishReason.TOOL_CALLS),
        UsageReported(Usage(input=15, output=8, cache_read=5, cache_write=7)),
        Ended(),
    ]


def test_case_06_a_stream_that_is_cut_never_ends_nor_knows_its_output() -> None:
    read = events(BEGIN, start(0, type="text", text=""), delta(0, type="text_delta", text="so far"))
    assert not any(isinstance(event, Ended) for event in read)
    assert fold(read).usage.output is None


def test_the_event_name_is_written_where_the_upstream_left_it_out() -> None:
    ping: dict[str, object] = {"type": "ping"}
    sent = (BEGIN, ping, start(0, type="text", text=""), stop(0), END, LAST)
    assert [frame.native for frame in frames(*sent)] == [frame.native for frame in frames(*sent, named=False)]


def test_pings_and_the_beginning_are_no_content() -> None:
    assert [frame.has_content for frame in frames(BEGIN, {"type": "ping"}, start(0, type="text", text=""))] == [False] * 3
    assert frames({"type": "ping"})[0].native == b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.mark.parametrize("named", [True, False])
def test_case_02_an_error_event_is_raised(named: bool) -> None:
    with pytest.raises(UpstreamErrorEvent) as seen:
        frames({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, named=named)
    assert (seen.value.error.type, seen.value.error.message) == ("overloaded_error", "Overloaded")


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "message_start", "message": 3},
        {"type": "content_block_delta", "index": "x"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": 3}},
        {"type": "message_delta", "usage": {"output_tokens": -1}},
    ],
)
def test_what_no_server_may_send_is_a_wire_error(sent: dict[str, object]) -> None:
    with pytest.raises(WireError):
        frames(sent)


def test_an_error_body_under_a_good_status_is_no_answer() -> None:
    with pytest.raises(UpstreamErrorEvent):
        CODEC.decode_response(b'{"type":"error","error":{"type":"api_error","message":"m"}}')
    with pytest.raises(WireError):
        CODEC.decode_response(b"{}")


@pytest.mark.parametrize(
    ("word", "reason", "sequence"),
    [
        ("end_turn", FinishReason.STOP, None),
        ("stop_sequence", FinishReason.STOP, "END"),
        ("max_tokens", FinishReason.LENGTH, None),
        ("tool_use", FinishReason.TOOL_CALLS, None),
        ("pause_turn", FinishReason.PAUSE, None),
        ("refusal", FinishReason.CONTENT_FILTER, None),
    ],
)
def test_stop_reasons_both_ways(word: str, reason: FinishReason, sequence: str | None) -> None:
    read = events({"type": "message_delta", "delta": {"stop_reason": word, "stop_sequence": sequence}})
    assert read == [Finished(reason, stop_sequence=sequence)]
    body = json.loads(CODEC.encode_response(Response("i", "m", (Choice(0, (), reason, sequence),), Usage()), "d"))
    assert (body["stop_reason"], body["stop_sequence"]) == (word, sequence)


def test_a_call_that_ends_in_stop_is_told_as_tool_use() -> None:
    response = Response("i", "m", (Choice(0, (ToolCall("t", "f", "{}"),), FinishReason.STOP),), Usage())
    assert json.loads(CODEC.encode_response(response, "d"))["stop_reason"] == "tool_use"


def test_a_result_with_an_error_and_an_image_goes_both_ways() -> None:
    content = [
        {"type": "text", "text": "r"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
    ]
    request = ask(
        messages=[{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": content}]}]
    )
    result = request.messages[0].parts[0]
    assert isinstance(result, ToolResult)
    assert (result.is_error, len(result.parts)) == (True, 2)
    body, lost = CODEC.encode_request(request, "m")
    assert CODEC.decode_request(body).messages == request.messages
    assert lost == ()


def test_a_forwarded_stream_that_ended_without_its_last_word_gets_one() -> None:
    encoder = CODEC.stream_encoder(ask(stream=True), "d")
    forwarded = frames(BEGIN)[0]
    assert encoder.encode(forwarded, same_dialect=True) == forwarded.native
    assert encoder.encode(Frame((Ended(),)), same_dialect=True) == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def test_a_whole_answer_to_a_client_that_wanted_a_stream_is_told_as_one() -> None:
    encoder = CODEC.stream_encoder(ask(stream=True), "d")
    frame = Frame((Started("x", "m"), TextDelta("a"), Finished(FinishReason.STOP), UsageReported(Usage(1, 2)), Ended()))
    decoder = CODEC.stream_decoder()
    told = [event for sent in SSEDecoder().feed(encoder.encode(frame, same_dialect=True)) for event in decoder.feed(sent).events]
    assert fold(told) == fold(frame.events)
