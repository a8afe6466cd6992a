"""Anthropic's own Python SDK."""

from __future__ import annotations

from typing import Any

import anthropic
from harness import CITY, MESSAGES, WEATHER, Setting, cannot, check, main, refused, same
from pydantic import BaseModel

HI: Any = [{"role": "user", "content": "Hi"}]
TOOLS: Any = [{"name": "get_weather", "input_schema": WEATHER}]


class Place(BaseModel):
    city: str


def client(at: Setting, key: str | None = None) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=at.url, api_key=key or at.key, max_retries=0)


@check(MESSAGES, "chat")
def chat(at: Setting, model: str) -> str:
    answer = client(at).messages.create(model=model, max_tokens=100, messages=HI)
    same((12, 7), (answer.usage.input_tokens, answer.usage.output_tokens))
    return same([at.text], [block.text for block in answer.content if block.type == "text"])


@check(MESSAGES, "stream")
def stream(at: Setting, model: str) -> str:
    with client(at).messages.stream(model=model, max_tokens=100, messages=HI) as events:
        pieces = list(events.text_stream)
        final = events.get_final_message()
    same(True, len(pieces) > 1)
    same(7, final.usage.output_tokens)
    return same(at.text, "".join(pieces))


@check(MESSAGES, "tools")
def tools(at: Setting, model: str) -> str:
    return _answered(at, model, client(at).messages.create(model=model, max_tokens=100, messages=HI, tools=TOOLS))


@check(MESSAGES, "tools_stream")
def tools_stream(at: Setting, model: str) -> str:
    with client(at).messages.stream(model=model, max_tokens=100, messages=HI, tools=TOOLS) as events:
        return _answered(at, model, events.get_final_message())


def _answered(at: Setting, model: str, answer: Any) -> str:
    [call] = [block for block in answer.content if block.type == "tool_use"]
    same({"city": CITY}, call.input)
    said = {"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}]}
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}
    final = client(at).messages.create(model=model, max_tokens=100, messages=[*HI, said, result], tools=TOOLS)
    return same([at.text], [block.text for block in final.content if block.type == "text"])


@check(MESSAGES, "structured")
def structured(at: Setting, model: str) -> str:
    answer = client(at).messages.parse(model=model, max_tokens=100, messages=HI, output_format=Place)
    return same(Place(city=CITY), answer.parsed_output)


@check(MESSAGES, "error")
def error(at: Setting, model: str) -> str:
    bad: Any = [{"role": "nobody", "content": "Hi"}]
    with refused(anthropic.AuthenticationError):
        client(at, "tt-wrong").messages.create(model=model, max_tokens=9, messages=HI)
    with refused(anthropic.NotFoundError):
        client(at).messages.create(model="nothing", max_tokens=9, messages=HI)
    with refused(anthropic.BadRequestError):
        client(at).messages.create(model=model, max_tokens=9, messages=bad)
    return "AuthenticationError, NotFoundError, BadRequestError"


cannot(MESSAGES, "embeddings", "The protocol has none.")
main(f"anthropic {anthropic.__version__}")
