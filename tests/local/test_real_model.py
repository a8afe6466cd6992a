"""The default local model, really served: a handful of starts of a second each."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from trimtab.core.errors import LocalModelError
from trimtab.local.discover import parse_models
from trimtab.local.supervisor import LlamaServer, Pace, Serving, State
from trimtab.net import NetError, NetFailure

pytestmark = [pytest.mark.local_model, pytest.mark.asyncio(loop_scope="module")]

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green", "blue"]}, "count": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


async def _health(server: LlamaServer, path: str) -> int:
    try:
        async with aiohttp.ClientSession() as http, http.get(server.base_url + path) as answer:
            return answer.status
    except aiohttp.ClientError as failure:
        raise NetError(NetFailure.CONNECT, server.id) from failure


def _server(path: Path) -> LlamaServer:
    async def probe(receiver: str, path: str) -> int:
        assert receiver == made.id
        return await _health(made, path)

    made = LlamaServer(Serving(id="smol", path=path, context=1024, threads=1), probe, pace=Pace(first_delay=0.05))
    return made


async def _ask(server: LlamaServer, body: dict[str, object], key: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {server.key.reveal() if key is None else key}"}
    body = {"messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 24, **body}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.base_url}/chat/completions", json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(served_weights: Path) -> AsyncIterator[LlamaServer]:
    running = _server(served_weights)
    await running.start()
    yield running
    await running.aclose()


async def test_it_answers(server: LlamaServer) -> None:
    status, answer = await _ask(server, {})
    assert (status, answer["model"]) == (200, "smol")
    assert answer["choices"][0]["message"]["content"].strip()
    assert 0 < answer["usage"]["completion_tokens"] <= 24
    assert answer["usage"]["prompt_tokens"] > 5


async def test_it_holds_to_a_json_schema(server: LlamaServer) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "pick", "strict": True, "schema": SCHEMA}}
    status, answer = await _ask(server, {"response_format": wanted, "temperature": 0, "max_tokens": 200})
    picked = json.loads(answer["choices"][0]["message"]["content"])
    assert status == 200
    assert picked["colour"] in ("red", "green", "blue")
    assert picked.keys() == {"colour", "count"}
    assert 1 <= picked["count"] <= 9


async def test_its_template_makes_no_tool_calls(server: LlamaServer) -> None:
    """Why the card says "no tools". When llama.cpp comes to emulate them this fails, and the card may change."""
    tool = {"type": "function", "function": {"name": "pick", "parameters": SCHEMA}}
    status, answer = await _ask(server, {"tools": [tool], "tool_choice": "required"})
    assert status == 200
    assert not answer["choices"][0]["message"].get("tool_calls")


async def test_nobody_else_on_the_machine_may_ask_it(server: LlamaServer) -> None:
    status, _ = await _ask(server, {}, key="guessed")
    assert status == 401


async def test_it_is_told_from_other_servers(server: LlamaServer) -> None:
    headers = {"Authorization": f"Bearer {server.key.reveal()}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{server.base_url}/models") as answer:
        found = parse_models(await answer.read())
    assert found is not None
    assert (found[0], [(model.name, model.context_window) for model in found[1]]) == ("llama.cpp", [("smol", 1024)])


async def test_killed_amid_an_answer_it_comes_back_and_answers(server: LlamaServer) -> None:
    long_answer = asyncio.create_task(_ask(server, {"max_tokens": 900, "ignore_eos": True}))
    await asyncio.sleep(0.3)
    assert not long_answer.done()
    before = server.statistics()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    with pytest.raises(aiohttp.ClientError):
        await long_answer
    async with asyncio.timeout(20):
        while server.statistics().restarts == before.restarts or server.statistics().state != State.READY:
            await asyncio.sleep(0.02)
    status, answer = await _ask(server, {})
    assert status == 200
    assert answer["choices"][0]["message"]["content"].strip()


async def test_a_damaged_file_is_refused_before_llama_cpp_sees_it(served_weights: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "cut.gguf"
    with served_weights.open("rb") as whole:
        damaged.write_bytes(whole.read(20_000_000))
    with pytest.raises(LocalModelError, match=r"smol could not be started .* probably cut short.*Delete it and fetch it again"):
        await _server(damaged).start()


async def test_a_port_that_was_taken_meanwhile_is_a_reason(
    server: LlamaServer, served_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = _server(served_weights)
    monkeypatch.setattr(second, "_port", int(server.base_url.split(":")[2].split("/")[0]))
    with pytest.raises(LocalModelError, match=r"couldn't bind|cannot serve"):
        await second.start()
