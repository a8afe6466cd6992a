"""What holds for Cohere's chat on its way through the codecs, for every embedding between the makers, and for every form."""

from __future__ import annotations

import base64
import json
import struct
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from tests import strategies as some

from trimtab.core.errors import MalformedRequest
from trimtab.core.events import Event, Frame, ReasoningDelta, TextDelta, ToolCallDelta, VectorDelta, fold, unfold
from trimtab.core.messages import (
    Choice,
    Dialect,
    Document,
    Embedding,
    FinishReason,
    Message,
    Operation,
    Part,
    Request,
    Response,
    Text,
    ToolResult,
    Vector,
)
from trimtab.core.units import Usage
from trimtab.wire import CODECS, Codec, SSEDecoder, in_form

CHAT, OPENAI = CODECS[Dialect.COHERE], CODECS[Dialect.OPENAI_CHAT]
TRANSCRIBE = CODECS[Dialect.OPENAI_TRANSCRIPTIONS]
EMBEDDERS = [pytest.param(CODECS[dialect], id=dialect) for dialect in Dialect if dialect.operation is Operation.EMBEDDINGS]
law = settings(max_examples=30, deadline=None)


# -- Cohere's chat -----------------------------------------------------------------------------------------------------------------


def said(request: Request) -> list[tuple[str, Part]]:
    """All parts in order with who said them, in the words of this protocol: it flags no result, and has no files."""
    out: list[tuple[str, Part]] = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolResult):
                part = msgspec.structs.replace(part, is_error=False)
            # A message whose one part is lost stays, with nothing in it.
            if not isinstance(part, Document) and part != Text(""):
                out.append((message.role, part))
    return out


@law
@given(some.requests(Dialect.OPENAI_CHAT))
def test_a_request_survives_the_way_to_cohere(request: Request) -> None:
    body, lost = CHAT.encode_request(request, "m")
    read = CHAT.decode_request(body)
    assert said(request) == said(read)
    assert (read.stream, read.sampling.max_tokens, read.sampling.stop) == (
        request.stream,
        request.sampling.max_tokens,
        request.sampling.stop,
    )
    wanted, got = request.sampling.top_p, read.sampling.top_p
    assert (got == wanted) == ("top_p" not in lost)
    assert got is None or 0.01 <= got <= 0.99
    chosen = request.tool_choice
    if chosen is not None and chosen.mode == "tool":
        assert "tool_choice" in lost or [tool.name for tool in read.tools] == [chosen.name]
    else:
        assert [tool.name for tool in request.tools] == [tool.name for tool in read.tools]
        kept = {f"tools.{number}.strict" for number, tool in enumerate(request.tools) if tool.strict} - set(lost)
        assert all(tool.strict for tool in read.tools) or not kept
    files = [part for message in request.messages for part in message.parts if isinstance(part, Document)]
    assert len(files) == sum(".content." in name and "is_error" not in name for name in lost)


@law
@given(some.requests(Dialect.COHERE))
def test_what_cohere_says_in_its_own_dialect_is_read_as_it_was_said(request: Request) -> None:
    once = CHAT.decode_request(CHAT.encode_request(request, "m")[0])
    twice = CHAT.decode_request(CHAT.encode_request(once, "m")[0])
    assert msgspec.structs.replace(once, native=b"") == msgspec.structs.replace(twice, native=b"")


def counted(response: Response) -> Response:
    """What of the usage this protocol tells once it is billed: input and output."""
    usage = response.usage
    return msgspec.structs.replace(response, model="", created=None, usage=Usage(input=usage.input, output=usage.output))


def by_kind(response: Response) -> Response:
    """Calls in order of their ids: interleaved calls may begin in another order than that of their indices."""
    choices = tuple(
        msgspec.structs.replace(choice, parts=tuple(sorted(choice.parts, key=lambda part: (type(part).__name__, str(part)))))
        for choice in response.choices
    )
    return msgspec.structs.replace(response, choices=choices)


def without_filter(response: Response) -> Response:
    """There is no word for an answer that was declined."""
    (choice,) = response.choices
    if choice.finish_reason is not FinishReason.CONTENT_FILTER:
        return response
    return msgspec.structs.replace(response, choices=(msgspec.structs.replace(choice, finish_reason=FinishReason.STOP),))


@law
@given(some.responses())
def test_an_answer_is_read_as_it_was_written(response: Response) -> None:
    read = fold(CHAT.decode_response(CHAT.encode_response(response, "d")).events)
    assert counted(without_filter(response)) == read


@st.composite
def pieces(draw: st.DrawFn) -> tuple[Response, list[Event]]:
    """An answer, and a stream that tells it in small pieces, its calls interleaved."""
    response = draw(some.responses())
    lanes: dict[int, list[Event]] = {}
    before: list[Event] = []
    after: list[Event] = []
    for event in unfold(response):
        match event:
            case ToolCallDelta(arguments=text, index=index):
                at = draw(st.integers(0, len(text)))
                lanes[index] = [msgspec.structs.replace(event, arguments=text[:at]), ToolCallDelta(index, text[at:])]
            case TextDelta(text=text) | ReasoningDelta(text=text):
                at = draw(st.integers(0, len(text)))
                before += [msgspec.structs.replace(event, text=piece) for piece in (text[:at], text[at:]) if piece]
            case _:
                (after if before or lanes else before).append(event)
    calls: list[Event] = []
    while any(lanes.values()):
        calls.append(lanes[draw(st.sampled_from([index for index, lane in lanes.items() if lane]))].pop(0))
    return response, [*before, *calls, *after]


@law
@given(pieces(), st.lists(st.integers(0, 10**6), max_size=6))
def test_a_stream_tells_what_the_whole_answer_tells(sample: tuple[Response, list[Event]], cut: list[int]) -> None:
    response, events = sample
    encoder = CHAT.stream_encoder(CHAT.decode_request(b'{"model":"m","messages":[{"role":"user","content":"?"}]}'), "d")
    written = b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in events)
    framer, decoder = SSEDecoder(), CHAT.stream_decoder()
    ends = sorted({place % (len(written) + 1) for place in cut} | {0, len(written)})
    read = [one for start, stop in pairwise(ends) for one in framer.feed(written[start:stop])]
    kinds = [one.event for one in read]
    assert (kinds[0], kinds[-1]) == ("message-start", "message-end")
    # Nothing begins before what was open has ended.
    edges = [kind for kind in kinds if kind.endswith(("-start", "-end")) and not kind.startswith("message")]
    assert all(
        (first.removesuffix("-start"), second) == (second.removesuffix("-end"), second)
        for first, second in zip(edges[::2], edges[1::2], strict=True)
    )
    told = fold(event for one in read for event in decoder.feed(one).events)
    assert by_kind(counted(without_filter(response))) == by_kind(told)


# -- embeddings --------------------------------------------------------------------------------------------------------------------

asked = st.builds(
    Embedding,
    dimensions=st.none() | st.integers(1, 4096),
    encoding=st.sampled_from((None, "float", "base64")),
    purpose=st.sampled_from((None, "search_document", "search_query", "classification", "clustering")),
    truncate=st.sampled_from((None, "none", "start", "end")),
)


@st.composite
def embedding_requests(draw: st.DrawFn) -> Request:
    return Request(
        dialect=draw(st.sampled_from((Dialect.OPENAI_EMBEDDINGS, Dialect.COHERE_EMBED, Dialect.GEMINI_EMBED))),
        model="m",
        messages=(Message("user", tuple(Text(text) for text in draw(st.lists(some.some_text, min_size=1, max_size=4)))),),
        embedding=draw(asked),
        user=draw(st.none() | some.names),
    )


@pytest.mark.parametrize("codec", EMBEDDERS)
@law
@given(request=embedding_requests())
def test_every_input_and_every_wish_arrives_or_is_named(codec: Codec, request: Request) -> None:
    body, lost = codec.encode_request(request, "m")
    read = codec.decode_request(body)
    assert read.messages == request.messages
    wanted, got = request.embedding, read.embedding
    assert wanted is not None
    assert got is not None
    assert got.dimensions == wanted.dimensions
    named = {"taskType", "input_type"} & set(lost)
    assert wanted.purpose is None or (got.purpose == wanted.purpose) != bool(named)
    # To refuse what is too long is what the protocols without such a field do.
    assert wanted.truncate in (None, "none") or (got.truncate == wanted.truncate) != ("truncate" in lost)
    assert request.user is None or (read.user == request.user) != ("user" in lost)


float32s = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=5)


@pytest.mark.parametrize("codec", EMBEDDERS)
@law
@given(vectors=st.lists(float32s, min_size=1, max_size=4), tokens=some.token_counts)
def test_vectors_arrive_in_their_order(codec: Codec, vectors: list[list[float]], tokens: int) -> None:
    parts = tuple(Vector(Raw(json.dumps(vector).encode())) for vector in vectors)
    response = Response("x", "m", (Choice(0, parts, FinishReason.STOP),), Usage(input=tokens, output=0))
    read = fold(codec.decode_response(codec.encode_response(response, "d")).events)
    assert read.choices == response.choices
    assert read.usage == response.usage


def asking(form: str) -> Request:
    return CODECS[Dialect.OPENAI_EMBEDDINGS].decode_request(
        json.dumps({"model": "m", "input": "x", "encoding_format": form}).encode()
    )


@law
@given(float32s)
def test_both_forms_of_a_vector_say_the_same_numbers(vector: list[float]) -> None:
    packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    as_text = Frame((VectorDelta(Raw(json.dumps(packed).encode())),))
    as_numbers = Frame((VectorDelta(Raw(json.dumps(vector).encode())),))
    assert in_form(as_numbers, asking("base64")).events == as_text.events
    unpacked = in_form(as_text, asking("float"))
    assert in_form(unpacked, asking("base64")).events == as_text.events
    (delta,) = unpacked.events
    assert isinstance(delta, VectorDelta)
    numbers = msgspec.json.decode(delta.raw, type=list[float])
    assert struct.pack(f"<{len(numbers)}f", *numbers) == struct.pack(f"<{len(vector)}f", *vector)


# -- forms -------------------------------------------------------------------------------------------------------------------------

contents = st.binary(max_size=24) | st.sampled_from((b"\r\n--B", b"--B--", b"\r\n", b"\r\n\r\n", b"-", b"\r\n--"))


@law
@given(contents, st.lists(contents, max_size=3), st.text("abcdef/.-_", min_size=1, max_size=9))
def test_a_form_is_read_back_or_refused_and_only_its_model_changes(audio: bytes, others: list[bytes], model: str) -> None:
    heads = ['name="file"; filename="a.wav"', 'name="model"', *(f'name="x{number}"' for number in range(len(others)))]
    values = [audio, b"whisper", *others]
    body = b"".join(
        b"--B\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), value)
        for head, value in zip(heads, values, strict=True)
    )
    body += b"--B--\r\n"
    try:
        request = TRANSCRIBE.decode_request(body)
    except MalformedRequest:
        # Only where a content holds what ends it.
        assert any(b"\r\n--B" in b"\r\n" + value for value in values)
        return
    sent = TRANSCRIBE.forward_request(request, model, want_usage=False)
    again = TRANSCRIBE.decode_request(sent)
    assert (request.model, again.model) == ("whisper", model)
    assert TRANSCRIBE.forward_request(again, "whisper", want_usage=False) == body
    assert len(sent) - len(body) == len(model) - len("whisper")
