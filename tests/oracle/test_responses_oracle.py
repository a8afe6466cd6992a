"""The official ``openai`` package on OpenAI Responses: it writes the requests that we read, and takes all that we write, event by event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest
from hypothesis import given, settings
from openai import AsyncOpenAI
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response as SDKResponse
from openai.types.responses import ResponseInputParam, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter
from tests import strategies as some

from trimtab.core.errors import FailureKind, MalformedRequest, NoDeployment, ProviderError, TrimtabError
from trimtab.core.events import (
    Ended,
    Finished,
    Frame,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    fold,
    unfold,
)
from trimtab.core.messages import Dialect, Document, FinishReason, Image, Reasoning, Response, Text, ToolCall, ToolChoice
from trimtab.core.units import Usage
from trimtab.lab.faults import FaultyUpstream, Speak, speak
from trimtab.lab.upstream.answers import HELLO, TOOLS, Answer
from trimtab.lab.upstream.delivery import Cut, ErrorEvent, Form, Split
from trimtab.wire import CODECS, SSEDecoder, UpstreamErrorEvent, client_status
from trimtab.wire.openai_responses import conversation

CODEC = CODECS[Dialect.OPENAI_RESPONSES]
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)

WEATHER: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
USAGE = Usage(input=100, output=20, cache_read=60, cache_write=10, reasoning=5)
# Two parallel calls whose pieces interleave, as servers of the chat dialect may send them.
INTERLEAVED = (
    Started("answer-1", "big-model", 1_700_000_000),
    ReasoningDelta("h"),
    ReasoningDelta("m"),
    ReasoningDelta(signature="seal", signer=Dialect.OPENAI_RESPONSES),
    TextDelta("Let me ", block=1),
    TextDelta("look.", block=1),
    TextDelta("Twice.", block=2),
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


def client(answer: Callable[[bytes], httpx2.Response]) -> openai.OpenAI:
    transport = httpx2.MockTransport(lambda request: answer(request.read()))
    return openai.OpenAI(api_key="k", base_url="http://127.0.0.1", max_retries=0, http_client=httpx2.Client(transport=transport))


def sse(body: bytes) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)


def whole(body: bytes) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=body)


def streamed(body: bytes) -> bytes:
    encoder = CODEC.stream_encoder(CODEC.decode_request(body), "d")
    return b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in INTERLEAVED)


def strictly(written: bytes) -> list[ResponseStreamEvent]:
    """Every event, held against the SDK's types without leniency."""
    return [EVENT.validate_json(event.data, strict=True) for event in SSEDecoder().feed(written)]


# -- what we write ------------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(some.responses())
def test_the_types_take_every_whole_answer(response: Response) -> None:
    SDKResponse.model_validate_json(CODEC.encode_response(response, "d"), strict=True)


@settings(max_examples=30, deadline=None)
@given(some.responses())
def test_the_sdk_folds_every_stream_into_the_whole_answer(response: Response) -> None:
    encoder = CODEC.stream_encoder(CODEC.decode_request(b'{"model":"m","input":"?"}'), "d")
    state = ResponseStreamState(input_tools=omit, text_format=omit)
    events = strictly(encoder.encode(Frame(tuple(unfold(response))), same_dialect=False))
    gathered: list[str] = []
    for event in events:
        gathered += [
            told.snapshot
            for told in state.handle_event(event)
            if told.type in ("response.output_text.delta", "response.function_call_arguments.delta")
        ]
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    assert SDKResponse.model_validate_json(CODEC.encode_response(response, "d")) == last.response
    assert (state._completed_response is not None) == (last.type == "response.completed")
    parts = response.choices[0].parts
    assert [said for part in parts if (said := getattr(part, "arguments", None) or getattr(part, "text", ""))] == [
        *(part.text for part in parts if isinstance(part, Reasoning)),
        *gathered,
    ]


def test_a_stream_with_interleaved_calls() -> None:
    sdk = client(lambda body: sse(streamed(body)))
    strictly(streamed(b'{"model":"m","input":"?"}'))
    with sdk.responses.stream(model="auto", input="?") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.function_call_arguments.delta"]
        answer = stream.get_final_response()
    assert snapshots[-2:] == ['{"city": "Paris"}', '{"city": "Rome"}']
    assert [item.type for item in answer.output] == ["reasoning", "message", "function_call", "function_call"]
    thought, message, *calls = answer.output
    assert thought.type == "reasoning"
    assert ([part.text for part in thought.summary], thought.encrypted_content) == (["hm"], "seal")
    assert message.type == "message"
    assert [part.text for part in message.content if part.type == "output_text"] == ["Let me look.", "Twice."]
    assert [(call.call_id, call.arguments) for call in calls if call.type == "function_call"] == [
        ("call_1", '{"city": "Paris"}'),
        ("call_2", '{"city": "Rome"}'),
    ]
    assert answer.usage is not None
    assert (
        answer.usage.input_tokens,
        answer.usage.input_tokens_details.cached_tokens,
        answer.usage.input_tokens_details.cache_write_tokens,
        answer.usage.output_tokens,
        answer.usage.output_tokens_details.reasoning_tokens,
        answer.usage.total_tokens,
    ) == (100, 60, 10, 20, 5, 120)


def test_a_whole_answer() -> None:
    sdk = client(lambda _: whole(CODEC.encode_response(fold(INTERLEAVED), "d")))
    answer = sdk.responses.create(model="auto", input="?")
    assert (answer.id, answer.model, answer.created_at, answer.status) == ("answer-1", "big-model", 1_700_000_000, "completed")
    assert answer.output_text == "Let me look.Twice."


@pytest.mark.parametrize(
    "reason, why", [(FinishReason.LENGTH, "max_output_tokens"), (FinishReason.CONTENT_FILTER, "content_filter")]
)
def test_an_answer_that_was_cut(reason: FinishReason, why: str) -> None:
    events = (Started("i", "m"), TextDelta("so "), TextDelta("far"), Finished(reason), Ended())
    encoder = CODEC.stream_encoder(CODEC.decode_request(b'{"model":"m","input":"?"}'), "d")
    last = strictly(encoder.encode(Frame(events), same_dialect=False))[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert (last.response.incomplete_details.reason, last.response.output_text) == (why, "so far")
    assert last.response.output[0].type == "message"
    assert last.response.output[0].status == "incomplete"
    assert last.response.usage is None


def test_a_refusal() -> None:
    events = (Started("i", "m"), TextDelta("I "), RefusalDelta("can"), RefusalDelta("not"), Finished(FinishReason.STOP), Ended())
    encoder = CODEC.stream_encoder(CODEC.decode_request(b'{"model":"m","input":"?"}'), "d")
    read = strictly(encoder.encode(Frame(events), same_dialect=False))
    assert [event.refusal for event in read if event.type == "response.refusal.done"] == ["cannot"]
    last = read[-1]
    assert last.type == "response.completed"
    assert last.response.output[0].type == "message"
    assert [part.type for part in last.response.output[0].content] == ["output_text", "refusal"]


ERRORS: list[tuple[TrimtabError, type[openai.APIStatusError]]] = [
    (MalformedRequest("m", param="n"), openai.BadRequestError),
    (ProviderError(FailureKind.RATE_LIMIT, "m"), openai.RateLimitError),
    (NoDeployment("m"), openai.InternalServerError),
]


@pytest.mark.parametrize("error, kind", ERRORS, ids=lambda value: getattr(value, "__name__", None))
def test_errors_become_the_sdks_own(error: TrimtabError, kind: type[openai.APIStatusError]) -> None:
    with pytest.raises(kind) as seen:
        client(lambda _: httpx2.Response(client_status(error), content=CODEC.encode_error(error))).responses.create(model="m")
    assert seen.value.param == getattr(error, "param", None)


@pytest.mark.parametrize("forwarded", (True, False))
def test_an_error_inside_a_stream_is_raised(forwarded: bool) -> None:
    failure = ProviderError(FailureKind.TRANSIENT, "The upstream went away.", detail="stream_truncated")
    told: list[bytes] = []

    def cut(body: bytes) -> httpx2.Response:
        request = CODEC.decode_request(body)
        said = CODEC.stream_encoder(request, "d").encode(Frame((Started("i", "m"), TextDelta("so far"))), same_dialect=False)
        encoder, decoder = CODEC.stream_encoder(request, "d"), CODEC.stream_decoder()
        frames = [decoder.feed(event) for event in SSEDecoder().feed(said)]
        told.append(b"".join(encoder.encode(frame, same_dialect=forwarded) for frame in frames) + encoder.error(failure))
        return sse(told[0])

    stream = client(cut).responses.create(model="m", input="?", stream=True)
    texts: list[str] = []
    with pytest.raises(openai.APIError, match="went away"):
        texts += [event.delta for event in stream if event.type == "response.output_text.delta"]
    read = strictly(told[0])
    assert list(range(len(read))) == [event.sequence_number for event in read]
    assert [event.type for event in read[-2:]] == ["error", "response.failed"]
    last = read[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert (last.response.id, last.response.status, last.response.error.code) == ("i", "failed", "server_error")


# -- what we read -------------------------------------------------------------------------------------------------------------------


class Place(BaseModel):
    city: str


ITEMS: ResponseInputParam = [
    {"role": "developer", "content": "Be brief."},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
            {"type": "input_image", "file_id": "file-1", "detail": "auto"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            {"type": "input_file", "file_url": "https://x.test/b.pdf"},
        ],
    },
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "seal"},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "phase": "commentary",
        "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}],
    },
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "Sun"}]},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
    {"role": "user", "content": "And now?"},
]


def captured(call: Callable[[openai.OpenAI], object]) -> bytes:
    """The body that the SDK sends."""
    seen: list[bytes] = []

    def answer(body: bytes) -> httpx2.Response:
        seen.append(body)
        return httpx2.Response(418)

    with pytest.raises(openai.APIStatusError):
        call(client(answer))
    return seen[0]


def test_a_request_as_the_sdk_writes_it() -> None:
    body = captured(
        lambda sdk: sdk.responses.parse(
            model="auto",
            instructions="Be kind.",
            input=ITEMS,
            tools=[
                {"type": "function", "name": "weather", "parameters": WEATHER, "strict": True},
                {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.test", "require_approval": "never"},
                {"type": "web_search"},
            ],
            tool_choice={"type": "function", "name": "weather"},
            parallel_tool_calls=False,
            text_format=Place,
            text={"verbosity": "low"},
            reasoning={"effort": "low", "summary": "auto"},
            include=["message.output_text.logprobs", "reasoning.encrypted_content"],
            top_logprobs=3,
            max_output_tokens=70,
            temperature=0.5,
            top_p=0.9,
            truncation="auto",
            metadata={"a": "b"},
            user="u",
            store=True,
        )
    )
    request = CODEC.decode_request(body)
    assert [message.role for message in request.messages] == ["system", "system", "user", "assistant", "tool", "tool", "user"]
    kinds = [[type(part).__name__ for part in message.parts] for message in request.messages]
    assert kinds[2:4] == [["Text", "Image", "Opaque", "Document", "Document"], ["Reasoning", "Text", "ToolCall", "Opaque"]]
    assert Image(data="AA==", media_type="image/png", detail="low") == request.messages[2].parts[1]
    assert Document(url="https://x.test/b.pdf") == request.messages[2].parts[4]
    assert Reasoning("hm", "seal", signer=Dialect.OPENAI_RESPONSES) == request.messages[3].parts[0]
    assert [tool.builtin for tool in request.tools] == [None, "mcp", "web_search"]
    assert (ToolChoice("tool", "weather"), False) == (request.tool_choice, request.parallel_tool_calls)
    assert request.output is not None
    assert (request.output.kind, request.output.name, request.output.strict) == ("json_schema", "Place", True)
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.logprobs, sampling.top_logprobs, sampling.reasoning_effort) == (70, True, 3, "low")
    extras = {"truncation", "metadata", "include", "reasoning.summary", "text.verbosity", "input.3.phase"}
    assert extras == set(request.extras)
    sent, lost = CODECS[Dialect.OPENAI_CHAT].encode_request(request, "gpt")
    # The file by its id and the file by its URL; the thinking; the search that OpenAI made itself; a result of nobody's call.
    parts = {"input.1.content.2", "input.1.content.4", "input.2.content.0", "input.2.content.3", "input.7.content.0"}
    assert extras | parts | {"tools.1", "tools.2"} == set(lost)
    roles = [message["role"] for message in json.loads(sent)["messages"]]
    assert roles == ["system", "system", "user", "assistant", "tool", "user"]


def test_mcp_tools_and_unknown_items_pass_unharmed() -> None:
    body = captured(
        lambda sdk: sdk.responses.create(
            model="auto",
            input=ITEMS,
            tools=[{"type": "mcp", "server_label": "docs", "headers": {"a": "b"}, "allowed_tools": ["t"]}],
        )
    )
    sent = CODEC.forward_request(CODEC.decode_request(body), "gpt", want_usage=True)
    assert json.loads(body) | {"model": "gpt", "store": False} == json.loads(sent)


def test_a_conversation_with_the_sdks_own_answers() -> None:
    kept = conversation.items_of_output(CODEC.encode_response(fold(INTERLEAVED), "d"))
    expanded = conversation.expand(
        captured(lambda sdk: sdk.responses.create(model="m", input="And?", previous_response_id="answer-1")), kept
    )
    request = CODEC.decode_request(expanded)
    assert [message.role for message in request.messages] == ["assistant", "user"]
    assert request.messages[0].parts == (
        Reasoning("hm", "seal", signer=Dialect.OPENAI_RESPONSES),
        Text("Let me look."),
        Text("Twice."),
        ToolCall("call_1", "weather", '{"city": "Paris"}'),
        ToolCall("call_2", "weather", '{"city": "Rome"}'),
    )


def test_a_chat_request_becomes_one_that_the_types_know() -> None:
    request = CODECS[Dialect.OPENAI_CHAT].decode_request(
        json.dumps(
            {
                "model": "auto",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test"}}]},
                    {
                        "role": "assistant",
                        "content": "Let me look.",
                        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                    },
                    {"role": "tool", "tool_call_id": "c", "content": "Sun"},
                ],
                "tools": [{"type": "function", "function": {"name": "f", "parameters": WEATHER}}],
                "stop": "END",
                "seed": 1,
                "logprobs": True,
                "n": 2,
            }
        ).encode()
    )
    sent, lost = CODEC.encode_request(request, "gpt")
    body = json.loads(sent)
    TypeAdapter(ResponseInputParam).validate_python(body["input"])
    assert (body["instructions"], body["store"]) == ("Be brief.", False)
    assert [item["type"] for item in body["input"]] == ["message", "message", "function_call", "function_call_output"]
    assert {"stop", "seed", "n"} == set(lost)
    assert body["include"] == ["message.output_text.logprobs"]


# -- the lab ------------------------------------------------------------------------------------------------------------------------

THOUGHTFUL = Answer(text=("Fo", "ur"), thinking="two and two", output_tokens=3)


@asynccontextmanager
async def asking(upstream: FaultyUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="lab", max_retries=0) as sdk:
        yield sdk


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(speak(HELLO), id="text"),
        pytest.param(speak(TOOLS), id="tools"),
        pytest.param(speak(THOUGHTFUL), id="thinking"),
        pytest.param(speak(HELLO, Split(1)), id="bytes"),
        pytest.param(speak(HELLO, form=Form(newline="crlf")), id="crlf"),
    ],
)
async def test_the_sdk_takes_what_the_lab_says_and_so_do_we(behaviour: Speak) -> None:
    async with FaultyUpstream(behaviour) as upstream, asking(upstream) as sdk:
        answer = await sdk.responses.create(model="m", input="hi")
        async with sdk.responses.stream(model="m", input="hi") as stream:
            final = await stream.get_final_response()
        sent = [bytes(exchange.sent) for exchange in upstream.exchanges]
    SDKResponse.model_validate(answer.to_dict(), strict=True)
    assert answer.output_text == final.output_text == "".join(behaviour.answer.text)
    assert final.usage is not None
    assert final.usage.total_tokens == behaviour.answer.input_tokens + behaviour.answer.output_tokens
    decoder = CODEC.stream_decoder()
    read = fold(event for told in SSEDecoder().feed(sent[1]) for event in decoder.feed(told).events)
    said = fold(CODEC.decode_response(sent[0]).events)
    assert said.choices == read.choices
    texts = "".join(part.text for part in read.choices[0].parts if isinstance(part, Text))
    calls = [(part.name, part.arguments) for part in read.choices[0].parts if isinstance(part, ToolCall)]
    assert texts == "".join(behaviour.answer.text)
    assert calls == [(call.name, call.arguments) for call in behaviour.answer.calls]
    assert (read.usage.input, read.usage.output) == (behaviour.answer.input_tokens, behaviour.answer.output_tokens)


async def test_an_error_of_the_labs_is_raised_by_the_sdk_and_by_us() -> None:
    async with FaultyUpstream(speak(HELLO, ErrorEvent(after=2))) as upstream, asking(upstream) as sdk:
        stream = await sdk.responses.create(model="m", input="hi", stream=True)
        with pytest.raises(openai.APIError, match="overloaded"):
            [event async for event in stream]
        sent = bytes(upstream.exchanges[0].sent)
    decoder = CODEC.stream_decoder()
    events = SSEDecoder().feed(sent)
    with pytest.raises(UpstreamErrorEvent) as caught:
        [decoder.feed(told) for told in events]
    assert (caught.value.error.code, caught.value.error.message) == ("server_error", "The server is currently overloaded.")


async def test_a_stream_that_is_cut_has_no_last_word() -> None:
    async with FaultyUpstream(speak(HELLO, Cut(after=2, how="end"))) as upstream, asking(upstream) as sdk:
        async with sdk.responses.stream(model="m", input="hi") as stream:
            with pytest.raises(RuntimeError, match=r"response\.completed"):
                await stream.get_final_response()
        sent = bytes(upstream.exchanges[0].sent)
    decoder = CODEC.stream_decoder()
    assert not any(decoder.feed(told).is_last for told in SSEDecoder().feed(sent))
