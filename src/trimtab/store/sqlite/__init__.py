"""The store in one SQLite file, shared by any number of processes."""

from trimtab.store.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
