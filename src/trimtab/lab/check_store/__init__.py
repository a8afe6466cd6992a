"""What a store promises, as checks that a new backend runs against itself.

Each check is a coroutine function of a *factory*: a callable whose result is entered with ``async with`` and gives an empty store::

    @pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
    async def test_store(check):
        await check(my_factory)

:func:`check_store` runs them all. A check that fails raises :class:`AssertionError` and says what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping

from trimtab.lab.check_store.accounts import ACCOUNTS
from trimtab.lab.check_store.budgets import BUDGETS
from trimtab.lab.check_store.documents import DOCUMENTS
from trimtab.lab.check_store.expect import Check, Factory
from trimtab.lab.check_store.ledger import LEDGER
from trimtab.lab.check_store.samples import START_NS, sample_correction, sample_intent, sample_outcome
from trimtab.lab.check_store.usage import USAGE

CHECKS: Mapping[str, Check] = {check.__name__: check for check in (*LEDGER, *USAGE, *ACCOUNTS, *BUDGETS, *DOCUMENTS)}


async def check_store(factory: Factory) -> None:
    """All of :data:`CHECKS`, each on a store of its own."""
    for check in CHECKS.values():
        await check(factory)


__all__ = ["CHECKS", "START_NS", "Check", "Factory", "check_store", "sample_correction", "sample_intent", "sample_outcome"]
