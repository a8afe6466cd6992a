"""AWS's own parser and Anthropic's client for Bedrock are the oracles of the frames."""

from __future__ import annotations

import base64
import json
import struct
from binascii import crc32

import pytest
from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import strategies as some

from trimtab.core.events import TextDelta
from trimtab.wire import (
    AnthropicMessages,
    ChunkedEventStreamDecoder,
    EventStreamDecoder,
    ServerSentEvent,
    SSEDecoder,
    SSEOverflow,
    UpstreamErrorEvent,
    WireError,
)
from trimtab.wire.eventstream import encode_event_frame, encode_frame

law = settings(max_examples=120, deadline=None)

EVENTS = [
    b'{"type":"message_start","message":{"id":"m","model":"x"}}',
    b'{"type":"content_block_delta",\n"index":0}',
    b'{"type":"ping"}',
]


def framed(payload: bytes, headers: bytes) -> bytes:
    """A frame around headers as they stand on the wire."""
    lengths = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    frame = lengths + struct.pack("!I", crc32(lengths)) + headers + payload
    return frame + struct.pack("!I", crc32(frame))


def header(name: bytes, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([kind]) + value


other_headers = st.one_of(
    st.sampled_from((0, 1)).map(lambda kind: (kind, b"")),
    st.integers(-128, 127).map(lambda n: (2, struct.pack("!b", n))),
    st.integers(-(2**15), 2**15 - 1).map(lambda n: (3, struct.pack("!h", n))),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: (4, struct.pack("!i", n))),
    st.integers(-(2**63), 2**63 - 1).map(lambda n: (5, struct.pack("!q", n))),
    st.binary(max_size=20).map(lambda data: (6, struct.pack("!H", len(data)) + data)),
    st.integers(0, 2**62).map(lambda n: (8, struct.pack("!q", n))),
    st.binary(min_size=16, max_size=16).map(lambda data: (9, data)),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    name = draw(some.names)
    told = header(b":event-type", 7, struct.pack("!H", len(name)) + name.encode())
    told += header(b":message-type", 7, struct.pack("!H", 5) + b"event")
    before = b"".join(header(f"a{n}".encode(), *value) for n, value in enumerate(draw(st.lists(other_headers, max_size=3))))
    after = b"".join(header(f"b{n}".encode(), *value) for n, value in enumerate(draw(st.lists(other_headers, max_size=3))))
    return framed(draw(st.binary(max_size=40)), before + told + after)


def told_by_aws(data: bytes) -> list[tuple[str, bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers[":event-type"], message.payload) for message in buffer]


def read(decoder: EventStreamDecoder | ChunkedEventStreamDecoder, pieces: list[bytes]) -> list[ServerSentEvent]:
    return [event for piece in pieces for event in decoder.feed(piece)]


@law
@given(st.data())
def test_frames_are_read_as_aws_reads_them_however_they_are_cut(data: st.DataObject) -> None:
    stream = b"".join(data.draw(st.lists(frames(), max_size=4)))
    decoder = EventStreamDecoder()
    events = read(decoder, data.draw(some.cuts(stream)))
    assert told_by_aws(stream) == [(event.event, event.data) for event in events]
    assert stream == b"".join(event.raw for event in events)
    assert not decoder.pending


@law
@given(frames(), st.data())
def test_a_cut_inside_a_frame_is_noticed(frame: bytes, data: st.DataObject) -> None:
    decoder = EventStreamDecoder()
    assert decoder.feed(frame + frame[: data.draw(st.integers(1, len(frame) - 1))])
    assert decoder.pending


@law
@given(frames(), frames(), st.data())
def test_a_damaged_byte_never_becomes_an_event(first: bytes, second: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(second) - 1))
    damaged = bytearray(second)
    damaged[place] ^= data.draw(st.integers(1, 255))
    decoder = EventStreamDecoder()
    assert told_by_aws(first) == [(event.event, event.data) for event in decoder.feed(first + damaged)]
    assert decoder.pending
    with pytest.raises(WireError):
        decoder.feed(b"")
    with pytest.raises(ParserError):
        told_by_aws(bytes(damaged))


@law
@given(st.binary(max_size=80))
def test_arbitrary_headers_raise_nothing_unforeseen(headers: bytes) -> None:
    try:
        EventStreamDecoder().feed(framed(b"", headers))
    except WireError:
        return


def test_a_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    small, long = encode_event_frame(b"{}", "ping"), encode_event_frame(b"x" * 200, "ping")
    decoder = EventStreamDecoder(max_event_bytes=120)
    assert len(decoder.feed(small + long[:12])) == 1
    for _ in range(2):
        with pytest.raises(SSEOverflow):
            decoder.feed(b"")


@law
@given(st.binary(max_size=60), st.dictionaries(some.names, st.text(max_size=30), max_size=4))
def test_what_is_written_aws_reads(payload: bytes, headers: dict[str, str]) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode_frame(payload, headers))
    (message,) = list(buffer)
    assert (headers, payload) == (message.headers, message.payload)


# -- errors

EXCEPTION = encode_event_frame(b'{"message":"Too many tokens"}', "throttlingException", "exception")
ERROR = encode_frame(b"", {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "An internal error"})


@pytest.mark.parametrize("decoder", [EventStreamDecoder, ChunkedEventStreamDecoder])
@pytest.mark.parametrize(
    "frame, type, message", [(EXCEPTION, "throttlingException", "Too many tokens"), (ERROR, "InternalFailure", "An internal error")]
)
def test_an_exception_is_an_error_event(
    decoder: type[EventStreamDecoder | ChunkedEventStreamDecoder], frame: bytes, type: str, message: str
) -> None:
    (event,) = decoder().feed(frame)
    assert event.event == "error"
    with pytest.raises(UpstreamErrorEvent) as raised:
        AnthropicMessages().stream_decoder().feed(event)
    assert (type, message) == (raised.value.error.type, raised.value.error.message)


# -- Anthropic's events behind Bedrock


def chunk(event: bytes) -> bytes:
    return encode_event_frame(json.dumps({"bytes": base64.b64encode(event).decode(), "p": "abc"}).encode(), "chunk")


def test_the_chunks_are_read_as_anthropics_client_reads_them() -> None:
    stream = b"".join(map(chunk, EVENTS)) + EXCEPTION
    theirs = list(AWSEventStreamDecoder().iter_bytes(iter([stream])))
    ours = ChunkedEventStreamDecoder().feed(stream)
    assert [(event.event, json.loads(event.data)) for event in theirs] == [(event.event, json.loads(event.data)) for event in ours]


@law
@given(st.data())
def test_the_chunks_are_forwarded_as_anthropic_would_have_sent_them(data: st.DataObject) -> None:
    stream = b"".join(map(chunk, EVENTS)) + EXCEPTION
    events = read(ChunkedEventStreamDecoder(), data.draw(some.cuts(stream)))
    assert events == SSEDecoder().feed(b"".join(event.raw for event in events))
    assert [json.loads(event) for event in EVENTS] == [json.loads(event.data) for event in events[:3]]


def test_a_chunk_reaches_the_codec() -> None:
    delta = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}'
    (event,) = ChunkedEventStreamDecoder().feed(chunk(delta))
    frame = AnthropicMessages("bedrock").stream_decoder().feed(event)
    assert ((TextDelta("hi"),), b"event: content_block_delta\ndata: " + delta + b"\n\n") == (frame.events, frame.native)


@pytest.mark.parametrize("event", [b"", b"[]", b"{}", b'{"type":"a\\nb"}', b'{"type":""}', b"\xff"])
def test_a_chunk_without_an_event_is_refused_behind_those_before_it(event: bytes) -> None:
    decoder = ChunkedEventStreamDecoder()
    assert len(decoder.feed(chunk(EVENTS[2]) + chunk(event) + chunk(EVENTS[2]))) == 1
    assert decoder.pending
    with pytest.raises(WireError):
        decoder.feed(b"")


def test_what_aws_tells_about_itself_is_passed_over() -> None:
    assert ChunkedEventStreamDecoder().feed(encode_event_frame(b"{}", "news")) == []
