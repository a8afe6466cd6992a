"""Handing over to a provider, and whatever breaks off in between: each line has one outcome, and what is held is given back or charged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from msgspec import Raw
from tests.engine.batch_shop import CALLER, Bench, bench
from tests.support.fleet import PRICE, deployment

from trimtab.core.catalog import Deployment
from trimtab.core.errors import EgressRefused, FailureKind, LedgerError, ProviderError
from trimtab.core.events import Frame, unfold
from trimtab.core.messages import Choice, FinishReason, Request, Response, Text
from trimtab.core.record import OutcomeKind, Record
from trimtab.core.units import NanoUSD, Usage
from trimtab.engine.batches import Batch, Carrier, Status
from trimtab.engine.batches.running.carrying import Carrying
from trimtab.engine.batches.running.journal import Journal
from trimtab.lab.clock import ManualClock, virtual
from trimtab.lab.memory import MemoryStore
from trimtab.lab.scripted import ScriptedProvider, fails, says
from trimtab.providers import BatchAnswer, BatchLine
from trimtab.store import Filter, HoldLine
from trimtab.wire.batches import Ending, Result

BUDGET = NanoUSD(10**12)
HALF = PRICE.at(50)
DAY_NS = 86_400 * 10**9


class Batches:
    """A provider's batches. ``on_submit`` happens before a submission is taken."""

    def __init__(self, on_submit: Callable[[], Awaitable[None]] | None = None) -> None:
        self.has_it_ended = False
        self.lines: list[BatchLine] = []
        self.considered = 0
        self._on_submit = on_submit
        self.on_line: Callable[[int], None] = lambda number: None

    def takes(self, request: Request) -> bool:
        self.considered += 1
        self.on_line(self.considered)
        return True

    async def submit(self, deployment: Deployment, lines: Sequence[BatchLine]) -> str:
        if self._on_submit is not None:
            await self._on_submit()
        self.lines += lines
        return "theirs"

    async def has_ended(self, deployment: Deployment, id: str) -> bool:
        return self.has_it_ended

    async def answers(self, deployment: Deployment, id: str) -> AsyncGenerator[BatchAnswer]:
        said = Response(
            id="r", model="m", choices=(Choice(0, (Text("theirs"),), FinishReason.STOP),), usage=Usage(input=3, output=4)
        )
        for line in self.lines:
            yield BatchAnswer(line.id, Frame(tuple(unfold(said)), b'{"said":"theirs"}'))

    async def cancel(self, deployment: Deployment, id: str) -> None:
        return


class Here:
    """A clock, a store and a folder that outlive their processes."""

    def __init__(self, folder: Path, store: type[MemoryStore] = MemoryStore) -> None:
        self.clock = ManualClock()
        self.store = store(self.clock.time_ns)
        self._first_day = self.clock.time_ns() // DAY_NS
        self.provider = ScriptedProvider({"m": says("ours")}, clock=self.clock)
        self._folder = folder

    async def process(self, batches: Batches | None, *, hands_over: bool = True) -> Bench:
        carrier = None if batches is None else {"m": Carrier(deployment("m", price=HALF), batches)}
        return await bench(
            self._folder, self.clock, self.store, self.provider, budget=BUDGET, carriers=carrier, hands_over=hands_over
        )

    async def records(self) -> list[Record]:
        return [record async for record in self.store.scan(Filter())]

    async def money(self) -> tuple[int, int]:
        """Spent and held, over all days."""
        days = [("config", (self._first_day + day) * DAY_NS) for day in range(4)]
        seen = (await self.store.spending(days)).values()
        return sum(one.spent for one in seen), sum(one.held for one in seen)


def outcomes(records: list[Record]) -> list[tuple[OutcomeKind | None, int | None]]:
    """Of those that are not ours."""
    return [
        (record.outcome.kind, record.outcome.cost) if record.outcome else (None, None)
        for record in records
        if not record.outcome or record.outcome.kind is not OutcomeKind.COMPLETE
    ]


def expected_cost(record: Record) -> int:
    """What was held for it at the provider."""
    signals = record.intent.decision.signals
    return HALF.cost(Usage(input=signals.input_tokens, output=signals.output_tokens)) or 0


async def stopped(bench: Bench, seconds: float) -> None:
    running = asyncio.create_task(bench.runner.run())
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def never() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_shutdown_while_a_provider_takes_lines_charges_what_was_held(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        here = Here(tmp_path)
        first = await here.process(Batches(never))
        batch = await first.hand_in(5)
        await stopped(first, 3)
        records = await here.records()
        assert outcomes(records) == [(OutcomeKind.CANCELLED, None)] * 5
        assert await here.money() == (sum(map(expected_cost, records)), 0)
        done = await (await here.process(Batches(never))).until_ended(batch)
        assert dict(done.counts) == {Ending.SUCCEEDED: 5}

    run()


class FailingStore(MemoryStore):
    """The fourth hold fails."""

    holds = 0

    def reserve(self, id: str, lines: tuple[HoldLine, ...], *, expires_ns: int) -> asyncio.Future[tuple[str, ...]]:
        self.holds += 1
        if self.holds == 4:
            failed: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
            failed.set_exception(LedgerError("No room."))
            return failed
        return super().reserve(id, lines, expires_ns=expires_ns)


def test_a_store_that_fails_while_lines_are_made_ready_gives_everything_back(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        here = Here(tmp_path, FailingStore)
        batches = Batches()
        process = await here.process(batches)
        batch = await process.hand_in(6)
        await stopped(process, 3)
        assert batches.lines == []
        assert outcomes(await here.records()) == [(OutcomeKind.CANCELLED, 0)] * 4
        assert await here.money() == (0, 0)
        done = await process.until_ended(batch)
        assert dict(done.counts) == {Ending.SUCCEEDED: 6}

    run()


@pytest.mark.parametrize(
    ("error", "is_charged"),
    [
        (ProviderError(FailureKind.TRANSIENT, "Silence.", detail="timeout"), True),
        (ProviderError(FailureKind.TRANSIENT, "A cut.", upstream_status=200, detail="reset"), True),
        (ProviderError(FailureKind.TRANSIENT, "Busy.", upstream_status=503), False),
        (ProviderError(FailureKind.TRANSIENT, "Nobody.", detail="connect"), False),
        (EgressRefused("It may not be seen there."), False),
    ],
)
def test_what_a_provider_may_bill_is_charged(error: ProviderError | EgressRefused, is_charged: bool, tmp_path: Path) -> None:
    async def fail() -> None:
        raise error

    @virtual
    async def run() -> None:
        here = Here(tmp_path)
        done = await (process := await here.process(Batches(fail))).until_ended(await process.hand_in(3))
        assert dict(done.counts) == {Ending.SUCCEEDED: 3}
        records = await here.records()
        failed = [record for record in records if record.outcome and record.outcome.kind is OutcomeKind.FAILED]
        assert outcomes(records) == [(OutcomeKind.FAILED, None if is_charged else 0)] * 3
        usages = {attempt.usage for record in failed if record.outcome for attempt in record.outcome.attempts}
        assert usages == {Usage() if is_charged else Usage(input=0, output=0)}
        ours = sum(record.outcome.cost or 0 for record in records if record.outcome and record not in failed)
        assert await here.money() == (ours + is_charged * sum(map(expected_cost, failed)), 0)

    run()


def test_calling_off_while_lines_are_made_ready_hands_nothing_over(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        here = Here(tmp_path)
        batches = Batches()
        process = await here.process(batches)
        batch = await process.hand_in(300)
        calls: list[asyncio.Task[Batch]] = []

        def call_off(number: int) -> None:
            if number == 10:
                calls.append(asyncio.create_task(process.desk.cancel("openai", batch.id, "")))

        batches.on_line = call_off
        done = await process.until_ended(batch)
        assert len(calls) == 1
        assert (done.status, dict(done.counts)) == (Status.CANCELLED, {Ending.CANCELED: 300})
        assert batches.lines == []
        assert 10 <= batches.considered < 300
        assert set(outcomes(await here.records())) == {(OutcomeKind.CANCELLED, 0)}
        assert await here.money() == (0, 0)

    run()


def test_a_deployment_that_is_gone_leaves_no_line_open(tmp_path: Path) -> None:
    """It was renamed while a provider had the lines: nobody can ask what became of them, and they may have been paid for."""

    @virtual
    async def run() -> None:
        here = Here(tmp_path)
        first = await here.process(Batches())
        batch = await first.hand_in(4)
        await stopped(first, 3)
        assert outcomes(await here.records()) == [(None, None)] * 4
        here.clock.set_wall(25 * 3600)
        done = await (await here.process(None)).until_ended(batch)
        assert (done.status, dict(done.counts)) == (Status.EXPIRED, {Ending.EXPIRED: 4})
        records = await here.records()
        assert outcomes(records) == [(OutcomeKind.CANCELLED, None)] * 4
        assert await here.money() == (sum(map(expected_cost, records)), 0)
        assert here.provider.calls == []

    run()


def test_what_is_out_is_collected_where_nothing_more_is_handed_over(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        here = Here(tmp_path)
        batches = Batches()
        first = await here.process(batches)
        batch = await first.hand_in(4)
        await stopped(first, 3)
        batches.has_it_ended = True
        process = await here.process(batches, hands_over=False)
        done = await process.until_ended(batch)
        assert {str(row["response"]).count("theirs") for row in process.rows(done.output).values()} == {1}
        assert here.provider.calls == []
        spent = HALF.cost(Usage(input=3, output=4)) or 0
        assert await here.money() == (4 * spent, 0)
        other = await process.until_ended(await process.hand_in(2))
        assert (dict(other.counts), len(here.provider.calls)) == ({Ending.SUCCEEDED: 2}, 2)

    run()


def test_a_note_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        here = Here(tmp_path)
        process = await here.process(Batches())
        batch = await process.hand_in(2)
        await stopped(process, 3)
        (path,) = tmp_path.glob("*.handed")
        path.write_bytes(path.read_bytes() + path.read_bytes()[:50])
        gateway = process.resources.gateway
        left = Carrying(gateway, {}, batch, path)
        assert left.numbers() == {0, 1}
        await left.give_up(CALLER)
        assert Carrying(gateway, {}, batch, path).numbers() == set()

    run()


def test_calling_off_waits_for_no_upstream_that_asked_for_an_hour(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        here = Here(tmp_path)
        here.provider.on("m", fails(FailureKind.RATE_LIMIT, status=429, retry_after=3600))
        process = await here.process(None)
        batch = await process.hand_in(1)
        running = asyncio.create_task(process.runner.run())
        while not here.provider.calls:
            await asyncio.sleep(1)
        await process.desk.cancel("openai", batch.id, "")
        await asyncio.sleep(5)
        assert (await process.loaded(batch)).status is Status.CANCELLED
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run()


def test_a_result_that_comes_after_its_journal_is_closed_is_written_nowhere(tmp_path: Path) -> None:
    """The number of a closed file is the next one's: whatever a thread still had to write would stand in there."""
    journal = Journal(lambda epoch: tmp_path / f"{epoch}", 1)
    with journal:
        pass
    with (tmp_path / "another").open("wb"), pytest.raises(LedgerError):
        journal.add(Result(0, "a", Ending.SUCCEEDED, 200, "d", Raw(b"1")))
    assert (tmp_path / "another").read_bytes() == b""
    assert journal.done == set()
