"""What the event log promises."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from trimtab.core.errors import LedgerError
from trimtab.core.record import OutcomeKind, Record
from trimtab.core.units import SECOND_NS, NanoUSD, Usage
from trimtab.lab.check_store.expect import Check, Factory, expect, refused
from trimtab.lab.check_store.samples import START_NS, sample_correction, sample_intent, sample_outcome
from trimtab.store.base import Filter, Totals


async def a_row_comes_back_as_it_went_in(factory: Factory) -> None:
    async with factory() as store:
        await store.append(sample_intent(1))
        expect(Record(sample_intent(1)), await store.get("req-00000001"), "the record after its intent")
        await store.append(sample_outcome(1))
        expect(Record(sample_intent(1), sample_outcome(1)), await store.get("req-00000001"), "the record after its outcome")
        expect(None, await store.get("req-00000002"), "the record of an id that was never written")


async def appending_does_not_wait(factory: Factory) -> None:
    """``append`` takes effect when called, in order, whether or not anybody awaits it."""
    async with factory() as store:
        handed = [store.append(row) for number in range(50) for row in (sample_intent(number), sample_outcome(number))]
        await handed[-1]
        expect(50, (await store.totals(Filter())).requests, "requests after awaiting the last of 100 rows")
        await asyncio.gather(*handed)
        expect(100, store.statistics().rows, "rows in the statistics")
        expect(0, store.statistics().queued, "rows still queued")


async def the_same_row_twice_is_kept_once(factory: Factory) -> None:
    rows = (sample_intent(1), sample_outcome(1), sample_correction(1))
    async with factory() as store:
        for row in (*rows, *rows):
            await store.append(row)
        await asyncio.gather(*(store.append(row) for row in rows * 3))
        expect(Record(rows[0], rows[1], (rows[2],)), await store.get("req-00000001"), "the record")
        report = await store.verify()
        expect((3, ""), (report.rows, report.reason), "rows in the log and what is wrong with them")


async def a_row_is_never_changed(factory: Factory) -> None:
    async with factory() as store:
        await store.append(sample_intent(1))
        await store.append(sample_outcome(1))
        await refused(store.append(replace(sample_intent(1), stream=True, key_id="other")), "req-00000001")
        await refused(store.append(sample_outcome(1, cost=2)), "req-00000001")
        await store.append(sample_intent(2))
        expect(Record(sample_intent(1), sample_outcome(1)), await store.get("req-00000001"), "the record after two refused rows")
        expect(2, store.statistics().failed, "failed rows in the statistics")
        expect(True, (await store.verify()).ok, "verify after refused rows")


async def a_row_needs_the_one_before_it(factory: Factory) -> None:
    async with factory() as store:
        await refused(store.append(sample_outcome(1)), "req-00000001")
        await store.append(sample_intent(1))
        await refused(store.append(sample_correction(1)), "req-00000001")
        await store.append(sample_outcome(1))
        await store.append(sample_correction(1))
        expect(3, (await store.verify()).rows, "rows in the log")


async def a_row_that_cannot_be_kept_is_refused_alone(factory: Factory) -> None:
    absurd = replace(sample_intent(1), at_ns=1 << 63)
    surrogate = replace(sample_intent(2), key_id="\ud800")
    signals = replace(sample_intent(3).decision.signals, complexity=float("nan"))
    not_a_number = replace(sample_intent(3), decision=replace(sample_intent(3).decision, signals=signals))
    async with factory() as store:
        handed = [store.append(row) for row in (sample_intent(0), absurd, surrogate, not_a_number, sample_intent(4))]
        answers = await asyncio.gather(*handed, return_exceptions=True)
        expect([False, True, True, True, False], [isinstance(answer, LedgerError) for answer in answers], "which rows were refused")
        expect(True, (await store.verify()).ok, "verify afterwards")


async def scanning_goes_by_id(factory: Factory) -> None:
    async with factory() as store:
        expect(None, await store.last(), "the last record of an empty log")
        await asyncio.gather(*(store.append(sample_intent(number)) for number in reversed(range(450))))
        everything = [record.intent.id async for record in store.scan(Filter())]
        expect([f"req-{number:08d}" for number in range(450)], everything, "all ids in order")
        after = [record.intent.id async for record in store.scan(Filter(), after="req-00000100", limit=250)]
        expect(everything[101:351], after, "250 ids after req-00000100")
        between = [record async for record in store.scan(Filter(), after="req-00000448x", limit=5)]
        expect([Record(sample_intent(449))], between, "what follows an id that is not there")
        expect([], [record async for record in store.scan(Filter(), limit=0)], "a scan of nothing")
        expect(Record(sample_intent(449)), await store.last(), "the last record")


async def filters_choose_by_time_and_key(factory: Factory) -> None:
    async with factory() as store:
        for number in range(6):
            store.append(sample_intent(number, key_id="key-a" if number < 4 else "key-b"))
            await store.append(sample_outcome(number))
        second = START_NS + 2 * SECOND_NS
        for where, numbers in (
            (Filter(since_ns=second), (2, 3, 4, 5)),
            (Filter(until_ns=second), (0, 1)),
            (Filter(since_ns=second, until_ns=second), ()),
            (Filter(key_id="key-b"), (4, 5)),
            (Filter(since_ns=second, until_ns=second + 3 * SECOND_NS, key_id="key-a"), (2, 3)),
            (Filter(key_id="nobody"), ()),
        ):
            found = [record.intent.id async for record in store.scan(where)]
            expect([f"req-{number:08d}" for number in numbers], found, f"ids for {where}")
            expect(len(numbers), (await store.totals(where)).requests, f"requests in the totals for {where}")


async def unknown_is_not_zero(factory: Factory) -> None:
    async with factory() as store:
        for number in range(4):
            await store.append(sample_intent(number))
        await store.append(sample_outcome(0, cost=5))
        await store.append(sample_outcome(1, cost=None, kind=OutcomeKind.PARTIAL))
        await store.append(replace(sample_outcome(2, cost=0), usage=Usage()))
        totals = Totals(requests=3, complete=2, input_tokens=201, output_tokens=20, cost=NanoUSD(5), cost_unknown=1)
        expect(totals, await store.totals(Filter()), "totals; the fourth request has no outcome")


async def the_latest_correction_counts(factory: Factory) -> None:
    """By its own time, not by when it arrived; the outcome stays as it was."""
    late, early = sample_correction(1, later_ns=30, cost=70), sample_correction(1, later_ns=20, cost=None)
    async with factory() as store:
        for row in (sample_intent(1), sample_outcome(1), late, early):
            await store.append(row)
        expect(Record(sample_intent(1), sample_outcome(1), (early, late)), await store.get("req-00000001"), "the record")
        totals = Totals(requests=1, complete=1, input_tokens=1, output_tokens=2, cost=NanoUSD(70))
        expect(totals, await store.totals(Filter()), "totals after two corrections")


async def sums_go_beyond_64_bits(factory: Factory) -> None:
    largest = (1 << 63) - 1
    async with factory() as store:
        for number in range(3):
            await store.append(sample_intent(number))
            await store.append(replace(sample_outcome(number, cost=largest), usage=Usage(input=largest, output=-largest)))
        totals = await store.totals(Filter())
        sums = (totals.input_tokens, totals.output_tokens, totals.cost)
        expect((3 * largest, -3 * largest, 3 * largest), sums, "sums")


async def unsettled_names_what_has_no_outcome(factory: Factory) -> None:
    async with factory() as store:
        for number in (3, 1, 2):
            await store.append(sample_intent(number))
        await store.append(sample_outcome(2))
        expect(("req-00000001", "req-00000003"), await store.unsettled(START_NS + 4 * SECOND_NS), "unsettled ids")
        expect(("req-00000001",), await store.unsettled(START_NS + 3 * SECOND_NS), "unsettled ids before the third second")


async def a_cancelled_wait_does_not_take_the_row_back(factory: Factory) -> None:
    async with factory() as store:
        handed = asyncio.ensure_future(store.append(sample_intent(1)))
        handed.cancel()
        await asyncio.gather(handed, return_exceptions=True)
        await store.append(sample_intent(2))
        expect(Record(sample_intent(1)), await store.get("req-00000001"), "the record whose waiter left")


LEDGER: tuple[Check, ...] = (
    a_row_comes_back_as_it_went_in,
    appending_does_not_wait,
    the_same_row_twice_is_kept_once,
    a_row_is_never_changed,
    a_row_needs_the_one_before_it,
    a_row_that_cannot_be_kept_is_refused_alone,
    scanning_goes_by_id,
    filters_choose_by_time_and_key,
    unknown_is_not_zero,
    the_latest_correction_counts,
    sums_go_beyond_64_bits,
    unsettled_names_what_has_no_outcome,
    a_cancelled_wait_does_not_take_the_row_back,
)
