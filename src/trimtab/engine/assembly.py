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

from trimtab.catalog import ProviderRow
from trimtab.config import Config
from trimtab.core.catalog import Deployment
from trimtab.core.errors import LocalModelError
from trimtab.core.zones import Secret, Sensitivity
from trimtab.engine.admission import Admission, Budget
from trimtab.engine.clock import SystemClock, new_id
from trimtab.engine.gateway import Gateway
from trimtab.local.supervisor import LlamaServer, Serving, Supervisor
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers.registry import auth_headers, provider_for
from trimtab.routing.policy import compile_policy
from trimtab.signals import warm
from trimtab.store import SQLiteStore, StoredKey
from trimtab.telemetry import Metrics

_NOTHING = frozenset({Sensitivity.PUBLIC})
"""What a health check carries."""


class Assembly(Struct, frozen=True):
    """A gateway that runs. ``failed`` are local models that could not be started, with why; they are not deployed."""

    gateway: Gateway
    admission: Admission
    store: SQLiteStore
    egress: Egress
    local: Supervisor
    failed: Mapping[str, LocalModelError]


@asynccontextmanager
async def assemble(config: Config, *, ledger: Path, weights: Mapping[str, Path], key_digest: bytes) -> AsyncIterator[Assembly]:
    """Start everything that ``config`` names. ``weights`` has a verified file for each of ``config.local``, by id.

    Raises :class:`LedgerError` when the ledger cannot be opened. Leaving stops the local models and commits what is waiting.
    """
    clock = SystemClock()
    await asyncio.to_thread(warm)
    async with AsyncExitStack() as stack:
        store = await SQLiteStore.open(ledger, writer=new_id(clock.time_ns()), sync=config.store.sync)
        stack.push_async_callback(store.aclose)
        key = await _known(store, key_digest, clock)
        egress = Egress(Receivers(config.boundary, []), proxy=config.network.proxy, ca_file=config.network.ca_file)
        stack.push_async_callback(egress.aclose)

        configured = {deployment.id: deployment for deployment in config.deployments}
        servers = _local_servers(config, configured, weights, egress)
        local = Supervisor(servers.values())
        stack.push_async_callback(local.aclose)
        for id, server in servers.items():
            deployment = configured[id]
            _register(egress, deployment, server.base_url, auth_headers(config.rows[deployment.provider], server.key))
        failed = await local.start()

        deployments = _live(config, configured, servers, failed)
        for deployment in deployments.values():
            if deployment.id not in servers:
                _register(egress, deployment, deployment.base_url, _headers(config, deployment))
        budget = Budget(config.routing.budget_usd_per_day, clock)
        await budget.load(store)
        gateway = Gateway(
            policy=compile_policy(msgspec.structs.replace(config, deployments=tuple(deployments.values()))),
            deployments=deployments,
            providers={id: provider_for(config.rows[deployment.provider], egress) for id, deployment in deployments.items()},
            ledger=store,
            budget=budget,
            metrics=Metrics(),
            clock=clock,
            routing=config.routing,
        )
        yield Assembly(gateway, Admission([key], config.server.max_concurrency), store, egress, local, failed)


async def _known(store: SQLiteStore, key_digest: bytes, clock: SystemClock) -> StoredKey:
    """The key's row, made if it is new. Only this key opens: one that was used before and replaced opens nothing."""
    for held in await store.keys():
        if held.digest == key_digest:
            return held
    key = StoredKey(key_digest.hex()[:16], key_digest, created_ns=clock.time_ns())
    await store.add_key(key)
    return key


def _local_servers(
    config: Config, configured: Mapping[str, Deployment], weights: Mapping[str, Path], egress: Egress
) -> dict[str, LlamaServer]:
    async def probe(receiver: str, path: str) -> int:
        async with egress.get(receiver, path, carried=_NOTHING, headers={}, connect_timeout=1) as answer:
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


def _headers(config: Config, deployment: Deployment) -> dict[str, Secret]:
    row: ProviderRow = config.rows[deployment.provider]
    key = config.credentials.get(deployment.id)
    return auth_headers(row, key) if key is not None else {}


def _register(egress: Egress, deployment: Deployment, base_url: str, headers: Mapping[str, Secret]) -> None:
    egress.receivers.register(Receiver(id=deployment.id, base_url=base_url, zone=deployment.zone, headers=headers))
