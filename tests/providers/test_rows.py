"""Every shipped row in front of a lab upstream of its protocol: the right place, the right key, and an answer to every client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit

import pytest
from msgspec.structs import replace
from tests.conformance.test_providers import AWS, at
from tests.conformance.test_providers import KEY as API_KEY
from tests.providers.doors import DEADLINE, PUBLIC

from trimtab.catalog import ProviderRow, providers
from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.events import Frame, fold
from trimtab.core.messages import Dialect, FinishReason, Operation, Request, Text, ToolCall
from trimtab.lab.check_provider import Subject
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.lab.upstream import HELLO, TOOLS
from trimtab.providers import Upstream
from trimtab.wire import CODECS

KEY = API_KEY.key.reveal()
CHAT_CLIENTS = [dialect for dialect in CODECS if dialect.operation is Operation.CHAT]
EMBEDDING_CLIENTS = [dialect for dialect in CODECS if dialect.operation is Operation.EMBEDDINGS]
TOOL: Mapping[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}

_MESSAGES = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
BODIES: Mapping[Dialect, Mapping[str, object]] = {
    Dialect.OPENAI_CHAT: _MESSAGES,
    Dialect.ANTHROPIC: _MESSAGES,
    Dialect.COHERE: _MESSAGES,
    Dialect.OPENAI_RESPONSES: {"model": "auto", "input": "hi", "max_output_tokens": 9, "store": False},
    Dialect.GEMINI: {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 9}},
    Dialect.OPENAI_EMBEDDINGS: {"model": "auto", "input": ["hi", "ho"]},
    Dialect.COHERE_EMBED: {"model": "auto", "texts": ["hi", "ho"], "input_type": "search_document", "embedding_types": ["float"]},
    Dialect.GEMINI_EMBED: {"requests": [{"content": {"parts": [{"text": text}]}} for text in ("hi", "ho")]},
}
TOOLS_IN: Mapping[Dialect, Mapping[str, object]] = {
    Dialect.OPENAI_CHAT: {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}]},
    Dialect.ANTHROPIC: {"tools": [{"name": "get_weather", "input_schema": TOOL}]},
    Dialect.COHERE: {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}]},
    Dialect.OPENAI_RESPONSES: {"tools": [{"type": "function", "name": "get_weather", "parameters": TOOL}]},
    Dialect.GEMINI: {"tools": [{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": TOOL}]}]},
}


def asked(client: Dialect, *, stream: bool = False, tools: bool = False) -> Request:
    body = {
        **BODIES[client],
        **(TOOLS_IN[client] if tools else {}),
        **({"stream": True} if stream and client is not Dialect.GEMINI else {}),
    }
    return replace(CODECS[client].decode_request(json.dumps(body).encode()), model="auto", stream=stream, sensitivity=PUBLIC)


@asynccontextmanager
async def serving(row: ProviderRow) -> AsyncIterator[tuple[FaultyUpstream, Subject]]:
    async with FaultyUpstream() as there, at(row, AWS if row.auth == "aws_sigv4" else API_KEY)(there.url) as subject:
        yield there, subject


async def answer(subject: Subject, request: Request) -> tuple[Upstream, list[Frame]]:
    async with subject.provider.open(subject.deployment, request, DEADLINE) as upstream:
        return upstream, [frame async for frame in upstream.frames]


def spoken(row: ProviderRow, client: Dialect) -> Dialect | None:
    """The client's own where the row has it, else the first that the row has of the operation."""
    of_the_kind = [dialect for dialect in row.dialects if dialect.operation is client.operation]
    return client if client in of_the_kind else of_the_kind[0] if of_the_kind else None


@pytest.mark.parametrize("name", sorted(providers()))
@pytest.mark.parametrize("stream", [False, True])
async def test_every_row_answers_every_client(name: str, stream: bool) -> None:
    row = providers()[name]
    async with serving(row) as (there, subject):
        for client in CHAT_CLIENTS:
            upstream, frames = await answer(subject, asked(client, stream=stream))
            sent, whole = there.exchanges[-1].request, fold(event for frame in frames for event in frame.events)
            assert upstream.dialect is spoken(row, client), client
            (choice,) = whole.choices
            assert (choice.parts, choice.finish_reason) == ((Text("".join(HELLO.text)),), FinishReason.STOP)
            said = (whole.usage.input, whole.usage.output)
            assert said == ((HELLO.input_tokens, HELLO.output_tokens) if row.usage_in_stream or not stream else (None, None))
            assert frames[-1].is_last
            assert len(frames) == 1 or stream
            shows_key(row, sent.headers)
            assert sent.path.startswith(urlsplit(row.base_url).path)
            model = subject.deployment.model
            assert json.loads(sent.body).get("model", model) == model
            assert "model" in json.loads(sent.body) or quote(model, safe="/") in sent.path
            assert sent.headers["user-agent"].startswith("trimtab/")


def shows_key(row: ProviderRow, headers: Mapping[str, str]) -> None:
    match row.auth:
        case "bearer" | "google":
            assert headers["authorization"] == f"Bearer {KEY}"
        case "aws_sigv4":
            assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            assert AWS.secret_access_key.reveal() not in str(headers)
        case "none":
            assert KEY not in str(headers)
        case header:
            assert headers[header] == KEY
            assert "authorization" not in headers


@pytest.mark.parametrize("name", sorted(name for name, row in providers().items() if row.dialect is not Dialect.REPLICATE))
async def test_every_row_carries_the_tools_of_every_client(name: str) -> None:
    async with serving(providers()[name]) as (there, subject):
        for client in CHAT_CLIENTS:
            there.play(speak(TOOLS))
            _, frames = await answer(subject, asked(client, tools=True))
            (choice,) = fold(event for frame in frames for event in frame.events).choices
            assert [(part.name, json.loads(part.arguments)) for part in choice.parts if isinstance(part, ToolCall)] == [
                (call.name, json.loads(call.arguments)) for call in TOOLS.calls
            ]
            assert "get_weather" in there.exchanges[-1].request.body.decode()


@pytest.mark.parametrize("client", CHAT_CLIENTS)
async def test_replicate_refuses_what_it_cannot_do_before_it_is_asked(client: Dialect) -> None:
    async with serving(providers()["replicate"]) as (there, subject):
        with pytest.raises(ProviderError, match="no tools") as caught:
            await answer(subject, asked(client, tools=True))
        assert (caught.value.kind, caught.value.detail) == (FailureKind.UNKNOWN, "unsupported_operation")
        assert there.exchanges == []


@pytest.mark.parametrize("name", sorted(providers()))
async def test_every_row_that_embeds_does_so_for_every_client(name: str) -> None:
    row = providers()[name]
    async with serving(row) as (there, subject):
        for client in EMBEDDING_CLIENTS:
            expected = spoken(row, client)
            if expected is None:
                with pytest.raises(ProviderError, match="has no embeddings"):
                    await answer(subject, asked(client))
                continue
            upstream, frames = await answer(subject, asked(client))
            (choice,) = fold(event for frame in frames for event in frame.events).choices
            assert (upstream.dialect, len(choice.parts)) == (expected, 2)
            shows_key(row, there.exchanges[-1].request.headers)


async def test_azure_names_its_deployment_and_version_in_the_path() -> None:
    async with serving(providers()["azure"]) as (there, subject):
        await answer(subject, asked(Dialect.OPENAI_CHAT))
        await answer(subject, asked(Dialect.COHERE_EMBED))
    assert [exchange.request.path for exchange in there.exchanges] == [
        "/openai/deployments/lab-model-large/chat/completions?api-version=2024-10-21",
        "/openai/deployments/lab-model-large/embeddings?api-version=2024-10-21",
    ]


@pytest.mark.parametrize(
    "name, stream, end",
    [
        ("bedrock", False, "/converse"),
        ("bedrock", True, "/converse-stream"),
        ("bedrock-anthropic", False, "/invoke"),
        ("bedrock-anthropic", True, "/invoke-with-response-stream"),
        ("vertex", True, "/publishers/google/models/lab-model-large:streamGenerateContent?alt=sse"),
        ("vertex-anthropic", False, "/publishers/anthropic/models/lab-model-large:rawPredict"),
        ("vertex-anthropic", True, "/publishers/anthropic/models/lab-model-large:streamRawPredict"),
        ("replicate", True, "/v1/models/lab/model-large/predictions"),
        ("openrouter", True, "/api/v1/messages"),
        ("vllm", True, "/v1/messages"),
    ],
)
async def test_clouds_and_proxies_have_places_of_their_own(name: str, stream: bool, end: str) -> None:
    async with serving(providers()[name]) as (there, subject):
        await answer(subject, asked(Dialect.ANTHROPIC, stream=stream))
    assert there.exchanges[-1].request.path.endswith(end)
