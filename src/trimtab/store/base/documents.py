"""Things with a life of their own that are no part of the log: stored responses, batches, files' metadata, sign-in sessions.

They are put, replaced and removed; the store does not read their bodies.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Document(Struct, frozen=True, kw_only=True):
    """Known by kind and id. ``owner`` and ``place`` are those of the accounts; from ``expires_ns`` on it is not there any more."""

    kind: str
    id: str
    place: str = ""
    owner: str = ""
    created_ns: int
    expires_ns: int | None = None
    body: bytes

    def lives(self, now_ns: int) -> bool:
        return self.expires_ns is None or now_ns < self.expires_ns


class Documents(Protocol):
    async def put_document(self, document: Document) -> None:
        """Put it, replacing what has its kind and id."""

    async def swap_document(self, document: Document, expected: bytes | None) -> bool:
        """Put it only where the body at its kind and id is still ``expected`` (``None``: where there is none, not even an expired one).

        Of several callers, over all processes, that expect the same body and put another, one is told True.
        """

    async def document(self, kind: str, id: str, *, now_ns: int) -> Document | None:
        """``None`` also when it has expired."""

    async def documents(
        self, kind: str, *, place: str, now_ns: int, after: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[Document, ...]:
        """At most ``limit`` that live, of ``place`` and everything below it, in order of id, from the first id beyond ``after``.

        ``newest_first`` turns the order round: from the first id below ``after``, or from the greatest.
        """

    async def remove_document(self, kind: str, id: str) -> bool:
        """Was it there?"""

    async def remove_documents(self, kind: str, *, owner: str) -> int:
        """Remove all of a kind that ``owner`` has, and tell how many."""

    async def expire_documents(self, now_ns: int) -> int:
        """Remove what has expired, and tell how many."""
