"""What a feature of a request is: the body of it in every client protocol that has it, and the plain bodies that they are changes of.

Knows nothing of codecs. Bodies are written by hand from the public API references, never by an encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from trimtab.core.messages import Dialect

Json = dict[str, Any]

CHAT, RESPONSES, ANTHROPIC = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC
GEMINI, COHERE, CONVERSE, REPLICATE = Dialect.GEMINI, Dialect.COHERE, Dialect.CONVERSE, Dialect.REPLICATE
EMBEDDINGS, COHERE_EMBED, GEMINI_EMBED = Dialect.OPENAI_EMBEDDINGS, Dialect.COHERE_EMBED, Dialect.GEMINI_EMBED

CLIENTS = (CHAT, RESPONSES, ANTHROPIC, GEMINI, COHERE)
EMBEDDERS = (EMBEDDINGS, COHERE_EMBED, GEMINI_EMBED)

CLAUDE, NOVA = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-pro-v1:0"


class Upstream(Struct, frozen=True):
    """A column. ``model`` matters where what can be said depends on whose model it is."""

    name: str
    dialect: Dialect
    model: str = "upstream/model"


UPSTREAMS = (
    Upstream("Chat", CHAT),
    Upstream("Responses", RESPONSES),
    Upstream("Anthropic", ANTHROPIC),
    Upstream("Gemini", GEMINI, "gemini-3-pro-preview"),
    Upstream("Cohere", COHERE),
    Upstream("Converse (Claude)", CONVERSE, CLAUDE),
    Upstream("Converse (other)", CONVERSE, NOVA),
    Upstream("Replicate", REPLICATE),
)
EMBEDDING_UPSTREAMS = (
    Upstream("OpenAI", EMBEDDINGS),
    Upstream("Cohere", COHERE_EMBED),
    Upstream("Gemini", GEMINI_EMBED, "gemini-embedding-001"),
)

NAMES = {
    CHAT: "OpenAI Chat Completions",
    RESPONSES: "OpenAI Responses",
    ANTHROPIC: "Anthropic Messages",
    GEMINI: "Gemini",
    COHERE: "Cohere",
    CONVERSE: "Bedrock Converse",
    EMBEDDINGS: "OpenAI Embeddings",
    COHERE_EMBED: "Cohere Embed",
    GEMINI_EMBED: "Gemini Embeddings",
}

# Every plain request limits its answer: Anthropic's protocol demands it, and elsewhere it would be one difference more.
PLAIN: Mapping[Dialect, Json] = {
    CHAT: {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 4000},
    RESPONSES: {"model": "auto", "input": [{"role": "user", "content": "Hi"}], "max_output_tokens": 4000},
    ANTHROPIC: {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4000},
    GEMINI: {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 4000}},
    COHERE: {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4000},
    EMBEDDINGS: {"model": "auto", "input": "Hi", "encoding_format": "float"},
    COHERE_EMBED: {"model": "auto", "texts": ["Hi"], "input_type": "search_document", "embedding_types": ["float"]},
    GEMINI_EMBED: {"requests": [{"content": {"parts": [{"text": "Hi"}]}, "taskType": "RETRIEVAL_DOCUMENT"}]},
}


class Feature(Struct, frozen=True):
    """``bodies`` are changes of the body of ``base``, or of the plain one: objects are merged, all else is replaced.

    ``lost_as`` are patterns of the names that may stand for the feature where it is lost, ``refused_at`` of the field where it is refused.
    """

    name: str
    bodies: Mapping[Dialect, Json]
    lost_as: tuple[str, ...] = ()
    base: str = ""
    refused_at: tuple[str, ...] = ()


def merged(body: Json, change: Json) -> Json:
    out = dict(body)
    for key, value in change.items():
        held = out.get(key)
        out[key] = merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return out


def turns(*messages: Json) -> Json:
    """The conversation of every protocol that calls it ``messages``."""
    return {"messages": list(messages)}


def shown(*parts: Json) -> Json:
    """One turn of the user, of these parts."""
    return turns({"role": "user", "content": list(parts)})


def items(*items: Json) -> Json:
    return {"input": list(items)}


def contents(*contents: Json) -> Json:
    return {"contents": list(contents)}


def parts(*parts: Json) -> Json:
    """One turn of Gemini's user."""
    return contents({"role": "user", "parts": list(parts)})


def config(**fields: Any) -> Json:
    return {"generationConfig": fields}
