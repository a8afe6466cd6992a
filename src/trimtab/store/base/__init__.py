"""What every backend promises. ``lab.check_store`` holds each implementation to it."""

from typing import Protocol

from trimtab.store.base.accounts import Accounts
from trimtab.store.base.budgets import Budgets, HoldLine, Spending, SpendLine
from trimtab.store.base.documents import Document, Documents
from trimtab.store.base.ledger import Filter, Ledger, Statistics, VerifyReport
from trimtab.store.base.usage import Dimension, Totals, UsageRow


class Store(Ledger, Accounts, Budgets, Documents, Protocol):
    """What one backend offers as a whole."""


__all__ = [
    "Accounts",
    "Budgets",
    "Dimension",
    "Document",
    "Documents",
    "Filter",
    "HoldLine",
    "Ledger",
    "SpendLine",
    "Spending",
    "Statistics",
    "Store",
    "Totals",
    "UsageRow",
    "VerifyReport",
]
