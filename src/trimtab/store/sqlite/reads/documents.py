"""Documents that live."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from trimtab.store.base import Document
from trimtab.store.sqlite.reads.filters import WITHIN, within

_ONE = """SELECT kind, id, place, owner, created_ns, expires_ns, body FROM documents
          WHERE kind = :kind AND id = :id AND (expires_ns IS NULL OR expires_ns > :now_ns)"""
_MANY = f"""SELECT kind, id, place, owner, created_ns, expires_ns, body FROM documents
            WHERE kind = :kind AND (expires_ns IS NULL OR expires_ns > :now_ns) AND {WITHIN}"""  # noqa: S608 - constants alone
_OLDEST = f"{_MANY} AND id > :after ORDER BY id LIMIT :limit"
_NEWEST = f"{_MANY} AND (:after = '' OR id < :after) ORDER BY id DESC LIMIT :limit"

_Line = tuple[str, str, str, str, int, int | None, bytes]


def document(db: sqlite3.Connection, kind: str, id: str, now_ns: int) -> Document | None:
    row = db.execute(_ONE, {"kind": kind, "id": id, "now_ns": now_ns}).fetchone()
    return None if row is None else _document(row)


class Page(Struct, frozen=True, kw_only=True):
    """Which of a kind are wanted; see :meth:`trimtab.store.base.Documents.documents`."""

    kind: str
    place: str
    now_ns: int
    after: str
    limit: int
    newest_first: bool


def documents(db: sqlite3.Connection, page: Page) -> tuple[Document, ...]:
    wanted = {"kind": page.kind, "after": page.after, "now_ns": page.now_ns, "limit": max(0, page.limit), **within(page.place)}
    return tuple(_document(row) for row in db.execute(_NEWEST if page.newest_first else _OLDEST, wanted))


def _document(row: _Line) -> Document:
    kind, id, place, owner, created_ns, expires_ns, body = row
    return Document(kind=kind, id=id, place=place, owner=owner, created_ns=created_ns, expires_ns=expires_ns, body=body)
