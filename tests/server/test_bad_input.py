"""Bad input gets a clear error in the client's own protocol, and the server goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.support.serving import KEY, Running, openai_door, serving

from trimtab.lab.faults import FaultyUpstream, Hang, speak

HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with (
        FaultyUpstream(speak("ok")) as upstream,
        serving([openai_door("door", upstream.url)], max_body_bytes=200_000) as gateway,
    ):
        yield gateway


BODIES = {
    "not JSON": b"{",
    "not an object": b"[]",
    "empty": b"",
    "no messages": b'{"model": "auto", "max_tokens": 5}',
    "messages of a wrong type": b'{"model": "auto", "max_tokens": 5, "messages": "hi"}',
    "model of a wrong type": b'{"model": 7, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}',
    "unknown role": b'{"model": "auto", "max_tokens": 5, "messages": [{"role": "emperor", "content": "hi"}]}',
    "invalid UTF-8": b'{"model": "auto", "max_tokens": 5, "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "deep nesting": b'{"model": "auto", "max_tokens": 5, "messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "negative max_tokens": b'{"model": "auto", "max_tokens": -5, "messages": [{"role": "user", "content": "hi"}]}',
}


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_malformed_body_is_a_400_that_says_what_is_wrong(running: Running, path: str, body: bytes) -> None:
    async with httpx2.AsyncClient(base_url=running.url) as client:
        answer = await client.post(path, content=body, headers=HEADERS)
        error = answer.json()["error"]
        assert answer.status_code == 400, answer.text
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        assert ("type" in answer.json()) == (path == MESSAGES)
        assert (await client.get("/healthz")).status_code == 200


async def test_a_body_over_the_limit_is_a_413(running: Running) -> None:
    async with httpx2.AsyncClient(base_url=running.url) as client:
        body = b'{"model": "auto", "messages": [{"role": "user", "content": "' + b"x" * 300_000 + b'"}]}'
        assert (await client.post(CHAT, content=body, headers=HEADERS)).status_code == 413


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nope"}, {"authorization": "Basic x"}, {"x-api-key": KEY[:-1]}])
@pytest.mark.parametrize("path", [CHAT, MESSAGES, "/v1/models", "/-/decisions/x"])
async def test_without_a_good_key_nothing_is_told(running: Running, headers: dict[str, str], path: str) -> None:
    async with httpx2.AsyncClient(base_url=running.url) as client:
        method = "POST" if path in (CHAT, MESSAGES) else "GET"
        answer = await client.request(method, path, headers=headers, content=b"{" if method == "POST" else None)
        assert answer.status_code == 401
        error = answer.json()["error"]
        assert "trimtab up" in error["message"] + error.get("hint", "")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-trimtab-latency", "soon"),
        ("x-trimtab-sensitivity", "personal,none"),
        ("x-trimtab-sensitivity", "top-secret"),
        ("x-trimtab-timeout", "soon"),
        ("x-trimtab-timeout", "-1"),
        ("x-trimtab-timeout", "nan"),
    ],
)
async def test_a_header_of_ours_that_we_do_not_understand_is_refused(running: Running, header: str, value: str) -> None:
    """A label that is ignored would be a label that lowers."""
    async with httpx2.AsyncClient(base_url=running.url) as client:
        body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
        answer = await client.post(CHAT, json=body, headers={**HEADERS, header: value})
        assert answer.status_code == 400
        assert header in answer.json()["error"]["message"]


async def test_more_requests_than_the_limit_are_told_when_to_come_back() -> None:
    async with FaultyUpstream(Hang()) as upstream, serving([openai_door("door", upstream.url)], max_concurrency=1) as running:
        async with httpx2.AsyncClient(base_url=running.url, timeout=0.2) as client:
            body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
            first = asyncio.create_task(client.post(CHAT, json=body, headers=HEADERS, timeout=2))
            while not upstream.exchanges:
                await asyncio.sleep(0.01)
            second = await client.post(CHAT, json=body, headers=HEADERS)
            assert second.status_code == 503
            assert second.headers["retry-after"] == "1"
            assert second.json()["error"]["code"] == "overloaded"
            first.cancel()
            await asyncio.wait({first})


async def test_an_unknown_path_says_so(running: Running) -> None:
    async with httpx2.AsyncClient(base_url=running.url) as client:
        answer = await client.post("/v1/nothing", headers=HEADERS)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"
