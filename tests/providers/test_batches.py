"""A provider's batches over real sockets, where the far end falls silent: every call has a bound of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from tests.support.fleet import config_of, deployment, question

from trimtab import catalog
from trimtab.core.catalog import Deployment
from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.messages import Dialect
from trimtab.core.units import Timeouts
from trimtab.core.zones import Sensitivity
from trimtab.lab.upstream.loopback import Ending, Exchange, Loopback
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers import BatchLine, BatchProvider
from trimtab.providers.batches import batches_for

LONG = 60.0
ENDED = {
    "openai": b'{"id":"b","status":"completed","endpoint":"/v1/chat/completions","output_file_id":"out"}',
    "anthropic": b'{"id":"b","processing_status":"ended"}',
}
ROW = {
    "openai": b'{"custom_id":"a","error":{"code":"batch_expired"}}\n',
    "anthropic": b'{"custom_id":"a","result":{"type":"expired"}}\n',
}
BOTH = pytest.mark.parametrize("flavour", ["openai", "anthropic"])
Call = Callable[[BatchProvider, Deployment], Awaitable[object]]


async def submit(batches: BatchProvider, door: Deployment) -> str:
    asked = msgspec.structs.replace(question(dialect=door.dialect), sensitivity=frozenset({Sensitivity.PUBLIC}))
    return await batches.submit(door, [BatchLine("a", asked)])


async def collect(batches: BatchProvider, door: Deployment) -> list[str]:
    return [answer.id async for answer in batches.answers(door, "b")]


async def refused_by(
    flavour: str, handler: Callable[[Exchange], Awaitable[Ending]], call: Call, timeouts: Timeouts
) -> ProviderError:
    async with Loopback(handler) as upstream:
        base_url = f"{upstream.url}/v1" if flavour == "openai" else upstream.url
        dialect = Dialect.OPENAI_CHAT if flavour == "openai" else Dialect.ANTHROPIC
        door = deployment("m", base_url=base_url, dialect=dialect, timeouts=timeouts)
        egress = Egress(Receivers(config_of([door]).boundary, [Receiver(id=door.id, base_url=base_url, zone="any")]))
        batches = batches_for(msgspec.structs.replace(catalog.providers()[flavour], base_url=base_url), egress)
        assert batches is not None
        try:
            async with asyncio.timeout(5):
                with pytest.raises(ProviderError) as caught:
                    await call(batches, door)
        finally:
            await egress.aclose()
        return caught.value


async def silent(exchange: Exchange) -> Ending:
    await asyncio.Event().wait()
    return "stopped"


@BOTH
@pytest.mark.parametrize(
    ("call", "timeouts"),
    [
        (submit, Timeouts(total=0.1, first_token=LONG, idle=LONG)),
        (lambda batches, door: batches.has_ended(door, "b"), Timeouts(first_token=0.1, idle=LONG)),
        (lambda batches, door: batches.cancel(door, "b"), Timeouts(first_token=0.1, idle=LONG)),
        (collect, Timeouts(first_token=0.1, idle=LONG)),
    ],
    ids=["submit", "has_ended", "cancel", "answers"],
)
async def test_nobody_waits_for_ever(flavour: str, call: Call, timeouts: Timeouts) -> None:
    error = await refused_by(flavour, silent, call, timeouts)
    assert (error.kind, error.detail, error.may_be_billed) == (FailureKind.TRANSIENT, "timeout", True)


@BOTH
async def test_a_download_may_take_long_and_not_stop(flavour: str) -> None:
    collected: list[str] = []

    async def drip(exchange: Exchange) -> Ending:
        await exchange.start(200, {"content-type": "application/json"})
        if exchange.request.path.endswith(("/content", "/results")):
            for _ in range(6):  # longer, all in all, than any one bound
                await exchange.send(ROW[flavour])
                await asyncio.sleep(0.1)
            await asyncio.Event().wait()
        await exchange.send(ENDED[flavour])
        await exchange.finish()
        return "complete"

    async def gather(batches: BatchProvider, door: Deployment) -> None:
        async for answer in batches.answers(door, "b"):
            collected.append(answer.id)  # noqa: PERF401 (what came before the failure is to stay)

    error = await refused_by(flavour, drip, gather, Timeouts(total=0.3, first_token=0.3, idle=0.3))
    assert (error.kind, error.detail) == (FailureKind.TRANSIENT, "timeout")
    assert collected == ["a"] * 6
