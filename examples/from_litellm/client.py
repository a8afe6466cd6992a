"""A program of a LiteLLM user. It knows one URL and one key, from OPENAI_BASE_URL and OPENAI_API_KEY, and prints what it was answered.

OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=sk-... python examples/from_litellm/client.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import openai
from openai.types.chat import ChatCompletionMessageFunctionToolCall, ChatCompletionMessageParam, ChatCompletionToolParam

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


MALFORMED = {"model": "gpt-4o", "messages": "Say hello."}


def chat(client: openai.OpenAI, model: str) -> object:
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hello."}])
    assert answer.usage is not None
    return [
        answer.choices[0].message.content,
        answer.choices[0].finish_reason,
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    ]


def stream(client: openai.OpenAI, model: str) -> object:
    text, reason = "", None
    for chunk in client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hello."}], stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
    return [text, reason]


def tools(client: openai.OpenAI, model: str) -> object:
    """Ask, run the tool that was asked for, and ask again with its result."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Zürich?"}]
    first = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER]).choices[0]
    call = (first.message.tool_calls or [])[0]
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    messages.append(
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
            ],
        }
    )
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "Rain."})
    second = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER]).choices[0]
    return [
        call.function.name,
        json.loads(call.function.arguments),
        first.finish_reason,
        second.message.content,
        second.finish_reason,
    ]


def embeddings(client: openai.OpenAI) -> object:
    answer = client.embeddings.create(model="embedder", input=["one", "two"])
    return [[round(number, 6) for number in row.embedding] for row in answer.data] + [
        [round(math.hypot(*answer.data[0].embedding), 6)]
    ]


def refused(ask: Callable[[], object]) -> object:
    """The error that the SDK made of the refusal."""
    try:
        ask()
        return ["answered"]
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code]


def main() -> None:
    client = openai.OpenAI(max_retries=0)
    stranger = client.with_options(api_key="sk-of-somebody-else")
    asked: dict[str, Callable[[], object]] = {
        "chat": lambda: chat(client, "gpt-4o"),
        "chat, by an alias": lambda: chat(client, "gpt-4"),
        "chat, another protocol": lambda: chat(client, "claude"),
        "chat, by a fallback": lambda: chat(client, "empty-account"),
        "stream": lambda: stream(client, "gpt-4o"),
        "stream, another protocol": lambda: stream(client, "claude"),
        "tools": lambda: tools(client, "gpt-4o"),
        "tools, another protocol": lambda: tools(client, "claude"),
        "embeddings": lambda: embeddings(client),
        "models": lambda: sorted({"gpt-4o", "claude", "embedder"} & {model.id for model in client.models.list()}),
        "error: rate limit": lambda: refused(lambda: chat(client, "too-busy")),
        "error: wrong key": lambda: refused(lambda: chat(stranger, "gpt-4o")),
        "error: malformed": lambda: refused(lambda: client.post("/chat/completions", cast_to=object, body=MALFORMED)),
        "error: unknown model": lambda: refused(lambda: chat(client, "no-such-model")),
    }
    print(json.dumps({name: ask() for name, ask in asked.items()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
