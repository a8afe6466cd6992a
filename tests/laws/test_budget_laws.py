"""Laws of the budgets: hard limits hold whatever is asked in whatever order, and every store gives the same answers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from trimtab.lab.memory import MemoryStore
from trimtab.store import HoldLine, Spending, SpendLine, SQLiteStore, Store

ACCOUNTS = (("b", 0), ("b", 1), ("c", 0), ("c", 1))


class Reserve(Struct, frozen=True):
    id: str
    lines: tuple[HoldLine, ...]
    expires_ns: int


class Settle(Struct, frozen=True):
    id: str
    lines: tuple[SpendLine, ...]


class Wait(Struct, frozen=True):
    ns: int


ids = st.sampled_from("rstu")
amounts = st.integers(0, 60) | st.integers(1 << 63, 1 << 65)
names, starts = st.sampled_from(["b", "c"]), st.sampled_from([0, 1])
holds = st.builds(HoldLine, names, starts, amounts, st.none() | st.just(100))
spends = st.builds(SpendLine, names, starts, amounts)
steps = st.lists(
    st.builds(Reserve, ids, st.lists(holds, max_size=3).map(tuple), st.integers(0, 40))
    | st.builds(Settle, ids, st.lists(spends, max_size=2).map(tuple))
    | st.builds(Wait, st.integers(1, 10)),
    max_size=12,
)
Answer = tuple[tuple[str, ...] | None, dict[tuple[str, int], Spending]]


async def take(store: Store, clock: list[int], steps: Sequence[Reserve | Settle | Wait]) -> list[Answer]:
    """What each step gives, and how the budgets stand after it."""
    answers: list[Answer] = []
    for step in steps:
        answer: tuple[str, ...] | None = None
        match step:
            case Reserve(id, lines, expires_ns):
                answer = await store.reserve(id, lines, expires_ns=expires_ns)
            case Settle(id, spent):
                await store.settle(id, spent)
            case Wait(ns):
                clock[0] += ns
        answers.append((answer, dict(await store.spending(ACCOUNTS))))
    return answers


def in_memory(steps: Sequence[Reserve | Settle | Wait]) -> list[Answer]:
    clock = [0]
    return asyncio.run(take(MemoryStore(lambda: clock[0]), clock, steps))


def in_sqlite(steps: Sequence[Reserve | Settle | Wait]) -> list[Answer]:
    async def run() -> list[Answer]:
        clock = [0]
        with tempfile.TemporaryDirectory() as folder:
            store = await SQLiteStore.open(Path(folder) / "log.db", writer="w", now_ns=lambda: clock[0])
            try:
                return await take(store, clock, steps)
            finally:
                await store.aclose()

    return asyncio.run(run())


@settings(max_examples=50, deadline=None)
@given(steps=steps)
def test_every_store_gives_the_same_answers(steps: list[Reserve | Settle | Wait]) -> None:
    assert in_memory(steps) == in_sqlite(steps)


@settings(max_examples=100, deadline=None)
@given(steps=steps)
def test_a_hard_limit_holds_and_nothing_is_held_in_part(steps: list[Reserve | Settle | Wait]) -> None:
    before = {account: Spending() for account in ACCOUNTS}
    for step, (answer, after) in zip(steps, in_memory(steps), strict=True):
        if isinstance(step, Reserve):
            hard = [line for line in step.lines if line.limit is not None and line.amount]
            assert {line.budget for line in hard} >= set(answer or ())
            for line in hard if not answer else ():
                account = (line.budget, line.period_ns)
                # Soft lines of the same call on the same budget come on top.
                soft = sum(
                    other.amount for other in step.lines if (other.budget, other.period_ns) == account and other.limit is None
                )
                assert after[account].spent + after[account].held - soft <= 100
            if answer:
                assert after == before
        before = after


@settings(max_examples=100, deadline=None)
@given(steps=steps)
def test_what_was_spent_is_the_sum_of_each_ids_first_settlement(steps: list[Reserve | Settle | Wait]) -> None:
    first: dict[str, Settle] = {}
    for step in steps:
        if isinstance(step, Settle):
            first.setdefault(step.id, step)
    lines = [line for step in first.values() for line in step.lines]
    spent = {account: sum(line.amount for line in lines if (line.budget, line.period_ns) == account) for account in ACCOUNTS}
    answers = in_memory(steps)
    if answers:
        assert {account: found.spent for account, found in answers[-1][1].items()} == spent
