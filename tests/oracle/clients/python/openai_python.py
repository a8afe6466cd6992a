"""OpenAI's own Python SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
from harness import CHAT, CITY, EMBEDDINGS, RESPONSES, WEATHER, Setting, check, main, refused, same
from pydantic import BaseModel

HI: Any = [{"role": "user", "content": "Hi"}]
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, "strict": True}}]
TOOLS: Any = [{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}]


class Place(BaseModel):
    city: str


def client(at: Setting, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=at.v1, api_key=key or at.key, max_retries=0)


@check(CHAT, "chat")
def chat(at: Setting, model: str) -> str:
    answer = client(at).chat.completions.create(model=model, messages=HI)
    same(19, answer.usage and answer.usage.total_tokens)
    return same(at.text, answer.choices[0].message.content)


@check(CHAT, "stream")
def stream(at: Setting, model: str) -> str:
    with client(at).chat.completions.stream(model=model, messages=HI, stream_options={"include_usage": True}) as events:
        pieces = [event.delta for event in events if event.type == "content.delta"]
        final = events.get_final_completion()
    same(True, len(pieces) > 1)
    same(19, final.usage and final.usage.total_tokens)
    return same(at.text, "".join(pieces))


@check(CHAT, "tools")
def tools(at: Setting, model: str) -> str:
    answer = client(at).chat.completions.create(model=model, messages=HI, tools=CHAT_TOOLS)
    return _answered(at, model, answer.choices[0].message)


@check(CHAT, "tools_stream")
def tools_stream(at: Setting, model: str) -> str:
    with client(at).chat.completions.stream(model=model, messages=HI, tools=CHAT_TOOLS) as events:
        return _answered(at, model, events.get_final_completion().choices[0].message)


def _answered(at: Setting, model: str, message: Any) -> str:
    [call] = message.tool_calls
    same({"city": CITY}, json.loads(call.function.arguments))
    said = message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    final = client(at).chat.completions.create(model=model, messages=[*HI, said, result], tools=CHAT_TOOLS)
    return same(at.text, final.choices[0].message.content)


@check(CHAT, "structured")
def structured(at: Setting, model: str) -> str:
    answer = client(at).chat.completions.parse(model=model, messages=HI, response_format=Place)
    return same(Place(city=CITY), answer.choices[0].message.parsed)


@check(CHAT, "error")
def error(at: Setting, model: str) -> str:
    bad: Any = [{"role": "nobody", "content": "Hi"}]
    with refused(openai.AuthenticationError):
        client(at, "tt-wrong").chat.completions.create(model=model, messages=HI)
    with refused(openai.NotFoundError):
        client(at).chat.completions.create(model="nothing", messages=HI)
    with refused(openai.BadRequestError):
        client(at).chat.completions.create(model=model, messages=bad)
    return "AuthenticationError, NotFoundError, BadRequestError"


@check(RESPONSES, "chat")
def responses_chat(at: Setting, model: str) -> str:
    answer = client(at).responses.create(model=model, input="Hi")
    same(19, answer.usage and answer.usage.total_tokens)
    return same(at.text, answer.output_text)


@check(RESPONSES, "stream")
def responses_stream(at: Setting, model: str) -> str:
    with client(at).responses.stream(model=model, input="Hi") as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        final = events.get_final_response()
    same(True, len(pieces) > 1)
    same(at.text, final.output_text)
    return same(at.text, "".join(pieces))


@check(RESPONSES, "tools")
def responses_tools(at: Setting, model: str) -> str:
    return _responded(at, model, client(at).responses.create(model=model, input="Hi", tools=TOOLS))


@check(RESPONSES, "tools_stream")
def responses_tools_stream(at: Setting, model: str) -> str:
    with client(at).responses.stream(model=model, input="Hi", tools=TOOLS) as events:
        return _responded(at, model, events.get_final_response())


def _responded(at: Setting, model: str, answer: Any) -> str:
    [call] = [item for item in answer.output if item.type == "function_call"]
    same({"city": CITY}, json.loads(call.arguments))
    said = [{"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    final = client(at).responses.create(model=model, input=[*HI, *said, result], tools=TOOLS)
    return same(at.text, final.output_text)


@check(RESPONSES, "structured")
def responses_structured(at: Setting, model: str) -> str:
    answer = client(at).responses.parse(model=model, input="Hi", text_format=Place)
    return same(Place(city=CITY), answer.output_parsed)


@check(RESPONSES, "error")
def responses_error(at: Setting, model: str) -> str:
    bad: Any = [{"role": "nobody", "content": "Hi"}]
    with refused(openai.AuthenticationError):
        client(at, "tt-wrong").responses.create(model=model, input="Hi")
    with refused(openai.NotFoundError):
        client(at).responses.create(model="nothing", input="Hi")
    with refused(openai.BadRequestError):
        client(at).responses.create(model=model, input=bad)
    return "AuthenticationError, NotFoundError, BadRequestError"


@check(EMBEDDINGS, "embeddings")
def embeddings(at: Setting, model: str) -> str:
    """Once in base64, which the SDK asks for by itself, once as numbers."""
    packed = client(at).embeddings.create(model=model, input=["one", "two"])
    plain = client(at).embeddings.create(model=model, input=["one", "two"], encoding_format="float")
    same([0, 1], [row.index for row in packed.data])
    return same(True, all(len(one.embedding) == len(two.embedding) > 0 for one, two in zip(packed.data, plain.data, strict=True)))


@check(EMBEDDINGS, "error")
def embeddings_error(at: Setting, model: str) -> str:
    with refused(openai.AuthenticationError):
        client(at, "tt-wrong").embeddings.create(model=at.embed[0], input="one")
    with refused(openai.NotFoundError):
        client(at).embeddings.create(model="nothing", input="one")
    with refused(openai.BadRequestError):
        client(at).embeddings.create(model=at.embed[0], input={"not": "a list"})  # type: ignore[arg-type]
    return "AuthenticationError, NotFoundError, BadRequestError"


main(f"openai {openai.__version__}")
