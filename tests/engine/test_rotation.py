"""Several credentials of one deployment: the next is tried at once, and the deployment is not held to blame while there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.fleet import CALLER, config_of, deployment, gateway_of, question

from trimtab.catalog import providers
from trimtab.config import ApiKey, load
from trimtab.core.errors import AttemptsExhausted, FailureKind
from trimtab.core.record import Record
from trimtab.core.zones import Secret
from trimtab.engine import Gateway
from trimtab.engine.access import digest
from trimtab.engine.assembly import assemble
from trimtab.engine.clock import SystemClock
from trimtab.lab.faults import FAILURES, FaultyUpstream, speak
from trimtab.lab.memory import MemoryStore
from trimtab.net import Egress, Receivers
from trimtab.providers.receivers import register
from trimtab.providers.registry import provider_for
from trimtab.store import Filter

KEYS = tuple(ApiKey(Secret(f"sk-lab-{number}-0123456789")) for number in range(2))


@asynccontextmanager
async def gateway_to(there: FaultyUpstream, store: MemoryStore) -> AsyncIterator[Gateway]:
    door, row = deployment("d", base_url=f"{there.url}/v1"), providers()["openai"]
    egress = Egress(Receivers(config_of([door]).boundary, []))
    keyring = register(egress, door, row, KEYS)
    try:
        yield gateway_of([door], provider_for(row, egress, keyring), store=store, clock=SystemClock())
    finally:
        await egress.aclose()


async def ask(gateway: Gateway) -> None:
    async with gateway.handle(question(), CALLER) as reply:
        assert [frame async for frame in reply.frames][-1].is_last


async def only_record(store: MemoryStore) -> Record:
    [record] = [record async for record in store.scan(Filter())]
    return record


def keys_of(there: FaultyUpstream) -> list[str]:
    return [exchange.request.headers["authorization"].removeprefix("Bearer ") for exchange in there.exchanges]


@pytest.mark.parametrize("what", ["openai.rate_limit", "openai.quota", "openai.credential"])
async def test_the_same_deployment_is_tried_with_the_next_key(what: str) -> None:
    store = MemoryStore()
    async with FaultyUpstream(FAILURES[what], speak()) as there, gateway_to(there, store) as gateway:
        await ask(gateway)
        assert gateway.fleet.statistics()["d"].refusal == "", "the breaker stays shut"
    assert keys_of(there) == [key.key.reveal() for key in KEYS]
    record = await only_record(store)
    assert record.outcome is not None
    attempts = [(attempt.deployment, attempt.failure, attempt.credential) for attempt in record.outcome.attempts]
    assert attempts == [("d", FAILURES[what].kind, "d"), ("d", None, "d#2")]


async def test_when_every_key_is_limited_the_deployment_rests() -> None:
    store = MemoryStore()
    async with FaultyUpstream(FAILURES["openai.rate_limit"]) as there, gateway_to(there, store) as gateway:
        with pytest.raises(AttemptsExhausted) as raised:
            await ask(gateway)
        assert raised.value.first.kind is FailureKind.RATE_LIMIT
        assert gateway.fleet.statistics()["d"].refusal != ""
    assert len(there.exchanges) == len(KEYS)


async def test_the_configurations_keys_take_turns_in_a_whole_gateway(tmp_path: Path) -> None:
    async with FaultyUpstream() as there:
        (tmp_path / "t.toml").write_text(
            '[[deployment]]\nid = "d"\nprovider = "openai"\nmodel = "m"\n'
            f'base_url = "{there.url}/v1"\napi_keys = ["env:A", "env:B"]\n'
        )
        config = load(tmp_path / "t.toml", {"A": "sk-lab-a", "B": "sk-lab-b"})
        async with assemble(config, ledger=tmp_path / "l.sqlite3", weights={}, key_digest=digest("tt-key")) as assembly:
            for _ in range(3):
                await ask(assembly.gateway)
    assert keys_of(there) == ["sk-lab-a", "sk-lab-b", "sk-lab-a"]
