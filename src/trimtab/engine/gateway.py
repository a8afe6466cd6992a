"""The one request path.

``handle`` takes a decoded request and gives back frames. It knows nothing of HTTP, of bytes, nor of how anything is stored. A non-streaming
answer takes the same path as a stream: it is a stream of one frame.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import msgspec
from msgspec import Struct

from trimtab.config import RoutingConfig
from trimtab.core.catalog import Deployment
from trimtab.core.decision import Ask, Decision, Signals, Wish
from trimtab.core.errors import (
    AttemptsExhausted,
    BudgetExhausted,
    EgressRefused,
    NoDeployment,
    ProviderError,
    RequestError,
    TrimtabError,
    UnknownModel,
)
from trimtab.core.events import Frame
from trimtab.core.messages import Request
from trimtab.core.record import OutcomeKind
from trimtab.core.units import Clock, Deadline
from trimtab.engine.admission import Budget, Caller
from trimtab.engine.failover import Failover, Opened
from trimtab.engine.recorder import Entry, Recorder
from trimtab.providers import Provider
from trimtab.routing.fleet import Fleet
from trimtab.routing.policy import Policy, decide
from trimtab.signals import sense
from trimtab.store import Ledger
from trimtab.telemetry import Metrics

_WISHES = {wish.value: wish for wish in Wish}
UNKNOWN = "(unknown)"
"""How a model that nobody serves stands in the record: its name is the client's text, and may be anything."""

_BEYOND = frozenset({"capability", "context_window"})
"""Constraints that the request itself breaks, wherever it is sent."""

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


class Gateway:
    """Everything between a decoded request and the frames of its answer."""

    def __init__(
        self,
        *,
        policy: Policy,
        deployments: Mapping[str, Deployment],
        providers: Mapping[str, Provider],
        ledger: Ledger,
        budget: Budget,
        metrics: Metrics,
        clock: Clock,
        routing: RoutingConfig,
    ) -> None:
        self.policy = policy
        self.deployments = deployments
        self._names = {name for each in deployments.values() for name in (each.id, each.model, each.card.name)}
        self.metrics = metrics
        self.budget = budget
        self.fleet = Fleet(clock)
        self._clock = clock
        self._max_attempts = routing.max_attempts
        self._usual_output = routing.output_tokens
        self._recorder = Recorder(ledger, budget, metrics, clock)
        self._failover = Failover(deployments, providers, self.fleet, clock)

    def consider(self, request: Request, caller: Caller) -> Decision:
        """What would be done with ``request``, without doing it."""
        signals = sense(request, caller.labels, usual_output=self._usual_output)
        wish = _WISHES.get(request.model)
        ask = Ask(
            wish=wish or Wish.AUTO,
            named=None if wish else request.model if request.model in self._names else UNKNOWN,
            latency=caller.latency,
            task=caller.task,
            dialect=request.dialect,
            budget_left=self.budget.left(),
        )
        return decide(self.policy, ask, signals, self.fleet.snapshot())

    @asynccontextmanager
    async def handle(self, request: Request, caller: Caller) -> AsyncIterator[Reply]:
        """Answer ``request``. Entering returns when a deployment has begun to answer, or raises why none did.

        Once entered, ``frames`` raises :class:`ProviderError` if the upstream fails in the middle. Leaving early cancels the upstream.
        Whatever happens, the ledger gets one outcome.
        """
        decision = self.consider(request, caller)
        entry = self._recorder.open(request, caller, decision)
        try:
            if not decision.plan:
                raise self._refusal(decision, request.model)
            cleared = _cleared(request, decision.signals)
            deadline = Deadline(self._clock.monotonic() + min(_REQUEST_SECONDS, caller.seconds or _REQUEST_SECONDS))
            async with self._failover.first_accepted(cleared, entry, budget=self._max_attempts, deadline=deadline) as opened:
                if request.stream:  # a whole answer waits for its outcome, and that stands behind the intent
                    await entry.intent_kept()
                async with aclosing(_tell(opened, entry)) as frames:
                    yield Reply(entry.id, decision, opened.deployment, frames)
        except TrimtabError as error:
            error.decision_id = entry.id if entry.is_kept else ""
            entry.close(_outcome_of(error), error.code)
            raise
        except ClientGone:
            raise
        except Exception as error:
            entry.close(OutcomeKind.FAILED, type(error.__cause__ or error).__name__)
            raise
        finally:
            # Reached unclosed only when the client has left: the record is handed over without waiting.
            entry.close(OutcomeKind.COMPLETE if entry.finished else OutcomeKind.CANCELLED)

    def _refusal(self, decision: Decision, model: str) -> TrimtabError:
        error = _why_empty(decision, model, list(self.deployments))
        if isinstance(error, NoDeployment) and any(rejected.constraint == "availability" for rejected in decision.rejected):
            error.retry_after = self.fleet.wait()
        return error


async def _tell(opened: Opened, entry: Entry) -> AsyncGenerator[Frame]:
    """Pass frames on, and hold the last one until the outcome is committed."""
    try:
        async for frame in opened.frames:
            if frame.is_last:
                await entry.close(OutcomeKind.COMPLETE)
            yield frame
    except TrimtabError as error:
        error.decision_id = entry.id
        entry.close(OutcomeKind.PARTIAL, error.detail or error.kind if isinstance(error, ProviderError) else error.code)
        raise


def _cleared(request: Request, signals: Signals) -> Request:
    """The request with its sensitivity as read: until here it counted as unreadable."""
    return msgspec.structs.replace(request, sensitivity=signals.sensitivity)


def _outcome_of(error: TrimtabError) -> OutcomeKind:
    refused = isinstance(error, NoDeployment | EgressRefused | BudgetExhausted | RequestError)
    return OutcomeKind.REFUSED if refused else OutcomeKind.FAILED


def _why_empty(decision: Decision, model: str, names: list[str]) -> TrimtabError:
    """Why the plan is empty, as the error that tells the client most."""
    reasons = {rejected.deployment: rejected.reason for rejected in decision.rejected if rejected.constraint != "model"}
    rules = {rejected.constraint for rejected in decision.rejected if rejected.constraint != "model"}
    if decision.ask.named is not None and not rules:
        shown = model if len(model) <= 100 else f"{model[:100]}..."
        near = difflib.get_close_matches(shown, [*names, *_WISHES], n=3)
        ask_for = f"Did you mean {', '.join(near)}? " if near else ""
        return UnknownModel(f"No model {shown!r} is deployed here.", param="model", hint=f"{ask_for}GET /v1/models lists what is.")
    if not rules:
        return NoDeployment(
            "No deployment is configured.",
            hint="Add a [[deployment]] or a [[local]] model, or set [starters] enabled = true and a provider's key in the environment.",
        )
    summary = " ".join(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
    if rules <= _BEYOND:
        return RequestError(
            f"No deployment here can do what the request asks. {summary}", hint="GET /v1/models lists what each can do."
        )
    if rules <= {"budget", "zone", *_BEYOND} and "budget" in rules:
        return BudgetExhausted(
            f"The budget of the day is spent. {summary}", reasons=reasons, hint="Raise [budget] usd_per_day, or wait."
        )
    if "zone" in rules:
        classes = ", ".join(sorted(decision.signals.sensitivity))
        return NoDeployment(
            f"The request carries data of class {classes}, and no deployment that may see it can answer. {summary}",
            reasons=reasons,
            hint="Add a deployment in an admitted zone, or change the [boundary] table.",
        )
    return NoDeployment(f"No deployment can answer now. {summary}", reasons=reasons, hint="Try again later.")


def exhausted(error: TrimtabError) -> bool:
    """True when the gateway has done all that retrying can do, so that a client's own retries would only multiply the load."""
    if isinstance(error, NoDeployment):
        return error.retry_after is None
    return isinstance(error, AttemptsExhausted | EgressRefused | BudgetExhausted | ProviderError)
