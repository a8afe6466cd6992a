"""Embeddings in the form that the client asked for, of OpenAI's two: a JSON array of numbers, or base64 of little-endian float32.

A vector that has the wanted form already is not looked into. Knows no dialect.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Literal

import msgspec
from msgspec import Raw

from trimtab.core.events import Event, Frame, VectorDelta
from trimtab.core.messages import Operation, Request
from trimtab.wire.codec import WireError

_FLOATS = msgspec.json.Decoder(list[float])
_TEXT = msgspec.json.Decoder(str)
_WIDTH = 4


def in_form(frame: Frame, request: Request) -> Frame:
    """``frame`` with its vectors as ``request`` asks for them, as numbers where it says nothing. Raises :class:`WireError`."""
    if request.operation is not Operation.EMBEDDINGS:
        return frame
    asked = request.embedding.encoding if request.embedding is not None else None
    events: tuple[Event, ...] = tuple(
        msgspec.structs.replace(event, raw=_as(event.raw, asked or "float")) if isinstance(event, VectorDelta) else event
        for event in frame.events
    )
    return Frame(events, frame.native)


def form_of(raw: Raw) -> Literal["float", "base64"]:
    """Raises :class:`WireError` for what is neither."""
    match bytes(raw)[:1]:
        case b"[":
            return "float"
        case b'"':
            return "base64"
        case _:
            raise WireError("an embedding that is neither numbers nor base64")


def _as(raw: Raw, form: Literal["float", "base64"]) -> Raw:
    if form_of(raw) == form:
        return raw
    return _packed(raw) if form == "base64" else _unpacked(raw)


def _packed(raw: Raw) -> Raw:
    try:
        numbers = _FLOATS.decode(raw)
        data = struct.pack(f"<{len(numbers)}f", *numbers)
    except (msgspec.DecodeError, OverflowError):
        raise WireError("an embedding that is no list of float32") from None
    return Raw(b'"' + base64.b64encode(data) + b'"')


def _unpacked(raw: Raw) -> Raw:
    try:
        data = base64.b64decode(_TEXT.decode(raw), validate=True)
        numbers = struct.unpack(f"<{len(data) // _WIDTH}f", data)
    except (msgspec.DecodeError, binascii.Error, ValueError, struct.error):
        raise WireError("an embedding that is no base64 of float32") from None
    written = ",".join(map(_written, numbers))
    if "n" in written:  # nan and inf, for which JSON has no word
        raise WireError("an embedding that is not finite")
    return Raw(f"[{written}]".encode())


def _written(number: float) -> str:
    """Nine digits tell every float32 from its neighbours; a float64 would have up to seventeen. Never an integer: -0 is not 0."""
    text = f"{number:.9g}"
    return text if "." in text or "e" in text else f"{text}.0"
