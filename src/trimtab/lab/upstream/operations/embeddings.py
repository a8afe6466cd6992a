"""Embeddings as OpenAI's and Cohere's upstreams give them. Equal inputs get equal vectors, here as there; they mean nothing else.

Source: the public API references, "Embeddings" and "Embed API v2".
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct

import msgspec
from msgspec import Raw, Struct

from trimtab.core.messages import Dialect
from trimtab.lab.upstream.answers import Answer, Piece, body
from trimtab.lab.upstream.obliging import Asked

DIMENSIONS = 8


def vector_of(text: str | bytes, dimensions: int | None = None) -> tuple[float, ...]:
    """A vector of length 1 that depends on every letter of ``text``; its numbers are float32."""
    data = text.encode() if isinstance(text, str) else text
    width = dimensions or DIMENSIONS
    numbers = struct.unpack(f"<{width}h", hashlib.shake_256(data).digest(2 * width))
    length = math.hypot(*numbers) or 1.0
    return struct.unpack(f"<{width}f", struct.pack(f"<{width}f", *(number / length for number in numbers)))


def _packed(vector: tuple[float, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _key(item: Raw) -> str | bytes:
    """A text, or whatever else is to be embedded, by its JSON."""
    data = bytes(item)
    return msgspec.json.decode(data, type=str) if data.startswith(b'"') else data


class EmbeddingsRequest(Struct):
    """The fields of OpenAI's request that change what comes back."""

    model: str
    input: str | list[Raw]
    encoding_format: str = "float"
    dimensions: int | None = None

    dialect = Dialect.OPENAI_EMBEDDINGS
    content_type = "application/json"
    stream = False
    asked = Asked()

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        inputs = [self.input] if isinstance(self.input, str) else [_key(item) for item in self._each()]
        vectors = [vector_of(item, self.dimensions) for item in inputs]
        data = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if self.encoding_format == "base64" else vector}
            for index, vector in enumerate(vectors)
        ]
        whole: dict[str, object] = {"object": "list", "data": data, "model": self.model}
        if usage:
            whole["usage"] = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
        return body(msgspec.json.encode(whole))

    def _each(self) -> list[Raw]:
        """A list of numbers is one input, given as tokens."""
        items = self.input if isinstance(self.input, list) else []
        is_one = bool(items) and bytes(items[0])[:1].isdigit()
        return [Raw(msgspec.json.encode(items))] if is_one else items


class CohereEmbedRequest(Struct):
    """The fields of Cohere's request that change what comes back."""

    model: str
    input_type: str
    texts: list[str] | None = None
    images: list[str] | None = None
    inputs: list[Raw] | None = None
    embedding_types: list[str] | None = None
    output_dimension: int | None = None

    dialect = Dialect.COHERE_EMBED
    content_type = "application/json"
    stream = False
    asked = Asked()

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        inputs = [*(self.texts or ()), *(self.images or ()), *(bytes(item) for item in self.inputs or ())]
        vectors = [vector_of(item, self.output_dimension) for item in inputs]
        embeddings = {kind: [_of_type(kind, vector) for vector in vectors] for kind in self.embedding_types or ["float"]}
        whole: dict[str, object] = {"id": id, "embeddings": embeddings, "response_type": "embeddings_by_type"}
        if self.texts is not None:
            whole["texts"] = self.texts
        whole["meta"] = {"api_version": {"version": "2"}} | (
            {"billed_units": {"input_tokens": answer.input_tokens}} if usage else {}
        )
        return body(msgspec.json.encode(whole))


def _of_type(kind: str, vector: tuple[float, ...]) -> object:
    match kind:
        case "base64":
            return _packed(vector)
        case "int8":
            return [round(number * 127) for number in vector]
        case _:
            return vector
