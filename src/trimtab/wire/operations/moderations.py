"""OpenAI Moderations: what is to be judged, as texts and images. The judgement passes through."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, ValidationError
from msgspec.json import Decoder

from trimtab.core.messages import Dialect, Message, Part, Request, Text
from trimtab.wire.body import extras_of, image_at, read_fields, read_request, refuse, strange
from trimtab.wire.openai_chat import shapes
from trimtab.wire.operations.whole import ANY_MODEL, PassThrough


class _Request(Struct):
    input: str | list[Raw]
    model: str | None = None


_REQUEST = Decoder(_Request)
_PART: Decoder[str | shapes.TextPart | shapes.ImagePart] = Decoder(str | shapes.TextPart | shapes.ImagePart)
_KNOWN = ("text", "image_url")
_CARRIED = frozenset(_Request.__struct_fields__)


class OpenAIModerations(PassThrough):
    """``/v1/moderations``."""

    dialect = Dialect.OPENAI_MODERATIONS
    kind = "moderation"

    def decode_request(self, body: bytes) -> Request:
        fields = read_fields(body)
        wire = read_request(_REQUEST, body)
        if wire.input == []:
            raise refuse("input", "must hold at least one text or image")
        inputs = [msgspec.json.encode(wire.input)] if isinstance(wire.input, str) else wire.input
        parts = tuple(_part(raw, f"input.{number}") for number, raw in enumerate(inputs))
        return Request(
            dialect=self.dialect,
            model=wire.model or ANY_MODEL,
            messages=(Message("user", parts),),
            native=body,
            extras=tuple(extras_of(fields, _CARRIED)),
        )


def _part(raw: Raw | bytes, at: str) -> Part:
    try:
        wire = _PART.decode(raw)
    except ValidationError:
        return strange(Raw(raw), at, _PART, _KNOWN)
    match wire:
        case str(text) | shapes.TextPart(text=text):
            return Text(text)
        case shapes.ImagePart(image_url=image):
            return image_at(image) if isinstance(image, str) else image_at(image.url, image.detail)
