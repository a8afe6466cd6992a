"""Google's Gemini API, embeddings: ``batchEmbedContents`` towards the upstream, that and ``embedContent`` towards the client.

Each input is one part of one user message, and each part gets one vector; a content that fuses several parts into one vector has no like
elsewhere and stays opaque. Upstream it is always the batch, so no bytes of its answer are forwarded: who asked for one vector gets the
shape of one. The numbers go through as they came.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Ended, Event, Finished, Frame, Started, UsageReported, VectorDelta
from trimtab.core.messages import (
    Audio,
    Dialect,
    Document,
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
from trimtab.wire.body import ABSENT, Json, Losses, as_raw, extras_of, given, read_answer, read_fields, read_request, refuse
from trimtab.wire.codec import Untranslatable, UpstreamErrorEvent, WireError
from trimtab.wire.faults import read_error
from trimtab.wire.gemini import shapes
from trimtab.wire.gemini.client import encode_error, write_usage
from trimtab.wire.gemini.request import PartReader
from trimtab.wire.gemini.translate import image_part
from trimtab.wire.gemini.upstream import read_usage
from trimtab.wire.operations.whole import WholeOnly

_REQUEST = Decoder(shapes.EmbedRequest)
_FIELDS: Decoder[dict[str, Raw]] = Decoder(dict[str, Raw])
_BATCH: Decoder[list[Raw]] = Decoder(list[Raw])

_PURPOSES = {
    "RETRIEVAL_DOCUMENT": "search_document",
    "RETRIEVAL_QUERY": "search_query",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
}
_TASKS = {
    **{purpose: task for task, purpose in _PURPOSES.items()},
    **{task: task for task in ("SEMANTIC_SIMILARITY", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY")},
}


class _Values(Struct):
    values: Raw = ABSENT


class _Answer(Struct, rename="camel"):
    embeddings: list[_Values] | None = None
    embedding: _Values | None = None
    usage_metadata: Raw = ABSENT
    error: Raw = ABSENT


_ANSWER = Decoder(_Answer)


class GeminiEmbed(WholeOnly):
    """``single`` writes the answer of ``embedContent``: the path says which was called, and the door has one codec for each."""

    dialect = Dialect.GEMINI_EMBED

    def __init__(self, *, single: bool = False) -> None:
        self._single = single

    # -- the client's side

    def decode_request(self, body: bytes) -> Request:
        """A body of either method. All of a batch's members count as asked for in the way of the first; what differs is named."""
        spelled = shapes.camel_body(body)
        fields = read_fields(spelled)
        extras: list[str] = []
        if "requests" in fields:
            extras += extras_of(fields, frozenset({"requests", "model"}))
            found = read_request(_BATCH, fields["requests"], "requests")
            if not found:
                raise refuse("requests", "must hold at least one request", "Add a request with a content.")
            read = [_read(raw, f"requests.{number}", extras) for number, raw in enumerate(found)]
        else:
            read = [_read(Raw(spelled), "", extras)]
        parts, wishes = tuple(part for part, _ in read), [wish for _, wish in read]
        for number, wish in enumerate(wishes):
            if wish.purpose != wishes[0].purpose:
                extras.append(f"requests.{number}.taskType")
            if wish.dimensions != wishes[0].dimensions:
                extras.append(f"requests.{number}.outputDimensionality")
        return Request(
            dialect=Dialect.GEMINI_EMBED,
            model="",
            messages=(Message("user", parts),),
            embedding=wishes[0],
            native=body,
            extras=tuple(dict.fromkeys(extras)),
        )

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        parts = response.choices[0].parts if response.choices else ()
        vectors: list[Json] = [{"values": part.raw} for part in parts if isinstance(part, Vector)]
        answer: Json = {"embedding": vectors[0]} if self._single and vectors else {"embeddings": vectors}
        usage = None if response.usage.input is None else write_usage(msgspec.structs.replace(response.usage, output=None))
        return msgspec.json.encode(answer if usage is None else {**answer, "usageMetadata": usage})

    def encode_error(self, error: TrimtabError) -> bytes:
        return encode_error(error)

    # -- the upstream's side

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """The client's own body as a batch, every value as it came and the model in each member, where this protocol wants it too."""
        if not request.native:
            return self.encode_request(request, model)[0]
        fields = _FIELDS.decode(request.native)
        batch = [_FIELDS.decode(raw) for raw in _BATCH.decode(fields["requests"])] if "requests" in fields else [fields]
        return _written([{**member, "model": _resource(model)} for member in batch])

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        losses = Losses(() if request.dialect is Dialect.GEMINI_EMBED else request.extras)
        wish = request.embedding or Embedding()
        head: Json = {"model": _resource(model)}
        if wish.purpose is not None:
            if wish.purpose in _TASKS:
                head["taskType"] = _TASKS[wish.purpose]
            else:
                losses.add("input_type")
        if wish.dimensions is not None:
            head["outputDimensionality"] = wish.dimensions
        losses.add_where(truncate=wish.truncate is not None, user=request.user is not None)
        is_own = request.dialect is Dialect.GEMINI_EMBED
        contents = [_content(part, is_own=is_own) for message in request.messages for part in message.parts]
        return _written([{**head, "content": content} for content in contents]), losses.names()

    def decode_response(self, body: bytes) -> Frame:
        answer = read_answer(_ANSWER, body)
        if given(answer.error):
            raise UpstreamErrorEvent(read_error(body))
        found = [answer.embedding] if answer.embedding is not None else answer.embeddings
        if found is None:
            raise WireError("an answer without embeddings")
        if any(not bytes(vector.values).startswith(b"[") for vector in found):
            raise WireError("an embedding without values")
        events: list[Event] = [Started(), *(VectorDelta(vector.values) for vector in found), Finished(FinishReason.STOP)]
        usage = read_usage(answer.usage_metadata)
        if usage is not None and usage.input is not None:
            # A vector is no text: there is nothing to count.
            events.append(UsageReported(msgspec.structs.replace(usage, output=0)))
        return Frame((*events, Ended()))


def _read(raw: Raw, at: str, extras: list[str]) -> tuple[Part, Embedding]:
    """One input and the wishes that came with it."""
    fields = read_request(_FIELDS, raw, at)
    wire = read_request(_REQUEST, raw, at)
    inside = f"{at}.content" if at else "content"
    extras += [f"{at}.{name}" if at else name for name in extras_of(fields, shapes.CARRIED_EMBED)]
    parts = PartReader(extras).content(wire.content, inside)
    if not parts:
        raise refuse(f"{inside}.parts", "must hold at least one part", "Add a part with a text.")
    is_one = len(parts) == 1 and isinstance(parts[0], Text | Image | Audio | Document)
    part = parts[0] if is_one else Opaque("content", fields["content"])
    purpose = wire.task_type if wire.task_type != "TASK_TYPE_UNSPECIFIED" else None
    return part, Embedding(dimensions=wire.output_dimensionality, purpose=_PURPOSES.get(purpose or "", purpose))


def _content(part: Part, *, is_own: bool) -> Raw:
    match part:
        case Text(text=text):
            return as_raw({"parts": [{"text": text}]})
        case Image():
            return as_raw({"parts": [image_part(part)]})
        case Opaque(kind="content", raw=raw) if is_own:
            return raw
        case _:
            raise Untranslatable("an input that is neither text nor an image")


def _resource(model: str) -> str:
    return model if "/" in model else f"models/{model}"


def _written(requests: Sequence[object]) -> bytes:
    return msgspec.json.encode({"requests": requests})
