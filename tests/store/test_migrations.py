import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trimtab.core.errors import LedgerError
from trimtab.lab.check_store import sample_intent
from trimtab.store.sqlite import SQLiteStore, migrations
from trimtab.store.sqlite.migrations import STEPS, applied, migrate, pending


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as db:
        yield db


def test_steps_are_numbered_in_order() -> None:
    assert [f"m{number:03d}" for number in range(1, len(STEPS) + 1)] == [step.__name__[:4] for step in STEPS]


def test_each_step_is_recorded_and_runs_once(db: sqlite3.Connection) -> None:
    assert applied(db) == ()
    migrate(db)
    migrate(db)
    assert tuple(step.__name__ for step in STEPS) == applied(db)
    assert pending(db) == ()


def test_a_step_that_fails_leaves_nothing_and_the_next_try_goes_on(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def m002_breaks(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (id TEXT)")
        raise sqlite3.OperationalError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", (STEPS[0], m002_breaks))
        with pytest.raises(sqlite3.OperationalError):
            migrate(db)
        assert (STEPS[0].__name__,) == applied(db)
        assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall() == []
    migrate(db)
    assert pending(db) == ()


async def test_a_file_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await (await SQLiteStore.open(path, writer="w")).aclose()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO migrations (name) VALUES ('m999_from_the_future')")
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(LedgerError, match=r"newer version.*m999_from_the_future.*Upgrade Trimtab"):
            await SQLiteStore.open(path, writer="w", readonly=readonly)
    assert before == path.read_bytes()


async def test_a_file_of_an_older_version_is_brought_up_to_date_by_whoever_may_write(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE migrations (step INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
        STEPS[0](db)
        db.execute("INSERT INTO migrations (name) VALUES (?)", (STEPS[0].__name__,))
    with pytest.raises(LedgerError, match=r"older version.*Start the server once"):
        await SQLiteStore.open(path, readonly=True)
    store = await SQLiteStore.open(path, writer="w")
    await store.append(sample_intent(1))
    await store.aclose()


async def test_somebody_elses_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE photos (id TEXT)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"not an event log of Trimtab.*another path"):
        await SQLiteStore.open(path, writer="w")
    assert before == path.read_bytes()
