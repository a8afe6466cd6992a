"""LangChain's chat models and embeddings, over all three doors that it knows."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import anthropic
import openai
from harness import CHAT, CITY, EMBEDDINGS, MESSAGES, RESPONSES, Setting, cannot, check, main, refused, same
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

Make = Callable[..., Any]


class Place(BaseModel):
    """A place."""

    city: str


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


def of_chat(at: Setting, model: str, key: str | None = None) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=at.v1, api_key=SecretStr(key or at.key), max_retries=0, stream_usage=True)


def of_responses(at: Setting, model: str, key: str | None = None) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=at.v1, api_key=SecretStr(key or at.key), max_retries=0, use_responses_api=True)


def of_messages(at: Setting, model: str, key: str | None = None) -> ChatAnthropic:
    return ChatAnthropic(
        model_name=model, base_url=at.url, api_key=SecretStr(key or at.key), max_retries=0, max_tokens_to_sample=100
    )


def of_embeddings(at: Setting, model: str, key: str | None = None) -> OpenAIEmbeddings:
    """It counts tokens with OpenAI's own tokeniser and sends those, unless told not to."""
    return OpenAIEmbeddings(
        model=model, base_url=at.v1, api_key=SecretStr(key or at.key), max_retries=0, check_embedding_ctx_length=False
    )


def register(door: str, make: Make, sdk: Any) -> None:
    @check(door, "chat")
    def chat(at: Setting, model: str) -> str:
        answer = make(at, model).invoke("Hi")
        same(19, answer.usage_metadata["total_tokens"])
        return same(at.text, answer.text)

    @check(door, "stream")
    def stream(at: Setting, model: str) -> str:
        chunks = list(make(at, model).stream("Hi"))
        same(19, _sum(chunks).usage_metadata["total_tokens"])
        same(True, len([chunk for chunk in chunks if chunk.text]) > 1)
        return same(at.text, "".join(chunk.text for chunk in chunks))

    @check(door, "tools")
    def tools(at: Setting, model: str) -> str:
        return answered(at, model, make(at, model).bind_tools([get_weather]).invoke("Hi"))

    @check(door, "tools_stream")
    def tools_stream(at: Setting, model: str) -> str:
        return answered(at, model, _sum(list(make(at, model).bind_tools([get_weather]).stream("Hi"))))

    def answered(at: Setting, model: str, message: Any) -> str:
        [call] = message.tool_calls
        same({"city": CITY}, call["args"])
        result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
        final = make(at, model).bind_tools([get_weather]).invoke([HumanMessage("Hi"), message, result])
        return same(at.text, final.text)

    @check(door, "structured")
    def structured(at: Setting, model: str) -> str:
        """Once as the protocol's own output format, once as the call of a tool."""
        for method in ("json_schema", "function_calling"):
            same(Place(city=CITY), make(at, model).with_structured_output(Place, method=method).invoke("Where?"))
        return "json_schema, function_calling"

    @check(door, "error")
    def error(at: Setting, model: str) -> str:
        with refused(sdk.AuthenticationError):
            make(at, model, "tt-wrong").invoke("Hi")
        with refused(sdk.NotFoundError):
            make(at, "nothing").invoke("Hi")
        with refused(sdk.BadRequestError):
            make(at, model).invoke("Hi", temperature="hot")
        return f"{sdk.__name__}'s AuthenticationError, NotFoundError, BadRequestError"


def _sum(chunks: list[AIMessageChunk]) -> Any:
    return sum(chunks[1:], start=chunks[0])


register(CHAT, of_chat, openai)
register(RESPONSES, of_responses, openai)
register(MESSAGES, of_messages, anthropic)
cannot(MESSAGES, "embeddings", "The protocol has none.")


@check(EMBEDDINGS, "embeddings")
def embeddings(at: Setting, model: str) -> str:
    one, two = of_embeddings(at, model).embed_documents(["one", "two"])
    return same(True, len(one) == len(two) > 0)


@check(EMBEDDINGS, "error")
def embeddings_error(at: Setting, model: str) -> str:
    with refused(openai.AuthenticationError):
        of_embeddings(at, at.embed[0], "tt-wrong").embed_query("one")
    with refused(openai.NotFoundError):
        of_embeddings(at, "nothing").embed_query("one")
    return "openai's AuthenticationError, NotFoundError"


main(f"langchain-openai {version('langchain-openai')}, langchain-anthropic {version('langchain-anthropic')}")
