"""Which operation a path names, and its request as the lab reads it: only the fields that change what comes back."""

from __future__ import annotations

import msgspec

from trimtab.lab.upstream.loopback import Received
from trimtab.lab.upstream.operations.beside import ImageRequest, ModerationRequest, TranscriptionRequest
from trimtab.lab.upstream.operations.cohere import CohereRequest
from trimtab.lab.upstream.operations.embeddings import CohereEmbedRequest, EmbeddingsRequest
from trimtab.lab.upstream.operations.gemini import GeminiEmbedRequest, GeminiRequest, gemini_at

Asking = (
    CohereRequest
    | CohereEmbedRequest
    | EmbeddingsRequest
    | GeminiEmbedRequest
    | GeminiRequest
    | ModerationRequest
    | ImageRequest
    | TranscriptionRequest
)

_BY_PATH: tuple[
    tuple[str, type[CohereRequest | CohereEmbedRequest | EmbeddingsRequest | ModerationRequest | ImageRequest]], ...
] = (
    ("/v2/chat", CohereRequest),
    ("/v2/embed", CohereEmbedRequest),
    ("/embeddings", EmbeddingsRequest),
    ("/moderations", ModerationRequest),
    ("/images/generations", ImageRequest),
)


def asked_at(path: str, received: Received) -> Asking | None:
    """``None`` for a path of none of these. Raises :class:`msgspec.DecodeError` for a body that is none of its operation's."""
    if path.endswith("/audio/transcriptions"):
        return TranscriptionRequest.read(received)
    for end, kind in _BY_PATH:
        if path.endswith(end):
            return msgspec.json.decode(received.body, type=kind)
    return gemini_at(path, received.body)
