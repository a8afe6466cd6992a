"""The running gateway of this folder, asked over its own door: verbs have no rights of their own, only those of the key that they send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from trimtab.cli.common.home import Home
from trimtab.core.errors import ConfigError, TrimtabError
from trimtab.core.zones import Boundary, Secret, Sensitivity
from trimtab.net import Egress, NetError, Receiver, Receivers
from trimtab.server.admin.shapes import Page
from trimtab.server.common.answers import Failure

T = TypeVar("T")
Query = Mapping[str, str | None]

_GATEWAY = "gateway"
_CARRIED = frozenset({Sensitivity.UNREADABLE})
"""What is sent is not read here; the gateway on the other side reads it. The gateway's own zone admits everything."""

_MOST = 1 << 26


class Unreachable(ConfigError):
    """No gateway answers."""


class Said(Struct, frozen=True):
    status: int
    body: bytes
    headers: Mapping[str, str]


class Reached:
    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def exchange(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Said:
        sent = None if body is None else msgspec.json.encode(body)
        said = {"content-type": "application/json", **(headers or {})} if sent is not None else (headers or {})
        async with self._egress.request(method, _GATEWAY, path, sent, carried=_CARRIED, headers=said, connect_timeout=5) as answer:
            return Said(answer.status, await answer.read(_MOST), dict(answer.headers))

    async def call(self, method: str, path: str, kind: type[T], *, query: Query | None = None, body: object = None) -> T:
        """One operation of the admin API. Raises what the gateway refuses with, in its own words."""
        given = {name: text for name, text in (query or {}).items() if text is not None}
        said = await self.exchange(method, quote(path, safe="/") + (f"?{urlencode(given)}" if given else ""), body)
        try:
            if said.status not in (200, 201):
                failure = msgspec.json.decode(said.body, type=Failure).error
                raise TrimtabError(failure.message, hint=failure.hint)
            return msgspec.json.decode(said.body, type=kind)
        except msgspec.MsgspecError:
            raise ConfigError(
                f"The gateway's answer ({said.status}) cannot be read.", hint="It may be of another version than this 'trimtab'."
            ) from None

    async def every(self, path: str, kind: type[Page[T]], query: Query | None = None) -> list[T]:
        """The rows of all pages, from where ``query`` says."""
        rows: list[T] = []
        after = (query or {}).get("after")
        while True:
            page = await self.call("GET", path, kind, query={**(query or {}), "limit": "1000", "after": after})
            rows += page.data
            if not page.has_more:
                return rows
            after = page.next_after


@asynccontextmanager
async def reached() -> AsyncIterator[Reached]:
    """Raises :class:`Unreachable` where nobody listens."""
    home = Home.find()
    running, key = home.running(), home.key()
    if key is None:
        raise ConfigError("There is no key for this gateway.", hint="Set TRIMTAB_API_KEY, or start the gateway with 'trimtab up'.")
    boundary = Boundary(zones=("here",), outermost=dict.fromkeys(Sensitivity, "here"))
    receiver = Receiver(id=_GATEWAY, base_url=running.url, zone="here", headers={"authorization": Secret(f"Bearer {key}")})
    egress = Egress(Receivers(boundary, [receiver]))
    try:
        yield Reached(egress)
    except NetError as error:
        raise Unreachable(f"No gateway answers at {running.url} ({error}).", hint="Start one with 'trimtab up'.") from None
    finally:
        await egress.aclose()


def call(method: str, path: str, kind: type[T], *, query: Query | None = None, body: object = None) -> T:
    """:meth:`Reached.call` by itself."""

    async def ask() -> T:
        async with reached() as gateway:
            return await gateway.call(method, path, kind, query=query, body=body)

    return asyncio.run(ask())


def every(path: str, kind: type[Page[T]], query: Query | None = None) -> list[T]:
    """:meth:`Reached.every` by itself."""

    async def ask() -> list[T]:
        async with reached() as gateway:
            return await gateway.every(path, kind, query)

    return asyncio.run(ask())
