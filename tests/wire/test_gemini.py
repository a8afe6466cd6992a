"""The dialect's own corners, beyond what the laws and the official SDK hold."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from msgspec import Raw

from trimtab.core.errors import FailureKind, MalformedRequest, ProviderError, RateLimited, TrimtabError, UnknownModel
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
    Audio,
    Dialect,
    Document,
    Embedding,
    FinishReason,
    Image,
    Message,
    Opaque,
    Operation,
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.core.units import Usage
from trimtab.wire import CODECS, GeminiEmbed, ServerSentEvent, UpstreamErrorEvent, WireError
from trimtab.wire.common.signatures import seal
from trimtab.wire.gemini.schema import to_json_schema

CODEC = CODECS[Dialect.GEMINI]
OPENAI = CODECS[Dialect.OPENAI_CHAT]
EMBED = CODECS[Dialect.GEMINI_EMBED]
HI = [{"role": "user", "parts": [{"text": "Hi"}]}]
BLOB = {"mimeType": "image/png", "data": "AA=="}


def ask(**fields: object) -> Request:
    return CODEC.decode_request(json.dumps({"contents": HI, **fields}).encode())


def to_gemini(model: str = "gemini-2.5-pro", **fields: object) -> tuple[dict[str, object], tuple[str, ...]]:
    """What a request of OpenAI's becomes."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **fields}
    sent, lost = CODEC.encode_request(OPENAI.decode_request(json.dumps(body).encode()), model)
    return json.loads(sent), lost


def events(*chunks: dict[str, object]) -> list[Event]:
    decoder = CODEC.stream_decoder()
    texts = [json.dumps(sent).encode() for sent in chunks]
    return [event for text in texts for event in decoder.feed(ServerSentEvent("", text, text)).events]


def chunk(*parts: dict[str, object], finish: str | None = None, **fields: object) -> dict[str, object]:
    candidate: dict[str, object] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    return {"candidates": [candidate if finish is None else {**candidate, "finishReason": finish}], **fields}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": None}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "contents.0.role"),
        ({"contents": [{"parts": ["x"]}]}, "contents.0.parts.0"),
        ({"contents": [{"parts": [{"text": 3}]}]}, "contents.0.parts.0.text"),
        ({"contents": [{"parts": [{}]}]}, "contents.0.parts.0"),
        ({"contents": [{"parts": [{"inlineData": {"data": "AA=="}}]}]}, "contents.0.parts.0.inlineData.mimeType"),
        ({"contents": [{"parts": [{"inline_data": {"data": "AA=="}}]}]}, "contents.0.parts.0.inlineData.mimeType"),
        ({"contents": [{"parts": [{"functionCall": {"args": {}}}]}]}, "contents.0.parts.0.functionCall.name"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]}, "contents.0.parts.0.functionCall.args"),
        (
            {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]},
            "contents.0.parts.0.functionResponse.response",
        ),
        ({"tools": [3]}, "tools.0"),
        ({"tools": [{"functionDeclarations": [{"description": "d"}]}]}, "tools.0.functionDeclarations.0.name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"contents": [{"parts": [{"inlineData": BLOB, "inline_data": BLOB}]}]}, "contents.0.parts.0.inlineData"),
        ({"contents": {"parts": {"inline_data": BLOB, "text": "x", "inlineData": BLOB}}}, "contents.parts.inlineData"),
        ({"tools": [{"googleSearch": {}, "google_search": {}}]}, "tools.0.googleSearch"),
        ({"systemInstruction": {"parts": [{"text": "y"}]}, "system_instruction": {"parts": [{"text": "x"}]}}, "systemInstruction"),
        ({"generationConfig": {"maxOutputTokens": -1}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": "much"}}}, "generationConfig.thinkingConfig.thinkingBudget"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place_and_the_next_step(fields: dict[str, object], param: str) -> None:
    with pytest.raises(MalformedRequest) as refusal:
        ask(**fields)
    assert refusal.value.param == param
    assert refusal.value.hint


@pytest.mark.parametrize("part", [{"inlineData": BLOB, "inline_data": None}, {"inline_data": None, "inlineData": BLOB}])
def test_an_empty_second_spelling_hides_nothing(part: dict[str, object]) -> None:
    [message] = ask(contents=[{"parts": [part]}]).messages
    assert [type(part) for part in message.parts] == [Image]


def test_a_name_of_the_clients_own_is_not_told() -> None:
    with pytest.raises(MalformedRequest) as refusal:
        ask(**{"jane@doe.com 4111": {"topP": 1, "top_p": 1}})
    assert refusal.value.param == "(a field).topP"


def test_a_thought_that_is_more_than_text_is_what_it_holds() -> None:
    """The body is forwarded with it, so it has to be met by whoever reads the request."""
    sealed = seal(Reasoning(signature="s", signer=Dialect.ANTHROPIC), Dialect.GEMINI)
    shown = {"thought": True, "inlineData": BLOB}
    called = {"thought": True, "functionCall": {"name": "f", "args": {}}}
    answered = {"functionResponse": {"name": "f", "response": {"output": "o"}, "parts": [{"inlineData": BLOB}]}}
    image, signature = Image(data="AA==", media_type="image/png"), Reasoning(signature="AAAA", signer=Dialect.GEMINI)
    for parts, expected in (
        ([shown], (image,)),
        ([{**shown, "thoughtSignature": "AAAA"}], (signature, image)),
        ([{"thought": True, "text": "t", "thoughtSignature": "AAAA"}], (msgspec.structs.replace(signature, text="t"),)),
        ([{"thought": True, "thoughtSignature": "AAAA"}], (signature,)),
    ):
        assert ask(contents=[*HI, {"role": "model", "parts": parts}]).messages[1].parts == expected

    request = ask(contents=[*HI, {"role": "model", "parts": [{**called, "thoughtSignature": sealed}]}])
    assert [type(part) for part in request.messages[1].parts] == [Reasoning, ToolCall]
    sent = json.loads(CODEC.forward_request(request, "m", want_usage=False))
    assert sent["contents"][1]["parts"] == [called]

    (part,) = ask(contents=[*HI, {"role": "model", "parts": [{**called, **answered}]}]).messages[1].parts
    assert isinstance(part, Opaque)


def test_what_we_do_not_know_is_kept_and_named() -> None:
    request = ask(
        contents=[
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mimeType": "audio/mpeg", "data": "_-8"}},
                    {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
                    {"inlineData": {"mimeType": "video/mp4", "data": "AA=="}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a.png"}},
                    {
                        "fileData": {"mimeType": "image/png", "fileUri": "https://x.test/a.png"},
                        "mediaResolution": {"level": "HIGH"},
                    },
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                ],
            }
        ],
        tools=[{"functionDeclarations": [{"name": "f", "behavior": "NON_BLOCKING"}], "googleSearch": {}}],
        toolConfig={"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, "retrievalConfig": {}},
        generationConfig={"thinkingConfig": {"thinkingBudget": -1}, "responseModalities": ["IMAGE"]},
        cachedContent="cachedContents/x",
    )
    (message,) = request.messages
    assert message.parts[:2] == (Audio(data="/+8=", format="mp3"), Document(data="AA==", media_type="application/pdf"))
    assert [part.kind for part in message.parts if isinstance(part, Opaque)] == ["inlineData", "fileData", "executableCode"]
    assert message.parts[4] == Image(url="https://x.test/a.png", media_type="image/png")
    assert [(tool.name, tool.builtin) for tool in request.tools] == [("f", None), ("googleSearch", "googleSearch")]
    assert request.tool_choice == ToolChoice("auto")
    assert set(request.extras) == {
        "cachedContent",
        "contents.0.parts.4.mediaResolution",
        "generationConfig.responseModalities",
        "generationConfig.thinkingConfig.thinkingBudget",
        "toolConfig.functionCallingConfig.allowedFunctionNames",
        "toolConfig.functionCallingConfig.mode",
        "toolConfig.retrievalConfig",
        "tools.0.functionDeclarations.0.behavior",
    }


def test_a_streamed_answer_that_a_client_kept_chunk_by_chunk_is_one_message() -> None:
    request = ask(
        contents=[
            *HI,
            {"role": "model", "parts": [{"text": "I will", "thought": True}]},
            {"role": "model", "parts": [{"text": " look.", "thought": True}]},
            {"role": "model", "parts": [{"text": "Wait"}]},
            {"role": "model", "parts": [{"text": " please."}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "AAAA"}]},
            {"role": "model", "parts": [{"text": ""}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "1"}}}, {"videoThing": {}}]},
        ]
    )
    said = request.messages[1]
    assert [type(part).__name__ for part in said.parts] == ["Reasoning", "Text", "Reasoning", "ToolCall"]
    assert said.parts[1] == Text("Wait please.")
    body, lost = OPENAI.encode_request(request, "m")
    assert [message["role"] for message in json.loads(body)["messages"]] == ["user", "assistant", "tool"]
    # Places are counted as the client counts them.
    assert lost == ("contents.1.content.0", "contents.1.content.2", "contents.7.content.1")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "STRING", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        (
            {"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "2"},
            {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        ),
        ({"any_of": [{"type": "NULL"}], "nullable": True}, {"anyOf": [{"type": "null"}, {"type": "null"}]}),
        (
            {"type": "OBJECT", "properties": {"any_of": {"type": "NUMBER"}, "b": {}}, "propertyOrdering": ["b", "any_of"]},
            {"type": "object", "properties": {"b": {}, "any_of": {"type": "number"}}},
        ),
        ({"type": "STRING", "format": "enum", "example": 1}, {"type": "string", "examples": [1]}),
    ],
)
def test_googles_schemas_become_json_schemas(schema: dict[str, object], expected: dict[str, object]) -> None:
    read = json.loads(bytes(to_json_schema(Raw(json.dumps(schema).encode()))))
    assert json.dumps(expected) == json.dumps({key: read[key] for key in expected})
    assert read.keys() == expected.keys()


def test_a_json_schema_is_left_as_it_came() -> None:
    schema = Raw(b'{ "type":"object", "properties": {"a": {"$ref": "#/$defs/x"}} }')
    assert bytes(schema) == bytes(to_json_schema(schema))


# -- towards the upstream ----------------------------------------------------------------------------------------------------------


def test_calls_of_another_model_carry_googles_word_for_no_signature_where_one_is_wanted() -> None:
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "not json"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "b", "content": '{"x": 1}'},
        {"role": "tool", "tool_call_id": "a", "content": '{"output": "y"}'},
        {"role": "tool", "tool_call_id": "c", "content": "z"},
    ]  # fmt: skip
    body, lost = to_gemini("gemini-3-pro-preview", messages=messages)
    contents = body["contents"]
    assert isinstance(contents, list)
    assert contents[1]["parts"] == [
        {
            "functionCall": {"name": "f", "args": {"arguments": "not json"}, "id": "a"},
            "thoughtSignature": "skip_thought_signature_validator",
        },
        {"functionCall": {"name": "g", "args": {}, "id": "b"}, "thoughtSignature": "skip_thought_signature_validator"},
    ]
    # In the order of the calls; what reads like the protocol's own wrapping is wrapped.
    assert [part["functionResponse"] for part in contents[2]["parts"]] == [
        {"name": "f", "response": {"output": '{"output": "y"}'}, "id": "a"},
        {"name": "g", "response": {"x": 1}, "id": "b"},
        {"name": "c", "response": {"output": "z"}, "id": "c"},
    ]
    assert lost == ("messages.1.content.0.arguments", "messages.4.content.0.id")
    assert "thoughtSignature" not in json.dumps(to_gemini("gemini-2.5-pro", messages=messages)[0])


@pytest.mark.parametrize(
    ("model", "effort", "expected", "lost"),
    [
        ("gemini-2.5-pro", "low", {"thinkingBudget": 1024}, ()),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, ()),
        ("gemini-2.5-flash", "xhigh", None, ("reasoning_effort",)),
        ("gemini-3-pro", "high", {"thinkingLevel": "HIGH"}, ()),
        ("gemini-flash-latest", "minimal", {"thinkingLevel": "MINIMAL"}, ()),
        ("gemini-3-pro", "none", None, ("reasoning_effort",)),
        ("gemma-3-27b-it", "low", None, ("reasoning_effort",)),
    ],
)
def test_an_effort_is_a_budget_or_a_level(
    model: str, effort: str, expected: dict[str, object] | None, lost: tuple[str, ...]
) -> None:
    body, named = to_gemini(model, reasoning_effort=effort)
    config = body.get("generationConfig", {})
    assert isinstance(config, dict)
    assert (expected, lost) == (config.get("thinkingConfig"), named)


def test_a_budget_from_elsewhere_shows_the_thoughts() -> None:
    request = Request(
        dialect=Dialect.ANTHROPIC,
        model="m",
        messages=(Message("user", (Text("?"),)),),
        sampling=Sampling(thinking_budget=2048, reasoning_effort="low"),
    )
    body, lost = CODEC.encode_request(request, "gemini-2.5-pro")
    assert json.loads(body)["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 2048, "includeThoughts": True}
    assert lost == ("reasoning_effort",)


def test_what_openai_alone_can_say_is_named() -> None:
    body, lost = to_gemini(
        messages=[
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.jpg", "detail": "high"}}]},
            {"role": "system", "content": "late"},
        ],
        tools=[{"type": "function", "function": {"name": "f", "strict": True}}, {"type": "custom", "custom": {"name": "c"}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        logit_bias={"1": 1},
        user="u",
        store=True,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": False}},
    )
    assert body["systemInstruction"] == {"parts": [{"text": "late"}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"fileData": {"fileUri": "https://x.test/a.jpg", "mimeType": "image/jpeg"}}]}
    ]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}
    assert set(lost) == {
        "store",
        "messages.0.content.0.image_url.detail",
        "messages.1.role",
        "tools.0.strict",
        "tools.1",
        "parallel_tool_calls",
        "logit_bias",
        "user",
        "response_format.json_schema.name",
        "response_format.json_schema.strict",
    }


def test_an_image_among_results_is_inside_where_the_model_takes_that_and_else_behind() -> None:
    request = Request(
        dialect=Dialect.ANTHROPIC,
        model="m",
        messages=(
            Message("assistant", (ToolCall("a", "f", "{}"),)),
            Message("user", (ToolResult("a", (Image(data="AA==", media_type="image/png"),)), Text("and?"))),
        ),
    )
    blob = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    behind = json.loads(CODEC.encode_request(request, "gemini-2.5-pro")[0])["contents"]
    assert [turn["parts"] for turn in behind[2:]] == [[blob, {"text": "and?"}]]
    inside = json.loads(CODEC.encode_request(request, "gemini-3-pro")[0])["contents"]
    assert inside[1]["parts"][0]["functionResponse"]["parts"] == [blob]


# -- from the upstream -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        *((reason, FinishReason.CONTENT_FILTER) for reason in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")),
        ("MALFORMED_FUNCTION_CALL", FinishReason.STOP),
        ("CONTINUATION", FinishReason.PAUSE),
        ("SOMETHING_NEW", FinishReason.STOP),
    ],
)
def test_finish_reasons(reason: str, expected: FinishReason) -> None:
    assert events(chunk(finish=reason))[-1] == Finished(expected)


def test_a_stream_of_thoughts_text_and_calls() -> None:
    told = events(
        chunk({"text": "hm", "thought": True}, responseId="r", modelVersion="m"),
        chunk({"text": "Let "}),
        chunk({"text": "me."}),
        chunk({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "AAAA"}, {"functionCall": {"name": "f"}}),
        chunk({"executableCode": {"code": "1"}}),
        chunk({"text": ""}, finish="STOP", usageMetadata={"promptTokenCount": 5, "thoughtsTokenCount": 2, "totalTokenCount": 9,
                                                        "candidatesTokenCount": 1, "toolUsePromptTokenCount": 1,
                                                        "cachedContentTokenCount": 4}),
    )  # fmt: skip
    calls = [event for event in told if isinstance(event, ToolCallDelta)]
    assert [(call.index, call.arguments) for call in calls] == [(0, '{"a": 1}'), (1, "{}")]
    assert len({call.id for call in calls}) == 2
    assert told[0] == Started("r", "m")
    assert [event for event in told if isinstance(event, ReasoningDelta)] == [
        ReasoningDelta("hm", block=0, signer=Dialect.GEMINI),
        ReasoningDelta(block=2, signature="AAAA", signer=Dialect.GEMINI),
    ]
    assert [event for event in told if isinstance(event, TextDelta)] == [TextDelta("Let ", block=1), TextDelta("me.", block=1)]
    assert [event.kind for event in told if isinstance(event, OpaqueDelta)] == ["executableCode"]
    assert told[-2:] == [Finished(FinishReason.TOOL_CALLS), UsageReported(Usage(input=6, output=3, cache_read=4, reasoning=2))]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"promptTokenCount": 4, "totalTokenCount": 4}, Usage(input=4, output=0)),
        ({"promptTokenCount": 4}, Usage(input=4)),
        ({"promptTokenCount": 4, "thoughtsTokenCount": 3, "totalTokenCount": 7}, Usage(input=4, output=3, reasoning=3)),
        ({"candidatesTokenCount": 2}, Usage(output=2)),
        ({"promptTokenCount": -1}, Usage()),
    ],
)
def test_usage_is_what_was_counted_or_unknown(figures: dict[str, object], expected: Usage) -> None:
    assert fold(events(chunk(finish="STOP", usageMetadata=figures))).usage == expected


def test_a_prompt_that_was_blocked_is_an_answer_without_words() -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}
    frame = CODEC.decode_response(json.dumps(body).encode())
    expected = (Started(), Finished(FinishReason.CONTENT_FILTER), UsageReported(Usage(input=4, output=0)), Ended())
    assert expected == frame.events


def test_chances_of_tokens_go_through_both_ways() -> None:
    result = {
        "chosenCandidates": [{"token": "Hi", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.5}, {"token": "Yo", "logProbability": -2.0}]}],
    }
    answer = chunk({"text": "Hi"}, finish="STOP")
    answer["candidates"][0]["logprobsResult"] = result  # type: ignore[index]
    response = fold(CODEC.decode_response(json.dumps(answer).encode()).events)
    (token,) = response.choices[0].logprobs
    assert json.loads(bytes(token))["top_logprobs"][1] == {"token": "Yo", "logprob": -2.0, "bytes": [89, 111]}
    assert json.loads(CODEC.encode_response(response, "d"))["candidates"][0]["logprobsResult"] == result


@pytest.mark.parametrize("listed", [False, True])
def test_an_error_where_an_answer_was_due(listed: bool) -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    data = json.dumps([error] if listed else error).encode()
    for read in (CODEC.decode_response, lambda body: CODEC.stream_decoder().feed(ServerSentEvent("", body, body))):
        with pytest.raises(UpstreamErrorEvent) as raised:
            read(data)
        assert (raised.value.error.code, raised.value.error.type) == ("503", "UNAVAILABLE")


def test_the_finer_reason_of_an_error_is_read() -> None:
    details = [{"@type": "x/google.rpc.Help"}, {"@type": "x/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    body = {"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": details}}
    assert CODEC.decode_error(json.dumps(body).encode()).type == "API_KEY_INVALID"


# -- towards the client ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (MalformedRequest("contents: bad.", param="contents"), 400, "INVALID_ARGUMENT"),
        (UnknownModel("none"), 404, "NOT_FOUND"),
        (RateLimited("slow", retry_after=1.0), 429, "RESOURCE_EXHAUSTED"),
        (ProviderError(FailureKind.TRANSIENT, "x", upstream_status=503), 503, "UNAVAILABLE"),
        (ProviderError(FailureKind.UNKNOWN, "x"), 502, "INTERNAL"),
    ],
)
def test_errors_have_googles_shape(error: TrimtabError, code: int, status: str) -> None:
    said = json.loads(CODEC.encode_error(error))["error"]
    assert (code, status) == (said["code"], said["status"])
    named = [detail["fieldViolations"][0]["field"] for detail in said["details"] if "fieldViolations" in detail]
    assert named == ([error.param] if isinstance(error, MalformedRequest) else [])


def test_a_cut_stream_never_says_why_it_ended() -> None:
    encoder = CODEC.stream_encoder(ask(), "d")
    sent = encoder.encode(Frame((Started("r", "m"), TextDelta("a"), Finished(FinishReason.STOP))), same_dialect=False)
    sent += encoder.error(ProviderError(FailureKind.TRANSIENT, "broke", upstream_status=503))
    assert b"finishReason" not in sent
    assert sent.endswith(b"\n\n")


def test_what_anothers_provider_signed_is_bytes_too() -> None:
    encoder = CODEC.stream_encoder(ask(), "d")
    sent = encoder.encode(Frame((ReasoningDelta("t", signature="not bytes!", signer=Dialect.ANTHROPIC),)), same_dialect=False)
    part = json.loads(sent.removeprefix(b"data: "))["candidates"][0]["content"]["parts"][0]
    assert b"not bytes!" in base64.b64decode(part["thoughtSignature"], altchars=b"-_", validate=True)


def test_structured_output_without_a_schema() -> None:
    request = ask(generationConfig={"responseMimeType": "application/json"})
    assert request.output == OutputFormat("json_object")
    assert json.loads(CODEC.encode_request(request, "m")[0])["generationConfig"] == {"responseMimeType": "application/json"}


# -- embeddings --------------------------------------------------------------------------------------------------------------------


def test_one_input_is_a_batch_of_one_upstream_and_one_vector_for_the_client() -> None:
    body = b'{"content": {"parts": [{"text": "a"}]}, "task_type": "RETRIEVAL_DOCUMENT", "title": "t", "x_new": 1.50}'
    request = EMBED.decode_request(body)
    assert request.operation is Operation.EMBEDDINGS
    assert request.embedding == Embedding(purpose="search_document")
    assert request.extras == ("title", "x_new")
    sent = EMBED.forward_request(request, "gemini-embedding-001", want_usage=False)
    (member,) = msgspec.json.decode(sent, type=dict[str, list[dict[str, Raw]]])["requests"]
    assert (bytes(member["model"]), bytes(member["x_new"])) == (b'"models/gemini-embedding-001"', b"1.50")
    frame = EMBED.decode_response(b'{"embeddings": [{"values": [0.10, 2]}]}')
    assert frame.native == b""
    assert GeminiEmbed(single=True).encode_response(fold(frame.events), "d") == b'{"embedding":{"values":[0.10, 2]}}'
    assert fold(frame.events).usage == Usage()


def test_what_a_batch_asks_for_in_two_ways_is_named() -> None:
    members = [
        {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8},
        {"content": {"parts": [{"text": "b"}, {"text": "c"}]}},
    ]
    request = EMBED.decode_request(json.dumps({"requests": members}).encode())
    assert request.extras == ("requests.1.outputDimensionality",)
    assert [type(part).__name__ for part in request.messages[0].parts] == ["Text", "Opaque"]


@pytest.mark.parametrize("body", [b"{}", b'{"embeddings": [{}]}', b'{"embeddings": [{"values": "AAAA"}]}', b"[]"])
def test_an_answer_without_vectors_is_none(body: bytes) -> None:
    with pytest.raises(WireError):
        EMBED.decode_response(body)


@pytest.mark.parametrize(
    ("body", "param"),
    [({"requests": []}, "requests"), ({}, "content"), ({"requests": [{"content": {"parts": []}}]}, "requests.0.content.parts")],
)
def test_a_request_for_no_vector_is_refused(body: dict[str, object], param: str) -> None:
    with pytest.raises(MalformedRequest) as refusal:
        EMBED.decode_request(json.dumps(body).encode())
    assert refusal.value.param == param
