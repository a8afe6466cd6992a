"""The response cache as the official SDKs meet it: what is in the body, what in the headers, whole and streamed."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from tests.support.serving import openai_door, serving

from trimtab.config import Cache
from trimtab.lab.faults import FaultyUpstream, speak

ASKED: Any = [{"role": "user", "content": "Hi"}]
KEPT = Cache(ttl_seconds=60, max_bytes=1 << 20)


async def test_openai_gets_it_again_whole_and_streamed_with_no_usage() -> None:
    async with FaultyUpstream(speak("one two three")) as upstream:
        async with serving([openai_door("door", upstream.url)], cache=KEPT) as running:
            door = running.openai().chat.completions
            made = await door.with_raw_response.create(model="auto", messages=ASKED)
            again = await door.with_raw_response.create(model="auto", messages=ASKED)
            assert (made.headers.get("x-trimtab-cache"), again.headers.get("x-trimtab-cache")) == (None, "hit")
            first, second = made.parse(), again.parse()
            assert second.choices[0].message.content == first.choices[0].message.content
            assert first.usage is not None
            assert second.usage is not None
            assert (first.usage.total_tokens > 0, second.usage.total_tokens) == (True, 0)
            assert second.id not in (first.id, "")
            stream = await door.create(model="auto", messages=ASKED, stream=True, stream_options={"include_usage": True})
            assert stream.response.headers["x-trimtab-cache"] == "hit"
            chunks = [chunk async for chunk in stream]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            assert text == first.choices[0].message.content
            assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [0]
            assert len(upstream.exchanges) == 1
        outcomes = [record.outcome for record in await running.records()]
        assert sorted((found.cached, found.cost == 0, len(found.attempts)) for found in outcomes if found) == [
            (False, False, 1),
            (True, True, 0),
            (True, True, 0),
        ]


async def test_anthropic_gets_the_whole_of_what_was_streamed() -> None:
    async with FaultyUpstream(speak("one two three")) as upstream:
        async with serving([openai_door("door", upstream.url)], cache=KEPT) as running:
            client = running.anthropic()
            async with client.messages.stream(model="auto", max_tokens=9, messages=ASKED) as stream:
                made = await stream.get_final_message()
            again = await client.messages.with_raw_response.create(model="auto", max_tokens=9, messages=ASKED)
            assert again.headers["x-trimtab-cache"] == "hit"
            whole = await again.parse()
            assert [block.to_dict() for block in whole.content] == [block.to_dict() for block in made.content]
            assert (whole.stop_reason, whole.usage.input_tokens, whole.usage.output_tokens) == (made.stop_reason, 0, 0)
            async with client.messages.stream(model="auto", max_tokens=9, messages=ASKED) as stream:
                assert (await stream.get_final_text()) == made.content[0].to_dict()["text"]
            assert len(upstream.exchanges) == 1


@pytest.mark.parametrize(("header", "asked"), [("no-store", 3), ("refresh", 3)])
async def test_the_client_may_do_without(header: str, asked: int) -> None:
    async with FaultyUpstream(speak("one")) as upstream:
        async with serving([openai_door("door", upstream.url)], cache=KEPT) as running:
            door = running.openai().chat.completions
            for headers in ({}, {"x-trimtab-cache": header}, {"x-trimtab-cache": header}):
                raw = await door.with_raw_response.create(model="auto", messages=ASKED, extra_headers=headers)
                assert "x-trimtab-cache" not in raw.headers
            assert len(upstream.exchanges) == asked


async def test_an_unknown_way_is_refused_with_the_known_ones() -> None:
    async with FaultyUpstream(speak("one")) as upstream:
        async with serving([openai_door("door", upstream.url)], cache=KEPT) as running:
            odd = {"x-trimtab-cache": "sometimes"}
            with pytest.raises(openai.BadRequestError, match="no-store, refresh"):
                await running.openai().chat.completions.create(model="auto", messages=ASKED, extra_headers=odd)
            with pytest.raises(anthropic.BadRequestError, match="no-store, refresh"):
                await running.anthropic().messages.create(model="auto", max_tokens=9, messages=ASKED, extra_headers=odd)
