"""OpenAI Embeddings, both sides. Knows nothing of other dialects.

One user message holds one part for each input. Inputs given as tokens stay opaque: they encode a text that cannot be read here.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Ended, Event, Finished, Frame, Started, UsageReported, VectorDelta
from trimtab.core.messages import (
    Dialect,
    Embedding,
    FinishReason,
    Message,
    Opaque,
    Part,
    Request,
    Response,
    Text,
    Vector,
)
from trimtab.core.units import Usage
from trimtab.wire.body import (
    ABSENT,
    Count,
    Json,
    Losses,
    extras_of,
    given,
    read_answer,
    read_fields,
    read_request,
    refuse,
    with_model,
)
from trimtab.wire.codec import Untranslatable, UpstreamErrorEvent, WireError
from trimtab.wire.common.choosing import refuse_choosing
from trimtab.wire.faults import read_error
from trimtab.wire.openai_chat.client import encode_error
from trimtab.wire.operations.vectors import form_of
from trimtab.wire.operations.whole import WholeOnly, purpose_field

TOKENS = "tokens"
"""The kind of an input that is given as token ids."""


class _Request(Struct):
    model: str
    input: str | list[Raw]
    dimensions: Count | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class _Vector(Struct):
    embedding: Raw
    index: int | None = None


class _Usage(Struct):
    prompt_tokens: Count | None = None


class _Answer(Struct):
    id: str | None = None
    model: str | None = None
    data: list[_Vector] | None = None
    usage: Raw = ABSENT
    error: Raw = ABSENT


_REQUEST = Decoder(_Request)
_TEXT = Decoder(str)
_TEXTS = Decoder(list[str])
_IDS = Decoder(list[Count])
_ANSWER = Decoder(_Answer)
_USAGE = Decoder(_Usage)
_CARRIED = frozenset(_Request.__struct_fields__)


class OpenAIEmbeddings(WholeOnly):
    """``/v1/embeddings``."""

    dialect = Dialect.OPENAI_EMBEDDINGS

    def decode_request(self, body: bytes) -> Request:
        fields = read_fields(body)
        wire = read_request(_REQUEST, body)
        extras = extras_of(fields, _CARRIED)
        refuse_choosing(fields)
        return Request(
            dialect=self.dialect,
            model=wire.model,
            messages=(Message("user", _inputs(wire.input, fields["input"])),),
            embedding=Embedding(dimensions=wire.dimensions, encoding=wire.encoding_format),
            user=wire.user,
            native=body,
            extras=tuple(extras),
        )

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        if not request.native:
            return self.encode_request(request, model)[0]
        return msgspec.json.encode(with_model(request.native, model))

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        own = request.dialect is self.dialect
        losses = Losses(() if own else request.extras)
        asked = request.embedding or Embedding()
        body: Json = {"model": model, "input": _input(request)}
        if asked.dimensions is not None:
            body["dimensions"] = asked.dimensions
        if asked.encoding is not None:
            body["encoding_format"] = asked.encoding
        if request.user is not None:
            body["user"] = request.user
        # To refuse an input that is too long is what happens anyway.
        losses.add_where(truncate=asked.truncate not in (None, "none"))
        if asked.purpose is not None:
            losses.add(purpose_field(request))
        return msgspec.json.encode(body), losses.names()

    def decode_response(self, body: bytes) -> Frame:
        answer = read_answer(_ANSWER, body)
        if given(answer.error):
            raise UpstreamErrorEvent(read_error(body))
        if answer.data is None:
            raise WireError("an answer without data")
        events: list[Event] = [Started(answer.id or "", answer.model or "")]
        for vector in _in_order(answer.data):
            form_of(vector)
            events.append(VectorDelta(vector))
        events.append(Finished(FinishReason.STOP))
        usage = _usage(answer.usage)
        if usage is not None:
            events.append(UsageReported(usage))
        return Frame((*events, Ended()), body)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        vectors = [part.raw for choice in response.choices for part in choice.parts if isinstance(part, Vector)]
        data = [{"object": "embedding", "index": index, "embedding": raw} for index, raw in enumerate(vectors)]
        body: Json = {"object": "list", "data": data, "model": response.model}
        # ``None`` where the tokens are unknown: the protocol has no way to say so but to say nothing.
        if response.usage.input is not None:
            body["usage"] = {"prompt_tokens": response.usage.input, "total_tokens": response.usage.input}
        return msgspec.json.encode(body)

    def encode_error(self, error: TrimtabError) -> bytes:
        return encode_error(error)


def _inputs(wire: str | list[Raw], raw: Raw) -> tuple[Part, ...]:
    """One part for each input: a text, texts, tokens, or lists of tokens."""
    if isinstance(wire, str):
        return (Text(wire),)
    if not wire:
        raise refuse("input", "must hold at least one input")
    match bytes(wire[0])[:1]:
        case b'"':
            return tuple(Text(text) for text in read_request(_TEXTS, raw, "input"))
        case b"[":
            for number, ids in enumerate(wire):
                read_request(_IDS, ids, f"input.{number}")
            return tuple(Opaque(TOKENS, ids) for ids in wire)
        case _:
            read_request(_IDS, raw, "input")
            return (Opaque(TOKENS, raw),)


def _input(request: Request) -> object:
    """The inputs as texts, or as tokens where they came in this dialect. None can be left out: the vectors answer them in order."""
    parts = [part for message in request.messages for part in message.parts]
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) == len(parts):
        return texts
    tokens = [part.raw for part in parts if isinstance(part, Opaque) and part.kind == TOKENS]
    if len(tokens) == len(parts) and request.dialect is Dialect.OPENAI_EMBEDDINGS:
        return tokens
    raise Untranslatable(f"{request.dialect} asks for vectors of what is no text")


def _in_order(data: list[_Vector]) -> list[Raw]:
    """By index where every vector has its own, else as they came."""
    order = {vector.index: vector.embedding for vector in data}
    if order.keys() == set(range(len(data))):
        return [order[index] for index in range(len(data))]
    return [vector.embedding for vector in data]


def _usage(raw: Raw) -> Usage | None:
    """No vector has output tokens: that count is known, and 0."""
    try:
        wire = _USAGE.decode(raw) if given(raw) else _Usage()
    except (DecodeError, UnicodeDecodeError):
        return None
    return None if wire.prompt_tokens is None else Usage(input=wire.prompt_tokens, output=0)
