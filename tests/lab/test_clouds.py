"""Amazon Bedrock in the lab: AWS's own client and Anthropic's are the oracles of what it says and of which signatures it accepts; the way
through our signer, framing and codec is held against it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import botocore.session
import pytest
from anthropic import AsyncAnthropicBedrock
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from tests.net.exits import BOUNDARY, PUBLIC

from trimtab.core.events import Frame, fold
from trimtab.core.messages import Dialect, FinishReason, Message, Reasoning, Request, Response, Text, Tool, ToolCall
from trimtab.core.units import Usage
from trimtab.core.zones import Secret
from trimtab.lab.faults import FAILURES, Behaviour, FaultyUpstream, Status, speak
from trimtab.lab.upstream import HELLO, TOOLS, Answer, Cut, CutBytes, Drop, ErrorEvent, Split, SplitCharacters, Strange
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers.auth import AWSKey, SigV4Signer
from trimtab.providers.failures import classify
from trimtab.wire import (
    AnthropicMessages,
    ChunkedEventStreamDecoder,
    Converse,
    EventStreamDecoder,
    UpstreamCodec,
    UpstreamErrorEvent,
)

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # the one of AWS's documentation
MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
THINKING = Answer(thinking="Let me see.", text=("Four.",), calls=(*TOOLS.calls,), finish="tool_calls")
ANSWERS = {"hello": HELLO, "tools": TOOLS, "thinking": THINKING}
MESSAGES = [{"role": "user", "content": [{"text": "hi"}]}]


def upstream(*script: Behaviour) -> FaultyUpstream:
    return FaultyUpstream(*script, aws_secret=SECRET)


def aws_client(url: str, secret: str = SECRET) -> Any:
    return botocore.session.get_session().create_client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=secret,
        aws_session_token="a-session-token",
        config=Config(retries={"total_max_attempts": 1}),
    )


async def by_aws(there: FaultyUpstream, call: Callable[[Any], Any], secret: str = SECRET) -> Any:
    return await asyncio.to_thread(lambda: call(aws_client(there.url, secret)))


# -- the lab and the clouds' own clients


@pytest.mark.parametrize("model", [MODEL, ARN])
async def test_awss_client_reads_an_answer(model: str) -> None:
    async with upstream(speak(THINKING)) as there:
        tools = {"tools": [{"toolSpec": {"name": "get_time", "inputSchema": {"json": {"type": "object"}}}}]}
        answer = await by_aws(there, lambda client: client.converse(modelId=model, messages=MESSAGES, toolConfig=tools))
    blocks = answer["output"]["message"]["content"]
    assert [next(iter(block)) for block in blocks] == ["reasoningContent", "text", "toolUse", "toolUse"]
    assert [block["toolUse"]["input"] for block in blocks[2:]] == [json.loads(call.arguments) for call in TOOLS.calls]
    assert (answer["stopReason"], answer["usage"]["inputTokens"]) == ("tool_use", THINKING.input_tokens)


async def test_awss_client_reads_a_stream() -> None:
    async with upstream(speak(HELLO)) as there:
        events = await by_aws(there, lambda client: list(client.converse_stream(modelId=MODEL, messages=MESSAGES)["stream"]))
    names = [next(iter(event)) for event in events]
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
    assert (names[0], names[-2:], text) == ("messageStart", ["messageStop", "metadata"], "".join(HELLO.text))


async def test_awss_client_is_told_what_went_wrong() -> None:
    async with upstream(speak(HELLO, ErrorEvent(after=2))) as there:
        with pytest.raises(ClientError, match="InvalidSignatureException"):
            await by_aws(there, lambda client: client.converse(modelId=MODEL, messages=MESSAGES), "another secret")
        with pytest.raises(EventStreamError, match="internalServerException"):
            await by_aws(there, lambda client: list(client.converse_stream(modelId=MODEL, messages=MESSAGES)["stream"]))


async def test_anthropics_client_reads_a_stream() -> None:
    async with FaultyUpstream(speak(HELLO)) as there:
        client = AsyncAnthropicBedrock(api_key="a-key", aws_region="eu-west-1", base_url=there.url, max_retries=0)
        asked: list[Any] = [{"role": "user", "content": "hi"}]
        async with client.messages.stream(model=MODEL, max_tokens=9, messages=asked) as stream:
            message = await stream.get_final_message()
        whole = await client.messages.create(model=MODEL, max_tokens=9, messages=asked)
        await client.close()
    for found in (message, whole):
        assert [block.text for block in found.content if block.type == "text"] == ["".join(HELLO.text)]


# -- our own way there


def asked(**fields: Any) -> Request:
    return Request(
        dialect=Dialect.OPENAI_CHAT, model="auto", messages=(Message("user", (Text("hi"),)),), tools=(Tool("f"),), **fields
    )


class Door:
    def __init__(self, codec: UpstreamCodec, action: str, framing: type[EventStreamDecoder | ChunkedEventStreamDecoder]) -> None:
        self.codec, self.action, self.framing = codec, action, framing


CONVERSE = Door(Converse(), "converse-stream", EventStreamDecoder)
INVOKE = Door(AnthropicMessages("bedrock"), "invoke-with-response-stream", ChunkedEventStreamDecoder)
DOORS = pytest.mark.parametrize("door", [CONVERSE, INVOKE], ids=["converse", "invoke"])


@asynccontextmanager
async def signed_egress(url: str) -> AsyncIterator[Egress]:
    signer = SigV4Signer(AWSKey("AKIDEXAMPLE", Secret(SECRET), Secret("a-session-token")), region="eu-west-1")
    egress = Egress(Receivers(BOUNDARY, [Receiver(id="bedrock", base_url=url, zone="any", signer=signer)]))
    try:
        yield egress
    finally:
        await egress.aclose()


async def frames_from(there: FaultyUpstream, door: Door, model: str = MODEL) -> tuple[list[Frame], bool]:
    """The frames, and whether the stream was cut inside an event."""
    body, _ = door.codec.encode_request(asked(stream=True), model)
    path, headers = f"/model/{quote(model, safe='')}/{door.action}", {"content-type": "application/json"}
    framing, decoder, found = door.framing(), door.codec.stream_decoder(), list[Frame]()
    async with (
        signed_egress(there.url) as egress,
        egress.post("bedrock", path, body, carried=PUBLIC, headers=headers, connect_timeout=2) as answer,
    ):
        assert (answer.status, answer.headers["content-type"]) == (200, "application/vnd.amazon.eventstream")
        async for chunk in answer.chunks():
            found += [decoder.feed(event) for event in framing.feed(chunk)]
    return found, framing.pending


def expected(answer: Answer) -> tuple[Any, ...]:
    thought = (Reasoning(answer.thinking, "bGFiLXNpZ25hdHVyZQ==", signer=Dialect.ANTHROPIC),) if answer.thinking else ()
    said = (Text("".join(answer.text)),) if answer.text else ()
    return (*thought, *said, *((call.name, call.arguments) for call in answer.calls))


def parts(response: Response) -> tuple[Any, ...]:
    (choice,) = response.choices
    return tuple((part.name, part.arguments) if isinstance(part, ToolCall) else part for part in choice.parts)


@DOORS
@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("model", [MODEL, ARN])
async def test_a_signed_stream_is_read(door: Door, name: str, model: str) -> None:
    answer = ANSWERS[name]
    async with upstream(speak(answer, Strange())) as there:
        frames, is_cut = await frames_from(there, door, model)
    response = fold(event for frame in frames for event in frame.events)
    assert (parts(response), frames[-1].is_last, is_cut) == (expected(answer), True, False)
    assert response.choices[0].finish_reason is (FinishReason.TOOL_CALLS if answer.calls else FinishReason.STOP)
    assert (response.usage.input, response.usage.output) == (answer.input_tokens, answer.output_tokens)


@DOORS
@pytest.mark.parametrize("fault", [Split(1), SplitCharacters()], ids=["bytes", "characters"])
async def test_packets_may_end_anywhere(door: Door, fault: Any) -> None:
    async with upstream(speak(HELLO, fault)) as there:
        frames, _ = await frames_from(there, door)
    assert parts(fold(event for frame in frames for event in frame.events)) == expected(HELLO)


@DOORS
async def test_an_end_before_the_end_is_noticed(door: Door) -> None:
    async with upstream(speak(HELLO, Cut(after=3, how="end")), speak(HELLO, CutBytes(after=1000, how="end"))) as there:
        frames, is_cut = await frames_from(there, door)
        assert (frames[-1].is_last, is_cut) == (False, False)
        frames, is_cut = await frames_from(there, door)
        assert (frames[-1].is_last, is_cut) == (False, True)


async def test_a_stream_without_its_metadata_is_complete_and_uncounted() -> None:
    async with upstream(speak(HELLO, Drop(("end",)))) as there:
        frames, _ = await frames_from(there, CONVERSE)
    response = fold(event for frame in frames for event in frame.events)
    assert (response.choices[0].finish_reason, response.usage, frames[-1].is_last) == (FinishReason.STOP, Usage(), False)


@DOORS
async def test_a_failure_in_the_stream_is_an_error(door: Door) -> None:
    async with upstream(speak(HELLO, ErrorEvent(after=2))) as there:
        with pytest.raises(UpstreamErrorEvent, match=r"internalServerException|overloaded_error"):
            await frames_from(there, door)


async def post(there: FaultyUpstream, path: str, body: Mapping[str, Any] | bytes) -> tuple[int, Mapping[str, str], bytes]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        signed_egress(there.url) as egress,
        egress.post("bedrock", path, data, carried=PUBLIC, headers={}, connect_timeout=2) as answer,
    ):
        return answer.status, answer.headers, await answer.read(65536)


@pytest.mark.parametrize("door, action", [(CONVERSE, "converse"), (INVOKE, "invoke")], ids=["converse", "invoke"])
async def test_a_whole_answer_is_read(door: Door, action: str) -> None:
    async with upstream(speak(THINKING)) as there:
        _, _, body = await post(there, f"/model/{MODEL}/{action}", door.codec.encode_request(asked(), MODEL)[0])
    assert parts(fold(door.codec.decode_response(body).events))[:2] == expected(THINKING)[:2]


@pytest.mark.parametrize(
    "path, body",
    [
        ("converse", {"messages": MESSAGES, "stream": True}),
        ("converse", {"messages": MESSAGES, "modelId": MODEL}),
        ("invoke", {"messages": [], "max_tokens": 9}),
        ("invoke", {"messages": [], "max_tokens": 9, "anthropic_version": "2023-06-01"}),
        ("invoke", {"messages": [], "max_tokens": 9, "anthropic_version": "bedrock-2023-05-31", "model": "m"}),
        ("invoke", {"messages": [], "max_tokens": 9, "anthropic_version": "bedrock-2023-05-31", "stream": True}),
    ],
)
async def test_the_lab_is_as_strict_as_bedrock(path: str, body: Mapping[str, Any]) -> None:
    async with upstream() as there:
        status, headers, _ = await post(there, f"/model/{MODEL}/{path}", body)
    assert (status, headers["x-amzn-errortype"].partition(":")[0]) == (400, "ValidationException")


@pytest.mark.parametrize("name", [name for name, row in FAILURES.items() if row.dialect is Dialect.CONVERSE])
async def test_what_bedrock_says_is_understood(name: str) -> None:
    row = FAILURES[name]
    async with upstream(row) as there:
        status, headers, body = await post(there, f"/model/{MODEL}/converse", {"messages": MESSAGES})
        with pytest.raises(ClientError) as raised:
            await by_aws(there, lambda client: client.converse(modelId=MODEL, messages=MESSAGES))
    error = classify(status, Converse().decode_error(body), headers, who="there", now=0.0)
    assert (error.kind, error.detail) == (row.kind, raised.value.response["Error"]["Code"])


async def test_a_script_decides_here_too() -> None:
    async with upstream(Status(429, b'{"message":"slow"}')) as there:
        assert (await post(there, f"/model/{MODEL}/converse", {"messages": MESSAGES}))[0] == 429
