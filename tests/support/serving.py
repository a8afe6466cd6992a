"""The real server, providers and egress over real loopback sockets, in the test's own loop; only the store is in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from anthropic import AsyncAnthropic
from msgspec import Struct
from openai import AsyncOpenAI
from tests.support.fleet import config_of, deployment, gateway_of

from trimtab import catalog
from trimtab.config import Cache
from trimtab.core.catalog import Deployment
from trimtab.core.messages import Dialect
from trimtab.core.record import Record
from trimtab.core.units import Clock, NanoUSD, Timeouts
from trimtab.core.zones import Secret
from trimtab.engine import AccountBook, Gate, Gateway
from trimtab.engine.access import digest
from trimtab.engine.batches import batching
from trimtab.engine.clock import SystemClock, new_id
from trimtab.lab.memory import MemoryStore
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers.registry import auth_headers, provider_for
from trimtab.server import Shelf, Site, build_app
from trimtab.store import Filter

KEY = "tt-test-key"
UPSTREAM_KEY = "sk-upstream-0123456789abcdef"


class Running(Struct):
    """A gateway that listens."""

    url: str
    gateway: Gateway
    store: MemoryStore
    egress: Egress
    book: AccountBook

    def openai(self, **options: object) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, **options)  # type: ignore[arg-type]

    def anthropic(self, **options: object) -> AsyncAnthropic:
        return AsyncAnthropic(base_url=self.url, api_key=KEY, max_retries=0, **options)  # type: ignore[arg-type]

    async def records(self) -> list[Record]:
        return [record async for record in self.store.scan(Filter())]

    async def settled(self, count: int = 1) -> list[Record]:
        """The records, once ``count`` of them have an outcome: a client that leaves does not wait for the ledger."""
        async with asyncio.timeout(3):
            while True:
                done = [record for record in await self.records() if record.outcome is not None]
                if len(done) >= count:
                    return done
                await asyncio.sleep(0.01)


def openai_door(id: str, url: str, **options: object) -> Deployment:
    return deployment(id, base_url=f"{url}/v1", **options)  # type: ignore[arg-type]


def anthropic_door(id: str, url: str, **options: object) -> Deployment:
    return deployment(id, base_url=url, dialect=Dialect.ANTHROPIC, **options)  # type: ignore[arg-type]


class QuietServer(uvicorn.Server):
    """Leaves the test process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


SHORT = Timeouts(connect=1, first_token=0.3, idle=0.3, total=3)


@asynccontextmanager
async def serving(
    deployments: Iterable[Deployment],
    *,
    store: MemoryStore | None = None,
    budget: NanoUSD | None = None,
    clock: Clock | None = None,
    max_body_bytes: int = 1 << 20,
    max_concurrency: int = 100,
    max_attempts: int = 3,
    queue_seconds: float = 0.0,
    keep_responses: bool = False,
    cache: Cache | None = None,
    files: Path | None = None,
) -> AsyncIterator[Running]:
    fleet = tuple(deployments)
    rows = {d.id: catalog.providers()[d.provider] for d in fleet}
    key = Secret(UPSTREAM_KEY)
    receivers = [Receiver(id=d.id, base_url=d.base_url, zone=d.zone, headers=auth_headers(rows[d.id], key)) for d in fleet]
    egress = Egress(Receivers(config_of(fleet).boundary, receivers))
    store = store or MemoryStore()
    gateway = gateway_of(
        fleet,
        {d.id: provider_for(rows[d.id], egress) for d in fleet},
        store=store,
        clock=clock or SystemClock(),
        budget=budget,
        max_attempts=max_attempts,
        cache=cache,
    )
    book = AccountBook(store, SystemClock(), new_id)
    await book.ensure_bootstrap(digest(KEY), "test")
    gate = Gate(max_concurrency, queue_seconds)
    shelf = Shelf(store, SystemClock(), 30) if keep_responses else None
    stack = AsyncExitStack()
    desk = None
    if files is not None:
        batches = batching(
            config_of(fleet).batches,
            files,
            gateway,
            book,
            store,
            carriers={},
            busy=lambda: gate.under_way * 2 >= max_concurrency,
            longest=max_body_bytes,
        )
        desk = await stack.enter_async_context(batches)
    app = build_app(Site(gateway=gateway, book=book, gate=gate, store=store, max_body_bytes=max_body_bytes), shelf=shelf, desk=desk)
    listening = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio turns Nagle's algorithm off for what is called TCP alone
    listening.bind(("127.0.0.1", 0))
    server = QuietServer(uvicorn.Config(app, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None))
    serve = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", gateway, store, egress, book)
    finally:
        server.should_exit = server.force_exit = True
        await serve
        await stack.aclose()
        await egress.aclose()
        listening.close()
