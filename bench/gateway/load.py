"""A closed-loop load generator: each connection sends the next request when it has the whole of the last answer.

HTTP/1.1 with keep-alive over raw transports, so that the generator costs less than what it measures. Anything but a whole 200 is a
fault that ends the measurement: a rate of errors is not a rate of requests. Latency runs from the write of a request to the last byte
of its answer.

    python -m bench.gateway.load '{"port": 9000, "path": "/v1/chat/completions", "key": "x", "model": "auto"}'
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

PROMPT = ("Explain to a colleague in plain words how a gateway chooses a model for a request. " * 4)[:275]


class Load(Struct, frozen=True, kw_only=True):
    """What to ask, of whom, and for how long (seconds)."""

    port: int
    key: str
    model: str
    path: str = "/v1/chat/completions"
    stream: bool = False
    connections: int = 1
    warmup: float = 3.0
    seconds: float = 6.0

    def request(self) -> bytes:
        messages = [{"role": "user", "content": PROMPT}]
        body = msgspec.json.encode({"model": self.model, "messages": messages} | ({"stream": True} if self.stream else {}))
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Measured(Struct, frozen=True, kw_only=True):
    """``rate`` is whole answers per second; latencies are milliseconds."""

    rate: float
    p50: float
    p99: float
    count: int


class Fault(Exception):
    """An answer that was not a whole 200."""


class Tally:
    def __init__(self) -> None:
        self.latencies: list[int] = []
        self.fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, why: str) -> None:
        if not self.fault.done():
            self.fault.set_exception(Fault(why))

    async def during(self, seconds: float) -> None:
        """Let time pass, or raise the first fault."""
        done, _ = await asyncio.wait({self.fault}, timeout=seconds)
        for fault in done:
            fault.result()


class Connection(asyncio.Protocol):
    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._answer = b""
        self._size: int | None = None
        self._sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.fail(f"the server closed the connection ({exc!r})")

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._size is None:
            self._read_head()
        if self._is_whole():
            self._tally.latencies.append(time.perf_counter_ns() - self._sent)
            self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self._answer, self._size = b"", None
        self._sent = time.perf_counter_ns()
        self._transport.write(self._request)

    def _read_head(self) -> None:
        """Set the size of the whole answer, 0 where it comes in chunks."""
        head, ended, _ = self._answer.partition(b"\r\n\r\n")
        if not ended:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._tally.fail(self._answer.decode(errors="replace")[:500])
        _, given, rest = head.lower().partition(b"\r\ncontent-length:")
        self._size = len(head) + 4 + int(rest.split(b"\r\n", 1)[0]) if given else 0

    def _is_whole(self) -> bool:
        """The last chunk cannot be mistaken: no event of the upstream holds a carriage return."""
        return self._answer.endswith(b"\r\n0\r\n\r\n") if self._size == 0 else len(self._answer) == self._size


async def measure(load: Load) -> Measured:
    tally = Tally()
    for _ in range(load.connections):
        await asyncio.get_running_loop().create_connection(lambda: Connection(load.request(), tally), "127.0.0.1", load.port)
    await tally.during(load.warmup)
    tally.latencies.clear()
    started = time.perf_counter()
    await tally.during(load.seconds)
    elapsed, latencies = time.perf_counter() - started, sorted(tally.latencies)
    if not latencies:
        raise Fault(f"not one answer in {load.seconds} seconds")
    return Measured(
        rate=len(latencies) / elapsed, p50=_quantile(latencies, 0.5), p99=_quantile(latencies, 0.99), count=len(latencies)
    )


def _quantile(ordered: list[int], share: float) -> float:
    return ordered[math.ceil(share * len(ordered)) - 1] / 1e6


if __name__ == "__main__":
    try:
        print(msgspec.json.encode(uvloop.run(measure(msgspec.json.decode(sys.argv[1], type=Load)))).decode())
    except Fault as fault:
        sys.exit(f"load: {fault}")
