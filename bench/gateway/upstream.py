"""The model at the other end, at no cost: always the same chat completion, whole (330 bytes) or as a stream of 50 events sent at once.

It reads just enough of HTTP/1.1 to know where a request ends and whether it asks for a stream, for usage in it, and for nothing else.

    python -m bench.gateway.upstream 9000
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

EVENTS = 50
_USAGE = b'"usage":{"prompt_tokens":62,"completion_tokens":24,"total_tokens":86}'
_HEAD = b'{"id":"chatcmpl-bench","object":"chat.completion%s","created":1767225600,"model":"bench","choices":'
_TEXT = b"All that is gold does not glitter, not all those who wander are lost; nor old men."


def _whole() -> bytes:
    choice = b'[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],' % _TEXT
    body = _HEAD % b"" + choice + _USAGE + b"}"
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def events(*, usage: bool) -> list[bytes]:
    """The stream's server-sent events, ``EVENTS`` and, beyond them, usage where asked for and the protocol's last word."""
    deltas = [b'{"role":"assistant","content":""}', *[b'{"content":" gold"}'] * (EVENTS - 2), b"{}"]
    head, last = _HEAD % b".chunk", len(deltas) - 1
    chunks = [
        head + b'[{"index":0,"delta":%s,"finish_reason":%s}]}' % (delta, b'"stop"' if at == last else b"null")
        for at, delta in enumerate(deltas)
    ]
    if usage:
        chunks.append(head + b"[]," + _USAGE + b"}")
    return [b"data: %s\n\n" % chunk for chunk in (*chunks, b"[DONE]")]


def _stream(*, usage: bool) -> bytes:
    """Every event in an HTTP chunk of its own, all in one write."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events(usage=usage)) + b"0\r\n\r\n"


WHOLE = _whole()
STREAM = _stream(usage=False)
STREAM_WITH_USAGE = _stream(usage=True)


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            end += 4 + _length(self._buffer[:end].lower())
            if len(self._buffer) < end:
                return
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            self._transport.write(_answer(request))


def _length(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


def _answer(request: bytes) -> bytes:
    body = request.replace(b" ", b"")
    if b'"stream":true' not in body:
        return WHOLE
    return STREAM_WITH_USAGE if b'"include_usage":true' in body else STREAM


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
