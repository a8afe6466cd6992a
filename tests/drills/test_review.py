"""What a review once broke, over real sockets: an answer without an end, unknown usage written as zero, a probe that keeps a door shut."""

from __future__ import annotations

import asyncio

import httpx2
import openai
import pytest
from tests.support.serving import KEY, SHORT, anthropic_door, openai_door, serving

from trimtab.core.record import OutcomeKind
from trimtab.lab.faults import FaultyUpstream, Status, speak
from trimtab.lab.upstream.delivery import Cut, CutBytes, Drop, ErrorEvent, Pace
from trimtab.routing import Fleet
from trimtab.wire.openai_chat.client import ChatStreamEncoder

HEADERS = {"authorization": f"Bearer {KEY}"}


def body(*, stream: bool = True, text: str = "Hi") -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], "stream": stream}


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_a_last_word_without_a_finish_reason_is_no_end(dialect: str) -> None:
    async with FaultyUpstream(speak("one two", Drop(("finish",)))) as upstream:
        door = openai_door("door", upstream.url) if dialect == "openai" else anthropic_door("door", upstream.url)
        async with serving([door]) as running, httpx2.AsyncClient() as client:
            answer = await client.post(f"{running.url}/v1/chat/completions", json=body(), headers=HEADERS)
            assert "stream_truncated" in answer.text or "complete" in answer.text
            assert "[DONE]" not in answer.text
            [record] = await running.settled()
            assert record.outcome is not None
            assert record.outcome.kind is OutcomeKind.PARTIAL


@pytest.mark.parametrize("fault", [Cut(after=0, how="close"), CutBytes(after=40, how="reset")], ids=["nothing", "a few bytes"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_cut_behind_a_good_status_line_is_not_free(fault: Cut | CutBytes, stream: bool) -> None:
    async with FaultyUpstream(speak("one two", fault)) as upstream, serving([openai_door("door", upstream.url)]) as running:
        async with httpx2.AsyncClient() as client:
            answer = await client.post(f"{running.url}/v1/chat/completions", json=body(stream=stream), headers=HEADERS)
        assert answer.status_code == 502
        [record] = await running.settled()
        assert record.outcome is not None
        [attempt] = record.outcome.attempts
        assert attempt.usage.estimated
        assert attempt.usage.input


async def test_what_the_provider_has_counted_stands_and_the_rest_is_marked() -> None:
    async with FaultyUpstream(speak("one two three", ErrorEvent(after=2))) as upstream:
        async with serving([anthropic_door("door", upstream.url)]) as running, httpx2.AsyncClient() as client:
            await client.post(f"{running.url}/v1/chat/completions", json=body(), headers=HEADERS)
            [record] = await running.settled()
            assert record.outcome is not None
            assert record.outcome.usage.input == 12, "as message_start said"
            assert record.outcome.usage.output
            assert record.outcome.usage.estimated


async def test_two_label_lines_are_both_read() -> None:
    async with FaultyUpstream(speak("ok")) as upstream, serving([openai_door("door", upstream.url)]) as running:
        labels = [("x-trimtab-sensitivity", "public"), ("x-trimtab-sensitivity", "secret")]
        async with httpx2.AsyncClient() as client:
            answer = await client.post(f"{running.url}/v1/chat/completions", json=body(), headers=[*HEADERS.items(), *labels])
        assert answer.status_code == 503
        assert upstream.exchanges == []


async def test_odd_usage_does_not_spoil_a_good_answer() -> None:
    odd = b'{"id": "x", "choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3.5}}'
    async with FaultyUpstream(Status(200, odd)) as upstream, serving([openai_door("door", upstream.url)]) as running:
        answer = await running.openai().chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}])
        assert answer.choices[0].message.content == "ok"
        [record] = await running.settled()
        assert record.outcome is not None
        assert record.outcome.usage.estimated


async def test_a_probe_that_answers_opens_the_door_for_all() -> None:
    """Three failures shut the only door; the first who tries again streams for long, and the others need not wait for its end."""
    async with FaultyUpstream(Status(503)) as upstream, serving([openai_door("door", upstream.url)]) as running:
        client = running.openai()
        for _ in range(3):
            with pytest.raises(openai.APIStatusError):
                await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}])
        with pytest.raises(openai.APIStatusError) as shut:
            await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}])
        assert shut.value.response.headers["retry-after"]
        assert "x-should-retry" not in shut.value.response.headers
        assert len(upstream.exchanges) == 3
        upstream.play(speak("one two three", Pace(each=0.3)), speak("ok"))
        await rested(running.gateway.fleet)
        stream = await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}], stream=True)
        await anext(aiter(stream))
        answer = await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}])
        assert answer.choices[0].message.content == "ok"
        await stream.close()


async def rested(fleet: Fleet) -> None:
    """Wait for the cool-down to pass, by its own figure."""
    wait = fleet.wait()
    assert wait is not None
    await asyncio.sleep(wait + 0.05)


async def test_an_unknown_model_leaves_no_text_of_the_client_in_the_ledger() -> None:
    async with FaultyUpstream(speak("ok")) as upstream, serving([openai_door("door", upstream.url, timeouts=SHORT)]) as running:
        async with httpx2.AsyncClient() as client:
            secret = "jane.doe@example.org"
            asked = {**body(), "model": secret, secret: 1}
            answer = await client.post(f"{running.url}/v1/chat/completions", json=asked, headers=HEADERS)
            assert answer.status_code == 404
            task = {**HEADERS, "x-trimtab-task": secret}
            assert (await client.post(f"{running.url}/v1/chat/completions", json=body(), headers=task)).status_code == 400
        assert secret not in repr(await running.records())


async def test_a_fault_of_our_own_amid_a_stream_is_told_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    said = ChatStreamEncoder.encode

    def broken(self: ChatStreamEncoder, frame: object, *, same_dialect: bool) -> bytes:
        data = said(self, frame, same_dialect=same_dialect)  # type: ignore[arg-type]
        if b"two" in data:
            raise ZeroDivisionError("secret words")
        return data

    monkeypatch.setattr(ChatStreamEncoder, "encode", broken)
    async with FaultyUpstream(speak("one two three")) as upstream, serving([openai_door("door", upstream.url)]) as running:
        async with httpx2.AsyncClient() as client:
            answer = await client.post(f"{running.url}/v1/chat/completions", json=body(), headers=HEADERS)
        assert '"error"' in answer.text
        assert "secret words" not in answer.text
        [record] = await running.settled()
        assert record.outcome is not None
        assert (record.outcome.kind, record.outcome.error) == (OutcomeKind.FAILED, "ZeroDivisionError")
