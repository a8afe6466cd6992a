"""How do two HTTP clients behave where a gateway hurts? pyreqwest against aiohttp, each under asyncio and uvloop.

    pip install pyreqwest aiohttp uvloop psutil trustme
    python bench/client/behaviour.py                 # the whole table, about two minutes
    python bench/client/behaviour.py --only fail,race --json

The upstreams (raw sockets on 127.0.0.1) run in one child process on the last core; every column runs in a child of its
own on core 0. "ms" is wall time; "closed" is what the upstream saw. Nothing here leaves the loopback device.
"""

import argparse
import asyncio
import json
import os
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

BODY = json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "pad": "x" * 258}).encode()
ASK = b'{"model":"m","messages":[{"role":"user","content":"' + b"a" * 275 + b'"}]}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
COLUMNS = [(client, loop) for client in ("pyreqwest", "aiohttp") for loop in ("asyncio", "uvloop")]
PROXY_VARS = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
FLOOD = 200 * 1024 * 1024


# ---- the upstreams -------------------------------------------------------------------------------------------------
class Upstream:
    """Answers by path; remembers connections, bodies by id, and when a watched peer went away."""

    def __init__(self) -> None:
        self.accepted = self.open = self.sent = 0
        self.bodies: Counter[str] = Counter()
        self.closed: dict[str, float] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
                await reader.readexactly(int(fields.get("content-length", "0")))
                method, target = lines[0].split()[:2]
                if not target.startswith(("/stats", "http:")) and method != "CONNECT":
                    self.bodies[fields.get("x-id", "")] += 1
                if not await self.answer(method, target, fields.get("x-id", ""), reader, writer):
                    break
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def answer(self, method: str, target: str, tag: str, r: asyncio.StreamReader, w: asyncio.StreamWriter) -> bool:
        path = target.strip("/")
        if target.startswith("http:") or method == "CONNECT":
            w.write(b"HTTP/1.1 299 Proxied\r\ncontent-length: 0\r\n\r\n")
        elif path == "stats":
            said = json.dumps({**vars(self), "bodies": dict(self.bodies)}).encode()
            w.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said))
            return False
        elif path == "redirect":
            w.write(b"HTTP/1.1 307 Go\r\nlocation: /json\r\ncontent-length: 0\r\n\r\n")
        elif path in ("stall", "forever", "sse", "drip"):
            watch = asyncio.create_task(self.watch(r, tag))
            if path == "stall":
                await watch
            w.write(CHUNKED)
            for _ in range({"forever": 100_000, "sse": 20, "drip": 3}.get(path, 0)):
                event = b"data: %.6f\n\n" % time.monotonic()
                w.write(b"%x\r\n%s\r\n" % (len(event), event))
                await w.drain()
                await asyncio.sleep(0.05)
            if path == "drip":
                await watch
            w.write(b"0\r\n\r\n")
            await w.drain()
            watch.cancel()
            return False
        elif path == "flood":
            w.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % FLOOD)
            self.sent, block = 0, b"x" * 65536
            while self.sent < FLOOD:
                w.write(block)
                await w.drain()
                self.sent += len(block)
        elif path in ("reset", "eof-length", "eof-chunked"):
            w.write(CHUNKED + b"5\r\nhello\r\n" if path == "eof-chunked" else OK[:-100])
            await w.drain()
            await asyncio.sleep(0.05)
            if path == "reset":
                w.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                w.transport.abort()
            return False
        elif path == "swallow":
            return False
        else:
            w.write(OK)
            await w.drain()
            await asyncio.sleep(0.02 if path == "close-soon" else 0)
            return path not in ("close-soon", "close-now")
        await w.drain()
        return True

    async def watch(self, reader: asyncio.StreamReader, tag: str) -> None:
        with suppress(OSError):
            await reader.read(1)
        self.closed[tag] = time.monotonic()


class Fast(asyncio.Protocol):
    """The least upstream there is: any bytes in, the fixed answer out (requests here are one segment)."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"}"):
            self.transport.write(OK)


async def upstream_main(folder: Path) -> None:
    up, loop = Upstream(), asyncio.get_running_loop()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem")
    servers = [
        await asyncio.start_server(up.serve, "127.0.0.1", 0, backlog=2048),
        await asyncio.start_server(up.serve, "127.0.0.1", 0, ssl=tls),
        await loop.create_server(Fast, "127.0.0.1", 0),
    ]
    print(json.dumps([s.sockets[0].getsockname()[1] for s in servers]), flush=True)
    await asyncio.Event().wait()


# ---- the two clients behind one face -------------------------------------------------------------------------------
@dataclass
class Options:
    connect: float | None = None
    read: float | None = None
    total: float | None = None
    proxy: str | None = None
    env: bool | None = False  # None: whatever the library does by itself
    ca: bytes | None = None
    redirects: bool | None = False
    prefetch: int | None = 0  # bytes pyreqwest gathers before it hands over a head (its own default: 64 KiB)


@asynccontextmanager
async def aiohttp_client(o: Options) -> AsyncIterator[tuple[Any, Any]]:
    import aiohttp

    tls = ssl.create_default_context(cadata=o.ca.decode()) if o.ca else True
    timeout = aiohttp.ClientTimeout(total=o.total, sock_connect=o.connect, sock_read=o.read)
    env: dict[str, Any] = {} if o.env is None else {"trust_env": o.env}
    follow: dict[str, Any] = {} if o.redirects is None else {"allow_redirects": o.redirects}
    connector = aiohttp.TCPConnector(limit=0, ssl=tls)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, proxy=o.proxy, auto_decompress=False, **env) as s:

        @asynccontextmanager
        async def send(url: str, tag: str = "", method: str = "POST") -> AsyncIterator[tuple[int, Any]]:
            async with s.request(method, url, data=ASK, headers={"x-id": tag}, **follow) as r:
                yield r.status, r.content.readany

        async def whole(url: str) -> None:
            async with s.post(url, data=ASK, allow_redirects=False) as r:
                await r.read()

        yield send, whole


@asynccontextmanager
async def pyreqwest_client(o: Options) -> AsyncIterator[tuple[Any, Any]]:
    from pyreqwest.client import ClientBuilder
    from pyreqwest.proxy import ProxyBuilder

    b = ClientBuilder().gzip(False).brotli(False).zstd(False).deflate(False)
    b = b if o.redirects is None else b.follow_redirects(o.redirects)
    b = b if o.env is not False else b.no_proxy()
    b = b if o.proxy is None else b.proxy(ProxyBuilder.all(o.proxy))
    b = b if o.ca is None else b.add_root_certificate_pem(o.ca)
    for value, put in ((o.connect, b.connect_timeout), (o.read, b.read_timeout), (o.total, b.timeout)):
        b = b if value is None else put(timedelta(seconds=value))
    async with b.build() as client:

        @asynccontextmanager
        async def send(url: str, tag: str = "", method: str = "POST") -> AsyncIterator[tuple[int, Any]]:
            request = client.request(method, url).header("x-id", tag).body_bytes(ASK)
            request = request if o.prefetch is None else request.streamed_read_buffer_limit(o.prefetch)
            async with request.build_streamed() as r:
                yield r.status, r.body_reader.read_chunk

        async def whole(url: str) -> None:
            await (await client.post(url).body_bytes(ASK).build().send()).bytes()

        yield send, whole


# ---- the checks: each fills rows of {name: text} --------------------------------------------------------------------
class Bench:
    def __init__(self, make: Callable[[Options], Any], ports: list[int], folder: Path) -> None:
        self.make, self.ports, self.folder = make, ports, folder
        self.url, self.rows = f"http://127.0.0.1:{ports[0]}/", dict[str, str]()
        self.me = psutil.Process()

    def stats(self) -> dict[str, Any]:
        with socket.create_connection(("127.0.0.1", self.ports[0])) as s:
            s.sendall(b"GET /stats HTTP/1.1\r\n\r\n")
            said = b"".join(iter(lambda: s.recv(65536), b""))
        stats: dict[str, Any] = json.loads(said.partition(b"\r\n\r\n")[2])
        return stats

    async def outcome(self, call: Coroutine[Any, Any, Any]) -> str:
        """What came out, or the error's class, its bases worth catching, the deepest cause, and how long it took."""
        t = time.monotonic()
        try:
            said = f"ok {await asyncio.wait_for(call, 8)}"
        except Exception as e:
            bases = [c.__name__ for c in type(e).__mro__[1:3]]
            causes = (getattr(e, "details", None) or {}).get("causes") or [{"message": str(e)}]
            why = f" <- {type(e.__cause__).__name__}" if e.__cause__ else ""
            said = f"{type(e).__name__}({', '.join(bases)}){why} {causes[-1]['message'][:50]!r}"
        return f"{said} {1000 * (time.monotonic() - t):.0f} ms"

    async def ask(self, url: str, o: Options | None = None, send: Any = None, method: str = "POST", tag: str = "") -> int:
        async with AsyncExitStack() as stack:
            send = send or (await stack.enter_async_context(self.make(o or Options())))[0]
            status, read = await stack.enter_async_context(send(url, tag, method))
            while await read():
                pass
            return int(status)

    async def sse(self) -> None:
        gaps, lags, done = list[float](), list[float](), 0

        async def one(send: Any) -> None:
            nonlocal done
            last, count = 0.0, 0
            async with send(self.url + "sse") as (_, read):
                while chunk := await read():
                    now = time.monotonic()
                    stamps = [float(e[6:]) for e in bytes(chunk).split(b"\n\n") if e]
                    count += len(stamps)
                    lags.append(now - stamps[0])
                    gaps.append(now - last if last else 0.0)
                    last = now
            done += count == 20

        async with self.make(Options()) as (send, _):
            await self.ask(self.url + "json", send=send)
            rss, cpu, t = self.me.memory_info().rss, time.process_time(), time.monotonic()
            tasks = [asyncio.create_task(one(send)) for _ in range(500)]
            peak = 0
            while not all(x.done() for x in tasks):
                peak = max(peak, self.me.memory_info().rss)
                await asyncio.sleep(0.1)
            await asyncio.gather(*tasks)
        self.rows["1 500 streams x 20: whole"] = f"{done}/500"
        self.rows["1 wall (ideal 1.0 s) / CPU"] = f"{time.monotonic() - t:.2f} s / {time.process_time() - cpu:.2f} s"
        self.rows["1 RSS growth"] = f"{(peak - rss) / 2**20:.1f} MiB"
        self.rows["1 worst gap / worst lag / p50 lag"] = " / ".join(
            f"{1000 * x:.1f} ms" for x in (max(gaps), max(lags), statistics.median(lags))
        )

        async with self.make(Options(prefetch=None)) as (send, _), send(self.url + "sse") as (_, read):
            first = bytes(await read())
            late = time.monotonic() - float(first.split()[1])
        self.rows["1 first event late by, library defaults"] = f"{1000 * late:.1f} ms"

    async def fail(self) -> None:
        with socket.socket() as refused, socket.socket() as full:
            refused.bind(("127.0.0.1", 0))  # bound, not listening: refuses
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            pending = [socket.socket() for _ in range(4)]
            for s in pending:
                s.setblocking(False)
                s.connect_ex(full.getsockname())
            await asyncio.sleep(0.05)
            for name, s in (("refused", refused), ("black hole, 0.5 s", full)):
                url = f"http://127.0.0.1:{s.getsockname()[1]}/"
                self.rows[f"2 connect {name}"] = await self.outcome(self.ask(url, Options(connect=0.5)))
            for s in pending:
                s.close()
        for path in ("reset", "eof-length", "eof-chunked"):
            self.rows[f"2 {path} mid-body"] = await self.outcome(self.ask(self.url + path))

    async def slow(self) -> None:
        async with self.make(Options()) as (send, _), send(self.url + "flood") as (_, read):
            rss, got, peak = self.me.memory_info().rss, len(await read()), 0
            await asyncio.sleep(2)
            asleep, sent = self.me.memory_info().rss - rss, self.stats()["sent"]
            t = time.monotonic()
            while chunk := await read():
                got += len(chunk)
                peak = max(peak, self.me.memory_info().rss - rss)
            speed = got / 2**20 / (time.monotonic() - t)
        self.rows["3 2 s asleep: RSS / upstream sent"] = f"+{asleep / 2**20:.1f} MiB / {sent / 2**20:.1f} of 200 MiB"
        self.rows["3 awake: peak RSS / speed / whole"] = f"+{peak / 2**20:.1f} MiB / {speed:.0f} MiB/s / {got == FLOOD}"

    async def cancel(self) -> None:
        async with self.make(Options()) as (send, _):

            async def hang(path: str, tag: str) -> None:
                async with send(self.url + path, tag) as (_, read):
                    while await read():
                        pass

            for path in ("stall", "forever"):
                took = list[float]()
                for n in range(10):
                    task = asyncio.create_task(hang(path, f"{path}{n}"))
                    await asyncio.sleep(0.12)
                    task.cancel()
                    t = time.monotonic()
                    with suppress(asyncio.CancelledError):
                        await task
                    await asyncio.sleep(0.2)
                    took.append(self.stats()["closed"].get(f"{path}{n}", t + 99) - t)
                never, p50, worst = sum(x > 9 for x in took), statistics.median(took), max(took)
                self.rows[f"4 cancel in {path}: closed after"] = (
                    f"NOT within 0.2 s in {never} of 10" if never else f"p50 {1000 * p50:.2f}, worst {1000 * worst:.2f} ms (of 10)"
                )
            for path in ("forever", "stall"):
                await self.ask(self.url + "json", send=send)
                fds, rss, was = self.me.num_fds(), self.me.memory_info().rss, self.stats()
                for batch in range(10):
                    tasks = [asyncio.create_task(hang(path, f"{path}-{batch}-{n}")) for n in range(50)]
                    await asyncio.sleep(0.2)
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.sleep(0.3)
                now, grown = self.stats(), self.me.memory_info().rss - rss
                self.rows[f"4 500 cancels in {path}: fds / upstream open / new connections / RSS"] = (
                    f"{self.me.num_fds() - fds:+d} / {now['open'] - was['open']:+d}"
                    f" / {now['accepted'] - was['accepted'] - 1} / {grown / 2**20:+.1f} MiB"
                )
        await asyncio.sleep(0.3)
        self.rows["4 upstream connections open after client.close()"] = f"{self.stats()['open'] - 1}"

    async def proxy(self) -> None:
        os.environ.update(dict.fromkeys(PROXY_VARS, self.url))
        for name, o in (
            ("env set, library default", Options(env=None)),
            ("env set, switched off", Options()),
            ("explicit", Options(proxy=self.url)),
        ):
            self.rows[f"5 proxy {name} (299 = proxied)"] = await self.outcome(self.ask(self.url + "json", o))
        for name in PROXY_VARS:
            del os.environ[name]
        for name, o in (("library default", Options(redirects=None)), ("off", Options())):
            self.rows[f"5 redirect POST 307, {name}"] = await self.outcome(self.ask(self.url + "redirect", o))

    async def tls(self) -> None:
        url = f"https://localhost:{self.ports[1]}/json"
        for name in ("right.pem", "wrong.pem"):
            self.rows[f"6 CA {name}"] = await self.outcome(self.ask(url, Options(ca=(self.folder / name).read_bytes())))
        self.rows["6 CA right, wrong host name"] = await self.outcome(
            self.ask(url.replace("localhost", "127.0.0.1"), Options(ca=(self.folder / "right.pem").read_bytes()))
        )

    async def race(self) -> None:
        async with self.make(Options()) as (send, _):
            for name, first, second, method, blocked in (
                ("closed 100 ms ago, loop free", "close-soon", "json", "POST", False),
                ("closed while our loop was blocked", "close-soon", "json", "POST", True),
                ("upstream takes POST and hangs up", "json", "swallow", "POST", False),
                ("upstream takes GET and hangs up", "json", "swallow", "GET", False),
            ):
                await self.ask(self.url + first, send=send)
                time.sleep(0.1) if blocked else await asyncio.sleep(0.1)
                tag = f"race-{method}-{name}"
                said = await self.outcome(self.ask(self.url + second, send=send, method=method, tag=tag))
                self.rows[f"7 {name}"] = f"sent {self.stats()['bodies'].get(tag, 0)}x: {said}"
            kinds: Counter[str] = Counter()
            failed: set[int] = set()
            for n in range(300):
                try:
                    kinds[f"ok {await self.ask(self.url + 'close-now', send=send, tag=f'storm{n}')}"] += 1
                except Exception as e:
                    kinds[type(e).__name__] += 1
                    failed.add(n)
            seen = [self.stats()["bodies"].get(f"storm{n}", 0) for n in range(300)]
            self.rows["7 300 POSTs, upstream closes at once"] = (
                f"{dict(kinds)}, received though failed {sum(seen[n] for n in failed)}, doubled {sum(x > 1 for x in seen)}"
            )

    async def times(self) -> None:
        self.rows["8 idle 0.3 s, client-wide, stalled body"] = await self.outcome(self.ask(self.url + "drip", Options(read=0.3)))
        self.rows["8 idle 0.3 s, no head comes"] = await self.outcome(self.ask(self.url + "stall", Options(read=0.3)))
        self.rows["8 total 0.5 s over a live stream"] = await self.outcome(self.ask(self.url + "forever", Options(total=0.5)))

        async def ours(send: Any) -> None:
            async with send(self.url + "drip", "ours") as (_, read):
                while True:
                    async with asyncio.timeout(0.3):
                        await read()

        async with self.make(Options()) as (send, _):
            said, t = await self.outcome(ours(send)), time.monotonic()
            await asyncio.sleep(0.1)
            self.rows["8 asyncio.timeout(0.3) per read"] = (
                f"{said}; closed {1000 * (self.stats()['closed'].get('ours', t + 99) - t):+.1f} ms"
            )

    async def audit(self) -> None:
        seen: Counter[str] = Counter()
        sys.addaudithook(lambda event, args: seen.update([event]) if event.startswith("socket.") else None)

        def count() -> str:
            said = ", ".join(f"{k} {seen[k]}" for k in ("socket.connect", "socket.getaddrinfo")) if seen else "nothing"
            seen.clear()
            return said

        await self.ask(f"http://localhost:{self.ports[0]}/json")
        self.rows["9 audit hook sees of one request"] = count()
        _, w = await asyncio.open_connection("127.0.0.1", self.ports[0])
        w.close()
        self.rows["9 ... of asyncio.open_connection"] = count()

    async def speed(self) -> None:
        url = f"http://127.0.0.1:{self.ports[2]}/"
        async with self.make(Options()) as (send, whole):

            async def streamed(url: str) -> None:
                async with send(url) as (_, read):
                    while await read():
                        pass

            async def many(call: Callable[[str], Any], n: int) -> list[float]:
                took = []
                for _ in range(n):
                    t = time.perf_counter()
                    await call(url)
                    took.append(time.perf_counter() - t)
                return took

            for name, call in (("whole body", whole), ("streamed", streamed)):
                await many(call, 300)
                took = sorted(await many(call, 2000))
                self.rows[f"10 c=1 {name}: p50 / p99"] = f"{1e6 * took[1000]:.0f} / {1e6 * took[1980]:.0f} us"
                runs = []
                for _ in range(3):
                    t, cpu = time.perf_counter(), time.process_time()
                    await asyncio.gather(*(many(call, 200) for _ in range(32)))
                    runs.append((6400 / (time.perf_counter() - t), 1e6 * (time.process_time() - cpu) / 6400))
                rates, cpus = sorted(r for r, _ in runs), sorted(c for _, c in runs)
                self.rows[f"10 c=32 {name}: req/s (range of 3), CPU each"] = (
                    f"{rates[1]:,.0f} ({rates[0]:,.0f}-{rates[2]:,.0f}), {cpus[1]:.0f} us"
                )


# ---- running it ----------------------------------------------------------------------------------------------------
CHECKS = ("sse", "fail", "slow", "cancel", "proxy", "tls", "race", "times", "audit", "speed")


async def worker(client: str, ports: list[int], folder: Path, only: list[str]) -> dict[str, str]:
    bench = Bench({"aiohttp": aiohttp_client, "pyreqwest": pyreqwest_client}[client], ports, folder)
    for name in only:
        try:
            await asyncio.wait_for(getattr(bench, name)(), 60)
        except Exception as e:
            bench.rows[f"{name} BROKE"] = f"{type(e).__name__}: {e}"[:160]
    return bench.rows


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--only", default=",".join(CHECKS), help="comma-separated: " + " ".join(CHECKS))
    ask.add_argument("--json", action="store_true")
    ask.add_argument("--role", nargs=4, help=argparse.SUPPRESS)  # a child: client-or-upstream, loop, ports, folder
    args = ask.parse_args()
    only = args.only.split(",")
    if args.role:
        what, loop, ports, folder = args.role
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if what == "upstream" else min(os.sched_getaffinity(0))})
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
            if what == "upstream":
                runner.run(upstream_main(Path(folder)))
            print(json.dumps(runner.run(worker(what, json.loads(ports), Path(folder), only))))
        return
    import trustme

    with tempfile.TemporaryDirectory() as tmp:
        right, wrong = trustme.CA(), trustme.CA()
        right.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(f"{tmp}/server.pem")
        right.cert_pem.write_to_path(f"{tmp}/right.pem")
        wrong.cert_pem.write_to_path(f"{tmp}/wrong.pem")
        env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        table: dict[str, dict[str, str]] = {}
        for client, loop in COLUMNS:
            up = subprocess.Popen(
                [sys.executable, __file__, "--role", "upstream", "uvloop", "-", tmp], stdout=subprocess.PIPE, env=env
            )
            try:
                ports = (up.stdout or sys.stdin).readline().decode().strip()  # type: ignore[union-attr]
                said = subprocess.run(
                    [sys.executable, __file__, "--only", args.only, "--role", client, loop, ports, tmp],
                    stdout=subprocess.PIPE,
                    env=env,
                    timeout=300,
                )
                for row, text in json.loads(said.stdout or b'{"worker": "died"}').items():
                    table.setdefault(row, {})[f"{client}/{loop}"] = text
            finally:
                up.kill()
                up.wait()
    if args.json:
        print(json.dumps(table, indent=1))
        return
    for row, cells in table.items():
        print(row, *(f"    {column:18} {text}" for column, text in cells.items()), sep="\n")


if __name__ == "__main__":
    main()
