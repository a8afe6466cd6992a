"""Laws of the event log, on every store of ours: what goes in comes out, sums are sums, twice is once, tampering is found."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from trimtab.core.catalog import Capability, Tier
from trimtab.core.decision import Ask, Decision, LatencyClass, Planned, Rejected, Score, Signals, Wish
from trimtab.core.errors import FailureKind
from trimtab.core.messages import Dialect
from trimtab.core.record import Attempt, Correction, Intent, Outcome, OutcomeKind, Record, Row
from trimtab.core.units import NanoUSD, Usage
from trimtab.core.zones import Sensitivity
from trimtab.lab.check_store import sample_correction, sample_intent, sample_outcome
from trimtab.lab.memory import MemoryStore
from trimtab.store.base import Filter, Store, Totals
from trimtab.store.sqlite import SQLiteStore

Open = Callable[[], AbstractAsyncContextManager[Store]]

text = st.text(max_size=8)
names = st.text(min_size=1, max_size=4)
word = st.integers(-(1 << 63), (1 << 63) - 1)
maybe = st.none() | word
money = word.map(NanoUSD)
usages = st.builds(Usage, input=maybe, output=maybe, cache_read=maybe, cache_write=maybe, reasoning=maybe, estimated=st.booleans())
scores = st.builds(Score, word, st.lists(st.tuples(text, word), max_size=2).map(tuple), st.lists(text, max_size=2).map(tuple))
signals = st.builds(
    Signals,
    input_tokens=word,
    tokens_exact=st.booleans(),
    output_tokens=word,
    needs=st.frozensets(st.sampled_from(Capability)),
    language=text,
    turns=word,
    complexity=st.floats(allow_nan=False, allow_infinity=False),
    sensitivity=st.frozensets(st.sampled_from(Sensitivity)),
    evidence=st.lists(st.tuples(text, text), max_size=2).map(tuple),
)
asks = st.builds(
    Ask,
    wish=st.sampled_from(Wish),
    named=st.none() | text,
    latency=st.sampled_from(LatencyClass),
    dialect=st.sampled_from(Dialect),
    budget_left=st.none() | money,
)
decisions = st.builds(
    Decision,
    policy=text,
    ask=asks,
    signals=signals,
    plan=st.lists(st.builds(Planned, text, scores), max_size=2).map(tuple),
    rejected=st.lists(st.builds(Rejected, text, text, text), max_size=2).map(tuple),
)
intents = st.builds(
    Intent,
    id=names,
    at_ns=word,
    key_id=text,
    decision=decisions,
    stream=st.booleans(),
    content_digest=text,
    content_key=st.binary(max_size=32),
)
attempts = st.builds(
    Attempt,
    deployment=text,
    model=text,
    tier=st.sampled_from(Tier),
    zone=text,
    started_ns=word,
    failure=st.none() | st.sampled_from(FailureKind),
    upstream_status=maybe,
    finish_reason=st.none() | text,
    usage=usages,
    cost=st.none() | money,
)
outcomes = st.builds(
    Outcome,
    id=names,
    at_ns=word,
    kind=st.sampled_from(OutcomeKind),
    attempts=st.lists(attempts, max_size=2).map(tuple),
    usage=usages,
    cost=st.none() | money,
    error=text,
)
corrections = st.builds(Correction, id=names, at_ns=word, reason=text, usage=usages, cost=st.none() | money)


@st.composite
def records(draw: st.DrawFn) -> Record:
    intent = draw(intents)
    outcome = draw(st.none() | outcomes.map(lambda row: replace(row, id=intent.id)))
    if outcome is None:
        return Record(intent)
    found = draw(st.lists(corrections, max_size=3, unique_by=lambda row: row.at_ns))
    return Record(intent, outcome, tuple(sorted((replace(row, id=intent.id) for row in found), key=lambda row: row.at_ns)))


def rows_of(record: Record) -> list[Row]:
    return [row for row in (record.intent, record.outcome, *record.corrections) if row is not None]


many_records = st.lists(records(), max_size=3, unique_by=lambda record: record.intent.id)


@asynccontextmanager
async def memory() -> AsyncIterator[Store]:
    yield MemoryStore()


@asynccontextmanager
async def sqlite() -> AsyncIterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        store = await SQLiteStore.open(Path(folder) / "log.db", writer="w")
        try:
            yield store
        finally:
            await store.aclose()


stores = pytest.mark.parametrize("open_store", [memory, sqlite])
laws = settings(max_examples=25, deadline=None)


@stores
@laws
@given(found=many_records, data=st.data())
def test_whatever_goes_in_comes_out_and_twice_is_once(open_store: Open, found: list[Record], data: st.DataObject) -> None:
    rows = [row for record in found for row in rows_of(record)]
    again = data.draw(st.lists(st.sampled_from(rows), max_size=5)) if rows else []

    async def run() -> None:
        async with open_store() as store:
            await asyncio.gather(*(store.append(row) for row in rows))
            await asyncio.gather(*(store.append(row) for row in again))
            assert [await store.get(record.intent.id) for record in found] == found
            expected = sorted(found, key=lambda record: record.intent.id)
            assert [record async for record in store.scan(Filter())] == expected
            report = await store.verify()
            assert (report.rows, report.reason) == (len(rows), "")

    asyncio.run(run())


@stores
@laws
@given(found=many_records, since=maybe, until=maybe, key_id=st.none() | text)
def test_totals_are_the_sum_over_a_scan(
    open_store: Open, found: list[Record], since: int | None, until: int | None, key_id: str | None
) -> None:
    where = Filter(since_ns=since, until_ns=until, key_id=key_id)

    async def run() -> None:
        async with open_store() as store:
            await asyncio.gather(*(store.append(row) for record in found for row in rows_of(record)))
            settled = [record async for record in store.scan(where) if record.outcome is not None]
            figures = [(record.corrections or (record.outcome,))[-1] for record in settled]
            known = [figure for figure in figures if figure is not None]
            expected = Totals(
                requests=len(settled),
                complete=sum(record.outcome is not None and record.outcome.kind == "complete" for record in settled),
                input_tokens=sum(figure.usage.input or 0 for figure in known),
                output_tokens=sum(figure.usage.output or 0 for figure in known),
                cost=NanoUSD(sum(figure.cost or 0 for figure in known)),
                cost_unknown=sum(figure.cost is None for figure in known),
            )
            assert await store.totals(where) == expected

    asyncio.run(run())


# Tampering: a file with two writers' chains, a change to one row of it, and the row that verify has to name.

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
        "DELETE FROM requests WHERE id = 'req-00000002'",
    ],
)
def test_totals_that_do_not_follow_from_the_rows_are_found(untouched: Path, change: str) -> None:
    assert tampered(untouched, lambda db: db.execute(change)) == ("a", 7)


def test_a_request_without_rows_is_found(untouched: Path) -> None:
    async def verify(path: Path) -> str:
        return (await (await SQLiteStore.open(path, readonly=True)).verify()).reason

    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(untouched, folder))
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("INSERT INTO requests (id, at_ns, key_id) VALUES ('ghost', 1, 'k')")
        assert "ghost" in asyncio.run(verify(path))
