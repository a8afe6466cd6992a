"""Budgets: money is held in the store before a call and settled with what it cost, so that all processes spend from one purse.

A hold that does not fit refuses the call; a call that is free holds nothing and is never refused. What a crash left held counts until the
hold expires.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence

from trimtab.core.accounts import ROOT, Budget, Period, ancestors
from trimtab.core.errors import BudgetExhausted
from trimtab.core.units import SECOND_NS, Clock, NanoUSD, usd
from trimtab.store import Budgets, Filter, HoldLine, Ledger, Spending, SpendLine

_FRESH_SECONDS = 1.0
HOLD_SECONDS = 2 * 3600
"""Longer than any request lives."""

CONFIG_BUDGET = "config"
Key = tuple[str, int]


def config_budget(limit: NanoUSD | None) -> tuple[Budget, ...]:
    """The budget of the configuration file: everything, per day."""
    return () if limit is None else (Budget(id=CONFIG_BUDGET, of=f"place:{ROOT}", period=Period.DAY, limit=limit),)


def period_start(period: Period, now_ns: int) -> int:
    """When the calendar period around ``now_ns`` began, UTC."""
    now = datetime.datetime.fromtimestamp(now_ns // SECOND_NS, datetime.UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start = day if period is Period.DAY else day.replace(day=1)
    return int(start.timestamp()) * SECOND_NS


def targets(place: str, line: str, tags: Sequence[str]) -> frozenset[str]:
    """Everything that a budget over such a request may be written for."""
    return frozenset((f"key:{line}", *(f"place:{path}" for path in ancestors(place)), *(f"tag:{tag}" for tag in tags)))


def _spent_on(budget: Budget, since_ns: int, keys: Callable[[str], Iterable[str]]) -> list[Filter]:
    """Filters that have no request in common. Of a key, its whole line counts."""
    kind, _, name = budget.of.partition(":")
    if kind == "key":
        return [Filter(since_ns=since_ns, key_id=id) for id in keys(name)]
    return [Filter(since_ns=since_ns, place=name if kind == "place" and name else None, tag=name if kind == "tag" else None)]


class Purse:
    """``budgets`` are replaced whole when the accounts change."""

    def __init__(self, store: Budgets, clock: Clock, budgets: Sequence[Budget] = ()) -> None:
        self._store = store
        self._clock = clock
        self._of: dict[str, list[Budget]] = {}
        self._seen: dict[Key, Spending] = {}
        self._fresh_until = 0.0
        self._short: set[Key] = set()
        self.budgets: tuple[Budget, ...] = ()
        self.replace(budgets)

    def replace(self, budgets: Sequence[Budget]) -> None:
        self.budgets = tuple(budgets)
        self._of = {}
        for budget in budgets:
            self._of.setdefault(budget.of, []).append(budget)
        self._fresh_until = 0.0

    async def open(self, ledger: Ledger, keys: Callable[[str], Iterable[str]]) -> None:
        """Let each budget that has seen nothing yet start from what the log says was spent in its period, once over all processes.

        ``keys`` gives the ids of the keys of a line.
        """
        await self.refresh(now=True)
        for budget in self.budgets:
            key = self._key(budget)
            if self._seen.get(key, Spending()).spent:
                continue
            earlier = 0
            for each in _spent_on(budget, key[1], keys):
                earlier += (await ledger.totals(each)).cost
            if earlier:
                await self._store.settle(f"opening:{budget.id}:{key[1]}", (SpendLine(*key, amount=earlier),))
        await self.refresh(now=True)

    def over(self, place: str, line: str, tags: Sequence[str]) -> tuple[Budget, ...]:
        """The budgets that a request from ``place``, by a key of ``line``, with these ``tags`` spends from."""
        if not self._of:
            return ()
        return tuple(budget for name in sorted(targets(place, line, tags) & self._of.keys()) for budget in self._of[name])

    async def refresh(self, *, now: bool = False) -> None:
        """Read what is spent and held, unless that was done a moment ago."""
        if not self.budgets or (not now and self._clock.monotonic() < self._fresh_until):
            return
        self._fresh_until = self._clock.monotonic() + _FRESH_SECONDS
        self._seen = dict(await self._store.spending([self._key(budget) for budget in self.budgets]))

    def left(self, budgets: Sequence[Budget]) -> NanoUSD | None:
        """What the hard ones among ``budgets`` leave, as last read; ``None`` for no limit. The hold itself decides."""
        left = [
            max(0, budget.limit - seen.spent - seen.held)
            for budget in budgets
            if budget.hard
            for seen in (self._seen.get(self._key(budget), Spending()),)
        ]
        return NanoUSD(min(left)) if left else None

    def ran_short(self, budgets: Sequence[Budget]) -> None:
        """A request was refused for want of money in ``budgets``: it is remembered of the hard one that has the least left."""
        hard = [budget for budget in budgets if budget.hard]
        if hard:
            self._short.add(self._key(min(hard, key=lambda budget: self.left((budget,)) or 0)))

    def refused(self) -> frozenset[str]:
        """The budgets that have refused something in their current period, in this process."""
        self._short &= {self._key(budget) for budget in self.budgets}
        return frozenset(id for id, _ in self._short)

    def spending(self) -> Mapping[str, Spending]:
        """By budget, as last read."""
        return {budget.id: self._seen.get(self._key(budget), Spending()) for budget in self.budgets}

    async def hold(self, id: str, budgets: Sequence[Budget], amount: int, *, at_ns: int, seconds: int = HOLD_SECONDS) -> None:
        """Hold ``amount`` under ``id`` in every budget, or in none. Raises :class:`BudgetExhausted`.

        ``at_ns`` is when the request came: its period pays, also where it is settled after midnight.
        """
        if not amount or not budgets:
            return
        lines = tuple(
            HoldLine(*self._key(budget, at_ns), amount=amount, limit=budget.limit if budget.hard else None) for budget in budgets
        )
        refused = await self._store.reserve(id, lines, expires_ns=self._clock.time_ns() + seconds * SECOND_NS)
        if refused:
            self._fresh_until = 0.0
            raise BudgetExhausted(
                f"Not enough is left of the budget {', '.join(refused)} for about {usd(amount)}.",
                hint="Raise the budget, wait for its next period, or ask for a free model.",
            )

    def settle(self, id: str, budgets: Sequence[Budget], actual: int, *, at_ns: int) -> None:
        """Give back what is held under ``id`` and count ``actual``. Handed over behind the outcome, which waits for both."""
        if budgets:
            self._store.settle(id, tuple(SpendLine(*self._key(budget, at_ns), amount=actual) for budget in budgets))

    def _key(self, budget: Budget, at_ns: int | None = None) -> Key:
        return budget.id, period_start(budget.period, self._clock.time_ns() if at_ns is None else at_ns)
