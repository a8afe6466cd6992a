"""The response cache around scripted providers: what is given again, to whom, and what the ledger says of it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.fleet import CALLER, deployment, gateway_of, question

from trimtab.config import Cache
from trimtab.core.accounts import Scope
from trimtab.core.errors import FailureKind
from trimtab.core.events import Ended, Finished, Folder, OpaqueDelta, Started, TextDelta, UsageReported
from trimtab.core.messages import Choice, Dialect, FinishReason, Opaque, Request, Response, Text, ToolCall
from trimtab.core.record import Outcome, OutcomeKind
from trimtab.core.units import NanoUSD, Usage
from trimtab.core.zones import Sensitivity
from trimtab.engine import CacheUse, Caller, Gateway
from trimtab.engine.cache import ResponseCache
from trimtab.lab.clock import ManualClock, virtual
from trimtab.lab.memory import MemoryStore
from trimtab.lab.scripted import Hang, ScriptedProvider, calls, fails, says
from trimtab.store import Filter
from trimtab.telemetry import Metrics

A, B = deployment("a"), deployment("b")
KEPT = Cache(ttl_seconds=60, max_bytes=1 << 20)
TEAM = replace(CALLER, place="acme")


async def ask(gateway: Gateway, request: Request | None = None, caller: Caller = TEAM) -> tuple[Response, bool]:
    folder = Folder()
    async with gateway.handle(request or question(), caller) as reply:
        async for frame in reply.frames:
            folder.add(frame.events)
    return folder.response(), reply.cached


async def hits(gateway: Gateway, request: Request | None = None, caller: Caller = TEAM) -> bool:
    return (await ask(gateway, request, caller))[1]


def counting(*deployments: str) -> ScriptedProvider:
    """A new answer each time, so that an old one is known."""
    provider = ScriptedProvider(clock=ManualClock())
    for id in deployments:
        provider.on(id, *(says(f"answer {number} of {id}") for number in range(50)))
    return provider


def said(response: Response) -> str:
    return "".join(part.text for choice in response.choices for part in choice.parts if isinstance(part, Text))


@virtual
async def test_the_second_time_it_comes_from_memory_and_costs_nothing() -> None:
    clock = ManualClock()
    store, provider = MemoryStore(clock.time_ns), counting("a")
    gateway = gateway_of([A], provider, store=store, clock=clock, cache=KEPT, budget=NanoUSD(10**12))
    first = await ask(gateway)
    clock.advance(1)
    again = await ask(gateway)
    assert (first[1], again[1]) == (False, True)
    assert said(again[0]) == said(first[0]) == "answer 0 of a"
    assert again[0].usage == Usage(input=0, output=0)
    assert len(provider.calls) == 1
    made, repeated = [record.outcome async for record in store.scan(Filter())]
    assert made is not None
    assert repeated == Outcome(
        id=repeated.id if repeated else "",
        at_ns=repeated.at_ns if repeated else 0,
        kind=OutcomeKind.COMPLETE,
        attempts=(),
        usage=Usage(input=0, output=0),
        cost=NanoUSD(0),
        cached=True,
    )
    spent = (await store.totals(Filter())).cost
    assert spent == made.cost != 0
    await gateway.purse.refresh(now=True)
    assert gateway.purse.spending()["config"].spent == spent


@virtual
@pytest.mark.parametrize(("first", "then"), [(True, False), (False, True), (True, True)])
async def test_a_stream_and_a_whole_answer_are_one(first: bool, then: bool) -> None:
    gateway = gateway_of([A], counting("a"), cache=KEPT)
    made, _ = await ask(gateway, question(stream=first))
    again, cached = await ask(gateway, question(stream=then))
    assert cached
    assert (again.choices, again.model) == (made.choices, made.model)


def other_body(**fields: object) -> Request:
    asked = question()
    return replace(asked, native=msgspec.json.encode({**msgspec.json.decode(asked.native), **fields}))


@virtual
@pytest.mark.parametrize(
    ("request_", "caller"),
    [
        (question("What is 2 + 3?"), TEAM),
        (other_body(temperature=0.5), TEAM),
        (other_body(user="somebody"), TEAM),
        (other_body(unknown_field=1), TEAM),
        (question(model="auto:best"), TEAM),
        (replace(question(), headers=(("anthropic-beta", "x"),)), TEAM),
        (question(), replace(TEAM, place="")),
        (question(), replace(TEAM, place="acme/search")),
        (question(), replace(TEAM, place="other")),
        (question(), replace(TEAM, labels=frozenset({Sensitivity.PUBLIC}))),
        (question(), replace(TEAM, cache=CacheUse.NO_STORE)),
        (question(), replace(TEAM, cache=CacheUse.REFRESH)),
    ],
)
async def test_what_differs_is_asked_anew(request_: Request, caller: Caller) -> None:
    gateway = gateway_of([A], counting("a"), cache=KEPT)
    await ask(gateway)
    assert not await hits(gateway, request_, caller)
    assert await hits(gateway), "and the first is still there"


@virtual
async def test_the_order_of_the_fields_and_another_key_of_the_place_do_not_matter() -> None:
    gateway = gateway_of([A], counting("a"), cache=KEPT)
    asked = question()
    await ask(gateway, asked)
    turned = dict(reversed(msgspec.json.decode(asked.native).items()))
    assert await hits(gateway, replace(asked, native=msgspec.json.encode(turned)), replace(TEAM, key_id="another", owner="user:x"))


@virtual
async def test_a_hit_needs_a_plan_that_holds_the_deployment() -> None:
    """An answer of a deployment that this key may not reach is not given to it, though its place has it."""
    gateway = gateway_of([A, B], counting("a", "b"), cache=KEPT)
    only = {id: replace(TEAM, scope=Scope(models=frozenset({id}))) for id in "ab"}
    first, _ = await ask(gateway)
    answerer = said(first)[-1]
    other = "b" if answerer == "a" else "a"
    assert not await hits(gateway, caller=only[other])
    assert await hits(gateway, caller=only[answerer])


@virtual
async def test_an_answer_is_found_for_any_deployment_of_the_plan() -> None:
    provider = ScriptedProvider({"a": fails(FailureKind.TRANSIENT), "b": says("from b")}, clock=ManualClock())
    gateway = gateway_of([A, B], provider, cache=KEPT)
    await ask(gateway)
    again, cached = await ask(gateway)
    assert (cached, said(again), len(provider.calls)) == (True, "from b", 2)


@virtual
async def test_an_answer_grows_old() -> None:
    clock = ManualClock()
    gateway = gateway_of([A], counting("a"), clock=clock, cache=KEPT)
    await ask(gateway)
    clock.advance(59.9)
    assert await hits(gateway)
    clock.advance(0.2)
    assert not await hits(gateway)
    assert await hits(gateway)


@virtual
async def test_refresh_makes_a_new_answer_and_keeps_that() -> None:
    gateway = gateway_of([A], counting("a"), cache=KEPT)
    await ask(gateway)
    await ask(gateway, caller=replace(TEAM, cache=CacheUse.REFRESH))
    again, cached = await ask(gateway)
    assert (cached, said(again)) == (True, "answer 1 of a")


@virtual
async def test_no_store_keeps_nothing() -> None:
    gateway = gateway_of([A], counting("a"), cache=KEPT)
    await ask(gateway, caller=replace(TEAM, cache=CacheUse.NO_STORE))
    assert not await hits(gateway)


@virtual
async def test_off_means_off() -> None:
    gateway = gateway_of([A], counting("a"))
    await ask(gateway)
    assert not await hits(gateway)


@virtual
@pytest.mark.parametrize("finish", [reason for reason in FinishReason if reason not in ("stop", "tool_calls")])
async def test_what_was_cut_off_or_filtered_is_not_kept(finish: FinishReason) -> None:
    gateway = gateway_of([A], ScriptedProvider({"a": says("half", finish=finish)}, clock=ManualClock()), cache=KEPT)
    await ask(gateway)
    assert not await hits(gateway)


@virtual
async def test_a_stream_that_breaks_or_is_left_is_not_kept() -> None:
    provider = ScriptedProvider(clock=ManualClock())
    provider.on("a", (*says("one two")[:2], Hang()), says("whole"))
    gateway = gateway_of([A], provider, cache=KEPT)
    task = asyncio.create_task(ask(gateway, question(stream=True)))
    await asyncio.wait({task}, timeout=1)
    task.cancel()
    await asyncio.wait({task})
    assert not await hits(gateway, question(stream=True))
    assert await hits(gateway, question(stream=True))


@virtual
async def test_who_leaves_a_hit_in_the_middle_has_not_had_all_of_it() -> None:
    clock, store = ManualClock(), MemoryStore()
    gateway = gateway_of([A], counting("a"), store=store, clock=clock, cache=KEPT)
    await ask(gateway)
    clock.advance(1)
    async with gateway.handle(question(stream=True), TEAM) as reply:
        await anext(reply.frames)
    outcomes = [record.outcome async for record in store.scan(Filter())]
    assert [(found.kind, found.cached) for found in outcomes if found] == [
        (OutcomeKind.COMPLETE, False),
        (OutcomeKind.CANCELLED, True),
    ]


@virtual
async def test_tool_calls_and_unknown_parts_come_back_as_they_were() -> None:
    odd = OpaqueDelta("server_tool_use", msgspec.Raw(b'{"type":"server_tool_use","x":[1,2.50]}'))
    script = (Started(id="m"), odd, *calls("f", '{"a": 1}', ("g", "not json"))[1:])
    gateway = gateway_of([A], ScriptedProvider({"a": script}, clock=ManualClock()), cache=KEPT)
    made, _ = await ask(gateway)
    again, cached = await ask(gateway)
    assert cached
    [was], [now] = made.choices, again.choices
    assert [plain(part) for part in now.parts] == [plain(part) for part in was.parts]
    assert [type(part) for part in now.parts] == [Opaque, ToolCall, ToolCall]


def plain(part: object) -> object:
    return (part.kind, bytes(part.raw)) if isinstance(part, Opaque) else part


@virtual
async def test_another_client_dialect_is_another_question() -> None:
    gateway = gateway_of([A], counting("a"), cache=KEPT)
    await ask(gateway)
    assert not await hits(gateway, replace(question(), dialect=Dialect.ANTHROPIC))


answers = st.text(max_size=300)


@given(st.lists(answers, min_size=1, max_size=60), st.integers(min_value=300, max_value=4000))
@settings(max_examples=100, deadline=None)
def test_memory_is_bounded_and_what_is_held_is_what_was_kept(texts: list[str], most: int) -> None:
    metrics = Metrics()
    cache = ResponseCache(ManualClock(), metrics, ttl_seconds=60, max_bytes=most)
    for number, text in enumerate(texts):
        asked = cache.question(question(f"question {number}"), TEAM)
        assert asked is not None
        asked.keep(A, Response("id", "m", (Choice(0, (Text(text),), FinishReason.STOP),), Usage(input=3, output=4)))
        assert 0 <= cache.size <= most
    found = 0
    for number, text in enumerate(texts):
        asked = cache.question(question(f"question {number}"), TEAM)
        assert asked is not None
        hit = asked.answered([B, A])
        if hit is not None:
            found += 1
            assert (hit.deployment, said(hit.response), hit.response.id) == (A, text, "")
    assert (found == 0) == (cache.size == 0)
    assert metrics.registry.get_sample_value("trimtab_cache_bytes") == cache.size


@virtual
async def test_the_least_lately_asked_goes_first() -> None:
    cache = ResponseCache(ManualClock(), Metrics(), ttl_seconds=60, max_bytes=1200)
    answer = Response("", "m", (Choice(0, (Text("x" * 100),), FinishReason.STOP),), Usage())
    asked = [cache.question(question(str(number)), TEAM) for number in range(3)]
    for each in asked[:2]:
        assert each is not None
        each.keep(A, answer)
    first, second, third = asked
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.answered([A]) is not None
    third.keep(A, answer)
    assert [each.answered([A]) is not None for each in (first, second, third)] == [True, False, True]


def test_a_body_that_is_no_json_object_and_other_operations_are_not_for_the_cache() -> None:
    cache = ResponseCache(ManualClock(), Metrics(), ttl_seconds=60, max_bytes=1000)
    for odd in (
        replace(question(), native=b"--boundary"),
        replace(question(), native=b"[]"),
        replace(question(), dialect=Dialect.OPENAI_EMBEDDINGS),
    ):
        assert cache.question(odd, TEAM) is None


EVENTS = (Started(), TextDelta("x"), Finished(FinishReason.STOP), UsageReported(Usage(input=1, output=1)), Ended())


@virtual
async def test_hits_and_misses_are_counted() -> None:
    gateway = gateway_of([A], ScriptedProvider({"a": EVENTS}, clock=ManualClock()), cache=KEPT)
    for _ in range(3):
        await ask(gateway)
    told = gateway.metrics.registry.get_sample_value
    assert told("trimtab_cache_lookups_total", {"result": "hit"}) == 2
    assert told("trimtab_cache_lookups_total", {"result": "miss"}) == 1
