"""Lines that a provider's own batch carries, at its discount: handed over together, looked after, and collected.

What was handed over stands in a file of the batch's own, so that whoever holds the lease later collects it. Each line has its own
record: the intent is committed before anything is sent, the outcome comes with the answer. Whatever breaks off in between, each line that
was not noted as handed over has an outcome, and runs by itself. Only the death of the process between a provider's yes and our note of it
leaves lines with an intent and no outcome; they run again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from trimtab.core.catalog import Deployment
from trimtab.core.decision import Decision
from trimtab.core.errors import EgressRefused, FailureKind, ProviderError, RefusalError, RequestError
from trimtab.core.events import Frame
from trimtab.core.messages import Request
from trimtab.core.record import Attempt, Outcome, OutcomeKind
from trimtab.core.units import Usage
from trimtab.engine.batches.running.answer import errored, question_of
from trimtab.engine.batches.values import Batch
from trimtab.engine.caller import Caller
from trimtab.engine.gateway import Gateway
from trimtab.engine.recorder import AttemptLog, Billed, Entry, expected_cost
from trimtab.providers import BatchAnswer, BatchLine, BatchProvider
from trimtab.providers.failures import not_sent
from trimtab.telemetry import log
from trimtab.wire.batches import Ending, Line, Result, written

_MOST_LINES = 10_000
_MOST_BYTES = 64 << 20
_HOLD_SECONDS = 30 * 3600
"""Longer than a provider takes for a batch."""

_OUT_OF_REACH = "a provider has lines of a batch, and its deployment is not configured any more: configure it again to collect them"


class Carrier(Struct, frozen=True):
    """A deployment whose provider takes batches, with the price of a line there."""

    deployment: Deployment
    batches: BatchProvider


class Handed(Struct, frozen=True):
    """A batch at a provider. ``records`` has, by request id, number and custom id of the line here.

    ``deployment`` is as it was then: what it answered keeps its price, also where the configuration has another or none by now.
    """

    deployment: Billed
    upstream: str
    records: dict[str, tuple[int, str]]
    is_over: bool = False
    """Everything that came of it was collected, or given up."""


class _Ready(Struct, frozen=True):
    """A line whose intent is written and whose cost is held. It is handed over, or closed."""

    entry: Entry
    attempt: AttemptLog
    number: int
    custom_id: str
    request: Request


class Carrying:
    """One batch's lines at providers, of which ``carriers`` has those that can be reached, by deployment.

    ``path`` is where what was handed over is written down.
    """

    def __init__(self, gateway: Gateway, carriers: Mapping[str, Carrier], batch: Batch, path: Path) -> None:
        self._gateway = gateway
        self._recorder = gateway.recorder
        self._carriers = carriers
        self._batch = batch
        self._path = path
        self._handed: dict[str, Handed] = {}
        self._is_held_back = False
        """A budget or a rate said no: what comes behind waits for it where all lines do."""
        self.was_offered = path.exists()
        if self.was_offered:
            *whole, torn = path.read_bytes().split(b"\n")
            if torn:  # by a crash: what is noted next has a line of its own
                os.truncate(path, sum(len(raw) + 1 for raw in whole))
            for raw in whole:
                one = msgspec.json.decode(raw, type=Handed)
                self._handed[one.upstream] = one

    @property
    def open(self) -> list[Handed]:
        return [one for one in self._handed.values() if not one.is_over]

    def numbers(self) -> set[int]:
        """The lines that nobody else should run."""
        return {number for one in self.open for number, _ in one.records.values()}

    def _note(self, one: Handed) -> None:
        """Here and now: a cancellation finds it noted, or not yet done."""
        with self._path.open("ab") as file:
            file.write(written(one))
        self._handed[one.upstream] = one

    # -- handing over

    async def offer(self, lines: Iterable[tuple[int, Line]], caller: Caller, has_to_stop: Callable[[], bool]) -> None:
        """Hand over every line whose first choice is a carrier. From the first on that a budget or a rate refuses, lines stay behind."""
        self._path.touch(mode=0o600)
        self.was_offered = True
        ready: dict[str, list[_Ready]] = {}
        sizes = Counter[str]()
        try:
            for number, line in lines:
                if has_to_stop():
                    return
                one = await self._ready(number, line, caller)
                if self._is_held_back:
                    break
                if one is None:
                    continue
                id = one.entry.decision.plan[0].deployment
                ready.setdefault(id, []).append(one)
                sizes[id] += len(one.request.native)
                if len(ready[id]) == _MOST_LINES or sizes[id] > _MOST_BYTES:
                    await self._submit(self._carriers[id], ready.pop(id))
                    del sizes[id]
            while ready and not has_to_stop():
                id, some = ready.popitem()
                await self._submit(self._carriers[id], some)
        finally:
            for some in ready.values():
                for one in some:  # nothing was sent, so nothing was spent
                    one.entry.close(OutcomeKind.CANCELLED)

    async def _ready(self, number: int, line: Line, caller: Caller) -> _Ready | None:
        try:
            request = question_of(self._batch, line)
            decision = self._gateway.consider(request, caller)
        except RequestError:
            return None  # it will be told when the line runs by itself
        await asyncio.sleep(0)  # thousands of these in a row would hold up everybody else
        carrier = self._first_choice(decision)
        if carrier is None or not carrier.batches.takes(request):
            return None
        request = replace(request, sensitivity=decision.signals.sensitivity)
        entry = self._recorder.open(request, caller, decision)
        tokens = decision.signals.input_tokens + decision.signals.output_tokens
        try:
            async with self._gateway.rates.entered(caller.chain, tokens):
                attempt = await entry.begin(carrier.deployment, _HOLD_SECONDS)
        except RefusalError:
            self._is_held_back = True
            return None
        except BaseException:
            entry.close(OutcomeKind.CANCELLED)  # whatever is held by now is given back
            raise
        return _Ready(entry, attempt, number, line.custom_id, request)

    def _first_choice(self, decision: Decision) -> Carrier | None:
        return self._carriers.get(decision.plan[0].deployment) if decision.plan else None

    async def _submit(self, carrier: Carrier, some: list[_Ready]) -> None:
        """Whatever happens, each of ``some`` is noted as handed over, or closed."""
        is_out = False
        try:
            for one in some:
                await one.entry.intent_kept()
            is_out = True
            upstream = await carrier.batches.submit(carrier.deployment, [BatchLine(one.entry.id, one.request) for one in some])
            records = {one.entry.id: (one.number, one.custom_id) for one in some}
            self._note(Handed(Billed.of(carrier.deployment), upstream, records))
        except (ProviderError, EgressRefused) as error:
            failure = error if isinstance(error, ProviderError) else not_sent()
            for one in some:
                self._attempted(one, failure)
                one.entry.close(OutcomeKind.FAILED, error.code)
        except BaseException:
            for one in some:
                if is_out:
                    self._attempted(one, None)
                one.entry.close(OutcomeKind.CANCELLED)
            raise

    def _attempted(self, one: _Ready, failure: ProviderError | None) -> None:
        """Nobody knows what a provider makes of lines whose handing over it did not answer: unless it surely did nothing, they may cost."""
        attempt = one.attempt.end(failure)
        if failure is None or failure.may_be_billed:
            attempt = _unknown(attempt)
        one.entry.add(attempt)

    # -- collecting

    async def collect(self, caller: Caller, keep: Callable[[Result], Awaitable[None]]) -> None:
        """Give ``keep`` the results of everything that has ended. Lines that the provider did not get to are open again.

        Raises :class:`ProviderError` where the provider cannot be asked just now.
        """
        for handed in self.open:
            carrier = self._carriers.get(handed.deployment.id)
            if carrier is None:
                log(__name__, _OUT_OF_REACH, level=logging.WARNING, batch=self._batch.id, deployment=handed.deployment.id)
                continue
            if not await carrier.batches.has_ended(carrier.deployment, handed.upstream):
                continue
            left = dict(handed.records)
            async with aclosing(carrier.batches.answers(carrier.deployment, handed.upstream)) as answers:
                async for one in answers:
                    if one.id in left:
                        number, custom_id = left.pop(one.id)
                        await self._settle(handed, one.id, one.answer, caller)
                        result = self._result(one, number, custom_id)
                        if result is not None:
                            await keep(result)
            for id in left:
                await self._settle(handed, id, _unanswered(), caller)
            self._note(replace(handed, is_over=True))

    def _result(self, one: BatchAnswer, number: int, custom_id: str) -> Result | None:
        """``None`` for a line that is to run by itself: the provider, and not the request, is to blame."""
        if isinstance(one.answer, Frame):
            return Result(number, custom_id, Ending.SUCCEEDED, 200, one.id, Raw(one.answer.native))
        if not one.answer.kind.clients_fault:
            return None
        one.answer.decision_id = one.id
        return errored(self._batch, custom_id, number, one.answer)

    async def cancel(self) -> None:
        for handed in self.open:
            carrier = self._carriers.get(handed.deployment.id)
            if carrier is not None:
                await carrier.batches.cancel(carrier.deployment, handed.upstream)

    async def give_up(self, caller: Caller) -> None:
        """Nobody knows what the provider did with what is still open, nor what it cost."""
        for handed in self.open:
            for id in handed.records:
                await self._settle(handed, id, None, caller)
            self._note(replace(handed, is_over=True))

    async def _settle(self, handed: Handed, id: str, answer: Frame | ProviderError | None, caller: Caller) -> None:
        """The outcome of a line whose intent is in the ledger since it was handed over, perhaps by another process."""
        recorder = self._recorder
        record = await recorder.ledger.get(id)
        if record is None or record.outcome is not None:
            return
        intent, now = record.intent, recorder.clock.time_ns()
        attempted = AttemptLog(handed.deployment, recorder.clock, intent.decision.signals.input_tokens)
        if isinstance(answer, Frame):
            attempted.see(answer)
        attempt = attempted.end(answer if isinstance(answer, ProviderError) else None)
        attempt = replace(attempt, started_ns=intent.at_ns, total_us=(now - intent.at_ns) // 1000)
        if answer is None:
            attempt = _unknown(attempt)
        kind = (
            OutcomeKind.COMPLETE if isinstance(answer, Frame) else OutcomeKind.CANCELLED if answer is None else OutcomeKind.FAILED
        )
        outcome = Outcome(
            id=id,
            at_ns=now,
            kind=kind,
            attempts=(attempt,),
            usage=attempt.usage,
            cost=attempt.cost,
            error=attempt.detail or attempt.failure or "",
        )
        recorder.metrics.record_attempt(attempt)
        budgets = recorder.purse.over(intent.place, caller.line, intent.tags)
        await recorder.finish(intent, outcome, budgets, expected_cost(handed.deployment, intent.decision.signals), caller.trace)


def _unknown(attempt: Attempt) -> Attempt:
    return replace(attempt, usage=Usage(), cost=None)


def _unanswered() -> ProviderError:
    return ProviderError(FailureKind.TRANSIENT, "The batch ended without it.", upstream_status=503, detail="batch_unanswered")
