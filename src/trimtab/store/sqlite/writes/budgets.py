"""Holds, settlements and alerts, checked before the transaction and entered in the group's book."""

from __future__ import annotations

import math
from functools import partial

from trimtab.core.errors import LedgerError
from trimtab.store.base import HoldLine, SpendLine
from trimtab.store.rows import check_storable
from trimtab.store.sqlite.writes.group import Group, Work

_CLAIM = "INSERT INTO alerts (budget, period_ns, share) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


def reserving(id: str, lines: tuple[HoldLine, ...], expires_ns: int) -> Work[tuple[str, ...]]:
    check_storable(id, expires_ns, *(part for line in lines for part in (line.budget, line.period_ns)))
    if any(line.amount < 0 for line in lines):
        raise LedgerError(f"The hold {id} has an amount below zero.")
    return lambda group: group.book.reserve(id, lines, expires_ns)


def settling(id: str, spent: tuple[SpendLine, ...]) -> Work[None]:
    check_storable(id, *(part for line in spent for part in (line.budget, line.period_ns)))
    return lambda group: group.book.settle(id, spent)


def claiming(budget: str, period_ns: int, share: float) -> Work[bool]:
    check_storable(budget, period_ns)
    if not math.isfinite(share):
        raise LedgerError(f"The alert of {budget} is at a share that is not a number.")
    return partial(_claim, (budget, period_ns, share))


def _claim(alert: tuple[str, int, float], group: Group) -> bool:
    return group.db.execute(_CLAIM, alert).rowcount == 1
