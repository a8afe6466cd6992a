"""A question to a model: the body decoded, and what the gateway gives back sent on, whole or as a stream.

It learns that the client has left as soon as the server does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import msgspec
from starlette.types import Message, Receive, Send

from trimtab.core.events import Folder
from trimtab.core.messages import Request
from trimtab.engine import Caller, ClientGone, Reply
from trimtab.engine.attempts.patience import Patience
from trimtab.engine.whole import whole_answer
from trimtab.server.common.answers import public_error
from trimtab.server.doors.door import DECISION_HEADER, JSON, Asked, Door, Told, length, start
from trimtab.server.doors.headers import protocol_headers
from trimtab.telemetry import log

_END: Message = {"type": "http.response.body", "body": b""}
_SLOWEST_SECONDS = 60.0
"""A client that takes no byte for so long is gone, whatever its socket says: its upstream costs money all the while."""

_LARGE = 1 << 20
"""Bytes of a body from which on it is decoded beside the event loop, so that other requests go on."""

_FROM_CACHE = (b"x-trimtab-cache", b"hit")
_STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


class Completion(Door):
    """A question to a model, answered whole or as a stream."""

    @property
    def keeps(self) -> bool:
        """Does :meth:`complete` want the whole answer at its end?"""
        return False

    def decode(self, asked: Asked) -> Request:
        """The request as it came. Called beside the event loop for a large body."""
        request = self.codec.decode_request(asked.body)
        sent = protocol_headers(request.dialect, asked.headers)
        return msgspec.structs.replace(request, headers=sent) if sent else request

    async def complete(self, request: Request, reply: Reply, whole: Callable[[], bytes], caller: Caller) -> None:
        """The answer is whole, and its last piece not yet with the client. ``whole`` gives it as a body."""

    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        request = self.decode(asked) if len(asked.body) < _LARGE else await asyncio.to_thread(self.decode, asked)
        caller = asked.caller
        work = asyncio.current_task()
        assert work is not None
        watcher = asyncio.create_task(_watch(receive, work))
        try:
            async with self.gateway.handle(request, caller) as reply:
                last = await (self._stream if request.stream else self._whole)(request, reply, caller, send)
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

    async def _stream(self, request: Request, reply: Reply, caller: Caller, send: Send) -> tuple[Message, ...]:
        """Send all but the last; return that."""
        encoder = self.codec.stream_encoder(request, reply.id)
        same = reply.dialect is request.dialect
        started = False
        folder = Folder()
        patience = Patience()
        try:
            async for frame in reply.frames:
                data = encoder.encode(frame, same_dialect=same)
                if not started:
                    started = True
                    await send(start(200, [*_STREAM, *_of_ours(reply)]))
                if self.keeps:
                    folder.add(frame.events)
                if frame.is_last:
                    if self.keeps:
                        await self.complete(request, reply, lambda: self.codec.encode_response(folder.response(), reply.id), caller)
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

    async def _whole(self, request: Request, reply: Reply, caller: Caller, send: Send) -> tuple[Message, ...]:
        """Send nothing; return it all, so that head and body leave in one packet."""
        body, media = await whole_answer(request, reply, self.codec)
        if self.keeps:
            await self.complete(request, reply, lambda: body, caller)
        kind = (b"content-type", media.encode("latin-1")) if media else JSON
        head = start(200, [kind, length(body), *_of_ours(reply)])
        return head, {"type": "http.response.body", "body": body}


def _of_ours(reply: Reply) -> list[tuple[bytes, bytes]]:
    decision = (DECISION_HEADER, reply.id.encode())
    return [decision, _FROM_CACHE] if reply.cached else [decision]


async def _watch(receive: Receive, work: asyncio.Task[None]) -> None:
    """Cancel ``work`` when the client closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        continue
    work.cancel()


def _piece(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}
