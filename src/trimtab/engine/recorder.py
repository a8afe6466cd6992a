"""What is written down about a request while it runs.

An :class:`Entry` hands its intent to the ledger when the first attempt starts and its outcome when the last one ends, once,
whatever happens in between. It prices and it counts; it decides nothing and never reads content beyond its length.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from trimtab.core.accounts import Budget
from trimtab.core.catalog import Deployment, Tier
from trimtab.core.decision import Decision, Signals
from trimtab.core.errors import ProviderError
from trimtab.core.events import (
    Finished,
    Frame,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    merge_usage,
)
from trimtab.core.messages import Request
from trimtab.core.record import Attempt, Intent, Outcome, OutcomeKind
from trimtab.core.units import Clock, NanoUSD, Price, Usage
from trimtab.engine.caller import Caller
from trimtab.engine.clock import new_id
from trimtab.engine.limits.purse import HOLD_SECONDS, Purse
from trimtab.store import Ledger
from trimtab.telemetry import Metrics

NOTHING = Usage(input=0, output=0)
_BYTES_PER_TOKEN = 4
"""Only for answers whose provider sent no usage; such counts are marked as estimated."""


class Billed(Struct, frozen=True):
    """What of a deployment an attempt is written down under: kept where it may be another, or none, by the time its answer comes."""

    id: str
    model: str
    tier: Tier
    zone: str
    price: Price | None

    @classmethod
    def of(cls, deployment: Deployment) -> Billed:
        return cls(deployment.id, deployment.model, deployment.tier, deployment.zone, deployment.price)


class AttemptLog:
    """One upstream try, in the making."""

    def __init__(self, deployment: Deployment | Billed, clock: Clock, input_tokens: int) -> None:
        self._deployment = deployment
        self.upstream_id = ""
        self.lost: tuple[str, ...] = ()
        self.credential = ""
        self.ended = False
        self._has_content = False
        self._clock = clock
        self._input_tokens = input_tokens
        self._started_ns = clock.time_ns()
        self._started = clock.monotonic()
        self._first_token_us: int | None = None
        self._model = deployment.model
        self._finish: str | None = None
        self._choices: set[int] = set()
        self._reported = Usage()
        self._answer_bytes = 0
        self._can_estimate = True

    def see(self, frame: Frame) -> None:
        if frame.has_content:
            self._has_content = True
            # An answer that comes whole does not tell when its first token was made.
            if self._first_token_us is None and not frame.is_last:
                self._first_token_us = self._elapsed_us()
        for event in frame.events:
            match event:
                case TextDelta(text=text) | ReasoningDelta(text=text) | RefusalDelta(text=text):
                    self._answer_bytes += _size(text)
                case ToolCallDelta(arguments=arguments):
                    self._answer_bytes += _size(arguments)
                case Finished(reason=reason, choice=choice):
                    self._finish = reason
                    self._choices.add(choice)
                case UsageReported(usage=usage):
                    self._reported = merge_usage(self._reported, usage)
                case Started(model=model) if model:
                    self._model = model
                case OpaqueDelta():
                    self._can_estimate = False
                case _:
                    continue

    def _elapsed_us(self) -> int:
        return round((self._clock.monotonic() - self._started) * 1_000_000)

    def _usage(self, failure: ProviderError | None) -> Usage:
        """What the provider reported; nothing, where it surely did nothing; else our estimate, marked as one.

        The length of an image, of a recording, of a part that we do not know says nothing about tokens: what is missing stays unknown.
        """
        known = self._reported
        if known.input is not None and known.output is not None:
            return known
        never_ran = failure is not None and not self._has_content and not failure.may_be_billed
        if never_ran:
            return NOTHING
        if not self._can_estimate:
            return known
        estimate = Usage(input=self._input_tokens, output=-(-self._answer_bytes // _BYTES_PER_TOKEN), estimated=True)
        return msgspec.structs.replace(merge_usage(estimate, known), estimated=True)

    @property
    def choices_finished(self) -> int:
        return len(self._choices)

    def end(self, failure: ProviderError | None) -> Attempt:
        self.ended = True
        usage, price = self._usage(failure), self._deployment.price
        return Attempt(
            deployment=self._deployment.id,
            model=self._model,
            tier=self._deployment.tier,
            zone=self._deployment.zone,
            started_ns=self._started_ns,
            first_token_us=self._first_token_us,
            total_us=self._elapsed_us(),
            failure=failure.kind if failure else None,
            detail=failure.detail if failure else "",
            upstream_status=failure.upstream_status if failure else None,
            upstream_id=self.upstream_id or (failure.upstream_id if failure else ""),
            credential=self.credential,
            finish_reason=self._finish,
            usage=usage,
            cost=NanoUSD(0) if usage == NOTHING else price.cost(usage) if price else None,
            price_version=price.version if price else None,
            lost=self.lost,
        )


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


class Entry:
    """One request's place in the ledger."""

    def __init__(self, recorder: Recorder, request: Request, caller: Caller, decision: Decision) -> None:
        self.decision = decision
        self.attempts: list[Attempt] = []
        self._recorder = recorder
        self._request = request
        self._caller = caller
        self._opened_ns = recorder.clock.time_ns()
        self.id = new_id(self._opened_ns)
        self._row: Intent | None = None
        self._intent: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None
        self.budgets = recorder.purse.over(caller.place, caller.line, caller.tags)
        self._held = 0
        self.finished = False
        """The model's whole answer has passed through here."""
        self.cached = False

    async def begin(self, deployment: Deployment, hold_seconds: int = HOLD_SECONDS) -> AttemptLog:
        """Start an attempt and hold its expected cost: each may be billed. The first one hands over the intent.

        Raises :class:`BudgetExhausted` when that does not fit into a budget any more. While the ledger is known to fail, the intent's
        commit is waited for, so that nothing is sent, and so paid for, of which nothing is known.
        """
        if self.budgets:
            expected = expected_cost(deployment, self.decision.signals)
            await self._recorder.purse.hold(self.id, self.budgets, expected, at_ns=self._opened_ns, seconds=hold_seconds)
            self._held += expected
        if self._intent is None:
            self._hand_over_intent()
        if self._recorder.ledger.statistics().failing:
            await self.intent_kept()
        return AttemptLog(deployment, self._recorder.clock, self.decision.signals.input_tokens)

    async def repeat(self) -> None:
        """The answer comes from the cache: nothing is attempted, and nothing held. Waits for the intent to be committed."""
        self.cached = True
        self._hand_over_intent()
        await self.intent_kept()

    def end(self, attempt: AttemptLog, failure: ProviderError | None) -> Attempt:
        done = attempt.end(failure)
        self.finished = failure is None and attempt.choices_finished >= (self._request.sampling.n or 1)
        self.add(done)
        return done

    def add(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self._recorder.metrics.record_attempt(attempt)

    @property
    def tokens_used(self) -> int | None:
        """By all attempts, once they have ended; ``None`` while or where that is not known."""
        usage = _sums(self.attempts)[0]
        return None if usage.input is None or usage.output is None else usage.input + usage.output

    def _hand_over_intent(self) -> None:
        key = os.urandom(32)
        self._row = Intent(
            id=self.id,
            at_ns=self._opened_ns,
            key_id=self._caller.key_id,
            place=self._caller.place,
            owner=self._caller.owner,
            tags=self._caller.tags,
            decision=self.decision,
            stream=self._request.stream,
            content_digest=hashlib.blake2b(self._request.native, key=key, digest_size=32).hexdigest(),
            content_key=key,
        )
        self._intent = self._recorder.ledger.append(self._row)

    async def intent_kept(self) -> None:
        """Wait until the intent is committed: it went out with the request, so this is rarely a wait."""
        if self._intent is not None:
            await self._intent

    @property
    def is_kept(self) -> bool:
        """Is there a record that ``explain`` can find, as far as we know by now?"""
        intent = self._intent
        return intent is None or not intent.done() or (not intent.cancelled() and intent.exception() is None)

    def close(self, kind: OutcomeKind, error: str = "") -> asyncio.Future[None]:
        """Hand over the outcome; awaiting the result waits for its commit. The first call decides, later ones change nothing."""
        if self._closed is None:
            if self._row is None:
                self._hand_over_intent()
            assert self._row is not None
            total, cost = _sums(self.attempts)
            outcome = Outcome(
                id=self.id,
                at_ns=self._recorder.clock.time_ns(),
                kind=kind,
                attempts=tuple(self.attempts),
                usage=total,
                cost=cost,
                error=error,
                cached=self.cached,
            )
            self._closed = self._recorder.finish(self._row, outcome, self.budgets, self._held, self._caller.trace)
        return self._closed


def expected_cost(deployment: Deployment | Billed, signals: Signals) -> int:
    """Nano-USD; 0 where there is no price."""
    expected = Usage(input=signals.input_tokens, output=signals.output_tokens)
    return (deployment.price.cost(expected) or 0) if deployment.price else 0


def _sums(attempts: list[Attempt]) -> tuple[Usage, NanoUSD | None]:
    """One unknown makes the sum unknown. No attempt at all cost nothing."""
    usage = NOTHING
    cost: int | None = 0
    for attempt in attempts:
        usage = usage + attempt.usage
        cost = None if cost is None or attempt.cost is None else cost + attempt.cost
    return usage, None if cost is None else NanoUSD(cost)


Observer = Callable[[Intent, Outcome, str], None]
"""Is told of every request that has ended, with the trace that its client belongs to (W3C ``traceparent``). It neither waits nor fails."""


class Recorder:
    """Makes entries, and knows where they go."""

    def __init__(self, ledger: Ledger, purse: Purse, metrics: Metrics, clock: Clock, observers: Sequence[Observer] = ()) -> None:
        self.observers = tuple(observers)
        self.ledger = ledger
        self.purse = purse
        self.metrics = metrics
        self.clock = clock

    def open(self, request: Request, caller: Caller, decision: Decision) -> Entry:
        return Entry(self, request, caller, decision)

    def finish(self, intent: Intent, outcome: Outcome, budgets: Sequence[Budget], held: int, trace: str) -> asyncio.Future[None]:
        """Hand over the outcome, tell whoever observes, and settle ``budgets``: an unknown cost charges them what was ``held``."""
        self.metrics.record_request(outcome.kind, intent.decision.ask.dialect)
        kept = self.ledger.append(outcome)
        for observe in self.observers:
            observe(intent, outcome, trace)
        self.purse.settle(intent.id, budgets, held if outcome.cost is None else outcome.cost, at_ns=intent.at_ns)
        return kept
