"""Facts at rest. Small groups of questions; the engine makes ids and times, the store inserts as is."""

from trimtab.store.base import (
    Accounts,
    Budgets,
    Dimension,
    Document,
    Documents,
    Filter,
    HoldLine,
    Ledger,
    Spending,
    SpendLine,
    Statistics,
    Store,
    Totals,
    UsageRow,
    VerifyReport,
)
from trimtab.store.sqlite import SQLiteStore

__all__ = [
    "Accounts",
    "Budgets",
    "Dimension",
    "Document",
    "Documents",
    "Filter",
    "HoldLine",
    "Ledger",
    "SQLiteStore",
    "SpendLine",
    "Spending",
    "Statistics",
    "Store",
    "Totals",
    "UsageRow",
    "VerifyReport",
]
