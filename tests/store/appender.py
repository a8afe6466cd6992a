"""A child process that appends requests to a file and prints each row's id and kind once it is committed.

Usage: python -m tests.store.appender PATH WRITER PREFIX COUNT
"""

from __future__ import annotations

import asyncio
import os
import sys

from msgspec.structs import replace

from trimtab.lab.check_store import sample_intent, sample_outcome
from trimtab.store.sqlite import SQLiteStore


async def main(path: str, writer: str, prefix: str, count: int) -> None:
    store = await SQLiteStore.open(path, writer=writer)

    async def client(number: int) -> None:
        for turn in range(number, count, 8):
            for row in (sample_intent(turn), sample_outcome(turn)):
                mine = replace(row, id=f"{prefix}-{turn}")
                await store.append(mine)
                # One write each, so that a kill cannot cut a line and nothing waits in a buffer.
                os.write(1, f"{mine.id} {type(mine).__name__.lower()}\n".encode())

    await asyncio.gather(*map(client, range(8)))
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
