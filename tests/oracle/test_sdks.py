"""The official SDKs drive the real server in a child process, on the same protocol and across protocols.

Whatever a client SDK can ask of its own API it asks here of both kinds of upstream; what comes back is parsed by the SDK's own models.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from anthropic.types import Message
from openai.types.chat import ChatCompletionMessage
from tests.support.process import Server, server

from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.lab.upstream.answers import TOOLS, Answer

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

CONFIG = """
[starters]
enabled = false

[boundary]
unreadable = "any"

[[deployment]]
id = "chat"
provider = "vllm"
model = "lab-chat"
base_url = "{url}/v1"
zone = "any"
card = "lab"

[[deployment]]
id = "messages"
provider = "anthropic"
model = "lab-messages"
base_url = "{url}"
zone = "any"
card = "lab"
api_key = "env:LAB_KEY"

[[card]]
name = "lab"
context_window = 100000
capabilities = ["tools", "vision", "audio", "documents", "structured_output", "logprobs", "multiple_choices", "reasoning"]
"""

BOTH = pytest.mark.parametrize("model", ["chat", "messages"])
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
    )
).decode()
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream(speak()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(upstream: FaultyUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    home: Path = tmp_path_factory.mktemp("gateway")
    async with server(home, CONFIG.format(url=upstream.url), LAB_KEY="sk-lab-0123456789") as running:
        yield running


@BOTH
async def test_openai_chat(gateway: Server, upstream: FaultyUpstream, model: str) -> None:
    upstream.play(speak("Hello there."))
    raw = await gateway.openai().chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "Hi"}]
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == f"lab-{model}"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 19
    assert raw.headers["x-trimtab-decision"]
    ours = [name for name in raw.headers if name.startswith("x-")]
    assert ours == ["x-trimtab-decision"]


@BOTH
async def test_openai_stream(gateway: Server, upstream: FaultyUpstream, model: str) -> None:
    upstream.play(speak("One two three."))
    stream = await gateway.openai().chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Count"}], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "One two three."
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 12


@BOTH
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_openai_parallel_tools(gateway: Server, upstream: FaultyUpstream, model: str, stream: bool) -> None:
    """Two calls at once keep their ids, names, arguments and order; then their results go back."""
    upstream.play(speak(TOOLS), speak("Both are sunny."))
    client = gateway.openai()
    tools: Any = [{"type": "function", "function": {"name": call.name, "parameters": WEATHER}} for call in TOOLS.calls]
    asked: Any = [{"role": "user", "content": "Weather?"}]
    if stream:
        async with client.chat.completions.stream(model=model, messages=asked, tools=tools) as events:
            message: ChatCompletionMessage = (await events.get_final_completion()).choices[0].message
    else:
        answer = await client.chat.completions.create(model=model, messages=asked, tools=tools)
        assert answer.choices[0].finish_reason == "tool_calls"
        message = answer.choices[0].message
    made = [call for call in message.tool_calls or [] if call.type == "function"]
    assert [(call.function.name, json.loads(call.function.arguments)) for call in made] == [
        (call.name, json.loads(call.arguments)) for call in TOOLS.calls
    ]
    assert len({call.id for call in made}) == len(TOOLS.calls)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in made]
    history: Any = [*asked, message.model_dump(exclude_none=True, exclude={"parsed"}), *results]
    final = await client.chat.completions.create(model=model, messages=history, tools=tools)
    assert final.choices[0].message.content == "Both are sunny."
    sent = json.dumps(json.loads(upstream.exchanges[-1].request.body))
    assert all(call.id in sent for call in made)


@BOTH
async def test_openai_structured_output(gateway: Server, upstream: FaultyUpstream, model: str) -> None:
    upstream.play(speak('{"city": "Paris"}'))
    schema: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": WEATHER, "strict": True}}
    answer = await gateway.openai().chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Where?"}],
        response_format=schema,
    )
    assert json.loads(answer.choices[0].message.content or "") == {"city": "Paris"}
    assert b'"city"' in upstream.exchanges[-1].request.body


@BOTH
async def test_openai_image(gateway: Server, upstream: FaultyUpstream, model: str) -> None:
    upstream.play(speak("A pixel."))
    parts: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    answer = await gateway.openai().chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == "A pixel."
    assert PIXEL.encode() in upstream.exchanges[-1].request.body


@BOTH
async def test_anthropic_message(gateway: Server, upstream: FaultyUpstream, model: str) -> None:
    upstream.play(speak("Hello there."))
    answer = await gateway.anthropic().messages.create(
        model=model, max_tokens=100, system="Be brief.", messages=[{"role": "user", "content": "Hi"}]
    )
    assert [block.text for block in answer.content if block.type == "text"] == ["Hello there."]
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (12, 7)
    assert b"Be brief." in upstream.exchanges[-1].request.body


@BOTH
async def test_anthropic_stream(gateway: Server, upstream: FaultyUpstream, model: str) -> None:
    upstream.play(speak("One two three."))
    async with gateway.anthropic().messages.stream(
        model=model, max_tokens=100, messages=[{"role": "user", "content": "Count"}]
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == "One two three."
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 7


@BOTH
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_anthropic_parallel_tools(gateway: Server, upstream: FaultyUpstream, model: str, stream: bool) -> None:
    upstream.play(speak(TOOLS), speak("Both are sunny."))
    client = gateway.anthropic()
    tools: Any = [{"name": call.name, "input_schema": WEATHER} for call in TOOLS.calls]
    asked: Any = [{"role": "user", "content": "Weather?"}]
    if stream:
        async with client.messages.stream(model=model, max_tokens=100, messages=asked, tools=tools) as events:
            answer: Message = await events.get_final_message()
    else:
        answer = await client.messages.create(model=model, max_tokens=100, messages=asked, tools=tools)
    assert answer.stop_reason == "tool_use"
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [(call.name, json.loads(call.arguments)) for call in TOOLS.calls]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    history: Any = [
        *asked,
        {"role": "assistant", "content": [block.model_dump() for block in answer.content]},
        {"role": "user", "content": results},
    ]
    final = await client.messages.create(model=model, max_tokens=100, messages=history, tools=tools)
    assert [block.text for block in final.content if block.type == "text"] == ["Both are sunny."]


@BOTH
async def test_anthropic_image(gateway: Server, upstream: FaultyUpstream, model: str) -> None:
    upstream.play(speak("A pixel."))
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    answer = await gateway.anthropic().messages.create(
        model=model,
        max_tokens=10,
        messages=[{"role": "user", "content": [image, {"type": "text", "text": "?"}]}],
    )
    assert answer.content
    assert PIXEL.encode() in upstream.exchanges[-1].request.body


async def test_anthropic_thinking_survives_its_own_protocol(gateway: Server, upstream: FaultyUpstream) -> None:
    upstream.play(speak(Answer(thinking="Let me see.", text=("Four.",))))
    async with gateway.anthropic().messages.stream(
        model="messages",
        max_tokens=2000,
        thinking={"type": "enabled", "budget_tokens": 1024},
        messages=[{"role": "user", "content": "2+2?"}],
    ) as stream:
        final = await stream.get_final_message()
    assert [block.thinking for block in final.content if block.type == "thinking"] == ["Let me see."]


async def test_anthropic_count_tokens_and_models(gateway: Server, upstream: FaultyUpstream) -> None:
    counted = await gateway.anthropic().messages.count_tokens(
        model="messages", messages=[{"role": "user", "content": "Hello, world"}]
    )
    assert 0 < counted.input_tokens < 50
    assert {"chat", "messages", "auto"} <= {model.id async for model in gateway.anthropic().models.list()}
    assert {"chat", "messages", "auto"} <= {model.id async for model in gateway.openai().models.list()}


async def test_errors_are_parsed_as_each_protocols_own(gateway: Server) -> None:
    with pytest.raises(openai.NotFoundError) as of_openai:
        await gateway.openai().chat.completions.create(model="chta", messages=[{"role": "user", "content": "Hi"}])
    assert of_openai.value.code == "model_not_found"
    assert "chat" in of_openai.value.message
    with pytest.raises(anthropic.NotFoundError) as of_anthropic:
        await gateway.anthropic().messages.create(model="chta", max_tokens=5, messages=[{"role": "user", "content": "Hi"}])
    assert of_anthropic.value.response.headers["x-trimtab-decision"]
    with pytest.raises(openai.AuthenticationError):
        await openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="tt-wrong").models.list()
    with pytest.raises(anthropic.AuthenticationError):
        await anthropic.AsyncAnthropic(base_url=gateway.url, api_key="tt-wrong", max_retries=0).models.list()
