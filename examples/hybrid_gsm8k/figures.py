"""What the event log says of an arm, and whether it has all that the client saw.

Every figure of cost, tier and time comes from here; the client's own count is used for one thing only, to be held against the log.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from examples.hybrid_gsm8k.questions import Question, is_right
from msgspec import Struct

from trimtab.core.record import OutcomeKind, Record
from trimtab.core.units import USD
from trimtab.store import Filter, SQLiteStore


class Answered(Struct, frozen=True):
    """What the client has: the decision's id, and the text where it got one whole."""

    question: Question
    decision: str
    text: str | None


class Arm(Struct, frozen=True, kw_only=True):
    """One row of the table. Times are milliseconds of the whole request; ``cost_usd`` sums what is known."""

    name: str
    questions: int
    answered: int
    graded: int
    right: int
    interval: tuple[float, float]
    cost_usd: float
    cost_unknown: int
    tiers: dict[str, int]
    p50_ms: float
    p95_ms: float


class Audit(Struct, frozen=True, kw_only=True):
    """What the client saw whole against what the log has. ``unseen`` are whole answers that the client never got to the end of,
    ``open`` requests that the kill left without an outcome: both are allowed, a missing or doubled one is not.
    """

    seen: int
    once: int
    missing: int
    doubled: int
    unseen: int
    open: int
    chain: str

    @property
    def holds(self) -> bool:
        return self.once == self.seen and not self.missing and not self.doubled and not self.chain


async def records(ledger: Path, since_ns: int) -> list[Record]:
    store = await SQLiteStore.open(ledger, readonly=True)
    return [record async for record in store.scan(Filter(since_ns=since_ns), limit=1_000_000)]


def arm(name: str, answered: Sequence[Answered], log: Iterable[Record]) -> Arm:
    by_id = {record.intent.id: record for record in log}
    mine = [by_id[answer.decision] for answer in answered if answer.decision in by_id]
    outcomes = [record.outcome for record in mine if record.outcome is not None]
    attempts = [outcome.attempts[-1] for outcome in outcomes if outcome.attempts]
    costs = [record.corrections[-1].cost if record.corrections else record.outcome.cost for record in mine if record.outcome]
    took = sorted((record.outcome.at_ns - record.intent.at_ns) / 1e6 for record in mine if record.outcome)
    graded = [answer for answer in answered if answer.question.gold is not None]
    right = sum(is_right(answer.question, answer.text or "") for answer in graded)
    return Arm(
        name=name,
        questions=len(answered),
        answered=sum(outcome.kind is OutcomeKind.COMPLETE for outcome in outcomes),
        graded=len(graded),
        right=right,
        interval=wilson(right, len(graded)),
        cost_usd=sum(cost for cost in costs if cost is not None) / USD,
        cost_unknown=sum(cost is None for cost in costs),
        tiers=dict(Counter(str(attempt.tier) for attempt in attempts)),
        p50_ms=_quantile(took, 0.50),
        p95_ms=_quantile(took, 0.95),
    )


async def audit(ledger: Path, answered: Sequence[Answered], log: Sequence[Record]) -> Audit:
    """``log`` is what the ledger has of the arm, and of nothing else. Rows are counted in the file itself: reading joins them."""
    seen = [answer.decision for answer in answered if answer.text is not None]
    complete = {record.intent.id for record in log if record.outcome and record.outcome.kind is OutcomeKind.COMPLETE}
    with closing(sqlite3.connect(ledger)) as db:
        rows = dict(db.execute("SELECT id, count(*) FROM events WHERE kind = 'outcome' GROUP BY id"))
    report = await (await SQLiteStore.open(ledger, readonly=True)).verify()
    return Audit(
        seen=len(seen),
        once=sum(id in complete and rows[id] == 1 for id in set(seen)),
        missing=sum(id not in complete for id in seen),
        doubled=sum(rows.get(id, 0) > 1 for id in seen) + len(seen) - len(set(seen)),
        unseen=len(complete - set(seen)),
        open=sum(record.outcome is None for record in log),
        chain=report.reason,
    )


def wilson(right: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927). Of nothing it is everything."""
    if of == 0:
        return 0.0, 1.0
    share, weight = right / of, z * z / of
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / of + weight / of / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.nan
