"""Facts at rest. Small groups of questions; the engine makes ids and times, the store inserts as is."""

from trimtab.store.base import Filter, Keys, Ledger, StoredKey, Totals, VerifyReport

__all__ = ["Filter", "Keys", "Ledger", "StoredKey", "Totals", "VerifyReport"]
