"""The first five minutes: ``trimtab up`` in a fresh folder, and everything that it prints, typed as printed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk, ChatCompletionUserMessageParam
from tests.support.process import Server
from tests.support.terminal import Said, environment, run, trimtab

from trimtab.core.record import OutcomeKind, Record
from trimtab.store import Filter

pytestmark = [pytest.mark.process, pytest.mark.local_model, pytest.mark.asyncio(loop_scope="module")]

NO_KEY = {"TRIMTAB_API_KEY": ""}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(served_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A home that holds the weights and nothing else, and ``trimtab up`` in it."""
    home = tmp_path_factory.mktemp("home")
    (home / "weights").mkdir()
    for file in served_weights.parent.glob("*.gguf"):
        (home / "weights" / file.name).symlink_to(file)
    running = Server(home, None, verb="up")
    await running.start("--log-level", "debug", **NO_KEY)
    async with asyncio.timeout(5):
        while "trimtab explain" not in running.log():
            await asyncio.sleep(0.02)
    yield running
    if running.process is not None and running.process.returncode is None:
        await running.stop()


def key_of(up: Server) -> str:
    return (up.home / "key").read_text().strip()


async def records(up: Server) -> list[Record]:
    store = await up.ledger()
    try:
        return [record async for record in store.scan(Filter())]
    finally:
        await store.aclose()


def printed(up: Server, pattern: str) -> str:
    found = re.search(pattern, up.log(), re.MULTILINE)
    assert found, up.log()
    return found[0]


async def pasted(up: Server, *command: str) -> Said:
    return await asyncio.to_thread(run, list(command), cwd=up.home, env=environment(up.home))


async def typed(up: Server, *arguments: str) -> Said:
    return await asyncio.to_thread(trimtab, *arguments, home=up.home)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_the_curl_line_answers_as_pasted(up: Server) -> None:
    said = await pasted(up, "sh", "-c", printed(up, r"^curl .*\\\n.*$"))
    assert said.status == 0, said.err
    answer = json.loads(said.out)
    assert answer["model"] == "smollm2-135m-instruct"
    assert answer["choices"][0]["message"]["content"].strip()


async def test_the_snippet_answers_as_pasted(up: Server) -> None:
    said = await pasted(up, sys.executable, "-c", printed(up, r"^from openai .*\n.*\n.*$"))
    assert said.status == 0, said.err
    assert said.out.strip()


async def test_ask_prints_the_answer_and_one_line_of_why(up: Server) -> None:
    said = await typed(up, "ask", "Say hello.")
    assert said.status == 0, said.err
    assert said.out.strip()
    assert said.err.count("\n") == 1
    assert said.err.startswith("local (self_hosted, zone local): best of 1 admitted")


async def test_explain_tells_why_and_what_it_cost(up: Server) -> None:
    asked = json.loads((await typed(up, "ask", "--json", "Name a colour.")).out)
    assert asked["answer"].strip()
    id = asked["record"]["intent"]["id"]

    last = (await typed(up, "explain")).out
    for fact in (id, "plan 1", "ability 0.10", "smollm2-135m-instruct", "self_hosted", "complete", "$0.000000"):
        assert fact in last
    record = json.loads((await typed(up, "explain", id, "--json")).out)
    assert record["intent"]["decision"]["plan"][0]["deployment"] == "local"
    assert record["outcome"]["kind"] == "complete"
    assert record["intent"]["content_key"] == "", "the key to the content's digest is nobody's business"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the child through /proc")
async def test_a_model_that_dies_amid_its_answer_is_an_error_and_comes_back(up: Server) -> None:
    sdk = AsyncOpenAI(base_url=f"{up.url}/v1", api_key=key_of(up), max_retries=0)
    question: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Write a long story about a lighthouse."}]
    raw = await sdk.chat.completions.with_raw_response.create(
        model="local",
        messages=question,
        max_tokens=1500,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    seen = list[str]()
    with pytest.raises(openai.APIError) as failure:
        await read_and_kill(up, raw.parse(), seen)
    assert not isinstance(failure.value, openai.APIConnectionError), "the stream was torn off instead of ended by an error event"
    assert len(seen) >= 3

    async with asyncio.timeout(30):
        while True:
            try:
                answer = await sdk.chat.completions.create(model="auto", messages=question, max_tokens=5)
                break
            except openai.APIStatusError as busy:
                if busy.status_code not in (502, 503):
                    raise
                await asyncio.sleep(0.25)
    assert answer.choices[0].message.content
    (record,) = (record for record in await records(up) if record.intent.id == raw.headers["x-trimtab-decision"])
    assert record.outcome is not None
    assert record.outcome.kind is OutcomeKind.PARTIAL
    assert record.outcome.usage.output
    assert record.outcome.usage.estimated


async def read_and_kill(up: Server, stream: AsyncStream[ChatCompletionChunk], seen: list[str]) -> None:
    """Read the whole stream; after its third piece the model's process is gone."""
    async for chunk in stream:
        seen += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        if len(seen) == 3:
            os.kill(child_of(up), signal.SIGKILL)


def child_of(up: Server) -> int:
    """The process of the local model, which the server started."""
    assert up.process is not None
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat_file.read_text().rpartition(")")[2].split()[1])
            command = (stat_file.parent / "cmdline").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if parent == up.process.pid and b"trimtab.local.child" in command:
            return int(stat_file.parent.name)
    raise AssertionError("the server has no child that serves the model")


async def test_the_key_is_shown_once_and_kept_nowhere_but_in_its_file(up: Server) -> None:
    key = key_of(up)
    assert stat.S_IMODE((up.home / "key").stat().st_mode) == 0o600
    async with httpx2.AsyncClient(base_url=up.url) as client:
        wrong = await client.get("/v1/models", headers={"authorization": f"Bearer {key}x"})
        metrics = await client.get("/metrics", headers={"authorization": f"Bearer {key}"})
    assert wrong.status_code == 401
    assert "trimtab_requests" in metrics.text
    assert key not in wrong.text + metrics.text
    events = [line for line in up.log().splitlines() if line.startswith("{")]
    assert events, "at level debug something is logged"
    assert not [line for line in events if key in line]
    ledgers = [file for file in up.home.glob("ledger*") if file.is_file()]
    assert ledgers
    assert not [file for file in ledgers if key.encode() in file.read_bytes()]
    assert {file.name for file in up.home.iterdir() if file.is_file() and key.encode() in file.read_bytes()} == {
        "key",
        "server.log",
    }


async def test_a_second_start_keeps_the_key(up: Server) -> None:
    key = key_of(up)
    assert await up.stop() == 0
    assert not (up.home / "running.json").exists()
    (up.home / "server.log").unlink()
    await up.start(**NO_KEY)
    assert key_of(up) == key
    answer = await AsyncOpenAI(base_url=f"{up.url}/v1", api_key=key, max_retries=0).chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "Say hello."}], max_tokens=5
    )
    assert answer.choices[0].message.content
