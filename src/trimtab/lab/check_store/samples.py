"""Rows to check a store with: something in every field, and the same for the same number."""

from __future__ import annotations

from msgspec.structs import replace

from trimtab.core.accounts import Scope
from trimtab.core.catalog import Capability, Tier
from trimtab.core.decision import Ask, Decision, Planned, Rejected, Score, Signals
from trimtab.core.errors import FailureKind
from trimtab.core.record import Attempt, Correction, Intent, Outcome, OutcomeKind
from trimtab.core.units import SECOND_NS, NanoUSD, Usage
from trimtab.core.zones import Sensitivity

START_NS = 1_800_000_000_000_000_000
"""The time of request 0 of the samples; each later one comes a second after."""


def sample_intent(number: int, *, key_id: str = "key-a") -> Intent:
    """An intent with something in every field, the same for the same number."""
    signals = Signals(
        input_tokens=120 + number,
        tokens_exact=True,
        output_tokens=300,
        needs=frozenset({Capability.TOOLS, Capability.VISION, Capability.REASONING}),
        language="de",
        turns=3,
        complexity=0.42,
        sensitivity=frozenset({Sensitivity.PERSONAL, Sensitivity.FINANCIAL}),
        lowered=frozenset({Sensitivity.SECRET}),
        evidence=(("complexity", "many constraints — viele Bedingungen"), ("sensitivity", "an IBAN")),
        took_us=(("shape", 80), ("sensitivity", 55)),
    )
    decision = Decision(
        policy="0" * 64,
        ask=Ask(named="gpt-x", task="summary", scope=Scope(zones=frozenset({"local", "any"})), budget_left=NanoUSD(10**12)),
        signals=signals,
        plan=(Planned("local", Score(1234, (("price", 0), ("wrong", 1234)), ("ability of local",))),),
        spare=(Planned("spare", Score(99999)),),
        rejected=(Rejected("far", "zone", "zone any may not see financial"),),
    )
    return Intent(
        id=f"req-{number:08d}",
        at_ns=START_NS + number * SECOND_NS,
        key_id=key_id,
        place="acme/search/chatbot",
        owner="user:ada",
        tags=("nightly", "summaries"),
        decision=decision,
        stream=number % 2 == 0,
        content_digest=f"{number:064x}",
        content_key=number.to_bytes(32, "big"),
    )


def sample_outcome(number: int, *, kind: OutcomeKind = OutcomeKind.COMPLETE, cost: int | None = 1_000) -> Outcome:
    """The outcome of :func:`sample_intent`: two attempts, of which the first failed."""
    failed = Attempt(
        deployment="local",
        model="small",
        tier=Tier.SELF_HOSTED,
        zone="local",
        started_ns=START_NS + number * SECOND_NS,
        total_us=900,
        failure=FailureKind.TRANSIENT,
        detail="stream_truncated",
        upstream_status=503,
        credential="2",
        usage=Usage(input=0, output=0),
        cost=NanoUSD(0),
    )
    usage = Usage(input=100 + number, output=10, cache_read=None, estimated=False)
    answered = replace(
        failed,
        deployment="far",
        tier=Tier.CLOSED,
        zone="any",
        failure=None,
        detail="",
        upstream_status=200,
        first_token_us=500,
        finish_reason="stop",
        usage=usage,
        cost=None if cost is None else NanoUSD(cost),
        price_version="2026-11-01",
        lost=("logit_bias",),
    )
    return Outcome(
        id=f"req-{number:08d}",
        at_ns=START_NS + number * SECOND_NS + 5,
        kind=kind,
        attempts=(failed, answered),
        usage=usage,
        cost=answered.cost,
        error="" if kind is OutcomeKind.COMPLETE else "upstream_error",
    )


def sample_correction(number: int, *, later_ns: int = 10, cost: int | None = 7) -> Correction:
    return Correction(
        id=f"req-{number:08d}",
        at_ns=START_NS + number * SECOND_NS + later_ns,
        reason="the invoice says so",
        usage=Usage(input=1, output=2),
        cost=None if cost is None else NanoUSD(cost),
    )
