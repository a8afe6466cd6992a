"""Puts a gateway together from a configuration, and takes it apart again in the right order.

The one place that knows all parts by name. It reads no file and asks no environment: that is the configuration's work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from trimtab.config import ApiKey, Config
from trimtab.core.accounts import holder_of
from trimtab.core.catalog import Deployment
from trimtab.core.errors import ConfigError, LocalModelError
from trimtab.core.units import Clock
from trimtab.core.zones import ONLY_PUBLIC
from trimtab.engine.access import AccountBook
from trimtab.engine.assembly.housekeeping import Housekeeper
from trimtab.engine.assembly.outside import alerting, exporting, stop
from trimtab.engine.batches import Desk, batching, carriers_of
from trimtab.engine.cache import ResponseCache
from trimtab.engine.clock import SystemClock, new_id
from trimtab.engine.gateway import Gateway
from trimtab.engine.limits import Gate, Purse, Rates, config_budget
from trimtab.engine.recorder import Recorder
from trimtab.local.supervisor import LlamaServer, Serving, Supervisor
from trimtab.net import Egress, Receivers
from trimtab.providers.receivers import register
from trimtab.providers.registry import provider_for
from trimtab.routing.policy import compile_policy
from trimtab.signals import warm
from trimtab.store import SQLiteStore
from trimtab.telemetry import Metrics


class Assembly(Struct, frozen=True):
    """A gateway that runs. ``failed`` are local models that could not be started, with why; they are not deployed."""

    gateway: Gateway
    book: AccountBook
    gate: Gate
    clock: SystemClock
    store: SQLiteStore
    egress: Egress
    local: Supervisor
    failed: Mapping[str, LocalModelError]
    desk: Desk | None


@asynccontextmanager
async def assemble(config: Config, *, ledger: Path, weights: Mapping[str, Path], key_digest: bytes) -> AsyncIterator[Assembly]:
    """Start everything that ``config`` names. ``weights`` has a verified file for each of ``config.local``, by id.

    Raises :class:`LedgerError` when the ledger cannot be opened. Leaving stops the local models and commits what is waiting.
    """
    clock = SystemClock()
    await asyncio.to_thread(warm)
    async with AsyncExitStack() as stack:
        instance, metrics = new_id(clock.time_ns()), Metrics()
        store = await SQLiteStore.open(ledger, writer=instance, sync=config.store.sync)
        stack.push_async_callback(store.aclose)
        book = AccountBook(store, clock, new_id)
        await book.load()
        await _open_door(book, clock, key_digest)
        egress = Egress(Receivers(config.boundary, []), proxy=config.network.proxy, ca_file=config.network.ca_file)
        stack.push_async_callback(egress.aclose)

        configured = {deployment.id: deployment for deployment in config.deployments}
        servers = _local_servers(config, configured, weights, egress)
        local = Supervisor(servers.values())
        stack.push_async_callback(local.aclose)
        for id, server in servers.items():
            deployment = msgspec.structs.replace(configured[id], base_url=server.base_url)
            register(egress, deployment, config.rows[deployment.provider], (ApiKey(server.key),))
        failed = await local.start()

        deployments = _live(config, configured, servers, failed)
        keyrings = {
            id: register(egress, deployment, config.rows[deployment.provider], config.credentials.get(id, ()))
            for id, deployment in deployments.items()
            if id not in servers
        }
        fixed = config_budget(config.routing.budget_usd_per_day)
        purse = Purse(store, clock)
        alerts = await stack.enter_async_context(alerting(config.alerts, egress, store, purse, metrics, clock))
        keeper = Housekeeper(book, purse, store, clock, fixed, alerts)
        await keeper.budgets()  # before anybody spends
        observers = await stack.enter_async_context(
            exporting(config.telemetry, egress, metrics, clock, instance, deployments.values())
        )
        gateway = Gateway(
            policy=compile_policy(msgspec.structs.replace(config, deployments=tuple(deployments.values()))),
            deployments=deployments,
            providers={
                id: provider_for(config.rows[deployment.provider], egress, keyrings.get(id))
                for id, deployment in deployments.items()
            },
            recorder=Recorder(store, purse, metrics, clock, observers),
            rates=Rates(clock),
            routing=config.routing,
            cache=_cache(config, clock, metrics),
        )
        stack.push_async_callback(stop, asyncio.create_task(keeper.run()))
        gate = Gate(config.server.max_concurrency, config.server.queue_seconds)
        desk = await _open_desk(stack, config, ledger, (gateway, book, gate, store, egress))
        yield Assembly(gateway, book, gate, clock, store, egress, local, failed, desk)


def _cache(config: Config, clock: Clock, metrics: Metrics) -> ResponseCache | None:
    if config.cache is None:
        return None
    return ResponseCache(clock, metrics, ttl_seconds=config.cache.ttl_seconds, max_bytes=config.cache.max_bytes)


async def _open_desk(
    stack: AsyncExitStack, config: Config, ledger: Path, parts: tuple[Gateway, AccountBook, Gate, SQLiteStore, Egress]
) -> Desk | None:
    """Where batches are handed in. Interactive requests that fill half of the room have all of it."""
    if not config.batches.enabled:
        return None
    gateway, book, gate, store, egress = parts
    return await stack.enter_async_context(
        batching(
            config.batches,
            ledger.with_suffix(".files"),
            gateway,
            book,
            store,
            carriers=carriers_of(gateway, config.rows, egress),
            busy=lambda: gate.under_way * 2 >= config.server.max_concurrency,
            longest=config.server.max_body_bytes,
        )
    )


async def _open_door(book: AccountBook, clock: SystemClock, key_digest: bytes) -> None:
    """The operator's own key. One that opens nothing any more stays so, and that has to be said before anybody wonders."""
    holder = holder_of(await book.ensure_bootstrap(key_digest, "trimtab up"))
    if barred := book.directory.barred(holder, clock.time_ns()):
        raise ConfigError(
            f"The key of this home opens nothing any more: {barred}.",
            hint="Remove the file 'key' from TRIMTAB_HOME (.trimtab) or unset TRIMTAB_API_KEY: a new key is made.",
        )


def _local_servers(
    config: Config, configured: Mapping[str, Deployment], weights: Mapping[str, Path], egress: Egress
) -> dict[str, LlamaServer]:
    async def probe(receiver: str, path: str) -> int:
        async with egress.get(receiver, path, carried=ONLY_PUBLIC, headers={}, connect_timeout=1) as answer:
            return answer.status

    return {
        model.id: LlamaServer(
            Serving(
                id=model.id,
                path=weights[model.id],
                model=configured[model.id].model,
                context=model.context,
                threads=model.threads,
            ),
            probe,
        )
        for model in config.local
        if model.id in weights
    }


def _live(
    config: Config, configured: Mapping[str, Deployment], servers: Mapping[str, LlamaServer], failed: Mapping[str, LocalModelError]
) -> dict[str, Deployment]:
    """The deployments that can be reached: a local model has its address by now, or it is left out."""
    local = {model.id for model in config.local}
    live = {}
    for id, deployment in configured.items():
        if id not in local:
            live[id] = deployment
        elif id in servers and id not in failed:
            live[id] = msgspec.structs.replace(deployment, base_url=servers[id].base_url)
    return live
