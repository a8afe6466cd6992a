"""What is looked after beside the requests, every second or so: accounts that other processes changed, budgets, what has expired."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from trimtab.core.accounts import Budget
from trimtab.core.errors import LedgerError
from trimtab.core.units import Clock
from trimtab.engine.access import AccountBook
from trimtab.engine.limits import Alerts, Purse
from trimtab.store import Store
from trimtab.telemetry import log

_SECONDS = 1.0
_EXPIRE_SECONDS = 600.0


class Housekeeper:
    """``fixed`` are the budgets of the configuration file; those of the accounts come and go."""

    def __init__(
        self, book: AccountBook, purse: Purse, store: Store, clock: Clock, fixed: Sequence[Budget], alerts: Alerts
    ) -> None:
        self._book = book
        self._purse = purse
        self._store = store
        self._clock = clock
        self._alerts = alerts
        self._fixed = tuple(fixed)
        self._revision = -1
        self._expire_at = 0.0

    async def run(self) -> None:
        """Until cancelled. A store that fails is told of by itself and tried again."""
        while True:
            await self._clock.sleep(_SECONDS)
            try:
                await self.round()
            except LedgerError as error:
                log(__name__, "housekeeping failed", level=logging.WARNING, reason=error.message)

    async def round(self) -> None:
        await self._book.refresh()
        directory = self._book.directory
        if directory.revision != self._revision:
            self._purse.replace((*self._fixed, *directory.all(Budget)))
            await self._purse.open(self._store)
            self._revision = directory.revision  # not before: a budget that was not opened would forget what was spent
        await self._purse.refresh()
        await self._alerts.round()
        now = self._clock.monotonic()
        if now >= self._expire_at:
            self._expire_at = now + _EXPIRE_SECONDS
            await self._store.expire_documents(self._clock.time_ns())
