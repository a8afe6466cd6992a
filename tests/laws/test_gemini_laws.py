"""What holds for every request and every answer on its way through Google's protocol."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from tests import strategies as some
from tests.laws.test_wire_laws import attempt, by_kind, damaged, streams

from trimtab.core.errors import MalformedRequest
from trimtab.core.events import Ended, Event, Finished, Frame, ReasoningDelta, fold, unfold
from trimtab.core.messages import (
    Choice,
    Dialect,
    Embedding,
    FinishReason,
    Image,
    Message,
    Part,
    Request,
    Response,
    Text,
    ToolCall,
    ToolResult,
    Vector,
)
from trimtab.core.units import Usage
from trimtab.wire import CODECS, GeminiEmbed, ServerSentEvent, SSEDecoder, WireError
from trimtab.wire.gemini.shapes import camel_body, made_id

GEMINI, OPENAI, ANTHROPIC = CODECS[Dialect.GEMINI], CODECS[Dialect.OPENAI_CHAT], CODECS[Dialect.ANTHROPIC]
EMBED = CODECS[Dialect.GEMINI_EMBED]
law = settings(max_examples=20, deadline=None)
MODELS = st.sampled_from(("gemini-2.5-flash", "gemini-3-pro", "other"))


def said(request: Request, *, errors: bool = True) -> list[tuple[str, Part]]:
    """All parts in order with who said them, the texts of a result as one, and of a linked image only where it is."""
    found: list[tuple[str, Part]] = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolResult):
                text = "\n".join(inner.text for inner in part.parts if isinstance(inner, Text))
                part = ToolResult(part.id, (Text(text),), part.is_error and errors)
            elif isinstance(part, Image) and part.url is not None:
                part = Image(url=part.url)
            elif isinstance(part, ToolCall):
                part = msgspec.structs.replace(part, arguments=json.dumps(json.loads(part.arguments)))
            found.append(("user" if message.role == "tool" else message.role, part))
    return found


def unnamed(parts: list[tuple[str, Part]]) -> list[tuple[str, Part]]:
    """A document's name is lost on the way to Google, and named."""
    return [(who, msgspec.structs.replace(part, name=None) if hasattr(part, "media_type") and hasattr(part, "name") else part)
            for who, part in parts]  # fmt: skip


@law
@given(some.requests(Dialect.GEMINI), MODELS)
def test_a_request_is_read_as_it_was_written(request: Request, model: str) -> None:
    body, lost = GEMINI.encode_request(request, model)
    read = GEMINI.decode_request(body)
    assert said(request) == said(read)
    assert [(tool.name, tool.description, tool.parameters) for tool in request.tools] == [
        (tool.name, tool.description, tool.parameters) for tool in read.tools
    ]
    assert request.tool_choice == read.tool_choice
    assert msgspec.structs.replace(request.sampling, reasoning_effort=None, thinking_budget=None) == msgspec.structs.replace(
        read.sampling, reasoning_effort=None, thinking_budget=None
    )
    allowed = {"user", "parallel_tool_calls", "response_format.json_schema.name", "response_format.json_schema.strict"}
    assert all(name in allowed or re.fullmatch(r"tools\.\d+\.strict", name) for name in lost)


@law
@given(st.sampled_from((Dialect.OPENAI_CHAT, Dialect.ANTHROPIC)).flatmap(some.requests), MODELS)
def test_a_request_survives_translation_to_it(request: Request, model: str) -> None:
    body, lost = GEMINI.encode_request(request, model)
    read = GEMINI.decode_request(body)
    # A call that another model made has a word for its signature there, which reads as a thought of no words.
    spoken = [(who, part) for who, part in said(read) if type(part).__name__ != "Reasoning"]
    assert unnamed(said(request)) == unnamed(spoken)
    assert request.tool_choice == read.tool_choice
    assert request.sampling.max_tokens == read.sampling.max_tokens
    assert request.sampling.temperature == read.sampling.temperature
    assert request.sampling.stop == read.sampling.stop
    assert (request.output is None) == (read.output is None)
    if request.output is not None and read.output is not None:
        assert request.output.schema == read.output.schema
    assert (request.user is not None) == ("user" in lost)
    wished = request.sampling.reasoning_effort is not None
    assert (wished and model == "other") == ("reasoning_effort" in lost)


@law
@given(st.sampled_from((Dialect.OPENAI_CHAT, Dialect.ANTHROPIC)).flatmap(some.requests), MODELS)
def test_results_stand_together_right_behind_their_calls(request: Request, model: str) -> None:
    contents = json.loads(GEMINI.encode_request(request, model)[0])["contents"]
    for before, after in pairwise([*contents, {"parts": []}]):
        calls = [part["functionCall"]["id"] for part in before["parts"] if "functionCall" in part]
        answers = [part["functionResponse"]["id"] for part in after["parts"] if "functionResponse" in part]
        assert calls == answers
        assert not answers or len(answers) == len(after["parts"])


@law
@given(some.requests(Dialect.GEMINI))
def test_a_request_survives_translation_from_it(request: Request) -> None:
    whole = GEMINI.decode_request(GEMINI.encode_request(request, "gemini-3-pro")[0])
    for codec in (OPENAI, ANTHROPIC):
        read = codec.decode_request(codec.encode_request(whole, "m")[0])
        errors = codec is ANTHROPIC
        assert unlinked(said(whole, errors=errors)) == unlinked(said(read, errors=errors))
        assert [tool.parameters for tool in whole.tools if tool.parameters] == [tool.parameters for tool in read.tools]


def unlinked(parts: list[tuple[str, Part]]) -> list[tuple[str, Part]]:
    return [(who, part) for who, part in unnamed(parts)]


@law
@given(st.lists(st.tuples(some.names, st.booleans()), min_size=1, max_size=5), st.data())
def test_calls_without_ids_find_their_results(calls: list[tuple[str, bool]], data: st.DataObject) -> None:
    """Results of calls of one name come in the order of the calls; between names they may come in any."""
    order = sorted(data.draw(st.permutations(range(len(calls)))), key=lambda place: (calls[place][0], place))
    contents = [
        {"role": "model", "parts": [
            {"functionCall": {"name": name, "args": {"place": place}, **({"id": f"own{place}"} if owned else {})}}
            for place, (name, owned) in enumerate(calls)
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {
                "name": calls[place][0], "response": {"place": place}, **({"id": f"own{place}"} if calls[place][1] else {}),
            }}
            for place in order
        ]},
    ]  # fmt: skip
    request = GEMINI.decode_request(json.dumps({"contents": contents}).encode())
    asked, answered = request.messages
    places = {part.id: json.loads(part.arguments)["place"] for part in asked.parts if isinstance(part, ToolCall)}
    assert len(places) == len(calls)
    for part in answered.parts:
        assert isinstance(part, ToolResult)
        assert isinstance(part.parts[0], Text)
        assert json.loads(part.parts[0].text)["place"] == places[part.id]
    body = json.loads(GEMINI.encode_request(request, "gemini-2.5-flash")[0])
    assert contents == body["contents"]


# -- answers -----------------------------------------------------------------------------------------------------------------------


def known(response: Response) -> Response:
    """Without what the protocol has no place for."""
    usage = msgspec.structs.replace(response.usage, cache_write=None)
    return msgspec.structs.replace(response, created=None, usage=usage)


def whole(response: Response) -> Response:
    return fold(GEMINI.decode_response(GEMINI.encode_response(response, "d")).events)


@law
@given(some.responses(most_choices=3))
def test_an_answer_is_read_as_it_was_written(response: Response) -> None:
    response = some.by(response, Dialect.GEMINI)
    assert known(response) == whole(response)


ASKING = GEMINI.decode_request(b'{"contents":[{"parts":[{"text":"?"}]}]}')


@law
@given(streams(most_choices=3), st.lists(st.integers(0, 10**6), max_size=6))
def test_a_stream_tells_what_the_whole_answer_tells(sample: tuple[Response, list[Event]], cut: list[int]) -> None:
    response, events = sample
    encoder = GEMINI.stream_encoder(ASKING, "d")
    pieces = [encoder.encode(Frame((event,)), same_dialect=False) for event in events]
    written = b"".join(pieces)
    assert b"finishReason" not in b"".join(pieces[:-1])
    framer, decoder = SSEDecoder(), GEMINI.stream_decoder()
    ends = sorted({place % (len(written) + 1) for place in cut} | {0, len(written)})
    read = [event for start, stop in pairwise(ends) for event in framer.feed(written[start:stop])]
    told = fold(event for sent in read for event in decoder.feed(sent).events)
    assert by_kind(whole(response)) == by_kind(told)


@law
@given(some.responses(), st.text("ABCDabcd0123", min_size=4, max_size=4), st.data())
def test_signatures_stay_where_they_stood(response: Response, signature: str, data: st.DataObject) -> None:
    (choice,) = response.choices
    place = data.draw(st.integers(0, len(choice.parts)))
    events = list(unfold(some.by(response, Dialect.GEMINI)))
    lead = [ReasoningDelta(signature=signature, block=100, signer=Dialect.GEMINI)]
    # Behind Started and the parts before it; every part of such an answer is one event.
    signed = fold([*events[: place + 1], *lead, *events[place + 1 :]])
    assert known(signed) == whole(signed)
    encoder, decoder = GEMINI.stream_encoder(ASKING, "d"), GEMINI.stream_decoder()
    written = b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in unfold(signed))
    told = fold(event for sent in SSEDecoder().feed(written) for event in decoder.feed(sent).events)
    assert known(signed) == told


@law
@given(some.responses(most_choices=2))
def test_the_upstreams_own_last_chunk_is_held_until_the_answer_has_ended(response: Response) -> None:
    asking = msgspec.structs.replace(ASKING, sampling=msgspec.structs.replace(ASKING.sampling, n=len(response.choices)))
    source = GEMINI.stream_encoder(asking, "d")
    written = b"".join(source.encode(Frame((event,)), same_dialect=False) for event in unfold(response))
    decoder = GEMINI.stream_decoder()
    frames = [decoder.feed(sent) for sent in SSEDecoder().feed(written)]
    encoder = GEMINI.stream_encoder(asking, "d")
    before = b"".join(encoder.encode(frame, same_dialect=True) for frame in frames)
    last = encoder.encode(Frame((Ended(),)), same_dialect=True)
    assert any(isinstance(event, Finished) for event in frames[-1].events)
    assert (written, frames[-1].native) == (before + last, last)


@law
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4), st.booleans())
def test_until_an_answer_is_finished_its_output_is_unknown(counts: list[tuple[int, int]], is_finished: bool) -> None:
    decoder = GEMINI.stream_decoder()
    events: list[Event] = []
    for place, (prompt, output) in enumerate(counts):
        chunk = {
            "candidates": [{"content": {"parts": [{"text": "x"}]}}],
            "usageMetadata": {"promptTokenCount": prompt, "candidatesTokenCount": output, "totalTokenCount": prompt + output},
        }
        if is_finished and place == len(counts) - 1:
            chunk["candidates"][0]["finishReason"] = "STOP"  # type: ignore[index]
        data = json.dumps(chunk).encode()
        events += decoder.feed(ServerSentEvent("", data, data)).events
    expected = Usage(input=counts[-1][0], output=counts[-1][1] if is_finished else None)
    assert expected == fold(events).usage


# -- spelling ----------------------------------------------------------------------------------------------------------------------

BODY: dict[str, object] = {
    "systemInstruction": {"parts": [{"text": "s"}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "t"},
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.test/a.pdf"}},
            ],
        },
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a_b": 1}}, "thoughtSignature": "AAAA"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"c_d": 1}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}, {"googleSearch": {}}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "maxOutputTokens": 5,
        "topP": 0.5,
        "stopSequences": ["a"],
        "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True},
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
}
FREE = {"args", "response", "parametersJsonSchema", "responseJsonSchema"}


def respelled(value: object, data: st.DataObject) -> object:
    """The same body as another proto3 JSON writer may write it: some names in snake_case, some lists of one without their brackets."""
    if isinstance(value, list):
        inner = [respelled(item, data) for item in value]
        return inner[0] if len(inner) == 1 and isinstance(inner[0], dict) and data.draw(st.booleans()) else inner
    if not isinstance(value, dict):
        return value
    out: dict[str, object] = {}
    for name, inner in value.items():
        snake = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
        out[snake if data.draw(st.booleans()) else name] = inner if name in FREE else respelled(inner, data)
    return out


@law
@given(st.data())
def test_every_spelling_means_the_same(data: st.DataObject) -> None:
    plain = GEMINI.decode_request(json.dumps(BODY).encode())
    spelled = json.dumps(respelled(BODY, data)).encode()
    read = GEMINI.decode_request(spelled)
    assert spelled == read.native
    assert msgspec.structs.replace(plain, native=b"") == msgspec.structs.replace(read, native=b"")


@law
@given(st.binary(max_size=60) | some.json_values.map(lambda value: json.dumps({"generation_config": value}).encode()))
def test_spelling_breaks_nothing(body: bytes) -> None:
    camel_body(body)


@law
@given(st.dictionaries(some.names.map(lambda name: f"x_{name}"), some.json_values, max_size=3))
def test_unknown_fields_are_forwarded_byte_for_byte(unknown: dict[str, object]) -> None:
    body = json.dumps({**BODY, **unknown}, indent=1).encode()
    request = GEMINI.decode_request(body)
    assert {name for name, value in unknown.items() if value is not None} <= set(request.extras)
    assert body == GEMINI.forward_request(request, "m", want_usage=True)


EMBED_BODY: dict[str, object] = {
    "requests": [
        {"model": "models/a", "content": {"parts": [{"text": "t"}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8},
        {"model": "models/a", "content": {"parts": [{"text": "u"}]}, "title": "x"},
    ]
}


@pytest.mark.parametrize("dialect", [Dialect.GEMINI, Dialect.GEMINI_EMBED])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_request_is_read_or_refused_with_a_place(dialect: Dialect, data: st.DataObject) -> None:
    sample = BODY if dialect is Dialect.GEMINI else EMBED_BODY
    body = json.dumps(data.draw(damaged(sample))).encode()
    read = attempt(lambda: CODECS[dialect].decode_request(body))
    if isinstance(read, MalformedRequest):
        assert read.hint
        assert (read.param or "").split(".")[0] in {*sample, "content"}
        return
    CODECS[dialect].forward_request(read, "m", want_usage=True)
    CODECS[dialect].encode_request(read, "m")
    if dialect is Dialect.GEMINI:
        for codec in (OPENAI, ANTHROPIC):
            codec.encode_request(read, "m")


CHUNK: dict[str, object] = {
    "candidates": [
        {
            "index": 0,
            "content": {
                "parts": [
                    {"text": "a", "thought": True},
                    {"text": "b", "thoughtSignature": "AAAA"},
                    {"functionCall": {"name": "f", "args": {}}},
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -1.0}], "topCandidates": [{"candidates": []}]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
    "modelVersion": "m",
    "responseId": "r",
}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_stream_is_read_or_refused(data: st.DataObject) -> None:
    decoder = GEMINI.stream_decoder()
    try:
        for _ in range(2):
            text = json.dumps(data.draw(damaged(CHUNK))).encode()
            fold(decoder.feed(ServerSentEvent("", text, text)).events)
    except WireError:
        return


# -- embeddings --------------------------------------------------------------------------------------------------------------------

VECTORS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4).map(
    lambda v: Raw(json.dumps(v).encode())
)


@law
@given(
    st.lists(some.text_parts | some.image_parts, min_size=1, max_size=4).map(tuple),
    st.none() | st.integers(1, 4096),
    st.sampled_from((None, "search_query", "search_document", "classification", "clustering", "SEMANTIC_SIMILARITY")),
)
def test_inputs_survive(parts: tuple[Part, ...], dimensions: int | None, purpose: str | None) -> None:
    request = Request(
        dialect=Dialect.OPENAI_EMBEDDINGS,
        model="m",
        messages=(Message("user", parts),),
        embedding=Embedding(dimensions=dimensions, purpose=purpose),
    )
    body, lost = EMBED.encode_request(request, "gemini-embedding-001")
    read = EMBED.decode_request(body)
    assert said(request) == said(read)
    assert (request.embedding, ()) == (read.embedding, lost)
    assert {member["model"] for member in json.loads(body)["requests"]} == {"models/gemini-embedding-001"}


@law
@given(st.lists(VECTORS, min_size=1, max_size=3), st.none() | st.integers(0, 10**6))
def test_vectors_survive_digit_for_digit(vectors: list[Raw], tokens: int | None) -> None:
    usage = Usage() if tokens is None else Usage(input=tokens, output=0)
    choice = Choice(0, tuple(Vector(raw) for raw in vectors), FinishReason.STOP)
    response = Response(id="", model="", choices=(choice,), usage=usage)
    assert response == fold(EMBED.decode_response(EMBED.encode_response(response, "d")).events)
    single = json.loads(GeminiEmbed(single=True).encode_response(response, "d"))
    assert json.loads(bytes(vectors[0])) == single["embedding"]["values"]


def test_made_ids_differ_by_answer_and_place() -> None:
    made = {made_id(name, place, answer) for name in ("f", "g") for place in (0, 1) for answer in ("", "r")}
    assert len(made) == 8
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", id) for id in made)
