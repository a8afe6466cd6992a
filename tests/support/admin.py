"""The admin side in-process: the real application without a socket, the store in memory, time by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from msgspec import Struct
from starlette.types import ASGIApp
from tests.support.fleet import deployment, gateway_of

from trimtab.core.accounts import Budget
from trimtab.core.catalog import Tier
from trimtab.core.units import NanoUSD
from trimtab.engine import AccountBook, Gate, Gateway
from trimtab.engine.access import digest
from trimtab.engine.clock import new_id
from trimtab.engine.limits import config_budget
from trimtab.lab.clock import ManualClock
from trimtab.lab.memory import MemoryStore
from trimtab.lab.scripted import ScriptedProvider
from trimtab.server import Site, build_app

ROOT_KEY = "tt-the-operators-own-key"
FLEET = (
    deployment("small", zone="local", tier=Tier.SELF_HOSTED),
    deployment("large", zone="any", tier=Tier.CLOSED),
)


class Said(Struct, frozen=True):
    """An answer: its status, and its body as it was read."""

    status: int
    body: Any
    text: str
    headers: Mapping[str, str]


class Admin:
    """``call`` asks as whoever has ``key``."""

    def __init__(self, store: MemoryStore | None = None, *, budget: NanoUSD | None = None) -> None:
        self.clock = ManualClock()
        self.store = store or MemoryStore(self.clock.time_ns)
        self.gateway: Gateway = gateway_of(FLEET, ScriptedProvider(), store=self.store, clock=self.clock, budget=budget)
        self.book = AccountBook(self.store, self.clock, new_id)
        self.fixed = config_budget(budget)
        self.site = Site(gateway=self.gateway, book=self.book, gate=Gate(10), store=self.store, max_body_bytes=1 << 20)
        self.app: ASGIApp = build_app(self.site)
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url="http://127.0.0.1")

    async def open(self) -> None:
        await self.book.ensure_bootstrap(digest(ROOT_KEY), "up")
        await self.read_budgets()

    async def read_budgets(self) -> None:
        """What housekeeping does every second."""
        self.gateway.purse.replace((*self.fixed, *self.book.directory.all(Budget)))
        await self.gateway.purse.open(self.store, self.book.directory.keys_of)

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = ROOT_KEY, headers: Mapping[str, str] | None = None
    ) -> Said:
        sent = {} if key is None else {"authorization": f"Bearer {key}"}
        answer = await self.client.request(method, path, json=body, headers={**sent, **(headers or {})})
        return Said(answer.status_code, answer.json(), answer.text, answer.headers)

    async def made(self, path: str, body: object, *, key: str = ROOT_KEY) -> Any:
        """What a POST makes."""
        said = await self.call("POST", path, body, key=key)
        assert said.status == 201, said.text
        return said.body

    async def place(self, path: str, **body: object) -> None:
        said = await self.call("PUT", f"/-/places/{path}", body)
        assert said.status == 200, said.text

    async def key_with(self, role: str | None, place: str, **body: object) -> str:
        """A key at ``place`` that holds ``role`` there itself."""
        made = await self.made("/-/keys", {"place": place, **body})
        if role is not None:
            await self.made("/-/grants", {"holder": f"key:{made['described']['id']}", "role": role, "place": place})
        return str(made["key"])

    def budgets(self) -> list[Budget]:
        return list(self.book.directory.all(Budget))


@asynccontextmanager
async def admin(store: MemoryStore | None = None, *, budget: NanoUSD | None = None) -> AsyncIterator[Admin]:
    site = Admin(store, budget=budget)
    await site.open()
    try:
        yield site
    finally:
        await site.client.aclose()
