"""A gateway with everything real but the far end: scripted providers, the store in memory, and whichever clock the test wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from trimtab import config as configuration
from trimtab.config import Cache, Config
from trimtab.core.catalog import Capability, Deployment, ModelCard, Tier
from trimtab.core.messages import Dialect, Message, Request, Text
from trimtab.core.units import Clock, NanoUSD, Price, Timeouts
from trimtab.engine import Caller, Gateway, Purse, Rates
from trimtab.engine.cache import ResponseCache
from trimtab.engine.limits import config_budget
from trimtab.engine.recorder import Recorder
from trimtab.lab.clock import ManualClock
from trimtab.lab.memory import MemoryStore
from trimtab.providers import Provider
from trimtab.routing.policy import compile_policy
from trimtab.store import Store
from trimtab.telemetry import Metrics

PRICE = Price(input=1_000_000_000, output=2_000_000_000, version="test")
CALLER = Caller(key_id="test", line="test")
ALL = frozenset(Capability)


def deployment(
    id: str,
    *,
    zone: str = "any",
    tier: Tier = Tier.MANAGED,
    price: Price | None = PRICE,
    dialect: Dialect = Dialect.OPENAI_CHAT,
    timeouts: Timeouts | None = None,
    reserve: bool = False,
    window: int | None = None,
    base_url: str = "http://127.0.0.1:9/v1",
) -> Deployment:
    card = ModelCard(name=id, capabilities=ALL, context_window=window)
    return Deployment(
        id=id,
        model=id,
        card=card,
        provider="openai" if dialect is Dialect.OPENAI_CHAT else "anthropic",
        dialect=dialect,
        tier=tier,
        zone=zone,
        base_url=base_url,
        price=price,
        timeouts=timeouts or Timeouts(),
        reserve=reserve,
    )


def config_of(deployments: Iterable[Deployment]) -> Config:
    """The shipped configuration with other deployments."""
    return msgspec.structs.replace(configuration.load(None, {}), deployments=tuple(deployments), local=(), credentials={})


def gateway_of(
    deployments: Iterable[Deployment],
    providers: Provider | Mapping[str, Provider],
    *,
    store: Store | None = None,
    clock: Clock | None = None,
    budget: NanoUSD | None = None,
    max_attempts: int = 3,
    cache: Cache | None = None,
) -> Gateway:
    fleet = tuple(deployments)
    clock = clock or ManualClock()
    config = config_of(fleet)
    store, metrics = store or MemoryStore(clock.time_ns), Metrics()
    kept = None if cache is None else ResponseCache(clock, metrics, ttl_seconds=cache.ttl_seconds, max_bytes=cache.max_bytes)
    return Gateway(
        policy=compile_policy(config),
        deployments={d.id: d for d in fleet},
        providers=providers if isinstance(providers, Mapping) else {d.id: providers for d in fleet},
        recorder=Recorder(store, Purse(store, clock, config_budget(budget)), metrics, clock),
        rates=Rates(clock),
        routing=msgspec.structs.replace(config.routing, max_attempts=max_attempts),
        cache=kept,
    )


def question(
    text: str = "What is 2 + 2?", *, model: str = "auto", stream: bool = False, dialect: Dialect = Dialect.OPENAI_CHAT
) -> Request:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
    return Request(
        dialect=dialect,
        model=model,
        messages=(Message("user", (Text(text),)),),
        stream=stream,
        native=msgspec.json.encode(body),
    )
