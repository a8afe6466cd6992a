"""An upstream on loopback that fails as told: from Python by a script, from the command line by the model's name.

    async with FaultyUpstream(FAILURES["openai.rate_limit"], speak("hello", Cut(after=2)), speak("hello")) as upstream:
        client = AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="lab", max_retries=0)

A script's behaviours are used in order, one a request, and the last repeats. It speaks OpenAI Chat Completions at
``*/chat/completions``, OpenAI Responses at ``*/responses`` and Anthropic Messages at ``*/messages``, so any base URL will do, Google's
Gemini API at ``*/models/MODEL:*``, Anthropic's models behind Vertex at ``*/models/MODEL:rawPredict``, Amazon Bedrock at
``/model/MODEL/*`` and Replicate at ``*/models/OWNER/NAME/predictions``. A request whose model begins with ``fault:`` chooses for
itself: ``fault:reset-after-3``, ``fault:openai.quota``; ``GET /v1/models`` lists the names.

``fault:refuse`` can only take the connection and reset it. A port where nobody listens at all is :func:`nobody`.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import msgspec
from msgspec import Struct, field

from trimtab.core.messages import Dialect
from trimtab.lab.upstream import anthropic, openai, operations, responses
from trimtab.lab.upstream.answers import HELLO, TOOLS, Answer, answer
from trimtab.lab.upstream.bodies import FAILURES as FAILURES
from trimtab.lab.upstream.bodies import Failure
from trimtab.lab.upstream.clouds import bedrock, converse, frames
from trimtab.lab.upstream.clouds.replicate import PredictionRequest, prediction_at
from trimtab.lab.upstream.clouds.vertex import claude_at
from trimtab.lab.upstream.delivery import (
    Break,
    Cut,
    CutBytes,
    Drop,
    ErrorEvent,
    Fault,
    Form,
    Pace,
    Pause,
    Silence,
    Split,
    SplitCharacters,
    Stall,
    Steps,
    Strange,
    encode,
)
from trimtab.lab.upstream.loopback import Ending, Exchange, Loopback
from trimtab.lab.upstream.obliging import oblige


class Speak(Struct, frozen=True, kw_only=True):
    """Answer with status 200, with these faults on the way. Made shortly by :func:`speak`."""

    answer: Answer = HELLO
    faults: tuple[Fault, ...] = ()
    form: Form = Form()
    usage: bool = True


class Status(Struct, frozen=True):
    """Answer with this status and body. :data:`FAILURES` has the real providers' own."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refuse(Struct, frozen=True):
    """Reset the connection without an answer."""


class Hang(Struct, frozen=True):
    """Take the request and never answer, not even with a status line."""


class Oblige(Struct, frozen=True):
    """Answer as asked: the call of the first tool, then words; an object that fits the schema; words."""


Behaviour = Speak | Status | Failure | Refuse | Hang | Oblige


def speak(said: str | Answer = HELLO, *faults: Fault, form: Form | None = None, usage: bool = True) -> Speak:
    """A behaviour that says ``said``; ``usage=False`` is an upstream that counts no tokens."""
    said = answer(said) if isinstance(said, str) else said
    return Speak(answer=said, faults=faults, form=form or Form(), usage=usage)


Asking = (
    openai.ChatRequest
    | responses.ResponsesRequest
    | anthropic.MessagesRequest
    | converse.ConverseRequest
    | PredictionRequest
    | operations.Asking
)

_MB = 1_000_000

NAMED: Mapping[str, Callable[[int], Behaviour]] = {
    "none": lambda n: speak(),
    "tools": lambda n: speak(TOOLS),
    "oblige": lambda n: Oblige(),
    "refuse": lambda n: Refuse(),
    "hang": lambda n: Hang(),
    "status": lambda n: Status(n, b"{}"),
    "error-after": lambda n: speak(HELLO, ErrorEvent(after=n)),
    "reset-after": lambda n: speak(HELLO, Cut(after=n, how="reset")),
    "close-after": lambda n: speak(HELLO, Cut(after=n, how="close")),
    "end-after": lambda n: speak(HELLO, Cut(after=n, how="end")),
    "inside-after": lambda n: speak(HELLO, Cut(after=n, how="end", inside=True)),
    "reset-after-bytes": lambda n: speak(HELLO, CutBytes(after=n, how="reset")),
    "tool-cut-after": lambda n: speak(TOOLS, Cut(after=n, how="close")),
    "no-end": lambda n: speak(HELLO, Drop(("end",))),
    "no-finish": lambda n: speak(HELLO, Drop(("finish", "usage", "end"))),
    "no-usage": lambda n: speak(HELLO, usage=False),
    "silence-after": lambda n: speak(HELLO, Stall(after=n)),
    "keep-alives": lambda n: speak(HELLO, Stall(keep_alive=1.0)),
    "first-token": lambda n: speak(HELLO, Pace(first=n)),
    "drip": lambda n: speak(HELLO, Pace(first=n, each=n)),
    "bytes": lambda n: speak(HELLO, Split(1)),
    "characters": lambda n: speak(HELLO, SplitCharacters()),
    "cr": lambda n: speak(HELLO, form=Form(newline="cr")),
    "crlf": lambda n: speak(HELLO, form=Form(newline="crlf")),
    "mixed-newlines": lambda n: speak(HELLO, form=Form(newline="mixed")),
    "bom": lambda n: speak(HELLO, form=Form(bom=True)),
    "no-space": lambda n: speak(HELLO, form=Form(space=False)),
    "strange": lambda n: speak(HELLO, Strange()),
    "huge": lambda n: speak(Answer(text=("x" * (n * _MB),))),
}
"""What ``fault:NAME`` and ``fault:NAME-N`` mean. N counts content pieces, bytes, seconds, megabytes or is the status."""


def named(model: str) -> Behaviour | None:
    """The behaviour that a model's name asks for; ``None`` where it names none that there is."""
    name = model.removeprefix("fault:")
    if name in FAILURES:
        return FAILURES[name]
    match = re.fullmatch(r"(.+?)(?:-(\d{1,6}))?", name)
    make = NAMED.get(match[1]) if match else None
    return make(int(match[2] or 0)) if match and make else None


class FaultyUpstream:
    """The upstream. ``exchanges`` has what was received, what was sent and how each exchange ended.

    With ``aws_secret``, a secret access key, Bedrock's doors open to signed requests only.
    """

    def __init__(self, *script: Behaviour, port: int = 0, aws_secret: str | None = None) -> None:
        self._script: list[Behaviour] = list(script) or [speak()]
        self._aws_secret = aws_secret
        self._server = Loopback(self._handle, port=port)
        self.batches = operations.BatchDoors()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def exchanges(self) -> list[Exchange]:
        return self._server.exchanges

    def play(self, *script: Behaviour) -> None:
        """From the next request on, follow this script."""
        if not script:
            raise ValueError("play() needs at least one behaviour")
        self._script = list(script)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)

    async def _handle(self, exchange: Exchange) -> Ending:
        path = exchange.request.path.partition("?")[0]
        try:
            if path.endswith("/models"):
                names = (*(f"fault:{name}" for name in NAMED), *(f"fault:{name}" for name in FAILURES))
                return await _reply(exchange, 200, openai.models(names))
            if (kept := self.batches.handle(exchange.request, self._at_once)) is not None:
                return await _reply(exchange, *kept)
            if path.endswith("/count_tokens"):
                return await _reply(exchange, 200, b'{"input_tokens":%d}' % HELLO.input_tokens)
            if path.endswith("/chat/completions"):
                chat = msgspec.json.decode(exchange.request.body, type=openai.ChatRequest)
                return await self._behave(exchange, chat, Dialect.OPENAI_CHAT)
            if path.endswith("/responses"):
                response = msgspec.json.decode(exchange.request.body, type=responses.ResponsesRequest)
                return await self._behave(exchange, response, Dialect.OPENAI_RESPONSES)
            if path.endswith("/messages"):
                messages = msgspec.json.decode(exchange.request.body, type=anthropic.MessagesRequest)
                return await self._behave(exchange, messages, Dialect.ANTHROPIC)
            if (claude := claude_at(exchange.request)) is not None:
                return await self._behave(exchange, claude, Dialect.ANTHROPIC)
            if (prediction := prediction_at(exchange.request)) is not None:
                return await self._behave(exchange, prediction, Dialect.REPLICATE)
            if (beside := operations.asked_at(path, exchange.request)) is not None:
                return await self._behave(exchange, beside, beside.dialect)
            if (call := bedrock.call_of(exchange.request, self._aws_secret)) is not None:
                return await self._behave(exchange, call.request, call.dialect, call)
        except bedrock.Refused as refusal:
            return await _reply(exchange, refusal.status, refusal.body, refusal.headers)
        except msgspec.DecodeError as error:
            return await _reply(exchange, 400, openai.error(str(error), type="invalid_request_error"))
        return await _reply(exchange, 404, openai.error(f"Unknown path {path}.", type="invalid_request_error"))

    def _at_once(self, path: str, body: bytes) -> tuple[int, bytes]:
        """What a line of a batch gets: the script's next answer, or its next refusal."""
        dialect = Dialect.ANTHROPIC if path.endswith("/messages") else Dialect.OPENAI_CHAT
        request: Asking
        if dialect is Dialect.ANTHROPIC:
            request = msgspec.json.decode(body, type=anthropic.MessagesRequest)
        else:
            request = msgspec.json.decode(body, type=openai.ChatRequest)
        match self._next(request.model):
            case Speak() as behaviour:
                steps = _steps(behaviour, request, f"lab-{len(self.exchanges)}", dialect, encode)
                return 200, b"".join(step for step in steps if isinstance(step, bytes))
            case Status(status=status, body=said):
                return status, said
            case Failure(status=status, body=text):
                return status, text.encode()
            case _:
                return 500, b"{}"

    def _next(self, model: str) -> Behaviour | None:
        if model.startswith("fault:"):
            return named(model)
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    async def _behave(self, exchange: Exchange, request: Asking, dialect: Dialect, call: bedrock.Call | None = None) -> Ending:
        behaviour = self._next(request.model)
        if isinstance(behaviour, Oblige):
            behaviour = speak(oblige(request.asked))
        match behaviour:
            case None:
                message = f"The model `{request.model}` names no fault. GET /v1/models lists them."
                return await _reply(exchange, 404, openai.error(message, type="invalid_request_error", code="model_not_found"))
            case Refuse():
                await exchange.finish("reset")
                return "cut"
            case Hang():
                return await _play(exchange, [Silence()])
            case Status(status, body, headers):
                return await _reply(exchange, status, body, headers)
            case Failure(status=status, body=body, headers=headers):
                return await _reply(exchange, status, body.encode(), headers)
            case Speak():
                streamed = "text/event-stream; charset=utf-8" if call is None else frames.CONTENT_TYPE
                whole = request.content_type if isinstance(request, operations.Asking) else "application/json"
                content = streamed if request.stream else whole
                number = f"lab-{len(self.exchanges)}"
                await exchange.start(200, {"content-type": content, "x-request-id": number, "request-id": number})
                return await _play(exchange, _steps(behaviour, request, number, dialect, encode if call is None else call.encode))


def _steps(behaviour: Speak, request: Asking, id: str, dialect: Dialect, wrap: Callable[[Steps, Form], Steps]) -> Steps:
    steps: Steps
    if isinstance(request, openai.ChatRequest):
        steps = [*openai.pieces(behaviour.answer, request, f"chatcmpl-{id}", usage=behaviour.usage)]
    elif isinstance(request, responses.ResponsesRequest):
        steps = [*responses.pieces(behaviour.answer, request, f"resp_{id}", usage=behaviour.usage)]
    elif isinstance(request, converse.ConverseRequest):
        steps = [*converse.pieces(behaviour.answer, request, usage=behaviour.usage)]
    elif isinstance(request, PredictionRequest | operations.Asking):
        steps = [*request.pieces(behaviour.answer, id, usage=behaviour.usage)]
    else:
        steps = [*anthropic.pieces(behaviour.answer, request, f"msg_{id}", usage=behaviour.usage)]
    for fault in behaviour.faults:
        steps = fault.on_pieces(steps, dialect)
    steps = wrap(steps, behaviour.form)
    for fault in behaviour.faults:
        steps = fault.on_bytes(steps)
    return steps


async def _reply(exchange: Exchange, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Ending:
    await exchange.start(status, {"content-type": "application/json", **(headers or {})})
    return await _play(exchange, [body])


async def _play(exchange: Exchange, steps: Steps) -> Ending:
    for step in steps:
        match step:
            case bytes():
                await exchange.send(step)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Silence(data, every):
                while True:
                    await exchange.send(data)
                    await asyncio.sleep(every)
            case Break(how):
                await exchange.finish(how)
                return "cut"
    await exchange.finish()
    return "complete"


@contextmanager
def nobody() -> Iterator[str]:
    """The URL of a port that is taken and where nobody listens: connecting is refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def serve(port: int, *, ready: Callable[[str], object] = print) -> None:
    """Serve until cancelled; ``ready`` is told the URL."""
    async with FaultyUpstream(port=port) as upstream:
        ready(upstream.url)
        await asyncio.get_running_loop().create_future()
