"""Requests that have ended, in every way that the record can say."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace
from tests.strategies import usages

from trimtab.core.catalog import Tier
from trimtab.core.decision import Ask, Decision, Signals, Wish
from trimtab.core.errors import FailureKind
from trimtab.core.messages import Operation
from trimtab.core.record import Attempt, Intent, Outcome, OutcomeKind
from trimtab.core.units import NanoUSD, Usage
from trimtab.core.zones import Sensitivity
from trimtab.engine.clock import new_id

START = 1_767_225_600_000_000_000
CONTENT_KEY = b"a-key-of-this-record-and-no-other"

_signals = Signals(
    input_tokens=9,
    tokens_exact=True,
    output_tokens=9,
    needs=frozenset(),
    language="en",
    turns=1,
    complexity=0.5,
    sensitivity=frozenset({Sensitivity.INTERNAL}),
)
_micros = st.none() | st.integers(0, 10**9)

attempts = st.builds(
    Attempt,
    deployment=st.sampled_from(("a", "b")),
    model=st.text(max_size=9),
    tier=st.sampled_from(Tier),
    zone=st.sampled_from(("local", "any")),
    started_ns=st.integers(START, START + 10**12),
    first_token_us=_micros,
    total_us=_micros,
    failure=st.none() | st.sampled_from(FailureKind),
    upstream_status=st.none() | st.integers(100, 599),
    finish_reason=st.none() | st.sampled_from(("stop", "length", "tool_calls")),
    usage=usages() | st.just(Usage()),
    cost=st.none() | st.integers(0, 10**12).map(NanoUSD),
)
traceparents = st.just("") | st.builds(
    "00-{:032x}-{:016x}-{:02x}".format, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255)
)


INTENT = Intent(
    id=new_id(START),
    at_ns=START,
    key_id="key-1",
    place="acme/search",
    owner="user:1",
    decision=Decision(policy="p" * 64, ask=Ask(), signals=_signals, plan=()),
    stream=False,
    content_digest="d" * 64,
    content_key=CONTENT_KEY,
)

OUTCOME = Outcome(
    id=INTENT.id,
    at_ns=START + 100_000_000,
    kind=OutcomeKind.COMPLETE,
    attempts=(
        Attempt(
            deployment="a",
            model="m",
            tier=Tier.MANAGED,
            zone="any",
            started_ns=START,
            first_token_us=20_000,
            total_us=100_000,
            finish_reason="stop",
            usage=Usage(input=3, output=4),
            cost=NanoUSD(5),
        ),
    ),
    usage=Usage(input=3, output=4),
    cost=NanoUSD(5),
)


@st.composite
def ended(draw: st.DrawFn) -> tuple[Intent, Outcome, str]:
    at_ns = draw(st.integers(START, START + 10**12))
    wish = draw(st.sampled_from(Wish))
    operation = draw(st.sampled_from(Operation))
    ask = Ask(wish=wish, named=draw(st.none() | st.sampled_from(("a", "(unknown)"))), operation=operation)
    intent = replace(
        INTENT,
        id=new_id(at_ns),
        at_ns=at_ns,
        place=draw(st.sampled_from(("", "acme/search"))),
        decision=replace(INTENT.decision, ask=ask),
        stream=draw(st.booleans()),
    )
    outcome = Outcome(
        id=intent.id,
        at_ns=draw(st.integers(START, START + 10**12)),
        kind=draw(st.sampled_from(OutcomeKind)),
        attempts=tuple(draw(st.lists(attempts, max_size=3))),
        usage=draw(usages() | st.just(Usage())),
        cost=draw(st.none() | st.integers(0, 10**12).map(NanoUSD)),
        error=draw(st.sampled_from(("", "no_deployment"))),
        cached=draw(st.booleans()),
    )
    return intent, outcome, draw(traceparents)
