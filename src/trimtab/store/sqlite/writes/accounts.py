"""Changes of the accounts into the log, and into the directory that they make."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from trimtab.core.accounts import Change, key_of
from trimtab.core.errors import LedgerError
from trimtab.store.directory import Name, check_basis, entity_body, removed_unseen
from trimtab.store.rows import Entry, already_otherwise, encode
from trimtab.store.sqlite.writes.group import Group, Work

_REVISION = "SELECT revision FROM directory"
_ADVANCE = "UPDATE directory SET revision = revision + 1"
_HAS_CHANGE = "SELECT 1 FROM events WHERE id = ? AND kind = 'change'"
_HAS_ENTITY = "SELECT 1 FROM entities WHERE kind = ? AND id = ?"
_PUT = "INSERT INTO entities (kind, id, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
_REMOVE = "DELETE FROM entities WHERE kind = ? AND id = ?"


def changing(changes: Sequence[Change]) -> Work[int]:
    """Prepare :meth:`trimtab.store.base.Accounts.change`."""
    entries = [(change, encode(change)) for change in changes]
    ids = [change.id for change in changes]
    for id in ids:
        if ids.count(id) > 1:
            raise LedgerError(f"Two changes have the id {id}.", hint="Give each change an id of its own.")
    return partial(_change, entries)


def _change(entries: Sequence[tuple[Change, Entry]], group: Group) -> int:
    db = group.db
    ((revision,),) = db.execute(_REVISION)
    changes = [change for change, _ in entries]
    check_basis(changes, revision)
    _check_removals(db, changes)
    for change in changes:
        if db.execute(_HAS_CHANGE, (change.id,)).fetchone():
            raise already_otherwise("change", change.id)
    for change, entry in entries:
        name = key_of(change.entity)
        if change.action == "put":
            db.execute(_PUT, (*name, entity_body(change.entity)))
        else:
            db.execute(_REMOVE, name)
        group.chain(entry)
    db.execute(_ADVANCE)
    return int(revision) + 1


def _check_removals(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    there: dict[Name, bool] = {}
    for change in changes:
        name = key_of(change.entity)
        if change.action == "remove" and not there.get(name, db.execute(_HAS_ENTITY, name).fetchone() is not None):
            raise removed_unseen(name)
        there[name] = change.action == "put"
