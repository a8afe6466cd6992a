"""Budget alerts: once a period, over all processes, somebody is told that a budget has spent a share of its limit.

The log and the metrics are always told, a webhook where one is configured. It decides nothing, and carries ids and amounts alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct

from trimtab.core.accounts import Budget
from trimtab.core.errors import EgressRefused
from trimtab.core.units import USD, Clock, iso
from trimtab.core.zones import Secret, Sensitivity
from trimtab.engine.limits.purse import Purse, period_start
from trimtab.net import Egress, NetError
from trimtab.store import Budgets, Spending
from trimtab.telemetry import Metrics, log

RECEIVER = "[alerts]"
"""The webhook's name among the receivers. No deployment can have it."""

SIGNATURE = "x-trimtab-signature"
_CARRIED = frozenset({Sensitivity.INTERNAL})
_WAITS = (2.0, 10.0, 60.0)
"""Seconds before the second, the third and the fourth try. After that the alert is given up, and the log says so."""

_SEND_SECONDS = 10.0
_LAST_SECONDS = 3.0
_REFUSED = 0.0
"""Stands for a share where requests were refused: no budget alerts at a share of nothing."""


class BudgetAlert(Struct, frozen=True, kw_only=True, tag="budget_alert", tag_field="type"):
    """What a webhook is sent, as JSON. ``share`` of the limit was reached, or ``None``: a request did not fit into what is left, and was
    refused. ``text`` says the same for people; ``id`` is the same in every try.
    """

    id: str
    at: str
    budget: str
    of: str
    period: str
    period_start: str
    share: float | None
    spent_usd: float
    limit_usd: float
    hard: bool
    text: str


class HMACSigner:
    """Signs a body as ``x-trimtab-signature: sha256=<hex>``, HMAC-SHA256 (RFC 2104) with the shared secret over the body as sent."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    async def headers(self, method: str, url: str, sent: Mapping[str, str], body: bytes | None) -> Mapping[str, Secret]:
        return {SIGNATURE: Secret("sha256=" + hmac.new(self._secret.reveal().encode(), body or b"", hashlib.sha256).hexdigest())}


class Webhook:
    """Calls the receiver ``[alerts]``. ``path`` may be a secret."""

    def __init__(self, egress: Egress, path: Secret) -> None:
        self._egress = egress
        self._path = path

    async def call(self, body: bytes) -> str:
        """Why it was not taken; empty when it was."""
        try:
            async with (
                asyncio.timeout(_SEND_SECONDS),
                self._egress.post(
                    RECEIVER,
                    self._path.reveal(),
                    body,
                    carried=_CARRIED,
                    headers={"content-type": "application/json"},
                    connect_timeout=_SEND_SECONDS / 2,
                ) as answer,
            ):
                return "" if 200 <= answer.status < 300 else f"status {answer.status}"
        except TimeoutError:
            return "no answer in time"
        except NetError as error:
            return error.kind.value
        except EgressRefused:
            return "the boundary does not let it out"


class Alerts:
    """:meth:`round` finds what is to be told; :meth:`run`, a task of its own, calls the webhook, so that a slow one holds up nothing."""

    def __init__(self, store: Budgets, purse: Purse, metrics: Metrics, clock: Clock, webhook: Webhook | None = None) -> None:
        self._store = store
        self._purse = purse
        self._metrics = metrics
        self._clock = clock
        self._webhook = webhook
        self._settled: set[tuple[str, int, float]] = set()
        self._waiting: deque[BudgetAlert] = deque()
        self._arrived = asyncio.Event()

    async def round(self) -> None:
        """Look at every budget as last read. An alert that is claimed and not delivered, because the process dies, is not sent again."""
        spending, refused = self._purse.spending(), self._purse.refused()
        self._metrics.record_budgets({each.id: (spending[each.id].spent / USD, each.limit / USD) for each in self._purse.budgets})
        now = self._clock.time_ns()
        reached = {
            (budget.id, period_start(budget.period, now), share): budget
            for budget in self._purse.budgets
            for share in (_REFUSED, *budget.alerts)
            if budget.alerts and _is_reached(share, spending[budget.id].spent, budget, refused)
        }
        self._settled &= reached.keys()
        for key in sorted(reached.keys() - self._settled):
            budget = reached[key]
            mine = await self._store.claim_alert(*key)
            self._settled.add(key)
            if mine:
                self._tell(_alert(budget, key, now, spending[budget.id]))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._deliver(self._waiting[0])
                self._waiting.popleft()

    async def aclose(self) -> None:
        """Try once more what has not been taken yet, if that does not take long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                while self._webhook is not None and self._waiting:
                    self._record(self._waiting[0], await self._webhook.call(msgspec.json.encode(self._waiting[0])))
                    self._waiting.popleft()

    def _tell(self, alert: BudgetAlert) -> None:
        log(
            __name__,
            "budget alert",
            level=logging.WARNING,
            budget=alert.budget,
            of=alert.of,
            share=alert.share,
            spent_usd=alert.spent_usd,
            limit_usd=alert.limit_usd,
        )
        if self._webhook is not None:
            self._waiting.append(alert)
            self._arrived.set()

    async def _deliver(self, alert: BudgetAlert) -> None:
        if self._webhook is None:
            return
        body = msgspec.json.encode(alert)
        reason = await self._webhook.call(body)
        for wait in _WAITS:
            if not reason:
                break
            await self._clock.sleep(wait)
            reason = await self._webhook.call(body)
        self._record(alert, reason)

    def _record(self, alert: BudgetAlert, reason: str) -> None:
        self._metrics.alerts.labels("failed" if reason else "sent").inc()
        if reason:
            log(
                __name__,
                "a budget alert reached nobody",
                level=logging.ERROR,
                budget=alert.budget,
                share=alert.share,
                reason=reason,
            )


def _is_reached(share: float, spent: int, budget: Budget, refused: Collection[str]) -> bool:
    return budget.id in refused if share == _REFUSED else 0 < spent >= share * budget.limit


def _alert(budget: Budget, key: tuple[str, int, float], now: int, seen: Spending) -> BudgetAlert:
    _, start, share = key
    spent, limit = seen.spent / USD, budget.limit / USD
    what = "refused a request that did not fit into what is left" if share == _REFUSED else f"has reached {share:.0%} of its limit"
    return BudgetAlert(
        id=hashlib.blake2b(f"{budget.id}/{start}/{share}".encode(), digest_size=16).hexdigest(),
        at=iso(now),
        budget=budget.id,
        of=budget.of,
        period=budget.period,
        period_start=iso(start),
        share=None if share == _REFUSED else share,
        spent_usd=spent,
        limit_usd=limit,
        hard=budget.hard,
        text=f"Trimtab: the budget {budget.id} ({budget.of}) {what}: ${spent:.2f} of ${limit:.2f} this {budget.period}.",
    )
