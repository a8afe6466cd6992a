"""One batch, worked on under a lease: checked, run line by line, and reported. Which batch is next, ``runner`` decides.

Lines wait while interactive requests need the room. The key's rights are those of the moment in which a line runs; a key that opens nothing
any more ends the batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from trimtab.core.errors import Conflict, EgressRefused, LedgerError, ProviderError, Unauthenticated
from trimtab.core.units import SECOND_NS, Clock
from trimtab.engine.access import AccountBook, LiveKey
from trimtab.engine.batches.files import Files
from trimtab.engine.batches.queue import Job, Queue
from trimtab.engine.batches.running.answer import Again, Rest, as_it_stands, ask, errored
from trimtab.engine.batches.running.carrying import Carrier, Carrying
from trimtab.engine.batches.running.journal import Journal, write_all
from trimtab.engine.batches.running.lines import Input, check
from trimtab.engine.batches.values import Batch, Status
from trimtab.engine.gateway import Gateway
from trimtab.telemetry import log
from trimtab.wire.batches import Ending, Line, LineFault, Result, read_line, told

_BEAT_SECONDS = 1.0
_TRIES = 6
_WAIT_SECONDS = 2.0
_BUSY_SECONDS = 0.25
_FULL_SECONDS = 30.0
_CARRIED_SECONDS = 60.0
_GIVE_UP_NS = 1800 * SECOND_NS
"""A provider takes a while to end a batch that was called off. What it has not told by then stays unknown."""

_REVOKED = "The key of this batch opens nothing any more."
_FILL = {Status.CANCELLED: Ending.CANCELED, Status.EXPIRED: Ending.EXPIRED}


class Resources(Struct, frozen=True, kw_only=True):
    """What all work shares. ``places`` are the lines that may run at once, ``busy`` says that interactive requests need the room, and
    ``longest`` is the longest line, bytes.

    ``carriers`` are the deployments, by id, whose providers' own batches can be asked after; where ``hands_over``, they get lines too.
    """

    gateway: Gateway
    book: AccountBook
    files: Files
    queue: Queue
    clock: Clock
    places: asyncio.Semaphore
    lanes: int
    busy: Callable[[], bool]
    longest: int
    carriers: Mapping[str, Carrier]
    hands_over: bool


class Work:
    """``job`` is the lease, as it was last renewed."""

    def __init__(self, resources: Resources, job: Job) -> None:
        self._with = resources
        self.job = job
        self._stop: Status | None = None
        """How the batch ends before all of its lines have run."""
        self._rest_seconds: float | None = None
        self._until_ns = job.kept_until_ns
        self._is_lost = False
        self._is_over = False
        self._beating: asyncio.Task[None] | None = None
        self._counts: Counter[Ending] = Counter()
        self._writing = asyncio.Lock()
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """Somebody in this process has changed the batch: look at once."""
        self._nudged.set()

    async def run(self) -> None:
        """Until the batch has ended or rests; then comes :meth:`let_go`. Raises nothing where the lease is lost: somebody else goes on."""
        me = asyncio.current_task()
        assert me is not None
        self._beating = asyncio.create_task(self._beat(me))
        try:
            await self._work()
        except LedgerError:
            self._rest_seconds = _FULL_SECONDS
        except asyncio.CancelledError:
            beat = self._beating
            if beat.done() and not beat.cancelled() and (fault := beat.exception()) is not None:
                raise fault from None
            if not self._is_lost or me.uncancel() > 0:
                raise
        finally:
            self._is_over = True
            self._nudged.set()

    async def let_go(self) -> None:
        """Give the lease back. No part of :meth:`run`, which may be cancelled at any point, its end included."""
        if self._beating is not None:  # it is not cancelled, since a lease renewed without our knowing it could not be given back
            await asyncio.wait({self._beating})
        rests = 0
        if self._rest_seconds is not None:
            now = self._with.clock.time_ns()
            rests = now + round(self._rest_seconds * SECOND_NS)
            rests = min(rests, self._until_ns) if now < self._until_ns else rests  # a window's end is noticed in time
        if not self._is_lost:
            with suppress(LedgerError):  # it lapses by itself
                await self._with.queue.release(self.job, rests_until_ns=rests)

    # -- the lease

    async def _beat(self, work: asyncio.Task[None]) -> None:
        """Keep the lease, and look whether the batch should stop."""
        clock, queue = self._with.clock, self._with.queue
        lease_ns = self.job.until_ns - clock.time_ns()
        try:
            while not self._is_lost:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(_BEAT_SECONDS, lease_ns / SECOND_NS / 4)):
                        await self._nudged.wait()
                self._nudged.clear()
                if self._is_over:
                    return
                try:
                    if self.job.until_ns - clock.time_ns() < lease_ns * 3 // 4:
                        renewed = await queue.renew(self.job)
                        self._is_lost = renewed is None
                        self.job = renewed or self.job
                    batch = await queue.edit(self.job.kind, self.job.id, self._counted)
                    if batch is not None:
                        self._look(batch)
                except (LedgerError, Conflict):
                    self._is_lost = clock.time_ns() >= self.job.until_ns
        finally:
            if not self._is_over:  # without a heartbeat another process would soon run the same lines
                work.cancel()

    def _counted(self, batch: Batch) -> Batch:
        return replace(batch, counts=dict(self._counts)) if self._counts and not batch.status.has_ended else batch

    def _look(self, batch: Batch) -> None:
        if batch.status is Status.CANCELLING:
            self._stop = Status.CANCELLED
        elif self._with.clock.time_ns() >= batch.until_ns:
            self._stop = Status.EXPIRED
        elif self._key(batch) is None:
            self._stop = Status.FAILED

    def _key(self, batch: Batch) -> LiveKey | None:
        """The key as it stands, where it still opens."""
        held = self._with.book.directory.keys.get(batch.caller.key_id)
        return held if held is not None and held.opens(self._with.clock.time_ns()) else None

    # -- the work

    async def _work(self) -> None:
        queue = self._with.queue
        batch = await queue.load(self.job.kind, self.job.id)
        if batch is None:
            if queue.is_orphan(self.job):
                await queue.forget(self.job)
            else:
                self._rest_seconds = 1.0
            return
        self._until_ns = batch.until_ns
        self._look(batch)
        if batch.status is Status.VALIDATING and self._stop is None:
            batch = await self._validated(batch)
        if Status.IN_PROGRESS not in batch.reached and not batch.status.has_ended:
            batch = await self._ended(batch, self._stop or Status.CANCELLED)
        if not batch.status.has_ended:
            batch = await self._run(batch)
        if batch.status.has_ended:
            await self._clear(batch)

    async def _validated(self, batch: Batch) -> Batch:
        path = self._with.files.path(f"{batch.id}.input")
        found = await asyncio.to_thread(check, path, batch.endpoint, self._with.longest)

        def change(now: Batch) -> Batch:
            if now.status is not Status.VALIDATING:
                return now
            now = replace(now, total=found.total, faults=found.faults)
            return now.at(Status.FAILED if found.faults else Status.IN_PROGRESS, self._with.clock.time_ns())

        return await self._with.queue.edit(batch.kind, batch.id, change) or batch

    async def _run(self, batch: Batch) -> Batch:
        files = self._with.files
        input = await asyncio.to_thread(Input, files.path(f"{batch.id}.input"))
        journal = await asyncio.to_thread(Journal, lambda epoch: files.path(f"{batch.id}.{epoch}.results"), self.job.epoch)
        self._counts = journal.counts
        with journal:
            elsewhere = await self._carried(batch, input, journal)
            await self._lines(batch, input, journal, elsewhere)
            if elsewhere:
                self._rest_seconds = min(self._rest_seconds or _CARRIED_SECONDS, _CARRIED_SECONDS)
            if elsewhere or (self._stop is None and self._rest_seconds is not None):
                return await self._with.queue.edit(batch.kind, batch.id, self._counted) or batch
            self._rest_seconds = None
            return await self._report(batch, input, journal)

    async def _carried(self, batch: Batch, input: Input, journal: Journal) -> set[int]:
        """The lines that providers' own batches have at this moment: nobody else runs them."""
        path = self._with.files.path(f"{batch.id}.handed")
        carriers = self._with.carriers
        carrying = await asyncio.to_thread(Carrying, self._with.gateway, carriers, batch, path)
        key = self._key(batch)
        if self._with.hands_over and carriers and not carrying.was_offered and self._stop is None and key is not None:
            lines = ((number, _read(batch, input, number)) for number in range(len(input)) if number not in journal.done)
            await carrying.offer(lines, as_it_stands(batch.caller, key), lambda: self._has_to_stop)
        try:
            await carrying.collect(batch.caller, lambda result: self._keep(journal, result))
            if self._stop is not None:
                await carrying.cancel()
        except (ProviderError, EgressRefused) as error:
            log(__name__, "a provider's batch cannot be asked after", level=logging.WARNING, batch=batch.id, code=error.code)
        if self._stop is not None and self._with.clock.time_ns() > self._stopped_ns(batch) + _GIVE_UP_NS:
            await carrying.give_up(batch.caller)
        return carrying.numbers()

    def _stopped_ns(self, batch: Batch) -> int:
        return min(batch.until_ns, batch.reached.get(Status.CANCELLING, batch.until_ns))

    async def _keep(self, journal: Journal, result: Result) -> None:
        async with self._writing:
            await asyncio.to_thread(journal.add, result)

    async def _ended(self, batch: Batch, status: Status, output: str = "", errors: str = "") -> Batch:
        fault = LineFault("key_revoked", _REVOKED) if status is Status.FAILED else None

        def change(now: Batch) -> Batch:
            if now.status.has_ended:
                return now
            now = replace(self._counted(now), output=output, errors_file=errors, faults=now.faults + ((fault,) if fault else ()))
            return now.at(status, self._with.clock.time_ns())

        return await self._with.queue.edit(batch.kind, batch.id, change) or batch

    async def _clear(self, batch: Batch) -> None:
        """What the batch needed to run can go."""
        await self._with.queue.forget(self.job)
        for epoch in range(1, self.job.epoch + 1):
            self._with.files.path(f"{batch.id}.{epoch}.results").unlink(missing_ok=True)
        for ending in ("input", "handed"):
            self._with.files.path(f"{batch.id}.{ending}").unlink(missing_ok=True)

    # -- lines

    async def _lines(self, batch: Batch, input: Input, journal: Journal, elsewhere: set[int]) -> None:
        def unanswered() -> Iterator[int]:
            return (number for number in range(len(input)) if number not in journal.done and number not in elsewhere)

        try:
            if self.job.rests_until_ns:  # whatever the batch waited for may still be so: one line finds out
                await self._lane(batch, input, journal, unanswered(), most=1)
            async with asyncio.TaskGroup() as group:
                numbers = unanswered()
                kept = [group.create_task(self._lane(batch, input, journal, numbers)) for _ in range(self._with.lanes)]
                await asyncio.gather(*kept)
        except* LedgerError:
            self._rest_seconds = _FULL_SECONDS

    async def _lane(self, batch: Batch, input: Input, journal: Journal, numbers: Iterator[int], most: int | None = None) -> None:
        for number in numbers:
            if self._has_to_stop:
                return
            line = await asyncio.to_thread(_read, batch, input, number)
            result = await self._line(batch, line, number)
            if result is not None:
                await self._keep(journal, result)
            if most is not None:
                return

    @property
    def _has_to_stop(self) -> bool:
        return self._stop is not None or self._rest_seconds is not None

    async def _line(self, batch: Batch, line: Line, number: int) -> Result | None:
        """``None`` where the batch stops or rests before the line has a result."""
        for tried in range(1, _TRIES + 1):
            async with self._with.places:
                while self._with.busy() and not self._has_to_stop:
                    await self._with.clock.sleep(_BUSY_SECONDS)
                self._look(batch)
                key = self._key(batch)
                if self._has_to_stop or key is None:
                    return None
                said = await ask(self._with.gateway, batch, line, number, as_it_stands(batch.caller, key))
            match said:
                case Result():
                    return said
                case Rest(seconds=seconds):
                    self._rest_seconds = max(self._rest_seconds or 0.0, seconds)
                    return None
                case Again(result=result) if tried == _TRIES:
                    return result
                case Again(seconds=seconds):
                    await self._pause(max(seconds, _WAIT_SECONDS * 2**tried))
        return None

    async def _pause(self, seconds: float) -> None:
        """An upstream may ask for an hour; a batch that has to stop waits no longer."""
        clock = self._with.clock
        until = clock.monotonic() + seconds
        while not self._has_to_stop and (left := until - clock.monotonic()) > 0:
            await clock.sleep(min(left, _BEAT_SECONDS))

    # -- the report

    async def _report(self, batch: Batch, input: Input, journal: Journal) -> Batch:
        """Write the files that the client reads, whole, before the status says that they are there."""
        is_whole = len(journal.done) == len(input)
        status = Status.COMPLETED if self._stop is None or (is_whole and self._stop is not Status.CANCELLED) else self._stop
        if status is Status.COMPLETED:

            def finalizing(now: Batch) -> Batch:
                return now.at(Status.FINALIZING, self._with.clock.time_ns()) if now.status is Status.IN_PROGRESS else now

            batch = await self._with.queue.edit(batch.kind, batch.id, finalizing) or batch
        await asyncio.to_thread(self._fill, batch, input, journal, status)
        return await self._ended(batch, status, *await self._files(batch, journal))

    def _fill(self, batch: Batch, input: Input, journal: Journal, status: Status) -> None:
        """A result for each line that has none."""
        for number in range(len(input)):
            if number in journal.done:
                continue
            line = _read(batch, input, number)
            if status in _FILL:
                journal.add(Result(number, line.custom_id, _FILL[status]))
            else:
                journal.add(errored(batch, line.custom_id, number, Unauthenticated(_REVOKED)))

    async def _files(self, batch: Batch, journal: Journal) -> tuple[str, str]:
        """The ids of the files with results and with errors; Anthropic's results are one file. Empty for a file without a line."""
        if batch.flavour == "anthropic":
            return await self._file(batch, f"{batch.id}.out", journal, lambda _: True), ""
        good = await self._file(batch, f"file-{batch.id.removeprefix('batch_')}o", journal, _is_good)
        return good, await self._file(
            batch, f"file-{batch.id.removeprefix('batch_')}e", journal, lambda result: not _is_good(result)
        )

    async def _file(self, batch: Batch, id: str, journal: Journal, wanted: Callable[[Result], bool]) -> str:
        mark = batch.id.rpartition("_")[2]
        rows = (told(result, batch.flavour, f"batch_req_{mark}_{result.number}") for result in journal.results() if wanted(result))
        files = self._with.files
        async with files.making(f"{id}.part") as part:
            count = await asyncio.to_thread(write_all, rows, part)
            if batch.flavour == "anthropic":
                files.path(f"{id}.part").replace(files.path(id))
                return id
            if not count:
                return ""
            name = f"{batch.id}_{'output' if id.endswith('o') else 'error'}.jsonl"
            await files.publish(id, name, "batch_output", batch.caller, seconds=batch.output_seconds)
        return id


def _read(batch: Batch, input: Input, number: int) -> Line:
    line = read_line(input.read(number), number + 1, batch.endpoint)
    assert isinstance(line, Line)  # it was checked
    return line


def _is_good(result: Result) -> bool:
    return result.ending is Ending.SUCCEEDED
