"""Pydantic AI's models for OpenAI's two protocols and for Anthropic's, driven by an agent that calls tools by itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from harness import CHAT, CITY, EMBEDDINGS, MESSAGES, RESPONSES, Setting, cannot, check, main, refused, same
from pydantic import BaseModel
from pydantic_ai import Agent, Embedder, NativeOutput, ToolOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

Make = Callable[..., Any]


class Place(BaseModel):
    city: str


def of_chat(at: Setting, model: str, key: str | None = None) -> OpenAIChatModel:
    return OpenAIChatModel(model, provider=OpenAIProvider(base_url=at.v1, api_key=key or at.key))


def of_responses(at: Setting, model: str, key: str | None = None) -> OpenAIResponsesModel:
    return OpenAIResponsesModel(model, provider=OpenAIProvider(base_url=at.v1, api_key=key or at.key))


def of_messages(at: Setting, model: str, key: str | None = None) -> AnthropicModel:
    """Pydantic AI tells by the name what a model can do, and does not know ours."""
    provider = AnthropicProvider(base_url=at.url, api_key=key or at.key)
    return AnthropicModel(model, provider=provider, profile={"supports_json_schema_output": True})


def weather(called: list[str]) -> Callable[[str], str]:
    def get_weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return "sunny"

    return get_weather


def register(door: str, make: Make) -> None:
    @check(door, "chat")
    async def chat(at: Setting, model: str) -> str:
        answer = await Agent(make(at, model)).run("Hi")
        same(19, answer.usage.total_tokens)
        return same(at.text, answer.output)

    @check(door, "stream")
    async def stream(at: Setting, model: str) -> str:
        async with Agent(make(at, model)).run_stream("Hi") as answer:
            pieces = [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]
        same(True, len(pieces) > 1)
        same(19, answer.usage.total_tokens)
        return same(at.text, "".join(pieces))

    @check(door, "tools")
    async def tools(at: Setting, model: str) -> str:
        called: list[str] = []
        answer = await Agent(make(at, model), tools=[weather(called)]).run("Hi")
        same([CITY], called)
        return same(at.text, answer.output)

    @check(door, "tools_stream")
    async def tools_stream(at: Setting, model: str) -> str:
        called: list[str] = []
        async with Agent(make(at, model), tools=[weather(called)]).run_stream("Hi") as answer:
            said = await answer.get_output()
        same([CITY], called)
        return same(at.text, said)

    @check(door, "structured")
    async def structured(at: Setting, model: str) -> str:
        """Once as the protocol's own output format, once as the call of a tool."""
        for output in (NativeOutput(Place), ToolOutput(Place)):
            agent: Any = Agent(make(at, model), output_type=output)
            same(Place(city=CITY), (await agent.run("Where?")).output)
        return "NativeOutput, ToolOutput"

    @check(door, "error")
    async def error(at: Setting, model: str) -> str:
        with refused(ModelHTTPError, 401):
            await Agent(make(at, model, "tt-wrong")).run("Hi")
        with refused(ModelHTTPError, 404):
            await Agent(make(at, "nothing")).run("Hi")
        with refused(ModelHTTPError, 400):
            await Agent(make(at, model)).run("Hi", model_settings={"temperature": "hot"})  # type: ignore[typeddict-item]
        return "ModelHTTPError with 401, 404, 400"


register(CHAT, of_chat)
register(RESPONSES, of_responses)
register(MESSAGES, of_messages)
cannot(MESSAGES, "embeddings", "The protocol has none.")


def embedder(at: Setting, model: str, key: str | None = None) -> Embedder:
    return Embedder(OpenAIEmbeddingModel(model, provider=OpenAIProvider(base_url=at.v1, api_key=key or at.key)))


@check(EMBEDDINGS, "embeddings")
async def embeddings(at: Setting, model: str) -> str:
    one, two = (await embedder(at, model).embed_documents(["one", "two"])).embeddings
    return same(True, len(one) == len(two) > 0)


@check(EMBEDDINGS, "error")
async def embeddings_error(at: Setting, model: str) -> str:
    with refused(ModelHTTPError, 401):
        await embedder(at, at.embed[0], "tt-wrong").embed_query("one")
    with refused(ModelHTTPError, 404):
        await embedder(at, "nothing").embed_query("one")
    return "ModelHTTPError with 401, 404"


main(f"pydantic-ai-slim {version('pydantic-ai-slim')}")
