"""LiteLLM's own client, which speaks to the gateway in OpenAI's protocols and in Anthropic's."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import litellm
from harness import CHAT, CITY, EMBEDDINGS, MESSAGES, RESPONSES, WEATHER, Setting, cannot, check, main, refused, same
from pydantic import BaseModel

HI: Any = [{"role": "user", "content": "Hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
RESPONSES_TOOLS: Any = [{"type": "function", "name": "get_weather", "parameters": WEATHER}]


class Place(BaseModel):
    city: str


def register(door: str, prefix: str) -> None:
    def ask(at: Setting, model: str, messages: Any = HI, **more: Any) -> Any:
        base = at.v1 if prefix == "openai" else at.url
        more = {"api_key": at.key, "max_tokens": 100, "num_retries": 0, "max_retries": 0} | more
        return litellm.completion(model=f"{prefix}/{model}", api_base=base, messages=messages, **more)

    @check(door, "chat")
    def chat(at: Setting, model: str) -> str:
        answer = ask(at, model)
        same(19, answer.usage.total_tokens)
        return same(at.text, answer.choices[0].message.content)

    @check(door, "stream")
    def stream(at: Setting, model: str) -> str:
        chunks = list(ask(at, model, stream=True, stream_options={"include_usage": True}))
        pieces = [piece for chunk in chunks if chunk.choices and (piece := chunk.choices[0].delta.content)]
        same(True, len(pieces) > 1)
        same(19, litellm.stream_chunk_builder(chunks).usage.total_tokens)
        return same(at.text, "".join(pieces))

    @check(door, "tools")
    def tools(at: Setting, model: str) -> str:
        return answered(at, model, ask(at, model, tools=TOOLS))

    @check(door, "tools_stream")
    def tools_stream(at: Setting, model: str) -> str:
        return answered(at, model, litellm.stream_chunk_builder(list(ask(at, model, tools=TOOLS, stream=True)), messages=HI))

    def answered(at: Setting, model: str, answer: Any) -> str:
        message = answer.choices[0].message
        [call] = message.tool_calls
        same({"city": CITY}, json.loads(call.function.arguments))
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        final = ask(at, model, messages=[*HI, message.model_dump(exclude_none=True), result], tools=TOOLS)
        return same(at.text, final.choices[0].message.content)

    @check(door, "structured")
    def structured(at: Setting, model: str) -> str:
        answer = ask(at, model, response_format=Place)
        return same(Place(city=CITY), Place.model_validate_json(answer.choices[0].message.content))

    @check(door, "error")
    def error(at: Setting, model: str) -> str:
        with refused(litellm.AuthenticationError):
            ask(at, model, api_key="tt-wrong")
        with refused(litellm.NotFoundError):
            ask(at, "nothing")
        with refused(litellm.BadRequestError):
            ask(at, model, temperature="hot")
        return "AuthenticationError, NotFoundError, BadRequestError"


def respond(at: Setting, model: str, input: Any = "Hi", **more: Any) -> Any:
    return litellm.responses(model=f"openai/{model}", api_base=at.v1, input=input, **({"api_key": at.key} | more))


@check(RESPONSES, "chat")
def responses_chat(at: Setting, model: str) -> str:
    return same(at.text, respond(at, model).output[0].content[0].text)


@check(RESPONSES, "stream")
def responses_stream(at: Setting, model: str) -> str:
    events = list(respond(at, model, stream=True))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    same(True, len(pieces) > 1)
    return same(at.text, "".join(pieces))


@check(RESPONSES, "tools")
def responses_tools(at: Setting, model: str) -> str:
    return _responded(at, model, respond(at, model, tools=RESPONSES_TOOLS))


@check(RESPONSES, "tools_stream")
def responses_tools_stream(at: Setting, model: str) -> str:
    *_, last = respond(at, model, tools=RESPONSES_TOOLS, stream=True)
    return _responded(at, model, last.response)


def _responded(at: Setting, model: str, answer: Any) -> str:
    [call] = [item for item in answer.output if item.type == "function_call"]
    same({"city": CITY}, json.loads(call.arguments))
    said = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    return same(at.text, respond(at, model, [*HI, said, result], tools=RESPONSES_TOOLS).output[0].content[0].text)


@check(RESPONSES, "structured")
def responses_structured(at: Setting, model: str) -> str:
    answer = respond(at, model, text_format=Place)
    return same(Place(city=CITY), Place.model_validate_json(answer.output[0].content[0].text))


@check(RESPONSES, "error")
def responses_error(at: Setting, model: str) -> str:
    with refused(litellm.AuthenticationError):
        respond(at, model, api_key="tt-wrong")
    with refused(litellm.NotFoundError):
        respond(at, "nothing")
    with refused(litellm.BadRequestError):
        respond(at, model, temperature="hot")
    return "AuthenticationError, NotFoundError, BadRequestError"


@check(EMBEDDINGS, "embeddings")
def embeddings(at: Setting, model: str) -> str:
    answer = litellm.embedding(model=f"openai/{model}", api_base=at.v1, api_key=at.key, input=["one", "two"])
    one, two = (row["embedding"] for row in answer.data)
    return same(True, len(one) == len(two) > 0)


@check(EMBEDDINGS, "error")
def embeddings_error(at: Setting, model: str) -> str:
    with refused(litellm.AuthenticationError):
        litellm.embedding(model=f"openai/{at.embed[0]}", api_base=at.v1, api_key="tt-wrong", input=["one"])
    with refused(litellm.NotFoundError):
        litellm.embedding(model="openai/nothing", api_base=at.v1, api_key=at.key, input=["one"])
    return "AuthenticationError, NotFoundError"


register(CHAT, "openai")
register(MESSAGES, "anthropic")
cannot(MESSAGES, "embeddings", "The protocol has none.")
main(f"litellm {version('litellm')}")
