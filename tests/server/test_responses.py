"""OpenAI Responses with and without a memory, through the official SDK: any deployment can go on with a conversation, and only its own
place can."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anthropic
import httpx2
import openai
import pytest
import pytest_asyncio
from openai.types.responses import Response
from tests.support.serving import KEY, Running, anthropic_door, openai_door, serving

from trimtab.core.accounts import Scope, VirtualKey
from trimtab.engine.access import NewKey, digest, new_key, rules
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.store import Filter


@pytest_asyncio.fixture(params=["openai", "anthropic"])
async def keeping(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Running, FaultyUpstream]]:
    """A gateway that keeps responses, before an upstream that has never heard of them."""
    async with FaultyUpstream(speak("first"), speak("second")) as upstream:
        door = openai_door if request.param == "openai" else anthropic_door
        async with serving([door("a", upstream.url)], keep_responses=True) as running:
            yield running, upstream


def heard(upstream: FaultyUpstream) -> str:
    return json.dumps(json.loads(upstream.exchanges[-1].request.body), ensure_ascii=False)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_goes_on(keeping: tuple[Running, FaultyUpstream], stream: bool) -> None:
    running, upstream = keeping
    client = running.openai()
    first: Response
    if stream:
        async with client.responses.stream(model="a", input="My dog is called Ada.") as events:
            first = await events.get_final_response()
    else:
        first = await client.responses.create(model="a", input="My dog is called Ada.")
    assert first.output_text == "first"
    second = await client.responses.create(model="a", input="What is she called?", previous_response_id=first.id)
    assert second.output_text == "second"
    sent = heard(upstream)
    assert sent.index("My dog is called Ada.") < sent.index("first") < sent.index("What is she called?")
    assert "previous_response_id" not in sent
    kept = await client.responses.retrieve(second.id)
    assert kept.output_text == "second"
    assert len([record async for record in running.store.scan(Filter())]) == 2


async def test_what_is_not_to_be_kept_is_not(keeping: tuple[Running, FaultyUpstream]) -> None:
    running, _ = keeping
    client = running.openai()
    said = await client.responses.create(model="a", input="Forget this.", store=False)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(said.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="a", input="And?", previous_response_id=said.id)


async def test_a_response_can_be_deleted(keeping: tuple[Running, FaultyUpstream]) -> None:
    running, _ = keeping
    client = running.openai()
    said = await client.responses.create(model="a", input="Hello.")
    await client.responses.delete(said.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(said.id)


async def test_another_place_has_no_part_in_it(keeping: tuple[Running, FaultyUpstream]) -> None:
    running, _ = keeping
    said = await running.openai().responses.create(model="a", input="Our secret plan.")
    book = running.book
    admin = book.actor(f"key:{next(iter(book.directory.all(VirtualKey))).id}")
    other = new_key()
    await book.apply(admin, lambda directory, actor: rules.create_place(directory, actor, "acme"))
    await book.apply(
        admin,
        lambda directory, actor: rules.create_key(
            directory, actor, NewKey(id="other", digest=digest(other), place="acme", scope=Scope())
        ),
    )
    stranger = openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=other, max_retries=0)
    for attempt in (
        stranger.responses.retrieve(said.id),
        stranger.responses.delete(said.id),
        stranger.responses.create(model="a", input="Tell me.", previous_response_id=said.id),
    ):
        with pytest.raises(openai.NotFoundError):
            await attempt
    assert (await running.openai().responses.retrieve(said.id)).id == said.id


async def test_without_a_memory_it_says_how_to_get_one() -> None:
    async with FaultyUpstream(speak("x")) as upstream, serving([openai_door("a", upstream.url)]) as running:
        client = running.openai()
        assert (await client.responses.create(model="a", input="Hello.")).output_text == "x"
        with pytest.raises(openai.BadRequestError, match=r"\[responses\] store = true") as refused:
            await client.responses.create(model="a", input="And?", previous_response_id="resp_1")
        assert refused.value.param == "previous_response_id"
        async with httpx2.AsyncClient(base_url=running.url, headers={"authorization": f"Bearer {KEY}"}) as raw:
            assert (await raw.get("/v1/responses/resp_1")).status_code == 404


async def test_a_label_stays_with_the_conversation() -> None:
    """Said of the first turn alone, and it binds every turn that carries that one along."""
    async with FaultyUpstream(speak("inside")) as at_home, FaultyUpstream(speak("outside")) as outer:
        doors = [openai_door("home", at_home.url, zone="local"), openai_door("outer", outer.url)]
        async with serving(doors, keep_responses=True) as running:
            client = running.openai()
            labelled = {"x-trimtab-sensitivity": "proprietary"}
            said = await client.responses.create(model="auto", input="Project Falcon.", extra_headers=labelled)
            for _ in range(2):
                said = await client.responses.create(model="auto", input="And then?", previous_response_id=said.id)
                assert said.output_text == "inside"
        assert outer.exchanges == []


async def test_what_stands_in_a_protocol_header_is_read(keeping: tuple[Running, FaultyUpstream]) -> None:
    running, upstream = keeping
    card = {"anthropic-beta": "4111-1111-1111-1111"}
    with pytest.raises(anthropic.APIStatusError) as refused:
        await running.anthropic().messages.create(
            model="a", max_tokens=5, messages=[{"role": "user", "content": "Hello."}], extra_headers=card
        )
    assert refused.value.status_code == 503
    assert upstream.exchanges == []
