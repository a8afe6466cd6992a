"""The doors that models answer through: one ASGI endpoint per dialect.

It reads the body, has it decoded, and sends what the gateway gives back, in the client's own dialect. It decides nothing, retries nothing,
and learns that the client has left as soon as the server does.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from starlette.types import Message, Receive, Scope, Send

from trimtab.core.decision import LatencyClass
from trimtab.core.errors import (
    AttemptsExhausted,
    BodyTooLarge,
    LedgerError,
    MalformedRequest,
    NoDeployment,
    Overloaded,
    ProviderError,
    TrimtabError,
)
from trimtab.core.events import Folder
from trimtab.core.messages import Request
from trimtab.core.zones import Sensitivity
from trimtab.engine import Admission, Caller, ClientGone, Gateway, Reply
from trimtab.engine.gateway import exhausted
from trimtab.engine.patience import Patience
from trimtab.telemetry import log
from trimtab.wire import AnthropicMessages, Codec, client_status

DECISION_HEADER = b"x-trimtab-decision"
_END: Message = {"type": "http.response.body", "body": b""}
_TASK = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_SLOWEST_SECONDS = 60.0
"""A client that takes no byte for so long is gone, whatever its socket says: its upstream costs money all the while."""

_LARGE = 1 << 20
"""Bytes of a body from which on it is decoded beside the event loop, so that other requests go on."""

MESSAGES = AnthropicMessages()
_JSON = (b"content-type", b"application/json")
_STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
_NOT_AGAIN = (b"x-should-retry", b"false")
"""The official SDKs obey it: without it each of them would multiply our own attempts by three."""


class Told(Exception):
    """A fault of our own, in the middle of a stream, of which the client has been told."""


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name, in lower case. One that comes twice is joined by a comma (RFC 9110, section 5.2): none is passed over."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The client's key, in OpenAI's header or in Anthropic's."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


class Endpoint:
    """What every door of one dialect shares: reading a body, knowing the caller, answering with an error."""

    def __init__(self, gateway: Gateway, admission: Admission, codec: Codec, max_body_bytes: int) -> None:
        self.gateway = gateway
        self.codec = codec
        self._admission = admission
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = headers_of(scope["headers"])
            caller = self._caller(headers)
            with self._admission.entered():
                await self.answer(await self._body(headers, receive), caller, receive, send)
        except TrimtabError as error:
            self.gateway.metrics.refused.labels(error.code).inc()
            await self.refuse(error, send)
        except (ClientGone, Told):
            return
        except Exception as error:
            await self.refuse(public_error(error), send)

    async def answer(self, body: bytes, caller: Caller, receive: Receive, send: Send) -> None:
        raise TypeError(f"{type(self).__name__} answers nothing")

    def _caller(self, headers: Mapping[str, str]) -> Caller:
        key_id = self._admission.authenticate(presented_key(headers))
        return Caller(
            key_id=key_id,
            labels=_labels(headers.get("x-trimtab-sensitivity", "")),
            latency=_latency(headers.get("x-trimtab-latency", LatencyClass.INTERACTIVE)),
            task=_task(headers.get("x-trimtab-task")),
            seconds=_seconds(headers.get("x-trimtab-timeout")),
        )

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        limit = self._max_body_bytes
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def refuse(self, error: TrimtabError, send: Send) -> None:
        headers = []
        if error.decision_id:
            headers.append((DECISION_HEADER, error.decision_id.encode()))
        if exhausted(error):
            headers.append(_NOT_AGAIN)
        if (seconds := _retry_after(error)) is not None:
            headers.append((b"retry-after", str(seconds).encode()))
        await send_json(send, client_status(error), self.codec.encode_error(error), headers)


class Completion(Endpoint):
    """A question to a model, answered whole or as a stream."""

    async def answer(self, body: bytes, caller: Caller, receive: Receive, send: Send) -> None:
        decode = self.codec.decode_request
        request = decode(body) if len(body) < _LARGE else await asyncio.to_thread(decode, body)
        work = asyncio.current_task()
        assert work is not None
        watcher = asyncio.create_task(_watch(receive, work))
        try:
            async with self.gateway.handle(request, caller) as reply:
                last = await (self._stream if request.stream else self._whole)(request, reply, send)
        except asyncio.CancelledError:
            # Cancelled by the watcher: the client has left, and all that had to be done was done on the way out.
            if not watcher.done() or work.uncancel() > 0:
                raise
            raise ClientGone from None
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
        # Sent when nobody watches any more: a server reports the end of its answer as a disconnect, too.
        for message in last:
            await send(message)

    async def _stream(self, request: Request, reply: Reply, send: Send) -> tuple[Message, ...]:
        """Send all but the last; return that."""
        encoder = self.codec.stream_encoder(request, reply.id)
        same = reply.deployment.dialect is request.dialect
        started = False
        patience = Patience()
        try:
            async for frame in reply.frames:
                data = encoder.encode(frame, same_dialect=same)
                if not started:
                    started = True
                    await send(_start(200, [*_STREAM, (DECISION_HEADER, reply.id.encode())]))
                if frame.is_last:
                    return _piece(data), _END
                if data:
                    await patience.wait(send(_piece(data)), _SLOWEST_SECONDS)
        except TimeoutError:
            raise ClientGone from None
        except Exception as error:
            if not started:
                raise
            told, name = public_error(error), reply.deployment.id
            log(__name__, "stream failed", level=logging.WARNING, decision=reply.id, deployment=name, code=told.code)
            await send(_piece(encoder.error(told)))
            if told is not error:
                await send(_END)
                raise Told from error  # so that the record says that it failed
        finally:
            patience.rest()
        return (_END,)

    async def _whole(self, request: Request, reply: Reply, send: Send) -> tuple[Message, ...]:
        """Send nothing; return it all, so that head and body leave in one packet."""
        folder = Folder()
        body = b""
        async for frame in reply.frames:
            if frame.native and frame.is_last and reply.deployment.dialect is request.dialect:
                body = frame.native
            else:
                folder.add(frame.events)
        if not body:
            body = self.codec.encode_response(folder.response(), reply.id)
        start = _start(200, [_JSON, _length(body), (DECISION_HEADER, reply.id.encode())])
        return start, {"type": "http.response.body", "body": body}


class CountTokens(Endpoint):
    """Anthropic's ``count_tokens``, counted here: an estimate by our own tokeniser that sends nothing anywhere."""

    async def answer(self, body: bytes, caller: Caller, receive: Receive, send: Send) -> None:
        decision = self.gateway.consider(MESSAGES.decode_count_request(body), caller)
        await send_json(send, 200, MESSAGES.encode_count(decision.signals.input_tokens))


def public_error(error: Exception) -> TrimtabError:
    """The error as the client may see it. The text of a fault of our own may quote a request: neither client nor log gets it."""
    if isinstance(error, TrimtabError):
        return error
    log(__name__, "unexpected error", level=logging.ERROR, error=error)
    return TrimtabError("The gateway failed in a way it did not expect. Its log names the place.")


async def _watch(receive: Receive, work: asyncio.Task[None]) -> None:
    """Cancel ``work`` when the client closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        continue
    work.cancel()


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _piece(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


def _length(body: bytes) -> tuple[bytes, bytes]:
    return (b"content-length", str(len(body)).encode())


async def send_json(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    await send(_start(status, [_JSON, _length(body), *headers]))
    await send({"type": "http.response.body", "body": body})


def _retry_after(error: TrimtabError) -> int | None:
    """Whole seconds: what the upstream said, or a moment where we ourselves are the ones who are busy."""
    first = error.first if isinstance(error, AttemptsExhausted) else error
    if isinstance(first, ProviderError) and first.retry_after is not None:
        return math.ceil(first.retry_after)
    if isinstance(error, NoDeployment) and error.retry_after is not None:
        return math.ceil(error.retry_after)
    return 1 if isinstance(error, Overloaded | LedgerError) else None


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit} bytes.", hint="Send less, or raise [server] max_body_bytes.")


def _labels(text: str) -> frozenset[Sensitivity]:
    """Labels come from the caller and only ever raise; one that we do not know must not be ignored."""
    try:
        return frozenset(Sensitivity(part.strip().lower()) for part in text.split(",") if part.strip())
    except ValueError:
        raise MalformedRequest(
            f"x-trimtab-sensitivity: {text!r} names a class that we do not know.", hint=f"The classes are {', '.join(Sensitivity)}."
        ) from None


def _task(text: str | None) -> str | None:
    """A task's name is recorded, so it has to look like one."""
    if text is None or _TASK.fullmatch(text):
        return text
    raise MalformedRequest("x-trimtab-task: that is no task's name.", hint="Letters, digits and . _ : - , at most 64 of them.")


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise MalformedRequest(
            "x-trimtab-timeout: that is no time.", hint="Seconds above 0 for the whole answer, such as 30 or 2.5."
        )
    return seconds


def _latency(text: str) -> LatencyClass:
    try:
        return LatencyClass(text.strip().lower())
    except ValueError:
        raise MalformedRequest(
            f"x-trimtab-latency: {text!r} is no latency class.", hint=f"The classes are {', '.join(LatencyClass)}."
        ) from None
