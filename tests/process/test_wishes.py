"""Labels, wishes and names, through the official SDK to a fleet of three tiers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import openai
import pytest
import pytest_asyncio
from tests.support.process import Server, server

from trimtab.lab.faults import FaultyUpstream, speak

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

ROW = """
[[deployment]]
id = "{id}"
provider = "vllm"
model = "{id}-model"
base_url = "{url}/v1"
tier = "{tier}"
zone = "any"
price = {{ input = 0, output = {price} }}

[[card]]
name = "{id}-model"
context_window = 32_768
ability = {{ score = {ability}, benchmark = "made up", questions = 100, source = "this test" }}
"""
FLEET = (("home", "self_hosted", 0, 0.30), ("rented", "managed", 10, 0.63), ("famous", "closed", 60, 0.95))
"""Id, tier, USD per million output tokens, ability.

For a plain question (complexity 0.35, 512 tokens expected, a wrong answer at 0.05 USD) that is in thousandths of a USD, tokens + wrong
answer + wait at the speed assumed of the tier, once known at most that:

=======  ========================  =====================  ===========================  ==========================
row      auto                      auto:cheap             auto:best                    auto:fast
=======  ========================  =====================  ===========================  ==========================
home     0 + 24.5 + 13.1 = 37.6    0 + 1.2 + 3.3 = 4.5    0 + 245 + 6.6 = 252          0 + 4.9 + 262 = 267
rented   5.1 + 13 + 6.9 = 25       5.1 + .6 + 1.7 = 7.4   .3 + 130 + 3.5 = 134         5.1 + 2.6 + 138 = 146
famous   30.7 + 1.8 + 9.3 = 41.8   30.7 + ... > 30        1.5 + 17.5 + 4.7 = 24        30.7 + .4 + 186 = 217
=======  ========================  =====================  ===========================  ==========================
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        text = ""
        for id, tier, price, ability in FLEET:
            upstream = await stack.enter_async_context(FaultyUpstream(speak(f"I am {id}.")))
            text += ROW.format(id=id, url=upstream.url, tier=tier, price=price, ability=ability)
        yield await stack.enter_async_context(server(tmp_path_factory.mktemp("home"), text))


async def answered(fleet: Server, model: str, **headers: str) -> str | None:
    answer = await fleet.openai().chat.completions.create(
        model=model, messages=[{"role": "user", "content": "What is the capital of France?"}], extra_headers=headers
    )
    return answer.choices[0].message.content


@pytest.mark.parametrize(
    ("model", "who"),
    [
        ("auto:fast", "rented"),
        ("auto", "rented"),
        ("auto:cheap", "home"),
        ("auto:best", "famous"),
        ("famous", "famous"),
        ("home-model", "home"),
    ],
)
async def test_each_wish_and_name_gets_whom_it_should(fleet: Server, model: str, who: str) -> None:
    assert await answered(fleet, model) == f"I am {who}."


@pytest.mark.parametrize("model", ["auto", "auto:best", "famous"])
async def test_personal_data_does_not_leave_to_a_fleet_outside(fleet: Server, model: str) -> None:
    with pytest.raises(openai.InternalServerError) as refused:
        await answered(fleet, model, **{"x-trimtab-sensitivity": "personal"})
    assert refused.value.status_code == 503
    assert "personal" in refused.value.message
    assert "Add a deployment in an admitted zone" in refused.value.message
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.response.headers["x-trimtab-decision"]


async def test_a_public_label_does_not_lower_what_is_found(fleet: Server) -> None:
    with pytest.raises(openai.InternalServerError, match="financial"):
        await fleet.openai().chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": "Charge card 4111 1111 1111 1111 for the order."}],
            extra_headers={"x-trimtab-sensitivity": "public"},
        )


async def test_a_model_that_is_not_deployed_names_the_nearest(fleet: Server) -> None:
    with pytest.raises(openai.NotFoundError, match="Did you mean famous"):
        await answered(fleet, "famos")
