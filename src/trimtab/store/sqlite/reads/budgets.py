"""What is spent and held."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping

from trimtab.store.base import Spending

_BALANCE = "SELECT spent, held FROM balances WHERE budget = ? AND period_ns = ?"
_LAPSED = "SELECT amount FROM holds WHERE expires_ns <= ? AND budget = ? AND period_ns = ?"


def spending(db: sqlite3.Connection, wanted: Collection[tuple[str, int]], now_ns: int) -> Mapping[tuple[str, int], Spending]:
    """See :meth:`trimtab.store.base.Budgets.spending`. Holds that have expired stay in the balance until the next group drops them."""
    db.execute("BEGIN")
    return {account: _spending(db, account, now_ns) for account in wanted}


def _spending(db: sqlite3.Connection, account: tuple[str, int], now_ns: int) -> Spending:
    spent, held = db.execute(_BALANCE, account).fetchone() or ("0", "0")
    lapsed = sum(int(amount) for (amount,) in db.execute(_LAPSED, (now_ns, *account)))
    return Spending(int(spent), int(held) - lapsed)
