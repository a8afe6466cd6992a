"""The event log and the virtual keys in one SQLite file, shared by any number of processes."""

from trimtab.store.sqlite.connection import Sync
from trimtab.store.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore", "Sync"]
