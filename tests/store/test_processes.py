"""What holds when processes die, and when several share the file."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from trimtab.store.base import Filter
from trimtab.store.sqlite import SQLiteStore


def appender(path: Path, writer: str, prefix: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.appender", str(path), writer, prefix, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [f"{id} {kind}" for id, kind in db.execute("SELECT id, kind FROM events")]


async def test_what_was_confirmed_outlives_kill_9(tmp_path: Path) -> None:
    path, confirmed = tmp_path / "log.db", list[str]()
    moment = random.Random(20261122)
    for turn in range(5):
        with appender(path, "w", f"run{turn}", 1_000_000) as child:
            assert child.stdout is not None
            for _ in range(moment.randrange(1, 300)):
                confirmed.append(child.stdout.readline().strip())
            child.kill()
            confirmed += [line.strip() for line in child.stdout]
        assert child.returncode == -signal.SIGKILL
    kept = rows(path)
    assert len(kept) == len(set(kept))
    assert set(confirmed) <= set(kept)
    assert len(confirmed) > 300

    store = await SQLiteStore.open(path, writer="w")
    report = await store.verify()
    assert ("", 1, len(kept)) == (report.reason, report.writers, report.rows)
    intents = {line.split()[0] for line in kept if line.endswith("intent")}
    outcomes = {line.split()[0] for line in kept if line.endswith("outcome")}
    assert tuple(sorted(intents - outcomes)) == await store.unsettled(1 << 62)
    assert len(outcomes) == (await store.totals(Filter())).requests
    await store.aclose()


async def test_processes_share_the_file_even_under_one_name(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    children = [appender(path, writer, f"p{number}", 100) for number, writer in enumerate(("a", "b", "b"))]
    printed = [line.strip() for child in children for line in child.communicate()[0].splitlines()]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len(printed) == 600
    assert sorted(printed) == sorted(rows(path))
    store = await SQLiteStore.open(path, readonly=True)
    report = await store.verify()
    assert (report.rows, report.writers, report.reason) == (600, 2, "")
