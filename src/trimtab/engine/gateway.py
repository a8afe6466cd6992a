"""The one request path.

``handle`` takes a decoded request and gives back frames. It knows nothing of HTTP, of bytes, nor of how anything is stored. A non-streaming
answer takes the same path as a stream: it is a stream of one frame.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial

import msgspec
from msgspec import Struct

from trimtab.config import RoutingConfig
from trimtab.core.catalog import Deployment
from trimtab.core.decision import Ask, Decision, Signals, Wish
from trimtab.core.errors import (
    BudgetExhausted,
    Forbidden,
    MalformedRequest,
    NoDeployment,
    ProviderError,
    TrimtabError,
)
from trimtab.core.events import Folder, Frame, unfold
from trimtab.core.messages import Dialect, Operation, Request, Response
from trimtab.core.record import OutcomeKind
from trimtab.core.units import Deadline
from trimtab.engine.attempts.failover import Failover, Opened
from trimtab.engine.cache import Question, ResponseCache
from trimtab.engine.caller import Caller
from trimtab.engine.limits import Rates
from trimtab.engine.recorder import Entry, Recorder
from trimtab.engine.refusals import outcome_of, why_empty
from trimtab.providers import Provider
from trimtab.routing.fleet import Fleet
from trimtab.routing.policy import Policy, decide
from trimtab.signals import sense

_WISHES = {wish.value: wish for wish in Wish}
UNKNOWN = "(unknown)"
"""How a model that nobody serves stands in the record: its name is the client's text, and may be anything."""

_REQUEST_SECONDS = 3600.0
"""The longest that one client request may take over all its attempts; each deployment's own total is shorter."""


class ClientGone(Exception):
    """The client has left, or reads no more. Raised into :meth:`Gateway.handle` by whoever listens."""


class Reply(Struct, frozen=True):
    """An answer that has begun. The last frame comes once the outcome is in the ledger, and not before."""

    id: str
    decision: Decision
    deployment: Deployment
    frames: AsyncGenerator[Frame]
    dialect: Dialect
    content_type: str = ""
    cached: bool = False


class Gateway:
    """Everything between a decoded request and the frames of its answer."""

    def __init__(
        self,
        *,
        policy: Policy,
        deployments: Mapping[str, Deployment],
        providers: Mapping[str, Provider],
        recorder: Recorder,
        rates: Rates,
        routing: RoutingConfig,
        cache: ResponseCache | None = None,
    ) -> None:
        self.policy = policy
        self.deployments = deployments
        self._names = {name for each in deployments.values() for name in each.called}
        self.metrics = recorder.metrics
        self.purse = recorder.purse
        self.recorder = recorder
        self.rates = rates
        self._cache = cache
        self._clock = recorder.clock
        self.fleet = Fleet(self._clock)
        self._usual_output = routing.output_tokens
        self._failover = Failover(deployments, providers, self.fleet, self._clock, routing.max_attempts)
        for id in deployments:
            self.metrics.watch_resting(id, partial(self._rests, id))

    def _rests(self, deployment: str) -> bool:
        return bool(self.fleet.snapshot().door(deployment).refusal)

    def consider(self, request: Request, caller: Caller) -> Decision:
        """What would be done with ``request``, without doing it."""
        return self._decide(request, caller, self._sense(request, caller))

    def _sense(self, request: Request, caller: Caller) -> Signals:
        may_lower = caller.scope is None or caller.scope.may_lower
        if caller.lowered and not may_lower:
            raise Forbidden(
                "This key may not lower the sensitivity of a request.",
                hint="Leave x-trimtab-lower out, or use a key whose scope has may_lower.",
            )
        return sense(request, caller.labels, lower=caller.lowered, usual_output=self._usual_output)

    def _decide(self, request: Request, caller: Caller, signals: Signals) -> Decision:
        wish = _WISHES.get(request.model)
        operation = request.dialect.operation
        if wish is not None and operation is Operation.EMBEDDINGS:
            raise MalformedRequest(
                f"model: {request.model} does not choose among embedding models, since their vectors cannot be compared.",
                param="model",
                hint="Name the model. GET /v1/models lists what is deployed.",
            )
        budgets = self.purse.over(caller.place, caller.line, caller.tags)
        ask = Ask(
            wish=wish or Wish.AUTO,
            named=None if wish else request.model if request.model in self._names else UNKNOWN,
            latency=caller.latency,
            task=caller.task,
            dialect=request.dialect,
            operation=operation,
            scope=caller.scope,
            budget_left=self.purse.left(budgets) if budgets else None,
        )
        return decide(self.policy, ask, signals, self.fleet.snapshot())

    @asynccontextmanager
    async def handle(self, request: Request, caller: Caller) -> AsyncIterator[Reply]:
        """Answer ``request``. Entering returns when a deployment has begun to answer, or raises why none did.

        Once entered, ``frames`` raises :class:`ProviderError` if the upstream fails in the middle. Leaving early cancels the upstream.
        Whatever happens, the ledger gets one outcome.
        """
        signals = self._sense(request, caller)
        await self.purse.refresh()
        decision = self._decide(request, caller, signals)
        entry = self.recorder.open(request, caller, decision)
        try:
            if not decision.plan:
                raise self._refusal(decision, request.model)
            cleared = _cleared(request, signals)
            question = None if self._cache is None else self._cache.question(cleared, caller)
            plan = (self.deployments[planned.deployment] for planned in decision.plan)
            if question is not None and (hit := question.answered(plan)) is not None:
                await entry.repeat()
                async with aclosing(_tell_again(hit.response, entry)) as frames:
                    yield Reply(entry.id, decision, hit.deployment, frames, request.dialect, cached=True)
                return
            async with self.rates.entered(caller.chain, signals.input_tokens + signals.output_tokens) as ticket:
                reconsider = partial(self._reconsider, request, caller, entry)
                async with self._failover.first_accepted(cleared, entry, self._deadline(caller), reconsider) as opened:
                    if request.stream:  # a whole answer waits for its outcome, and that stands behind the intent
                        await entry.intent_kept()
                    async with aclosing(_tell(opened, entry, question)) as frames:
                        yield Reply(entry.id, entry.decision, opened.deployment, frames, opened.dialect, opened.content_type)
                if ticket.buckets:
                    ticket.used = entry.tokens_used
        except TrimtabError as error:
            error.decision_id = entry.id if entry.is_kept else ""
            if isinstance(error, BudgetExhausted):
                self.purse.ran_short(entry.budgets)
            entry.close(outcome_of(error), error.code)
            raise
        except ClientGone:
            raise
        except Exception as error:
            entry.close(OutcomeKind.FAILED, type(error.__cause__ or error).__name__)
            raise
        finally:
            # Reached unclosed only when the client has left: the record is handed over without waiting.
            entry.close(OutcomeKind.COMPLETE if entry.finished else OutcomeKind.CANCELLED)

    def _deadline(self, caller: Caller) -> Deadline:
        return Deadline(self._clock.monotonic() + min(_REQUEST_SECONDS, caller.seconds or _REQUEST_SECONDS))

    async def _reconsider(self, request: Request, caller: Caller, entry: Entry) -> None:
        """The money ran out between decision and hold: decide once more, since something may be free. Raises where nothing is."""
        await self.purse.refresh(now=True)
        entry.decision = self._decide(request, caller, entry.decision.signals)
        if not entry.decision.plan:
            raise self._refusal(entry.decision, request.model)

    def _refusal(self, decision: Decision, model: str) -> TrimtabError:
        error = why_empty(decision, model, list(self.deployments))
        if isinstance(error, NoDeployment) and any(rejected.constraint == "availability" for rejected in decision.rejected):
            error.retry_after = self.fleet.wait()
        return error


async def _tell(opened: Opened, entry: Entry, question: Question | None) -> AsyncGenerator[Frame]:
    """Pass frames on, and hold the last one until the outcome is committed."""
    folder = None if question is None else Folder()
    try:
        async for frame in opened.frames:
            if folder is not None:
                folder.add(frame.events)
            if frame.is_last:
                await entry.close(OutcomeKind.COMPLETE)
                if question is not None and folder is not None:
                    question.keep(opened.deployment, folder.response())
            yield frame
    except TrimtabError as error:
        error.decision_id = entry.id
        entry.close(OutcomeKind.PARTIAL, error.detail or error.kind if isinstance(error, ProviderError) else error.code)
        raise


async def _tell_again(response: Response, entry: Entry) -> AsyncGenerator[Frame]:
    """An answer from the cache, as if it came from upstream: its last frame, too, waits for the outcome."""
    for event in unfold(response):
        frame = Frame((event,))
        if frame.is_last:
            await entry.close(OutcomeKind.COMPLETE)
        yield frame


def _cleared(request: Request, signals: Signals) -> Request:
    """The request with its sensitivity as read: until here it counted as unreadable."""
    return msgspec.structs.replace(request, sensitivity=signals.sensitivity)
