"""An egress with one receiver, and how to ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from tests.net.upstream import Exchange

from trimtab.core.zones import DEFAULT_ZONES, Boundary, Secret, Sensitivity
from trimtab.net import Answer, Egress, NetError, Receiver, Receivers

KEY = "sk-canary-0123456789abcdef"
BOUNDARY = Boundary(zones=DEFAULT_ZONES, outermost={Sensitivity.PUBLIC: "any", Sensitivity.PERSONAL: "on_prem"})
PUBLIC = frozenset({Sensitivity.PUBLIC})


@asynccontextmanager
async def egress_to(url: str, *, zone: str = "any", proxy: str | None = None, ca_file: str | None = None) -> AsyncIterator[Egress]:
    receiver = Receiver(id="there", base_url=url, zone=zone, headers={"Authorization": Secret(f"Bearer {KEY}")})
    egress = Egress(Receivers(BOUNDARY, [receiver]), proxy=proxy, ca_file=ca_file)
    try:
        yield egress
    finally:
        await egress.aclose()


async def ask(
    egress: Egress,
    path: str = "/x",
    body: bytes = b"hello",
    *,
    headers: dict[str, str] | None = None,
    carried: frozenset[Sensitivity] = PUBLIC,
    connect_timeout: float = 2.0,
) -> tuple[int, bytes]:
    async with egress.post("there", path, body, carried=carried, headers=headers or {}, connect_timeout=connect_timeout) as answer:
        return answer.status, await answer.read(2**20)


def opened(egress: Egress) -> AbstractAsyncContextManager[Answer]:
    return egress.post("there", "/", b"", carried=PUBLIC, headers={}, connect_timeout=2)


async def failure(egress: Egress, connect_timeout: float = 2.0) -> NetError:
    with pytest.raises(NetError) as caught:
        await ask(egress, "/x?secret-query=1", connect_timeout=connect_timeout)
    return caught.value


async def echo(exchange: Exchange) -> None:
    await exchange.answer(exchange.body, headers={"X-Up": "here", "Set-Cookie": "a=b"})
