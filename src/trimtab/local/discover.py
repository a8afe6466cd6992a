"""Find inference servers that already run on this machine, by asking the ports that they listen on by default.

What a server is, it says itself; the port alone proves nothing. The HTTP is handed in; this file knows only paths and bodies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec
from msgspec import Struct

from trimtab.net import NetError

Read = Callable[[str, str], Awaitable[bytes]]
"""Asks the place with this id for this path and returns the body of a 200 answer, or raises :class:`NetError`; another status is empty."""

LIMIT_SECONDS = 0.3


class Place(Struct, frozen=True):
    """Where one may be. ``id`` names the receiver that the caller registers for ``url``."""

    id: str
    url: str


PLACES = (
    Place("found-11434", "http://127.0.0.1:11434"),  # Ollama
    Place("found-8000", "http://127.0.0.1:8000"),  # vLLM
    Place("found-1234", "http://127.0.0.1:1234"),  # LM Studio
    Place("found-8080", "http://127.0.0.1:8080"),  # llama.cpp
    Place("found-30000", "http://127.0.0.1:30000"),  # SGLang
)


class FoundModel(Struct, frozen=True):
    """``context_window`` is ``None`` where the server does not tell."""

    name: str
    context_window: int | None = None


class Found(Struct, frozen=True):
    """A server that answers. ``provider`` is the name of its row in the catalog, ``base_url`` includes the version path."""

    provider: str
    base_url: str
    models: tuple[FoundModel, ...]


async def discover(read: Read, places: Iterable[Place] = PLACES) -> tuple[Found, ...]:
    """All servers found, in the order of ``places``. Asks all at once and each for at most ``LIMIT_SECONDS``."""
    found = await asyncio.gather(*(_look(read, place) for place in places))
    return tuple(server for server in found if server is not None)


async def _look(read: Read, place: Place) -> Found | None:
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            named = parse_models(await _body(read, place, "/v1/models"))
            if named is None:
                tags = parse_tags(await _body(read, place, "/api/tags"))
                named = None if tags is None else ("ollama", tags)
    except TimeoutError:
        return None
    return None if named is None else Found(named[0], f"{place.url}/v1", named[1])


async def _body(read: Read, place: Place, path: str) -> bytes:
    try:
        return await read(place.id, path)
    except NetError:
        return b""


class _Meta(Struct):
    n_ctx: int | None = None


class _Model(Struct):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None
    meta: _Meta | None = None


class _Models(Struct):
    data: list[_Model]


class _Details(Struct):
    family: str | None = None


class _Tag(Struct):
    name: str
    details: _Details | None = None


class _Tags(Struct):
    models: list[_Tag]


_OWNERS: Mapping[str, str] = {
    "vllm": "vllm",  # vllm/entrypoints/openai/protocol.py, ModelCard
    "sglang": "sglang",  # sglang/srt/entrypoints/openai/protocol.py, ModelCard
    "llamacpp": "llama.cpp",  # llama.cpp tools/server, handle_models
    "organization_owner": "lm-studio",  # lmstudio.ai/docs, OpenAI compatibility: list models
}


def parse_models(body: bytes) -> tuple[str, tuple[FoundModel, ...]] | None:
    """Provider and models from ``/v1/models``; ``None`` when it does not tell who answers.

    Ollama has this path too and writes the user's name as owner, so it is told by its own ``/api/tags``.
    """
    try:
        models = msgspec.json.decode(body, type=_Models).data
    except (msgspec.MsgspecError, RecursionError):
        return None
    provider = _OWNERS.get(models[0].owned_by) if models else None
    if provider is None:
        return None
    chat = (model for model in models if not _embeds(model.id, None))
    return provider, tuple(
        FoundModel(model.id, model.max_model_len or (model.meta.n_ctx if model.meta else None)) for model in chat
    )


def parse_tags(body: bytes) -> tuple[FoundModel, ...] | None:
    """Models from Ollama's ``/api/tags`` (ollama docs/api.md, list local models); ``None`` when that is not what this is."""
    try:
        tags = msgspec.json.decode(body, type=_Tags).models
    except (msgspec.MsgspecError, RecursionError):
        return None
    return tuple(FoundModel(tag.name) for tag in tags if not _embeds(tag.name, tag.details))


def _embeds(name: str, details: _Details | None) -> bool:
    """An embedding model cannot chat. LM Studio and Ollama list them among the others."""
    return "embed" in name.lower() or (details is not None and "bert" in (details.family or ""))
