"""One process that works on whatever is in the queue. What it asks it writes down first, so that the test sees it after a kill.

python -m tests.engine.batch_worker FOLDER
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.engine.batch_shop import bench

from trimtab.core.catalog import Deployment
from trimtab.core.messages import Request, Text
from trimtab.core.units import Deadline
from trimtab.engine.clock import SystemClock, new_id
from trimtab.lab.scripted import ScriptedProvider, Wait, says
from trimtab.providers import Upstream
from trimtab.store import SQLiteStore

LEASE_SECONDS = 0.5


class Logging:
    """The scripted provider behind a file that every question is written to."""

    def __init__(self, log: Path) -> None:
        self._inner = ScriptedProvider({"m": (Wait(0.03), *says("fine"))}, clock=SystemClock())
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @asynccontextmanager
    async def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AsyncIterator[Upstream]:
        (part,) = request.messages[0].parts
        assert isinstance(part, Text)
        os.write(self._log, f"{part.text}\n".encode())
        async with self._inner.open(deployment, request, deadline) as upstream:
            yield upstream


async def main(folder: Path) -> None:
    clock = SystemClock()
    store = await SQLiteStore.open(folder / "ledger.sqlite3", writer=new_id(clock.time_ns()))
    shop = await bench(folder / "files", clock, store, Logging(folder / "asked"), lanes=3, lease_seconds=LEASE_SECONDS)
    await shop.runner.run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
