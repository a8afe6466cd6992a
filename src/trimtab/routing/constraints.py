"""Who may not answer, and why. Each constraint sees one deployment; the first that objects gives the reason.

A constraint knows nothing of the other deployments nor of what anything is worth. Unknown facts admit where a wrong guess costs one failed
attempt (context window), and reject where it could cost a promise (zone, region, money).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec import Struct

from trimtab.core.accounts import Scope
from trimtab.core.catalog import Deployment, Tier
from trimtab.core.decision import Ask, Signals
from trimtab.core.messages import Operation
from trimtab.core.units import Usage, usd
from trimtab.core.zones import Boundary, Sensitivity
from trimtab.routing.fleet import FleetState


class Reason(Struct, frozen=True):
    """``constraint`` is the rule's name, ``sentence`` is for people."""

    constraint: str
    sentence: str


Constraint = Callable[[Deployment, Ask, Signals, FleetState], Reason | None]


def constraints(boundary: Boundary, regions: frozenset[str] | None) -> tuple[Constraint, ...]:
    """All of them, in their fixed order: what the client named, what may be seen, what can be done, what may be spent, what works now."""
    return (operation, model, scope, zone(boundary), capability, context_window, region(regions), budget, availability)


def operation(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
    """What is asked for at all: nobody embeds with a chat model."""
    if ask.operation in deployment.card.operations:
        return None
    return Reason("operation", f"{deployment.card.name} does no {ask.operation}.")


def model(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
    """A client that names a model gets that model, by any name that the deployment is called by, or one that stands in for it."""
    if ask.named is None or ask.named in deployment.called:
        return None
    if ask.named in deployment.stands_in_for and ask.operation is not Operation.EMBEDDINGS:  # another model has other vectors
        return None
    return Reason("model", f"The client asked for {ask.named}.")


def scope(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
    """What the caller's key may reach."""
    return beyond_scope(deployment, ask.scope)


def beyond_scope(deployment: Deployment, allowed: Scope | None) -> Reason | None:
    """``None`` where ``allowed`` reaches the deployment."""
    if allowed is None:
        return None
    if allowed.models is not None and allowed.models.isdisjoint(deployment.called):
        return Reason("scope", "The key may not use this model.")
    if allowed.tiers is not None and deployment.tier not in allowed.tiers:
        return Reason("scope", f"The key may not use tier {deployment.tier}.")
    if allowed.zones is not None and deployment.zone not in allowed.zones:
        return Reason("scope", f"The key may not use zone {deployment.zone}.")
    return None


def zone(boundary: Boundary) -> Constraint:
    """The policy's table, looked up class by class: a zone is admitted when every class that the request carries admits it.

    Where a tool of the request passes on what the deployment reads, whoever that reaches counts as of the outermost zone.
    """
    outermost = boundary.zones[-1] if boundary.zones else ""
    admitted = {carried: frozenset(boundary.admitted((carried,))) for carried in Sensitivity}

    def check(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
        refused = [carried for carried in signals.sensitivity if deployment.zone not in admitted[carried]]
        if refused:
            return Reason("zone", f"Zone {deployment.zone} may not see {_listed(refused)} data.")
        if signals.reaches and (held := [carried for carried in signals.sensitivity if outermost not in admitted[carried]]):
            return Reason("zone", f"{_listed(signals.reaches)} would pass {_listed(held)} data on to others.")
        if not signals.sensitivity:
            return Reason("zone", "Nobody has said what the request carries.")
        return None

    return check


def capability(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
    """Unknown capabilities admit: a wrong guess costs one failed attempt, and the ranking names the guess."""
    able = deployment.card.capabilities
    if able is None or signals.needs <= able:
        return None
    return Reason("capability", f"{deployment.card.name} cannot do {_listed(signals.needs - able)}.")


def context_window(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
    """An unknown window admits: the upstream says so itself when the request does not fit, and the next deployment is tried."""
    window = deployment.card.context_window
    needed = signals.input_tokens + signals.output_tokens
    if window is None or needed <= window:
        return None
    return Reason("context_window", f"About {needed} tokens do not fit into a window of {window}.")


def region(allowed: frozenset[str] | None) -> Constraint:
    """``None`` allows any. A model of one's own is where its owner is, so it needs no region; elsewhere an unknown region is refused."""

    def check(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
        if allowed is None or deployment.region in allowed:
            return None
        if deployment.region is None:
            if deployment.tier is Tier.SELF_HOSTED:
                return None
            return Reason("region", "Its region is not known, and the policy allows only some.")
        return Reason("region", f"The policy does not allow region {deployment.region}.")

    return check


def budget(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
    """What the answer is expected to cost has to fit into what is left. An unknown price never fits, and nothing always does."""
    if ask.budget_left is None:
        return None
    if deployment.price is None:
        return Reason("budget", "Its price is not known, and there is a budget.")
    cost = deployment.price.cost(Usage(input=signals.input_tokens, output=signals.output_tokens)) or 0
    if cost == 0 or cost <= ask.budget_left:
        return None
    return Reason("budget", f"It would cost about {usd(cost)}, and {usd(ask.budget_left)} are left of the budget.")


def availability(deployment: Deployment, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
    refusal = fleet.door(deployment.id).refusal
    return Reason("availability", refusal) if refusal else None


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
