"""What one request costs inside the process: time, Python calls and memory, as a whole and by stage.

The ASGI application is driven without a server, with a scripted provider and a store in memory: no socket, no disk, no upstream. What
remains is our own code, and the counts of calls are the same on every machine: later work is held against them.

    python -m bench.inprocess
    python -m bench.inprocess --json
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from pathlib import Path
from types import FrameType

import msgspec
import uvloop
from bench.gateway import upstream
from bench.gateway.load import PROMPT
from bench.gateway.subjects import TRIMTAB
from msgspec import Struct
from tabulate import tabulate

from trimtab.config import Config, load
from trimtab.core.decision import Ask
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request
from trimtab.engine import AccountBook, Gate, Gateway, Purse, Rates
from trimtab.engine.access import digest
from trimtab.engine.clock import SystemClock, new_id
from trimtab.engine.recorder import Recorder
from trimtab.lab.memory import MemoryStore
from trimtab.lab.scripted import ScriptedProvider
from trimtab.routing.fleet import Fleet
from trimtab.routing.policy import compile_policy, decide
from trimtab.server import Site, build_app
from trimtab.signals import sense
from trimtab.telemetry import Metrics
from trimtab.wire import CODECS, SSEDecoder

KEY = "tt-bench"
CODEC = CODECS[Dialect.OPENAI_CHAT]
QUESTION = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}]}
ASKED_WHOLE = msgspec.json.encode(QUESTION)
ASKED_STREAM = msgspec.json.encode(QUESTION | {"stream": True})
ANSWERED_WHOLE = upstream.WHOLE.partition(b"\r\n\r\n")[2]
ANSWERED_STREAM = b"".join(upstream.events(usage=True))

Work = Callable[[], Awaitable[object]]


class Cost(Struct, frozen=True, kw_only=True):
    """Of one call: its shortest time (other work on the machine only adds), the functions called, the peak of memory above its start."""

    name: str
    microseconds: float
    python_calls: float
    c_calls: float
    peak_kib: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.inprocess")
    parser.add_argument("--rounds", type=int, default=500, help="timed calls of each kind (default 500)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    costs = uvloop.run(_all(options.rounds))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(costs), indent=2).decode())
        return
    headers = ("", "us (best)", "Python calls", "C calls", "peak KiB")
    rows = [
        (cost.name, f"{cost.microseconds:,.1f}", f"{cost.python_calls:,.0f}", f"{cost.c_calls:,.0f}", f"{cost.peak_kib:.1f}")
        for cost in costs
    ]
    print(tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True, colalign=("left", *["right"] * 4)))


async def _all(rounds: int) -> list[Cost]:
    config = _config()
    whole, stream = await Bench(config, _whole_frames()).open(), await Bench(config, _stream_frames()).open()
    kinds: dict[str, Work] = {
        "a chat completion": partial(whole.ask, ASKED_WHOLE),
        **{f"- {name}": _as_work(stage) for name, stage in _stages(config, ASKED_WHOLE).items()},
        "- decode the answer": _as_work(lambda: CODEC.decode_response(ANSWERED_WHOLE)),
        f"a stream of {upstream.EVENTS} events": partial(stream.ask, ASKED_STREAM),
        "- decode its events": _as_work(_stream_frames),
        "- encode them for the client": _as_work(partial(_encode, _stream_frames(), CODEC.decode_request(ASKED_STREAM))),
    }
    return [await _cost(name, work, rounds) for name, work in kinds.items()]


class Bench:
    """The application around a provider that always gives ``frames``."""

    def __init__(self, config: Config, frames: tuple[Frame, ...]) -> None:
        clock, store = SystemClock(), MemoryStore()
        self._provider = ScriptedProvider({"bench": frames}, clock=clock)
        gateway = Gateway(
            policy=compile_policy(config),
            routing=config.routing,
            deployments={deployment.id: deployment for deployment in config.deployments},
            providers={"bench": self._provider},
            recorder=Recorder(store, Purse(store, clock), Metrics(), clock),
            rates=Rates(clock),
        )
        self._book = AccountBook(store, clock, new_id)
        self._app = build_app(
            Site(
                gateway=gateway,
                book=self._book,
                gate=Gate(config.server.max_concurrency),
                store=store,
                max_body_bytes=config.server.max_body_bytes,
            )
        )

    async def open(self) -> Bench:
        """Let the key in."""
        await self._book.ensure_bootstrap(digest(KEY), "bench")
        return self

    async def ask(self, body: bytes) -> None:
        """One request, as a server would hand it over. The client stays until it has everything."""
        incoming: list[MutableMapping[str, object]] = [{"type": "http.request", "body": body, "more_body": False}]
        statuses: list[object] = []

        async def receive() -> MutableMapping[str, object]:
            return incoming.pop() if incoming else await asyncio.get_running_loop().create_future()

        async def send(message: MutableMapping[str, object]) -> None:
            statuses.append(message.get("status"))

        await self._app(_scope(body), receive, send)
        assert statuses[0] == 200, f"status {statuses[:1]}"
        self._provider.calls.clear()


def _scope(body: bytes) -> dict[str, object]:
    headers = [
        (b"host", b"127.0.0.1"),
        (b"authorization", f"Bearer {KEY}".encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    path = "/v1/chat/completions"
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


def _config() -> Config:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trimtab.toml"
        file.write_text(TRIMTAB.format(upstream=9))
        return load(file, {})


def _stages(config: Config, body: bytes) -> dict[str, Callable[[], object]]:
    request, policy = CODEC.decode_request(body), compile_policy(config)
    signals, fleet = sense(request), Fleet(SystemClock()).snapshot()
    return {
        "decode the request": lambda: CODEC.decode_request(body),
        "sense": lambda: sense(request),
        "decide": lambda: decide(policy, Ask(), signals, fleet),
        "encode for upstream": lambda: CODEC.forward_request(request, "bench", want_usage=True),
    }


def _whole_frames() -> tuple[Frame, ...]:
    return (CODEC.decode_response(ANSWERED_WHOLE),)


def _stream_frames() -> tuple[Frame, ...]:
    framing, decoder = SSEDecoder(), CODEC.stream_decoder()
    return tuple(decoder.feed(event) for event in framing.feed(ANSWERED_STREAM))


def _encode(frames: tuple[Frame, ...], request: Request) -> list[bytes]:
    encoder = CODEC.stream_encoder(request, "id")
    return [encoder.encode(frame, same_dialect=True) for frame in frames]


def _as_work(stage: Callable[[], object]) -> Work:
    async def work() -> object:
        return stage()

    return work


async def _cost(name: str, work: Work, rounds: int) -> Cost:
    for _ in range(50):
        await work()
    python_calls, c_calls = await _calls(work, 20)
    gc.collect()
    times = []
    for _ in range(rounds):
        started = time.perf_counter_ns()
        await work()
        times.append(time.perf_counter_ns() - started)
    peak = await _peak(work)
    return Cost(name=name, microseconds=min(times) / 1000, python_calls=python_calls, c_calls=c_calls, peak_kib=peak / 1024)


async def _calls(work: Work, rounds: int) -> tuple[float, float]:
    """Calls of Python functions (a resumed coroutine counts) and of C functions, per round."""
    counts = {"call": 0, "c_call": 0}

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event in counts:
            counts[event] += 1

    sys.setprofile(count)
    try:
        for _ in range(rounds):
            await work()
    finally:
        sys.setprofile(None)
    return counts["call"] / rounds, counts["c_call"] / rounds


async def _peak(work: Work) -> float:
    """Bytes that Python had allocated at the most, above what it had at the start; the median of some rounds."""
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(20):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            await work()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return statistics.median(peaks)


if __name__ == "__main__":
    main()
