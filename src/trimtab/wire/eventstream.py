"""AWS event streams (``application/vnd.amazon.eventstream``): binary frames to events, incrementally, with the face of ``SSEDecoder``.

A frame is a prelude (total length, length of the headers, CRC32 of both), headers, a payload and a CRC32 of all before it; every number
is big-endian (Smithy specification, "Amazon Event Stream"). What a frame tells becomes the event's name and data:

* an event: the ``:event-type`` and the payload;
* an exception or an error: ``error`` and ``{"type":"error","error":{"type":...,"message":...}}``, which is how Anthropic's own stream and
  its client for Bedrock write it, and which every codec here takes for an error event.

It knows nothing of Bedrock but the one wrapping that :class:`ChunkedEventStreamDecoder` takes off, nor of sockets.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct, field
from msgspec.json import Decoder

from trimtab.wire.codec import WireError
from trimtab.wire.sse import MAX_EVENT_BYTES, ServerSentEvent, SSEOverflow, encode_event

_PRELUDE = struct.Struct("!III")
_CRC = struct.Struct("!I")
_LEAST = _PRELUDE.size + _CRC.size
_STRING, _BYTES = 7, 6
# The widths of the other kinds of header values: true, false, byte, short, integer, long, timestamp, uuid.
_WIDTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class _Said(Struct):
    message: str = ""


_SAID = Decoder(_Said)


class EventStreamDecoder:
    """Feed it bytes as they come; it gives the events of the frames that are complete. ``raw`` is the frame."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._held = bytearray()
        self._needed = _PRELUDE.size
        self._fault: SSEOverflow | WireError | None = None

    @property
    def pending(self) -> bool:
        """Was a frame begun and not ended? True when the stream was cut inside one, or is beyond reading."""
        return bool(self._held) or self._fault is not None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that ``chunk`` completes, up to the first frame that is at fault; that one raises, then or at the next call.

        Raises :class:`SSEOverflow` for a frame that is longer than allowed, as soon as its prelude says so, and :class:`WireError` for one
        that is damaged: behind it nobody knows where the next frame begins.
        """
        events: list[ServerSentEvent] = []
        if self._fault is None:
            self._held += chunk
            if len(self._held) >= self._needed:
                try:
                    self._split(events)
                except (SSEOverflow, WireError) as fault:
                    self._fault = fault
        if self._fault is not None and not events:
            raise self._fault
        return events

    def _split(self, events: list[ServerSentEvent]) -> None:
        data, begin = bytes(self._held), 0
        try:
            while len(data) - begin >= _PRELUDE.size:
                self._needed = self._length(data, begin)
                if len(data) - begin < self._needed:
                    return
                events.append(_event(data[begin : begin + self._needed]))
                begin += self._needed
                self._needed = _PRELUDE.size
        finally:
            del self._held[:begin]

    def _length(self, data: bytes, begin: int) -> int:
        total, headers, checksum = _PRELUDE.unpack_from(data, begin)
        if crc32(data[begin : begin + _PRELUDE.size - _CRC.size]) != checksum:
            raise WireError("a frame whose prelude does not match its checksum")
        if headers > total - _LEAST:
            raise WireError("a frame that is shorter than its headers")
        if total > self._max:
            raise SSEOverflow(f"A frame is longer than {self._max} bytes.")
        return int(total)


class ChunkedEventStreamDecoder:
    """The stream of Bedrock's ``invoke-with-response-stream`` with an Anthropic model behind it.

    Each ``chunk`` frame wraps one event of Anthropic's as base64 (``{"bytes": ...}``). The events given here are those that Anthropic
    itself would have sent, and ``raw`` is their form there, so that they can be forwarded to a client of Anthropic's. What AWS reports
    about itself in other frames is passed over, its failures are not.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._frames = EventStreamDecoder(max_event_bytes)
        self._fault: WireError | None = None

    @property
    def pending(self) -> bool:
        return self._frames.pending or self._fault is not None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """As :meth:`EventStreamDecoder.feed`; a chunk that holds no event is a :class:`WireError`."""
        if self._fault is not None:
            raise self._fault
        events: list[ServerSentEvent] = []
        for frame in self._frames.feed(chunk):
            try:
                event = _unwrapped(frame)
            except WireError as fault:
                self._fault = fault
                break
            if event is not None:
                events.append(event)
        if self._fault is not None and not events:
            raise self._fault
        return events


class _Chunk(Struct):
    event: bytes = field(name="bytes")


class _Typed(Struct):
    type: str


_CHUNK = Decoder(_Chunk)
_TYPED = Decoder(_Typed)


def _unwrapped(frame: ServerSentEvent) -> ServerSentEvent | None:
    if frame.event == "error":
        return ServerSentEvent("error", frame.data, encode_event(frame.data, "error"))
    if frame.event != "chunk":
        return None
    try:
        data = b" ".join(_CHUNK.decode(frame.data).event.splitlines())
        name = _TYPED.decode(data).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise WireError("a chunk that holds no event") from None
    if len(name.split()) != 1:  # the name becomes a line of its own
        raise WireError("a chunk that holds no event")
    return ServerSentEvent(name, data, encode_event(data, name))


def _event(frame: bytes) -> ServerSentEvent:
    if crc32(frame[: -_CRC.size]) != _CRC.unpack_from(frame, len(frame) - _CRC.size)[0]:
        raise WireError("a frame that does not match its checksum")
    payload_at = _PRELUDE.size + _PRELUDE.unpack_from(frame)[1]
    headers = _headers(frame[_PRELUDE.size : payload_at])
    payload = frame[payload_at : -_CRC.size]
    match headers.get(":message-type", "event"):
        case "exception":
            return ServerSentEvent("error", _error(headers.get(":exception-type", ""), _message(payload)), frame)
        case "error":
            return ServerSentEvent("error", _error(headers.get(":error-code", ""), headers.get(":error-message", "")), frame)
        case _:
            return ServerSentEvent(headers.get(":event-type", ""), payload, frame)


def _headers(data: bytes) -> dict[str, str]:
    """The headers whose values are strings; the others are stepped over."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name, at = _take(data, at + 1, data[at])
            kind = data[at]
            if kind in (_STRING, _BYTES):
                value, at = _take(data, at + 3, int.from_bytes(data[at + 1 : at + 3], "big"))
                if kind == _STRING:
                    headers[name.decode()] = value.decode()
            else:
                _, at = _take(data, at + 1, _WIDTHS[kind])
    except (IndexError, KeyError, UnicodeDecodeError):
        raise WireError("a frame with unreadable headers") from None
    return headers


def _take(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    end = at + length
    if end > len(data):
        raise IndexError
    return data[at:end], end


def _message(payload: bytes) -> str:
    try:
        return _SAID.decode(payload).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _error(type: str, message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": type, "message": message}})


def encode_frame(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """One frame; ``headers`` are strings, names of at most 255 bytes and values of at most 65,535."""
    told = b"".join(
        b"%c%b%c%b%b" % (len(name.encode()), name.encode(), _STRING, len(value.encode()).to_bytes(2, "big"), value.encode())
        for name, value in headers.items()
    )
    lengths = struct.pack("!II", _LEAST + len(told) + len(payload), len(told))
    frame = lengths + _CRC.pack(crc32(lengths)) + told + payload
    return frame + _CRC.pack(crc32(frame))


def encode_event_frame(payload: bytes, name: str, kind: Literal["event", "exception"] = "event") -> bytes:
    """One frame with the headers that Bedrock gives its events and exceptions."""
    return encode_frame(payload, {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind})
