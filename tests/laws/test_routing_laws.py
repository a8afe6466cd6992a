"""Whatever the fleet, the table, the labels, the state and the wish: what a decision may never do."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.routing.fleets import policy

from trimtab.core.catalog import Ability, Capability, Deployment, ModelCard, Tier
from trimtab.core.decision import Ask, Decision, LatencyClass, Signals, Wish
from trimtab.core.messages import Dialect
from trimtab.core.units import FREE, USD, NanoUSD, Price
from trimtab.core.zones import DEFAULT_ZONES, Boundary, Sensitivity
from trimtab.routing import Door, FleetState, decide

LAW = settings(max_examples=50, deadline=None)
PROMISE = settings(max_examples=150, deadline=None)

zone_names = st.sampled_from([*DEFAULT_ZONES, "elsewhere", ""])
classes = st.sampled_from(list(Sensitivity))
boundaries = st.builds(
    Boundary,
    zones=st.lists(st.sampled_from([*DEFAULT_ZONES, "elsewhere"]), unique=True, max_size=6).map(tuple),
    outermost=st.dictionaries(classes, zone_names),
)
amounts = st.integers(0, 100 * USD)
prices = st.one_of(st.just(FREE), st.builds(Price, input=amounts, output=amounts, version=st.just("test")))
capabilities = st.frozensets(st.sampled_from(list(Capability)), max_size=3)
tasks = st.sampled_from(["triage", "law"])
cards = st.builds(
    ModelCard,
    name=st.sampled_from(["x", "y", "z"]),
    context_window=st.none() | st.integers(100, 200_000),
    capabilities=capabilities,
    ability=st.none() | st.builds(Ability, st.floats(0, 1), st.just("b"), st.just("s"), st.booleans()),
)
deployments = st.builds(
    Deployment,
    id=st.sampled_from([f"d{n}" for n in range(12)]),
    model=st.sampled_from(["x", "m1", "m2"]),
    card=cards,
    provider=st.just("p"),
    dialect=st.sampled_from(Dialect),
    tier=st.sampled_from(Tier),
    zone=zone_names,
    base_url=st.just(""),
    region=st.sampled_from([None, "eu", "us"]),
    price=st.none() | prices,
    reserve=st.booleans(),
    certified_for=st.frozensets(tasks),
)
fleets = st.lists(deployments, max_size=6, unique_by=lambda deployment: deployment.id)
asks = st.builds(
    Ask,
    wish=st.sampled_from(Wish),
    named=st.sampled_from([None, None, None, "x", "y", "d1", "nobody"]),
    latency=st.sampled_from(LatencyClass),
    task=st.none() | tasks,
    budget_left=st.sampled_from([None, None, NanoUSD(0), NanoUSD(-5), NanoUSD(USD)]),
)
signal_sets = st.builds(
    Signals,
    input_tokens=st.integers(0, 300_000),
    tokens_exact=st.booleans(),
    output_tokens=st.integers(0, 5_000),
    needs=capabilities,
    language=st.just("en"),
    turns=st.integers(0, 5),
    complexity=st.floats(0, 1),
    sensitivity=st.frozensets(classes, max_size=3),
    reaches=st.sampled_from([(), (), ("web_search",)]),
)
seconds = st.none() | st.floats(0, 100)
doors = st.builds(Door, refusal=st.sampled_from(["", "", "It is down."]), ttft=seconds, rate=st.none() | st.floats(0.1, 1000))
states = st.dictionaries(st.sampled_from([f"d{n}" for n in range(14)]), doors).map(FleetState)
regions = st.none() | st.frozensets(st.sampled_from(["eu", "us"]))

# Everything is allowed here, so that the laws of order speak of many deployments and not of one.
lenient = st.lists(
    st.builds(
        Deployment,
        id=st.sampled_from([f"d{n}" for n in range(12)]),
        model=st.just("m"),
        card=st.builds(
            ModelCard, name=st.just("c"), ability=st.none() | st.builds(Ability, st.floats(0, 1), st.just("b"), st.just("s"))
        ),
        provider=st.just("p"),
        dialect=st.just(Dialect.OPENAI_CHAT),
        tier=st.sampled_from(Tier),
        zone=st.just("any"),
        base_url=st.just(""),
        price=st.none() | prices,
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda deployment: deployment.id,
)
plain_asks = st.builds(Ask, wish=st.sampled_from(Wish), latency=st.sampled_from(LatencyClass))
plain_signals = st.builds(
    Signals,
    input_tokens=st.integers(0, 100_000),
    tokens_exact=st.just(True),
    output_tokens=st.integers(0, 5_000),
    needs=st.just(frozenset()),
    language=st.just("en"),
    turns=st.just(1),
    complexity=st.floats(0, 1),
    sensitivity=st.just(frozenset({Sensitivity.INTERNAL})),
)
speeds = st.dictionaries(st.sampled_from([f"d{n}" for n in range(12)]), st.builds(Door, ttft=seconds)).map(FleetState)


def ranking(decision: Decision) -> list[str]:
    return [row.deployment for row in (*decision.plan, *decision.spare)]


def may_see(table: Boundary, read: Signals, zone: str) -> bool:
    """The table's meaning, said without :meth:`Boundary.admits`: for every class the zone stands at or before its outermost one.

    What a tool passes on is in the last zone of all.
    """
    carried = read.sensitivity
    if read.reaches and not all(table.outermost.get(found) in table.zones[-1:] for found in carried):
        return False

    def one(found: Sensitivity) -> bool:
        limit = table.outermost.get(found)
        return limit in table.zones and zone in table.zones[: table.zones.index(limit) + 1]

    return bool(carried) and all(map(one, carried))


@PROMISE
@given(fleets, boundaries, regions, asks, signal_sets, states, st.integers(1, 4))
def test_nothing_planned_or_spare_stands_outside_the_admitted_zones_and_everyone_is_accounted_for(
    fleet: list[Deployment],
    table: Boundary,
    allowed: frozenset[str] | None,
    ask: Ask,
    read: Signals,
    state: FleetState,
    most: int,
) -> None:
    decision = decide(policy(fleet, boundary=table, regions=allowed, max_plan=most), ask, read, state)
    by_id = {deployment.id: deployment for deployment in fleet}
    for id in ranking(decision):
        deployment = by_id[id]
        assert may_see(table, read, deployment.zone)
        assert deployment.card.capabilities is None or read.needs <= deployment.card.capabilities
        assert ask.named in (None, id, deployment.model, deployment.card.name)
        assert not state.door(id).refusal
    for refused in decision.rejected:
        assert refused.reason
        if refused.constraint == "zone":
            assert not may_see(table, read, by_id[refused.deployment].zone)
    assert sorted([*ranking(decision), *(row.deployment for row in decision.rejected)]) == sorted(by_id)
    assert len(decision.plan) <= most
    assert not decision.spare or len(decision.plan) == most
    totals = [row.score.total for row in (*decision.plan, *decision.spare)]
    assert totals == sorted(totals)
    for row in (*decision.plan, *decision.spare):
        assert row.score.total == sum(amount for _, amount in row.score.parts)
        assert all(amount >= 0 for _, amount in row.score.parts)


@LAW
@given(fleets, boundaries, asks, signal_sets, states, st.randoms())
def test_the_order_of_the_configuration_does_not_matter_and_the_same_inputs_give_the_same_bytes(
    fleet: list[Deployment], table: Boundary, ask: Ask, read: Signals, state: FleetState, chance: random.Random
) -> None:
    shuffled = list(fleet)
    chance.shuffle(shuffled)
    first = decide(policy(fleet, boundary=table), ask, read, state)
    second = decide(policy(shuffled, boundary=table), ask, read, state)
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


@LAW
@given(lenient, prices, plain_asks, plain_signals, speeds, amounts, amounts)
def test_a_dearer_twin_changes_nothing_ahead_of_it(
    fleet: list[Deployment], price: Price, ask: Ask, read: Signals, state: FleetState, more_in: int, more_out: int
) -> None:
    """Where a price is unknown the twin does not become the dearest known: that one is what the unknown is counted as."""
    original, *others = msgspec.structs.replace(fleet[0], price=price), *fleet[1:]
    known = [deployment.price for deployment in (original, *others) if deployment.price is not None]
    dearer = Price(input=price.input + more_in, output=price.output + more_out, version="test")
    if len(known) <= len(others):
        dearest_in, dearest_out = max(each.input for each in known), max(each.output for each in known)
        dearer = Price(input=min(dearer.input, dearest_in), output=min(dearer.output, dearest_out), version="test")
    twin = msgspec.structs.replace(original, id=f"{original.id}-twin", price=dearer)
    with_twin = FleetState({**state.doors, twin.id: state.door(original.id)})
    before = ranking(decide(policy([original, *others]), ask, read, state))
    after = ranking(decide(policy([original, *others, twin]), ask, read, with_twin))
    assert after.index(original.id) < after.index(twin.id)
    assert [id for id in after if id != twin.id] == before


@LAW
@given(lenient, prices, plain_asks, plain_signals, speeds, amounts, amounts)
def test_raising_a_price_never_improves_a_rank(
    fleet: list[Deployment], price: Price, ask: Ask, read: Signals, state: FleetState, more_in: int, more_out: int
) -> None:
    chosen, *others = msgspec.structs.replace(fleet[0], price=price), *fleet[1:]
    raised = Price(input=price.input + more_in, output=price.output + more_out, version="test")
    before = ranking(decide(policy([chosen, *others]), ask, read, state)).index(chosen.id)
    after = ranking(decide(policy([*others, msgspec.structs.replace(chosen, price=raised)]), ask, read, state)).index(chosen.id)
    assert after >= before


@LAW
@given(fleets, boundaries, asks, signal_sets, states)
def test_a_fleet_that_is_down_gives_an_empty_plan_and_a_reason_for_each(
    fleet: list[Deployment], table: Boundary, ask: Ask, read: Signals, state: FleetState
) -> None:
    down = FleetState({deployment.id: Door(refusal="It is down.") for deployment in fleet})
    decision = decide(policy(fleet, boundary=table), ask, read, down)
    assert ranking(decision) == []
    assert [row.deployment for row in decision.rejected] == sorted(deployment.id for deployment in fleet)
    assert all(row.reason for row in decision.rejected)


@LAW
@given(fleets, boundaries, asks, signal_sets, states, st.frozensets(classes))
def test_another_class_never_opens_a_door(
    fleet: list[Deployment], table: Boundary, ask: Ask, read: Signals, state: FleetState, more: frozenset[Sensitivity]
) -> None:
    read = msgspec.structs.replace(read, sensitivity=read.sensitivity | {Sensitivity.INTERNAL})
    stricter = msgspec.structs.replace(read, sensitivity=read.sensitivity | more)
    rules = policy(fleet, boundary=table)
    allowed = {row.deployment for row in decide(rules, ask, read, state).rejected if row.constraint == "zone"}
    refused = {row.deployment for row in decide(rules, ask, stricter, state).rejected if row.constraint == "zone"}
    assert allowed <= refused
