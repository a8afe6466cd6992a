"""The budgets within one transaction: each balance is read once, kept in hand, and written back at the end.

Sums are decimal text in the file: SQLite's integers end at 64 bits, and one absurd amount must not break a budget for ever.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable

from trimtab.store.base import HoldLine, SpendLine

_LAPSED = "SELECT budget, period_ns, amount FROM holds WHERE expires_ns <= ?"
_DROP_LAPSED = "DELETE FROM holds WHERE expires_ns <= ?"
_BALANCE = "SELECT spent, held FROM balances WHERE budget = ? AND period_ns = ?"
_KEEP = """INSERT INTO balances (budget, period_ns, spent, held) VALUES (?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET spent = excluded.spent, held = excluded.held"""
_HOLD = """INSERT INTO holds (id, budget, period_ns, expires_ns, amount) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT DO NOTHING"""
_HELD_ALIKE = "SELECT amount FROM holds WHERE id = ? AND budget = ? AND period_ns = ? AND expires_ns = ?"
_HOLD_MORE = "UPDATE holds SET amount = ? WHERE id = ? AND budget = ? AND period_ns = ? AND expires_ns = ?"
_HOLDS_OF = "SELECT budget, period_ns, amount FROM holds WHERE id = ?"
_DROP = "DELETE FROM holds WHERE id = ?"
_ONCE = "INSERT INTO settlements (id) VALUES (?) ON CONFLICT DO NOTHING"

_Account = tuple[str, int]


class _Balance:
    """A refused hold leaves nothing behind, so whatever is in hand is worth keeping."""

    __slots__ = ("held", "spent")

    def __init__(self, spent: int, held: int) -> None:
        self.spent = spent
        self.held = held


class Book:
    """Made anew for each transaction; one that is rolled back takes its book with it."""

    def __init__(self, db: sqlite3.Connection, now_ns: int) -> None:
        self._db = db
        self._now_ns = now_ns
        self._balances: dict[_Account, _Balance] = {}
        self._drop_lapsed()

    def _drop_lapsed(self) -> None:
        for budget, period_ns, amount in self._db.execute(_LAPSED, (self._now_ns,)).fetchall():
            self._balance((budget, period_ns)).held -= int(amount)
        if self._balances:
            self._db.execute(_DROP_LAPSED, (self._now_ns,))

    def _balance(self, account: _Account) -> _Balance:
        found = self._balances.get(account)
        if found is None:
            spent, held = self._db.execute(_BALANCE, account).fetchone() or ("0", "0")
            found = self._balances[account] = _Balance(int(spent), int(held))
        return found

    def reserve(self, id: str, lines: Iterable[HoldLine], expires_ns: int) -> tuple[str, ...]:
        """See :meth:`trimtab.store.base.Budgets.reserve`."""
        wanted: defaultdict[_Account, int] = defaultdict(int)
        exceeded: dict[str, None] = {}
        for line in lines:
            if line.amount:
                account = (line.budget, line.period_ns)
                wanted[account] += line.amount
                balance = self._balance(account)
                if line.limit is not None and balance.spent + balance.held + wanted[account] > line.limit:
                    exceeded[line.budget] = None
        if not exceeded and expires_ns > self._now_ns:
            for account, amount in wanted.items():
                self._hold((id, *account, expires_ns), amount)
                self._balance(account).held += amount
        return tuple(exceeded)

    def _hold(self, hold: tuple[str, str, int, int], amount: int) -> None:
        if not self._db.execute(_HOLD, (*hold, str(amount))).rowcount:
            ((before,),) = self._db.execute(_HELD_ALIKE, hold)
            self._db.execute(_HOLD_MORE, (str(int(before) + amount), *hold))

    def settle(self, id: str, spent: Iterable[SpendLine]) -> None:
        """See :meth:`trimtab.store.base.Budgets.settle`."""
        if not self._db.execute(_ONCE, (id,)).rowcount:
            return
        held = self._db.execute(_HOLDS_OF, (id,)).fetchall()
        if held:
            self._db.execute(_DROP, (id,))
        for budget, period_ns, amount in held:
            self._balance((budget, period_ns)).held -= int(amount)
        for line in spent:
            self._balance((line.budget, line.period_ns)).spent += line.amount

    def keep(self) -> None:
        """Write the balances back."""
        rows = ((*account, str(balance.spent), str(balance.held)) for account, balance in self._balances.items())
        self._db.executemany(_KEEP, rows)
