"""Google's own Python SDK, pointed at the gateway."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from google import genai
from google.genai import types
from google.genai.errors import ClientError
from harness import CITY, GEMINI, GEMINI_EMBED, Setting, check, main, refused, same
from pydantic import BaseModel


class Place(BaseModel):
    city: str


def client(at: Setting, key: str | None = None) -> genai.Client:
    return _client(at.url, key or at.key)


@cache
def _client(url: str, key: str) -> genai.Client:
    """Kept: a client that nobody holds closes its connections under the request."""
    return genai.Client(api_key=key, vertexai=False, http_options=types.HttpOptions(base_url=url))


def weather(called: list[str]) -> types.GenerateContentConfig:
    """The SDK calls a Python function by itself and sends the result back."""

    def get_weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return "sunny"

    return types.GenerateContentConfig(tools=[get_weather])


@check(GEMINI, "chat")
def chat(at: Setting, model: str) -> str:
    """In the version of the API that the SDK asks for by itself, and in the one that Google's documentation shows."""
    for api in (None, "v1beta"):
        config = types.GenerateContentConfig(http_options=types.HttpOptions(api_version=api))
        answer = client(at).models.generate_content(model=model, contents="Hi", config=config)
        same(19, answer.usage_metadata and answer.usage_metadata.total_token_count)
        same(at.text, answer.text)
    return at.text


@check(GEMINI, "stream")
def stream(at: Setting, model: str) -> str:
    pieces = [piece.text for piece in client(at).models.generate_content_stream(model=model, contents="Hi") if piece.text]
    same(True, len(pieces) > 1)
    return same(at.text, "".join(pieces))


@check(GEMINI, "tools")
def tools(at: Setting, model: str) -> str:
    called: list[str] = []
    answer = client(at).models.generate_content(model=model, contents="Hi", config=weather(called))
    same([CITY], called)
    return same(at.text, answer.text)


@check(GEMINI, "tools_stream")
def tools_stream(at: Setting, model: str) -> str:
    called: list[str] = []
    pieces = list(client(at).models.generate_content_stream(model=model, contents="Hi", config=weather(called)))
    same([CITY], called)
    return same(at.text, "".join(piece.text for piece in pieces if piece.text))


@check(GEMINI, "structured")
def structured(at: Setting, model: str) -> str:
    wanted = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Place)
    return same(Place(city=CITY), client(at).models.generate_content(model=model, contents="Where?", config=wanted).parsed)


@check(GEMINI, "error")
def error(at: Setting, model: str) -> str:
    """The SDK has one class for all of them, which carries the status."""
    bad: Any = types.Content(role="nobody", parts=[types.Part(text="Hi")])
    with refused(ClientError, 401):
        client(at, "tt-wrong").models.generate_content(model=model, contents="Hi")
    with refused(ClientError, 404):
        client(at).models.generate_content(model="nothing", contents="Hi")
    with refused(ClientError, 400):
        client(at).models.generate_content(model=model, contents=[bad])
    return "ClientError with 401, 404, 400"


@check(GEMINI_EMBED, "embeddings")
def embeddings(at: Setting, model: str) -> str:
    answer = client(at).models.embed_content(model=model, contents=["one", "two"])
    one, two = (row.values or [] for row in answer.embeddings or [])
    return same(True, len(one) == len(two) > 0)


main(f"google-genai {version('google-genai')}")
