"""Deployments, policies and signals with defaults, so that a test names only what it is about."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import msgspec

from trimtab.config import Config, RoutingConfig, load
from trimtab.core.catalog import Ability, Capability, Deployment, ModelCard, Tier
from trimtab.core.decision import LatencyClass, Signals
from trimtab.core.messages import Dialect
from trimtab.core.units import USD, NanoUSD, Price
from trimtab.core.zones import DEFAULT_ZONES, Boundary, Sensitivity
from trimtab.routing import Policy, compile_policy

OPEN = Boundary(DEFAULT_ZONES, dict.fromkeys(Sensitivity, "any"))
STRICT = Boundary(DEFAULT_ZONES, {**dict.fromkeys(Sensitivity, "local"), Sensitivity.PUBLIC: "any", Sensitivity.INTERNAL: "any"})


@functools.cache
def shipped() -> Config:
    """The default configuration, for all that routing does not read."""
    return load(None, {})


def price(input: float, output: float | None = None) -> Price:
    """USD per million tokens."""
    return Price(input=round(input * USD), output=round((input if output is None else output) * USD), version="test")


def deployment(
    id: str,
    *,
    model: str = "",
    card: ModelCard | None = None,
    ability: float | None = 0.7,
    tier: Tier = Tier.MANAGED,
    zone: str = "any",
    price: Price | None = None,
    region: str | None = None,
    reserve: bool = False,
) -> Deployment:
    """``price=None`` is an unknown price."""
    measured = None if ability is None else Ability(ability, "test", "test")
    return Deployment(
        id=id,
        model=model or f"{id}-model",
        card=card or ModelCard(name=f"{id}-card", capabilities=frozenset(Capability), ability=measured),
        provider="openai",
        dialect=Dialect.OPENAI_CHAT,
        tier=tier,
        zone=zone,
        base_url="http://127.0.0.1:9",
        region=region,
        price=price,
        reserve=reserve,
    )


def policy(
    deployments: Iterable[Deployment],
    *,
    boundary: Boundary = OPEN,
    regions: frozenset[str] | None = None,
    max_plan: int = 4,
    wrong_usd: float = 0.05,
    wait: Mapping[LatencyClass, NanoUSD] | None = None,
) -> Policy:
    return compile_policy(
        msgspec.structs.replace(
            shipped(),
            policy_hash="hash",
            boundary=boundary,
            deployments=tuple(deployments),
            routing=RoutingConfig(
                wrong_answer_usd=NanoUSD(round(wrong_usd * USD)),
                wait_usd_per_second=wait
                or {
                    LatencyClass.REALTIME: NanoUSD(USD // 100),
                    LatencyClass.INTERACTIVE: NanoUSD(USD // 1000),
                    LatencyClass.BATCH: NanoUSD(0),
                },
                max_plan=max_plan,
                max_attempts=3,
                tier_ability={Tier.SELF_HOSTED: 0.4, Tier.MANAGED: 0.6, Tier.CLOSED: 0.8},
                allowed_regions=regions,
                output_tokens=400,
                budget_usd_per_day=None,
            ),
        )
    )


def signals(
    *carried: Sensitivity,
    complexity: float = 0.5,
    input_tokens: int = 1_000,
    output_tokens: int = 400,
    needs: Iterable[Capability] = (),
) -> Signals:
    """Without a class given, ``internal``."""
    return Signals(
        input_tokens=input_tokens,
        tokens_exact=True,
        output_tokens=output_tokens,
        needs=frozenset(needs),
        language="en",
        turns=1,
        complexity=complexity,
        sensitivity=frozenset(carried or {Sensitivity.INTERNAL}),
    )
