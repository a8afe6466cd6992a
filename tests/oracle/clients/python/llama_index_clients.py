"""LlamaIndex's models for servers that speak OpenAI's protocol, and its embeddings."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import openai
from harness import CHAT, CITY, EMBEDDINGS, Setting, check, main, refused, same
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Place(BaseModel):
    """A place."""

    city: str


def get_weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


TOOL = FunctionTool.from_defaults(get_weather)
HI = ChatMessage(role="user", content="Hi")


def client(at: Setting, model: str, key: str | None = None) -> OpenAILike:
    return OpenAILike(
        model=model, api_base=at.v1, api_key=key or at.key, is_chat_model=True, is_function_calling_model=True, max_retries=0
    )


@check(CHAT, "chat")
def chat(at: Setting, model: str) -> str:
    return same(at.text, client(at, model).chat([HI]).message.content)


@check(CHAT, "stream")
def stream(at: Setting, model: str) -> str:
    pieces = [piece.delta for piece in client(at, model).stream_chat([HI]) if piece.delta]
    same(True, len(pieces) > 1)
    return same(at.text, "".join(pieces))


@check(CHAT, "tools")
def tools(at: Setting, model: str) -> str:
    return _answered(at, model, client(at, model).chat_with_tools([TOOL], chat_history=[HI]))


@check(CHAT, "tools_stream")
def tools_stream(at: Setting, model: str) -> str:
    *_, last = client(at, model).stream_chat_with_tools([TOOL], chat_history=[HI])
    return _answered(at, model, last)


def _answered(at: Setting, model: str, answer: Any) -> str:
    [call] = client(at, model).get_tool_calls_from_response(answer)
    same({"city": CITY}, call.tool_kwargs)
    result = ChatMessage(role="tool", content=str(TOOL(**call.tool_kwargs)), additional_kwargs={"tool_call_id": call.tool_id})
    final = client(at, model).chat_with_tools([TOOL], chat_history=[HI, answer.message, result])
    return same(at.text, final.message.content)


@check(CHAT, "structured")
def structured(at: Setting, model: str) -> str:
    return same(Place(city=CITY), client(at, model).structured_predict(Place, PromptTemplate("Where?")))


@check(CHAT, "error")
def error(at: Setting, model: str) -> str:
    with refused(openai.AuthenticationError):
        client(at, model, "tt-wrong").chat([HI])
    with refused(openai.NotFoundError):
        client(at, "nothing").chat([HI])
    with refused(openai.BadRequestError):
        client(at, model).chat([HI], temperature="hot")
    return "openai's AuthenticationError, NotFoundError, BadRequestError"


def embedder(at: Setting, model: str, key: str | None = None) -> OpenAIEmbedding:
    return OpenAIEmbedding(model_name=model, api_base=at.v1, api_key=key or at.key, max_retries=0)


@check(EMBEDDINGS, "embeddings")
def embeddings(at: Setting, model: str) -> str:
    one, two = embedder(at, model).get_text_embedding_batch(["one", "two"])
    return same(True, len(one) == len(two) > 0)


@check(EMBEDDINGS, "error")
def embeddings_error(at: Setting, model: str) -> str:
    with refused(openai.AuthenticationError):
        embedder(at, at.embed[0], "tt-wrong").get_text_embedding("one")
    with refused(openai.NotFoundError):
        embedder(at, "nothing").get_text_embedding("one")
    return "openai's AuthenticationError, NotFoundError"


main(f"llama-index-llms-openai-like {version('llama-index-llms-openai-like')}")
