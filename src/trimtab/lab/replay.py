"""An OpenAI-compatible upstream that answers known prompts with recorded real answers.

A prompt is known when the text of the request's last user message equals a recorded one, whitespace aside. It then answers with the
recorded text of the model that the request names, in a stream or whole, cut at ``max_tokens``. An unknown prompt or model is a 404 that
says so.

Token counts are *estimates*: the recordings hold none, so text is counted with SmolLM2's tokeniser, without the overhead of a
provider's chat template. The protocol has no field to mark an estimate, hence this paragraph and the header ``x-lab-usage: estimated``.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from trimtab.lab.upstream import openai
from trimtab.lab.upstream.answers import Answer, Piece
from trimtab.lab.upstream.delivery import Form, encode
from trimtab.lab.upstream.loopback import Ending, Exchange, Loopback
from trimtab.signals.tokens import encoder


class Recording(Struct):
    """One row of the file; other fields of it are ignored."""

    prompt: str
    answers: Mapping[str, str]


class Latency(Struct, frozen=True, kw_only=True):
    """Seconds before the first token and before each later one. A whole answer waits for all of them at once."""

    first_token: float = 0.0
    per_token: float = 0.0


def recordings(file: Path) -> Iterator[Recording]:
    """The rows of a JSONL file, compressed when its name ends in ``.gz``. Raises ``ValueError`` naming the line that is none."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield msgspec.json.decode(line, type=Recording)
            except msgspec.DecodeError as error:
                raise ValueError(
                    f"{file}:{number}: not a recording ({error}). A row is {{prompt, answers: {{model: text}}}}."
                ) from error


class ReplayUpstream:
    """The upstream. It serves ``models``, each of which the file must have at least one answer of."""

    def __init__(self, answers: Path, models: Sequence[str], *, latency: Latency | None = None, port: int = 0) -> None:
        self._models = tuple(models)
        self._known = {_normal(row.prompt): row.answers for row in recordings(answers)}
        recorded = sorted({model for answered in self._known.values() for model in answered})
        for model in self._models:
            if model not in recorded:
                raise ValueError(f"{answers} has no answers by {model!r}. It has: {', '.join(recorded) or 'none at all'}.")
        self._latency = latency or Latency()
        self._server = Loopback(self._handle, port=port)
        encoder()  # not on the first request's time

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def exchanges(self) -> list[Exchange]:
        return self._server.exchanges

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)

    async def _handle(self, exchange: Exchange) -> Ending:
        path = exchange.request.path.partition("?")[0]
        if path.endswith("/models"):
            return await _reply(exchange, 200, openai.models(self._models))
        if not path.endswith("/chat/completions"):
            return await _refuse(exchange, 404, f"Unknown path {path}. This upstream has /v1/chat/completions and /v1/models.")
        try:
            request = msgspec.json.decode(exchange.request.body, type=openai.ChatRequest)
        except msgspec.DecodeError as error:
            return await _refuse(exchange, 400, str(error))
        if request.model not in self._models:
            message = f"The model `{request.model}` does not exist here. Served: {', '.join(self._models)}."
            return await _refuse(exchange, 404, message, code="model_not_found")
        text = self._known.get(_normal(_last_user_text(request)), {}).get(request.model)
        if text is None:
            message = f"No answer by {request.model} to this prompt is recorded. The last user message must be a recorded prompt."
            return await _refuse(exchange, 404, message, code="prompt_not_recorded")
        return await self._answer(exchange, request, text)

    async def _answer(self, exchange: Exchange, request: openai.ChatRequest, text: str) -> Ending:
        answer = _tokenised(request, text)
        headers = {"content-type": "text/event-stream" if request.stream else "application/json", "x-lab-usage": "estimated"}
        steps = openai.pieces(answer, request, f"chatcmpl-replay-{len(self.exchanges)}", usage=True)
        wait = self._latency.first_token
        if not request.stream:
            await asyncio.sleep(wait + max(0, answer.output_tokens - 1) * self._latency.per_token)
            return await _reply(exchange, 200, b"".join(piece.data for piece in steps), headers)
        await exchange.start(200, headers)
        for piece in steps:
            if piece.role == "content":
                await asyncio.sleep(wait)
                wait = self._latency.per_token
            await _send(exchange, piece)
        await exchange.finish()
        return "complete"


async def _send(exchange: Exchange, piece: Piece) -> None:
    for data in encode([piece], Form()):
        assert isinstance(data, bytes)
        await exchange.send(data)


async def _reply(exchange: Exchange, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Ending:
    await exchange.start(status, headers or {"content-type": "application/json"})
    await exchange.send(body)
    await exchange.finish()
    return "complete"


async def _refuse(exchange: Exchange, status: int, message: str, *, code: str | None = None) -> Ending:
    return await _reply(exchange, status, openai.error(message, type="invalid_request_error", code=code))


def _normal(text: str) -> str:
    return " ".join(text.split())


def _text(message: Mapping[str, object]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and part.get("type") == "text")


def _last_user_text(request: openai.ChatRequest) -> str:
    return next((_text(message) for message in reversed(request.messages) if message.get("role") == "user"), "")


def _tokenised(request: openai.ChatRequest, text: str) -> Answer:
    """``text`` in pieces of one token, no longer than the request allows. A character of several tokens comes with its last one."""
    encoding = encoder()
    tokens = encoding.encode_ordinary(text)
    limit = request.max_completion_tokens or request.max_tokens or len(tokens)
    pieces, held = list[str](), b""
    for token in tokens[:limit]:
        held += encoding.decode_single_token_bytes(token)
        try:
            pieces.append(held.decode())
        except UnicodeDecodeError:
            continue
        held = b""
    return Answer(
        text=tuple(pieces),
        finish="length" if len(tokens) > limit else "stop",
        input_tokens=sum(len(encoding.encode_ordinary(_text(message))) for message in request.messages),
        output_tokens=min(limit, len(tokens)),
    )


async def serve(
    answers: Path,
    models: Sequence[str],
    *,
    port: int,
    first_token: float = 0.0,
    per_token: float = 0.0,
    ready: Callable[[str], object] = print,
) -> None:
    """Serve until cancelled; ``ready`` is told the URL."""
    latency = Latency(first_token=first_token, per_token=per_token)
    async with ReplayUpstream(answers, models, latency=latency, port=port) as upstream:
        ready(upstream.url)
        await asyncio.get_running_loop().create_future()
