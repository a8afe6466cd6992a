"""The clients that people use drive the real server: SDKs, frameworks and a command line, each in a process and an environment of its own.

What a client checks stands in its script below ``clients/``; ``clients/table.py`` says which there are. ``test_sdks.py`` asks more of the
two official SDKs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import msgspec
import pytest
import pytest_asyncio
from _pytest.mark import ParameterSet
from tests.oracle.clients.drive import Missing, drive, gateway
from tests.oracle.clients.table import CLIENTS, PENDING, RESULTS, Client, Line, Results, due, rows

pytestmark = pytest.mark.process

Run = Callable[[Client], Awaitable[list[Line]]]
in_module = pytest.mark.asyncio(loop_scope="module")
named = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    """Each client runs once, when the first test asks for it."""
    kept: dict[str, list[Line]] = {}
    async with gateway(tmp_path_factory.mktemp("clients")) as at:

        async def once(client: Client) -> list[Line]:
            if client.name not in kept:
                try:
                    kept[client.name] = await drive(client, at)
                except Missing as missing:
                    pytest.skip(str(missing))
            return kept[client.name]

        yield once


def doors() -> Iterator[ParameterSet]:
    for client in CLIENTS:
        for door in client.doors:
            marks = [pytest.mark.xfail(strict=True, reason=PENDING[door], raises=AssertionError)] if door in PENDING else []
            yield pytest.param(client, door, id=f"{client.name} {door}", marks=marks)


@in_module
@pytest.mark.parametrize(("client", "door"), list(doors()))
async def test_a_client_gets_what_it_asks_for(run: Run, client: Client, door: str) -> None:
    lines = [line for line in await run(client) if line.door == door]
    assert due(door) <= {line.check for line in lines}
    assert [f"{line.check} {line.model}: {line.detail}" for line in lines if line.ok is False] == []


@in_module
@named
async def test_the_table_in_the_docs_says_what_came_out(run: Run, client: Client) -> None:
    shown = msgspec.json.decode(RESULTS.read_bytes(), type=Results).rows
    assert rows(client, await run(client)) == [row for row in shown if row.client == client.name], "run: make clients docs"


def test_no_door_is_awaited_that_nobody_goes_through() -> None:
    assert PENDING.keys() <= {door for client in CLIENTS for door in client.doors}
