from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec import Raw
from tests.support.bedrock import check_request

from trimtab.core.events import (
    Ended,
    Event,
    Finished,
    OpaqueDelta,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from trimtab.core.messages import (
    Audio,
    CacheHint,
    Dialect,
    Document,
    FinishReason,
    Image,
    Message,
    OutputFormat,
    Part,
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
from trimtab.wire import CODECS, UPSTREAM_CODECS, Converse, ServerSentEvent, UpstreamErrorEvent, WireError

CONVERSE = Converse()
CLAUDE, LLAMA = "anthropic.claude-sonnet-4-5-20250929-v1:0", "meta.llama4-maverick-17b-instruct-v1:0"
USER = Message("user", (Text("hi"),))
PNG = base64.b64encode(b"png").decode()


def asked(*messages: Message, dialect: Dialect = Dialect.ANTHROPIC, **fields: Any) -> Request:
    return Request(dialect=dialect, model="auto", messages=messages or (USER,), **fields)


def sent(request: Request, model: str = CLAUDE) -> tuple[Any, tuple[str, ...]]:
    body, lost = CONVERSE.encode_request(request, model)
    check_request(body)
    return json.loads(body), lost


def content(*parts: Part, role: Any = "user", model: str = CLAUDE) -> tuple[Any, tuple[str, ...]]:
    body, lost = sent(asked(Message(role, parts)), model)
    return [block for turn in body["messages"] for block in turn["content"]], lost


# -- requests


def test_the_model_and_the_stream_are_not_in_the_body() -> None:
    assert sent(asked(stream=True)) == ({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, ())


def test_a_request_of_its_own_kind_is_written_too() -> None:
    request = asked(dialect=Dialect.CONVERSE)
    assert CONVERSE.forward_request(request, CLAUDE, want_usage=True) == CONVERSE.encode_request(request, CLAUDE)[0]


def test_inference_fields() -> None:
    sampling = Sampling(max_tokens=9, temperature=1.5, top_p=0.5, stop=("a", ""), top_k=3, thinking_budget=1024, n=2)
    body, lost = sent(asked(sampling=sampling, user="u"))
    assert body["inferenceConfig"] == {"maxTokens": 9, "temperature": 1.0, "topP": 0.5, "stopSequences": ["a"]}
    assert body["additionalModelRequestFields"] == {"top_k": 3, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert {"temperature", "n", "user"} == set(lost)


@pytest.mark.parametrize("model", [LLAMA, "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/ab12"])
def test_what_only_anthropics_models_know_is_lost_on_others(model: str) -> None:
    body, lost = sent(asked(sampling=Sampling(top_k=3, thinking_budget=1024, stop=("a",))), model)
    assert {"messages", "inferenceConfig"} == set(body)
    assert lost == ("top_k", "thinking.budget_tokens")


def test_structured_output_and_effort() -> None:
    schema = {"type": "object", "properties": {"ü": {"type": "string"}}}
    wish = OutputFormat("json_schema", name="answer", schema=raw(schema), strict=False)
    body, lost = sent(asked(output=wish, sampling=Sampling(reasoning_effort="high")))
    config = body["outputConfig"]
    definition = config["textFormat"]["structure"]["jsonSchema"]
    assert (schema, "answer", "high") == (json.loads(definition["schema"]), definition["name"], config["effort"])
    assert lost == ("response_format.json_schema.strict",)
    assert sent(asked(output=OutputFormat("json_object"), sampling=Sampling(reasoning_effort="minimal")))[1] == (
        "reasoning_effort",
        "response_format",
    )


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def test_cache_points_stand_behind_what_is_to_be_cached() -> None:
    hint = CacheHint("1h")
    body, lost = sent(
        asked(
            Message("system", (Text("s", CacheHint()), Text("t"))),
            Message("user", (Text("a", hint), Text("b"))),
            tools=(Tool("f", cache=hint), Tool("g")),
        )
    )
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["system"] == [{"text": "s"}, {"cachePoint": {"type": "default"}}, {"text": "t"}]
    assert [{"text": "a"}, point, {"text": "b"}] == body["messages"][0]["content"]
    assert [next(iter(tool)) for tool in body["toolConfig"]["tools"]] == ["toolSpec", "cachePoint", "toolSpec"]
    assert lost == ()


@pytest.mark.parametrize(
    "choice, expected",
    [("auto", {"auto": {}}), ("required", {"any": {}}), ("tool", {"tool": {"name": "f"}})],
)
def test_tool_choice(choice: Any, expected: dict[str, Any]) -> None:
    body, lost = sent(asked(tools=(Tool("f", "d", raw({"type": "object"}), strict=True),), tool_choice=ToolChoice(choice, "f")))
    spec = {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}, "strict": True}
    assert {"tools": [{"toolSpec": spec}], "toolChoice": expected} == body["toolConfig"]
    assert lost == ()


HISTORY = (
    USER,
    Message("assistant", (ToolCall("c", "f", ""),)),
    Message("tool", (ToolResult("c", (Text("r"),), is_error=True),)),
)


def test_no_tools_where_none_may_be_called() -> None:
    body, lost = sent(asked(tools=(Tool("f"),), tool_choice=ToolChoice("none")))
    assert ("toolConfig" not in body, lost) == (True, ())


def test_a_conversation_with_calls_keeps_its_tools() -> None:
    body, lost = sent(asked(*HISTORY, tools=(Tool("f"),), tool_choice=ToolChoice("none"), parallel_tool_calls=False))
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["f"]
    assert {"tool_choice", "parallel_tool_calls"} == set(lost)
    body, lost = sent(asked(*HISTORY))
    assert ([tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]], lost) == (["f"], ("tools",))
    use, result = body["messages"][1]["content"][0]["toolUse"], body["messages"][2]["content"][0]["toolResult"]
    assert (use, result["status"]) == ({"toolUseId": "c", "name": "f", "input": {}}, "error")


def test_arguments_that_are_no_object_go_along_as_text() -> None:
    blocks, lost = content(ToolCall("c", "f", "[1]"), role="assistant")
    assert (blocks[0]["toolUse"]["input"], lost[0]) == ({"arguments": "[1]"}, "messages.0.content.0.arguments")


def test_ids_are_cut_to_size_and_go_on_differing() -> None:
    calls = tuple(ToolCall("x" * 80 + end, "f", "{}") for end in "ab")
    ids = [block["toolUse"]["toolUseId"] for block in content(*calls, role="assistant")[0]]
    assert len(set(ids)) == 2
    assert all(len(id) <= 64 for id in ids)


def test_media() -> None:
    blocks, lost = content(
        Image(data=PNG, media_type="image/jpg", detail="high"),
        Image(url="https://example.test/a.png"),
        Image(data=PNG, media_type="image/tiff"),
        Audio(PNG, "wav"),
        Audio(PNG, "aiff"),
    )
    assert blocks == [
        {"image": {"format": "jpeg", "source": {"bytes": PNG}}},
        {"audio": {"format": "wav", "source": {"bytes": PNG}}},
    ]
    at = "messages.0.content"
    assert (f"{at}.0.image_url.detail", f"{at}.1", f"{at}.2", f"{at}.4") == lost
    assert ([], (f"{at}.0",)) == content(Image(data=PNG, media_type="image/png"), role="assistant")


def test_documents_have_names_that_are_allowed_and_differ() -> None:
    blocks, lost = content(
        Document(data=PNG, media_type="application/pdf", name="Plan (2026)"),
        Document(data=PNG, name="Plan_2026.pdf"),
        Document(text="words"),
        Document(text="more", name="Document"),
        Document(url="https://example.test/a.pdf"),
        Document(data=PNG, media_type="application/zip"),
    )
    told = [(block["document"]["name"], block["document"]["format"]) for block in blocks]
    assert told == [("Plan (2026)", "pdf"), ("Plan 2026 pdf", "pdf"), ("Document", "txt"), ("Document 2", "txt")]
    assert base64.b64decode(blocks[2]["document"]["source"]["bytes"]) == b"words"
    at = "messages.0.content"
    assert (f"{at}.1.title", f"{at}.3.title", f"{at}.4", f"{at}.5") == lost


def test_signed_thinking_goes_back_to_the_maker_of_the_model_only() -> None:
    maker = Dialect.ANTHROPIC
    signed, redacted = Reasoning("t", signature="c2ln", signer=maker), Reasoning(redacted="cmVk", signer=maker)
    expected = [{"reasoningText": {"text": "t", "signature": "c2ln"}}, {"redactedContent": "cmVk"}]
    blocks, lost = content(
        signed, redacted, Reasoning("u", signer=maker), Reasoning("t", signature="c2ln", signer=Dialect.GEMINI), role="assistant"
    )
    assert (expected, ("messages.0.content.2", "messages.0.content.3")) == ([block["reasoningContent"] for block in blocks], lost)
    assert content(signed, role="assistant", model=LLAMA) == ([], ("messages.0.content.0",))


def test_a_system_prompt_in_the_middle_goes_to_the_front_and_blank_texts_nowhere() -> None:
    body, lost = sent(
        asked(USER, Message("system", (Text("s"), Text(" "))), Message("user", (Text(""),)), dialect=Dialect.OPENAI_CHAT)
    )
    assert (body["system"], len(body["messages"])) == ([{"text": "s"}], 1)
    assert lost == ("messages.1.role", "messages.1.content.1")


def test_a_cache_hint_inside_a_result_is_lost() -> None:
    result = ToolResult("c", (Text("r", CacheHint()), Image(data=PNG)), cache=CacheHint())
    blocks, lost = content(result)
    assert [next(iter(block)) for block in blocks] == ["toolResult", "cachePoint"]
    assert lost == ("messages.0.content.0.content.0.cache_control",)


# -- answers


def events(*told: tuple[str, Any]) -> list[Event]:
    decoder = CONVERSE.stream_decoder()
    return [event for name, data in told for event in decoder.feed(ServerSentEvent(name, json.dumps(data).encode(), b"raw")).events]


USAGE = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 17, "cacheReadInputTokens": 7, "cacheWriteInputTokens": 3}
REPORTED = UsageReported(Usage(input=15, output=2, cache_read=7, cache_write=3))


def test_cached_tokens_are_part_of_the_input() -> None:
    stop, metadata = ("messageStop", {"stopReason": "end_turn"}), ("metadata", {"usage": USAGE})
    assert [Finished(FinishReason.STOP), REPORTED, Ended()] == events(stop, metadata)
    # Never seen, and no reason to wait for ever.
    assert [REPORTED, Finished(FinishReason.STOP), Ended()] == events(metadata, stop)


def test_without_metadata_nothing_ends_and_nothing_is_counted() -> None:
    assert [Finished(FinishReason.STOP)] == events(("messageStop", {"stopReason": "end_turn"}))
    assert [Finished(FinishReason.STOP), Ended()] == events(("messageStop", {"stopReason": "end_turn"}), ("metadata", {}))


def test_the_stop_sequence_is_told() -> None:
    stop = {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "END"}}
    assert [Finished(FinishReason.STOP, stop_sequence="END")] == events(("messageStop", stop))


def test_a_stream_of_everything() -> None:
    assert [
        Started(),
        ReasoningDelta("hm", block=0, signer=Dialect.ANTHROPIC),
        ReasoningDelta(block=0, signature="c2ln", signer=Dialect.ANTHROPIC),
        ReasoningDelta(block=1, redacted="cmVk", signer=Dialect.ANTHROPIC),
        TextDelta("hi", block=2),
        ToolCallDelta(0, id="a", name="f"),
        ToolCallDelta(0, '{"x":'),
        ToolCallDelta(0, "1}"),
        ToolCallDelta(1, id="b", name="g"),
        ToolCallDelta(1, "{}"),
    ] == events(
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"reasoningContent": {"redactedContent": "cmVk"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"text": "hi"}, "p": "abc"}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"citation": {"title": "t"}}}),
        ("contentBlockStart", {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "a", "name": "f"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": '{"x":'}}}),
        ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": "1}"}}}),
        ("contentBlockStop", {"contentBlockIndex": 3}),
        ("contentBlockStart", {"contentBlockIndex": 4, "start": {"toolUse": {"toolUseId": "b", "name": "g"}}}),
        ("contentBlockStop", {"contentBlockIndex": 4}),
        ("news", {"x": 1}),
    )


def test_what_is_not_known_is_kept_whole() -> None:
    image, server = {"image": {"format": "png"}}, {"toolUse": {"toolUseId": "a", "name": "f", "type": "server_tool_use"}}
    streamed = events(*(("contentBlockStart", {"contentBlockIndex": 0, "start": start}) for start in (image, server)))
    body = {"output": {"message": {"role": "assistant", "content": [image, server]}}, "stopReason": "end_turn"}
    whole = CONVERSE.decode_response(json.dumps(body).encode()).events
    for found in (streamed, whole[1:3]):
        kept = [(event.kind, json.loads(bytes(event.raw))) for event in found if isinstance(event, OpaqueDelta)]
        assert [("image", image), ("toolUse", server)] == kept


def test_cited_text_is_text() -> None:
    block = {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [{"title": "t"}]}}
    body = {"output": {"message": {"content": [block]}}, "stopReason": "guardrail_intervened", "usage": USAGE}
    frame = CONVERSE.decode_response(json.dumps(body).encode())
    expected = (Started(), TextDelta("a"), TextDelta("b"), Finished(FinishReason.CONTENT_FILTER), REPORTED, Ended())
    assert expected == frame.events
    assert frame.native == json.dumps(body).encode()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"message":"no"}', b'{"output":{},"stopReason":"end_turn"}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        CONVERSE.decode_response(body)


def test_errors() -> None:
    error = CONVERSE.decode_error(b'{"message":"Malformed input request"}')
    assert (error.type, error.message) == ("", "Malformed input request")
    event = ServerSentEvent("error", b'{"type":"error","error":{"type":"throttlingException","message":"slow"}}', b"")
    with pytest.raises(UpstreamErrorEvent) as raised:
        CONVERSE.stream_decoder().feed(event)
    assert (raised.value.error.type, raised.value.error.message) == ("throttlingException", "slow")


def test_it_is_no_clients_protocol() -> None:
    assert UPSTREAM_CODECS[Dialect.CONVERSE].dialect is Dialect.CONVERSE
    assert Dialect.CONVERSE not in CODECS
    assert all(UPSTREAM_CODECS[dialect] is codec for dialect, codec in CODECS.items())
