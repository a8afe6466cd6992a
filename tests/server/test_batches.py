"""The official SDKs hand in batches and fetch their results: the real server, real files, upstreams on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from anthropic.types.messages import MessageBatch
from openai.types import Batch
from tests.support.serving import Running, anthropic_door, openai_door, serving

from trimtab.core.accounts import Place, VirtualKey
from trimtab.core.accounts.rights import ANY_SCOPE
from trimtab.core.decision import LatencyClass
from trimtab.core.record import OutcomeKind
from trimtab.engine.access import digest
from trimtab.engine.access.edits import put
from trimtab.lab.faults import FAILURES, FaultyUpstream, speak
from trimtab.lab.upstream.delivery import Pace

ELSEWHERE = "tt-another-place"


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream(speak("Fine.")) as running:
        yield running


@pytest_asyncio.fixture
async def gateway(upstream: FaultyUpstream, tmp_path: Path) -> AsyncIterator[Running]:
    doors = [openai_door("chat", upstream.url), anthropic_door("messages", upstream.url)]
    async with serving(doors, files=tmp_path / "files") as running:
        yield running


async def with_a_key_elsewhere(gateway: Running) -> None:
    actor = gateway.book.actor(f"key:{gateway.book.directory.by_digest[digest('tt-test-key')].key.id}")
    key = VirtualKey(id="elsewhere", digest=digest(ELSEWHERE), place="acme", scope=ANY_SCOPE)
    await gateway.book.apply(actor, lambda _directory, _actor: put(Place(path="acme"), key))


def chat(custom_id: str, text: str = "Hi", *, url: str = "/v1/chat/completions", **fields: object) -> dict[str, object]:
    body = {"model": "chat", "messages": [{"role": "user", "content": text}], **fields}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def ended(client: openai.AsyncOpenAI, id: str) -> Batch:
    async with asyncio.timeout(10):
        while (batch := await client.batches.retrieve(id)).status not in ("completed", "failed", "expired", "cancelled"):
            await asyncio.sleep(0.02)
    return batch


async def content(client: openai.AsyncOpenAI, id: str | None) -> dict[str, Any]:
    """The rows of a file by their custom ids."""
    assert id is not None
    text = (await client.files.content(id)).text
    rows = [json.loads(line) for line in text.splitlines()]
    assert len({row["custom_id"] for row in rows}) == len(rows)
    return {row["custom_id"]: row for row in rows}


async def handed_in(client: openai.AsyncOpenAI, body: bytes, endpoint: Any = "/v1/chat/completions") -> Batch:
    file = await client.files.create(file=("../../etc/passwd", body), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"job": "nightly"}
    )


async def test_a_batch_of_openai_from_end_to_end(gateway: Running, upstream: FaultyUpstream) -> None:
    client = gateway.openai()
    batch = await handed_in(client, lines(chat("a"), chat("b"), chat("c", model="nobody"), chat("d", model="messages")))
    assert (batch.status, batch.metadata) == ("validating", {"job": "nightly"})
    done = await ended(client, batch.id)
    assert done.status == "completed"
    assert done.request_counts is not None
    assert done.request_counts.model_dump() == {"total": 4, "completed": 3, "failed": 1}
    assert done.created_at <= (done.in_progress_at or 0) <= (done.finalizing_at or 0) <= (done.completed_at or 0)

    good = await content(client, done.output_file_id)
    assert set(good) == {"a", "b", "d"}
    for row in good.values():
        answer = openai.types.chat.ChatCompletion.model_validate(row["response"]["body"])
        assert answer.choices[0].message.content == "Fine."
        assert (row["response"]["status_code"], row["error"]) == (200, None)
    bad = await content(client, done.error_file_id)
    assert bad["c"]["response"]["status_code"] == 404
    assert bad["c"]["response"]["body"]["error"]["code"] == "model_not_found"

    records = {record.intent.id: record for record in await gateway.settled(4)}
    asked = {row["response"]["request_id"] for row in good.values()}
    assert {id for id, record in records.items() if record.outcome and record.outcome.kind is OutcomeKind.COMPLETE} == asked
    assert {record.intent.decision.ask.latency for record in records.values()} == {LatencyClass.BATCH}
    assert [one.id async for one in client.batches.list()] == [batch.id]


async def test_the_other_endpoints(gateway: Running, upstream: FaultyUpstream) -> None:
    client = gateway.openai()
    row = {"custom_id": "r", "method": "POST", "url": "/v1/responses", "body": {"model": "chat", "input": "Hi"}}
    done = await ended(client, (await handed_in(client, lines(row), "/v1/responses")).id)
    good = await content(client, done.output_file_id)
    answer = openai.types.responses.Response.model_validate(good["r"]["response"]["body"])
    assert answer.output_text == "Fine."


async def test_files_live_and_die(gateway: Running, tmp_path: Path) -> None:
    client = gateway.openai()
    made = [await client.files.create(file=(f"{n}.jsonl", b"x" * n), purpose="batch") for n in range(3)]
    assert [(file.bytes, file.filename) for file in made] == [(0, "0.jsonl"), (1, "1.jsonl"), (2, "2.jsonl")]
    listed = [file.id async for file in client.files.list(limit=2)]
    assert listed == [file.id for file in reversed(made)]
    assert [file.id async for file in client.files.list(order="asc", limit=1)] == [file.id for file in made]
    assert (await client.files.content(made[2].id)).content == b"xx"
    assert (await client.files.delete(made[2].id)).deleted
    for gone in (client.files.retrieve(made[2].id), client.files.content(made[2].id), client.files.delete(made[2].id)):
        with pytest.raises(openai.NotFoundError):
            await gone
    on_disk = list((tmp_path / "files").iterdir())
    assert {file.name for file in on_disk} == {made[0].id, made[1].id}
    assert {file.stat().st_mode & 0o777 for file in on_disk} == {0o600}


async def test_an_upload_that_is_none(gateway: Running, tmp_path: Path) -> None:
    client = gateway.openai()
    with pytest.raises(openai.BadRequestError) as refused:
        await client.files.create(file=b"x", purpose="fine-tune")
    assert "fine-tune is not served here" in refused.value.message
    with pytest.raises(openai.BadRequestError):
        await client.files.create(file=b"x", purpose="batch", expires_after={"anchor": "created_at", "seconds": 1})
    kept = await client.files.create(file=b"x", purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
    assert kept.expires_at == kept.created_at + 3600
    with pytest.raises(openai.BadRequestError):
        await client.post("/files", body={"purpose": "batch"}, cast_to=object)
    assert [file.name for file in (tmp_path / "files").iterdir()] == [kept.id]


async def test_a_field_of_a_batch_that_is_not_known_is_named(gateway: Running) -> None:
    client = gateway.openai()
    file = await client.files.create(file=lines(chat("a")), purpose="batch")
    expiry = {"anchor": "created_at", "seconds": 3600}
    for more, param in (
        ({"priority": "high"}, "priority"),
        ({"output_expires_after": {**expiry, "minutes": 5}}, "output_expires_after.minutes"),
        ({"output_expires_after": {**expiry, "seconds": 3599}}, "output_expires_after.seconds"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", extra_body=more
            )
        assert refused.value.param == param


async def test_bad_lines_are_told_line_by_line_and_nothing_runs(gateway: Running, upstream: FaultyUpstream) -> None:
    client = gateway.openai()
    good = lines(chat("a"))
    body = (
        good
        + b"{not json\n"
        + lines(
            chat("a"), chat("b", url="/v1/embeddings"), {**chat("c"), "method": "GET"}, {"custom_id": "d"}, chat("e", stream=True)
        )
        + lines(chat("f", messages="no list"))
    )
    done = await ended(client, (await handed_in(client, body)).id)
    assert done.status == "failed"
    assert done.errors is not None
    told = [(fault.line, fault.code, fault.param) for fault in done.errors.data or []]
    assert told == [
        (2, "invalid_json_line", None),
        (3, "duplicate_custom_id", "custom_id"),
        (4, "invalid_url", "url"),
        (5, "invalid_method", "method"),
        (6, "invalid_request", "method"),
        (7, "invalid_request", "body.stream"),
        (8, "invalid_request", "body.messages"),
    ]
    assert upstream.exchanges == []
    assert (await client.files.content(done.input_file_id)).content == body
    empty = await ended(client, (await handed_in(client, b"")).id)
    assert [fault.code for fault in (empty.errors and empty.errors.data) or []] == ["empty_file"]


async def test_a_batch_that_is_refused_at_the_door(gateway: Running) -> None:
    client = gateway.openai()
    file = await client.files.create(file=lines(chat("a")), purpose="batch")
    wrong: list[Any] = [
        {"endpoint": "/v1/completions"},
        {"completion_window": "1h"},
        {"extra_body": {"priority": 1}},
        {"metadata": {"k": "v" * 513}},
    ]
    for change in wrong:
        with pytest.raises(openai.BadRequestError):
            await client.batches.create(
                **{"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h", **change}
            )
    with pytest.raises(openai.NotFoundError):
        await client.batches.create(input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h")


async def test_cancel_finishes_what_runs_and_begins_nothing(gateway: Running, upstream: FaultyUpstream) -> None:
    upstream.play(speak("Slow.", Pace(first=0.2)))
    client = gateway.openai()
    batch = await handed_in(client, lines(*(chat(str(n)) for n in range(60))))
    while not upstream.exchanges:
        await asyncio.sleep(0.01)
    assert (await client.batches.cancel(batch.id)).status == "cancelling"
    done = await ended(client, batch.id)
    assert done.status == "cancelled"
    good, bad = await content(client, done.output_file_id), await content(client, done.error_file_id)
    assert len(good) + len(bad) == 60
    assert len(good) == len(upstream.exchanges) < 60
    assert {row["error"]["code"] for row in bad.values()} == {"batch_cancelled"}
    ran = await ended(client, (await handed_in(client, lines(chat("a")))).id)
    with pytest.raises(openai.ConflictError):
        await client.batches.cancel(ran.id)


async def test_another_place_sees_nothing(gateway: Running) -> None:
    await with_a_key_elsewhere(gateway)
    ours = gateway.openai()
    file = await ours.files.create(file=lines(chat("a")), purpose="batch")
    batch = await ours.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    theirs = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=ELSEWHERE, max_retries=0)
    for asked in (
        theirs.files.retrieve(file.id),
        theirs.files.content(file.id),
        theirs.files.delete(file.id),
        theirs.batches.retrieve(batch.id),
        theirs.batches.cancel(batch.id),
        theirs.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"),
    ):
        with pytest.raises(openai.NotFoundError):
            await asked
    assert [one async for one in theirs.files.list()] == []
    assert [one async for one in theirs.batches.list()] == []
    # a place above sees its own and not what is below
    below = await theirs.files.create(file=b"x", purpose="batch")
    assert below.id not in [one.id async for one in ours.files.list()]
    with pytest.raises(openai.NotFoundError):
        await ours.files.retrieve(below.id)


async def all_messages(client: anthropic.AsyncAnthropic, id: str) -> MessageBatch:
    async with asyncio.timeout(10):
        while (batch := await client.messages.batches.retrieve(id)).processing_status != "ended":
            await asyncio.sleep(0.02)
    return batch


def message(custom_id: str, **fields: object) -> Any:
    return {
        "custom_id": custom_id,
        "params": {"model": "messages", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], **fields},
    }


async def test_a_batch_of_anthropic_from_end_to_end(gateway: Running, upstream: FaultyUpstream) -> None:
    client = gateway.anthropic()
    rows = [message("a"), message("b", model="chat"), message("c", messages=[]), message("d", stream=True)]
    batch = await client.messages.batches.create(requests=rows)
    assert batch.processing_status == "in_progress"
    assert batch.request_counts.processing == 4
    done = await all_messages(client, batch.id)
    assert done.request_counts.model_dump() == {"canceled": 0, "errored": 2, "expired": 0, "processing": 0, "succeeded": 2}
    results = {row.custom_id: row.result async for row in await client.messages.batches.results(batch.id)}
    assert {id: result.type for id, result in results.items()} == {
        "a": "succeeded",
        "b": "succeeded",
        "c": "errored",
        "d": "errored",
    }
    first, third = results["a"], results["c"]
    assert first.type == "succeeded"
    assert [block.text for block in first.message.content if block.type == "text"] == ["Fine."]
    assert third.type == "errored"
    assert third.error.error.type == "invalid_request_error"
    assert [one.id async for one in client.messages.batches.list()] == [batch.id]
    assert (await client.messages.batches.delete(batch.id)).id == batch.id
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.batches.retrieve(batch.id)


async def test_cancelling_a_batch_of_anthropic(gateway: Running, upstream: FaultyUpstream) -> None:
    upstream.play(speak("Slow.", Pace(first=0.2)))
    client = gateway.anthropic()
    batch = await client.messages.batches.create(requests=[message(str(n)) for n in range(60)])
    with pytest.raises(anthropic.ConflictError):
        await client.messages.batches.delete(batch.id)
    assert (await client.messages.batches.cancel(batch.id)).processing_status == "canceling"
    done = await all_messages(client, batch.id)
    counts = done.request_counts
    assert counts.succeeded + counts.canceled == 60
    assert counts.canceled > 0
    assert done.cancel_initiated_at is not None


async def test_pages_of_message_batches(gateway: Running) -> None:
    client = gateway.anthropic()
    made = [(await client.messages.batches.create(requests=[message("a")])).id for _ in range(5)]
    newest = made[::-1]
    assert [one.id async for one in client.messages.batches.list(limit=2)] == newest
    before = await client.messages.batches.list(limit=2, before_id=newest[3])
    assert [one.id for one in before.data] == newest[1:3]


@pytest.mark.parametrize("rows", [[], [message("a"), message("a")], [message("no good")]], ids=["none", "twice the same", "no id"])
async def test_message_batches_that_are_refused_whole(gateway: Running, rows: list[Any]) -> None:
    with pytest.raises(anthropic.BadRequestError):
        await gateway.anthropic().messages.batches.create(requests=rows)


async def test_what_passes_is_tried_again(gateway: Running, upstream: FaultyUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.engine.batches.running.work._WAIT_SECONDS", 0.01)
    upstream.play(FAILURES["openai.overloaded"], speak("At last."))
    client = gateway.openai()
    done = await ended(client, (await handed_in(client, lines(chat("a")))).id)
    good = await content(client, done.output_file_id)
    assert good["a"]["response"]["body"]["choices"][0]["message"]["content"] == "At last."
