"""What an answer by a deployment is expected to cost, in money: its tokens, its mistakes, the waiting.

One unit, so that a doubt in one part can be held against a saving in another; ``explain`` shows the parts. Every figure that nobody
measured is named as an assumption. It knows nothing of who is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from trimtab.core.catalog import Deployment, Tier
from trimtab.core.decision import Ask, LatencyClass, Score, Signals, Wish
from trimtab.core.units import USD, NanoUSD, Price, Usage
from trimtab.routing.fleet import FleetState


class Weights(Struct, frozen=True):
    """What each part counts for, in percent."""

    tokens: int
    wrong: int
    wait: int


WEIGHTS: Mapping[Wish, Weights] = {
    Wish.AUTO: Weights(tokens=100, wrong=100, wait=100),
    Wish.FAST: Weights(tokens=100, wrong=20, wait=2_000),
    Wish.CHEAP: Weights(tokens=100, wrong=5, wait=25),
    Wish.BEST: Weights(tokens=5, wrong=1_000, wait=50),
}
"""The wishes are weights and nothing else. ``best`` keeps a little of the price, so that of two equals the cheaper is taken."""

NO_PRICE_KNOWN = Price(input=15 * USD, output=75 * USD, version="assumed")
"""Per million tokens, for a fleet in which no price at all is known: at the dear end of public price lists."""


class Speed(Struct, frozen=True):
    """Seconds to the first token, and tokens per second after it."""

    ttft: float
    rate: float


ASSUMED_SPEED: Mapping[Tier, Speed] = {
    Tier.SELF_HOSTED: Speed(ttft=0.3, rate=40.0),
    Tier.MANAGED: Speed(ttft=0.5, rate=80.0),
    Tier.CLOSED: Speed(ttft=0.8, rate=60.0),
}
"""Until a deployment has answered once. Round figures of a plausible order, not measurements; every use is marked."""


class Figures(Struct, frozen=True):
    """What the ranking needs of one deployment, known or assumed, settled once per policy."""

    deployment: Deployment
    price: Price
    ability: float
    assumptions: tuple[str, ...]


class Stakes(Struct, frozen=True):
    """The policy's prices, nano-USD: of a wrong answer, and of a second's wait per latency class."""

    wrong_answer: NanoUSD
    wait_per_second: Mapping[LatencyClass, NanoUSD]


def figures(deployments: Sequence[Deployment], tier_ability: Mapping[Tier, float]) -> tuple[Figures, ...]:
    """One row per deployment, in the same order.

    An unknown price counts as the dearest known one of the fleet, input and output apart, and never as 0. That ties such a row to the
    other prices, and to nothing else.
    """
    known = [deployment.price for deployment in deployments if deployment.price is not None] or [NO_PRICE_KNOWN]
    dearest = Price(input=max(price.input for price in known), output=max(price.output for price in known), version="assumed")
    return tuple(_figures(deployment, dearest, tier_ability) for deployment in deployments)


def _figures(deployment: Deployment, dearest: Price, tier_ability: Mapping[Tier, float]) -> Figures:
    assumptions: list[str] = []
    if deployment.price is None:
        assumptions.append("price unknown: counted as the dearest known in the fleet")
    if deployment.card.capabilities is None:
        assumptions.append("capabilities unknown: it is tried whatever the request needs")
    ability = deployment.card.ability
    if ability is None:
        score = tier_ability[deployment.tier]
        assumptions.append(f"ability {score:.2f} assumed for tier {deployment.tier}")
    else:
        score = ability.score
        if ability.assumed:
            assumptions.append(f"ability {score:.2f} is a guess of the catalogue")
    return Figures(deployment, deployment.price or dearest, score, tuple(assumptions))


def score(row: Figures, stakes: Stakes, ask: Ask, signals: Signals, fleet: FleetState) -> Score:
    """Expected nano-USD of one answer, as weighted by the wish. ``total`` is the sum of ``parts``."""
    weights = WEIGHTS[ask.wish]
    price = row.price.cost(Usage(input=signals.input_tokens, output=signals.output_tokens)) or 0
    tokens = price * weights.tokens // 100
    wrong = round(wrong_probability(row.ability, signals.complexity) * stakes.wrong_answer * weights.wrong / 100)
    assumed = ASSUMED_SPEED[row.deployment.tier]
    door = fleet.door(row.deployment.id)
    seconds = (assumed.ttft if door.ttft is None else door.ttft) + signals.output_tokens / (door.rate or assumed.rate)
    wait = round(seconds * stakes.wait_per_second[ask.latency] * weights.wait / 100)
    return Score(
        tokens + wrong + wait,
        (("tokens", tokens), ("wrong answer", wrong), ("wait", wait)),
        row.assumptions if door.ttft is not None and door.rate else (*row.assumptions, "speed assumed for its tier"),
    )


def wrong_probability(ability: float, complexity: float) -> float:
    """The share of wrong answers on the benchmark behind the card, scaled by how hard this question looks: 0.5 is as hard as its mean."""
    return min(1.0, max(0.0, 1.0 - ability) * 2.0 * complexity)
