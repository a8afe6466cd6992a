"""Names that the operator gives: several deployments may share one, and others may stand in for it."""

from __future__ import annotations

import msgspec
from tests.routing import fleets

from trimtab.core.catalog import Deployment
from trimtab.core.decision import Ask, Decision
from trimtab.core.messages import Dialect, Operation
from trimtab.lab.clock import ManualClock
from trimtab.routing import decide
from trimtab.routing.fleet import Fleet


def named(id: str, *names: str, stands_in_for: str = "", usd: float = 1.0, operation: Operation = Operation.CHAT) -> Deployment:
    made = fleets.deployment(id, price=fleets.price(usd))
    return msgspec.structs.replace(
        made,
        names=frozenset(names),
        stands_in_for=frozenset({stands_in_for} - {""}),
        card=msgspec.structs.replace(made.card, operations=frozenset({operation})),
    )


def asked(name: str, *fleet: Deployment, operation: Operation = Operation.CHAT) -> Decision:
    policy = fleets.policy(fleet)
    dialect = Dialect.OPENAI_CHAT if operation is Operation.CHAT else Dialect.OPENAI_EMBEDDINGS
    return decide(policy, Ask(named=name, operation=operation, dialect=dialect), fleets.signals(), Fleet(ManualClock()).snapshot())


def planned(decision: Decision) -> list[str]:
    return [row.deployment for row in decision.plan]


def test_a_shared_name_reaches_all_and_the_models_own_name_nobody() -> None:
    fleet = (named("a", "gpt", usd=2), named("b", "gpt", usd=1), named("c", "other"))
    assert planned(asked("gpt", *fleet)) == ["b", "a"]
    assert planned(asked("a", *fleet)) == ["a"]
    assert planned(asked("a-model", *fleet)) == []


def test_who_stands_in_comes_last_however_cheap() -> None:
    fleet = (named("dear", "gpt", usd=60), named("cheap", "small", stands_in_for="gpt", usd=0.01))
    assert planned(asked("gpt", *fleet)) == ["dear", "cheap"]
    assert planned(asked("small", *fleet)) == ["cheap"]


def test_nobody_stands_in_for_vectors() -> None:
    fleet = (
        named("one", "emb", operation=Operation.EMBEDDINGS),
        named("two", "other", stands_in_for="emb", operation=Operation.EMBEDDINGS),
    )
    decision = asked("emb", *fleet, operation=Operation.EMBEDDINGS)
    assert planned(decision) == ["one"]
    assert [(row.deployment, row.constraint) for row in decision.rejected] == [("two", "model")], "not even where the first is gone"
