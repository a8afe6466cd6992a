"""The second promise: what a client saw complete is in the log exactly once, also when the process dies without a word."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import openai
import pytest
from tests.support.process import Server, server

from trimtab.core.record import OutcomeKind, Record
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.lab.upstream.delivery import Pace
from trimtab.store import Filter

pytestmark = pytest.mark.process

CONFIG = """
[starters]
enabled = false

[[deployment]]
id = "lab"
provider = "vllm"
model = "lab"
base_url = "{url}/v1"
zone = "any"
price = {{ input = 1.0, output = 2.0 }}
"""


async def client(running: Server, seen: list[str], *, stream: bool) -> None:
    """Ask until the server is gone; note the id of every answer that arrived whole."""
    sdk = running.openai()
    with suppress(openai.APIConnectionError, openai.APIError):
        while True:
            raw = await sdk.chat.completions.with_raw_response.create(
                model="auto", messages=[{"role": "user", "content": "Go on."}], stream=stream
            )
            answer = raw.parse()
            if stream:
                finished = False
                async for chunk in answer:  # type: ignore[union-attr]
                    finished = finished or bool(chunk.choices and chunk.choices[0].finish_reason)
                if not finished:
                    return
            seen.append(raw.headers["x-trimtab-decision"])


async def records(running: Server) -> dict[str, Record]:
    store = await running.ledger()
    try:
        found = [record async for record in store.scan(Filter(), limit=100_000)]
        report = await store.verify()
    finally:
        await store.aclose()
    assert report.ok, report.reason
    return {record.intent.id: record for record in found}


async def test_kill_nine_loses_nothing_that_a_client_saw(tmp_path: Path) -> None:
    rng = random.Random(11)
    seen: list[str] = []
    async with FaultyUpstream(speak("one two three four", Pace(each=0.002))) as upstream:
        running = Server(tmp_path, CONFIG.format(url=upstream.url))
        for _ in range(3):
            await running.start()
            clients = [asyncio.create_task(client(running, seen, stream=bool(number % 2))) for number in range(6)]
            before = len(seen)
            while len(seen) < before + 20:
                await asyncio.sleep(0.01)
            await asyncio.sleep(rng.random() * 0.2)
            await running.kill()
            await asyncio.gather(*clients)
        async with server(tmp_path, CONFIG.format(url=upstream.url)) as again:
            answer = await again.openai().chat.completions.create(
                model="auto", messages=[{"role": "user", "content": "Still there?"}]
            )
            assert answer.choices[0].message.content == "one two three four"
        logged = await records(again)
    assert len(seen) == len(set(seen))
    for id in seen:
        outcome = logged[id].outcome
        assert outcome is not None, f"{id} was seen complete and has no outcome"
        assert outcome.kind is OutcomeKind.COMPLETE
        assert outcome.cost


async def test_sigterm_lets_a_stream_finish(tmp_path: Path) -> None:
    async with FaultyUpstream(speak("one two three four", Pace(each=0.1))) as upstream:
        running = Server(tmp_path, CONFIG.format(url=upstream.url))
        await running.start()
        stream = await running.openai().chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "Count."}], stream=True
        )
        words = [(await anext(stream)).choices[0].delta.content]
        stopping = asyncio.create_task(running.stop())
        words += [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]
        assert "".join(word or "" for word in words) == "one two three four"
        assert await stopping == 0
        assert not (tmp_path / "running.json").exists()
