"""The official SDKs drive the codecs: they write the requests that we read, and parse all that we write. No socket is opened."""

from __future__ import annotations

import json
from collections.abc import Callable

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import Message as AnthropicMessage
from hypothesis import given, settings
from openai.types.chat import ChatCompletion
from pydantic import BaseModel
from tests import strategies as some

from trimtab.core.errors import (
    AttemptsExhausted,
    FailureKind,
    MalformedRequest,
    NoDeployment,
    ProviderError,
    TrimtabError,
    Unauthenticated,
    UnknownModel,
)
from trimtab.core.events import Ended, Finished, Frame, ReasoningDelta, Started, TextDelta, ToolCallDelta, UsageReported, unfold
from trimtab.core.messages import (
    Choice,
    Dialect,
    FinishReason,
    Image,
    Reasoning,
    Refusal,
    Request,
    Response,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimtab.core.units import Usage
from trimtab.wire import CODECS, AnthropicMessages, client_status

OPENAI, ANTHROPIC = CODECS[Dialect.OPENAI_CHAT], CODECS[Dialect.ANTHROPIC]

Answer = Callable[[bytes], httpx2.Response]


def openai_client(answer: Answer) -> openai.OpenAI:
    transport = httpx2.MockTransport(lambda request: answer(request.read()))
    return openai.OpenAI(api_key="k", base_url="http://127.0.0.1", max_retries=0, http_client=httpx2.Client(transport=transport))


def anthropic_client(answer: Answer) -> anthropic.Anthropic:
    transport = httpx2.MockTransport(lambda request: answer(request.read()))
    return anthropic.Anthropic(
        api_key="k", base_url="http://127.0.0.1", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


def sse(body: bytes) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)


def whole(body: bytes) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=body)


WEATHER: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
USAGE = Usage(input=100, output=20, cache_read=60, cache_write=10, reasoning=5)
CALLS = (ToolCall("call_1", "weather", '{"city": "Paris"}'), ToolCall("call_2", "weather", '{"city": "Rome"}'))
RESPONSE = Response(
    id="answer-1",
    model="big-model",
    choices=(Choice(0, (Reasoning("hm"), Text("Let me look."), *CALLS), FinishReason.TOOL_CALLS),),
    usage=USAGE,
    created=1_700_000_000,
)
# Two parallel calls whose pieces interleave, as servers of the OpenAI dialect may send them.
INTERLEAVED = (
    Started("answer-1", "big-model", 1_700_000_000),
    ReasoningDelta("hm"),
    TextDelta("Let me "),
    TextDelta("look."),
    ToolCallDelta(0, "", id="call_1", name="weather"),
    ToolCallDelta(1, "", id="call_2", name="weather"),
    ToolCallDelta(0, '{"city": '),
    ToolCallDelta(1, '{"city": "Ro'),
    ToolCallDelta(0, '"Paris"}'),
    ToolCallDelta(1, 'me"}'),
    Finished(FinishReason.TOOL_CALLS),
    UsageReported(USAGE),
    Ended(),
)


def streamed(dialect: Dialect, request: Request) -> bytes:
    encoder = CODECS[dialect].stream_encoder(request, "d")
    return b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in INTERLEAVED)


def test_openai_whole_answer() -> None:
    client = openai_client(lambda _: whole(OPENAI.encode_response(RESPONSE, "d")))
    answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "?"}])
    ChatCompletion.model_validate(answer.model_dump(exclude_unset=True))
    message = answer.choices[0].message
    assert (answer.id, answer.model, answer.created) == ("answer-1", "big-model", 1_700_000_000)
    assert message.content == "Let me look."
    assert message.tool_calls is not None
    assert [(call.id, call.function.arguments) for call in message.tool_calls if call.type == "function"] == [
        ("call_1", '{"city": "Paris"}'),
        ("call_2", '{"city": "Rome"}'),
    ]
    assert answer.choices[0].finish_reason == "tool_calls"
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.prompt_tokens_details.cache_write_tokens,
        usage.completion_tokens_details.reasoning_tokens,
    ) == (100, 20, 120, 60, 10, 5)


def test_openai_stream_with_parallel_calls() -> None:
    client = openai_client(lambda body: sse(streamed(Dialect.OPENAI_CHAT, OPENAI.decode_request(body))))
    with client.chat.completions.stream(
        model="auto", messages=[{"role": "user", "content": "?"}], stream_options={"include_usage": True}
    ) as stream:
        answer = stream.get_final_completion()
    message = answer.choices[0].message
    assert message.content == "Let me look."
    assert message.tool_calls is not None
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        (call.id, call.name, call.arguments) for call in CALLS
    ]
    assert answer.usage is not None
    assert answer.usage.total_tokens == 120


def test_case_19_openai_no_usage_chunk_unless_asked() -> None:
    client = openai_client(lambda body: sse(streamed(Dialect.OPENAI_CHAT, OPENAI.decode_request(body))))
    chunks = list(client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "?"}], stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_anthropic_whole_answer() -> None:
    client = anthropic_client(lambda _: whole(ANTHROPIC.encode_response(RESPONSE, "d")))
    answer = client.messages.create(model="auto", max_tokens=10, messages=[{"role": "user", "content": "?"}])
    AnthropicMessage.model_validate(answer.model_dump(exclude_unset=True))
    assert [block.type for block in answer.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.input for block in answer.content if block.type == "tool_use"] == [{"city": "Paris"}, {"city": "Rome"}]
    assert answer.stop_reason == "tool_use"
    usage = answer.usage
    assert usage.output_tokens_details is not None
    assert (
        usage.input_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        usage.output_tokens,
        usage.output_tokens_details.thinking_tokens,
    ) == (30, 60, 10, 20, 5)


def test_case_20_anthropic_stream_with_interleaved_parallel_calls() -> None:
    client = anthropic_client(lambda body: sse(streamed(Dialect.ANTHROPIC, ANTHROPIC.decode_request(body))))
    with client.messages.stream(model="auto", max_tokens=10, messages=[{"role": "user", "content": "?"}]) as stream:
        answer = stream.get_final_message()
    said = [block.model_dump(include={"type", "text", "thinking", "id", "name", "input"}) for block in answer.content]
    assert said == [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "call_2", "name": "weather", "input": {"city": "Rome"}},
    ]
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("tool_use", 30, 20)


class Place(BaseModel):
    city: str


def captured(call: Callable[[Answer], object]) -> bytes:
    """The body that an SDK sends."""
    seen: list[bytes] = []

    def answer(body: bytes) -> httpx2.Response:
        seen.append(body)
        return httpx2.Response(418)

    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
        call(answer)
    return seen[0]


def test_openai_request_as_the_sdk_writes_it() -> None:
    body = captured(
        lambda answer: openai_client(answer).chat.completions.parse(
            model="auto",
            messages=[
                {"role": "developer", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
                    ],
                },
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "Sun"}]},
                {"role": "assistant", "refusal": "No."},
            ],
            tools=[{"type": "function", "function": {"name": "weather", "parameters": WEATHER, "strict": True}}],
            tool_choice={"type": "function", "function": {"name": "weather"}},
            parallel_tool_calls=False,
            response_format=Place,
            max_completion_tokens=7,
            reasoning_effort="low",
            stop="END",
            n=2,
            logprobs=True,
            top_logprobs=3,
            seed=1,
            user="u",
            metadata={"a": "b"},
        )
    )
    request = OPENAI.decode_request(body)
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool", "assistant"]
    kinds = [type(part).__name__ for message in request.messages for part in message.parts]
    assert kinds == ["Text", "Text", "Image", "Audio", "Document", "ToolCall", "ToolResult", "Refusal"]
    assert Image(data="AA==", media_type="image/png", detail="low") == request.messages[1].parts[1]
    assert ToolChoice("tool", "weather") == request.tool_choice
    assert request.parallel_tool_calls is False
    assert request.output is not None
    assert (request.output.kind, request.output.name, request.output.strict) == ("json_schema", "Place", True)
    sampling = request.sampling
    assert (
        sampling.max_tokens,
        sampling.stop,
        sampling.n,
        sampling.logprobs,
        sampling.top_logprobs,
        sampling.seed,
        sampling.reasoning_effort,
    ) == (7, ("END",), 2, True, 3, 1, "low")
    assert request.extras == ("metadata",)
    assert b'"model":"auto"' in body.replace(b" ", b"")
    _, lost = ANTHROPIC.encode_request(request, "claude")
    assert {
        "metadata",
        "messages.1.content.1.image_url.detail",
        "messages.1.content.2",
        "response_format.json_schema.name",
        "n",
        "seed",
        "logprobs",
        "top_logprobs",
    } == set(lost)


def test_anthropic_request_as_the_sdk_writes_it() -> None:
    body = captured(
        lambda answer: anthropic_client(answer).messages.create(
            model="auto",
            max_tokens=2000,
            system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            messages=[
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "sig"},
                        {"type": "redacted_thinking", "data": "xx"},
                        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "toolu_1",
                            "is_error": True,
                            "content": [
                                {"type": "text", "text": "broken"},
                                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                            ],
                        },
                        {"type": "text", "text": "And now?"},
                    ],
                },
            ],
            tools=[
                {"name": "weather", "input_schema": {"type": "object"}},
                {"type": "web_search_20250305", "name": "web_search"},
            ],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            thinking={"type": "enabled", "budget_tokens": 1024},
            output_config={"format": {"type": "json_schema", "schema": WEATHER}},
            stop_sequences=["END"],
            metadata={"user_id": "u"},
            extra_body={"top_k": 3},
        )
    )
    request = ANTHROPIC.decode_request(body)
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    assert (
        Reasoning("hm", "sig", signer=Dialect.ANTHROPIC),
        Reasoning(redacted="xx", signer=Dialect.ANTHROPIC),
    ) == request.messages[2].parts[:2]
    result = request.messages[3].parts[0]
    assert isinstance(result, ToolResult)
    assert result.is_error
    assert [tool.builtin for tool in request.tools] == [None, "web_search_20250305"]
    assert (ToolChoice("required"), False, "u", 1024) == (
        request.tool_choice,
        request.parallel_tool_calls,
        request.user,
        request.sampling.thinking_budget,
    )
    sent, lost = OPENAI.encode_request(request, "gpt")
    assert {
        "system.0.cache_control",
        "messages.1.content.0",
        "messages.1.content.1",
        "messages.2.content.0.is_error",
        "tools.1",
        "top_k",
        "thinking.budget_tokens",
    } == set(lost)
    messages = json.loads(sent)["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "user"]
    assert messages[3]["content"] == "broken"
    assert [part["type"] for part in messages[4]["content"]] == ["image_url", "text"]


def test_count_tokens() -> None:
    codec = AnthropicMessages()
    seen: list[Request] = []

    def answer(body: bytes) -> httpx2.Response:
        seen.append(codec.decode_count_request(body))
        return whole(codec.encode_count(42))

    counted = anthropic_client(answer).messages.count_tokens(model="auto", messages=[{"role": "user", "content": "Hi"}])
    assert counted.input_tokens == 42
    assert (Text("Hi"),) == seen[0].messages[0].parts


ERRORS: list[tuple[TrimtabError, type[openai.APIStatusError], type[anthropic.APIStatusError], str]] = [
    (MalformedRequest("m", param="n"), openai.BadRequestError, anthropic.BadRequestError, "invalid_request_error"),
    (Unauthenticated("m"), openai.AuthenticationError, anthropic.AuthenticationError, "authentication_error"),
    (UnknownModel("m"), openai.NotFoundError, anthropic.NotFoundError, "not_found_error"),
    (
        AttemptsExhausted(ProviderError(FailureKind.RATE_LIMIT, "m"), {"a": FailureKind.RATE_LIMIT}),
        openai.RateLimitError,
        anthropic.RateLimitError,
        "rate_limit_error",
    ),
    (NoDeployment("m"), openai.InternalServerError, anthropic.ServiceUnavailableError, "api_error"),
    (
        ProviderError(FailureKind.TRANSIENT, "m", upstream_status=529),
        openai.InternalServerError,
        anthropic.ServiceUnavailableError,
        "overloaded_error",
    ),
]


@pytest.mark.parametrize(
    ("error", "for_openai", "for_anthropic", "kind"), ERRORS, ids=lambda value: getattr(value, "__name__", None)
)
def test_errors_become_the_sdks_own(
    error: TrimtabError, for_openai: type[openai.APIStatusError], for_anthropic: type[anthropic.APIStatusError], kind: str
) -> None:
    status = client_status(error)
    with pytest.raises(for_openai) as seen:
        openai_client(lambda _: httpx2.Response(status, content=OPENAI.encode_error(error))).chat.completions.create(
            model="m", messages=[]
        )
    assert "m" in seen.value.message
    assert (seen.value.code, seen.value.param) == (
        json.loads(OPENAI.encode_error(error))["error"]["code"],
        getattr(error, "param", None),
    )
    with pytest.raises(for_anthropic) as also:
        anthropic_client(lambda _: httpx2.Response(status, content=ANTHROPIC.encode_error(error))).messages.create(
            model="m", max_tokens=1, messages=[]
        )
    assert kind == also.value.type


def test_case_03_an_error_inside_a_stream_is_raised_by_the_sdks() -> None:
    failure = ProviderError(FailureKind.TRANSIENT, "The upstream went away.", detail="stream_truncated")

    def cut(dialect: Dialect, body: bytes) -> httpx2.Response:
        encoder = CODECS[dialect].stream_encoder(CODECS[dialect].decode_request(body), "d")
        said = encoder.encode(Frame((Started("i", "m"), TextDelta("so far"))), same_dialect=False)
        return sse(said + encoder.error(failure))

    chat = openai_client(lambda body: cut(Dialect.OPENAI_CHAT, body))
    chunks = chat.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}], stream=True)
    told: list[str | None] = []
    with pytest.raises(openai.APIError, match="went away"):
        told += [chunk.choices[0].delta.content for chunk in chunks]
    messages = anthropic_client(lambda body: cut(Dialect.ANTHROPIC, body))
    with (
        pytest.raises(anthropic.APIStatusError, match="went away"),
        messages.messages.stream(model="m", max_tokens=1, messages=[{"role": "user", "content": "?"}]) as stream,
    ):
        assert list(stream.text_stream) == ["so far"]


def test_a_refusal_is_carried_as_text_where_there_is_no_word_for_it() -> None:
    response = Response("i", "m", (Choice(0, (Refusal("No."),), FinishReason.CONTENT_FILTER),), Usage())
    client = anthropic_client(lambda _: whole(ANTHROPIC.encode_response(response, "d")))
    answer = client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "?"}])
    assert (answer.stop_reason, answer.content[0].text if answer.content[0].type == "text" else "") == ("refusal", "No.")


@settings(max_examples=30, deadline=None)
@given(some.responses())
def test_the_sdks_types_take_every_whole_answer(response: Response) -> None:
    ChatCompletion.model_validate_json(OPENAI.encode_response(response, "d"), strict=True)
    AnthropicMessage.model_validate_json(ANTHROPIC.encode_response(response, "d"), strict=True)


@settings(max_examples=20, deadline=None)
@given(some.responses())
def test_the_sdks_fold_every_stream(response: Response) -> None:
    def stream(dialect: Dialect, body: bytes) -> httpx2.Response:
        encoder = CODECS[dialect].stream_encoder(CODECS[dialect].decode_request(body), "d")
        return sse(encoder.encode(Frame(tuple(unfold(response))), same_dialect=False))

    texts = "".join(part.text for part in response.choices[0].parts if isinstance(part, Text))
    inputs = [json.loads(part.arguments) for part in response.choices[0].parts if isinstance(part, ToolCall)]
    client = anthropic_client(lambda body: stream(Dialect.ANTHROPIC, body))
    with client.messages.stream(model="m", max_tokens=1, messages=[{"role": "user", "content": "?"}]) as events:
        message = events.get_final_message()
    assert texts == "".join(block.text for block in message.content if block.type == "text")
    assert inputs == [block.input for block in message.content if block.type == "tool_use"]
    chat = openai_client(lambda body: stream(Dialect.OPENAI_CHAT, body))
    chunks = list(chat.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}], stream=True))
    assert texts == "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
