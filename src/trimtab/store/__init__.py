"""Facts at rest. Small groups of questions; the engine makes ids and times, the store inserts as is."""

from trimtab.store.base import Filter, Keys, Ledger, Statistics, Store, StoredKey, Totals, VerifyReport
from trimtab.store.sqlite import SQLiteStore

__all__ = ["Filter", "Keys", "Ledger", "SQLiteStore", "Statistics", "Store", "StoredKey", "Totals", "VerifyReport"]
