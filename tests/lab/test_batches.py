"""The official SDKs hand batches in to the lab's upstream: what our own providers meet there is what they would meet outside."""

from __future__ import annotations

import json
from typing import Any

from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from trimtab.core.units import Price, Usage
from trimtab.lab.faults import FaultyUpstream, speak

ASKED: Any = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


async def test_openai() -> None:
    async with FaultyUpstream(speak("Fine.")) as upstream:
        upstream.batches.polls = 0
        client = AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="lab", max_retries=0)
        row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ASKED}
        file = await client.files.create(file=json.dumps(row).encode(), purpose="batch")
        made = await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert made.status == "in_progress"
        done = await client.batches.retrieve(made.id)
        assert done.status == "completed"
        assert done.output_file_id is not None
        answer = json.loads((await client.files.content(done.output_file_id)).text)
        assert answer["response"]["body"]["choices"][0]["message"]["content"] == "Fine."


async def test_anthropic() -> None:
    async with FaultyUpstream(speak("Fine.")) as upstream:
        upstream.batches.polls = 0
        client = AsyncAnthropic(base_url=upstream.url, api_key="lab", max_retries=0)
        made = await client.messages.batches.create(requests=[{"custom_id": "a", "params": ASKED}])
        assert made.processing_status == "in_progress"
        assert (await client.messages.batches.retrieve(made.id)).processing_status == "ended"
        (row,) = [row async for row in await client.messages.batches.results(made.id)]
        assert row.result.type == "succeeded"
        assert row.result.message.content[0].type == "text"


@given(*[st.integers(0, 10**12)] * 2, *[st.integers(0, 10**6)] * 2, st.integers(1, 100))
def test_a_discount_is_a_share_of_the_cost(input: int, output: int, asked: int, told: int, percent: int) -> None:
    price, usage = Price(input=input, output=output, version="v"), Usage(input=asked, output=told)
    whole, part = price.cost(usage), price.at(percent).cost(usage)
    assert whole is not None
    assert part is not None
    # each rate is rounded to a nano-USD per million tokens, and each sum to a nano-USD
    assert abs(part - whole * percent / 100) <= 2 + (asked + told) / 2_000_000
