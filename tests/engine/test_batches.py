"""Batches under a manual clock: windows that end, budgets that run dry, keys that are revoked, leases that pass on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace
from tests.engine.batch_shop import Bench, bench, line

from trimtab.core.accounts import Limits, VirtualKey
from trimtab.core.errors import Conflict, FailureKind
from trimtab.core.record import OutcomeKind
from trimtab.core.units import NanoUSD
from trimtab.engine.access.edits import put
from trimtab.engine.batches import Batch, Status
from trimtab.engine.batches.running.journal import Journal
from trimtab.engine.batches.running.lines import Input, check
from trimtab.engine.batches.values import WINDOW_NS
from trimtab.lab.clock import ManualClock, virtual
from trimtab.lab.memory import MemoryStore
from trimtab.lab.scripted import ScriptedProvider, Wait, fails, says
from trimtab.store import Filter
from trimtab.wire.batches import Ending, Result, written


def asked(provider: ScriptedProvider) -> list[str]:
    """The texts of all questions, in order."""
    return [str(part.text) for call in provider.calls for part in call.request.messages[0].parts if hasattr(part, "text")]


async def opened(folder: Path, provider: ScriptedProvider, clock: ManualClock, **options: object) -> Bench:
    return await bench(folder, clock, MemoryStore(clock.time_ns), provider, **options)  # type: ignore[arg-type]


def test_every_line_runs_once_and_no_more_than_so_many_at_once(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        provider = ScriptedProvider({"m": (Wait(10), *says("fine"))}, clock=clock)
        shop = await opened(tmp_path, provider, clock, lanes=3)
        batches = [await shop.hand_in(7) for _ in range(3)]
        for batch in batches:
            done = await shop.until_ended(batch)
            assert (done.status, dict(done.counts)) == (Status.COMPLETED, {Ending.SUCCEEDED: 7})
            assert set(shop.rows(done.output)) == set(range(7))
        assert len(asked(provider)) == 21
        spans = [(call.opened_at, call.closed_at or 0.0) for call in provider.calls]
        assert max(sum(a <= at < b for a, b in spans) for at, _ in spans) == 3
        assert {file.name.partition("-")[0] for file in tmp_path.iterdir()} == {"file"}  # nothing is left lying about

    run()


def test_a_window_that_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.engine.batches.running.work._BEAT_SECONDS", 60.0)
    monkeypatch.setattr("trimtab.engine.batches.running.runner._POLL_SECONDS", 60.0)

    @virtual
    async def run() -> None:
        clock = ManualClock()
        provider = ScriptedProvider({"m": (Wait(3600), *says("fine"))}, clock=clock)
        shop = await opened(tmp_path, provider, clock, lanes=1, lease_seconds=3600)
        batch = await shop.hand_in(40)
        done = await shop.until_ended(batch)
        assert done.status is Status.EXPIRED
        took_ns = done.reached[Status.EXPIRED] - done.created_ns
        assert WINDOW_NS <= took_ns < WINDOW_NS + 2 * 3600 * 10**9
        assert sum(done.counts.values()) == 40
        bad = shop.rows(done.errors_file)
        assert done.counts[Ending.EXPIRED] == sum("batch_expired" in str(row["error"]) for row in bad.values()) > 0

    run()


def test_a_budget_that_is_spent_pauses_the_batch(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        clock.set_wall(23 * 3600)  # the next day's budget begins within the window
        provider = ScriptedProvider({"m": says("fine")}, clock=clock)
        shop = await opened(tmp_path, provider, clock, lanes=1, budget=NanoUSD(2_000_000))
        batch = await shop.hand_in(100)
        done = await shop.until_ended(batch)
        assert (done.status, dict(done.counts)) == (Status.COMPLETED, {Ending.SUCCEEDED: 100})
        assert done.reached[Status.COMPLETED] - done.created_ns > 3600 * 10**9 * 0.99
        assert len(asked(provider)) == 100

    run()


def test_a_rate_is_waited_for(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        provider = ScriptedProvider({"m": says("fine")}, clock=clock)
        shop = await opened(tmp_path, provider, clock, limits=Limits(requests_per_minute=10))
        done = await shop.until_ended(await shop.hand_in(40))
        assert (done.status, dict(done.counts)) == (Status.COMPLETED, {Ending.SUCCEEDED: 40})
        assert 3 * 60 <= clock.monotonic() < 10 * 60

    run()


def test_a_revoked_key_stops_its_batch(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        provider = ScriptedProvider({"m": (Wait(10), *says("fine"))}, clock=clock)
        shop = await opened(tmp_path, provider, clock, lanes=2)
        batch = await shop.hand_in(50)
        ending = asyncio.create_task(shop.until_ended(batch))
        await asyncio.sleep(35)
        key = shop.book.directory.find(VirtualKey, "key")
        assert key is not None
        admin = next(id for id in shop.book.directory.keys if id != "key")
        revoked = replace(key, revoked_ns=clock.time_ns())
        await shop.book.apply(shop.book.actor(f"key:{admin}"), lambda _directory, _actor: put(revoked))
        done = await ending
        assert (done.status, [fault.code for fault in done.faults]) == (Status.FAILED, ["key_revoked"])
        assert len(asked(provider)) == 8
        assert set(shop.rows(done.output)) == set(range(8))
        assert set(shop.rows(done.errors_file)) == set(range(8, 50))

    run()


def test_nothing_begins_while_interactive_requests_need_the_room(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        provider = ScriptedProvider({"m": says("fine")}, clock=clock)
        shop = await opened(tmp_path, provider, clock, busy=lambda: clock.monotonic() < 100)
        await shop.until_ended(await shop.hand_in(3))
        assert all(call.opened_at >= 100 for call in provider.calls)

    run()


def test_an_upstream_that_fails_for_a_while_costs_no_line(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        provider = ScriptedProvider(clock=clock)
        provider.on("m", *[fails(FailureKind.TRANSIENT, status=503)] * 5, says("fine"))
        shop = await opened(tmp_path, provider, clock, lanes=1)
        done = await shop.until_ended(await shop.hand_in(2))
        assert (done.status, dict(done.counts)) == (Status.COMPLETED, {Ending.SUCCEEDED: 2})

    run()


def test_two_processes_share_a_queue_and_no_line(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        store = MemoryStore(clock.time_ns)
        provider = ScriptedProvider({"m": (Wait(7), *says("fine"))}, clock=clock)
        shops = [await bench(tmp_path, clock, store, provider, lanes=2) for _ in range(2)]
        batches = [await shops[0].hand_in(9) for _ in range(4)]
        running = [asyncio.create_task(shop.runner.run()) for shop in shops]
        async with asyncio.timeout(3600):
            while any([not (await shops[0].loaded(batch)).status.has_ended for batch in batches]):
                await asyncio.sleep(1)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert len(asked(provider)) == 36
        for batch in batches:
            assert set(shops[1].rows((await shops[1].loaded(batch)).output)) == set(range(9))
        spans = [(call.opened_at, call.closed_at or 0.0) for call in provider.calls]
        assert max(sum(a <= at < b for a, b in spans) for at, _ in spans) == 4  # both were at work

    run()


def test_a_process_that_freezes_loses_its_batch_and_spoils_nothing(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        store = MemoryStore(clock.time_ns)
        slow = ScriptedProvider({"m": (Wait(60), *says("from the frozen one"))}, clock=clock)
        quick = ScriptedProvider({"m": says("fine")}, clock=clock)
        frozen = await bench(tmp_path, clock, store, slow, lanes=2)
        batch = await frozen.hand_in(6)
        job = await frozen.resources.queue.claim(())
        assert job is not None
        assert await frozen.resources.queue.claim(()) is None
        other = await bench(tmp_path, clock, store, quick, lanes=2)
        assert await other.resources.queue.claim(()) is None
        await asyncio.sleep(16)
        done = await other.until_ended(batch)
        assert done.status is Status.COMPLETED
        assert await frozen.resources.queue.renew(job) is None

    run()


def test_a_batch_that_others_change_all_the_time_keeps_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        store = MemoryStore(clock.time_ns)
        provider = ScriptedProvider({"m": (Wait(60), *says("fine"))}, clock=clock)
        first, second = [await bench(tmp_path, clock, store, provider, lanes=1) for _ in range(2)]
        batch = await first.hand_in(3)
        running = [asyncio.create_task(first.runner.run())]
        await asyncio.sleep(5)
        edit, conflicts = first.resources.queue.edit, iter(range(10))

        async def contended(kind: str, id: str, change: Callable[[Batch], Batch]) -> Batch | None:
            if next(conflicts, None) is not None:
                raise Conflict("The batch was changed by others many times in a row.")
            return await edit(kind, id, change)

        monkeypatch.setattr(first.resources.queue, "edit", contended)
        running.append(asyncio.create_task(second.runner.run()))
        await asyncio.sleep(600)
        assert (await first.loaded(batch)).status is Status.COMPLETED
        assert next(conflicts, None) is None
        assert len(provider.calls) == 3
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    run()


def test_stopping_gives_the_lease_back_and_the_next_one_goes_on(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        store = MemoryStore(clock.time_ns)
        provider = ScriptedProvider({"m": (Wait(10), *says("fine"))}, clock=clock)
        shop = await bench(tmp_path, clock, store, provider, lanes=1)
        batch = await shop.hand_in(10)
        running = asyncio.create_task(shop.runner.run())
        await asyncio.sleep(35)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(provider.calls) == 4
        again = await bench(tmp_path, clock, store, provider, lanes=1)
        done = await again.until_ended(batch)
        assert dict(done.counts) == {Ending.SUCCEEDED: 10}
        assert len(provider.calls) == 11  # the line that was under way ran twice, and the log shows both
        kinds = [record.outcome.kind async for record in store.scan(Filter()) if record.outcome]
        assert (kinds.count(OutcomeKind.COMPLETE), kinds.count(OutcomeKind.CANCELLED)) == (10, 1)

    run()


def test_what_has_expired_is_swept_away(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        clock = ManualClock()
        store = MemoryStore(clock.time_ns)
        provider = ScriptedProvider({"m": says("fine")}, clock=clock)
        shop = await bench(tmp_path, clock, store, provider)
        done = await shop.until_ended(await shop.hand_in(2))
        (tmp_path / "no-file-of-ours").write_text("stays")
        assert len(list(tmp_path.iterdir())) == 3
        # Files on the disk are as old as the real clock says.
        clock.set_wall(400 * 365 * 86_400)
        assert await store.expire_documents(clock.time_ns()) == 3
        await shop.desk.files.sweep()
        assert [file.name for file in tmp_path.iterdir()] == ["no-file-of-ours"]
        assert await shop.resources.queue.load("batch", done.id) is None

    run()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_journal_that_was_cut_anywhere_keeps_every_whole_result(data: st.DataObject) -> None:
    """Several holders of the lease, each killed at any byte: what was whole stays, what was cut is written again, and counts once."""
    results = [Result(number, f"id-{number}", Ending.SUCCEEDED, 200, "d", Raw(b'{"a":\n 1}')) for number in range(6)]
    size = sum(len(written(result)) for result in results)
    with tempfile.TemporaryDirectory() as folder:

        def path(epoch: int) -> Path:
            return Path(folder) / f"{epoch}"

        for epoch in range(1, data.draw(st.integers(1, 4)) + 1):
            journal = Journal(path, epoch)
            with journal:
                for result in results:
                    if result.number not in journal.done:
                        journal.add(result)
            cut = data.draw(st.integers(0, size))
            path(epoch).write_bytes(path(epoch).read_bytes()[:cut])
        left = {result.number for epoch in range(1, 5) if path(epoch).exists() for result in Journal(path, epoch).results()}
        last = Journal(path, 5)
        assert last.done == left
        with last:
            for result in results:
                if result.number not in last.done:
                    last.add(result)
        assert sorted(result.number for result in last.results()) == list(range(6))
        assert all(bytes(result.body) == b'{"a":1}' for result in last.results())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([line(1)[:-1], b"{}", b"", b"x" * 500, b'{"custom_id":"\xff"}'])), st.booleans())
def test_lines_are_counted_as_they_are_read(rows: list[bytes], ends: bool) -> None:
    body = b"\n".join(rows) + (b"\n" if rows and ends else b"")
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        found = check(Path(file.name), "/v1/chat/completions", 400)
        expected = body.split(b"\n")
        expected = expected[:-1] if not expected[-1] else expected
        assert found.total == len(expected) == len(Input(Path(file.name)))
        wrong = {number for number, row in enumerate(expected, 1) if row != line(1)[:-1]}
        first = next((number for number, row in enumerate(expected, 1) if row == line(1)[:-1]), 0)
        twice = {number for number, row in enumerate(expected, 1) if row == line(1)[:-1] and number != first}
        assert {fault.line for fault in found.faults} == (wrong | twice if expected else {0})
