"""OpenAI Images, generation: a prompt, and the images pass through. Streams of partial images are refused by name."""

from __future__ import annotations

from msgspec import Struct
from msgspec.json import Decoder

from trimtab.core.messages import Dialect, Message, Request, Text
from trimtab.wire.body import extras_of, read_fields, read_request, refuse
from trimtab.wire.operations.whole import ANY_MODEL, PassThrough


class _Request(Struct):
    prompt: str
    model: str | None = None
    user: str | None = None
    stream: bool | None = None
    partial_images: int | None = None


_REQUEST = Decoder(_Request)
_CARRIED = frozenset(_Request.__struct_fields__)


class OpenAIImages(PassThrough):
    """``/v1/images/generations``."""

    dialect = Dialect.OPENAI_IMAGES
    kind = "images"

    def decode_request(self, body: bytes) -> Request:
        fields = read_fields(body)
        wire = read_request(_REQUEST, body)
        if wire.stream:
            raise refuse(
                "stream", "streams of images are not supported here", "Leave the field out: the images come in one answer."
            )
        if wire.partial_images:
            raise refuse("partial_images", "partial images are not supported here", "Leave the field out.")
        return Request(
            dialect=self.dialect,
            model=wire.model or ANY_MODEL,
            messages=(Message("user", (Text(wire.prompt),)),),
            user=wire.user,
            native=body,
            extras=tuple(extras_of(fields, _CARRIED)),
        )
