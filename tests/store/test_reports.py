"""Reports beside everything else: what takes too long is given up, and nothing small waits behind it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from trimtab.core.errors import LedgerError, ReportTooLarge
from trimtab.lab.check_store import sample_intent, sample_outcome
from trimtab.store.base import Dimension, Filter
from trimtab.store.sqlite import SQLiteStore
from trimtab.store.sqlite import store as stores
from trimtab.store.sqlite.reads import usage
from trimtab.store.sqlite.reports import AT_ONCE, Reports

_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def endless(db: sqlite3.Connection) -> int:
    return int(db.execute(_ENDLESS).fetchone()[0])


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    store = await SQLiteStore.open(path, writer="w")
    for number in range(3):
        await store.append(sample_intent(number, key_id=f"key-{number}"))
        await store.append(sample_outcome(number))
    await store.aclose()
    return path


async def test_a_report_is_given_up_at_its_deadline_also_while_it_waits(path: Path) -> None:
    asked = Reports(path, 0.2)
    began = time.monotonic()
    done = await asyncio.gather(*(asked.answer(endless) for _ in range(3 * AT_ONCE)), return_exceptions=True)
    assert time.monotonic() - began < 2, "who waited for a turn does not take as long again"
    assert [type(error) for error in done] == [ReportTooLarge] * 3 * AT_ONCE
    assert "0.2 seconds" in str(done[0])
    assert "shorter time" in str(done[0])
    assert await asked.answer(lambda db: db.execute("SELECT 1").fetchone()) == (1,), "the threads are free again"
    asked.close()


async def test_nothing_small_waits_behind_a_report_and_closing_does_not_either(path: Path) -> None:
    store = await SQLiteStore.open(path, writer="v")
    under_way = [asyncio.ensure_future(store._reports.answer(endless)) for _ in range(3 * AT_ONCE)]
    began = time.monotonic()
    for _ in range(20):
        assert await store.revision() == 0
    assert (await store.totals(Filter())).requests == 3
    assert not any(each.done() for each in under_way)
    await store.aclose()
    await asyncio.wait(under_way)
    assert time.monotonic() - began < 5


async def test_a_usage_report_has_a_deadline_beside_a_server_and_none_for_a_reader_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "SECONDS", -1.0)
    store, reader = await SQLiteStore.open(path, writer="v"), await SQLiteStore.open(path, readonly=True)
    with pytest.raises(ReportTooLarge):
        await store.usage(Filter(), ())
    assert (await store.totals(Filter())).requests == 3, "budgets are opened from it, however long it takes"
    assert len(await reader.usage(Filter(), (Dimension.KEY,))) == 3
    await store.aclose()
    await reader.aclose()


async def test_more_groups_than_anybody_reads_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await SQLiteStore.open(path, writer="v")
    monkeypatch.setattr(usage, "MOST_GROUPS", 2)
    with pytest.raises(ReportTooLarge, match="more than 2 groups"):
        await store.usage(Filter(), (Dimension.KEY,))
    assert len(await store.usage(replace(Filter(), key_id="key-1"), (Dimension.KEY,))) == 1
    await store.aclose()


async def test_a_file_that_fails_is_the_ledgers_error(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_bytes(b"no database at all, but long enough to look at" * 30)
    with pytest.raises(LedgerError, match="not an SQLite database"):
        await Reports(tmp_path / "no.db", None).answer(endless_of_a_table)


def endless_of_a_table(db: sqlite3.Connection) -> int:
    return len(db.execute("SELECT * FROM sqlite_master").fetchall())
