"""Documents put, swapped, removed and expired."""

from __future__ import annotations

from functools import partial

from trimtab.store.base import Document
from trimtab.store.rows import check_storable
from trimtab.store.sqlite.writes.group import Group, Work

_PUT = """INSERT INTO documents (kind, id, place, owner, created_ns, expires_ns, body) VALUES (?, ?, ?, ?, ?, ?, ?)
          ON CONFLICT DO UPDATE SET place = excluded.place, owner = excluded.owner, created_ns = excluded.created_ns,
            expires_ns = excluded.expires_ns, body = excluded.body"""
_BODY = "SELECT body FROM documents WHERE kind = ? AND id = ?"
_REMOVE = "DELETE FROM documents WHERE kind = ? AND id = ?"
_REMOVE_OWNED = "DELETE FROM documents WHERE kind = ? AND owner = ?"
_EXPIRE = "DELETE FROM documents WHERE expires_ns <= ?"

_Line = tuple[str, str, str, str, int, int | None, bytes]


def putting(document: Document) -> Work[None]:
    return partial(_put, _line(document))


def _line(document: Document) -> _Line:
    check_storable(document.kind, document.id, document.place, document.owner, document.created_ns, document.expires_ns)
    return (
        document.kind,
        document.id,
        document.place,
        document.owner,
        document.created_ns,
        document.expires_ns,
        document.body,
    )


def _put(line: _Line, group: Group) -> None:
    group.db.execute(_PUT, line)


def swapping(document: Document, expected: bytes | None) -> Work[bool]:
    return partial(_swap, _line(document), expected)


def _swap(line: _Line, expected: bytes | None, group: Group) -> bool:
    (found,) = group.db.execute(_BODY, line[:2]).fetchone() or (None,)
    if found != expected:
        return False
    _put(line, group)
    return True


def removing(kind: str, id: str) -> Work[bool]:
    check_storable(kind, id)
    return lambda group: group.db.execute(_REMOVE, (kind, id)).rowcount == 1


def removing_owned(kind: str, owner: str) -> Work[int]:
    check_storable(kind, owner)
    return lambda group: group.db.execute(_REMOVE_OWNED, (kind, owner)).rowcount


def expiring(now_ns: int) -> Work[int]:
    check_storable(now_ns)
    return lambda group: group.db.execute(_EXPIRE, (now_ns,)).rowcount
