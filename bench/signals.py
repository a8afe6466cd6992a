"""What reading a request and deciding cost, in microseconds: the median and the 99th percentile of one call on this machine.

Run: ``python bench/signals.py``. The texts are prose and, for the detector, inputs made to be slow. No claim rests on this file; it is held
against later work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter_ns

import msgspec

from trimtab.config import Config, RoutingConfig, load
from trimtab.core.catalog import Ability, Deployment, ModelCard, Tier
from trimtab.core.decision import Ask, LatencyClass
from trimtab.core.messages import Dialect, Message, Request, Text
from trimtab.core.units import USD, NanoUSD, Price
from trimtab.core.zones import DEFAULT_ZONES, Boundary, Sensitivity
from trimtab.routing import FleetState, compile_policy, decide
from trimtab.signals import sense, warm

PROSE = (
    "The committee met on Tuesday to consider whether the proposed bridge would last longer than the old one, and at what cost. "
)
PLANTED = "Write to jane.roe@example.org or +44 20 7946 0958 about card 4111 1111 1111 1111 and IBAN DE89 3704 0044 0532 0130 00. "
HOSTILE = {
    "digits": "1" * 300_000,
    "card-like groups": "4111 1111 1111 1112 " * 15_000,
    "e-mail without end": "a." * 150_000 + "@",
    "many at signs": "a@b." * 75_000,
    "labels": "account number is " * 17_000,
    "IBAN-like": "DE89 3704 0044 0532 0130 01 " * 11_000,
    "base64-like": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo" * 8_600,
    "escapes": "\\n\\t" * 75_000,
    "accents": "é" * 300_000,
}


def request(text: str) -> Request:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "temperature": 0.2, "stream": True}
    return Request(
        dialect=Dialect.OPENAI_CHAT, model="auto", messages=(Message("user", (Text(text),)),), native=msgspec.json.encode(body)
    )


def timed(call: Callable[[], object], times: int) -> str:
    call()
    took = []
    for _ in range(times):
        begin = perf_counter_ns()
        call()
        took.append((perf_counter_ns() - begin) / 1000)
    took.sort()
    return f"p50 {took[len(took) // 2]:9.1f} us   p99 {took[len(took) * 99 // 100]:9.1f} us"


def config(size: int) -> Config:
    tiers = tuple(Tier)
    return msgspec.structs.replace(
        load(None, {}),
        policy_hash="bench",
        boundary=Boundary(DEFAULT_ZONES, dict.fromkeys(Sensitivity, "any")),
        deployments=tuple(
            Deployment(
                id=f"deployment-{number}",
                model=f"model-{number}",
                card=ModelCard(name=f"card-{number}", context_window=128_000, ability=Ability(0.5 + number / 20, "bench", "bench")),
                provider="bench",
                dialect=Dialect.OPENAI_CHAT,
                tier=tiers[number % 3],
                zone="any",
                base_url="",
                price=Price(input=number * USD, output=4 * number * USD, version="bench"),
            )
            for number in range(size)
        ),
        routing=RoutingConfig(
            wrong_answer_usd=NanoUSD(USD // 20),
            wait_usd_per_second=dict.fromkeys(LatencyClass, NanoUSD(USD // 1000)),
            max_plan=4,
            max_attempts=3,
            tier_ability=dict.fromkeys(Tier, 0.5),
            allowed_regions=None,
            output_tokens=400,
            budget_usd_per_day=None,
        ),
    )


def main() -> None:
    begin = perf_counter_ns()
    warm()
    print(f"warm()                                  {(perf_counter_ns() - begin) / 1e6:.0f} ms, once, beside the import")
    for name, text, times in (
        ("300 characters", (PROSE * 3)[:300], 2_000),
        ("300 characters, four identifiers", (PLANTED * 3)[:300], 2_000),
        ("100 tokens", PROSE * 4, 2_000),
        ("1,000 tokens", PROSE * 40, 300),
        ("30,000 tokens", PROSE * 1_200, 50),
    ):
        asked = request(text)
        signals = sense(asked)
        parts = ", ".join(f"{part} {took}" for part, took in signals.took_us)
        print(f"sense, {name:32} {timed(partial(sense, asked), times)}   ({signals.input_tokens} tokens; first call, us: {parts})")
    for name, text in HOSTILE.items():
        asked = request(text)
        print(f"sense, 300 kB of {name:22} {timed(partial(sense, asked), 5)}   ({dict(sense(asked).evidence)['sensitivity']})")
    signals, fleet = sense(request(PROSE)), FleetState()
    for size in (1, 8, 32):
        policy = compile_policy(config(size))
        print(f"decide, {size:2} deployments                  {timed(partial(decide, policy, Ask(), signals, fleet), 2_000)}")


if __name__ == "__main__":
    main()
