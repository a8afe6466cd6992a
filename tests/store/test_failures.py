"""The writer when the disk is full, fails, or is held by somebody: nothing half-written, nobody left waiting, and it goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Timer

import pytest

from trimtab.core.errors import LedgerError
from trimtab.core.record import Row
from trimtab.lab.check_store import sample_intent
from trimtab.store.sqlite import SQLiteStore
from trimtab.store.sqlite.connection import configure_writer, connect_writer
from trimtab.store.sqlite.migrations import migrate
from trimtab.store.sqlite.writer import Writer
from trimtab.store.sqlite.writes.log import appending


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def db(path: Path) -> sqlite3.Connection:
    """The writer's own connection, which the writer closes."""
    db = connect_writer(path)
    configure_writer(db, "normal")
    migrate(db)
    return db


@pytest.fixture
async def writer(db: sqlite3.Connection, path: Path) -> AsyncIterator[Writer]:
    writer = Writer(db, path, "w", 10, time.time_ns)
    yield writer
    await writer.aclose()


def append(writer: Writer, row: Row) -> asyncio.Future[None]:
    return writer.submit(partial(appending, row), rows=1, patient=True)


def kept(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("events", "requests", "content_keys")]
    assert len(set(counts)) == 1
    return int(counts[0])


async def test_a_full_disk_fails_the_whole_group_and_only_that(writer: Writer, db: sqlite3.Connection, path: Path) -> None:
    await append(writer, sample_intent(0))
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 1}")
    answers = await asyncio.gather(*(append(writer, sample_intent(number)) for number in range(1, 10)), return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, LedgerError)]
    assert failed
    assert all("the disk is full" in answer.message and "Free some space" in answer.hint for answer in failed)
    assert 10 - len(failed) == kept(path)
    assert writer.statistics().queued == 0

    db.execute("PRAGMA max_page_count = 1000000")
    await asyncio.gather(*(append(writer, sample_intent(number)) for number in range(10)))
    assert kept(path) == 10
    report = await (await SQLiteStore.open(path, readonly=True)).verify()
    assert (report.rows, report.reason) == (10, "")


async def test_a_lock_that_is_held_too_long_is_said_to_be_one(writer: Writer, db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA busy_timeout = 20")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"locked.*who holds it"):
            await append(writer, sample_intent(1))
    await append(writer, sample_intent(1))
    assert kept(path) == 1


def test_whoever_opens_a_new_file_waits_for_another_who_does(path: Path) -> None:
    """SQLite gives up on the change to WAL at once when two do it at the same time; a time-out of nothing stands in for that."""
    with (
        closing(connect_writer(path)) as db,
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
    ):
        db.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN EXCLUSIVE")
        release = Timer(0.1, other.execute, ("COMMIT",))
        release.start()
        configure_writer(db, "normal")
        release.join()
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_full_queue_refuses_at_once(writer: Writer, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        handed = [append(writer, sample_intent(number)) for number in range(10)]
        late = append(writer, sample_intent(10))
        assert late.done()
        with pytest.raises(LedgerError, match="10 rows are waiting"):
            await late
    await asyncio.gather(*handed)
    await append(writer, sample_intent(10))
    assert kept(path) == 11


async def test_the_thread_outlives_a_defect(writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr("trimtab.store.sqlite.writer.commit", broken)
        with pytest.raises(LedgerError, match="KeyError"):
            await append(writer, sample_intent(1))
    await append(writer, sample_intent(1))
    assert kept(path) == 1


_UNDER_A_LIMIT = """
import asyncio, resource, sys
from pathlib import Path
from trimtab.core.errors import LedgerError
from trimtab.lab.check_store import sample_intent
from trimtab.store.sqlite import SQLiteStore

async def main(path):
    store = await SQLiteStore.open(path, writer="w")
    await store.append(sample_intent(0))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(path + "-wal").stat().st_size + 9000, hard))
    answers = await asyncio.gather(*(store.append(sample_intent(n)) for n in range(1, 100)), return_exceptions=True)
    failed = [n for n, answer in enumerate(answers, 1) if isinstance(answer, LedgerError)]
    print(len(failed), answers[failed[0] - 1].message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await asyncio.gather(*(store.append(sample_intent(n)) for n in failed))
    report = await store.verify()
    print(report.rows, report.reason)
    await store.aclose()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_write_that_the_file_system_refuses_is_an_error_and_then_goes_on(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_A_LIMIT, str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""
    failure, after = done.stdout.splitlines()
    assert int(failure.split()[0]) > 0
    assert "the file system failed" in failure or "the disk is full" in failure
    assert after == "100 "
