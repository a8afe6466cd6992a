"""Cohere's own Python SDK, second version of its API."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import cohere
from harness import CITY, COHERE, COHERE_EMBED, WEATHER, Setting, check, main, refused, same

HI: Any = [{"role": "user", "content": "Hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
FORMAT: Any = {"type": "json_object", "json_schema": WEATHER}


def client(at: Setting, key: str | None = None) -> cohere.ClientV2:
    return cohere.ClientV2(api_key=key or at.key, base_url=at.url, max_retries=0)


@check(COHERE, "chat")
def chat(at: Setting, model: str) -> str:
    answer = client(at).chat(model=model, messages=HI)
    same((12, 7), (answer.usage.tokens.input_tokens, answer.usage.tokens.output_tokens))
    return same(at.text, "".join(part.text for part in answer.message.content or []))


@check(COHERE, "stream")
def stream(at: Setting, model: str) -> str:
    events = list(client(at).chat_stream(model=model, messages=HI))
    pieces = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    same(True, len(pieces) > 1)
    same("message-end", events[-1].type)
    return same(at.text, "".join(pieces))


@check(COHERE, "tools")
def tools(at: Setting, model: str) -> str:
    [call] = client(at).chat(model=model, messages=HI, tools=TOOLS).message.tool_calls or []
    return _answered(at, model, call.id, call.function.name, call.function.arguments)


@check(COHERE, "tools_stream")
def tools_stream(at: Setting, model: str) -> str:
    events = list(client(at).chat_stream(model=model, messages=HI, tools=TOOLS))
    [call] = [event.delta.message.tool_calls for event in events if event.type == "tool-call-start"]
    more = [event.delta.message.tool_calls.function.arguments for event in events if event.type == "tool-call-delta"]
    return _answered(at, model, call.id, call.function.name, (call.function.arguments or "") + "".join(more))


def _answered(at: Setting, model: str, id: str, name: str, arguments: str) -> str:
    same({"city": CITY}, json.loads(arguments))
    said = {"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}
    result = {"role": "tool", "tool_call_id": id, "content": "sunny"}
    final = client(at).chat(model=model, messages=[*HI, said, result], tools=TOOLS)
    return same(at.text, "".join(part.text for part in final.message.content or []))


@check(COHERE, "structured")
def structured(at: Setting, model: str) -> str:
    answer = client(at).chat(model=model, messages=HI, response_format=FORMAT)
    return same({"city": CITY}, json.loads("".join(part.text for part in answer.message.content or [])))


@check(COHERE, "error")
def error(at: Setting, model: str) -> str:
    with refused(cohere.UnauthorizedError):
        client(at, "tt-wrong").chat(model=model, messages=HI)
    with refused(cohere.NotFoundError):
        client(at).chat(model="nothing", messages=HI)
    with refused(cohere.BadRequestError):
        client(at).chat(model=model, messages=HI, temperature="hot")  # type: ignore[arg-type]
    return "UnauthorizedError, NotFoundError, BadRequestError"


@check(COHERE_EMBED, "embeddings")
def embeddings(at: Setting, model: str) -> str:
    answer = client(at).embed(model=model, texts=["one", "two"], input_type="search_document", embedding_types=["float"])
    one, two = answer.embeddings.float_ or []
    return same(True, len(one) == len(two) > 0)


main(f"cohere {version('cohere')}")
