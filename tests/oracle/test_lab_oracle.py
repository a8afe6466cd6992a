"""The official SDKs parse everything that the lab says on its healthy paths, over real loopback HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import TextBlock, ThinkingBlock, ToolUseBlock
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageFunctionToolCall, ChatCompletionMessageParam

from trimtab.core.messages import Dialect
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.lab.upstream.answers import HELLO, TOOLS, Answer, answer
from trimtab.lab.upstream.bodies import FAILURES
from trimtab.lab.upstream.delivery import Drop, ErrorEvent, Fault, Form, Pace, Split, SplitCharacters, Strange

TEXT = "".join(HELLO.text)
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
THOUGHTFUL = Answer(text=("Four",), thinking="two and two", output_tokens=3)
LIBERTIES = {
    "bytes": speak(HELLO, Split(1)),
    "characters": speak(HELLO, SplitCharacters()),
    "cr": speak(HELLO, form=Form(newline="cr")),
    "crlf": speak(HELLO, form=Form(newline="crlf")),
    "mixed": speak(HELLO, form=Form(newline="mixed")),
    "no space": speak(HELLO, form=Form(space=False)),
    "strange": speak(HELLO, Strange()),
    "paced": speak(HELLO, Pace(first=0.01, each=0.001)),
}


@asynccontextmanager
async def openai_client(upstream: FaultyUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="lab", max_retries=0) as client:
        yield client


@asynccontextmanager
async def anthropic_client(upstream: FaultyUpstream) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=upstream.url, api_key="lab", max_retries=0) as client:
        yield client


async def test_openai_whole_answer() -> None:
    async with FaultyUpstream() as upstream, openai_client(upstream) as client:
        chat = await client.chat.completions.create(model="m", messages=ASK)
    (choice,) = chat.choices
    assert (choice.message.content, choice.finish_reason, chat.model) == (TEXT, "stop", "m")
    assert chat.usage is not None
    assert (chat.usage.prompt_tokens, chat.usage.completion_tokens, chat.usage.total_tokens) == (12, 7, 19)


async def test_openai_two_choices() -> None:
    async with FaultyUpstream() as upstream, openai_client(upstream) as client:
        chat = await client.chat.completions.create(model="m", messages=ASK, n=2)
        assert [choice.message.content for choice in chat.choices] == [TEXT, TEXT]
        texts = ["", ""]
        async for chunk in await client.chat.completions.create(model="m", messages=ASK, n=2, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
        assert texts == [TEXT, TEXT]


@pytest.mark.parametrize("liberty", LIBERTIES)
async def test_openai_stream_in_every_form(liberty: str) -> None:
    async with FaultyUpstream(LIBERTIES[liberty]) as upstream, openai_client(upstream) as client:
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


async def test_openai_usage_comes_last_and_only_when_asked() -> None:
    async with FaultyUpstream() as upstream, openai_client(upstream) as client:
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 19
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_openai_parallel_tools() -> None:
    async with FaultyUpstream(speak(TOOLS)) as upstream, openai_client(upstream) as client:
        chat = await client.chat.completions.create(model="m", messages=ASK)
        async with client.chat.completions.stream(model="m", messages=ASK) as stream:
            streamed = await stream.get_final_completion()
    for calls in (chat.choices[0].message.tool_calls, streamed.choices[0].message.tool_calls):
        assert calls is not None
        functions = [call for call in calls if isinstance(call, ChatCompletionMessageFunctionToolCall)]
        assert [(call.function.name, json.loads(call.function.arguments)) for call in functions] == [
            (call.name, json.loads(call.arguments)) for call in TOOLS.calls
        ]
    assert streamed.choices[0].finish_reason == "tool_calls"


async def test_openai_lists_the_faults_as_models() -> None:
    async with FaultyUpstream() as upstream, openai_client(upstream) as client:
        names = [model.id async for model in client.models.list()]
        assert {"fault:reset-after", "fault:openai.quota"} <= set(names)
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="fault:openai.quota", messages=ASK)
        with pytest.raises(openai.NotFoundError, match="names no fault"):
            await client.chat.completions.create(model="fault:no-such", messages=ASK)


async def test_openai_errors() -> None:
    rows = [row for row in FAILURES.values() if row.dialect is Dialect.OPENAI_CHAT]
    async with FaultyUpstream(*rows) as upstream, openai_client(upstream) as client:
        for row in rows:
            with pytest.raises(openai.APIStatusError) as caught:
                await client.chat.completions.create(model="m", messages=ASK)
            assert caught.value.status_code == row.status, row.name


@pytest.mark.parametrize("after", [0, 3])
async def test_openai_error_event(after: int) -> None:
    async with FaultyUpstream(speak(HELLO, ErrorEvent(after=after))) as upstream, openai_client(upstream) as client:
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        text = ""
        with pytest.raises(openai.APIError, match="overloaded"):  # noqa: PT012
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
    assert text == "".join(HELLO.text[:after])


async def test_anthropic_whole_answer() -> None:
    async with FaultyUpstream(speak(THOUGHTFUL)) as upstream, anthropic_client(upstream) as client:
        message = await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    thinking, text = message.content
    assert isinstance(thinking, ThinkingBlock)
    assert isinstance(text, TextBlock)
    assert (thinking.thinking, text.text, message.stop_reason) == ("two and two", "Four", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (12, 3)


@pytest.mark.parametrize("liberty", LIBERTIES)
async def test_anthropic_stream_in_every_form(liberty: str) -> None:
    async with (
        FaultyUpstream(LIBERTIES[liberty]) as upstream,
        anthropic_client(upstream) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        text = "".join([part async for part in stream.text_stream])
        message = await stream.get_final_message()
    assert text == TEXT
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 12, 7)


async def test_anthropic_thinking_and_parallel_tools_in_a_stream() -> None:
    said = Answer(text=("Let me see.",), thinking="which tool?", calls=TOOLS.calls, finish="tool_calls")
    async with (
        FaultyUpstream(speak(said)) as upstream,
        anthropic_client(upstream) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        message = await stream.get_final_message()
    thinking, text, *tools = message.content
    assert isinstance(thinking, ThinkingBlock)
    assert thinking.thinking == "which tool?"
    assert thinking.signature
    assert isinstance(text, TextBlock)
    assert [(tool.name, tool.input) for tool in tools if isinstance(tool, ToolUseBlock)] == [
        (call.name, json.loads(call.arguments)) for call in TOOLS.calls
    ]
    assert message.stop_reason == "tool_use"


async def test_anthropic_counts_tokens() -> None:
    async with FaultyUpstream() as upstream, anthropic_client(upstream) as client:
        counted = await client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}])
    assert counted.input_tokens == 12


async def test_anthropic_errors() -> None:
    rows = [row for row in FAILURES.values() if row.dialect is Dialect.ANTHROPIC]
    async with FaultyUpstream(*rows) as upstream, anthropic_client(upstream) as client:
        for row in rows:
            with pytest.raises(anthropic.APIStatusError) as caught:
                await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
            assert caught.value.status_code == row.status, row.name


async def test_anthropic_error_event() -> None:
    async with FaultyUpstream(speak(HELLO, ErrorEvent(after=2))) as upstream, anthropic_client(upstream) as client:
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            async with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream:
                await stream.get_final_message()


@pytest.mark.parametrize("fault", [Drop(("end",)), Drop(("finish", "usage", "end"))])
async def test_a_missing_end_is_silent_in_the_sdks_which_is_why_we_must_notice(fault: Fault) -> None:
    async with FaultyUpstream(speak(answer("all of it"), fault)) as upstream, openai_client(upstream) as client:
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "all of it"
