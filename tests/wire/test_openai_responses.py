"""OpenAI Responses: what is read, refused and named. The laws hold the rest, and the SDK's view is in ``tests/oracle``."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from msgspec import Raw

from trimtab.core.errors import FailureKind, MalformedRequest, ProviderError
from trimtab.core.events import (
    Ended,
    Event,
    Finished,
    Frame,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    fold,
)
from trimtab.core.messages import (
    Dialect,
    FinishReason,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from trimtab.core.units import Usage
from trimtab.lab.upstream.answers import HELLO
from trimtab.lab.upstream.delivery import Form, Steps, Strange, encode
from trimtab.lab.upstream.responses import ResponsesRequest, pieces
from trimtab.wire import CODECS, SSEDecoder, UpstreamErrorEvent, WireError
from trimtab.wire.common.signatures import unseal
from trimtab.wire.openai_responses import conversation

CODEC = CODECS[Dialect.OPENAI_RESPONSES]
CHAT = CODECS[Dialect.OPENAI_CHAT]


def asked(**fields: object) -> Request:
    return CODEC.decode_request(json.dumps({"model": "m", "input": "?", **fields}).encode())


def refused(**fields: object) -> MalformedRequest:
    with pytest.raises(MalformedRequest) as caught:
        asked(**fields)
    return caught.value


def sse(*events: dict[str, object]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), json.dumps(event).encode()) for event in events)


def read(*events: dict[str, object]) -> list[Event]:
    decoder = CODEC.stream_decoder()
    return [event for told in SSEDecoder().feed(sse(*events)) for event in decoder.feed(told).events]


def written(*events: Event) -> list[dict[str, object]]:
    encoder = CODEC.stream_encoder(asked(), "decision")
    sent = b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in events)
    return [json.loads(event.data) for event in SSEDecoder().feed(sent)]


# -- requests -----------------------------------------------------------------------------------------------------------------------


def test_instructions_lead() -> None:
    request = asked(instructions="Be brief.")
    assert request.messages == (Message("system", (Text("Be brief."),)), Message("user", (Text("?"),)))


@pytest.mark.parametrize(
    "fields, param, says",
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "[responses] store"),
        ({"conversation": "conv_1"}, "conversation", "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation", "previous_response_id"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "instructions"),
        ({"background": True}, "background", "stream"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0", "Send the item itself"),
        ({"input": [{"id": "msg_1"}]}, "input.0.type", "reference"),
        ({"input": []}, "input", "at least one item"),
        ({"input": [{"role": "critic", "content": "x"}]}, "input.0.role", "Correct"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input.0.content.0.text", "Add"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input.0.arguments", "Add"),
        ({"tools": [{"type": "function"}]}, "tools.0.name", "Add"),
        ({"tool_choice": "some"}, "tool_choice", "Correct"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name", "Name"),
        ({"text": {"format": {"name": "x"}}}, "text.format.type", "Add"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort", "Correct"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, object], param: str, says: str) -> None:
    error = refused(**fields)
    assert error.param == param
    assert says in error.hint


def test_what_says_nothing_is_not_refused() -> None:
    asked(previous_response_id=None, conversation=None, prompt=None, background=False, store=True)


def test_one_turn_of_the_assistant_is_one_message() -> None:
    items = [
        {"role": "user", "content": "?"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "function_call_output", "call_id": "c2", "output": "2"},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]
    request = asked(input=items)
    assert request.messages == (
        Message("user", (Text("?"),)),
        Message(
            "assistant",
            (Reasoning("a\n\nb", signer=Dialect.OPENAI_RESPONSES), ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")),
        ),
        Message("tool", (ToolResult("c1", (Text("1"),)),)),
        Message("tool", (ToolResult("c2", (Text("2"),)),)),
        Message("assistant", (Refusal("No."),)),
    )
    sent, lost = CHAT.encode_request(request, "gpt")
    assert [message["role"] for message in json.loads(sent)["messages"]] == ["user", "assistant", "tool", "tool", "assistant"]
    assert lost == ("input.1.content.0",)


def test_losses_are_named_by_the_clients_own_items() -> None:
    items: list[dict[str, object]] = [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "mcp_call", "id": "mcp_1"},
        {"type": "computer_call_output", "call_id": "d", "output": {}},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_file", "file_id": "f"}]},
    ]
    request = asked(instructions="s", input=items)
    assert [type(part) for message in request.messages for part in message.parts] == [Text, ToolCall, Opaque, Opaque, Text, Opaque]
    sent, lost = CHAT.encode_request(request, "gpt")
    assert lost == ("input.0.content.1", "input.2.content.0", "input.3.content.1")
    assert [message["role"] for message in json.loads(sent)["messages"]] == ["system", "assistant", "user"]


def test_a_result_that_nobody_can_read_is_opaque_as_a_whole() -> None:
    output = [{"type": "input_text", "text": "a"}, {"type": "input_video"}]
    request = asked(input=[{"type": "function_call_output", "call_id": "c", "output": output}])
    (part,) = request.messages[0].parts
    assert isinstance(part, Opaque)
    assert json.loads(bytes(part.raw))["output"] == output


def test_top_logprobs_count_only_where_they_are_included() -> None:
    assert asked(top_logprobs=2).sampling.logprobs is None
    assert asked(top_logprobs=2).extras == ("top_logprobs",)
    sampling = asked(top_logprobs=2, include=["message.output_text.logprobs"]).sampling
    assert (sampling.logprobs, sampling.top_logprobs) == (True, 2)


def test_a_built_in_tool_is_lost_elsewhere_and_kept_here() -> None:
    mcp = {"type": "mcp", "server_label": "l", "server_url": "https://mcp.test"}
    request = asked(tools=[mcp, {"type": "custom", "name": "c"}], tool_choice={"type": "mcp", "server_label": "l"})
    assert [(tool.name, tool.builtin) for tool in request.tools] == [("mcp", "mcp"), ("c", "custom")]
    assert CHAT.encode_request(request, "gpt")[1] == ("tool_choice", "tools.0", "tools.1")
    assert json.loads(CODEC.encode_request(request, "gpt")[0])["tools"] == [mcp, {"type": "custom", "name": "c"}]


def test_silence_about_strictness_is_said_where_it_means_the_other_thing() -> None:
    loose = Request(
        dialect=Dialect.OPENAI_CHAT, model="m", messages=(Message("user", (Text("?"),)),), tools=(Tool("f", parameters=Raw(b"{}")),)
    )
    assert json.loads(CODEC.encode_request(loose, "m")[0])["tools"][0]["strict"] is False
    own = asked(tools=[{"type": "function", "name": "f", "parameters": {}}])
    assert "strict" not in json.loads(CODEC.encode_request(own, "m")[0])["tools"][0]


def test_a_system_prompt_alone_stays_in_the_input() -> None:
    request = CHAT.decode_request(b'{"model":"m","messages":[{"role":"system","content":"s"}]}')
    body = json.loads(CODEC.encode_request(request, "m")[0])
    assert "instructions" not in body
    assert body["input"] == [{"type": "message", "role": "system", "content": "s"}]


def test_what_this_protocol_cannot_say_is_named() -> None:
    anthropic = CODECS[Dialect.ANTHROPIC].decode_request(
        json.dumps(
            {
                "model": "m",
                "max_tokens": 5,
                "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
                "messages": [
                    {"role": "user", "content": "?"},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": "t", "signature": "s"},
                            {"type": "tool_use", "id": "c", "name": "f", "input": {}},
                        ],
                    },
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": "bad"}]},
                ],
                "stop_sequences": ["x"],
                "top_k": 3,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            }
        ).encode()
    )
    body, lost = CODEC.encode_request(anthropic, "gpt")
    assert set(lost) == {
        "system.0.cache_control",
        "messages.1.content.0",
        "messages.2.content.0.is_error",
        "stop_sequences",
        "top_k",
        "thinking.budget_tokens",
    }
    assert [item["type"] for item in json.loads(body)["input"]] == ["message", "message", "function_call", "function_call_output"]


# -- what an upstream says ----------------------------------------------------------------------------------------------------------

DONE: dict[str, object] = {"type": "response.completed", "response": {"status": "completed", "output": []}}


def test_thinking_of_one_item_is_one_block_in_paragraphs() -> None:
    events = read(
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "a"},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "b"},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "c"},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "reasoning", "summary": [{"text": "ab"}, {"text": "c"}], "encrypted_content": "seal"},
        },
        {"type": "response.reasoning_text.delta", "output_index": 1, "content_index": 0, "delta": "d"},
    )
    signer = Dialect.OPENAI_RESPONSES
    assert fold(events).choices[0].parts == (Reasoning("ab\n\nc", "seal", signer=signer), Reasoning("d", signer=signer))


def test_what_was_not_sent_in_pieces_is_read_from_the_finished_item() -> None:
    events = read(
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "call_id": "c", "name": "f"}},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        },
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {"type": "message", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
        },
        {"type": "response.output_item.done", "output_index": 2, "item": {"type": "web_search_call", "id": "ws_1"}},
    )
    call, text, refusal, search = fold(events).choices[0].parts
    assert (call, text, refusal) == (ToolCall("c", "f", "{}"), Text("a"), Refusal("b"))
    assert isinstance(search, Opaque)
    assert search.kind == "web_search_call"


def test_two_parts_of_a_message_stay_two() -> None:
    events = read(
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 1, "delta": "b"},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "c"},
    )
    assert fold(events).choices[0].parts == (Text("a"), Text("b"), Text("c"))


@pytest.mark.parametrize(
    "ending, reason",
    [
        ({"type": "response.completed", "response": {}}, FinishReason.STOP),
        ({"type": "response.incomplete", "response": {}}, FinishReason.LENGTH),
        (
            {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}},
            FinishReason.LENGTH,
        ),
        (
            {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "content_filter"}}},
            FinishReason.CONTENT_FILTER,
        ),
    ],
)
def test_how_it_ended(ending: dict[str, object], reason: FinishReason) -> None:
    assert read(ending) == [Finished(reason), Ended()]


def test_the_usage_comes_with_the_last_word() -> None:
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 15,
    }
    events = read({"type": "response.completed", "response": {"usage": usage}})
    assert UsageReported(Usage(input=10, output=5, cache_read=4, reasoning=3)) in events
    assert read({"type": "response.completed", "response": {"usage": {"input_tokens": -1}}}) == [
        Finished(FinishReason.STOP),
        Ended(),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "server_error", "message": "broken", "param": None, "sequence_number": 3},
        {"type": "error", "sequence_number": 3, "error": {"code": "server_error", "message": "broken"}},
        {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "broken"}}},
    ],
)
def test_an_error_in_a_stream(event: dict[str, object]) -> None:
    with pytest.raises(UpstreamErrorEvent) as caught:
        read(event)
    assert (caught.value.error.code, caught.value.error.message) == ("server_error", "broken")


@pytest.mark.parametrize(
    "body, code",
    [
        ({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow"}, "output": []}, "rate_limit_exceeded"),
        ({"error": {"code": "server_error", "message": "broken"}}, "server_error"),
        ({"status": "cancelled", "output": []}, "cancelled"),
    ],
)
def test_an_error_in_a_whole_body(body: dict[str, object], code: str) -> None:
    with pytest.raises(UpstreamErrorEvent) as caught:
        CODEC.decode_response(json.dumps(body).encode())
    assert caught.value.error.code == code


@pytest.mark.parametrize("body", ({}, {"status": "queued", "output": []}, {"output": [{"type": 3}]}, []))
def test_what_is_no_answer(body: object) -> None:
    with pytest.raises(WireError):
        CODEC.decode_response(json.dumps(body).encode())


def test_what_a_newer_server_adds_changes_nothing() -> None:
    request = ResponsesRequest(model="m", input="?", stream=True)
    steps: Steps = [*pieces(HELLO, request, "r", usage=True)]
    plain, strange = (
        b"".join(step for step in encode(said, Form()) if isinstance(step, bytes))
        for said in (steps, Strange().on_pieces(steps, Dialect.OPENAI_RESPONSES))
    )
    folded = []
    for sent in (plain, strange):
        decoder = CODEC.stream_decoder()
        folded.append(fold(event for told in SSEDecoder().feed(sent) for event in decoder.feed(told).events))
    assert folded[0] == folded[1]
    assert folded[0].choices[0].parts == (Text("".join(HELLO.text)),)


# -- what the client gets -----------------------------------------------------------------------------------------------------------


def test_the_sequence_of_a_text() -> None:
    events = written(Started("r", "model", 7), TextDelta("a"), TextDelta("b"), Finished(FinishReason.STOP), Ended())
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))


def test_an_answer_without_an_id_goes_by_the_decisions() -> None:
    first = written(TextDelta("a"), Finished(FinishReason.STOP), Ended())[0]
    assert isinstance(first["response"], dict)
    assert (first["response"]["id"], first["response"]["model"]) == ("decision", "m")


def test_an_answer_repeats_nothing_of_the_request_that_it_may_leave_out() -> None:
    """What the official SDK's ``Response`` demands is there; no field says otherwise than the client asked."""
    response = written(Started("r", "m"), TextDelta("a"), Finished(FinishReason.STOP), Ended())[-1]["response"]
    assert isinstance(response, dict)
    assert response.keys() >= {"parallel_tool_calls", "tool_choice", "tools"}
    assert response.keys().isdisjoint({"max_output_tokens", "previous_response_id", "reasoning", "text", "truncation", "user"})


def test_what_a_provider_redacted_goes_along_sealed() -> None:
    redacted = ReasoningDelta(redacted="xx", signer=Dialect.ANTHROPIC)
    last = written(Started("r", "m"), redacted, TextDelta("a"), Finished(FinishReason.STOP), Ended())[-1]
    assert isinstance(last["response"], dict)
    thought = last["response"]["output"][0]
    assert (thought["type"], thought["summary"]) == ("reasoning", [])
    assert unseal(Reasoning(signature=thought["encrypted_content"])) == Reasoning(redacted="xx", signer=Dialect.ANTHROPIC)


def test_a_seal_that_cannot_be_read_is_nobodys() -> None:
    for told in (b"{", b"\xff\xfe{", b'{"signer":5}', b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        sealed = urlsafe_b64encode(b"trimtab1:" + told).decode()
        thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": sealed}
        request = asked(input=[{"role": "user", "content": "?"}, thought])
        assert request.messages[1].parts == (Reasoning("t"),)
        assert request.foreign == ("input.1",)


def test_an_item_of_this_protocol_is_given_on_and_another_protocols_is_not() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    events = (
        OpaqueDelta("web_search_call", Raw(json.dumps(search).encode())),
        OpaqueDelta("server_tool_use", Raw(b'{"type":"server_tool_use"}')),
        TextDelta("a"),
        Finished(FinishReason.STOP),
        Ended(),
    )
    last = written(*events)[-1]
    assert isinstance(last["response"], dict)
    assert [item["type"] for item in last["response"]["output"]] == ["web_search_call", "message"]
    whole = json.loads(CODEC.encode_response(fold(events), "d"))["output"]
    assert whole == json.loads(json.dumps(last["response"]["output"]).replace("decision", "d"))


def test_only_the_first_of_several_choices() -> None:
    last = written(TextDelta("a"), TextDelta("b", choice=1), Finished(FinishReason.STOP, 1), Finished(FinishReason.STOP), Ended())[
        -1
    ]
    assert isinstance(last["response"], dict)
    assert [item["content"][0]["text"] for item in last["response"]["output"]] == ["a"]


def test_logprobs_stand_with_their_text() -> None:
    token = Raw(b'{"token":"a","logprob":-0.1,"bytes":[97],"top_logprobs":[]}')
    events = (Started("r", "m", 1), TextDelta("a", logprobs=(token,)), Finished(FinishReason.STOP), Ended())
    body = CODEC.encode_response(fold(events), "d")
    assert json.loads(body)["output"][0]["content"][0]["logprobs"] == [json.loads(bytes(token))]
    assert fold(CODEC.decode_response(body).events).choices[0].logprobs == (token,)
    assert fold(read(*written(*events))).choices[0].logprobs[0] is not None


def test_a_forwarded_stream_that_lacks_its_last_word_gets_none() -> None:
    encoder, decoder = CODEC.stream_encoder(asked(), "d"), CODEC.stream_decoder()
    (first,) = SSEDecoder().feed(sse({"type": "response.created", "response": {"id": "r", "model": "m"}}))
    assert encoder.encode(decoder.feed(first), same_dialect=True) == first.raw
    assert encoder.encode(Frame((Ended(),)), same_dialect=True) == b""


def test_an_error_is_an_event_of_its_own_and_the_end_of_the_response() -> None:
    encoder = CODEC.stream_encoder(asked(), "d")
    said = encoder.encode(Frame((Started("r", "m"), RefusalDelta("no"))), same_dialect=False)
    told = encoder.error(ProviderError(FailureKind.RATE_LIMIT, "Too many."))
    first, failed = [json.loads(event.data) for event in SSEDecoder().feed(said + told)][-2:]
    assert (first["type"], first["code"], first["error"]["code"]) == ("error", "rate_limit_exceeded", "rate_limit_exceeded")
    assert (failed["type"], failed["response"]["status"], failed["response"]["error"]["code"]) == (
        "response.failed",
        "failed",
        "rate_limit_exceeded",
    )
    assert failed["sequence_number"] == first["sequence_number"] + 1


def test_a_stream_of_whole_calls() -> None:
    events = written(ToolCallDelta(0, "{}", id="c", name="f"), Finished(FinishReason.TOOL_CALLS), Ended())
    kinds = [str(event["type"]).removeprefix("response.") for event in events[2:-1]]
    assert kinds == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]


# -- conversations ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, wanted", [(b"{}", True), (b'{"store":null}', True), (b'{"store":true}', True), (b'{"store": false}', False)]
)
def test_answers_are_kept_unless_the_client_says_no(body: bytes, wanted: bool) -> None:
    assert conversation.wants_store(body) is wanted


def test_only_what_can_be_sent_again_is_kept() -> None:
    output: list[dict[str, object]] = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "seal"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": []},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws_1"},
    ]
    kept = [json.loads(bytes(raw)) for raw in conversation.items_of_output(json.dumps({"id": "r", "output": output}).encode())]
    assert [item.get("id") for item in kept] == ["rs_2", None, None, "ws_1"]


def test_expanding_keeps_every_other_value_as_it_came() -> None:
    body = b'{"model":"m", "previous_response_id":"r", "input":[{"role":"user","content":"b"}], "temperature":1.50}'
    sent = conversation.expand(body, [Raw(b'{"role":"user", "content":"a"}')])
    assert sent == b'{"model":"m","input":[{"role":"user", "content":"a"},{"role":"user","content":"b"}],"temperature":1.50}'


def test_the_answer_is_in_the_last_event_only() -> None:
    assert conversation.answer_in(sse({"type": "response.created", "response": {"id": "r"}})) is None
    ended = conversation.answer_in(sse({"type": "response.created", "response": {"id": "r"}}, DONE))
    assert ended is not None
    assert json.loads(ended) == DONE["response"]
