"""What every door of one protocol shares: knowing the caller, reading a body, answering with an error in the client's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from starlette.types import Message, Receive, Scope, Send

from trimtab.core.errors import (
    BodyTooLarge,
    TrimtabError,
)
from trimtab.engine import Caller, ClientGone, exhausted
from trimtab.server.common.answers import public_error, retry_after
from trimtab.server.common.credentials import presented_key
from trimtab.server.common.site import Site
from trimtab.server.doors.headers import caller_of, headers_of
from trimtab.wire import ClientCodec, client_status

DECISION_HEADER = b"x-trimtab-decision"
JSON = (b"content-type", b"application/json")
_NOT_AGAIN = (b"x-should-retry", b"false")
"""The official SDKs obey it: without it each of them would multiply our own attempts by three."""


class Told(Exception):
    """A fault of our own, in the middle of a stream, of which the client has been told."""


class Door:
    """One protocol's way in. A subclass answers."""

    def __init__(self, site: Site, codec: ClientCodec) -> None:
        self.gateway = site.gateway
        self.codec = codec
        self._book = site.book
        self._gate = site.gate
        self._max_body_bytes = site.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = headers_of(scope["headers"])
            caller = caller_of(self._book.authenticate(presented_key(headers)), headers)
            await self._gate.enter(caller.key_id)
            try:
                asked = Asked(body=await self._body(headers, receive), headers=headers, scope=scope, caller=caller)
                await self.answer(asked, receive, send)
            finally:
                self._gate.leave()
        except TrimtabError as error:
            self.gateway.metrics.refused.labels(error.code).inc()
            await self.refuse(error, send)
        except (ClientGone, Told):
            return
        except Exception as error:
            await self.refuse(public_error(error), send)

    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        raise TypeError(f"{type(self).__name__} answers nothing")

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
        if (seconds := retry_after(error)) is not None:
            headers.append((b"retry-after", str(seconds).encode()))
        await send_json(send, client_status(error), self.codec.encode_error(error), headers)


class Asked(Struct, frozen=True):
    """What came through a door: the body, the headers by name, the connection's scope, and who asks."""

    body: bytes
    headers: Mapping[str, str]
    scope: Scope
    caller: Caller


def start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def length(body: bytes) -> tuple[bytes, bytes]:
    return (b"content-length", str(len(body)).encode())


async def send_json(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    await send(start(status, [JSON, length(body), *headers]))
    await send({"type": "http.response.body", "body": body})


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit} bytes.", hint="Send less, or raise [server] max_body_bytes.")
