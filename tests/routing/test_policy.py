from __future__ import annotations

import msgspec
import pytest
from tests.routing.fleets import STRICT, deployment, policy, price, signals

from trimtab.core.catalog import Ability, Capability, Deployment, ModelCard, Tier
from trimtab.core.decision import Ask, Decision, LatencyClass, Wish
from trimtab.core.units import FREE, NanoUSD
from trimtab.core.zones import Sensitivity
from trimtab.routing import Door, FleetState, decide
from trimtab.routing.words import rows

HEALTHY = FleetState()


def planned(decision: Decision) -> list[str]:
    return [step.deployment for step in decision.plan]


def objections(decision: Decision) -> dict[str, str]:
    return {row.deployment: row.constraint for row in decision.rejected}


def test_of_two_equally_able_the_cheaper_is_first() -> None:
    fleet = policy([deployment("dear", price=price(10)), deployment("cheap", price=price(1))])
    assert planned(decide(fleet, Ask(), signals(), HEALTHY)) == ["cheap", "dear"]


def test_a_hard_question_is_worth_an_able_model_and_an_easy_one_is_not() -> None:
    fleet = policy([deployment("able", ability=0.9, price=price(5, 15)), deployment("plain", ability=0.6, price=price(0.1))])
    assert planned(decide(fleet, Ask(), signals(complexity=0.9), HEALTHY))[0] == "able"
    assert planned(decide(fleet, Ask(), signals(complexity=0.1), HEALTHY))[0] == "plain"


def test_the_wishes_pull_in_their_own_direction() -> None:
    fleet = policy(
        [
            deployment("able", ability=0.95, tier=Tier.CLOSED, price=price(10, 30)),
            deployment("cheap", ability=0.3, price=price(0.05)),
            deployment("fast", ability=0.6, price=price(20)),
        ]
    )
    speeds = FleetState({"able": Door(ttft=2, rate=30), "cheap": Door(ttft=3, rate=20), "fast": Door(ttft=0.1, rate=500)})
    firsts = {wish: planned(decide(fleet, Ask(wish=wish), signals(), speeds))[0] for wish in (Wish.BEST, Wish.CHEAP, Wish.FAST)}
    assert firsts == {Wish.BEST: "able", Wish.CHEAP: "cheap", Wish.FAST: "fast"}


def test_waiting_costs_by_latency_class() -> None:
    fleet = policy([deployment("slow", price=price(1)), deployment("quick", price=price(4))])
    speeds = FleetState({"slow": Door(ttft=4, rate=50), "quick": Door(ttft=0.2, rate=200)})
    assert planned(decide(fleet, Ask(latency=LatencyClass.BATCH), signals(), speeds))[0] == "slow"
    assert planned(decide(fleet, Ask(latency=LatencyClass.REALTIME), signals(), speeds))[0] == "quick"


def test_an_unknown_price_counts_as_the_dearest_known_and_says_so() -> None:
    fleet = policy([deployment("known", price=price(7, 9)), deployment("cheap", price=price(1)), deployment("unknown")])
    decision = decide(fleet, Ask(), signals(), HEALTHY)
    scores = {step.deployment: step.score for step in decision.plan}
    assert scores["unknown"].parts == scores["known"].parts
    assert any("price unknown" in words for words in scores["unknown"].assumptions)
    assert not any("price" in words for words in scores["known"].assumptions)


def test_a_fleet_without_any_price_is_not_free() -> None:
    (step,) = decide(policy([deployment("unknown")]), Ask(), signals(), HEALTHY).plan
    assert dict(step.score.parts)["tokens"] > 0


def test_assumed_ability_and_speed_are_named() -> None:
    fleet = policy([deployment("bare", ability=None, price=FREE)])
    (step,) = decide(fleet, Ask(), signals(), HEALTHY).plan
    assert step.score.assumptions == ("ability 0.60 assumed for tier managed", "speed assumed for its tier")
    guessed = ModelCard(name="guessed", capabilities=frozenset(), ability=Ability(0.5, "b", "s", assumed=True))
    fleet = policy([deployment("guess", card=guessed, price=FREE)])
    (step,) = decide(fleet, Ask(), signals(), FleetState({"guess": Door(ttft=1, rate=10)})).plan
    assert step.score.assumptions == ("ability 0.50 is a guess of the catalogue",)


def test_unknown_capabilities_admit_and_are_named_as_a_guess() -> None:
    fleet = policy([deployment("unheard of", card=ModelCard(name="unheard of"))])
    (step,) = decide(fleet, Ask(), signals(needs=(Capability.TOOLS,)), HEALTHY).plan
    assert any("capabilities unknown" in words for words in step.score.assumptions)


@pytest.mark.parametrize("named", ["b", "b-model", "b-card"])
def test_a_named_model_is_honoured_by_every_name_it_has(named: str) -> None:
    decision = decide(policy([deployment("a"), deployment("b")]), Ask(named=named), signals(), HEALTHY)
    assert planned(decision) == ["b"]
    assert objections(decision) == {"a": "model"}


@pytest.mark.parametrize(
    "rejected,constraint,ask,needs,state",
    [
        (deployment("x", zone="local"), "model", Ask(named="other"), (), HEALTHY),
        (deployment("x", zone="eu_processor"), "zone", Ask(), (), HEALTHY),
        (deployment("x", zone="unheard of"), "zone", Ask(), (), HEALTHY),
        (
            deployment("x", zone="local", card=ModelCard(name="blind", capabilities=frozenset())),
            "capability",
            Ask(),
            (Capability.VISION,),
            HEALTHY,
        ),
        (deployment("x", zone="local", card=ModelCard(name="short", context_window=1_399)), "context_window", Ask(), (), HEALTHY),
        (deployment("x", zone="local", region="us"), "region", Ask(), (), HEALTHY),
        (deployment("x", zone="local"), "region", Ask(), (), HEALTHY),
        (deployment("x", zone="local", region="eu"), "budget", Ask(budget_left=NanoUSD(0)), (), HEALTHY),
        (deployment("x", zone="local", region="eu", price=price(1)), "budget", Ask(budget_left=NanoUSD(-1)), (), HEALTHY),
        (deployment("x", zone="local", region="eu"), "availability", Ask(), (), FleetState({"x": Door(refusal="It is down.")})),
    ],
)
def test_each_constraint_rejects_with_its_reason(
    rejected: Deployment, constraint: str, ask: Ask, needs: tuple[Capability, ...], state: FleetState
) -> None:
    fleet = policy([rejected], boundary=STRICT, regions=frozenset({"eu"}))
    decision = decide(fleet, ask, signals(Sensitivity.PERSONAL, needs=needs), state)
    assert objections(decision) == {"x": constraint}
    assert decision.rejected[0].reason.endswith(".")


def test_what_nobody_knows_admits_where_only_an_attempt_is_at_stake() -> None:
    fleet = policy([deployment("x", tier=Tier.SELF_HOSTED, price=FREE)], regions=frozenset({"eu"}))
    decision = decide(fleet, Ask(budget_left=NanoUSD(0)), signals(input_tokens=10**6), HEALTHY)
    assert planned(decision) == ["x"]


def test_no_class_at_all_is_seen_by_nobody() -> None:
    nothing = signals()
    empty = type(nothing)(**{name: getattr(nothing, name) for name in nothing.__struct_fields__} | {"sensitivity": frozenset()})
    assert objections(decide(policy([deployment("x")]), Ask(), empty, HEALTHY)) == {"x": "zone"}


class TestReserve:
    small = deployment("small", reserve=True, ability=0.1, tier=Tier.SELF_HOSTED, zone="local", price=FREE)
    big = deployment("big", price=price(1))

    def test_it_is_held_back_while_others_may_answer(self) -> None:
        decision = decide(policy([self.small, self.big]), Ask(), signals(), HEALTHY)
        assert (planned(decision), objections(decision)) == (["big"], {"small": "reserve"})

    def test_it_answers_what_it_alone_may_see(self) -> None:
        decision = decide(policy([self.small, self.big], boundary=STRICT), Ask(), signals(Sensitivity.SECRET), HEALTHY)
        assert (planned(decision), objections(decision)) == (["small"], {"big": "zone"})

    def test_it_answers_when_the_others_are_down(self) -> None:
        down = FleetState({"big": Door(refusal="It is down.")})
        assert planned(decide(policy([self.small, self.big]), Ask(), signals(), down)) == ["small"]

    def test_it_answers_when_it_is_named_or_speed_is_wished(self) -> None:
        fleet = policy([self.small, self.big])
        assert planned(decide(fleet, Ask(named="small"), signals(), HEALTHY)) == ["small"]
        assert set(planned(decide(fleet, Ask(wish=Wish.FAST), signals(), HEALTHY))) == {"small", "big"}

    def test_it_answers_tasks_that_it_is_certified_for(self) -> None:
        certified = Deployment(
            **{name: getattr(self.small, name) for name in self.small.__struct_fields__} | {"certified_for": frozenset({"triage"})}
        )
        fleet = policy([certified, self.big])
        assert set(planned(decide(fleet, Ask(task="triage"), signals(), HEALTHY))) == {"small", "big"}
        assert planned(decide(fleet, Ask(task="law"), signals(), HEALTHY)) == ["big"]
        assert planned(decide(fleet, Ask(), signals(), HEALTHY)) == ["big"]


def test_what_does_not_fit_into_the_plan_is_spare() -> None:
    decision = decide(policy([deployment(f"d{n}", price=price(n)) for n in range(6)], max_plan=4), Ask(), signals(), HEALTHY)
    assert planned(decision) == ["d0", "d1", "d2", "d3"]
    assert [step.deployment for step in decision.spare] == ["d4", "d5"]


def test_the_table_for_explain_has_a_row_for_everyone_with_figures_or_a_reason() -> None:
    fleet = policy([deployment("a", price=price(1)), deployment("b", price=price(2)), deployment("c", zone="nowhere")], max_plan=1)
    table = rows(decide(fleet, Ask(), signals(), HEALTHY))
    assert [(row.deployment, row.verdict) for row in table] == [("a", "plan 1"), ("b", "spare"), ("c", "rejected")]
    assert table[0].expected.startswith("$0.0")
    assert table[0].parts.count("$") == 3
    assert table[2].reason == "zone: Zone nowhere may not see internal data."


def test_a_tool_that_talks_to_others_takes_along_only_what_anybody_may_see() -> None:
    """The deployment itself may see it; the search engine behind it may not."""
    fleet = policy([deployment("home", zone="local"), deployment("far")], boundary=STRICT)
    for carried, who in ((Sensitivity.INTERNAL, ["home", "far"]), (Sensitivity.HEALTH, [])):
        asked = msgspec.structs.replace(signals(carried), reaches=("web_search",))
        decision = decide(fleet, Ask(), asked, HEALTHY)
        assert sorted(planned(decision)) == sorted(who)
    assert objections(decision) == {"home": "zone", "far": "zone"}
    assert "web_search would pass health data on to others." in {row.reason for row in decision.rejected}
