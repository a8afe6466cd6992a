"""The one request path around scripted providers: what is tried, what is told, what is written down."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.support.fleet import CALLER, config_of, deployment, gateway_of, question

from trimtab.core.accounts import Budget, Period
from trimtab.core.catalog import Deployment
from trimtab.core.errors import (
    AttemptsExhausted,
    BudgetExhausted,
    FailureKind,
    LedgerError,
    NoDeployment,
    ProviderError,
    RequestError,
    UnknownModel,
)
from trimtab.core.events import Ended, Finished, Frame, OpaqueDelta, Started, TextDelta, UsageReported
from trimtab.core.messages import FinishReason, Request, Sampling
from trimtab.core.record import OutcomeKind, Record
from trimtab.core.units import FREE, NanoUSD, Price, Timeouts, Usage
from trimtab.engine import Gateway, Purse, refusals
from trimtab.lab.clock import ManualClock, virtual
from trimtab.lab.memory import MemoryStore
from trimtab.lab.scripted import Hang, Script, ScriptedProvider, Wait, fails, says
from trimtab.routing.constraints import constraints
from trimtab.store import Filter, Statistics

A, B, C = deployment("a"), deployment("b"), deployment("c")


async def text_of(gateway: Gateway, request: Request | None = None) -> str:
    said = ""
    async with gateway.handle(request or question(), CALLER) as reply:
        async for frame in reply.frames:
            said += "".join(event.text for event in frame.events if isinstance(event, TextDelta))
    return said


async def records(store: MemoryStore) -> list[Record]:
    return [record async for record in store.scan(Filter())]


async def only_outcome(store: MemoryStore) -> tuple[OutcomeKind, list[str]]:
    [record] = await records(store)
    assert record.outcome is not None
    return record.outcome.kind, [attempt.deployment for attempt in record.outcome.attempts]


@virtual
async def test_the_attempt_budget_is_per_client_request() -> None:
    provider = ScriptedProvider({id: fails(FailureKind.TRANSIENT) for id in "abcd"})
    gateway = gateway_of([deployment(id) for id in "abcd"], provider, max_attempts=2)
    with pytest.raises(AttemptsExhausted) as raised:
        await text_of(gateway)
    assert list(raised.value.tried) == ["a", "b"]
    assert len(provider.calls) == 2


@virtual
async def test_the_first_failure_is_the_one_that_is_told() -> None:
    provider = ScriptedProvider({"a": fails(FailureKind.RATE_LIMIT, retry_after=9), "b": fails(FailureKind.TRANSIENT)})
    with pytest.raises(AttemptsExhausted) as raised:
        await text_of(gateway_of([A, B], provider))
    assert raised.value.first.kind is FailureKind.RATE_LIMIT
    assert raised.value.tried == {"a": FailureKind.RATE_LIMIT, "b": FailureKind.TRANSIENT}


@virtual
@pytest.mark.parametrize("kind", [FailureKind.CALLER_FAULT, FailureKind.CONTENT_FILTER])
async def test_nobody_shops_for_a_laxer_model(kind: FailureKind) -> None:
    provider = ScriptedProvider({"a": fails(kind), "b": says("yes")})
    with pytest.raises(ProviderError):
        await text_of(gateway_of([A, B], provider))
    assert provider.asked("b") == []


@virtual
async def test_the_deadline_is_carried_into_the_next_attempt() -> None:
    clock, slow = ManualClock(), Timeouts(first_token=2, total=2)
    provider = ScriptedProvider({"a": (Hang(),), "b": says("late")}, clock=clock)
    gateway = gateway_of([deployment("a", timeouts=slow), deployment("b", timeouts=slow)], provider, clock=clock)
    assert await text_of(gateway) == "late"
    first, second = provider.calls
    assert second.opened_at == pytest.approx(first.opened_at + 2)


@virtual
async def test_the_callers_own_deadline_ends_it_over_all_attempts() -> None:
    """Two attempts of two seconds each do not fit into three: the second is cut off, and no third begins."""
    clock, slow = ManualClock(), Timeouts(total=2)
    provider = ScriptedProvider({id: (Hang(),) for id in "abc"}, clock=clock)
    gateway = gateway_of([deployment(id, timeouts=slow) for id in "abc"], provider, clock=clock)
    hurried = msgspec.structs.replace(CALLER, seconds=3.0)
    with pytest.raises(AttemptsExhausted) as raised:
        async with gateway.handle(question(), hurried):
            raise AssertionError("it was answered")
    assert clock.monotonic() == pytest.approx(3)
    assert list(raised.value.tried) == ["a", "b"]
    assert refusals.exhausted(raised.value)


@virtual
async def test_a_caller_in_a_hurry_closes_the_deployment_for_nobody_else() -> None:
    clock = ManualClock()
    provider = ScriptedProvider({"a": (Wait(1), *says("x"))}, clock=clock)
    gateway = gateway_of([A], provider, clock=clock)
    hurried = msgspec.structs.replace(CALLER, seconds=0.1)
    for stream in (True, False) * 5:
        with pytest.raises(AttemptsExhausted):
            async with gateway.handle(question(stream=stream), hurried):
                raise AssertionError("it was answered")
    assert await text_of(gateway) == "x"


@virtual
async def test_in_flight_returns_to_zero_on_every_way_out() -> None:
    clock = ManualClock()
    whole = says("one two")
    provider = ScriptedProvider({"a": whole, "b": whole}, clock=clock)
    provider.on(
        "a", whole, fails(FailureKind.TRANSIENT), fails(FailureKind.TRANSIENT, after=whole[:2]), (Hang(),), (*whole[:2], Hang())
    )
    gateway = gateway_of([A, B], provider, clock=clock)
    for _ in range(5):
        task = asyncio.create_task(text_of(gateway))
        await asyncio.wait({task}, timeout=1)
        task.cancel()
        await asyncio.wait({task})
    assert {name: figures.in_flight for name, figures in gateway.fleet.statistics().items() if figures.in_flight} == {}
    assert all(call.closed_at is not None for call in provider.calls)


@virtual
async def test_one_of_several_choices_is_not_all_of_them() -> None:
    """The client leaves when the first of two answers is whole: it has not been given all of it."""
    half = (Started(), TextDelta("x"), Finished(FinishReason.STOP), TextDelta("y", choice=1), Hang())
    store = MemoryStore()
    gateway = gateway_of([A], ScriptedProvider({"a": half}, clock=ManualClock()), store=store)
    two = msgspec.structs.replace(question(stream=True), sampling=Sampling(n=2))
    task = asyncio.create_task(text_of(gateway, two))
    await asyncio.wait({task}, timeout=1)
    task.cancel()
    await asyncio.wait({task})
    assert await only_outcome(store) == (OutcomeKind.CANCELLED, ["a"])


@virtual
async def test_an_attempt_that_never_ran_costs_nothing_and_a_silence_may() -> None:
    store = MemoryStore()
    provider = ScriptedProvider({"a": fails(FailureKind.TRANSIENT, status=503), "b": (Wait(99), *says("x")), "c": says("y z")})
    impatient = deployment("b", timeouts=Timeouts(total=1))
    assert await text_of(gateway_of([A, impatient, C], provider, store=store)) == "y z"
    [record] = await records(store)
    assert record.outcome is not None
    refused, silent, answered = record.outcome.attempts
    assert (refused.usage, refused.cost) == (Usage(input=0, output=0), 0)
    assert silent.usage.estimated
    assert silent.usage.input == record.intent.decision.signals.input_tokens
    assert not answered.usage.estimated
    assert record.outcome.cost == sum(attempt.cost or 0 for attempt in record.outcome.attempts)


@virtual
async def test_a_whole_answer_may_take_longer_than_a_first_token() -> None:
    slow = deployment("a", timeouts=Timeouts(first_token=1, total=9))
    whole: Script = (Frame((Started(), TextDelta("x"), Finished(FinishReason.STOP), Ended())),)
    provider = ScriptedProvider({"a": (Wait(5), *whole)})
    assert await text_of(gateway_of([slow], provider)) == "x"
    with pytest.raises(AttemptsExhausted) as raised:
        await text_of(gateway_of([slow], provider), question(stream=True))
    assert raised.value.first.detail == "first_token_timeout"


@virtual
async def test_the_length_of_a_picture_is_no_count_of_tokens() -> None:
    store = MemoryStore()
    picture: Script = (Started(), OpaqueDelta("image", msgspec.Raw(b'"iVBOR"')), Finished(FinishReason.STOP), Ended())
    await text_of(gateway_of([A], ScriptedProvider({"a": picture}), store=store))
    [record] = await records(store)
    assert record.outcome is not None
    assert (record.outcome.usage, record.outcome.cost) == (Usage(), None)


@virtual
async def test_an_unknown_price_leaves_the_cost_unknown() -> None:
    store = MemoryStore()
    await text_of(gateway_of([deployment("a", price=None)], ScriptedProvider({"a": says("x")}), store=store))
    [record] = await records(store)
    assert record.outcome is not None
    assert record.outcome.cost is None


class FullStore(MemoryStore):
    """Takes intents while ``intents`` is true, and no outcomes."""

    intents = True

    def append(self, row: object) -> asyncio.Future[None]:
        if type(row).__name__ == "Intent" and self.intents:
            return super().append(row)  # type: ignore[arg-type]
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed.set_exception(LedgerError("The disk is full."))
        failed.exception()
        return failed


class FailingStore(FullStore):
    """Knows that it fails."""

    def statistics(self) -> Statistics:
        return Statistics(failing=True)


@virtual
async def test_what_waits_for_the_ledger_and_is_not_sent_is_not_paid_for() -> None:
    store = FailingStore()
    store.intents = False
    provider = ScriptedProvider({"a": says("x")})
    gateway = gateway_of([A], provider, store=store)
    with pytest.raises(LedgerError):
        await text_of(gateway)
    assert provider.calls == []
    assert b"trimtab_attempts_total{" not in gateway.metrics.exposition()


@virtual
async def test_without_an_outcome_in_the_ledger_nobody_gets_the_last_frame() -> None:
    gateway = gateway_of([A], ScriptedProvider({"a": says("one two")}), store=FullStore())
    seen: list[object] = []
    async with gateway.handle(question(stream=True), CALLER) as reply:
        with pytest.raises(LedgerError):  # noqa: PT012
            async for frame in reply.frames:
                seen += frame.events
    assert not any(isinstance(event, Ended) for event in seen)
    assert any(isinstance(event, UsageReported) for event in seen)


@virtual
async def test_an_error_without_a_record_names_no_record() -> None:
    store = FullStore()
    store.intents = False
    with pytest.raises(LedgerError) as raised:
        await text_of(gateway_of([A], ScriptedProvider({"a": says("x")}), store=store))
    assert raised.value.decision_id == ""


@virtual
async def test_what_does_not_fit_into_the_budget_is_refused_and_what_is_free_is_not() -> None:
    provider = ScriptedProvider({id: says("x") for id in ("a", "unpriced", "free")})
    for fleet, limit in (([A], 1), ([deployment("unpriced", price=None)], 10**12)):
        with pytest.raises(BudgetExhausted):
            await text_of(gateway_of(fleet, provider, budget=NanoUSD(limit)))
    free = deployment("free", price=FREE, zone="local")
    assert await text_of(gateway_of([A, free], provider, budget=NanoUSD(0))) == "x"


@virtual
async def test_a_budget_is_held_while_a_request_runs_and_settled_once() -> None:
    clock = ManualClock()
    provider = ScriptedProvider({"a": (Wait(5), *says("x", usage=Usage(input=1, output=1)))}, clock=clock)
    gateway = gateway_of([A], provider, clock=clock, budget=NanoUSD(10**9))
    before = await left(gateway)
    task = asyncio.create_task(text_of(gateway))
    await asyncio.sleep(1)
    held = await left(gateway)
    await task
    assert before == 10**9
    assert held is not None
    assert held < before
    assert await left(gateway) == before - 3_000


@virtual
async def test_when_all_are_resting_the_client_is_told_how_long() -> None:
    clock = ManualClock()
    gateway = gateway_of([A], ScriptedProvider({"a": fails(FailureKind.RATE_LIMIT, retry_after=30)}, clock=clock), clock=clock)
    with pytest.raises(AttemptsExhausted):
        await text_of(gateway)
    clock.advance(10)
    with pytest.raises(NoDeployment) as raised:
        await text_of(gateway)
    assert raised.value.retry_after == pytest.approx(20)
    assert not refusals.exhausted(raised.value)


@pytest.mark.parametrize(
    ("fleet", "model", "text", "error"),
    [
        ([A], "nobody", "hi", UnknownModel),
        ([deployment("a", window=100)], "auto", "word " * 300, RequestError),
        ([A], "auto", "My card is 4111 1111 1111 1111.", NoDeployment),
        ([], "auto", "hi", NoDeployment),
    ],
    ids=["unknown model", "too long", "sensitive", "nothing deployed"],
)
async def test_an_empty_plan_is_told_as_what_it_is(fleet: list[Deployment], model: str, text: str, error: type[Exception]) -> None:
    store = MemoryStore()
    with pytest.raises(error):
        await text_of(gateway_of(fleet, ScriptedProvider(), store=store), question(text, model=model))
    assert await only_outcome(store) == (OutcomeKind.REFUSED, [])


def test_a_refusal_knows_the_constraints_by_their_names() -> None:
    """The names that the refusal sorts by are names that the constraints give."""
    config = config_of([])
    names = {getattr(each, "__name__", "") for each in constraints(config.boundary, None)} - {"check"} | {"zone", "region"}
    assert names >= refusals._BEYOND
    assert {"budget", "zone", "model", "availability"} <= names


@virtual
async def test_a_dearer_fallback_is_held_as_well() -> None:
    """Each attempt may be billed, so the second holds its own cost beside the first's."""
    clock = ManualClock()
    cheap = deployment("a", price=Price(input=1_000_000, output=1_000_000, version="test"), timeouts=Timeouts(total=2))
    provider = ScriptedProvider({"a": (Hang(),), "b": (Wait(5), *says("x"))}, clock=clock)
    gateway = gateway_of([cheap, B], provider, clock=clock, budget=NanoUSD(10**10))
    task = asyncio.create_task(text_of(gateway))
    await asyncio.sleep(1)
    first = await left(gateway)
    await asyncio.sleep(3)
    both = await left(gateway)
    await task
    assert first is not None
    assert both is not None
    assert both < first < 10**10
    assert await left(gateway) is not None


async def left(gateway: Gateway) -> NanoUSD | None:
    await gateway.purse.refresh(now=True)
    return gateway.purse.left(gateway.purse.budgets)


@virtual
async def test_a_new_budget_starts_from_what_the_whole_line_of_keys_has_spent() -> None:
    clock = ManualClock()
    store = MemoryStore(clock.time_ns)
    gateway = gateway_of([A], ScriptedProvider({"a": says("x", usage=Usage(input=1, output=1))}), store=store, clock=clock)
    for key in ("first", "second", "another"):
        async with gateway.handle(question(), msgspec.structs.replace(CALLER, key_id=key)) as reply:
            async for _ in reply.frames:
                pass
    budget = Budget(id="b", of="key:first", period=Period.DAY, limit=NanoUSD(10**9))
    purse = Purse(store, clock, (budget,))
    await purse.open(store, lambda line: (line, "second"))
    assert purse.spending()["b"].spent == 2 * 3_000
