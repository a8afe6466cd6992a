"""Cases of the fault suite that the spine answers for, over real sockets with the official SDKs as clients.

The numbers are those of the suite; the outcome stands in each docstring. Time-outs of the upstream are shortened to tenths of a second.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import anthropic
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from tests.support.serving import KEY, SHORT, Running, anthropic_door, openai_door, serving

from trimtab.core.errors import FailureKind
from trimtab.core.record import OutcomeKind, Record
from trimtab.lab.faults import FAILURES, FaultyUpstream, Hang, Status, speak
from trimtab.lab.upstream.answers import TOOLS
from trimtab.lab.upstream.delivery import Cut, CutBytes, Drop, ErrorEvent, Form, Split, SplitCharacters, Stall

TEXT = "Schöne Grüße, 世界! One two three four five."
ASKED: Any = [{"role": "user", "content": "Say something."}]


async def stream_text(client: openai.AsyncOpenAI, **options: Any) -> tuple[str, list[ChatCompletionChunk]]:
    """The text of a streamed answer, and its chunks. Raises what the SDK raises, with the text so far in ``args``."""
    chunks: list[ChatCompletionChunk] = []
    stream = await client.chat.completions.create(model="auto", messages=ASKED, stream=True, **options)
    try:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 (what came before an error is wanted too)
    except openai.APIError as error:
        raise Broken("".join(map(said, chunks)), error) from error
    return "".join(map(said, chunks)), chunks


class Broken(Exception):
    """A stream that ended with the protocol's own error."""

    def __init__(self, text: str, error: openai.APIError) -> None:
        super().__init__(str(error))
        self.text = text
        self.error = error


def said(chunk: ChatCompletionChunk) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


async def only(running: Running) -> Record:
    [record] = await running.settled()
    return record


def outcome(record: Record) -> tuple[OutcomeKind, list[FailureKind | None]]:
    assert record.outcome is not None
    return record.outcome.kind, [attempt.failure for attempt in record.outcome.attempts]


async def test_case_01_status_503_before_headers_is_hidden() -> None:
    """A hidden fallback: one clean stream, two attempts in the ledger."""
    async with FaultyUpstream(Status(503)) as sick, FaultyUpstream(speak(TEXT)) as well:
        async with serving([openai_door("a-sick", sick.url), openai_door("b-well", well.url)]) as running:
            text, _ = await stream_text(running.openai())
            assert text == TEXT
            assert outcome(await only(running)) == (OutcomeKind.COMPLETE, [FailureKind.TRANSIENT, None])


async def test_case_02_error_event_before_content_is_hidden() -> None:
    """Azure answers 200 and then an error event: the buffered startup is dropped and the next deployment answers."""
    async with FaultyUpstream(speak("never seen", ErrorEvent(after=0))) as sick, FaultyUpstream(speak(TEXT)) as well:
        async with serving([openai_door("a-sick", sick.url), openai_door("b-well", well.url)]) as running:
            text, chunks = await stream_text(running.openai())
            assert text == TEXT
            assert len({chunk.id for chunk in chunks}) == 1
            kind, failures = outcome(await only(running))
            assert (kind, len(failures), failures[-1]) == (OutcomeKind.COMPLETE, 2, None)


async def test_case_03_error_after_content_is_told() -> None:
    """The client gets what was said and a protocol error event; no foreign text; the record says partial."""
    async with FaultyUpstream(speak(TEXT, ErrorEvent(after=3))) as sick, FaultyUpstream(speak("foreign")) as well:
        async with serving([openai_door("a-sick", sick.url), openai_door("b-well", well.url)]) as running:
            with pytest.raises(Broken) as broken:
                await stream_text(running.openai())
            assert TEXT.startswith(broken.value.text)
            assert broken.value.text
            assert well.exchanges == []
            assert outcome(await only(running))[0] is OutcomeKind.PARTIAL


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_case_04_reset_inside_a_chunk_is_told(how: Literal["reset", "close"]) -> None:
    """A connection that dies in the middle of a JSON chunk gives an error event, never a silent end."""
    async with FaultyUpstream(speak(TEXT, Cut(after=3, how=how, inside=True))) as sick:
        async with serving([openai_door("sick", sick.url)]) as running:
            with pytest.raises(Broken):
                await stream_text(running.openai())
            kind, failures = outcome(await only(running))
            assert (kind, failures) == (OutcomeKind.PARTIAL, [FailureKind.TRANSIENT])


async def test_case_05_end_without_finish_reason_is_told() -> None:
    """A clean end of the connection without finish_reason is ``stream_truncated``, where the SDK alone would see success."""
    async with FaultyUpstream(speak(TEXT, Drop(("finish", "usage", "end")))) as sick:
        async with serving([openai_door("sick", sick.url)]) as running:
            with pytest.raises(Broken, match="complete"):
                await stream_text(running.openai())
            record = await only(running)
            assert record.outcome is not None
            assert [attempt.detail for attempt in record.outcome.attempts] == ["stream_truncated"]


async def test_case_05_end_without_done_but_finished_is_whole() -> None:
    """A server that says ``finish_reason`` and forgets ``[DONE]`` has said everything; the client gets its ``[DONE]``."""
    async with FaultyUpstream(speak(TEXT, Drop(("end",)))) as lazy, serving([openai_door("lazy", lazy.url)]) as running:
        async with httpx2.AsyncClient() as client:
            answer = await client.post(
                f"{running.url}/v1/chat/completions",
                json={"model": "auto", "messages": ASKED, "stream": True},
                headers={"authorization": f"Bearer {KEY}"},
            )
        assert answer.text.endswith("data: [DONE]\n\n")
        assert outcome(await only(running)) == (OutcomeKind.COMPLETE, [None])


async def test_case_06_end_without_message_stop_is_told() -> None:
    """Anthropic: an end before ``message_stop`` is an error event."""
    async with FaultyUpstream(speak(TEXT, Drop(("end",)))) as sick, serving([anthropic_door("sick", sick.url)]) as running:
        async with running.anthropic().messages.stream(model="auto", max_tokens=50, messages=ASKED) as stream:
            with pytest.raises(anthropic.APIError):
                await stream.get_final_message()
        assert outcome(await only(running))[0] is OutcomeKind.PARTIAL


@pytest.mark.parametrize("fault", [Split(1), SplitCharacters()], ids=["one byte per packet", "characters cut in two"])
async def test_case_07_any_cut_of_the_bytes_gives_the_same_text(fault: Split | SplitCharacters) -> None:
    async with FaultyUpstream(speak(TEXT, fault)) as upstream, serving([openai_door("cut", upstream.url)]) as running:
        text, _ = await stream_text(running.openai())
        assert text == TEXT


@pytest.mark.parametrize(
    "form",
    [Form(newline="cr"), Form(newline="crlf"), Form(newline="mixed"), Form(bom=True), Form(space=False)],
    ids=["CR", "CRLF", "mixed", "BOM", "no space"],
)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_case_08_every_form_of_event_stream_is_read(form: Form, dialect: str) -> None:
    """Same events for every newline, comments, BOM, missing space; U+2028 inside JSON ends no line."""
    said_here = TEXT + " \u2028 end"
    async with FaultyUpstream(speak(said_here, form=form)) as upstream:
        door = openai_door("door", upstream.url) if dialect == "openai" else anthropic_door("door", upstream.url)
        async with serving([door]) as running:
            text, _ = await stream_text(running.openai())
            assert text == said_here


async def test_case_10_slow_first_token_falls_back() -> None:
    async with FaultyUpstream(Hang()) as slow, FaultyUpstream(speak(TEXT)) as well:
        async with serving([openai_door("a-slow", slow.url, timeouts=SHORT), openai_door("b-well", well.url)]) as running:
            text, _ = await stream_text(running.openai())
            assert text == TEXT
            record = await only(running)
            assert record.outcome is not None
            assert [attempt.detail for attempt in record.outcome.attempts] == ["first_token_timeout", ""]


async def test_case_11_slow_second_token_is_told_at_the_limit() -> None:
    """Silence after content: an error event at the idle limit, and the upstream's connection is closed."""
    async with (
        FaultyUpstream(speak(TEXT, Stall(after=2))) as slow,
        serving([openai_door("slow", slow.url, timeouts=SHORT)]) as running,
    ):
        with pytest.raises(Broken):
            await stream_text(running.openai())
        record = await only(running)
        assert record.outcome is not None
        assert [attempt.detail for attempt in record.outcome.attempts] == ["idle_timeout"]
        await left(slow)


async def test_case_13_keep_alive_comments_are_no_first_token() -> None:
    async with FaultyUpstream(speak(TEXT, Stall(keep_alive=0.05))) as talker, FaultyUpstream(speak(TEXT)) as well:
        async with serving([openai_door("a-talker", talker.url, timeouts=SHORT), openai_door("b-well", well.url)]) as running:
            text, _ = await stream_text(running.openai())
            assert text == TEXT
            assert outcome(await only(running)) == (OutcomeKind.COMPLETE, [FailureKind.TRANSIENT, None])


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_case_14_a_client_that_leaves_cancels_the_upstream(stream: bool) -> None:
    """The upstream sees its connection close within a second; one row, written once, says cancelled."""
    async with FaultyUpstream(speak(TEXT, Stall(after=2)) if stream else Hang()) as upstream:
        async with serving([openai_door("door", upstream.url)]) as running:
            client = running.openai()
            if stream:
                answer = await client.chat.completions.create(model="auto", messages=ASKED, stream=True)
                await anext(aiter(answer))
                await answer.close()
            else:
                with pytest.raises(openai.APITimeoutError):
                    await client.chat.completions.create(model="auto", messages=ASKED, timeout=0.2)
            await left(upstream)
            assert outcome(await only(running)) == (OutcomeKind.CANCELLED, [None])
            assert (await running.store.verify()).ok


async def left(upstream: FaultyUpstream) -> None:
    """Wait until the upstream has seen its client close the connection, for at most a second."""
    exchange = upstream.exchanges[0]
    async with asyncio.timeout(1):
        await exchange.ended.wait()
    assert exchange.ending == "client_left"


async def test_case_15_a_client_that_closes_after_the_last_chunk_has_it_all() -> None:
    """Counted as success: the answer was complete when the client closed."""
    async with FaultyUpstream(speak(TEXT)) as upstream, serving([openai_door("door", upstream.url)]) as running:
        answer = await running.openai().chat.completions.create(model="auto", messages=ASKED, stream=True)
        async for chunk in answer:
            if chunk.choices and chunk.choices[0].finish_reason:
                break
        await answer.close()
        assert outcome(await only(running)) == (OutcomeKind.COMPLETE, [None])


async def test_case_17_cut_tool_arguments_are_not_continued_by_another_model() -> None:
    async with FaultyUpstream(speak(TOOLS, Cut(after=2, how="close"))) as sick, FaultyUpstream(speak(TOOLS)) as well:
        async with serving([openai_door("a-sick", sick.url), openai_door("b-well", well.url)]) as running:
            with pytest.raises(Broken):
                await stream_text(running.openai())
            assert well.exchanges == []
            assert outcome(await only(running))[0] is OutcomeKind.PARTIAL


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_case_18_missing_usage_is_estimated_and_marked(stream: bool) -> None:
    async with FaultyUpstream(speak(TEXT, usage=False)) as upstream, serving([openai_door("door", upstream.url)]) as running:
        if stream:
            await stream_text(running.openai())
        else:
            await running.openai().chat.completions.create(model="auto", messages=ASKED)
        record = await only(running)
        assert record.outcome is not None
        usage = record.outcome.usage
        assert usage.estimated
        assert usage.input
        assert usage.output
        assert record.outcome.cost


async def test_case_19_no_usage_chunk_that_was_not_asked_for() -> None:
    """The gateway asks the upstream for usage; the client sees an empty-choices chunk only if it asked too."""
    async with FaultyUpstream(speak(TEXT)) as upstream, serving([openai_door("door", upstream.url)]) as running:
        _, chunks = await stream_text(running.openai())
        assert all(chunk.choices for chunk in chunks)
        assert json.loads(upstream.exchanges[0].request.body)["stream_options"]["include_usage"] is True
        _, asked = await stream_text(running.openai(), stream_options={"include_usage": True})
        assert [chunk.usage is not None for chunk in asked if not chunk.choices] == [True]
        [first, second] = await running.settled(2)
        assert first.outcome is not None
        assert second.outcome is not None
        assert first.outcome.usage == second.outcome.usage
        assert not first.outcome.usage.estimated


async def test_case_22_a_bad_upstream_key_is_not_the_clients() -> None:
    """401 on the only key: 502 ``upstream_credentials_exhausted``, one upstream call, and the SDK is told not to retry."""
    async with FaultyUpstream(FAILURES["openai.credential"]) as upstream, serving([openai_door("door", upstream.url)]) as running:
        client = openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=KEY, max_retries=2)
        with pytest.raises(openai.InternalServerError) as raised:
            await client.chat.completions.create(model="auto", messages=ASKED)
        assert raised.value.status_code == 502
        assert raised.value.code == "upstream_credentials_exhausted"
        assert raised.value.response.headers["x-should-retry"] == "false"
        assert len(upstream.exchanges) == 1


async def test_a_cut_before_any_content_is_hidden() -> None:
    async with FaultyUpstream(speak(TEXT, CutBytes(after=10, how="reset"))) as sick, FaultyUpstream(speak(TEXT)) as well:
        async with serving([openai_door("a-sick", sick.url), openai_door("b-well", well.url)]) as running:
            text, _ = await stream_text(running.openai())
            assert text == TEXT
