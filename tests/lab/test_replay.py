from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI

from trimtab.lab.replay import Latency, ReplayUpstream, recordings, serve

ROWS = [
    {"prompt": "What is\n 2 + 2?", "answers": {"small": "It is four. 🙂", "big": "4"}, "scores": {"small": 1}},
    {"prompt": "Only big knows.", "answers": {"big": "I do."}},
]
DATA = Path(os.environ.get("TRIMTAB_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    file = tmp_path / "answers.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in ROWS).encode()))
    return file


@asynccontextmanager
async def client_of(upstream: ReplayUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="lab", max_retries=0) as client:
        yield client


async def test_it_answers_with_the_recorded_text_whatever_the_whitespace(answers: Path) -> None:
    async with ReplayUpstream(answers, ["small", "big"]) as upstream, client_of(upstream) as client:
        chat = await client.chat.completions.create(
            model="small",
            messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "  What is 2 +  2?\n"}],
        )
        parts = await client.chat.completions.create(
            model="big", messages=[{"role": "user", "content": [{"type": "text", "text": "Only big knows."}]}]
        )
        assert [model.id async for model in client.models.list()] == ["small", "big"]
    assert chat.choices[0].message.content == "It is four. 🙂"
    assert chat.choices[0].finish_reason == "stop"
    assert parts.choices[0].message.content == "I do."


async def test_stream_and_whole_agree_in_text_and_usage(answers: Path) -> None:
    async with ReplayUpstream(answers, ["small"]) as upstream, client_of(upstream) as client:
        whole = await client.chat.completions.create(model="small", messages=[{"role": "user", "content": "What is 2 + 2?"}])
        stream = await client.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": "What is 2 + 2?"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        *chunks, last = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It is four. 🙂"
    assert last.usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 0
    assert upstream.exchanges[0].ending == "complete"


async def test_max_tokens_cuts_and_says_so(answers: Path) -> None:
    async with ReplayUpstream(answers, ["small"]) as upstream, client_of(upstream) as client:
        chat = await client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": "What is 2 + 2?"}], max_tokens=2
        )
    assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("It is", "length")
    assert chat.usage is not None
    assert chat.usage.completion_tokens == 2


@pytest.mark.parametrize(
    ("model", "prompt", "says"),
    [("small", "Only big knows.", "recorded"), ("small", "What?", "recorded"), ("huge", "What is 2 + 2?", "Served: small")],
)
async def test_the_unknown_is_a_clear_404(answers: Path, model: str, prompt: str, says: str) -> None:
    async with ReplayUpstream(answers, ["small"]) as upstream, client_of(upstream) as client:
        with pytest.raises(openai.NotFoundError, match=says):
            await client.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])


async def test_what_is_no_request_is_told_so(answers: Path) -> None:
    async with ReplayUpstream(answers, ["small"]) as upstream, client_of(upstream) as client:
        with pytest.raises(openai.NotFoundError, match="Unknown path"):
            await client.embeddings.create(model="small", input="x")
        with pytest.raises(openai.BadRequestError, match="messages"):
            await client.post("/chat/completions", body={"model": "small"}, cast_to=object)


async def test_latency_is_kept(answers: Path) -> None:
    latency = Latency(first_token=0.05, per_token=0.01)
    async with ReplayUpstream(answers, ["small"], latency=latency) as upstream, client_of(upstream) as client:
        before = time.monotonic()
        chat = await client.chat.completions.create(model="small", messages=[{"role": "user", "content": "What is 2 + 2?"}])
        took = time.monotonic() - before
    assert chat.usage is not None
    assert took >= 0.05 + (chat.usage.completion_tokens - 1) * 0.01


def test_errors_of_the_file_name_the_line_and_the_models(answers: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="It has: big, small"):
        ReplayUpstream(answers, ["nobody"])
    broken = tmp_path / "broken.jsonl"
    broken.write_text(json.dumps(ROWS[0]) + "\n{}\n")
    with pytest.raises(ValueError, match=r"broken\.jsonl:2"):
        list(recordings(broken))


async def test_serve_tells_its_url_and_stops_when_cancelled(answers: Path) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve(answers, ["big"], port=0, ready=told.put_nowait))
    assert (await told.get()).startswith("http://127.0.0.1:")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_recorded_gsm8k_answers() -> None:
    file = DATA / "replay" / "gsm8k_gpt4_mixtral.jsonl.gz"
    if not file.exists():
        pytest.skip(f"needs {file} (set TRIMTAB_DATA)")
    rows = list(recordings(file))
    model = "mistralai/Mixtral-8x7B-Instruct-v0.1"
    async with ReplayUpstream(file, [model]) as upstream, client_of(upstream) as client:
        for row in rows[::100]:
            chat = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": row.prompt}])
            assert chat.choices[0].message.content == row.answers[model]
