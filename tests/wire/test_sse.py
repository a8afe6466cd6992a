"""The decoder against the matrix of what servers really send, and against every way of cutting it."""

from __future__ import annotations

import pytest
from httpx2 import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder as OfficialDecoder
from tests import strategies as some

from trimtab.wire.sse import ServerSentEvent, SSEDecoder, SSEOverflow, encode_event

JSON = b'{"text":"caf\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x90\x99","more":"a\\n\\nb"}'


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def told(*chunks: bytes) -> list[tuple[str, bytes]]:
    return [(event.event, event.data) for event in decode(*chunks)]


STREAMS = {
    "lf": b"data: " + JSON + b"\n\ndata: [DONE]\n\n",
    "crlf": b"event: x\r\ndata: " + JSON + b"\r\n\r\ndata: [DONE]\r\n\r\n",
    "cr": b"data: " + JSON + b"\r\rdata: [DONE]\r\r",
    "mixed": b"data: 1\r\n\ndata: 2\n\rdata: 3\r\r\ndata: 4\n\r\ndata: 5\r\n\rdata: 6\n\n",
    "no space": b"event:x\ndata:" + JSON + b"\n\n",
    "comments": b": OPENROUTER PROCESSING\n\n: again\n\ndata: 1\n\n:\n\ndata: 2\n\n",
    "byte order mark": b"\xef\xbb\xbfdata: 1\n\n",
    "many data lines": b"event:  x\ndata: a\ndata:\ndata:  b\n\n",
    "no data": b"event: lonely\n\nid: 7\nretry: 3\n\ndata: 1\n\n",
    "no colon": b"data\n\nevent\ndata: 1\n\n",
    "after the end": b"data: [DONE]\n\ndata: 1\n\n",
}

EXPECTED = {
    "lf": [("", JSON), ("", b"[DONE]")],
    "crlf": [("x", JSON), ("", b"[DONE]")],
    "cr": [("", JSON), ("", b"[DONE]")],
    "mixed": [("", b"1"), ("", b"2"), ("", b"3"), ("", b"4"), ("", b"5"), ("", b"6")],
    "no space": [("x", JSON)],
    "comments": [("", b"1"), ("", b"2")],
    "byte order mark": [("", b"1")],
    "many data lines": [(" x", b"a\n\n b")],
    "no data": [("", b"1")],
    "no colon": [("", b""), ("", b"1")],
    "after the end": [("", b"[DONE]"), ("", b"1")],
}


@pytest.mark.parametrize("name", STREAMS)
def test_case_08_every_line_end_comment_and_mark(name: str) -> None:
    assert EXPECTED[name] == told(STREAMS[name])


@pytest.mark.parametrize("name", STREAMS)
def test_case_07_one_byte_per_packet(name: str) -> None:
    stream = STREAMS[name]
    assert decode(stream) == decode(*(stream[place : place + 1] for place in range(len(stream))))


@pytest.mark.parametrize("name", STREAMS)
def test_every_cut_in_two(name: str) -> None:
    stream = STREAMS[name]
    whole = decode(stream)
    for place in range(len(stream) + 1):
        assert whole == decode(stream[:place], stream[place:])


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "mixed"])
def test_raw_bytes_join_to_the_input(name: str) -> None:
    assert STREAMS[name].removeprefix(b"\xef\xbb\xbf") == b"".join(event.raw for event in decode(STREAMS[name]))


@pytest.mark.parametrize("name", ["lf", "crlf", "no space", "many data lines", "no data", "comments"])
def test_the_official_decoder_agrees(name: str) -> None:
    official = OfficialDecoder().iter_bytes(iter([STREAMS[name]]))
    ours = [(event, data.decode()) for event, data in told(STREAMS[name])]
    assert ours == [(event.event or "", event.data) for event in official if event.data]


@pytest.mark.parametrize(
    ("rest", "pending"),
    [
        (b"", False),
        (b"\n", False),
        (b": keep-alive\n", False),
        (b"data: {", True),
        (b"data: {}\n", True),
        (b"event: message_stop", True),
        (b": comment\ndata: 1\n", True),
    ],
)
def test_pending_tells_a_cut_event_from_a_quiet_end(rest: bytes, pending: bool) -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: 1\n\n" + rest)
    assert pending == decoder.pending


def test_case_09_an_overlong_event_is_refused_and_memory_is_bounded() -> None:
    decoder = SSEDecoder(max_event_bytes=1000)
    for _ in range(10):
        assert decoder.feed(b"x" * 100) == []
    with pytest.raises(SSEOverflow):
        decoder.feed(b"x")
    with pytest.raises(SSEOverflow):
        decoder.feed(b"\n\n")


def test_events_before_an_overlong_one_are_given_first() -> None:
    decoder = SSEDecoder(max_event_bytes=20)
    assert [event.data for event in decoder.feed(b"data: 1\n\ndata: " + b"x" * 30 + b"\n\n")] == [b"1"]
    with pytest.raises(SSEOverflow):
        decoder.feed(b"")


def test_an_event_of_exactly_the_limit_passes_in_any_cut() -> None:
    stream = b"data: " + b"x" * 12 + b"\n\n"
    for size in (1, 7, 20):
        decoder = SSEDecoder(max_event_bytes=20)
        assert sum(len(decoder.feed(stream[at : at + size])) for at in range(0, len(stream), size)) == 1


pieces = st.sampled_from(
    (b"data: ", b"data:", b"data", b"event: a", b": c", b"\n", b"\r", b"\r\n", b"x", b"\xe2\x80\xa8", b"\xef\xbb\xbf")
)


@settings(max_examples=100, deadline=None)
@given(st.lists(pieces, max_size=30).map(b"".join).flatmap(lambda stream: st.tuples(st.just(stream), some.cuts(stream))))
def test_same_events_for_every_way_of_cutting(sample: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = sample
    whole = decode(stream)
    assert whole == decode(*chunks)
    assert stream.removeprefix(b"\xef\xbb\xbf").startswith(b"".join(event.raw for event in whole))


@settings(max_examples=100, deadline=None)
@given(st.lists(pieces, max_size=30).map(b"".join))
def test_events_are_those_of_a_line_by_line_reading(stream: bytes) -> None:
    """A second reading of the WHATWG rules, word by word, without any of the decoder's shortcuts."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    expected: list[tuple[str, bytes]] = []
    name, data = "", list[bytes]()
    for line in text.split(b"\n")[:-1]:
        if not line:
            if data:
                expected.append((name, b"\n".join(data)))
            name, data = "", []
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    # The last CR could be the first half of CRLF: the decoder may wait for the next byte where the rules need not.
    got = told(stream, b"\n" if stream.endswith(b"\r") else b"")
    assert expected == got


@given(some.json_values, st.sampled_from(("", "message_start")))
def test_what_is_encoded_is_decoded(value: object, name: str) -> None:
    data = Response(200, json=value).content
    assert [(name, data)] == told(encode_event(data, name))
