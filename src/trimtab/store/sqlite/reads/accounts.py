"""The directory and its audit."""

from __future__ import annotations

import sqlite3

from trimtab.core.accounts import Change, Entity
from trimtab.store.directory import entity_of
from trimtab.store.rows import decode

_REVISION = "SELECT revision FROM directory"
_ENTITIES = "SELECT body FROM entities ORDER BY kind, id"
_CHANGES = "SELECT body FROM events WHERE kind = 'change' AND id > ? ORDER BY id LIMIT ?"


def revision(db: sqlite3.Connection) -> int:
    ((number,),) = db.execute(_REVISION)
    return int(number)


def directory(db: sqlite3.Connection) -> tuple[int, tuple[Entity, ...]]:
    db.execute("BEGIN")  # Both at one moment.
    return revision(db), tuple(entity_of(body) for (body,) in db.execute(_ENTITIES))


def changes(db: sqlite3.Connection, after: str, limit: int) -> list[Change]:
    rows = [decode(body) for (body,) in db.execute(_CHANGES, (after, limit))]
    return [row for row in rows if isinstance(row, Change)]
