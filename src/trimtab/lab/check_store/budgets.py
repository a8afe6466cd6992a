"""What holding, settling and alerting promise. Times are far off or long gone, so that no clock matters."""

from __future__ import annotations

import asyncio

from trimtab.lab.check_store.expect import Check, Factory, expect, refused
from trimtab.store.base import HoldLine, Spending, SpendLine

_NEVER = 1 << 62
_LONG_AGO = 1
_DAY = ("daily", 0)


def _hold(amount: int, limit: int | None = 100, budget: str = "daily", period_ns: int = 0) -> tuple[HoldLine, ...]:
    return (HoldLine(budget, period_ns, amount, limit),)


def _spend(amount: int, budget: str = "daily", period_ns: int = 0) -> tuple[SpendLine, ...]:
    return (SpendLine(budget, period_ns, amount),)


async def a_hold_counts_until_it_is_settled(factory: Factory) -> None:
    async with factory() as store:
        expect({_DAY: Spending()}, await store.spending([_DAY]), "a budget that nobody has used")
        expect((), await store.reserve("a", _hold(60), expires_ns=_NEVER), "a hold of 60 of 100")
        expect(("daily",), await store.reserve("b", _hold(41), expires_ns=_NEVER), "a hold of 41 more")
        expect((), await store.reserve("b", _hold(40), expires_ns=_NEVER), "a hold of the 40 that are left")
        expect({_DAY: Spending(0, 100)}, await store.spending([_DAY]), "what is held")
        await store.settle("a", _spend(5))
        expect({_DAY: Spending(5, 40)}, await store.spending([_DAY]), "after 60 were settled as 5")
        await store.settle("b", _spend(200))
        expect({_DAY: Spending(205, 0)}, await store.spending([_DAY]), "after 40 were settled as 200")
        expect(("daily",), await store.reserve("c", _hold(1), expires_ns=_NEVER), "a hold on what is overspent")


async def a_hold_is_whole_or_not_at_all(factory: Factory) -> None:
    both = (*_hold(10, 100, "roomy"), *_hold(10, 5, "narrow"), *_hold(10, 5, "narrow too"))
    async with factory() as store:
        expect(("narrow", "narrow too"), await store.reserve("a", both, expires_ns=_NEVER), "the budgets that are exceeded")
        expect({("roomy", 0): Spending()}, await store.spending([("roomy", 0)]), "what is held after a refusal")
        twice = (*_hold(60), *_hold(60))
        expect(("daily",), await store.reserve("b", twice, expires_ns=_NEVER), "two lines on one budget that fit each alone")


async def several_holds_of_one_id_add_up(factory: Factory) -> None:
    async with factory() as store:
        for until in (_NEVER, _NEVER, _NEVER + 1):
            expect((), await store.reserve("a", _hold(30), expires_ns=until), "a hold of 30")
        expect(("daily",), await store.reserve("a", _hold(30), expires_ns=_NEVER), "the fourth")
        expect({_DAY: Spending(0, 90)}, await store.spending([_DAY]), "what is held")
        await store.settle("a", ())
        expect({_DAY: Spending()}, await store.spending([_DAY]), "after all were dropped")


async def nothing_is_always_held_and_soft_never_refuses(factory: Factory) -> None:
    async with factory() as store:
        await store.settle("before", _spend(500))
        expect((), await store.reserve("a", _hold(0), expires_ns=_NEVER), "a hold of nothing on an exhausted budget")
        expect((), await store.reserve("a", (), expires_ns=_NEVER), "a hold without lines")
        expect((), await store.reserve("a", _hold(1000, None), expires_ns=_NEVER), "a hold on a soft budget")
        expect(("daily",), await store.reserve("b", (*_hold(0), *_hold(1)), expires_ns=_NEVER), "nothing, and then something")
        expect({_DAY: Spending(500, 1000)}, await store.spending([_DAY]), "what is spent and held")


async def settling_twice_is_settling_once(factory: Factory) -> None:
    async with factory() as store:
        await asyncio.gather(*(store.settle("a", _spend(5)) for _ in range(3)))
        await store.settle("a", _spend(7))
        expect({_DAY: Spending(5)}, await store.spending([_DAY]), "what was spent")


async def budgets_and_periods_are_apart(factory: Factory) -> None:
    async with factory() as store:
        await store.reserve("a", (*_hold(1), *_hold(2, period_ns=7), *_hold(3, budget="other")), expires_ns=_NEVER)
        wanted = [_DAY, ("daily", 7), ("other", 0), ("other", 7)]
        expected = [Spending(0, 1), Spending(0, 2), Spending(0, 3), Spending()]
        expect(dict(zip(wanted, expected, strict=True)), await store.spending(wanted), "what is held by budget and period")
        expect({}, await store.spending([]), "nothing wanted")


async def an_expired_hold_counts_no_more(factory: Factory) -> None:
    async with factory() as store:
        expect((), await store.reserve("a", _hold(100), expires_ns=_LONG_AGO), "a hold that has expired before it was made")
        expect({_DAY: Spending()}, await store.spending([_DAY]), "what is held")
        expect((), await store.reserve("b", _hold(100), expires_ns=_NEVER), "a hold of all")
        await store.settle("a", _spend(30))
        expect({_DAY: Spending(30, 100)}, await store.spending([_DAY]), "a late settlement still counts")


async def many_at_once_never_exceed_the_limit(factory: Factory) -> None:
    async with factory() as store:
        handed = [store.reserve(f"r{number}", _hold(7), expires_ns=_NEVER) for number in range(200)]
        answers = await asyncio.gather(*handed)
        expect(14, answers.count(()), "holds of 7 that fit into 100")
        expect({_DAY: Spending(0, 98)}, await store.spending([_DAY]), "what is held")
        await asyncio.gather(*(store.settle(f"r{number}", _spend(number % 2)) for number in range(200)))
        expect({_DAY: Spending(100)}, await store.spending([_DAY]), "what was spent")


async def money_goes_beyond_64_bits(factory: Factory) -> None:
    large = 1 << 70
    async with factory() as store:
        expect((), await store.reserve("a", _hold(large, None), expires_ns=_NEVER), "a large hold")
        expect(("daily",), await store.reserve("b", _hold(1, large), expires_ns=_NEVER), "a hold beyond a large limit")
        for number in range(3):
            await store.settle(f"s{number}", _spend(large))
        expect({_DAY: Spending(3 * large, large)}, await store.spending([_DAY]), "what is spent and held")


async def a_hold_that_cannot_be_kept_is_refused_alone(factory: Factory) -> None:
    async with factory() as store:
        good = store.reserve("a", _hold(1), expires_ns=_NEVER)
        bad = (
            (store.reserve("b", _hold(-1), expires_ns=_NEVER), "below zero"),
            (store.reserve("b", _hold(1), expires_ns=1 << 63), "64 bits"),
            (store.reserve("b", _hold(1, period_ns=1 << 63), expires_ns=_NEVER), "64 bits"),
            (store.reserve("\ud800", _hold(1), expires_ns=_NEVER), "Unicode"),
            (store.settle("b", _spend(1, "\ud800")), "Unicode"),
            (store.claim_alert("daily", 0, float("nan")), "not a number"),
        )
        for handed, words in bad:
            await refused(handed, words)
        expect((), await good, "the hold before them")
        expect({_DAY: Spending(0, 1)}, await store.spending([_DAY]), "what is held")


async def an_alert_is_claimed_once(factory: Factory) -> None:
    async with factory() as store:
        claims = await asyncio.gather(*(store.claim_alert("daily", 0, 0.8) for _ in range(5)))
        expect([False, False, False, False, True], sorted(claims), "who is to send the alert")
        others = [await store.claim_alert(*alert) for alert in (("daily", 0, 1.0), ("daily", 1, 0.8), ("other", 0, 0.8))]
        expect([True, True, True], others, "other alerts")


BUDGETS: tuple[Check, ...] = (
    a_hold_counts_until_it_is_settled,
    a_hold_is_whole_or_not_at_all,
    several_holds_of_one_id_add_up,
    nothing_is_always_held_and_soft_never_refuses,
    settling_twice_is_settling_once,
    budgets_and_periods_are_apart,
    an_expired_hold_counts_no_more,
    many_at_once_never_exceed_the_limit,
    money_goes_beyond_64_bits,
    a_hold_that_cannot_be_kept_is_refused_alone,
    an_alert_is_claimed_once,
)
