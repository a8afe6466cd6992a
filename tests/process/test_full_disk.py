"""A full disk: no answer without its row, said in the client's protocol, and work again once there is space.

The system takes the space away and gives it back: a limit on how far the running server may write into a file (``prlimit``).
"""

from __future__ import annotations

import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import MessageParam, RawMessageStreamEvent
from openai.types.chat import ChatCompletionUserMessageParam
from tests.support.process import Server, server

from trimtab.core.record import OutcomeKind
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.lab.upstream.delivery import Pace
from trimtab.store import Filter

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="limits another process's file size, which only Linux can"),
]

CONFIG = """
[[deployment]]
id = "lab"
provider = "vllm"
model = "lab"
base_url = "{url}/v1"
zone = "any"
price = {{ input = 1.0, output = 2.0 }}
"""
T = TypeVar("T")
ASKED: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Go on."}]
ASKED_TOO: list[MessageParam] = [{"role": "user", "content": "Go on."}]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Server]:
    async with (
        FaultyUpstream(speak("one two three four", Pace(each=0.1))) as upstream,
        server(tmp_path, CONFIG.format(url=upstream.url)) as running,
    ):
        yield running


def allow(running: Server, size: int) -> None:
    """From now on no file of the server's may grow beyond ``size`` bytes; -1 lifts that."""
    assert running.process is not None
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fill(running: Server) -> None:
    allow(running, (running.home / "ledger.sqlite3-wal").stat().st_size)


async def read(stream: AsyncIterator[T], seen: list[T]) -> None:
    async for event in stream:
        seen += [event]


async def probe(running: Server, path: str) -> int:
    async with httpx2.AsyncClient(base_url=running.url) as client:
        return (await client.get(path)).status_code


async def test_a_full_disk_refuses_and_says_so_and_goes_on_when_there_is_space(running: Server) -> None:
    sdk = running.openai()
    assert (await sdk.chat.completions.create(model="auto", messages=ASKED)).choices
    fill(running)

    with pytest.raises(openai.InternalServerError) as failure:
        await sdk.chat.completions.create(model="auto", messages=ASKED)
    assert (failure.value.status_code, failure.value.code) == (503, "ledger_unavailable")
    assert "retry-after" in failure.value.response.headers
    with pytest.raises(openai.InternalServerError, match="event log"):
        await sdk.chat.completions.create(model="auto", messages=ASKED, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="event log") as refused:
        await running.anthropic().messages.create(model="auto", max_tokens=10, messages=ASKED_TOO)
    assert refused.value.status_code in (503, 529)
    assert await probe(running, "/healthz") == 200

    allow(running, -1)
    assert (await sdk.chat.completions.create(model="auto", messages=ASKED)).choices[0].message.content == "one two three four"
    store = await running.ledger()
    try:
        kinds = [record.outcome and record.outcome.kind async for record in store.scan(Filter())]
        report = await store.verify()
    finally:
        await store.aclose()
    assert report.ok, report.reason
    assert kinds.count(OutcomeKind.COMPLETE) == 2, "an answer that the client was refused is no complete one"


async def test_a_disk_that_fills_amid_a_stream_puts_an_error_in_place_of_the_end(running: Server) -> None:
    stream = await running.openai().chat.completions.create(model="auto", messages=ASKED, stream=True)
    await anext(stream)
    fill(running)
    with pytest.raises(openai.APIError, match="event log") as failure:
        await read(stream, [])
    assert failure.value.code == "ledger_unavailable"

    allow(running, -1)
    events = await running.anthropic().messages.create(model="auto", max_tokens=10, messages=ASKED_TOO, stream=True)
    await anext(events)
    fill(running)
    seen: list[RawMessageStreamEvent] = []
    with pytest.raises(anthropic.APIStatusError, match="event log"):
        await read(events, seen)
    assert seen
    assert "message_stop" not in [event.type for event in seen]
    assert await probe(running, "/healthz") == 200


async def test_readyz_tells_that_the_log_takes_no_rows(running: Server) -> None:
    assert await probe(running, "/readyz") == 200
    fill(running)
    with pytest.raises(openai.InternalServerError):
        await running.openai().chat.completions.create(model="auto", messages=ASKED)
    assert await probe(running, "/readyz") == 503
    allow(running, -1)
    assert (await running.openai().chat.completions.create(model="auto", messages=ASKED)).choices
    assert await probe(running, "/readyz") == 200
