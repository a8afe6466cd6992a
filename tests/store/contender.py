"""A child process that contends with others for one file, and prints what it got.

Usage: python -m tests.store.contender PATH WRITER reserve|change|swap COUNT
"""

from __future__ import annotations

import asyncio
import sys

from trimtab.core.accounts import Change, Place
from trimtab.core.errors import Conflict
from trimtab.store import Document, HoldLine, SpendLine, SQLiteStore

LIMIT = 1000


async def reserve(store: SQLiteStore, writer: str, count: int) -> None:
    """Hold 7 a time, and settle every third as 7: what was taken once stays taken."""

    async def request(number: int) -> None:
        id = f"{writer}-{number}"
        if await store.reserve(id, (HoldLine("b", 0, 7, LIMIT),), expires_ns=1 << 62):
            print("refused", flush=True)
            return
        if number % 3 == 0:
            await store.settle(id, (SpendLine("b", 0, 7),))
            print("spent", flush=True)
        else:
            print("held", flush=True)

    await asyncio.gather(*map(request, range(count)))


async def change(store: SQLiteStore, writer: str, count: int) -> None:
    """Race for each basis in turn; print the ones that were won."""
    for basis in range(count):
        while await store.revision() < basis:
            await asyncio.sleep(0.001)
        entity = Place(path=f"p{basis}", name=writer)
        made = Change(id=f"{basis:06d}-{writer}", at_ns=basis, actor="user:root", action="put", entity=entity, basis=basis)
        try:
            await store.change(made)
        except Conflict:
            continue
        print(basis, flush=True)


async def swap(store: SQLiteStore, writer: str, count: int) -> None:
    """Race for each document; print the ones that were taken."""
    for number in range(count):
        id = f"{number:06d}"
        if await store.swap_document(Document(kind="batch", id=id, created_ns=number, body=writer.encode()), None):
            print(id, flush=True)


async def main(path: str, writer: str, what: str, count: int) -> None:
    store = await SQLiteStore.open(path, writer=writer)
    await {"reserve": reserve, "change": change, "swap": swap}[what](store, writer, count)
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
