"""What is looked after beside the requests, each in a loop of its own: accounts that other processes changed, budgets, what has expired.

None waits for another, and none ever ends: a chore that fails is told of and tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from trimtab.core.accounts import Budget
from trimtab.core.errors import LedgerError
from trimtab.core.units import Clock
from trimtab.engine.access import AccountBook
from trimtab.engine.limits import Alerts, Purse
from trimtab.store import Store
from trimtab.telemetry import log

_SECONDS = 1.0
_EXPIRE_SECONDS = 600.0
_PATIENCE_SECONDS = 10.0
"""Between two tries of what fails, at most: for so long a key that was revoked may still open once the store is well again."""


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
        self._opened: tuple[Budget, ...] = ()

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.gather(
            self._again_and_again(self.accounts, _SECONDS),
            self._again_and_again(self.budgets, _SECONDS),
            self._again_and_again(self.documents, _EXPIRE_SECONDS),
        )

    async def accounts(self) -> None:
        """See what other processes have changed."""
        await self._book.refresh()

    async def budgets(self) -> None:
        """The budgets as the accounts have them, what is spent of them, and whom that alerts. May read the whole log for a new one."""
        wanted = (*self._fixed, *self._book.directory.all(Budget))
        if wanted != self._opened:
            self._purse.replace(wanted)
            await self._purse.open(self._store, self._book.directory.keys_of)
            self._opened = wanted  # not before: a budget that was not opened would forget what was spent
        await self._purse.refresh()
        await self._alerts.round()

    async def documents(self) -> None:
        """Remove what has expired."""
        await self._store.expire_documents(self._clock.time_ns())

    async def _again_and_again(self, chore: Callable[[], Awaitable[None]], seconds: float) -> None:
        wait = seconds
        while True:
            try:
                await chore()
                wait = seconds
            except LedgerError as error:
                wait = min(2 * wait, _PATIENCE_SECONDS)
                log(__name__, "housekeeping failed", level=logging.WARNING, chore=chore.__name__, reason=error.message)
            except Exception as error:  # a defect: told loudly, and no reason to leave revoked keys open for ever
                wait = min(2 * wait, _PATIENCE_SECONDS)
                log(__name__, "housekeeping is broken", level=logging.ERROR, chore=chore.__name__, error=error)
            await self._clock.sleep(wait)
