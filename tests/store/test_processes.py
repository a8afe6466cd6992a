"""What holds when processes die, and when several share the file."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.store.contender import LIMIT

from trimtab.core.accounts import Place
from trimtab.store.base import Filter, HoldLine, Spending
from trimtab.store.sqlite import SQLiteStore


def appender(path: Path, writer: str, prefix: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.appender", str(path), writer, prefix, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def contend(path: Path, what: str, count: int) -> list[list[str]]:
    """What each of two processes printed, that were let loose on one file at once."""
    commands = [[sys.executable, "-m", "tests.store.contender", str(path), writer, what, str(count)] for writer in ("a", "b")]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    printed = [child.communicate()[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    return printed


_HOLD_AND_DIE = """
import asyncio, os, sys
from trimtab.store import HoldLine, SQLiteStore

async def main():
    store = await SQLiteStore.open(sys.argv[1], writer="dead", now_ns=lambda: 0)
    print(await store.reserve("r", (HoldLine("b", 0, 60, 100),), expires_ns=200))
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def hold_and_die(path: Path) -> None:
    child = subprocess.run([sys.executable, "-u", "-c", _HOLD_AND_DIE, str(path)], capture_output=True, text=True, check=False)
    assert (child.stdout, child.returncode) == ("()\n", -signal.SIGKILL)


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


async def test_two_processes_never_hold_more_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    printed = Counter(line for lines in contend(path, "reserve", 200) for line in lines)
    store = await SQLiteStore.open(path, readonly=True)
    account = ("b", 0)
    found = (await store.spending([account]))[account]
    assert Spending(7 * printed["spent"], 7 * printed["held"]) == found
    assert LIMIT - 7 < found.spent + found.held <= LIMIT
    assert printed["refused"] > 0
    assert printed.total() == 400


async def test_of_two_processes_that_change_the_accounts_on_one_basis_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    printed = contend(path, "change", 40)
    assert sorted(int(basis) for lines in printed for basis in lines) == list(range(40))
    store = await SQLiteStore.open(path, readonly=True)
    revision, entities = await store.directory()
    assert (revision, len(entities)) == (40, 40)
    won = {"a": set(printed[0]), "b": set(printed[1])}
    assert all(entity.path[1:] in won[entity.name] for entity in entities if isinstance(entity, Place))
    assert ((report := await store.verify()).reason, report.rows) == ("", 40)


def test_of_two_processes_that_swap_one_document_one_wins(tmp_path: Path) -> None:
    printed = contend(tmp_path / "log.db", "swap", 40)
    assert sorted(id for lines in printed for id in lines) == [f"{number:06d}" for number in range(40)]


async def test_what_a_dead_process_held_counts_until_it_expires(tmp_path: Path) -> None:
    """Killed before it settles: held until the hold's end, then in no budget, as ``store.base.budgets`` says."""
    path, now = tmp_path / "log.db", 100
    hold_and_die(path)
    store = await SQLiteStore.open(path, writer="w", now_ns=lambda: now)
    lines, account = (HoldLine("b", 0, 60, 100),), ("b", 0)
    assert await store.reserve("s", lines, expires_ns=1000) == ("b",)
    now = 200
    assert (await store.spending([account]))[account] == Spending()
    assert await store.reserve("s", lines, expires_ns=1000) == ()
    assert (await store.spending([account]))[account] == Spending(0, 60)
    await store.aclose()
