"""A decision as rows of a table, for ``explain``: who, what became of it, what it would have cost, why."""

from __future__ import annotations

from msgspec import Struct

from trimtab.core.decision import Decision, Planned
from trimtab.core.units import usd


class Row(Struct, frozen=True):
    """Words for people; ``verdict`` is ``plan 1``, ``plan 2``, ..., ``spare`` or ``rejected``. Empty where there is nothing to say."""

    deployment: str
    verdict: str
    expected: str = ""
    parts: str = ""
    reason: str = ""


def rows(decision: Decision) -> tuple[Row, ...]:
    """Best first, the rejected last."""
    planned = [_row(planned, f"plan {place}") for place, planned in enumerate(decision.plan, 1)]
    spare = [_row(planned, "spare") for planned in decision.spare]
    rejected = [Row(row.deployment, "rejected", reason=f"{row.constraint}: {row.reason}") for row in decision.rejected]
    return (*planned, *spare, *rejected)


def _row(planned: Planned, verdict: str) -> Row:
    score = planned.score
    return Row(
        planned.deployment,
        verdict,
        usd(score.total),
        ", ".join(f"{name} {usd(amount)}" for name, amount in score.parts),
        "; ".join(score.assumptions),
    )
