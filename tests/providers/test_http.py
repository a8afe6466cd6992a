"""Providers against a raw upstream on the loopback device: what is sent, what is read, and how each ending is told apart."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace
from tests.net.upstream import Exchange, chunk, head
from tests.providers.doors import (
    ANTHROPIC,
    BOUNDARY,
    CLAUDE_STREAM,
    CLAUDE_WHOLE,
    DEADLINE,
    HELLO,
    KEY,
    OPENAI,
    SSE,
    STREAM,
    WHOLE,
    Door,
    asked,
    door,
    event,
    piece,
    saying,
    streaming,
    text_of,
)

from trimtab.catalog import ProviderRow
from trimtab.core.errors import EgressRefused, FailureKind, ProviderError
from trimtab.core.events import Ended, Frame
from trimtab.core.messages import Dialect, FinishReason, Reasoning
from trimtab.core.zones import Sensitivity
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers import http as http_provider
from trimtab.providers.http import HTTPProvider
from trimtab.wire.common.signatures import seal


async def test_a_row_whose_upstream_reports_no_usage_is_not_asked_for_it() -> None:
    row = replace(OPENAI, usage_in_stream=False)
    async with door(streaming(*STREAM), row) as there:
        for client in (Dialect.OPENAI_CHAT, Dialect.ANTHROPIC):
            await there.frames(asked(client, stream=True))
        assert all("stream_options" not in json.loads(exchange.body) for exchange in there.up.seen)


async def test_the_same_dialect_passes_as_it_came() -> None:
    async with door(streaming(*STREAM)) as there:
        async with there.open(asked(stream=True, weird={"a": [1]})) as answer:
            frames = [frame async for frame in answer.frames]
            assert (answer.upstream_id, answer.lost) == ("req_7", ())
        assert b"".join(frame.native for frame in frames) == b"".join(STREAM)
        assert json.loads(there.up.seen[0].body)["weird"] == {"a": [1]}


async def test_the_other_dialect_says_what_was_lost() -> None:
    async with door(saying(CLAUDE_WHOLE), ANTHROPIC) as there, there.open(asked(seed=3)) as answer:
        assert answer.lost == ("seed",)
        assert answer.upstream_id == "req_8"


async def test_what_another_provider_signed_stays_behind_and_is_named() -> None:
    sealed = seal(Reasoning("hm", "c2ln", signer=Dialect.GEMINI), Dialect.ANTHROPIC)
    thought = {"type": "thinking", "thinking": "hm", "signature": sealed}
    said = {"role": "assistant", "content": [thought, {"type": "text", "text": "a"}]}
    question = {"role": "user", "content": "?"}
    async with door(saying(CLAUDE_WHOLE), ANTHROPIC) as there:
        request = asked(Dialect.ANTHROPIC, messages=[question, said, question], weird={"a": [1]})
        async with there.open(request) as answer:
            assert answer.lost == ("messages.1.content.0",)
        sent = json.loads(there.up.seen[0].body)
        assert sent["messages"] == [question, {**said, "content": said["content"][1:]}, question]
        assert sent["weird"] == {"a": [1]}


async def test_the_boundary_refuses_and_nothing_is_sent() -> None:
    async with door(saying(WHOLE)) as there:
        with pytest.raises(EgressRefused):
            await there.frames(replace(asked(), sensitivity=frozenset({Sensitivity.PERSONAL})))
        with pytest.raises(EgressRefused):
            await there.frames(replace(asked(), sensitivity=frozenset({Sensitivity.UNREADABLE})))
        assert there.up.accepted == 0


async def test_a_stream_arrives_while_it_is_written() -> None:
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.say(head("200 OK", SSE), chunk(STREAM[0]))
        await asyncio.wait_for(go_on.wait(), 2)
        await exchange.say(*(chunk(said) for said in STREAM[1:]), chunk(b""))

    async with door(script) as there, there.open(asked(stream=True)) as answer:
        first = await anext(answer.frames)
        assert first.has_content
        go_on.set()
        assert len([frame async for frame in answer.frames]) == len(STREAM) - 1


async def test_bytes_may_be_cut_anywhere() -> None:
    whole = b"".join(STREAM).replace(b"Hel", "Hél".encode())
    for size in (1, 7):
        async with door(streaming(*(whole[at : at + size] for at in range(0, len(whole), size)))) as there:
            frames = await there.frames(asked(stream=True))
        assert text_of(frames)[0] == "Héllo"
        assert b"".join(frame.native for frame in frames) == whole


async def test_leaving_early_closes_and_the_end_keeps_the_connection() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(head("200 OK", SSE), chunk(STREAM[0]))
        if len(there.up.seen) == 3:
            await exchange.reader.read(1)
            raise EOFError
        await exchange.say(*(chunk(said) for said in STREAM[1:]), chunk(b""))

    async with door(script) as there:
        for _ in range(2):
            await there.frames(asked(stream=True))
            await asyncio.sleep(0.02)
        assert there.up.accepted == 1
        async with there.open(asked(stream=True)) as answer:
            await anext(answer.frames)
        await asyncio.wait_for(there.up.closed.wait(), 1)
        with pytest.raises(StopAsyncIteration):
            await anext(answer.frames)


async def test_cancelling_closes_the_upstream() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(head("200 OK", SSE), chunk(STREAM[0]))
        await exchange.reader.read(1)
        raise EOFError

    async with door(script) as there:
        task = asyncio.create_task(there.frames(asked(stream=True)))
        await asyncio.wait_for(there.up.asked.wait(), 1)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(there.up.closed.wait(), 1)


# -- how streams end


async def test_case_05_a_stream_that_ends_before_the_answer_does_is_truncated() -> None:
    for said in ((), STREAM[:1], (b": keep-alive\n\n",), (*STREAM[:2], STREAM[2][:-1]), (*STREAM[:3], STREAM[3][:20])):
        async with door(streaming(*said)) as there:
            error = await there.failure(asked(stream=True))
            assert (error.kind, error.detail, error.upstream_id) == (FailureKind.TRANSIENT, "stream_truncated", "req_7")


async def test_a_finished_stream_without_its_last_word_gets_one() -> None:
    async with door(streaming(*STREAM[:3])) as there:
        frames = await there.frames(asked(stream=True))
        assert frames[-1] == Frame((Ended(),))
        assert text_of(frames)[:2] == ("Hello", FinishReason.STOP)


async def test_every_choice_must_be_finished() -> None:
    both = (piece("a"), piece("b", index=1), piece(finish="stop"))
    async with door(streaming(*both)) as there:
        assert (await there.failure(asked(stream=True, n=2))).detail == "stream_truncated"
        assert (await there.failure(asked(stream=True))).detail == "stream_truncated"
    async with door(streaming(piece("a"), piece(finish="stop"))) as there:
        assert (await there.failure(asked(stream=True, n=2))).detail == "stream_truncated"
    async with door(streaming(*both, piece(finish="stop", index=1))) as there:
        assert (await there.frames(asked(stream=True, n=2)))[-1].is_last


async def test_case_06_a_message_without_message_stop_is_truncated() -> None:
    async with door(streaming(*CLAUDE_STREAM[:-1]), ANTHROPIC) as there:
        error = await there.failure(asked(Dialect.ANTHROPIC, stream=True))
        assert (error.kind, error.detail) == (FailureKind.TRANSIENT, "stream_truncated")


async def test_case_04_a_reset_in_the_middle_is_a_reset() -> None:
    for said in (STREAM[:2], (STREAM[0], STREAM[1][:30]), STREAM[:3]):
        async with door(streaming(*said, ends=False)) as there:
            error = await there.failure(asked(stream=True))
            assert (error.kind, error.detail, error.upstream_status) == (FailureKind.TRANSIENT, "reset", 200)


async def test_what_follows_the_last_word_is_not_read() -> None:
    async with door(streaming(*STREAM, event("{not json"))) as there:
        assert (await there.frames(asked(stream=True)))[-1].is_last


# -- errors under a good status line


async def test_case_02_an_error_event_is_classified() -> None:
    said = event({"error": {"message": f"no {KEY} credit", "type": "insufficient_quota", "code": "insufficient_quota"}})
    async with door(streaming(STREAM[0], said)) as there:
        async with there.open(asked(stream=True)) as answer:
            assert (await anext(answer.frames)).has_content
            with pytest.raises(ProviderError) as caught:
                await anext(answer.frames)
        error = caught.value
        assert (error.kind, error.detail, error.upstream_status) == (FailureKind.QUOTA, "insufficient_quota", 200)
        assert error.excerpt == "no *** credit"


async def test_an_anthropic_error_event_is_classified() -> None:
    said = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")
    async with door(streaming(*CLAUDE_STREAM[:2], said), ANTHROPIC) as there:
        error = await there.failure(asked(Dialect.ANTHROPIC, stream=True))
        assert (error.kind, error.detail) == (FailureKind.TRANSIENT, "overloaded_error")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_good_status_over_an_error_body_is_a_failure(stream: bool) -> None:
    async with door(saying({"error": {"code": 402, "message": "Insufficient credits"}})) as there:
        error = await there.failure(asked(stream=stream))
        assert (error.kind, error.upstream_status, error.upstream_id) == (FailureKind.QUOTA, 200, "req_8")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"choices":7}', b"\xff\xfe"])
@pytest.mark.parametrize("row, dialect", [(OPENAI, Dialect.OPENAI_CHAT), (ANTHROPIC, Dialect.ANTHROPIC)])
async def test_a_body_that_is_no_answer_is_a_failure(body: bytes, row: ProviderRow, dialect: Dialect) -> None:
    async with door(saying(body), row) as there:
        error = await there.failure(asked(dialect))
        assert (error.kind, error.detail) == (FailureKind.TRANSIENT, "undecodable_answer")


async def test_an_event_that_is_no_json_is_a_failure() -> None:
    async with door(streaming(STREAM[0], event("{nonsense"))) as there:
        assert (await there.failure(asked(stream=True))).detail == "undecodable_answer"


async def test_a_page_for_people_is_no_answer() -> None:
    for stream in (False, True):
        async with door(saying(b"<html>log in</html>", content_type="text/html; charset=utf-8")) as there:
            assert (await there.failure(asked(stream=stream))).detail == "unexpected_content_type"


# -- the wrong kind of answer, made into the right one


async def test_json_for_a_stream_is_one_frame_to_be_encoded_again() -> None:
    async with door(saying(WHOLE)) as there:
        [frame] = await there.frames(asked(stream=True))
        assert (frame.native, frame.is_last) == (b"", True)
        assert text_of([frame]) == HELLO


async def test_a_stream_for_json_is_one_frame_to_be_encoded_again() -> None:
    async with door(streaming(*STREAM)) as there:
        [frame] = await there.frames(asked())
        assert (frame.native, frame.is_last) == (b"", True)
        assert text_of([frame]) == HELLO
    async with door(streaming(*STREAM[:2])) as there:
        assert (await there.failure(asked())).detail == "stream_truncated"


@pytest.mark.parametrize("media", ["text/plain", "application/octet-stream", "application/json; charset=utf-8"])
async def test_a_content_type_that_says_little_is_taken_for_what_was_asked(media: str) -> None:
    async with door(saying(WHOLE, content_type=media)) as there:
        assert text_of(await there.frames(asked())) == HELLO
    if "json" not in media:
        async with door(saying(b"".join(STREAM), content_type=media)) as there:
            assert text_of(await there.frames(asked(stream=True))) == HELLO


# -- bad statuses, and limits


async def test_a_refusal_is_classified_with_its_headers() -> None:
    body = {"error": {"message": f"Rate limit for {KEY}", "type": "tokens", "code": "rate_limit_exceeded"}}
    async with door(saying(body, "429 Too Many Requests", retry_after="7", x_request_id="req_9")) as there:
        error = await there.failure(asked(stream=True))
        assert (error.kind, error.retry_after, error.upstream_status) == (FailureKind.RATE_LIMIT, 7.0, 429)
        assert (error.detail, error.upstream_id) == ("rate_limit_exceeded", "req_9")
        assert error.excerpt == "Rate limit for ***"
        assert "canary" not in repr(error) + str(error) + error.excerpt


async def test_a_retry_after_date_is_held_against_the_given_clock() -> None:
    async with door(saying({}, "503 Busy", retry_after="Mon, 21 Sep 2026 14:14:20 GMT")) as there:
        provider = HTTPProvider(there.egress, there.row, now=lambda: 1_790_000_000.0)
        with pytest.raises(ProviderError) as caught:
            async with provider.open(there.deployment, asked(), DEADLINE):
                raise AssertionError("opened")
        assert caught.value.retry_after == 60.0


async def test_a_refusal_that_is_cut_is_classified_by_its_status() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(head("401 Unauthorized", {"content-length": "100"}), b'{"error"')
        exchange.writer.close()

    async with door(script) as there:
        assert (await there.failure(asked())).kind is FailureKind.CREDENTIAL


async def test_an_endless_refusal_is_not_read_to_the_end() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(head("500 Oops", {"transfer-encoding": "chunked"}))
        while not exchange.writer.is_closing():
            await exchange.say(chunk(b"x" * 10_000))

    async with door(script) as there:
        error = await asyncio.wait_for(there.failure(asked()), 2)
        assert (error.kind, error.upstream_status) == (FailureKind.TRANSIENT, 500)


async def test_a_redirect_is_not_followed() -> None:
    async with door(saying(b"", "308 Permanent Redirect", location="/elsewhere")) as there:
        assert (await there.failure(asked())).kind is FailureKind.UNKNOWN
        assert len(there.up.seen) == 1


async def test_answers_and_events_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_provider, "MAX_ANSWER_BYTES", 200)
    async with door(saying(WHOLE)) as there:
        assert (await there.failure(asked())).detail == "answer_too_large"
    async with door(streaming(*STREAM)) as there:
        assert (await there.failure(asked())).detail == "answer_too_large"
    async with door(streaming(*[b"data: " + b"x" * 1_000_000] * 9)) as there:
        assert (await there.failure(asked(stream=True))).detail == "event_too_large"


async def test_no_connection_is_transient_and_named() -> None:
    async with door(saying(WHOLE)) as there:
        gone = there.up.port
    receiver = Receiver(id="there", base_url=f"http://127.0.0.1:{gone}", zone="any")
    egress = Egress(Receivers(BOUNDARY, [receiver]))
    error = await Door(OPENAI, there.up, egress, there.deployment).failure(asked())
    assert (error.kind, error.detail, error.upstream_status) == (FailureKind.TRANSIENT, "connect", None)
    await egress.aclose()
