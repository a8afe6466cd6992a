"""Why nobody answered, as the error that tells the client most and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from trimtab.core.decision import Decision, Wish
from trimtab.core.errors import (
    AttemptsExhausted,
    BudgetExhausted,
    EgressRefused,
    Forbidden,
    NoDeployment,
    ProviderError,
    RateLimited,
    RequestError,
    TrimtabError,
    UnknownModel,
)
from trimtab.core.record import OutcomeKind

_NOT_ASKED_FOR = frozenset({"model", "operation"})
"""Constraints of deployments that the client did not mean. Nothing is said of them."""

_BEYOND = frozenset({"capability", "context_window"})
"""Constraints that the request itself breaks, wherever it is sent."""


def why_empty(decision: Decision, model: str, names: Sequence[str]) -> TrimtabError:
    """Why the plan is empty. Deployments that the caller's key may not reach are not named."""
    meant = [row for row in decision.rejected if row.constraint not in _NOT_ASKED_FOR]
    visible = {row.deployment: row.reason for row in meant if row.constraint != "scope"}
    rules = {row.constraint for row in meant} - {"scope"}
    summary = " ".join(f"{name}: {reason}" for name, reason in sorted(visible.items()))
    if not meant:
        return _nothing_meant(decision, model, names)
    if not rules:
        return Forbidden("This key may not reach any deployment that could answer.", hint="Ask for a key with a wider scope.")
    if rules <= _BEYOND:
        return RequestError(
            f"No deployment here can do what the request asks. {summary}", hint="GET /v1/models lists what each can do."
        )
    if rules <= {"budget", "zone", *_BEYOND} and "budget" in rules:
        return BudgetExhausted(
            f"Not enough is left of the budget. {summary}",
            reasons=visible,
            hint="Raise the budget, wait for its next period, or deploy a free model.",
        )
    if "zone" in rules:
        classes = ", ".join(sorted(decision.signals.sensitivity))
        return NoDeployment(
            f"The request carries data of class {classes}, and no deployment that may see it can answer. {summary}",
            reasons=visible,
            hint="Add a deployment in an admitted zone, or change the [boundary] table.",
        )
    return NoDeployment(f"No deployment can answer now. {summary}", reasons=visible, hint="Try again later.")


def _nothing_meant(decision: Decision, model: str, names: Sequence[str]) -> TrimtabError:
    ask = decision.ask
    if ask.named is not None and any(row.constraint == "model" for row in decision.rejected):
        shown = model if len(model) <= 100 else f"{model[:100]}..."
        near = difflib.get_close_matches(shown, [*names, *Wish], n=3)
        ask_for = f"Did you mean {', '.join(near)}? " if near else ""
        return UnknownModel(f"No model {shown!r} is deployed here.", param="model", hint=f"{ask_for}GET /v1/models lists what is.")
    if decision.rejected:
        return RequestError(f"No deployment here does {ask.operation}.", hint="GET /v1/models lists what each can do.")
    return NoDeployment(
        "No deployment is configured.",
        hint="Add a [[deployment]] or a [[local]] model, or set [starters] enabled = true and a provider's key in the environment.",
    )


def outcome_of(error: TrimtabError) -> OutcomeKind:
    refused = isinstance(error, NoDeployment | EgressRefused | BudgetExhausted | RateLimited | RequestError)
    return OutcomeKind.REFUSED if refused else OutcomeKind.FAILED


def exhausted(error: TrimtabError) -> bool:
    """True when the gateway has done all that retrying can do, so that a client's own retries would only multiply the load."""
    if isinstance(error, NoDeployment):
        return error.retry_after is None
    return isinstance(error, AttemptsExhausted | EgressRefused | BudgetExhausted | ProviderError)
