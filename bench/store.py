"""What the event log costs: rows per second, how long a commit takes, and what the event loop itself pays for each row.

Run with ``python -m bench.store``. Each row is awaited before its appender hands over the next; a request is two rows. "call" is the
median time in ``append`` itself; "loop" is the CPU time of the event loop's thread for each row, waking up for the commit included, with
the cost of an appender that awaits an empty future taken off.
"""

from __future__ import annotations

import asyncio
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from msgspec import Struct
from tabulate import tabulate

from trimtab.core.record import Row
from trimtab.lab.check_store import sample_intent, sample_outcome
from trimtab.store.sqlite import SQLiteStore
from trimtab.store.sqlite.connection import Sync

Append = Callable[[Row], Awaitable[None]]


class Run(Struct):
    rows_per_second: float
    p50_ms: float
    p99_ms: float
    call_us: float
    loop_us: float


async def appenders(append: Append, rows: list[Row], many: int) -> Run:
    took: list[float] = []
    calls: list[float] = []

    async def appender(mine: list[Row]) -> None:
        for row in mine:
            begun = time.perf_counter()
            handed = append(row)
            calls.append(time.perf_counter() - begun)
            await handed
            took.append(time.perf_counter() - begun)

    wall, cpu = time.perf_counter(), time.thread_time()
    await asyncio.gather(*(appender(rows[number::many]) for number in range(many)))
    wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
    cuts = statistics.quantiles(took, n=100)
    return Run(len(rows) / wall, cuts[49] * 1e3, cuts[98] * 1e3, statistics.median(calls) * 1e6, cpu / len(rows) * 1e6)


def nothing(_: Row) -> asyncio.Future[None]:
    """What any append costs: a future that the loop resolves in its next turn."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_soon(future.set_result, None)
    return future


async def measure(sync: Sync, many: int, requests: int) -> Run:
    intents: list[Row] = [sample_intent(number) for number in range(requests)]
    outcomes: list[Row] = [sample_outcome(number) for number in range(requests)]
    with tempfile.TemporaryDirectory() as folder:
        store = await SQLiteStore.open(Path(folder) / "log.db", writer="bench", sync=sync)
        empty = await appenders(nothing, intents, many)
        runs = [await appenders(store.append, rows, many) for rows in (intents, outcomes)]
        await store.aclose()
    return Run(
        statistics.harmonic_mean([run.rows_per_second for run in runs]),
        statistics.mean(run.p50_ms for run in runs),
        max(run.p99_ms for run in runs),
        statistics.mean(run.call_us for run in runs),
        statistics.mean(run.loop_us for run in runs) - empty.loop_us,
    )


def main() -> None:
    lines = []
    cases: tuple[tuple[Sync, int, int], ...] = (("normal", 1, 3000), ("normal", 32, 10_000), ("full", 1, 500), ("full", 32, 4000))
    for sync, many, requests in cases:
        run = uvloop.run(measure(sync, many, requests))
        figures = (
            f"{run.rows_per_second:,.0f}",
            f"{run.p50_ms:.2f}",
            f"{run.p99_ms:.2f}",
            f"{run.call_us:.1f}",
            f"{run.loop_us:.1f}",
        )
        lines.append((sync, many, *figures))
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}")
    print(
        tabulate(
            lines, headers=("sync", "appenders", "rows/s", "p50 ms", "p99 ms", "call µs/row", "loop µs/row"), disable_numparse=True
        )
    )


if __name__ == "__main__":
    main()
