"""Which clients are driven, at which doors, and the table that says what came of it. It runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
EMBEDDINGS = "/v1/embeddings"
GEMINI = "/v1/models/*:generateContent"
GEMINI_EMBED = "/v1/models/*:embedContent"
COHERE = "/v2/chat"
COHERE_EMBED = "/v2/embed"

PENDING: dict[str, str] = {}
"""Doors whose checks are written and must fail until the door is open, and what it waits for. May only shrink."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "chat": ("chat",),
    "stream": ("stream",),
    "tools": ("tools", "tools_stream"),
    "structured": ("structured",),
    "embeddings": ("embeddings",),
    "errors": ("error",),
}
"""The columns of the table, and the checks that each stands for."""

_TALKS = frozenset({"chat", "stream", "tools", "tools_stream", "structured", "error"})
_EMBEDS = frozenset({"embeddings"})
_DUE = {EMBEDDINGS: _EMBEDS | {"error"}, GEMINI_EMBED: _EMBEDS, COHERE_EMBED: _EMBEDS}


class Client(Struct, frozen=True):
    """One script. ``environment`` is a folder below ``.venv``, or ``.venv`` itself where it is empty."""

    name: str
    script: str
    environment: str
    doors: tuple[str, ...]


CLIENTS = (
    Client("OpenAI Python", "python/openai_python.py", "", (CHAT, RESPONSES, EMBEDDINGS)),
    Client("OpenAI Node", "node/openai_node.mjs", "oracle", (CHAT, RESPONSES, EMBEDDINGS)),
    Client("Anthropic Python", "python/anthropic_python.py", "", (MESSAGES,)),
    Client("Anthropic Node", "node/anthropic_node.mjs", "oracle", (MESSAGES,)),
    Client("Google Gen AI Python", "python/google_genai_client.py", "oracle", (GEMINI, GEMINI_EMBED)),
    Client("Cohere Python", "python/cohere_client.py", "oracle", (COHERE, COHERE_EMBED)),
    Client("LangChain", "python/langchain_clients.py", "oracle", (CHAT, RESPONSES, MESSAGES, EMBEDDINGS)),
    Client("LlamaIndex", "python/llama_index_clients.py", "oracle-openai2", (CHAT, EMBEDDINGS)),
    Client("LiteLLM", "python/litellm_client.py", "oracle-openai2", (CHAT, RESPONSES, MESSAGES, EMBEDDINGS)),
    Client("Pydantic AI", "python/pydantic_ai_clients.py", "oracle", (CHAT, RESPONSES, MESSAGES, EMBEDDINGS)),
    Client("Vercel AI SDK", "node/vercel_ai.mjs", "oracle", (CHAT, RESPONSES, MESSAGES, EMBEDDINGS)),
    Client("llm", "python/llm_cli.py", "oracle", (CHAT,)),
)


class Line(Struct, frozen=True):
    """What a script says of one check with one model. ``ok`` is ``None`` where the client cannot do it; ``detail`` says why."""

    door: str
    check: str
    version: str
    model: str
    ok: bool | None
    detail: str


Cell = Literal["yes", "no", "not yet", "-"]


class Row(Struct, frozen=True):
    client: str
    version: str
    door: str
    cells: dict[str, Cell]


class Results(Struct, frozen=True):
    """``date`` is the day of the run, ISO 8601."""

    date: str
    rows: list[Row]


def due(door: str) -> frozenset[str]:
    """The checks that every client of this door makes."""
    return _DUE.get(door, _TALKS)


def rows(client: Client, lines: list[Line]) -> list[Row]:
    version = lines[0].version
    return [Row(client.name, version, door, {name: _cell(door, name, lines) for name in COLUMNS}) for door in client.doors]


def _cell(door: str, column: str, lines: list[Line]) -> Cell:
    outcomes = [line.ok for line in lines if line.door == door and line.check in COLUMNS[column] and line.ok is not None]
    if not outcomes:
        return "-"
    if door in PENDING:
        return "not yet"
    return "yes" if all(outcomes) else "no"
