"""A provider with its egress and a raw upstream behind it, and what OpenAI and Anthropic would say there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from msgspec.structs import replace
from tests.net.upstream import Exchange, Script, Upstream, chunk, head, upstream

from trimtab.catalog import ProviderRow
from trimtab.core.catalog import Deployment, ModelCard, Tier
from trimtab.core.errors import ProviderError
from trimtab.core.events import Frame, fold
from trimtab.core.messages import Dialect, FinishReason, Request, Text
from trimtab.core.units import Deadline, Usage
from trimtab.core.zones import DEFAULT_ZONES, Boundary, Secret, Sensitivity
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers import Upstream as Answering
from trimtab.providers.registry import auth_headers, provider_for
from trimtab.wire import CODECS

KEY = "sk-canary-0123456789abcdef"
BOUNDARY = Boundary(zones=DEFAULT_ZONES, outermost={Sensitivity.PUBLIC: "any", Sensitivity.PERSONAL: "on_prem"})
PUBLIC = frozenset({Sensitivity.PUBLIC})
DEADLINE = Deadline(0.0)
OPENAI = ProviderRow(name="openai-like", dialect=Dialect.OPENAI_CHAT)
ANTHROPIC = ProviderRow(name="anthropic-like", dialect=Dialect.ANTHROPIC, auth="x-api-key")

SSE = {"content-type": "text/event-stream", "transfer-encoding": "chunked", "x-request-id": "req_7"}
JSON = {"content-type": "application/json", "request-id": "req_8"}


def asked(dialect: Dialect = Dialect.OPENAI_CHAT, **fields: object) -> Request:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, **fields}
    return replace(CODECS[dialect].decode_request(json.dumps(body).encode()), sensitivity=PUBLIC)


def event(data: object, name: str = "") -> bytes:
    said = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {said}\n\n".encode()


def piece(content: str | None = None, finish: str | None = None, index: int = 0) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-real", "choices": [choice]})


USAGE = event(
    {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-real",
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
)
DONE = event("[DONE]")
STREAM = (piece("Hel"), piece("lo"), piece(finish="stop"), USAGE, DONE)
WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-real",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
MESSAGE: dict[str, object] = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "claude-real",
    "content": [],
    "stop_reason": None,
}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
STOP = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}}
CLAUDE_STREAM = tuple(
    event(said, str(said["type"]))
    for said in (
        {"type": "message_start", "message": {**MESSAGE, "usage": {"input_tokens": 3, "output_tokens": 1}}},
        BLOCK,
        {"type": "ping"},
        TEXT,
        {"type": "content_block_stop", "index": 0},
        STOP,
        {"type": "message_stop"},
    )
)
CLAUDE_WHOLE = {
    **MESSAGE,
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def streaming(*events: bytes, ends: bool = True) -> Script:
    """Say these events, each in its own piece of a chunked body, and end it politely or with a cut."""

    async def script(exchange: Exchange) -> None:
        await exchange.say(head("200 OK", SSE), *(chunk(said) for said in events))
        if ends:
            await exchange.say(chunk(b""))
        else:
            exchange.reset()

    return script


def saying(body: object, status: str = "200 OK", **headers: str) -> Script:
    async def script(exchange: Exchange) -> None:
        said = body if isinstance(body, bytes) else json.dumps(body).encode()
        await exchange.answer(said, status=status, headers={**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}})

    return script


@dataclass
class Door:
    """One row's provider with its deployment and what stands behind it."""

    row: ProviderRow
    up: Upstream
    egress: Egress
    deployment: Deployment

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Answering]:
        async with provider_for(self.row, self.egress).open(self.deployment, request, DEADLINE) as answer:
            yield answer

    async def frames(self, request: Request) -> list[Frame]:
        async with self.open(request) as answer:
            return [frame async for frame in answer.frames]

    async def failure(self, request: Request) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.frames(request)
        return caught.value


@asynccontextmanager
async def door(script: Script, row: ProviderRow = OPENAI, *, base: str = "", zone: str = "any") -> AsyncIterator[Door]:
    async with upstream(script) as up:
        deployment = Deployment(
            id="there",
            model="real-name",
            card=ModelCard(name="real-name"),
            provider=row.name,
            dialect=row.dialect,
            tier=Tier.CLOSED,
            zone=zone,
            base_url=up.url(base),
        )
        receiver = Receiver(id="there", base_url=up.url(base), zone=zone, headers=auth_headers(row, Secret(KEY)))
        egress = Egress(Receivers(BOUNDARY, [receiver]))
        try:
            yield Door(row, up, egress, deployment)
        finally:
            await egress.aclose()


def text_of(frames: Sequence[Frame]) -> tuple[str, FinishReason | None, Usage]:
    response = fold(event for frame in frames for event in frame.events)
    [choice] = response.choices
    return "".join(part.text for part in choice.parts if isinstance(part, Text)), choice.finish_reason, response.usage


HELLO = ("Hello", FinishReason.STOP, Usage(input=3, output=2))
