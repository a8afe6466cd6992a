"""What goes wrong upstream, or in the request, reaches the client as its own SDK's error, with the next step."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
import pytest
from tests.support.serving import KEY, UPSTREAM_KEY, anthropic_door, openai_door, serving

from trimtab.core.record import OutcomeKind
from trimtab.core.units import FREE, NanoUSD
from trimtab.lab.faults import FAILURES, FaultyUpstream, Status, speak

ASKED: Any = [{"role": "user", "content": "Hi"}]
HEADERS = {"authorization": f"Bearer {KEY}"}

UPSTREAM = pytest.mark.parametrize(
    ("failure", "of_openai", "of_anthropic", "status"),
    [
        ("openai.rate_limit", openai.RateLimitError, anthropic.RateLimitError, 429),
        ("openai.context_length", openai.BadRequestError, anthropic.BadRequestError, 400),
        ("openai.credential", openai.InternalServerError, anthropic.InternalServerError, 502),
    ],
)


@UPSTREAM
async def test_upstream_errors_are_each_protocols_own(
    failure: str, of_openai: type[openai.APIStatusError], of_anthropic: type[anthropic.APIStatusError], status: int
) -> None:
    async with FaultyUpstream(FAILURES[failure]) as upstream:
        async with serving([openai_door("door", upstream.url)]) as running:
            with pytest.raises(of_openai) as first:
                await running.openai().chat.completions.create(model="auto", messages=ASKED)
        async with serving([openai_door("door", upstream.url)]) as running:
            with pytest.raises(of_anthropic) as second:
                await running.anthropic().messages.create(model="auto", max_tokens=5, messages=ASKED)
    for error in (first.value, second.value):
        assert error.status_code == status
        assert error.response.headers["x-trimtab-decision"]
        assert error.response.headers["x-should-retry"] == "false"


async def test_a_callers_fault_is_not_tried_elsewhere() -> None:
    async with FaultyUpstream(Status(400, b'{"error": {"message": "bad temperature", "type": "invalid_request_error"}}')) as picky:
        async with FaultyUpstream(speak("ok")) as well:
            async with serving([openai_door("a-picky", picky.url), openai_door("b-well", well.url)]) as running:
                with pytest.raises(openai.BadRequestError, match="bad temperature"):
                    await running.openai().chat.completions.create(model="auto", messages=ASKED)
                assert well.exchanges == []


async def test_context_length_goes_to_a_longer_window_only() -> None:
    async with FaultyUpstream(FAILURES["openai.context_length"]) as short, FaultyUpstream(speak("long enough")) as long:
        fleet = [
            openai_door("a-short", short.url, window=4_000),
            openai_door("b-short", short.url, window=4_000),
            openai_door("c-long", long.url, window=100_000),
        ]
        async with serving(fleet) as running:
            answer = await running.openai().chat.completions.create(model="auto", messages=ASKED)
            assert answer.choices[0].message.content == "long enough"
            assert len(short.exchanges) == 1


async def test_rate_limit_names_the_wait() -> None:
    limited = Status(
        429, b'{"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}', {"retry-after": "7"}
    )
    async with FaultyUpstream(limited) as upstream, serving([openai_door("door", upstream.url)]) as running:
        with pytest.raises(openai.RateLimitError) as raised:
            await running.openai().chat.completions.create(model="auto", messages=ASKED)
        assert raised.value.response.headers["retry-after"] == "7"


async def test_no_secret_comes_back() -> None:
    """Providers echo the key that they did not like; the client and the record must not see it."""
    echo = Status(
        401, b'{"error": {"message": "Incorrect API key provided: ' + UPSTREAM_KEY.encode() + b'.", "code": "invalid_api_key"}}'
    )
    async with (
        FaultyUpstream(echo) as upstream,
        serving([openai_door("door", upstream.url)]) as running,
        httpx2.AsyncClient() as client,
    ):
        answer = await client.post(f"{running.url}/v1/chat/completions", json={"model": "auto", "messages": ASKED}, headers=HEADERS)
        assert UPSTREAM_KEY not in answer.text + str(answer.headers)
        assert UPSTREAM_KEY not in repr(await running.records())
        assert upstream.exchanges[0].request.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"


async def test_sensitive_data_without_an_admitted_door_is_refused_with_zero_bytes_sent() -> None:
    secret = "My card is 4111 1111 1111 1111, charge it."
    async with FaultyUpstream(speak("ok")) as upstream, serving([openai_door("outside", upstream.url)]) as running:
        for model in ("auto", "outside"):
            with pytest.raises(openai.InternalServerError) as raised:
                await running.openai().chat.completions.create(model=model, messages=[{"role": "user", "content": secret}])
            assert raised.value.status_code == 503
            assert "financial" in raised.value.message
            assert "4111" not in raised.value.message
        assert upstream.exchanges == []
        assert {record.outcome.kind for record in await running.records() if record.outcome} == {OutcomeKind.REFUSED}


async def test_a_label_keeps_a_harmless_text_inside() -> None:
    async with FaultyUpstream(speak("out")) as outside, FaultyUpstream(speak("in")) as inside:
        async with serving([openai_door("a-out", outside.url), openai_door("b-in", inside.url, zone="local")]) as running:
            client = running.openai(default_headers={"x-trimtab-sensitivity": "proprietary"})
            answer = await client.chat.completions.create(model="auto", messages=ASKED)
            assert answer.choices[0].message.content == "in"
            assert outside.exchanges == []


async def test_a_spent_budget_blocks_what_costs_and_not_what_is_free() -> None:
    async with FaultyUpstream(speak("paid")) as paid, FaultyUpstream(speak("free")) as free:
        fleet = [openai_door("a-paid", paid.url)]
        async with serving(fleet, budget=NanoUSD(0)) as running:
            with pytest.raises(openai.RateLimitError) as raised:
                await running.openai().chat.completions.create(model="auto", messages=ASKED)
            assert raised.value.code == "budget_exhausted"
        async with serving([*fleet, openai_door("b-free", free.url, zone="local", price=FREE)], budget=NanoUSD(0)) as running:
            answer = await running.openai().chat.completions.create(model="auto", messages=ASKED)
            assert answer.choices[0].message.content == "free"


async def test_anthropic_door_takes_its_own_key_header() -> None:
    async with FaultyUpstream(speak("ok")) as upstream, serving([anthropic_door("door", upstream.url)]) as running:
        await running.anthropic().messages.create(model="auto", max_tokens=5, messages=ASKED)
        headers = upstream.exchanges[0].request.headers
        assert headers["x-api-key"] == UPSTREAM_KEY
        assert KEY not in str(headers)
