"""OpenAI's operations beside chat, and embeddings across makers: what is read, what passes, what is refused by name."""

from __future__ import annotations

import base64
import json
import struct

import msgspec
import openai
import pytest
from openai.types import CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse

from trimtab.core.errors import MalformedRequest
from trimtab.core.events import Event, Frame, OpaqueDelta, VectorDelta, fold
from trimtab.core.messages import Audio, Dialect, Image, Opaque, Operation, Part, Request, Text, Vector
from trimtab.core.units import Usage
from trimtab.core.zones import Sensitivity
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.lab.upstream import HELLO
from trimtab.lab.upstream.operations import vector_of
from trimtab.signals.reading import sense
from trimtab.wire import CODECS, Untranslatable, UpstreamErrorEvent, WireError, in_form

EMBED = CODECS[Dialect.OPENAI_EMBEDDINGS]
COHERE = CODECS[Dialect.COHERE_EMBED]
MODERATE = CODECS[Dialect.OPENAI_MODERATIONS]
IMAGES = CODECS[Dialect.OPENAI_IMAGES]
TRANSCRIBE = CODECS[Dialect.OPENAI_TRANSCRIPTIONS]


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def parts(request: Request) -> tuple[Part, ...]:
    (message,) = request.messages
    return message.parts


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


# -- embeddings --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("one", (Text("one"),)),
        (["one", "two"], (Text("one"), Text("two"))),
        ([1, 2], (Opaque("tokens", msgspec.Raw(b"[1, 2]")),)),
        ([[1], [2, 3]], (Opaque("tokens", msgspec.Raw(b"[1]")), Opaque("tokens", msgspec.Raw(b"[2, 3]")))),
    ],
)
def test_each_input_is_one_part(given: object, read: tuple[Part, ...]) -> None:
    request = EMBED.decode_request(body(model="m", input=given, dimensions=3, encoding_format="base64", user="u", x_new=1))
    assert request.operation is Operation.EMBEDDINGS
    assert parts(request) == read
    assert request.embedding is not None
    assert (request.embedding.dimensions, request.embedding.encoding, request.user) == (3, "base64", "u")
    assert request.extras == ("x_new",)
    again = EMBED.decode_request(EMBED.encode_request(request, "m")[0])
    # A single list of tokens is one input, and so is a list that holds one.
    assert [msgspec.json.encode(part) for part in parts(again)] == [msgspec.json.encode(part) for part in read]


@pytest.mark.parametrize(
    ("given", "param"),
    [([], "input"), ([1, "a"], "input.1"), (["a", 1], "input.1"), ([[1], ["a"]], "input.1.0"), ([{}], "input.0"), (3, "input")],
)
def test_inputs_that_are_none_name_the_place(given: object, param: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        EMBED.decode_request(body(model="m", input=given))
    assert caught.value.param == param


def test_tokens_cannot_be_read_and_texts_can() -> None:
    tokens = EMBED.decode_request(body(model="m", input=[1, 2]))
    assert Sensitivity.UNREADABLE in sense(tokens).sensitivity
    readable = sense(EMBED.decode_request(body(model="m", input=["write to ada@example.org"]))).sensitivity
    assert Sensitivity.UNREADABLE not in readable
    assert Sensitivity.INTERNAL not in readable  # the address was found


def test_from_openai_to_cohere() -> None:
    request = EMBED.decode_request(body(model="m", input=["a", "b"], dimensions=256, encoding_format="base64", user="u"))
    sent, lost = COHERE.encode_request(request, "embed-v4.0")
    assert json.loads(sent) == {
        "model": "embed-v4.0",
        "input_type": "search_document",
        "texts": ["a", "b"],
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    assert lost == ("user",)


def test_from_cohere_to_openai() -> None:
    asked = body(
        model="m", input_type="search_query", texts=["a"], output_dimension=256, truncate="END", embedding_types=["base64"]
    )
    sent, lost = EMBED.encode_request(COHERE.decode_request(asked), "text-embedding-3-small")
    expected = {"model": "text-embedding-3-small", "input": ["a"], "dimensions": 256, "encoding_format": "base64"}
    assert json.loads(sent) == expected
    assert set(lost) == {"input_type", "truncate"}


def test_a_purpose_of_a_third_protocol_is_named_by_its_own_name() -> None:
    request = CODECS[Dialect.GEMINI_EMBED].decode_request(body(content={"parts": [{"text": "a"}]}, taskType="SEMANTIC_SIMILARITY"))
    assert COHERE.encode_request(request, "m")[1] == ("taskType",)
    assert json.loads(COHERE.encode_request(request, "m")[0])["input_type"] == "search_document"


def test_cohere_takes_96_inputs_and_is_not_sent_more() -> None:
    most, more = (EMBED.decode_request(body(model="m", input=["a"] * count)) for count in (96, 97))
    assert json.loads(COHERE.encode_request(most, "m")[0])["texts"] == ["a"] * 96
    with pytest.raises(Untranslatable, match="96 inputs at a time, and these are 97"):
        COHERE.encode_request(more, "m")


def test_no_input_is_ever_left_out() -> None:
    tokens = EMBED.decode_request(body(model="m", input=[[1], [2]]))
    with pytest.raises(Untranslatable):
        COHERE.encode_request(tokens, "m")
    pictures = COHERE.decode_request(body(model="m", input_type="image", images=["data:image/png;base64,AA=="]))
    assert parts(pictures) == (Image(data="AA==", media_type="image/png"),)
    with pytest.raises(Untranslatable):
        EMBED.encode_request(pictures, "m")


def test_coheres_inputs() -> None:
    text, image = {"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "https://x.test/i"}}
    inputs = [{"content": [text]}, {"content": [image]}, {"content": [text, image]}]
    request = COHERE.decode_request(body(model="m", input_type="search_document", inputs=inputs, embedding_types=["int8"]))
    assert parts(request)[:2] == (Text("t"), Image(url="https://x.test/i"))
    assert isinstance(parts(request)[2], Opaque)
    assert request.extras == ("embedding_types",)
    assert json.loads(COHERE.encode_request(request, "m")[0])["inputs"] == inputs


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"texts": ["a"]}, "input_type"),
        ({"input_type": "search_query"}, "texts"),
        ({"input_type": "search_query", "texts": ["a"], "truncate": "MIDDLE"}, "truncate"),
        ({"input_type": "search_query", "inputs": [{"content": [{"type": "sound"}]}]}, "inputs.0.content.0.type"),
    ],
)
def test_coheres_bad_requests_name_the_field(asked: dict[str, object], param: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        COHERE.decode_request(body(model="m", **asked))
    assert caught.value.param == param


def test_vectors_come_in_the_order_of_the_inputs() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    response = fold(EMBED.decode_response(body(data=data, model="m", usage={"prompt_tokens": 3})).events)
    assert response.choices[0].parts == (Vector(msgspec.Raw(b"[1.0]")), Vector(msgspec.Raw(b"[2.0]")))
    assert response.usage == Usage(input=3, output=0)
    told = CreateEmbeddingResponse.model_validate_json(EMBED.encode_response(response, "d"), strict=True)
    assert [one.embedding for one in told.data] == [[1.0], [2.0]]
    assert (told.data[1].index, told.usage.prompt_tokens) == (1, 3)


def test_cohere_counts_what_is_billed_and_keeps_the_forms_we_do_not_know() -> None:
    answer = {"id": "x", "embeddings": {"float": [[1.0]], "int8": [[3]]}, "meta": {"billed_units": {"input_tokens": 5.0}}}
    response = fold(COHERE.decode_response(json.dumps(answer).encode()).events)
    assert response.usage == Usage(input=5, output=0)
    assert [type(part) for part in response.choices[0].parts] == [Vector, Opaque]
    without = fold(COHERE.decode_response(b'{"id":"x","embeddings":{"base64":["AAAA"]}}').events)
    assert without.usage == Usage()
    assert json.loads(COHERE.encode_response(without, "d"))["embeddings"] == {"base64": ["AAAA"]}


@pytest.mark.parametrize("answer", [b"{}", b'{"data":[{"embedding":3}]}', b'{"data":[{}]}', b"[]"])
def test_what_is_no_answer_of_openai(answer: bytes) -> None:
    with pytest.raises(WireError):
        EMBED.decode_response(answer)


def test_an_error_under_a_good_status() -> None:
    for codec in (EMBED, MODERATE, IMAGES, TRANSCRIBE):
        with pytest.raises(UpstreamErrorEvent):
            codec.decode_response(b'{"error":{"message":"no"}}')


def vectors(events: tuple[Event, ...]) -> list[bytes]:
    return [bytes(event.raw) for event in events if isinstance(event, VectorDelta)]


@pytest.mark.parametrize(
    ("form", "came", "told"),
    [
        ("base64", b"[0.5,-2]", json.dumps(packed(0.5, -2)).encode()),
        ("float", json.dumps(packed(0.5, -2)).encode(), b"[0.5,-2.0]"),
        ("float", b"[0.5, -2]", b"[0.5, -2]"),
        (None, json.dumps(packed(1.0)).encode(), b"[1.0]"),
    ],
)
def test_a_vector_gets_the_form_that_was_asked_for(form: str | None, came: bytes, told: bytes) -> None:
    request = EMBED.decode_request(body(model="m", input="a", **({"encoding_format": form} if form else {})))
    frame = in_form(Frame((VectorDelta(msgspec.Raw(came)),), b"native"), request)
    assert (vectors(frame.events), frame.native) == ([told], b"native")


@pytest.mark.parametrize(
    ("form", "came"),
    [
        ("base64", b'["a"]'),
        ("base64", b"[1e300]"),
        ("float", b'"AAA"'),
        ("float", b'"A"'),
        ("float", b'"AAB/fw=="'),  # not a number of four bytes each, once decoded: infinity
        ("float", b"3"),
        ("float", b'"*"'),
    ],
)
def test_what_is_no_vector(form: str, came: bytes) -> None:
    came = json.dumps(packed(float("inf"))).encode() if came == b'"AAB/fw=="' else came
    with pytest.raises(WireError):
        in_form(Frame((VectorDelta(msgspec.Raw(came)),)), EMBED.decode_request(body(model="m", input="a", encoding_format=form)))


# -- what passes through -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("a", (Text("a"),)),
        (["a", "b"], (Text("a"), Text("b"))),
        (
            [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
            (Text("a"), Image(data="AA==", media_type="image/png")),
        ),
    ],
)
def test_what_is_to_be_judged_can_be_read(given: object, read: tuple[Part, ...]) -> None:
    request = MODERATE.decode_request(body(input=given))
    assert (request.operation, request.model, parts(request)) == (Operation.MODERATION, "auto", read)
    assert json.loads(MODERATE.forward_request(request, "omni", want_usage=False)) == {"input": given, "model": "omni"}


def test_a_part_of_an_unknown_kind_is_unreadable() -> None:
    (part,) = parts(MODERATE.decode_request(body(input=[{"type": "video", "url": "x"}])))
    assert isinstance(part, Opaque)
    with pytest.raises(MalformedRequest, match=r"input\.0\.text"):
        MODERATE.decode_request(body(input=[{"type": "text"}]))


def test_a_prompt_for_images() -> None:
    request = IMAGES.decode_request(body(prompt="a fox", model="gpt-image-2", n=2, size="1024x1024", user="u"))
    assert (request.operation, parts(request), request.user) == (Operation.IMAGE_GENERATION, (Text("a fox"),), "u")
    assert set(request.extras) == {"n", "size"}


@pytest.mark.parametrize("field", ["stream", "partial_images"])
def test_streams_of_images_are_refused_by_name(field: str) -> None:
    with pytest.raises(MalformedRequest, match="not supported here") as caught:
        IMAGES.decode_request(body(prompt="a fox", **{field: True if field == "stream" else 2}))
    assert caught.value.param == field
    assert not IMAGES.decode_request(body(prompt="a fox", stream=False, partial_images=0)).stream


def test_what_passes_through_is_not_translated() -> None:
    chat = CODECS[Dialect.OPENAI_CHAT].decode_request(body(model="m", messages=[{"role": "user", "content": "x"}]))
    for codec in (MODERATE, IMAGES, TRANSCRIBE):
        with pytest.raises(Untranslatable):
            codec.encode_request(chat, "m")


# -- forms -------------------------------------------------------------------------------------------------------------------------


def form(*fields: tuple[str, bytes], boundary: str = "XyZ") -> bytes:
    """Each field is what stands behind ``form-data;`` and the content."""
    lines = b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary.encode(), head.encode(), content)
        for head, content in fields
    )
    return lines + b"--%b--\r\n" % boundary.encode()


FILE = ('name="file"; filename="talk.WAV"', bytes(range(256)) + b"\r\n--Xy not a boundary\r\n")
MODEL = ('name="model"', b"whisper-1")


def test_a_recording_is_there_and_unreadable() -> None:
    request = TRANSCRIBE.decode_request(form(FILE, MODEL, ('name="prompt"', "Zürich".encode()), ('name="include[]"', b"logprobs")))
    assert request.operation is Operation.TRANSCRIPTION
    assert (request.model, request.content_type) == ("whisper-1", "multipart/form-data; boundary=XyZ")
    assert parts(request) == (Audio(data="", format="wav"), Text("Zürich"))
    assert request.extras == ("include[]",)
    assert Sensitivity.UNREADABLE in sense(request).sensitivity


def test_only_the_model_is_replaced() -> None:
    before = form(FILE, MODEL, ('name="language"', b"de"))
    sent = TRANSCRIBE.forward_request(TRANSCRIBE.decode_request(before), "my/whisper", want_usage=True)
    assert sent == before.replace(b"whisper-1", b"my/whisper")


def test_a_boundary_that_is_no_token_is_quoted() -> None:
    assert TRANSCRIBE.decode_request(form(FILE, MODEL, boundary="a b:c")).content_type == 'multipart/form-data; boundary="a b:c"'


GOOD = form(FILE, MODEL)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{}",
        b"\r\n" + GOOD,
        b"preamble\r\n" + GOOD,
        GOOD + b"epilogue",
        GOOD.replace(b"\r\n", b"\n"),
        GOOD[:-4],
        GOOD[:40],
        GOOD.replace(b"--XyZ--", b"--XyZ --"),
        GOOD.replace(b"whisper-1", b"whisper-1\r\n--XyZabc"),
        GOOD.replace(b'name="model"', b"model"),
        GOOD.replace(b'name="model"', b'name="mo\\del"'),
        GOOD.replace(b'name="model"', b'name="%6dodel"'),
        GOOD.replace(b'name="model"', b"name=\"model\"; name*=UTF-8''other"),
        GOOD.replace(b'name="model"', b'name="model"; name="other"'),
        GOOD.replace(b'name="model"\r\n', b'name="model"\r\nContent-Transfer-Encoding: base64\r\n'),
        GOOD.replace(b'name="model"\r\n', b'name="model"\r\n folded: x\r\n'),
        GOOD.replace(b"form-data; name", b"attachment; name"),
        b"--" + b"x" * 71 + b"\r\n",
        form(FILE, MODEL, MODEL),
        form(FILE, FILE, MODEL),
        form(FILE),
        form(MODEL),
        form(FILE, ('name="model"', b"")),
        form(FILE, ('name="model"', b"\xff")),
        form(FILE, ('name="model"; filename="m"', b"whisper-1")),
        form(('name="file"', b"no name"), MODEL),
        form(FILE, MODEL, *[('name="x"', b"")] * 300),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(broken: bytes) -> None:
    with pytest.raises(MalformedRequest) as caught:
        TRANSCRIBE.decode_request(broken)
    assert caught.value.hint


@pytest.mark.parametrize("value", [b"true", b"True", b"1", b"yes"])
def test_streams_of_transcripts_are_refused_by_name(value: bytes) -> None:
    with pytest.raises(MalformedRequest) as caught:
        TRANSCRIBE.decode_request(form(FILE, MODEL, ('name="stream"', value)))
    assert caught.value.param == "stream"
    assert TRANSCRIBE.decode_request(form(FILE, MODEL, ('name="stream"', b"false"))).model == "whisper-1"


@pytest.mark.parametrize(
    ("answer", "kind", "usage"),
    [
        (b'{"text":"a","usage":{"type":"tokens","input_tokens":3,"output_tokens":1}}', "transcription", Usage(input=3, output=1)),
        (b'{"text":"a","usage":{"type":"duration","seconds":3}}', "transcription", Usage()),
        ("Grüezi.\n".encode(), "text", Usage()),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\na\n", "text", Usage()),
        (b"{coughs} Hello.", "text", Usage()),
    ],
)
def test_transcripts_in_every_form(answer: bytes, kind: str, usage: Usage) -> None:
    frame = TRANSCRIBE.decode_response(answer)
    (said,) = [event for event in frame.events if isinstance(event, OpaqueDelta)]
    response = fold(frame.events)
    assert (frame.native, said.kind, response.usage) == (answer, kind, usage)
    assert TRANSCRIBE.encode_response(response, "d") == answer


def test_a_transcript_that_is_no_text() -> None:
    with pytest.raises(WireError):
        TRANSCRIBE.decode_response(b"\xff\xfe")


# -- the official client, against the lab: what it sends is read here, what it gets is read here and there --------------------------


async def test_the_official_client_agrees_with_the_lab_and_with_us() -> None:
    async with FaultyUpstream(speak(HELLO)) as upstream:
        client = openai.AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="lab", max_retries=0)
        # Left to itself the client asks for base64 and unpacks it.
        embedded = await client.embeddings.create(model="m", input=["a", "b", "a"])
        judged = await client.moderations.create(model="m", input=["a", "b"])
        drawn = await client.images.generate(model="m", prompt="a fox", n=2)
        heard = await client.audio.transcriptions.create(model="m", file=("é.mp3", b"\xff\xfb\r\n--x"), prompt="Zürich")
        subtitles = await client.audio.transcriptions.create(model="m", file=("a.mp3", b"x"), response_format="srt")
        await client.close()
    said = "".join(HELLO.text)
    assert [one.embedding for one in embedded.data] == [list(vector_of(text)) for text in "aba"]
    assert (len(judged.results), len(drawn.data or ()), heard.text) == (2, 2, said)
    assert said in subtitles
    exchanges = upstream.exchanges
    forms = [Dialect.OPENAI_TRANSCRIPTIONS] * 2
    dialects = (Dialect.OPENAI_EMBEDDINGS, Dialect.OPENAI_MODERATIONS, Dialect.OPENAI_IMAGES, *forms)
    for exchange, dialect in zip(exchanges, dialects, strict=True):
        request = CODECS[dialect].decode_request(exchange.request.body)
        frame = CODECS[dialect].decode_response(bytes(exchange.sent))
        assert (request.model, request.operation) == ("m", dialect.operation)
        assert CODECS[dialect].encode_request(request, "m")[0]
        if dialect is Dialect.OPENAI_TRANSCRIPTIONS:
            assert request.content_type == exchange.request.headers["content-type"]
            assert CODECS[dialect].forward_request(request, "m", want_usage=False) == exchange.request.body
        if dialect is Dialect.OPENAI_EMBEDDINGS:
            told = CODECS[dialect].encode_response(fold(in_form(frame, request).events), "d")
            assert json.loads(told)["data"] == json.loads(bytes(exchange.sent))["data"]
    # The client builds what it gets without a look at it; so that is done here.
    ModerationCreateResponse.model_validate_json(bytes(exchanges[1].sent))
    ImagesResponse.model_validate_json(bytes(exchanges[2].sent))
