"""One USD, a thousand requests at once, two server processes over one file: what was spent and what was refused add up."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from openai import APIStatusError, AsyncOpenAI
from tests.support.process import Server

from trimtab.core.accounts import Period
from trimtab.core.units import USD
from trimtab.engine.limits.purse import CONFIG_BUDGET, period_start
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.lab.upstream.answers import Answer
from trimtab.store import Filter

pytestmark = pytest.mark.process

CONFIG = """
[starters]
enabled = false

[server]
max_concurrency = 2000

[routing]
output_tokens = 100

[budget]
usd_per_day = 1.0

[[deployment]]
id = "dear"
provider = "vllm"
model = "dear"
base_url = "{dear}/v1"
zone = "any"
# A hundred tokens are expected and held, 0.02 USD: fifty requests fit into the budget.
price = {{ input = 0, output = 200 }}

[[deployment]]
id = "free"
provider = "vllm"
model = "free"
base_url = "{free}/v1"
zone = "any"
price = {{ input = 0, output = 0 }}
"""


async def ask(client: AsyncOpenAI, model: str, number: int) -> str:
    try:
        answer = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": f"Question {number}."}], max_tokens=100
        )
    except APIStatusError as error:
        return str(error.body["code"]) if isinstance(error.body, dict) else ""
    return str(answer.choices[0].message.content)


async def gone(each: Server) -> None:
    if each.process is not None and each.process.returncode is None:
        await each.kill()


HELD = USD // 50
"""A hundred tokens at 200 USD a million: as many are expected of every answer."""


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("tokens", [100, 150], ids=["as expected", "dearer than expected"])
@pytest.mark.timeout(180)
async def test_a_budget_holds_under_a_thousand_requests_at_once(tmp_path: Path, processes: int, tokens: int) -> None:
    says = speak(Answer(text=("hello",), output_tokens=tokens))
    async with FaultyUpstream(says) as dear, FaultyUpstream(speak("hello")) as free:
        config = CONFIG.format(dear=dear.url, free=free.url)
        async with AsyncExitStack() as stack:
            servers = [Server(tmp_path, config) for _ in range(processes)]
            for each in servers:
                await each.start()
                stack.push_async_callback(gone, each)
            clients = [each.openai().with_options(timeout=120) for each in servers]
            said = await asyncio.gather(*(ask(clients[number % processes], "dear", number) for number in range(1000)))
            still_free = await asyncio.gather(*(ask(clients[number % processes], "free", number) for number in range(20)))
            either = await ask(clients[0], "auto", 0)
            assert [await each.stop() for each in servers] == [0] * processes
        assert set(said) == {"hello", "budget_exhausted"}
        assert said.count("hello") == len(dear.exchanges)
        assert {*still_free, either} == {"hello"}
    ledger = await servers[0].ledger()
    spent = (await ledger.totals(Filter(deployment="dear"))).cost
    period = period_start(Period.DAY, time.time_ns())
    counted = (await ledger.spending([(CONFIG_BUDGET, period)]))[CONFIG_BUDGET, period]
    await ledger.aclose()
    assert (counted.spent, counted.held) == (spent, 0)
    assert spent == len(dear.exchanges) * HELD * tokens // 100
    # Overshot by no more than what the answers under way cost beyond what was held for them; and all of it was used.
    under_way = USD // HELD
    assert USD - HELD < spent <= USD + under_way * HELD * max(0, tokens - 100) // 100
