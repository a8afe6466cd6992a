"""Cohere v2 ``/v2/embed``, both sides. Knows nothing of other dialects.

Inputs come as ``texts``, ``images`` or ``inputs``; each is one part of one user message, and each part gets one vector. An input
that fuses several pieces into one vector has no like elsewhere and stays opaque.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Ended, Event, Finished, Frame, OpaqueDelta, Started, UsageReported, VectorDelta
from trimtab.core.messages import (
    Dialect,
    Embedding,
    FinishReason,
    Image,
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
    figures,
    given,
    image_at,
    read_answer,
    read_fields,
    read_request,
    refuse,
    with_model,
)
from trimtab.wire.codec import Untranslatable, WireError
from trimtab.wire.cohere import shapes
from trimtab.wire.cohere.client import encode_error
from trimtab.wire.common.translation import image_url
from trimtab.wire.operations.vectors import form_of
from trimtab.wire.operations.whole import WholeOnly, purpose_field

FUSED = "input"
"""The kind of an input that is more than one text or one image."""

_PURPOSES = frozenset({"search_document", "search_query", "classification", "clustering", "image"})
_DEFAULT_PURPOSE = "search_document"
_MOST_INPUTS = 96
"""In one call (API reference, "Embed"). Clients of other protocols send more."""
_TRUNCATE: dict[str, Literal["none", "start", "end"]] = {"NONE": "none", "START": "start", "END": "end"}


class _Request(Struct):
    model: str
    input_type: str
    texts: list[str] | None = None
    images: list[str] | None = None
    inputs: list[Raw] | None = None
    embedding_types: list[str] | None = None
    output_dimension: Count | None = None
    truncate: str | None = None


class _Input(Struct):
    content: list[Raw]


class _Units(Struct):
    input_tokens: shapes.Number | None = None
    image_tokens: shapes.Number | None = None


class _Meta(Struct):
    billed_units: _Units | None = None


class _Answer(Struct):
    id: str = ""
    embeddings: dict[str, Raw] | None = None
    meta: Raw = ABSENT


_REQUEST = Decoder(_Request)
_INPUT = Decoder(_Input)
_PIECE: Decoder[shapes.TextPart | shapes.ImagePart] = Decoder(shapes.TextPart | shapes.ImagePart)
_ANSWER = Decoder(_Answer)
_META = Decoder(_Meta)
_LIST = Decoder(list[Raw])
_CARRIED = frozenset(_Request.__struct_fields__)


class CohereEmbed(WholeOnly):
    """Stateless."""

    dialect = Dialect.COHERE_EMBED

    def decode_request(self, body: bytes) -> Request:
        fields = read_fields(body)
        wire = read_request(_REQUEST, body)
        extras = extras_of(fields, _CARRIED)
        types = wire.embedding_types or ["float"]
        if types not in (["float"], ["base64"]):
            # One vector for each input is what other protocols have, as numbers or packed.
            extras.append("embedding_types")
        truncate = _TRUNCATE.get(wire.truncate or "")
        if wire.truncate is not None and truncate is None:
            raise refuse("truncate", f"is none of {', '.join(_TRUNCATE)}")
        return Request(
            dialect=self.dialect,
            model=wire.model,
            messages=(Message("user", _parts(wire)),),
            embedding=Embedding(
                dimensions=wire.output_dimension,
                encoding="base64" if types == ["base64"] else "float",
                purpose=wire.input_type,
                truncate=truncate,
            ),
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
        # The field is required. What other protocols embed without saying what for is mostly a corpus; a query differs a little.
        purpose = _DEFAULT_PURPOSE if asked.purpose is None else asked.purpose
        if purpose not in _PURPOSES and not own:
            losses.add(purpose_field(request))
            purpose = _DEFAULT_PURPOSE
        # Base64 is not said to be of which width and order: for another protocol's client it is packed here, from numbers.
        encoding = asked.encoding if own and asked.encoding is not None else "float"
        body: Json = {"model": model, "input_type": purpose, **_inputs(request), "embedding_types": [encoding]}
        if asked.dimensions is not None:
            body["output_dimension"] = asked.dimensions
        if asked.truncate is not None:
            body["truncate"] = asked.truncate.upper()
        losses.add_where(user=request.user is not None)
        return msgspec.json.encode(body), losses.names()

    def decode_response(self, body: bytes) -> Frame:
        answer = read_answer(_ANSWER, body)
        if answer.embeddings is None:
            raise WireError("an answer without embeddings")
        events: list[Event] = [Started(answer.id)]
        vectors = next((kind for kind in ("float", "base64") if given(answer.embeddings.get(kind, ABSENT))), None)
        for kind, raw in answer.embeddings.items():
            if kind == vectors:
                events += [_vector(vector) for vector in read_answer(_LIST, raw)]
            elif given(raw):
                events.append(OpaqueDelta(kind, raw))
        events.append(Finished(FinishReason.STOP))
        usage = _usage(answer.meta)
        if usage is not None:
            events.append(UsageReported(usage))
        return Frame((*events, Ended()), body)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        vectors = [part.raw for choice in response.choices for part in choice.parts if isinstance(part, Vector)]
        kind = form_of(vectors[0]) if vectors else "float"
        meta: Json = {"api_version": {"version": "2"}}
        if response.usage.input is not None:
            meta["billed_units"] = {"input_tokens": response.usage.input}
        answer: Json = {"id": response.id or decision_id, "embeddings": {kind: vectors}, "meta": meta}
        return msgspec.json.encode(answer | {"response_type": "embeddings_by_type"})

    def encode_error(self, error: TrimtabError) -> bytes:
        return encode_error(error)


def _parts(wire: _Request) -> tuple[Part, ...]:
    parts: tuple[Part, ...] = (
        *(Text(text) for text in wire.texts or ()),
        *(image_at(url) for url in wire.images or ()),
        *(_part(raw, f"inputs.{number}") for number, raw in enumerate(wire.inputs or ())),
    )
    if not parts:
        raise refuse("texts", "is required, or images, or inputs", "Send at least one text or image.")
    return parts


def _part(raw: Raw, at: str) -> Part:
    content = read_request(_INPUT, raw, at).content
    if len(content) != 1:
        return Opaque(FUSED, raw)
    match read_request(_PIECE, content[0], f"{at}.content.0"):
        case shapes.TextPart(text=text):
            return Text(text)
        case shapes.ImagePart(image_url=image):
            return image_at(image.url, image.detail)


def _inputs(request: Request) -> Json:
    """The inputs, as plain as they can be said. None can be left out: the vectors answer them in order."""
    parts = [part for message in request.messages for part in message.parts]
    if len(parts) > _MOST_INPUTS and request.dialect is not Dialect.COHERE_EMBED:
        raise Untranslatable(
            f"Cohere embeds {_MOST_INPUTS} inputs at a time, and these are {len(parts)}; send fewer in one request"
        )
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) == len(parts):
        return {"texts": texts}
    return {"inputs": [_input(part, request) for part in parts]}


def _input(part: Part, request: Request) -> Json | Raw:
    match part:
        case Text(text=text):
            return {"content": [{"type": "text", "text": text}]}
        case Image():
            return {"content": [image_url(part)]}
        case Opaque(kind="input", raw=raw) if request.dialect is Dialect.COHERE_EMBED:
            return raw
        case _:
            raise Untranslatable(f"{request.dialect} asks for vectors of what is neither text nor image")


def _vector(raw: Raw) -> VectorDelta:
    form_of(raw)
    return VectorDelta(raw)


def _usage(raw: Raw) -> Usage | None:
    """What is billed. No vector has output tokens: that count is known, and 0."""
    meta = figures(_META, raw)
    billed = (meta and meta.billed_units) or _Units()
    # The first is documented as all billed input; image models before it had a word of their own.
    tokens = billed.image_tokens if billed.input_tokens is None else billed.input_tokens
    return None if tokens is None else Usage(input=shapes.whole(tokens), output=0)
