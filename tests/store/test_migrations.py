import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from trimtab.core.errors import LedgerError
from trimtab.core.record import Record, Row
from trimtab.lab.check_store import sample_intent
from trimtab.store import Dimension, Filter
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


# -- from the first release


@pytest.fixture
def spine(tmp_path: Path) -> Path:
    """An event log as the first release's server wrote it; ``data/write_spine.py`` says how it was made."""
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "data" / "spine.sql").read_text())
    return path


def rows_of(path: Path) -> list[tuple[str, str, dict[str, object]]]:
    """(kind, id, body) of every row, read without a line of Trimtab."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT kind, id, body FROM events ORDER BY id, at_ns, writer, seq").fetchall()
    return [(kind, id, json.loads(body)) for kind, id, body in rows]


async def records_of(store: SQLiteStore) -> dict[str, Record]:
    return {record.intent.id: record async for record in store.scan(Filter())}


async def test_the_first_releases_log_is_migrated_and_its_chains_are_whole(spine: Path) -> None:
    before = rows_of(spine)
    store = await SQLiteStore.open(spine, writer="new")
    report = await store.verify()
    assert report.ok, report.reason
    assert (len(before), 3) == (report.rows, report.writers)
    assert before == rows_of(spine), "a migration rewrote what had happened"
    await store.append(sample_intent(1))
    assert (await store.verify()).ok
    await store.aclose()
    with closing(sqlite3.connect(spine)) as db:
        assert pending(db) == ()
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_the_first_releases_records_say_what_they_said(spine: Path) -> None:
    store = await SQLiteStore.open(spine, writer="new")
    records = await records_of(store)
    for kind, id, body in rows_of(spine):
        record = records[id]
        rows: dict[str, tuple[Row | None, ...]] = {
            "intent": (record.intent,),
            "outcome": (record.outcome,),
            "correction": record.corrections,
        }
        assert any(contains(json.loads(msgspec.json.encode(row, order="deterministic")), body) for row in rows[kind]), (
            f"the {kind} of {id} lost something"
        )
    endings = Counter(str(record.outcome.kind) if record.outcome else "under way" for record in records.values())
    assert endings == {"complete": 5, "partial": 1, "failed": 1, "refused": 1, "cancelled": 1, "under way": 1}
    assert all(len(record.intent.content_key) == 32 for record in records.values())
    await store.aclose()


def contains(now: object, then: object) -> bool:
    """Is all that stood there still there? A newer version may know more fields; the key of the content is kept apart from the body."""
    if isinstance(then, dict):
        assert isinstance(now, dict)
        return all(name in now and (name == "content_key" or contains(now[name], value)) for name, value in then.items())
    if isinstance(then, list):
        assert isinstance(now, list)
        return len(now) == len(then) and all(map(contains, now, then))
    return now == then


async def test_the_first_releases_totals_are_kept(spine: Path) -> None:
    with closing(sqlite3.connect(spine)) as db:
        (before,) = db.execute(
            "SELECT count(*), sum(input_tokens), sum(output_tokens), sum(cost), count(*) FILTER (WHERE cost IS NULL)"
            " FROM requests WHERE outcome IS NOT NULL"
        )
        (unsettled,) = db.execute("SELECT id FROM requests WHERE outcome IS NULL")
    store = await SQLiteStore.open(spine, writer="new")
    totals = await store.totals(Filter())
    assert before == (totals.requests, totals.input_tokens, totals.output_tokens, totals.cost, totals.cost_unknown)
    assert totals.cost_unknown == 1
    assert unsettled == await store.unsettled(2**63 - 1)
    await store.aclose()


async def test_the_first_releases_usage_is_told_apart(spine: Path) -> None:
    store = await SQLiteStore.open(spine, writer="new")
    totals = await store.totals(Filter())
    for by in ((Dimension.DEPLOYMENT,), (Dimension.MODEL, Dimension.TIER, Dimension.ZONE), (Dimension.OUTCOME, Dimension.DIALECT)):
        rows = await store.usage(Filter(), by)
        assert all(all(row.keys) or row.keys == ("",) * len(by) for row in rows)
        sums = (sum(row.complete for row in rows), sum(row.input_tokens for row in rows), sum(row.cost for row in rows))
        assert sums == (totals.complete, totals.input_tokens, totals.cost)
    assert [("", totals.requests)] == [(*row.keys, row.requests) for row in await store.usage(Filter(), (Dimension.PLACE,))]
    await store.aclose()


async def test_a_row_that_cannot_be_read_does_not_stop_a_migration(spine: Path) -> None:
    with closing(sqlite3.connect(spine)) as db, db:
        (bad,) = db.execute("SELECT writer, seq FROM events WHERE kind = 'outcome' LIMIT 1")
        db.execute("UPDATE events SET body = ? WHERE writer = ? AND seq = ?", (b"{}", *bad))
    store = await SQLiteStore.open(spine, writer="new")
    assert bad == (await store.verify()).first_bad
    await store.aclose()
