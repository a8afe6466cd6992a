"""What keeping documents promises."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from trimtab.lab.check_store.expect import Check, Factory, expect, refused
from trimtab.lab.check_store.samples import START_NS
from trimtab.store.base import Document, Store


def _document(number: int, *, kind: str = "batch", place: str = "acme", expires_ns: int | None = None) -> Document:
    return Document(
        kind=kind,
        id=f"doc-{number:04d}",
        place=place,
        owner="user:ada",
        created_ns=START_NS + number,
        expires_ns=expires_ns,
        body=b"\x00\xff body %d" % number,
    )


async def _get(store: Store, number: int, now_ns: int = START_NS) -> Document | None:
    return await store.document("batch", f"doc-{number:04d}", now_ns=now_ns)


async def a_document_is_kept_replaced_and_removed(factory: Factory) -> None:
    async with factory() as store:
        expect(None, await _get(store, 1), "a document that is not there")
        await store.put_document(_document(1))
        expect(_document(1), await _get(store, 1), "the document")
        other = replace(_document(1), body=b"", place="zeta", owner="", created_ns=-1, expires_ns=1 << 62)
        await store.put_document(other)
        expect(other, await _get(store, 1), "the document that replaced it")
        await store.put_document(_document(1, kind="file"))
        expect([True, False], [await store.remove_document("batch", "doc-0001") for _ in range(2)], "removed, and not there")
        expect(None, await _get(store, 1), "what was removed")
        expect(_document(1, kind="file"), await store.document("file", "doc-0001", now_ns=0), "the same id of another kind")


async def of_swaps_that_expect_the_same_one_wins(factory: Factory) -> None:
    async with factory() as store:
        made = await asyncio.gather(*(store.swap_document(replace(_document(1), body=b"%d" % n), None) for n in range(5)))
        expect(1, sum(made), "who made the document")
        body = b"%d" % made.index(True)
        taken = await asyncio.gather(*(store.swap_document(replace(_document(1), body=b"t%d" % n), body) for n in range(5)))
        expect(1, sum(taken), "who took the document")
        found = await _get(store, 1)
        expect(b"t%d" % taken.index(True), found and found.body, "the body")
        expect(False, await store.swap_document(_document(2), b""), "a swap of what is not there")


async def an_expired_document_is_not_there(factory: Factory) -> None:
    async with factory() as store:
        for number, expires_ns in enumerate((100, 200, None)):
            await store.put_document(_document(number, expires_ns=expires_ns))
        expect(_document(0, expires_ns=100), await _get(store, 0, 99), "before it expires")
        expect(None, await _get(store, 0, 100), "when it expires")
        listed = await store.documents("batch", place="", now_ns=100)
        expect(["doc-0001", "doc-0002"], [found.id for found in listed], "what is listed")
        expect([1, 0, 1], [await store.expire_documents(now_ns) for now_ns in (100, 199, 1 << 62)], "removed")
        expect(None, await _get(store, 0, 99), "what was removed")
        expect(_document(2), await _get(store, 2, 1 << 62), "what does not expire")


async def what_one_owner_has_of_a_kind_goes_at_once(factory: Factory) -> None:
    async with factory() as store:
        for number in range(3):
            await store.put_document(_document(number))
        await store.put_document(replace(_document(3), owner="user:bob"))
        await store.put_document(_document(0, kind="file"))
        expect([3, 0], [await store.remove_documents("batch", owner="user:ada") for _ in range(2)], "removed, and not there")
        expect(
            [replace(_document(3), owner="user:bob")], list(await store.documents("batch", place="", now_ns=0)), "somebody else's"
        )
        expect(_document(0, kind="file"), await store.document("file", "doc-0000", now_ns=0), "of another kind")


async def documents_are_listed_by_place(factory: Factory) -> None:
    places = ("acme", "acme/search", "acme-too", "", "acme/search/chatbot")
    async with factory() as store:
        for number in reversed(range(10)):
            await store.put_document(_document(number, place=places[number % 5]))
        await store.put_document(_document(1, kind="file"))

        async def listed(place: str, *, after: str = "", limit: int = 100, newest_first: bool = False) -> list[int]:
            found = await store.documents("batch", place=place, now_ns=0, after=after, limit=limit, newest_first=newest_first)
            return [int(document.id[4:]) for document in found]

        expect(list(range(10)), await listed(""), "all")
        expect([0, 1, 4, 5, 6, 9], await listed("acme"), "at acme and below")
        expect([1, 4, 6, 9], await listed("acme/search"), "at acme/search and below")
        expect([5, 6], await listed("acme", after="doc-0004", limit=2), "two after the fourth")
        expect([9, 6], await listed("acme", limit=2, newest_first=True), "the newest two")
        expect([5, 4, 1, 0], await listed("acme", after="doc-0006", newest_first=True), "what is older than the sixth")
        expect([], await listed("", limit=0), "none")


async def a_document_that_cannot_be_kept_is_refused_alone(factory: Factory) -> None:
    async with factory() as store:
        good = asyncio.ensure_future(store.put_document(_document(1)))
        await refused(store.put_document(replace(_document(2), owner="\ud800")), "Unicode")
        await refused(store.put_document(replace(_document(2), created_ns=1 << 63)), "64 bits")
        await good
        expect([_document(1)], list(await store.documents("batch", place="", now_ns=0)), "what is there")


DOCUMENTS: tuple[Check, ...] = (
    a_document_is_kept_replaced_and_removed,
    of_swaps_that_expect_the_same_one_wins,
    an_expired_document_is_not_there,
    what_one_owner_has_of_a_kind_goes_at_once,
    documents_are_listed_by_place,
    a_document_that_cannot_be_kept_is_refused_alone,
)
