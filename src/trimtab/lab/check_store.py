"""What a store promises, as checks that a new backend runs against itself.

Each check is a coroutine function of a *factory*: a callable whose result is entered with ``async with`` and gives an empty store::

    @pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
    async def test_store(check):
        await check(my_factory)

:func:`check_store` runs them all. A check that fails raises :class:`AssertionError` and says what was expected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

from msgspec.structs import replace

from trimtab.core.catalog import Capability, Tier
from trimtab.core.decision import Ask, Decision, Planned, Rejected, Score, Signals
from trimtab.core.errors import FailureKind, LedgerError
from trimtab.core.record import Attempt, Correction, Intent, Outcome, OutcomeKind, Record
from trimtab.core.units import NanoUSD, Usage
from trimtab.core.zones import Sensitivity
from trimtab.store.base import Filter, Store, StoredKey, Totals

Factory = Callable[[], AbstractAsyncContextManager[Store]]
Check = Callable[[Factory], Awaitable[None]]

START_NS = 1_800_000_000_000_000_000
"""The time of request 0 of the samples; each later one comes a second after."""

_SECOND = 1_000_000_000


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
        evidence=(("complexity", "many constraints — viele Bedingungen"), ("sensitivity", "an IBAN")),
        took_us=(("shape", 80), ("sensitivity", 55)),
    )
    decision = Decision(
        policy="0" * 64,
        ask=Ask(named="gpt-x", task="summary", budget_left=NanoUSD(10**12)),
        signals=signals,
        plan=(Planned("local", Score(1234, (("price", 0), ("wrong", 1234)), ("ability of local",))),),
        spare=(Planned("spare", Score(99999)),),
        rejected=(Rejected("far", "zone", "zone any may not see financial"),),
    )
    return Intent(
        id=f"req-{number:08d}",
        at_ns=START_NS + number * _SECOND,
        key_id=key_id,
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
        started_ns=START_NS + number * _SECOND,
        total_us=900,
        failure=FailureKind.TRANSIENT,
        detail="stream_truncated",
        upstream_status=503,
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
        at_ns=START_NS + number * _SECOND + 5,
        kind=kind,
        attempts=(failed, answered),
        usage=usage,
        cost=answered.cost,
        error="" if kind is OutcomeKind.COMPLETE else "upstream_error",
    )


def sample_correction(number: int, *, later_ns: int = 10, cost: int | None = 7) -> Correction:
    return Correction(
        id=f"req-{number:08d}",
        at_ns=START_NS + number * _SECOND + later_ns,
        reason="the invoice says so",
        usage=Usage(input=1, output=2),
        cost=None if cost is None else NanoUSD(cost),
    )


async def a_row_comes_back_as_it_went_in(factory: Factory) -> None:
    async with factory() as store:
        await store.append(sample_intent(1))
        _expect(Record(sample_intent(1)), await store.get("req-00000001"), "the record after its intent")
        await store.append(sample_outcome(1))
        _expect(Record(sample_intent(1), sample_outcome(1)), await store.get("req-00000001"), "the record after its outcome")
        _expect(None, await store.get("req-00000002"), "the record of an id that was never written")


async def appending_does_not_wait(factory: Factory) -> None:
    """``append`` takes effect when called, in order, whether or not anybody awaits it."""
    async with factory() as store:
        handed = [store.append(row) for number in range(50) for row in (sample_intent(number), sample_outcome(number))]
        await handed[-1]
        _expect(50, (await store.totals(Filter())).requests, "requests after awaiting the last of 100 rows")
        await asyncio.gather(*handed)
        _expect(100, store.statistics().rows, "rows in the statistics")
        _expect(0, store.statistics().queued, "rows still queued")


async def the_same_row_twice_is_kept_once(factory: Factory) -> None:
    rows = (sample_intent(1), sample_outcome(1), sample_correction(1))
    async with factory() as store:
        for row in (*rows, *rows):
            await store.append(row)
        await asyncio.gather(*(store.append(row) for row in rows * 3))
        _expect(Record(rows[0], rows[1], (rows[2],)), await store.get("req-00000001"), "the record")
        report = await store.verify()
        _expect((3, ""), (report.rows, report.reason), "rows in the log and what is wrong with them")


async def a_row_is_never_changed(factory: Factory) -> None:
    async with factory() as store:
        await store.append(sample_intent(1))
        await store.append(sample_outcome(1))
        await _refused(store.append(replace(sample_intent(1), stream=True, key_id="other")), "req-00000001")
        await _refused(store.append(sample_outcome(1, cost=2)), "req-00000001")
        await store.append(sample_intent(2))
        _expect(Record(sample_intent(1), sample_outcome(1)), await store.get("req-00000001"), "the record after two refused rows")
        _expect(2, store.statistics().failed, "failed rows in the statistics")
        _expect(True, (await store.verify()).ok, "verify after refused rows")


async def a_row_needs_the_one_before_it(factory: Factory) -> None:
    async with factory() as store:
        await _refused(store.append(sample_outcome(1)), "req-00000001")
        await store.append(sample_intent(1))
        await _refused(store.append(sample_correction(1)), "req-00000001")
        await store.append(sample_outcome(1))
        await store.append(sample_correction(1))
        _expect(3, (await store.verify()).rows, "rows in the log")


async def a_row_that_cannot_be_kept_is_refused_alone(factory: Factory) -> None:
    absurd = replace(sample_intent(1), at_ns=1 << 63)
    surrogate = replace(sample_intent(2), key_id="\ud800")
    signals = replace(sample_intent(3).decision.signals, complexity=float("nan"))
    not_a_number = replace(sample_intent(3), decision=replace(sample_intent(3).decision, signals=signals))
    async with factory() as store:
        handed = [store.append(row) for row in (sample_intent(0), absurd, surrogate, not_a_number, sample_intent(4))]
        answers = await asyncio.gather(*handed, return_exceptions=True)
        _expect(
            [False, True, True, True, False], [isinstance(answer, LedgerError) for answer in answers], "which rows were refused"
        )
        _expect(True, (await store.verify()).ok, "verify afterwards")


async def scanning_goes_by_id(factory: Factory) -> None:
    async with factory() as store:
        _expect(None, await store.last(), "the last record of an empty log")
        await asyncio.gather(*(store.append(sample_intent(number)) for number in reversed(range(450))))
        everything = [record.intent.id async for record in store.scan(Filter())]
        _expect([f"req-{number:08d}" for number in range(450)], everything, "all ids in order")
        after = [record.intent.id async for record in store.scan(Filter(), after="req-00000100", limit=250)]
        _expect(everything[101:351], after, "250 ids after req-00000100")
        between = [record async for record in store.scan(Filter(), after="req-00000448x", limit=5)]
        _expect([Record(sample_intent(449))], between, "what follows an id that is not there")
        _expect([], [record async for record in store.scan(Filter(), limit=0)], "a scan of nothing")
        _expect(Record(sample_intent(449)), await store.last(), "the last record")


async def filters_choose_by_time_and_key(factory: Factory) -> None:
    async with factory() as store:
        for number in range(6):
            store.append(sample_intent(number, key_id="key-a" if number < 4 else "key-b"))
            await store.append(sample_outcome(number))
        second = START_NS + 2 * _SECOND
        for where, numbers in (
            (Filter(since_ns=second), (2, 3, 4, 5)),
            (Filter(until_ns=second), (0, 1)),
            (Filter(since_ns=second, until_ns=second), ()),
            (Filter(key_id="key-b"), (4, 5)),
            (Filter(since_ns=second, until_ns=second + 3 * _SECOND, key_id="key-a"), (2, 3)),
            (Filter(key_id="nobody"), ()),
        ):
            found = [record.intent.id async for record in store.scan(where)]
            _expect([f"req-{number:08d}" for number in numbers], found, f"ids for {where}")
            _expect(len(numbers), (await store.totals(where)).requests, f"requests in the totals for {where}")


async def unknown_is_not_zero(factory: Factory) -> None:
    async with factory() as store:
        for number in range(4):
            await store.append(sample_intent(number))
        await store.append(sample_outcome(0, cost=5))
        await store.append(sample_outcome(1, cost=None, kind=OutcomeKind.PARTIAL))
        await store.append(replace(sample_outcome(2, cost=0), usage=Usage()))
        totals = Totals(requests=3, complete=2, input_tokens=201, output_tokens=20, cost=NanoUSD(5), cost_unknown=1)
        _expect(totals, await store.totals(Filter()), "totals; the fourth request has no outcome")


async def the_latest_correction_counts(factory: Factory) -> None:
    """By its own time, not by when it arrived; the outcome stays as it was."""
    late, early = sample_correction(1, later_ns=30, cost=70), sample_correction(1, later_ns=20, cost=None)
    async with factory() as store:
        for row in (sample_intent(1), sample_outcome(1), late, early):
            await store.append(row)
        _expect(Record(sample_intent(1), sample_outcome(1), (early, late)), await store.get("req-00000001"), "the record")
        totals = Totals(requests=1, complete=1, input_tokens=1, output_tokens=2, cost=NanoUSD(70))
        _expect(totals, await store.totals(Filter()), "totals after two corrections")


async def sums_go_beyond_64_bits(factory: Factory) -> None:
    largest = (1 << 63) - 1
    async with factory() as store:
        for number in range(3):
            await store.append(sample_intent(number))
            await store.append(replace(sample_outcome(number, cost=largest), usage=Usage(input=largest, output=-largest)))
        totals = await store.totals(Filter())
        sums = (totals.input_tokens, totals.output_tokens, totals.cost)
        _expect((3 * largest, -3 * largest, 3 * largest), sums, "sums")


async def unsettled_names_what_has_no_outcome(factory: Factory) -> None:
    async with factory() as store:
        for number in (3, 1, 2):
            await store.append(sample_intent(number))
        await store.append(sample_outcome(2))
        _expect(("req-00000001", "req-00000003"), await store.unsettled(START_NS + 4 * _SECOND), "unsettled ids")
        _expect(("req-00000001",), await store.unsettled(START_NS + 3 * _SECOND), "unsettled ids before the third second")


async def a_cancelled_wait_does_not_take_the_row_back(factory: Factory) -> None:
    async with factory() as store:
        handed = asyncio.ensure_future(store.append(sample_intent(1)))
        handed.cancel()
        await asyncio.gather(handed, return_exceptions=True)
        await store.append(sample_intent(2))
        _expect(Record(sample_intent(1)), await store.get("req-00000001"), "the record whose waiter left")


async def keys_are_kept_once(factory: Factory) -> None:
    one, two = StoredKey("b", b"\x00\xff" * 16, START_NS), StoredKey("a", b"\x01" * 32, START_NS + 1)
    async with factory() as store:
        for key in (one, two, one):
            await store.add_key(key)
        await _refused(store.add_key(StoredKey("a", b"\x02" * 32, START_NS)), "a")
        _expect((two, one), await store.keys(), "keys by id")


async def _refused(handed: Awaitable[None], id: str) -> None:
    try:
        await handed
    except LedgerError as error:
        _expect(True, id in error.message, f"the id in the message {error.message!r}")
    else:
        raise AssertionError(f"a row of {id} was not refused")


def _expect(expected: object, actual: object, what: str) -> None:
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {actual!r}")


CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
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
        keys_are_kept_once,
    )
}


async def check_store(factory: Factory) -> None:
    """All of :data:`CHECKS`, each on a store of its own."""
    for check in CHECKS.values():
        await check(factory)
