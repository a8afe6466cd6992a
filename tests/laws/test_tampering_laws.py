"""Laws of verification: whatever is done to a file behind our back is found, and named at the first row that it touches.

A file has two writers' chains; each test changes something in a copy of it.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.lab.check_store import sample_correction, sample_intent, sample_outcome
from trimtab.lab.check_store.accounts import ENTITIES, change
from trimtab.store.sqlite import SQLiteStore

LENGTH = {"a": 12, "b": 9}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.db"

    async def fill() -> None:
        for start, (writer, length) in enumerate(LENGTH.items()):
            store = await SQLiteStore.open(path, writer=writer)
            for number in range(length // 3):
                for make in (sample_intent, sample_outcome, sample_correction):
                    await store.append(make(100 * start + number))
            await store.aclose()

    asyncio.run(fill())
    with closing(sqlite3.connect(path)) as db, db:
        # Whoever tampers has no regard for our constraints either.
        db.execute("DROP INDEX events_once")
    return path


def tampered(untouched: Path, tamper: Callable[[sqlite3.Connection], object]) -> tuple[str, int] | None:
    """What verify names as the first bad row after ``tamper``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(untouched, folder))
        with closing(sqlite3.connect(path)) as db, db:
            tamper(db)

        async def verify() -> tuple[str, int] | None:
            report = await (await SQLiteStore.open(path, readonly=True)).verify()
            assert report.ok == (report.first_bad is None)
            return report.first_bad

        return asyncio.run(verify())


places = st.sampled_from([(writer, seq) for writer, length in LENGTH.items() for seq in range(1, length + 1)])
EDITS = {
    "id": "UPDATE events SET id = id || 'x' WHERE writer = ? AND seq = ?",
    "kind": "UPDATE events SET kind = CASE kind WHEN 'intent' THEN 'outcome' ELSE 'intent' END WHERE writer = ? AND seq = ?",
    "time": "UPDATE events SET at_ns = at_ns + 1 WHERE writer = ? AND seq = ?",
    "body type": "UPDATE events SET body = 7 WHERE writer = ? AND seq = ?",
    "previous digest": "UPDATE events SET prev = zeroblob(31) || x'01' WHERE writer = ? AND seq = ?",
    "digest": "UPDATE events SET digest = zeroblob(32) WHERE writer = ? AND seq = ?",
    "not text": "UPDATE events SET id = x'ff' WHERE writer = ? AND seq = ?",
}


def test_an_untouched_file_verifies(untouched: Path) -> None:
    assert tampered(untouched, lambda db: None) is None


@settings(max_examples=40, deadline=None)
@given(place=places, edit=st.sampled_from(sorted(EDITS)))
def test_an_edited_column_is_found(untouched: Path, place: tuple[str, int], edit: str) -> None:
    assert tampered(untouched, lambda db: db.execute(EDITS[edit], place)) == place


@settings(max_examples=40, deadline=None)
@given(place=places, at=st.integers(0, 100_000), flip=st.integers(1, 255))
def test_one_changed_byte_of_a_body_is_found(untouched: Path, place: tuple[str, int], at: int, flip: int) -> None:
    def tamper(db: sqlite3.Connection) -> None:
        body = bytearray(db.execute("SELECT body FROM events WHERE writer = ? AND seq = ?", place).fetchone()[0])
        body[at % len(body)] ^= flip
        db.execute("UPDATE events SET body = ? WHERE writer = ? AND seq = ?", (bytes(body), *place))

    assert tampered(untouched, tamper) == place


@settings(max_examples=20, deadline=None)
@given(place=places.filter(lambda place: place[1] < LENGTH[place[0]]))
def test_a_removed_row_is_found_at_the_next(untouched: Path, place: tuple[str, int]) -> None:
    writer, seq = place
    assert tampered(untouched, lambda db: db.execute("DELETE FROM events WHERE writer = ? AND seq = ?", place)) == (
        writer,
        seq + 1,
    )


@settings(max_examples=20, deadline=None)
@given(place=places, step=st.integers(1, 8))
def test_two_rows_that_changed_places_are_found_at_the_first(untouched: Path, place: tuple[str, int], step: int) -> None:
    writer, one = place
    two = (one - 1 + step) % LENGTH[writer] + 1

    def tamper(db: sqlite3.Connection) -> None:
        for old, new in ((one, -1), (two, one), (-1, two)):
            db.execute("UPDATE events SET seq = ? WHERE writer = ? AND seq = ?", (new, writer, old))

    assert tampered(untouched, tamper) == (None if one == two else (writer, min(one, two)))


@settings(max_examples=20, deadline=None)
@given(place=places)
def test_a_row_put_in_is_found(untouched: Path, place: tuple[str, int]) -> None:
    """After ``place``: the later rows make room, the copy takes the seat, and it even names the right digest before it."""
    writer, seq = place

    def tamper(db: sqlite3.Connection) -> None:
        db.execute("UPDATE events SET seq = -seq WHERE writer = ? AND seq > ?", place)
        db.execute("UPDATE events SET seq = 1 - seq WHERE writer = ? AND seq < 0", (writer,))
        db.execute(
            """INSERT INTO events SELECT writer, seq + 1, id || 'x', kind, at_ns, body, digest, digest
               FROM events WHERE writer = ? AND seq = ?""",
            place,
        )

    assert tampered(untouched, tamper) == (writer, seq + 1)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE requests SET cost = cost + 1 WHERE id = 'req-00000002'",
        "UPDATE requests SET outcome = NULL WHERE id = 'req-00000002'",
        "UPDATE requests SET key_id = 'somebody' WHERE id = 'req-00000002'",
        "UPDATE requests SET place = 'zeta' WHERE id = 'req-00000002'",
        "UPDATE requests SET deployment = 'elsewhere' WHERE id = 'req-00000002'",
        "DELETE FROM requests WHERE id = 'req-00000002'",
        "UPDATE attempts SET cost = cost + 1 WHERE id = 'req-00000002' AND last",
        "DELETE FROM attempts WHERE id = 'req-00000002' AND number = 0",
        "DELETE FROM request_tags WHERE id = 'req-00000002' AND tag = 'nightly'",
        "INSERT INTO request_tags (id, tag) VALUES ('req-00000002', 'zzz')",
    ],
)
def test_totals_that_do_not_follow_from_the_rows_are_found(untouched: Path, change: str) -> None:
    assert tampered(untouched, lambda db: db.execute(change)) == ("a", 7)


GHOSTS = {
    "requests": "INSERT INTO requests (id, at_ns, key_id) VALUES ('ghost', 1, 'k')",
    "tags": "INSERT INTO request_tags (id, tag) VALUES ('ghost', 'x')",
    "attempts": "INSERT INTO attempts SELECT 'ghost', number, last, '', '', '', '', 0, 0, 0 FROM attempts LIMIT 1",
}


@pytest.mark.parametrize("ghost", GHOSTS.values(), ids=GHOSTS)
def test_a_request_without_rows_is_found(untouched: Path, ghost: str) -> None:
    assert "ghost" in reason_after(untouched, ghost)


def reason_after(untouched: Path, statement: str) -> str:
    async def verify(path: Path) -> str:
        return (await (await SQLiteStore.open(path, readonly=True)).verify()).reason

    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(untouched, folder))
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(statement)
        return asyncio.run(verify(path))


ENTITY_EDITS = {
    "body": (
        "UPDATE entities SET body = CAST(replace(body, 'Acme', 'Evil') AS BLOB) WHERE kind = 'place' AND id = 'acme'",
        "place 'acme'",
    ),
    "unreadable": ("UPDATE entities SET body = x'7b' WHERE kind = 'grant'", "grant 'g1'"),
    "removed": ("DELETE FROM entities WHERE kind = 'key'", "key 'k1'"),
    "put in": ("INSERT INTO entities SELECT kind, 'thief', body FROM entities WHERE kind = 'user'", "user 'thief'"),
    "revision": ("UPDATE directory SET revision = 7", "revision 1"),
}


@pytest.mark.parametrize("edit", ENTITY_EDITS)
def test_accounts_that_do_not_follow_from_the_changes_are_found(untouched: Path, edit: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(untouched, tmp_path))

    async def fill() -> None:
        store = await SQLiteStore.open(path, writer="c")
        await store.change(*(change(number, entity, 0) for number, entity in enumerate(ENTITIES)))
        assert (await store.verify()).ok
        await store.aclose()

    asyncio.run(fill())
    statement, words = ENTITY_EDITS[edit]
    assert words in reason_after(path, statement)
