"""The digest chain of one writer's rows: pure functions over bytes, with no database in sight.

Each row's digest covers the digest before it, the writer, the row's place and its body::

    digest = SHA-256(previous digest || [writer, seq, kind, id, at_ns] as JSON || newline || body)

A chain starts at :data:`GENESIS` with ``seq`` 1. What it shows: no row of the chain was edited, removed from between others, put in, or
moved, by anybody who did not also rewrite every later row. What it cannot show: that rows at the *end* are missing, or that somebody
with the file rewrote the chain from some row on. For that the last digest must be kept where the file's owner cannot reach it.

The body is the row as canonical JSON with ``content_key`` blanked (see ``rows``), so that a key can be forgotten and the chain stays whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from trimtab.store.base import VerifyReport

GENESIS = bytes(32)
"""What the first row of every chain names as the digest before it."""

_head = msgspec.json.Encoder()


class Link(Struct, frozen=True, kw_only=True):
    """One row as it stands in a chain. Fields of a damaged file are taken as they are found."""

    writer: str
    seq: int
    kind: str
    id: str
    at_ns: int
    body: bytes
    prev: bytes
    digest: bytes


def link(prev: bytes, *, writer: str, seq: int, kind: str, id: str, at_ns: int, body: bytes) -> Link:
    """The row that continues the chain whose last digest is ``prev``."""
    return Link(
        writer=writer,
        seq=seq,
        kind=kind,
        id=id,
        at_ns=at_ns,
        body=body,
        prev=prev,
        digest=_digest(prev, (writer, seq, kind, id, at_ns), body),
    )


def walk(links: Iterable[Link]) -> VerifyReport:
    """Re-derive every digest. ``links`` come in order of writer and, within it, of ``seq``; the walk ends at the first bad one."""
    rows, writers = 0, 0
    writer, seq, prev = None, 0, GENESIS
    for found in links:
        rows += 1
        if found.writer != writer:
            writers += 1
            writer, seq, prev = found.writer, 0, GENESIS
        seq += 1
        if reason := _fault(found, seq, prev):
            return VerifyReport(rows=rows, writers=writers, first_bad=(found.writer, found.seq), reason=reason)
        prev = found.digest
    return VerifyReport(rows=rows, writers=writers)


def _fault(found: Link, seq: int, prev: bytes) -> str:
    if found.seq != seq:
        return f"expected row {seq} here: a row is missing, or was put in or moved"
    if found.prev != prev:
        return "does not name the digest of the row before it: one of the two was changed, put in or moved"
    if found.digest != _digest(prev, (found.writer, found.seq, found.kind, found.id, found.at_ns), found.body):
        return "the row is not what its digest says: it was changed"
    return ""


def _digest(prev: bytes, head: tuple[str, int, str, str, int], body: bytes) -> bytes:
    digest = hashlib.sha256(prev)
    digest.update(_head.encode(head))
    digest.update(b"\n")
    digest.update(body)
    return digest.digest()
