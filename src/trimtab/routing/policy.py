"""The decision: remove whom a constraint objects to, hold back the reserve, sort the rest by expected money.

``decide`` is pure, and the same inputs give the same value byte for byte whatever the order of the configuration.
"""

from __future__ import annotations

from msgspec import Struct

from trimtab.config import Config
from trimtab.core.decision import Ask, Decision, Planned, Rejected, Signals, Wish
from trimtab.core.messages import Operation
from trimtab.routing.constraints import Constraint, Reason, constraints
from trimtab.routing.fleet import FleetState
from trimtab.routing.ranking import Figures, Stakes, figures, score


class Policy(Struct, frozen=True, kw_only=True):
    """A configuration, made ready: everything that does not depend on a request is settled. ``rows`` are in order of id."""

    version: str
    rows: tuple[Figures, ...]
    constraints: tuple[Constraint, ...]
    stakes: Stakes
    max_plan: int


def compile_policy(config: Config) -> Policy:
    routing = config.routing
    fleet = sorted(config.deployments, key=lambda deployment: deployment.id)
    return Policy(
        version=config.policy_hash,
        rows=figures(fleet, routing.tier_ability),
        constraints=constraints(config.boundary, routing.allowed_regions),
        stakes=Stakes(routing.wrong_answer_usd, routing.wait_usd_per_second),
        max_plan=routing.max_plan,
    )


def decide(policy: Policy, ask: Ask, signals: Signals, fleet: FleetState) -> Decision:
    """Every deployment is planned, spare or rejected with a reason. An empty plan is a value and not an error."""
    admitted: list[Figures] = []
    rejected: list[Rejected] = []
    for row in policy.rows:
        reason = _objection(policy, row, ask, signals, fleet)
        if reason is None:
            admitted.append(row)
        else:
            rejected.append(Rejected(row.deployment.id, reason.constraint, reason.sentence))
    admitted, held_back = _reserve(admitted, ask)
    ranked = [Planned(row.deployment.id, score(row, policy.stakes, ask, signals, fleet)) for row in admitted]
    ranked.sort(key=lambda planned: (planned.score.total, planned.deployment))
    if ask.named is not None:
        others = {row.deployment.id for row in admitted if ask.named not in row.deployment.called}
        ranked.sort(key=lambda planned: planned.deployment in others)  # whoever stands in comes last, however cheap
    if ask.operation is Operation.EMBEDDINGS:
        ranked, elsewhere = _one_space(ranked, admitted)
        held_back += elsewhere
    return Decision(
        policy=policy.version,
        ask=ask,
        signals=signals,
        plan=tuple(ranked[: policy.max_plan]),
        spare=tuple(ranked[policy.max_plan :]),
        rejected=tuple(sorted(rejected + held_back, key=lambda row: row.deployment)) if held_back else tuple(rejected),
    )


def _objection(policy: Policy, row: Figures, ask: Ask, signals: Signals, fleet: FleetState) -> Reason | None:
    for constraint in policy.constraints:
        reason = constraint(row.deployment, ask, signals, fleet)
        if reason is not None:
            return reason
    return None


def _one_space(ranked: list[Planned], admitted: list[Figures]) -> tuple[list[Planned], list[Rejected]]:
    """Vectors of two spaces cannot be compared, so whoever stands in for the first has to embed into the same one."""
    spaces = {row.deployment.id: row.deployment.card.embedding_space or row.deployment.card.name for row in admitted}
    first = spaces[ranked[0].deployment] if ranked else ""
    kept = [planned for planned in ranked if spaces[planned.deployment] == first]
    elsewhere = [
        Rejected(planned.deployment, "embedding_space", f"Its vectors are of the space {spaces[planned.deployment]}, not {first}.")
        for planned in ranked
        if spaces[planned.deployment] != first
    ]
    return kept, elsewhere


def _reserve(admitted: list[Figures], ask: Ask) -> tuple[list[Figures], list[Rejected]]:
    """The reserve answers what it alone may answer, a wish for speed, and tasks that it is certified for."""
    if ask.wish is Wish.FAST or all(row.deployment.reserve for row in admitted):
        return admitted, []
    kept: list[Figures] = []
    held_back: list[Rejected] = []
    for row in admitted:
        if row.deployment.reserve and ask.task not in row.deployment.certified_for:
            held_back.append(Rejected(row.deployment.id, "reserve", "It is a reserve, and others may answer this."))
        else:
            kept.append(row)
    return kept, held_back
