from __future__ import annotations

import asyncio

import pytest

from trimtab.core.catalog import Deployment, ModelCard, Tier
from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.events import Started, TextDelta, fold
from trimtab.core.messages import Dialect, FinishReason, Message, Request, Response, Text, ToolCall
from trimtab.core.units import Deadline, Usage
from trimtab.lab.clock import ManualClock, virtual
from trimtab.lab.scripted import Fail, Hang, Opened, ScriptedProvider, Wait, calls, fails, says
from trimtab.providers import Provider

REQUEST = Request(dialect=Dialect.OPENAI_CHAT, model="auto", messages=(Message("user", (Text("hi"),)),))
FAR = Deadline(1e9)


def deployment(id: str) -> Deployment:
    return Deployment(
        id=id,
        model=id,
        card=ModelCard(name=id),
        provider="scripted",
        dialect=Dialect.OPENAI_CHAT,
        tier=Tier.MANAGED,
        zone="any",
        base_url="http://scripted.invalid",
    )


async def ask(provider: Provider, id: str) -> Response:
    async with provider.open(deployment(id), REQUEST, FAR) as upstream:
        return fold([event async for frame in upstream.frames for event in frame.events])


@virtual
async def test_says_folds_to_the_text() -> None:
    provider = ScriptedProvider({"a": says("one two  three")})
    answer = await ask(provider, "a")
    assert answer.choices[0].parts == (Text("one two  three"),)
    assert answer.choices[0].finish_reason is FinishReason.STOP
    assert answer.usage == Usage(input=8, output=4)


@virtual
async def test_calls_fold_to_parallel_tool_calls() -> None:
    provider = ScriptedProvider({"a": calls("weather", '{"city": "Oslo"}', ("time", "{}"), usage=None)})
    answer = await ask(provider, "a")
    assert answer.choices[0].parts == (
        ToolCall(id="call_0", name="weather", arguments='{"city": "Oslo"}'),
        ToolCall(id="call_1", name="time", arguments="{}"),
    )
    assert answer.choices[0].finish_reason is FinishReason.TOOL_CALLS
    assert answer.usage == Usage()


@virtual
async def test_scripts_play_in_turn_and_the_last_repeats() -> None:
    provider = ScriptedProvider()
    provider.on("a", fails(FailureKind.RATE_LIMIT, status=429, retry_after=7), says("yes"))
    with pytest.raises(ProviderError) as caught:
        await ask(provider, "a")
    assert (caught.value.kind, caught.value.upstream_status, caught.value.retry_after) == (FailureKind.RATE_LIMIT, 429, 7)
    for _ in range(2):
        assert (await ask(provider, "a")).choices[0].parts == (Text("yes"),)
    assert [call.finished for call in provider.asked("a")] == [False, True, True]
    assert provider.asked("b") == []


@virtual
async def test_a_failure_after_frames_comes_after_those_frames() -> None:
    provider = ScriptedProvider({"a": fails(FailureKind.TRANSIENT, after=says("a b c")[:3])})
    async with provider.open(deployment("a"), REQUEST, FAR) as upstream:
        seen = [(await anext(upstream.frames)).events[0] for _ in range(3)]
        with pytest.raises(ProviderError):
            await anext(upstream.frames)
    assert seen[1:] == [TextDelta("a "), TextDelta("b ")]
    assert provider.calls[0].frames_sent == 3


@virtual
async def test_waits_before_the_first_frame_are_part_of_opening_unless_opened_says_otherwise() -> None:
    clock = ManualClock()
    provider = ScriptedProvider({"slow": (Wait(5), *says("x")), "late": (Opened(), Wait(5), *says("x"))}, clock=clock)
    async with provider.open(deployment("slow"), REQUEST, FAR):
        assert clock.monotonic() == 5
    async with provider.open(deployment("late"), REQUEST, FAR) as upstream:
        assert clock.monotonic() == 5
        await anext(upstream.frames)
        assert clock.monotonic() == 10
    assert [(call.opened_at, call.closed_at) for call in provider.calls] == [(0, 5), (5, 10)]


@virtual
async def test_hang_ends_by_time_out_and_the_call_is_recorded_as_left() -> None:
    provider = ScriptedProvider({"a": (Started(), TextDelta("x"), Hang())})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await ask(provider, "a")
    (call,) = provider.calls
    assert (call.closed_at, call.frames_sent, call.finished) == (30, 2, False)
    assert call.request is REQUEST
    assert call.deadline is FAR


@virtual
async def test_a_missing_script_is_the_tests_error_and_no_providers() -> None:
    with pytest.raises(LookupError, match="'b'"):
        await ask(ScriptedProvider({"a": (Fail(kind=FailureKind.UNKNOWN),)}), "b")
