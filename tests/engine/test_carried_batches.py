"""Providers' own batches over real sockets: handed over together, priced with the discount, collected by whoever holds the lease."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from tests.support.fleet import config_of, deployment, gateway_of
from tests.support.serving import UPSTREAM_KEY

from trimtab import catalog
from trimtab.catalog import ProviderRow
from trimtab.core.catalog import Deployment
from trimtab.core.errors import EgressRefused
from trimtab.core.messages import Dialect
from trimtab.core.record import OutcomeKind, Record
from trimtab.core.units import NanoUSD, Price
from trimtab.core.zones import Secret, Sensitivity
from trimtab.engine import AccountBook, Caller
from trimtab.engine.access import digest
from trimtab.engine.batches import Batch, Desk, Status, batching, carriers_of
from trimtab.engine.clock import SystemClock, new_id
from trimtab.lab.faults import FAILURES, FaultyUpstream, speak
from trimtab.lab.memory import MemoryStore
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers import BatchLine
from trimtab.providers.batches import batches_for
from trimtab.providers.registry import auth_headers, provider_for
from trimtab.store import Filter
from trimtab.wire import CODECS
from trimtab.wire.batches import Ending

PRICE = Price(input=1_000_000_000, output=2_000_000_000, version="test")
BOTH = pytest.mark.parametrize("flavour", ["openai", "anthropic"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.engine.batches.running.work._CARRIED_SECONDS", 0.05)
    monkeypatch.setattr("trimtab.engine.batches.running.runner._POLL_SECONDS", 0.05)


class Process(Struct):
    desk: Desk
    store: MemoryStore
    caller: Caller
    folder: Path

    async def ended(self, batch: Batch) -> Batch:
        async with asyncio.timeout(10):
            while not (found := await self.desk.load(batch.flavour, batch.id, "")).status.has_ended:
                await asyncio.sleep(0.02)
        return found

    async def records(self) -> list[Record]:
        return [record async for record in self.store.scan(Filter())]

    async def hand_in(self, flavour: str, count: int, **fields: object) -> Batch:
        asked = [
            {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": f"line {n}"}], **fields} for n in range(count)
        ]
        if flavour == "anthropic":
            requests = [{"custom_id": str(number), "params": body} for number, body in enumerate(asked)]
            return await self.desk.create_messages(json.dumps({"requests": requests}).encode(), (), self.caller)
        url = "/v1/chat/completions"
        rows = [json.dumps({"custom_id": str(n), "method": "POST", "url": url, "body": body}) for n, body in enumerate(asked)]
        id = self.desk.files.fresh("file-")
        async with self.desk.files.making(f"{id}.part") as part:
            part.write("\n".join(rows).encode())
            part.flush()
            await self.desk.files.publish(id, "lines.jsonl", "batch", self.caller)
        return await self.desk.create(url, id, None, self.caller)

    def results(self, batch: Batch) -> dict[str, Any]:
        files = [self.desk.files.path(id) for id in (batch.output, batch.errors_file) if id]
        rows = [json.loads(row) for file in files for row in file.read_text().splitlines()]
        assert len({row["custom_id"] for row in rows}) == len(rows)
        return {row["custom_id"]: row for row in rows}


def at(upstream: FaultyUpstream, flavour: str) -> tuple[Deployment, ProviderRow]:
    """The provider as shipped, at the lab's address."""
    base_url = f"{upstream.url}/v1" if flavour == "openai" else upstream.url
    dialect = Dialect.OPENAI_CHAT if flavour == "openai" else Dialect.ANTHROPIC
    row = msgspec.structs.replace(catalog.providers()[flavour], base_url=base_url)
    return deployment("m", base_url=base_url, dialect=dialect, price=PRICE), row


@asynccontextmanager
async def process(
    upstream: FaultyUpstream, flavour: str, folder: Path, store: MemoryStore | None = None, budget: NanoUSD | None = None
) -> AsyncIterator[Process]:
    door, row = at(upstream, flavour)
    receiver = Receiver(id=door.id, base_url=door.base_url, zone=door.zone, headers=auth_headers(row, Secret(UPSTREAM_KEY)))
    egress = Egress(Receivers(config_of([door]).boundary, [receiver]))
    clock, store = SystemClock(), store or MemoryStore()
    gateway = gateway_of([door], {door.id: provider_for(row, egress)}, store=store, clock=clock, budget=budget)
    book = AccountBook(store, clock, new_id)
    key = await book.ensure_bootstrap(digest("tt-test"), "test")
    carriers = carriers_of(gateway, {door.provider: row}, egress)
    settings = config_of([door]).batches
    async with batching(settings, folder, gateway, book, store, carriers=carriers, busy=lambda: False, longest=1 << 20) as desk:
        yield Process(desk, store, Caller(key_id=key.id, line=key.line), folder)
    await egress.aclose()


@BOTH
async def test_lines_are_carried_together_at_half_the_price(flavour: str, tmp_path: Path) -> None:
    async with FaultyUpstream(speak("Fine.")) as upstream, process(upstream, flavour, tmp_path) as here:
        done = await here.ended(await here.hand_in(flavour, 5))
        assert (done.status, dict(done.counts)) == (Status.COMPLETED, {Ending.SUCCEEDED: 5})
        assert set(here.results(done)) == {str(number) for number in range(5)}
        (carried,) = upstream.batches.batches.values()
        assert len(carried.lines) == 5
        called = {exchange.request.path for exchange in upstream.exchanges}
        assert not called & {"/v1/chat/completions", "/v1/messages"}
        for record in await here.records():
            assert record.outcome is not None
            assert record.outcome.kind is OutcomeKind.COMPLETE
            (attempt,) = record.outcome.attempts
            assert (attempt.usage.input, attempt.usage.output, attempt.usage.estimated) == (12, 7, False)
            assert record.outcome.cost == (PRICE.cost(attempt.usage) or 0) // 2
            assert attempt.price_version == "test, batch at 50 %"
        # what the provider is told of a line is an id of ours, and no client's
        assert {id for id, _ in carried.lines} == {record.intent.id for record in await here.records()}


@BOTH
async def test_what_a_provider_passes_over_runs_by_itself(flavour: str, tmp_path: Path) -> None:
    async with FaultyUpstream(speak("Fine.")) as upstream, process(upstream, flavour, tmp_path) as here:
        upstream.batches.polls = 3
        batch = await here.hand_in(flavour, 4)
        async with asyncio.timeout(5):
            while not upstream.batches.batches:
                await asyncio.sleep(0.01)
        (carried,) = upstream.batches.batches.values()
        upstream.batches.passed_over = {carried.lines[0][0], carried.lines[2][0]}
        done = await here.ended(batch)
        assert dict(done.counts) == {Ending.SUCCEEDED: 4}
        outcomes = {record.intent.id: record.outcome for record in await here.records()}
        assert all(outcomes.values())
        kinds = sorted(outcome.kind for outcome in outcomes.values() if outcome)
        assert kinds == [OutcomeKind.COMPLETE] * 4 + [OutcomeKind.FAILED] * 2
        costs = [outcome.cost for outcome in outcomes.values() if outcome and outcome.kind is OutcomeKind.FAILED]
        assert costs == [0, 0]


@BOTH
async def test_a_line_that_is_wrong_gets_its_error(flavour: str, tmp_path: Path) -> None:
    wrong = FAILURES[f"{flavour}.context_length"] if f"{flavour}.context_length" in FAILURES else FAILURES["openai.context_length"]
    async with FaultyUpstream(wrong, speak("Fine.")) as upstream, process(upstream, flavour, tmp_path) as here:
        done = await here.ended(await here.hand_in(flavour, 3))
        assert dict(done.counts) == {Ending.SUCCEEDED: 2, Ending.ERRORED: 1}


@BOTH
async def test_another_process_collects(flavour: str, tmp_path: Path) -> None:
    async with FaultyUpstream(speak("Fine.")) as upstream:
        upstream.batches.polls = 10**6
        async with process(upstream, flavour, tmp_path) as first:
            batch = await first.hand_in(flavour, 4)
            async with asyncio.timeout(5):
                while not list(tmp_path.glob("*.handed")) or not next(tmp_path.glob("*.handed")).stat().st_size:
                    await asyncio.sleep(0.01)
        upstream.batches.polls = 0
        async with process(upstream, flavour, tmp_path, first.store) as second:
            done = await second.ended(batch)
            assert dict(done.counts) == {Ending.SUCCEEDED: 4}
            assert len(await second.records()) == len(upstream.batches.batches) * 4 == 4


@BOTH
async def test_calling_off_reaches_the_provider(flavour: str, tmp_path: Path) -> None:
    async with FaultyUpstream(speak("Fine.")) as upstream, process(upstream, flavour, tmp_path) as here:
        upstream.batches.polls = 10**6
        batch = await here.hand_in(flavour, 3)
        async with asyncio.timeout(5):
            while not upstream.batches.batches:
                await asyncio.sleep(0.01)
        await here.desk.cancel(batch.flavour, batch.id, "")
        done = await here.ended(batch)
        assert done.status is Status.CANCELLED
        assert dict(done.counts) == {Ending.CANCELED: 3}
        assert next(iter(upstream.batches.batches.values())).is_called_off
        assert all(record.outcome for record in await here.records())


async def test_a_provider_that_takes_no_batch_answers_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultyUpstream(speak("Fine.")) as upstream, process(upstream, "openai", tmp_path) as here:
        refuse = (503, b"{}")
        monkeypatch.setattr(upstream.batches, "handle", lambda asked, _: refuse if asked.path.endswith("/files") else None)
        done = await here.ended(await here.hand_in("openai", 3))
        assert dict(done.counts) == {Ending.SUCCEEDED: 3}


async def test_a_budget_holds_lines_back_from_a_provider(tmp_path: Path) -> None:
    async with (
        FaultyUpstream(speak("Fine.")) as upstream,
        process(upstream, "openai", tmp_path, budget=NanoUSD(60_000)) as here,
    ):
        upstream.batches.polls = 0
        await here.hand_in("openai", 10)
        async with asyncio.timeout(5):
            while not upstream.batches.batches:
                await asyncio.sleep(0.01)
        (carried,) = upstream.batches.batches.values()
        assert 0 < len(carried.lines) < 10


@BOTH
async def test_what_is_sensitive_is_held_against_the_zone_as_a_whole(flavour: str, tmp_path: Path) -> None:
    """Forged as it may be: one line that may not leave keeps the whole submission at home."""
    async with FaultyUpstream(speak("Fine.")) as upstream:
        door, row = at(upstream, flavour)
        egress = Egress(Receivers(config_of([door]).boundary, [Receiver(id=door.id, base_url=door.base_url, zone="any")]))
        batches = batches_for(row, egress)
        assert batches is not None
        body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}'
        plain = CODECS[door.dialect].decode_request(body)
        lines = [
            BatchLine("a", msgspec.structs.replace(plain, sensitivity=frozenset({Sensitivity.PUBLIC}))),
            BatchLine("b", msgspec.structs.replace(plain, sensitivity=frozenset({Sensitivity.HEALTH}))),
        ]
        with pytest.raises(EgressRefused):
            await batches.submit(door, lines)
        assert upstream.exchanges == []
        await egress.aclose()
