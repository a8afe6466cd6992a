"""A small HTTP/1.1 server on loopback that gives its handler every byte in hand: when to send, how much, and how to break off.

A web server would be in the way: it never sends half a chunk, resets a connection or forgets the end. It serves tests, not the public.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Literal, Self

import httptools
from msgspec import Struct

Ending = Literal["complete", "cut", "client_left", "stopped"]
How = Literal["end", "close", "reset"]


class Received(Struct, frozen=True):
    """A request as it came. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Received {self.method} {self.path} {len(self.body)} bytes>"  # headers hold credentials


class Exchange:
    """One request and what was sent in answer. Bodies are sent in chunked coding, one chunk and one write for each :meth:`send`."""

    def __init__(self, request: Received, connection: _Connection) -> None:
        self.request = request
        self.status: int | None = None
        self.sent = bytearray()
        """The body's bytes handed to the system so far, without framing."""
        self.ending: Ending | None = None
        self.ended_at: float | None = None
        """``time.monotonic()`` when the exchange ended, on whichever side."""
        self.ended = asyncio.Event()
        self._connection = connection

    def __repr__(self) -> str:
        return f"<Exchange {self.request!r} status={self.status} sent={len(self.sent)} {self.ending or 'open'}>"

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        lines = [f"HTTP/1.1 {status} Lab", *(f"{name}: {value}" for name, value in headers.items()), "transfer-encoding: chunked"]
        await self._connection.write("\r\n".join((*lines, "", "")).encode())

    async def send(self, data: bytes) -> None:
        if data:
            await self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.sent += data

    async def finish(self, how: How = "end") -> None:
        """End the answer: as HTTP ends it, or by closing the connection (FIN), or by a TCP reset."""
        if how == "end":
            await self._connection.write(b"0\r\n\r\n")
        else:
            self._connection.drop(reset=how == "reset")

    def close(self, ending: Ending) -> None:
        """Write down how it ended; the first to say so is right."""
        if self.ending is None:
            self.ending, self.ended_at = ending, time.monotonic()
            self.ended.set()


class ClientLeft(Exception):
    """Raised by a write to a client that is no longer there."""


Handler = Callable[[Exchange], Awaitable[Ending]]


class _Connection(asyncio.Protocol):
    """Reads requests one after the other and runs the handler for each. A client that leaves cancels the handler."""

    def __init__(self, server: Loopback) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Task[None] | None = None
        self._path, self._body, self._headers = b"", bytearray(), dict[str, str]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.drop(reset=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def on_message_begin(self) -> None:
        self._path, self._body, self._headers = b"", bytearray(), {}

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        request = Received(method, self._path.decode("latin-1"), self._headers, bytes(self._body))
        exchange = Exchange(request, self)
        self._server.exchanges.append(exchange)
        self._task = self._server.spawn(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        try:
            exchange.close(await self._server.handler(exchange))
        except ClientLeft:
            exchange.close("client_left")
        except asyncio.CancelledError:
            exchange.close("stopped" if self._server.stopping else "client_left")
            raise
        except BaseException:
            self.drop(reset=True)  # the lab's own defect: let nobody wait for an answer
            raise

    async def write(self, data: bytes) -> None:
        await self._writable.wait()
        if self._transport is None or self._transport.is_closing():
            raise ClientLeft
        self._transport.write(data)
        await asyncio.sleep(0)  # one packet a write, and a chance to notice that the client has left

    def drop(self, *, reset: bool) -> None:
        transport, self._task = self._transport, None  # our doing: connection_lost must not take it for the client's
        if transport is None:
            return
        if reset:
            with contextlib.suppress(OSError):
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()


class Loopback:
    """The server: an async context manager. ``exchanges`` lists every request in order of arrival.

    An error in the handler is a defect of the lab or of its caller; leaving the context raises it.
    """

    def __init__(self, handler: Handler, *, port: int = 0) -> None:
        self.handler = handler
        self.exchanges: list[Exchange] = []
        self.connections: set[_Connection] = set()
        self.stopping = False
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._defects: list[BaseException] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, no path."""
        return f"http://127.0.0.1:{self._port}"

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (defect := task.exception()) is not None:
            self._defects.append(defect)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.stopping = True
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        for connection in list(self.connections):
            connection.drop(reset=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._defects:
            raise self._defects[0]
