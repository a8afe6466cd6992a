"""The gate, the rates and the purse: nobody's flood delays anybody else, and what is not used is given back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.accounts import Limits, Period, Place, VirtualKey
from trimtab.core.errors import Overloaded, RateLimited
from trimtab.engine.access import digest
from trimtab.engine.access.directory import build
from trimtab.engine.limits import Gate, Rates
from trimtab.engine.limits.fair import FairQueue
from trimtab.engine.limits.purse import period_start
from trimtab.lab.clock import ManualClock, virtual

DAY_NS = 86_400 * 10**9


@asynccontextmanager
async def through(gate: Gate, tenant: str) -> AsyncIterator[None]:
    await gate.enter(tenant)
    try:
        yield
    finally:
        gate.leave()


async def at(gate: Gate, tenant: str, served: list[str], seconds: float = 1.0) -> None:
    async with through(gate, tenant):
        served.append(tenant)
        await asyncio.sleep(seconds)


@virtual
async def test_those_who_wait_take_turns_by_tenant() -> None:
    gate, served = Gate(1, seconds=100), list[str]()
    flood = [asyncio.create_task(at(gate, "noisy", served)) for _ in range(4)]
    await asyncio.sleep(0.1)
    quiet = asyncio.create_task(at(gate, "quiet", served))
    await asyncio.gather(*flood, quiet)
    assert served == ["noisy", "noisy", "quiet", "noisy", "noisy"]
    assert (gate.under_way, gate.waiting) == (0, 0)


@virtual
async def test_who_waits_too_long_is_told_so() -> None:
    gate = Gate(1, seconds=2)
    first = asyncio.create_task(at(gate, "a", [], seconds=10))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await at(gate, "b", [])
    await first
    await at(gate, "b", [])
    assert (gate.under_way, gate.waiting) == (0, 0)


@virtual
async def test_without_patience_a_full_gate_refuses_at_once() -> None:
    gate = Gate(1)
    first = asyncio.create_task(at(gate, "a", []))
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    with pytest.raises(Overloaded):
        await at(gate, "b", [])
    assert asyncio.get_running_loop().time() == began
    await first


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_gate_never_lets_in_too_many_nor_forgets_its_room(data: st.DataObject) -> None:
    """Random arrivals, stays and clients who leave while they wait or while they are in."""
    plans = data.draw(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.floats(0, 3), st.floats(0.1, 2), st.none() | st.floats(0, 4)),
            min_size=1,
            max_size=15,
        )
    )

    @virtual
    async def run() -> None:
        gate, most = Gate(2, seconds=3), 0

        async def visit(tenant: str, arrives: float, stays: float) -> None:
            nonlocal most
            await asyncio.sleep(arrives)
            async with through(gate, tenant):
                most = max(most, gate.under_way)
                await asyncio.sleep(stays)

        tasks = [asyncio.create_task(visit(tenant, arrives, stays)) for tenant, arrives, stays, _ in plans]
        for task, (*_, leaves) in zip(tasks, plans, strict=True):
            if leaves is not None:
                asyncio.get_running_loop().call_later(leaves, task.cancel)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, Overloaded | asyncio.CancelledError) for result in done)
        assert most <= 2
        assert (gate.under_way, gate.waiting) == (0, 0)

    run()


@virtual
async def test_a_rate_is_held_over_time() -> None:
    """Twice what the rate allows is offered for ten minutes: a burst of one minute's worth, then the rate."""
    clock = ManualClock()
    rates, passed, refused, waits = Rates(clock, patience=0.0), 0, 0, list[float]()
    chain = [("key:a", Limits(requests_per_minute=60))]
    for _ in range(1200):
        try:
            async with rates.entered(chain, 0):
                passed += 1
        except RateLimited as error:
            refused += 1
            waits.append(error.retry_after)
        await asyncio.sleep(0.5)
    assert passed == pytest.approx(60 + 600, abs=2)
    assert all(0 < wait <= 1 for wait in waits)
    assert passed + refused == 1200


@virtual
async def test_a_key_that_floods_leaves_the_others_of_its_team_their_turns() -> None:
    clock, served = ManualClock(), Counter[str]()
    rates = Rates(clock, patience=1000.0)
    team = ("place:acme", Limits(requests_per_minute=60))

    async def ask(key: str) -> None:
        async with rates.entered([(f"key:{key}", Limits()), team], 0):
            served[key] += 1

    flood = [asyncio.create_task(ask("noisy")) for _ in range(300)]
    await asyncio.sleep(10)
    quiet = [asyncio.create_task(ask("quiet")) for _ in range(10)]
    before = served["noisy"]
    await asyncio.gather(*quiet)
    assert served["noisy"] - before <= 12  # one turn each, and not after the whole flood
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)


@virtual
async def test_tokens_are_settled_with_what_was_used() -> None:
    clock = ManualClock()
    rates = Rates(clock, patience=0.0)
    chain = [("key:a", Limits(tokens_per_minute=1000))]
    async with rates.entered(chain, 100) as ticket:
        ticket.used = 1900  # far more than was thought
    with pytest.raises(RateLimited) as told:
        async with rates.entered(chain, 100):
            pass
    assert told.value.retry_after == pytest.approx(60, abs=1)  # 900 too many, and 100 to come
    await asyncio.sleep(60.1)
    async with rates.entered(chain, 100) as ticket:
        ticket.used = 0


@virtual
async def test_an_outer_refusal_gives_back_what_the_inner_rate_took() -> None:
    clock = ManualClock()
    rates = Rates(clock, patience=0.0)
    chain = [("key:a", Limits(requests_per_minute=10)), ("place:t", Limits(tokens_per_minute=10))]
    async with rates.entered(chain, 10):
        pass
    for _ in range(50):
        with pytest.raises(RateLimited):
            async with rates.entered(chain, 10):
                pass
    async with rates.entered([("key:a", Limits(requests_per_minute=10))], 0):
        pass  # the key's own rate is not used up by what its team refused


@virtual
async def test_requests_at_once() -> None:
    rates = Rates(ManualClock())
    chain = [("key:a", Limits(concurrency=1))]
    async with rates.entered(chain, 0):
        with pytest.raises(RateLimited):
            async with rates.entered(chain, 0):
                pass
    async with rates.entered(chain, 0):
        pass


@given(st.integers(0, 4 * 10**18))
def test_a_period_holds_its_moment(now_ns: int) -> None:
    day, month = period_start(Period.DAY, now_ns), period_start(Period.MONTH, now_ns)
    assert month <= day <= now_ns < day + DAY_NS
    assert day % DAY_NS == 0
    assert now_ns < month + 31 * DAY_NS
    assert period_start(Period.MONTH, month) == month


@virtual
async def test_keys_take_turns_under_the_rate_of_their_place() -> None:
    """The place alone sets a limit: its keys are told apart all the same."""
    team = Place(path="a", limits=Limits(requests_per_minute=60))
    keys = [VirtualKey(id=id, digest=digest(id), place="a") for id in ("noisy", "quiet")]
    chains = {id: key.chain for id, key in build(1, (team, *keys)).keys.items()}
    rates, served = Rates(ManualClock(), patience=1000.0), list[str]()

    async def ask(name: str) -> None:
        async with rates.entered(chains[name], 0):
            served.append(name)

    flood = [asyncio.create_task(ask("noisy")) for _ in range(80)]
    await asyncio.sleep(0.1)
    await asyncio.gather(*flood, ask("quiet"))
    assert served.index("quiet") < 65


def test_whoever_gave_up_is_passed_over_and_costs_their_tenant_no_turn() -> None:
    async def run() -> None:
        queue = FairQueue()
        first, second, other = queue.join("a"), queue.join("a"), queue.join("b")
        first.cancel()
        assert queue.peek() is second
        assert queue.call()
        assert (second.done(), other.done(), queue.size) == (True, False, 1)
        queue.leave("a", first)
        assert queue.call()
        assert (other.done(), queue.size, queue.call()) == (True, 0, False)

    asyncio.run(run())
