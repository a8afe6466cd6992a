"""What the faulty upstream sends, seen by a bare socket: the SDKs' view is in ``tests/oracle``."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.messages import Dialect
from trimtab.lab.faults import NAMED, Behaviour, FaultyUpstream, Hang, Refuse, Status, named, nobody, serve, speak
from trimtab.lab.upstream import openai
from trimtab.lab.upstream.answers import HELLO, TOOLS, Answer, Piece, words
from trimtab.lab.upstream.bodies import FAILURES
from trimtab.lab.upstream.delivery import (
    Cut,
    CutBytes,
    Drop,
    ErrorEvent,
    Fault,
    Form,
    Pace,
    Split,
    SplitCharacters,
    Stall,
    Steps,
    encode,
)
from trimtab.lab.upstream.loopback import Ending, Exchange, How, Loopback

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


class Heard:
    """What came over one connection until it ended: ``ending`` is ``reset`` where TCP said so, else ``closed``."""

    def __init__(self, raw: bytes, ending: Literal["reset", "closed"]) -> None:
        head, _, self.coded = raw.partition(b"\r\n\r\n")
        self.status = int(head.split()[1]) if head else None
        lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
        self.headers = {name.lower(): value for name, _, value in lines}
        self.ending = ending
        self.chunks: list[bytes] = []
        self.whole = False
        rest = self.coded
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            if int(size, 16) == 0:
                self.whole = True
                break
            self.chunks.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        self.body = b"".join(self.chunks)


async def hear(upstream: FaultyUpstream, path: str = CHAT, *, stream: bool = True, model: str = "m") -> Heard:
    host, port = upstream.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: lab\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
    )
    raw = bytearray()
    try:
        while data := await reader.read(65536):
            raw += data
            if raw.endswith(b"\r\n0\r\n\r\n"):
                break
    except ConnectionResetError:
        return Heard(bytes(raw), "reset")
    finally:
        writer.close()
    return Heard(bytes(raw), "closed")


async def said(*script: Behaviour, path: str = CHAT, stream: bool = True) -> tuple[Heard, Exchange]:
    async with FaultyUpstream(*script) as upstream:
        heard = await hear(upstream, path, stream=stream)
        return heard, upstream.exchanges[0]


def contents(body: bytes) -> str:
    events = [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: {")]
    choices = [json.loads(event)["choices"] for event in events]
    return "".join(choice[0]["delta"].get("content") or "" for choice in choices if choice)


async def test_a_script_is_used_in_order_and_its_last_behaviour_repeats() -> None:
    async with FaultyUpstream(Status(503, b"no"), speak("yes")) as upstream:
        assert [(await hear(upstream)).status for _ in range(3)] == [503, 200, 200]
        upstream.play(Status(500))
        assert (await hear(upstream)).status == 500
        received = upstream.exchanges[0].request
        assert (received.method, received.path, json.loads(received.body)["model"]) == ("POST", CHAT, "m")
        assert received.headers["host"] == "lab"


@pytest.mark.parametrize("how", ["end", "close", "reset"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_cut_breaks_off_in_the_way_it_says(how: How, path: str, stream: bool) -> None:
    heard, exchange = await said(speak(HELLO, Cut(after=3, how=how)), path=path, stream=stream)
    assert heard.whole is (how == "end")
    assert heard.ending == ("reset" if how == "reset" else "closed")
    assert (exchange.ending, bytes(exchange.sent)) == ("cut", heard.body)
    if stream:
        assert HELLO.text[2].strip() in heard.body.decode()
        assert HELLO.text[3].strip() not in heard.body.decode()
    else:
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(heard.body.decode(errors="replace"))


async def test_a_cut_inside_leaves_half_an_event() -> None:
    heard, _ = await said(speak(HELLO, Cut(after=3, how="end", inside=True)))
    *_, last = heard.body.split(b"\n\n")
    assert last.startswith(b'data: {"id"')
    assert not last.endswith(b"}")


async def test_a_cut_after_bytes_is_exact() -> None:
    heard, _ = await said(speak(HELLO, CutBytes(after=333, how="close")))
    assert len(heard.body) == 333
    assert not heard.whole


async def test_refuse_sends_nothing_at_all() -> None:
    heard, exchange = await said(Refuse())
    assert (heard.status, heard.ending, exchange.ending) == (None, "reset", "cut")


async def test_nobody_listens() -> None:
    with nobody() as url, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))


@pytest.mark.parametrize(
    ("behaviour", "heard"),
    [
        (Hang(), b""),
        (speak(HELLO, Stall()), b"HTTP/1.1 200"),
        (speak(HELLO, Stall(after=2)), b"w\xc3\xb6rld: "),
        (speak(HELLO, Stall(keep_alive=0.001)), b": OPENROUTER PROCESSING\n\n"),
    ],
)
async def test_silence_lasts_until_the_client_leaves_and_that_is_recorded(behaviour: Behaviour, heard: bytes) -> None:
    async with FaultyUpstream(behaviour) as upstream:
        task = asyncio.create_task(hear(upstream))
        while not upstream.exchanges or heard not in b"HTTP/1.1 200" + bytes(upstream.exchanges[0].sent):
            await asyncio.sleep(0.001)
        (exchange,) = upstream.exchanges
        assert not exchange.ended.is_set()
        task.cancel()
        await asyncio.wait([task])
        async with asyncio.timeout(2):
            await exchange.ended.wait()
        assert exchange.ending == "client_left"
        assert exchange.ended_at is not None
        assert HELLO.text[2].encode() not in exchange.sent


async def test_stopping_the_upstream_ends_what_still_hangs() -> None:
    async with FaultyUpstream(Hang()) as upstream:
        task = asyncio.create_task(hear(upstream))
        while not upstream.exchanges:
            await asyncio.sleep(0.001)
    assert upstream.exchanges[0].ending == "stopped"
    assert (await task).status is None


async def test_bytes_come_one_a_packet_and_characters_are_split() -> None:
    one, _ = await said(speak(HELLO, Split(1)))
    assert {len(chunk) for chunk in one.chunks} == {1}
    split, _ = await said(speak(HELLO, SplitCharacters()))
    assert any(chunk[0] & 0xC0 == 0x80 for chunk in split.chunks)
    whole, _ = await said(speak(HELLO))
    assert one.body == split.body == whole.body


async def test_an_error_event_comes_in_each_dialects_own_shape() -> None:
    chat, _ = await said(speak(HELLO, ErrorEvent(after=2)))
    assert contents(chat.body.partition(b'data: {"error"')[0]) == "".join(HELLO.text[:2])
    assert b'\n\ndata: {"error":{"message"' in chat.body
    messages, _ = await said(speak(HELLO, ErrorEvent()), path=MESSAGES)
    assert b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"' in messages.body
    assert b"content_block_delta" not in messages.body
    whole, _ = await said(speak(HELLO, ErrorEvent()), stream=False)
    assert set(json.loads(whole.body)) == {"error"}
    for heard in (chat, messages, whole):
        assert (heard.status, heard.whole) == (200, True)
        assert b"[DONE]" not in heard.body
        assert b"message_stop" not in heard.body


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("stream", [True, False])
async def test_usage_can_be_missing(path: str, stream: bool) -> None:
    heard, _ = await said(speak(HELLO, usage=False), path=path, stream=stream)
    assert b"usage" not in heard.body


async def test_the_end_can_be_missing() -> None:
    heard, _ = await said(speak(HELLO, Drop(("end",))))
    assert heard.whole
    assert b'"finish_reason":"stop"' in heard.body
    assert b"[DONE]" not in heard.body


async def test_failures_are_sent_as_recorded() -> None:
    async with FaultyUpstream(*FAILURES.values()) as upstream:
        for row in FAILURES.values():
            heard = await hear(upstream, MESSAGES if row.dialect is Dialect.ANTHROPIC else CHAT)
            assert (heard.status, heard.body.decode()) == (row.status, row.body)
            assert row.headers.items() <= heard.headers.items()


@pytest.mark.parametrize("name", NAMED)
async def test_every_named_fault_can_be_had_by_model_name(name: str) -> None:
    numbers = {"status": "-503", "huge": "-1", "first-token": "-0", "drip": "-0", "reset-after-bytes": "-9"}
    asked = f"fault:{name}{numbers.get(name, '-2' if name.endswith('after') else '')}"
    assert named(asked) is not None
    async with FaultyUpstream() as upstream:
        task = asyncio.create_task(hear(upstream, model=asked))
        stays_open = name in ("hang", "silence-after", "keep-alives")
        done, _ = await asyncio.wait([task], timeout=0.1 if stays_open else 5)
        assert bool(done) is not stays_open
        task.cancel()
        if done:
            assert task.result().status == {"refuse": None, "status": 503}.get(name, 200)


async def test_what_is_no_request_is_told_so() -> None:
    async with FaultyUpstream() as upstream:
        assert (await hear(upstream, "/v1/rerank")).status == 404
        assert (await hear(upstream, model="fault:no-such")).status == 404
        host, port = upstream.url.removeprefix("http://").split(":")
        for sent, starts in (
            (b"POST /v1/messages HTTP/1.1\r\ncontent-length: 1\r\n\r\n{", b"HTTP/1.1 400"),
            (b"not http\r\n\r\n", b""),
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            assert (await reader.read(12)).startswith(starts)
            writer.close()


async def test_a_defect_of_the_handler_is_raised_and_not_hidden() -> None:
    async def broken(exchange: Exchange) -> Ending:
        raise ZeroDivisionError

    async def provoke() -> None:
        async with Loopback(broken) as loopback:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(loopback.url.rpartition(":")[2]))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    with pytest.raises(ZeroDivisionError):
        await provoke()


async def test_two_requests_on_one_connection_are_answered_in_turn() -> None:
    async with FaultyUpstream(Status(201), Status(202)) as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(upstream.url.rpartition(":")[2]))
        for status in (201, 202):
            writer.write(b"POST /messages HTTP/1.1\r\ncontent-length: 27\r\n\r\n" + b'{"model":"m","messages":[]}')
            assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 %d" % status)
        writer.close()
    assert [exchange.ending for exchange in upstream.exchanges] == ["complete", "complete"]


async def test_pace_waits_before_each_piece() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await said(speak("a b c", Pace(first=0.03, each=0.01)))
    assert loop.time() - before >= 0.05


async def test_serve_tells_its_url() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve(0, ready=told.put_nowait))
    assert (await told.get()).startswith("http://127.0.0.1:")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_table_of_failures_says_where_it_is_from() -> None:
    assert all(row.source and row.name == name for name, row in FAILURES.items())
    assert {row.dialect for row in FAILURES.values()} >= {Dialect.OPENAI_CHAT, Dialect.ANTHROPIC, Dialect.GEMINI}


@given(st.text())
def test_words_join_to_the_text(text: str) -> None:
    assert "".join(words(text)) == text


FORMS = st.builds(
    Form, newline=st.sampled_from(["lf", "crlf", "cr", "mixed"]), space=st.booleans(), bom=st.booleans()
)  # every liberty at once


@given(FORMS)
def test_every_form_reads_as_the_same_lines(form: Form) -> None:
    steps: Steps = [Piece("content", b'{"a":1}', "x"), Piece("content", "{é}".encode()), Piece("end", b"[DONE]")]
    sent = b"".join(step for step in encode(steps, form) if isinstance(step, bytes))
    lines = sent.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").replace(": ", ":").split("\n")
    assert lines == ["event:x", 'data:{"a":1}', "", "data:{é}", "", "data:[DONE]", "", ""]


FAULTS: st.SearchStrategy[Fault] = st.one_of(
    st.builds(Cut, after=st.integers(0, 20), how=st.sampled_from(["end", "close", "reset"]), inside=st.booleans()),
    st.builds(CutBytes, after=st.integers(0, 5000), how=st.sampled_from(["end", "close", "reset"])),
)


@settings(max_examples=100, deadline=None)
@given(FAULTS, st.booleans(), st.sampled_from([HELLO, TOOLS]))
def test_whatever_the_cut_the_end_is_never_sent(fault: Fault, stream: bool, answer: Answer) -> None:
    request = openai.ChatRequest(model="m", messages=[], stream=stream)
    pieces: Steps = [*openai.pieces(answer, request, "id", usage=True)]
    whole = b"".join(step for step in encode(pieces, Form()) if isinstance(step, bytes))
    steps = fault.on_bytes(encode(fault.on_pieces(pieces, Dialect.OPENAI_CHAT), Form()))
    sent = b"".join(step for step in steps if isinstance(step, bytes))
    assert whole.startswith(sent)
    assert len(sent) < len(whole) or isinstance(fault, CutBytes)
