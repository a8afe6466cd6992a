"""``python -m tests.oracle.clients.report`` runs every client and writes ``results.json``; ``make docs`` makes the table of it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from tests.oracle.clients.drive import drive, gateway
from tests.oracle.clients.table import CLIENTS, PENDING, RESULTS, Results, Row, rows


async def run_all(home: Path) -> list[Row]:
    found: list[Row] = []
    async with gateway(home) as at:
        for client in CLIENTS:
            started = time.perf_counter()
            lines = await drive(client, at)
            failed = [line for line in lines if line.ok is False and line.door not in PENDING]
            sys.stderr.write(f"{client.name}: {time.perf_counter() - started:.1f} s, {len(lines)} checks, {len(failed)} failed\n")
            sys.stderr.writelines(f"  {line.door} {line.check} {line.model}: {line.detail}\n" for line in failed)
            found += rows(client, lines)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        found = asyncio.run(run_all(Path(home)))
    results = Results(datetime.now(UTC).date().isoformat(), found)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


if __name__ == "__main__":
    main()
