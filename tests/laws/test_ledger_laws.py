"""Laws of the event log, on every store of ours: what goes in comes out, sums are sums, twice is once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from trimtab.core.catalog import Capability, Tier
from trimtab.core.decision import Ask, Decision, LatencyClass, Planned, Rejected, Score, Signals, Wish
from trimtab.core.errors import FailureKind
from trimtab.core.messages import Dialect
from trimtab.core.record import Attempt, Correction, Intent, Outcome, OutcomeKind, Record, Row
from trimtab.core.units import NanoUSD, Usage
from trimtab.core.zones import Sensitivity
from trimtab.lab.memory import MemoryStore
from trimtab.store.base import Dimension, Filter, Store, Totals, UsageRow
from trimtab.store.sqlite import SQLiteStore

Open = Callable[[], AbstractAsyncContextManager[Store]]

text = st.text(max_size=8)
names = st.text(min_size=1, max_size=4)
word = st.integers(-(1 << 63), (1 << 63) - 1)
maybe = st.none() | word
money = word.map(NanoUSD)
usages = st.builds(Usage, input=maybe, output=maybe, cache_read=maybe, cache_write=maybe, reasoning=maybe, estimated=st.booleans())
scores = st.builds(Score, word, st.lists(st.tuples(text, word), max_size=2).map(tuple), st.lists(text, max_size=2).map(tuple))
signals = st.builds(
    Signals,
    input_tokens=word,
    tokens_exact=st.booleans(),
    output_tokens=word,
    needs=st.frozensets(st.sampled_from(Capability)),
    language=text,
    turns=word,
    complexity=st.floats(allow_nan=False, allow_infinity=False),
    sensitivity=st.frozensets(st.sampled_from(Sensitivity)),
    evidence=st.lists(st.tuples(text, text), max_size=2).map(tuple),
)
asks = st.builds(
    Ask,
    wish=st.sampled_from(Wish),
    named=st.none() | text,
    latency=st.sampled_from(LatencyClass),
    dialect=st.sampled_from(Dialect),
    budget_left=st.none() | money,
)
decisions = st.builds(
    Decision,
    policy=text,
    ask=asks,
    signals=signals,
    plan=st.lists(st.builds(Planned, text, scores), max_size=2).map(tuple),
    rejected=st.lists(st.builds(Rejected, text, text, text), max_size=2).map(tuple),
)
intents = st.builds(
    Intent,
    id=names,
    at_ns=word,
    key_id=text,
    place=st.sampled_from(["", "acme", "acme/search", "acme/search/bot", "acme-too", "zeta"]),
    owner=text,
    tags=st.lists(text, max_size=3).map(tuple),
    decision=decisions,
    stream=st.booleans(),
    content_digest=text,
    content_key=st.binary(max_size=32),
)
attempts = st.builds(
    Attempt,
    deployment=st.sampled_from(["near", "far"]),
    model=text,
    tier=st.sampled_from(Tier),
    zone=text,
    started_ns=word,
    failure=st.none() | st.sampled_from(FailureKind),
    upstream_status=maybe,
    finish_reason=st.none() | text,
    usage=usages,
    cost=st.none() | money,
)
outcomes = st.builds(
    Outcome,
    id=names,
    at_ns=word,
    kind=st.sampled_from(OutcomeKind),
    attempts=st.lists(attempts, max_size=3).map(tuple),
    usage=usages,
    cost=st.none() | money,
    error=text,
    cached=st.booleans(),
)
corrections = st.builds(Correction, id=names, at_ns=word, reason=text, usage=usages, cost=st.none() | money)


@st.composite
def records(draw: st.DrawFn) -> Record:
    intent = draw(intents)
    outcome = draw(st.none() | outcomes.map(lambda row: replace(row, id=intent.id)))
    if outcome is None:
        return Record(intent)
    found = draw(st.lists(corrections, max_size=3, unique_by=lambda row: row.at_ns))
    return Record(intent, outcome, tuple(sorted((replace(row, id=intent.id) for row in found), key=lambda row: row.at_ns)))


def rows_of(record: Record) -> list[Row]:
    return [row for row in (record.intent, record.outcome, *record.corrections) if row is not None]


many_records = st.lists(records(), max_size=3, unique_by=lambda record: record.intent.id)


@asynccontextmanager
async def memory() -> AsyncIterator[Store]:
    yield MemoryStore()


@asynccontextmanager
async def sqlite() -> AsyncIterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        store = await SQLiteStore.open(Path(folder) / "log.db", writer="w")
        try:
            yield store
        finally:
            await store.aclose()


stores = pytest.mark.parametrize("open_store", [memory, sqlite])
laws = settings(max_examples=25, deadline=None)


@stores
@laws
@given(found=many_records, data=st.data())
def test_whatever_goes_in_comes_out_and_twice_is_once(open_store: Open, found: list[Record], data: st.DataObject) -> None:
    rows = [row for record in found for row in rows_of(record)]
    again = data.draw(st.lists(st.sampled_from(rows), max_size=5)) if rows else []

    async def run() -> None:
        async with open_store() as store:
            await asyncio.gather(*(store.append(row) for row in rows))
            await asyncio.gather(*(store.append(row) for row in again))
            assert [await store.get(record.intent.id) for record in found] == found
            expected = sorted(found, key=lambda record: record.intent.id)
            assert [record async for record in store.scan(Filter())] == expected
            report = await store.verify()
            assert (report.rows, report.reason) == (len(rows), "")

    asyncio.run(run())


def known(total: int | None, parts: list[int | None]) -> int:
    """What is known of a sum: all of it, or where that is unknown what is known of single attempts."""
    if total is not None:
        return total
    found = sum(part for part in parts if part is not None)
    return found if None in parts and len(parts) > 1 and abs(found) < 1 << 63 else 0


def totals_of(records: list[Record]) -> Totals:
    figures: list[tuple[bool, int, int, int, bool]] = []
    for record in records:
        assert record.outcome is not None
        said, tried = (record.corrections or (record.outcome,))[-1], record.outcome.attempts
        figures.append(
            (
                record.outcome.kind == "complete",
                known(said.usage.input, [attempt.usage.input for attempt in tried]),
                known(said.usage.output, [attempt.usage.output for attempt in tried]),
                known(said.cost, [attempt.cost for attempt in tried]),
                said.cost is None,
            )
        )
    complete, inputs, outputs, costs, unknown = map(sum, zip(*figures, strict=True)) if figures else (0, 0, 0, 0, 0)
    return Totals(
        requests=len(figures),
        complete=complete,
        input_tokens=inputs,
        output_tokens=outputs,
        cost=NanoUSD(costs),
        cost_unknown=unknown,
    )


filters = st.builds(
    Filter,
    since_ns=maybe,
    until_ns=maybe,
    key_id=st.none() | text,
    place=st.none() | st.sampled_from(["", "acme", "acme/search", "zeta"]),
    owner=st.none() | text,
    tag=st.none() | text,
    deployment=st.none() | st.sampled_from(["", "near", "far"]),
)
everything = st.just(Filter())


@stores
@laws
@given(found=many_records, where=filters | everything)
def test_totals_are_the_sum_over_a_scan(open_store: Open, found: list[Record], where: Filter) -> None:
    async def run() -> None:
        async with open_store() as store:
            await asyncio.gather(*(store.append(row) for record in found for row in rows_of(record)))
            settled = [record async for record in store.scan(where) if record.outcome is not None]
            assert await store.totals(where) == totals_of(settled)
            report = await store.verify()
            assert report.reason == ""

    asyncio.run(run())


@stores
@laws
@given(found=many_records, where=filters | everything, by=st.lists(st.sampled_from(Dimension), max_size=3, unique=True).map(tuple))
def test_usage_adds_up_to_the_totals(open_store: Open, found: list[Record], where: Filter, by: tuple[Dimension, ...]) -> None:
    async def run() -> None:
        async with open_store() as store:
            await asyncio.gather(*(store.append(row) for record in found for row in rows_of(record)))
            totals, rows = await store.totals(where), await store.usage(where, by)
            assert [row.keys for row in rows] == sorted({row.keys for row in rows})
            if Dimension.TAG not in by:
                assert sum(row.input_tokens for row in rows) == totals.input_tokens
                assert sum(row.output_tokens for row in rows) == totals.output_tokens
                assert sum(row.cost for row in rows) == totals.cost
                assert sum(row.complete for row in rows) == totals.complete
            counted = (sum(row.requests for row in rows), sum(row.cost_unknown for row in rows))
            expected = (totals.requests, totals.cost_unknown)
            if any(dimension.of_attempts or dimension is Dimension.TAG for dimension in by):
                assert all(found >= least for found, least in zip(counted, expected, strict=True))
            else:
                assert counted == expected

    asyncio.run(run())


@laws
@given(found=many_records, where=filters | everything, by=st.lists(st.sampled_from(Dimension), max_size=3, unique=True).map(tuple))
def test_every_store_tells_the_same_usage(found: list[Record], where: Filter, by: tuple[Dimension, ...]) -> None:
    async def usage(open_store: Open) -> tuple[UsageRow, ...]:
        async with open_store() as store:
            await asyncio.gather(*(store.append(row) for record in found for row in rows_of(record)))
            return await store.usage(where, by)

    assert asyncio.run(usage(memory)) == asyncio.run(usage(sqlite))
