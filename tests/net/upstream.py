"""A raw HTTP/1.1 server on the loopback device: it says exactly the bytes it is told to, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Exchange:
    """One request as it arrived, and the means to answer it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self, body: bytes, *, status: str = "200 OK", headers: Mapping[str, str] | None = None) -> None:
        await self.say(head(status, {"content-length": str(len(body)), **(headers or {})}), body)

    def reset(self) -> None:
        """Cut with RST."""
        self.writer.transport.abort()


def head(status: str, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode()


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body; the empty piece ends it."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


Script = Callable[[Exchange], Awaitable[None]]
"""Answers one exchange. When it returns, the connection waits for the next request; when it closes the writer, it is over."""


@dataclass
class Upstream:
    port: int = 0
    seen: list[Exchange] = field(default_factory=list)
    accepted: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request has arrived."""

    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a peer has closed its connection."""

    def url(self, path: str = "", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    return method, target, headers, await reader.readexactly(int(headers.get("content-length", "0")))


@asynccontextmanager
async def upstream(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    here = Upstream()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.accepted += 1
        number = here.accepted
        try:
            while not writer.is_closing():
                exchange = Exchange(*await _read(reader), number, writer, reader)
                here.seen.append(exchange)
                here.asked.set()
                await script(exchange)
        except (OSError, EOFError):
            here.closed.set()
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=tls, limit=2**20)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
