from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from msgspec.structs import replace

from trimtab.core.errors import LedgerError
from trimtab.lab.check_store import sample_correction, sample_intent, sample_outcome
from trimtab.lab.check_store.accounts import ENTITIES, change
from trimtab.store.base import Dimension, Document, Filter, HoldLine, Spending, SpendLine
from trimtab.store.sqlite import SQLiteStore

DOCUMENT = Document(kind="k", id="d", created_ns=1, body=b"body")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = await SQLiteStore.open(path, writer="w")
    yield store
    await store.aclose()


async def test_rows_are_there_after_a_restart(path: Path) -> None:
    for turn in range(3):
        store = await SQLiteStore.open(path, writer="w")
        await store.append(sample_intent(turn))
        await store.aclose()
    store = await SQLiteStore.open(path, readonly=True)
    assert [sample_intent(turn) for turn in range(3)] == [record.intent async for record in store.scan(Filter())]
    assert ((report := await store.verify()).reason, report.rows, report.writers) == ("", 3, 1)


async def test_accounts_budgets_and_documents_are_there_after_a_restart(path: Path) -> None:
    store = await SQLiteStore.open(path, writer="w")
    await store.change(*(change(number, entity, 0) for number, entity in enumerate(ENTITIES)))
    await store.reserve("r", (HoldLine("b", 0, 60, 100),), expires_ns=1 << 62)
    await store.settle("s", (SpendLine("b", 0, 30),))
    assert await store.claim_alert("b", 0, 0.5)
    await store.put_document(DOCUMENT)
    await store.aclose()
    store = await SQLiteStore.open(path, writer="v")
    assert await store.directory() == (1, ENTITIES)
    assert await store.change(change(100, ENTITIES[0], 1, "remove")) == 2
    assert await store.reserve("t", (HoldLine("b", 0, 11, 100),), expires_ns=1 << 62) == ("b",)
    await store.settle("s", (SpendLine("b", 0, 30),))
    assert await store.spending([("b", 0)]) == {("b", 0): Spending(30, 60)}
    assert not await store.claim_alert("b", 0, 0.5)
    assert await store.document("k", "d", now_ns=0) == DOCUMENT
    assert ((report := await store.verify()).reason, report.rows, report.writers) == ("", len(ENTITIES) + 1, 2)
    await store.aclose()


async def test_a_hold_expires_by_the_stores_clock(path: Path) -> None:
    clock = [0]
    store = await SQLiteStore.open(path, writer="w", now_ns=lambda: clock[0])
    for id, until in (("r", 10), ("s", 20)):
        await store.reserve(id, (HoldLine("b", 0, 50, 100),), expires_ns=until)
    for clock[0], held in ((9, 100), (10, 50), (19, 50), (20, 0)):
        assert await store.spending([("b", 0)]) == {("b", 0): Spending(0, held)}
        assert (await store.reserve("t", (HoldLine("b", 0, 1, held),), expires_ns=100)) == ("b",)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM holds").fetchone() == (0,)
    await store.aclose()


async def test_an_outcome_and_its_settlement_are_one_group(store: SQLiteStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        await store.append(sample_intent(1))
        other.execute("BEGIN IMMEDIATE")
        blocker = store.append(sample_intent(2))
        handed = (store.append(sample_outcome(1)), store.settle("req-00000001", (SpendLine("b", 0, 5),)))
        other.execute("COMMIT")
        await asyncio.gather(blocker, *handed)
    assert store.statistics().groups <= 3
    assert store.statistics().rows == 3


async def test_a_damaged_row_refuses_a_correction_and_changes_nothing(store: SQLiteStore, path: Path) -> None:
    for row in (sample_intent(1), sample_outcome(1)):
        await store.append(row)
    before = await store.totals(Filter())
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE events SET body = ? WHERE kind = 'outcome'", (b"{}",))
    with pytest.raises(LedgerError, match="cannot be read"):
        await store.append(sample_correction(1))
    await store.append(sample_intent(2))
    assert before == await store.totals(Filter())
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (3,)


async def test_closing_commits_what_is_waiting(path: Path) -> None:
    store = await SQLiteStore.open(path, writer="w")
    handed = [store.append(sample_intent(number)) for number in range(500)]
    await store.aclose()
    await asyncio.gather(*handed)
    await store.aclose()
    with pytest.raises(LedgerError, match="closed"):
        await store.append(sample_intent(501))
    assert (await (await SQLiteStore.open(path, readonly=True)).verify()).rows == 500


async def test_waiting_rows_are_committed_as_one_group(store: SQLiteStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        handed = [store.append(sample_intent(number)) for number in range(300)]
        assert store.statistics().queued == 300
        other.execute("COMMIT")
        await asyncio.gather(*handed)
    # The writer may have taken the first of them before the rest had come.
    assert store.statistics().groups <= 2


async def test_the_event_loop_never_waits_for_the_disk(path: Path) -> None:
    with blockbuster_ctx():
        store = await SQLiteStore.open(path, writer="w", sync="full")
        for row in (sample_intent(1), sample_outcome(1), sample_correction(1)):
            await store.append(row)
        assert [await store.get("req-00000001")] == [record async for record in store.scan(Filter())]
        assert (await store.totals(Filter())).requests == 1
        assert await store.unsettled(0) == ()
        assert len(await store.usage(Filter(), tuple(Dimension))) == 4
        assert await store.change(change(1, ENTITIES[0], 0)) == await store.revision()
        assert (await store.directory())[1] == ENTITIES[:1]
        assert [change(1, ENTITIES[0], 0)] == [found async for found in store.changes()]
        assert await store.reserve("r", (HoldLine("b", 0, 1, 1),), expires_ns=1 << 62) == ()
        await store.settle("r", (SpendLine("b", 0, 1),))
        assert await store.spending([("b", 0)]) == {("b", 0): Spending(1)}
        assert await store.claim_alert("b", 0, 0.5)
        await store.put_document(DOCUMENT)
        assert not await store.swap_document(DOCUMENT, b"other")
        assert await store.document("k", "d", now_ns=0) == DOCUMENT
        assert await store.documents("k", place="", now_ns=0) == (DOCUMENT,)
        assert (await store.verify()).ok
        assert (await store.expire_documents(1 << 62), await store.remove_document("k", "d")) == (0, True)
        await store.aclose()


async def test_a_reader_works_beside_the_server_and_cannot_write(store: SQLiteStore, path: Path) -> None:
    reader = await SQLiteStore.open(path, readonly=True)
    await store.append(sample_intent(1))
    assert sample_intent(1) == ((record := await reader.get("req-00000001")) and record.intent)
    refused = (
        lambda: reader.append(sample_outcome(1)),
        lambda: reader.change(change(1, ENTITIES[0], 0)),
        lambda: reader.reserve("r", (), expires_ns=1),
        lambda: reader.put_document(DOCUMENT),
    )
    for write in refused:
        with pytest.raises(LedgerError, match="reading alone"):
            await write()
    await reader.aclose()


async def test_forgetting_a_content_key_leaves_the_chain_whole(store: SQLiteStore, path: Path) -> None:
    await store.append(sample_intent(1))
    with closing(sqlite3.connect(path)) as db, db:
        assert sample_intent(1).content_key not in db.execute("SELECT body FROM events").fetchone()[0]
        db.execute("DELETE FROM content_keys")
    await store.append(sample_intent(1))
    record = await store.get("req-00000001")
    assert record is not None
    assert replace(sample_intent(1), content_key=b"") == record.intent
    assert (await store.verify()).ok


async def test_a_failure_that_nobody_awaits_is_silent_but_counted(store: SQLiteStore) -> None:
    logged: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    store.append(sample_outcome(1))
    await store.append(sample_intent(2))
    gc.collect()
    assert logged == []
    assert store.statistics().failed == 1


async def test_each_waiter_gets_an_error_of_its_own(store: SQLiteStore) -> None:
    answers = await asyncio.gather(*(store.append(sample_outcome(1)) for _ in range(3)), return_exceptions=True)
    assert len({id(answer) for answer in answers if isinstance(answer, LedgerError)}) == 3


async def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    stores = await asyncio.gather(*(SQLiteStore.open(path, writer=f"w{number}") for number in range(8)))
    await asyncio.gather(*(store.append(sample_intent(number)) for number, store in enumerate(stores)))
    assert (await stores[0].verify()).writers == 8
    for store in stores:
        await store.aclose()


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "log.db"
    store = await SQLiteStore.open(path, writer="w")
    await store.append(sample_intent(1))
    assert {0o600} == {found.stat().st_mode & 0o777 for found in path.parent.iterdir()}
    await store.aclose()


async def test_a_place_that_cannot_be_used_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to look like one" * 20)
    for name, words in (
        ("text/log.db", r"cannot be created.*\[store\]"),
        ("text", r"not an SQLite database.*another path"),
        ("", r"is a folder.*Name a file"),
    ):
        with pytest.raises(LedgerError, match=words) as caught:
            await SQLiteStore.open(tmp_path / name, writer="w")
        assert str(tmp_path / name) in caught.value.message
    with pytest.raises(LedgerError, match=r"no event log.*Start the server once"):
        await SQLiteStore.open(tmp_path / "missing.db", readonly=True)
    with pytest.raises(ValueError, match="name of its writer"):
        await SQLiteStore.open(tmp_path / "log.db")


async def test_a_damaged_body_is_an_error_that_points_to_verify(store: SQLiteStore, path: Path) -> None:
    await store.append(sample_intent(1))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE events SET body = ?", (b'{"type":"intent"',))
    with pytest.raises(LedgerError, match=r"cannot be read.*Verify the log"):
        await store.get("req-00000001")


async def test_rows_move_from_the_wal_into_the_file_while_others_arrive(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.store.sqlite.writer._CHECKPOINT_EVERY", 100)
    for turn in range(10):
        await asyncio.gather(*(store.append(sample_intent(turn * 100 + number)) for number in range(100)))
    assert path.stat().st_size > path.with_name("log.db-wal").stat().st_size
