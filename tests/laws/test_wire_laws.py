"""What holds for every request and every answer on its way through the codecs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from tests import strategies as some

from trimtab.core.errors import MalformedRequest
from trimtab.core.events import Event, Frame, ReasoningDelta, TextDelta, ToolCallDelta, fold, unfold
from trimtab.core.messages import Dialect, Message, Part, Request, Response, Sampling, ToolChoice, ToolResult
from trimtab.wire import CODECS, Codec, ServerSentEvent, SSEDecoder, WireError

OPENAI, ANTHROPIC = CODECS[Dialect.OPENAI_CHAT], CODECS[Dialect.ANTHROPIC]
CODEC_PAIRS = [pytest.param(codec, id=dialect) for dialect, codec in CODECS.items()]
law = settings(max_examples=30, deadline=None)


def bare(request: Request, **changes: object) -> Request:
    return msgspec.structs.replace(request, native=b"", extras=(), **changes)


def parts_of(request: Request, *, errors: bool) -> list[tuple[str, Part]]:
    """All parts in order with who said them. A tool's result is said by the user in one protocol and by a tool in the other."""
    said: list[tuple[str, Part]] = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolResult) and not errors:
                part = msgspec.structs.replace(part, is_error=False)
            said.append(("user" if message.role == "tool" else message.role, part))
    return said


def without_errors(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(
        msgspec.structs.replace(
            message,
            parts=tuple(
                msgspec.structs.replace(part, is_error=False) if isinstance(part, ToolResult) else part for part in message.parts
            ),
        )
        for message in messages
    )


@law
@given(some.requests(Dialect.OPENAI_CHAT))
def test_an_openai_request_is_read_as_it_was_written(request: Request) -> None:
    body, lost = OPENAI.encode_request(request, "m")
    expected = bare(
        request,
        model="m",
        messages=without_errors(request.messages),
        include_usage=request.include_usage and request.stream,
    )
    assert expected == bare(OPENAI.decode_request(body))
    assert all(name.endswith(".is_error") for name in lost)
    flagged = any(isinstance(part, ToolResult) and part.is_error for message in request.messages for part in message.parts)
    assert flagged == bool(lost)


@law
@given(some.requests(Dialect.ANTHROPIC))
def test_an_anthropic_request_is_read_as_it_was_written(request: Request) -> None:
    body, lost = ANTHROPIC.encode_request(request, "m")
    read = ANTHROPIC.decode_request(body)
    assert parts_of(request, errors=True) == parts_of(read, errors=True)
    assert request.tools == read.tools
    assert request.user == read.user
    assert request.sampling.stop == read.sampling.stop
    assert set(lost) <= {"temperature", "response_format.json_schema.name", "response_format.json_schema.strict"}


@law
@given(some.requests(Dialect.OPENAI_CHAT))
def test_an_openai_request_survives_translation(request: Request) -> None:
    body, lost = ANTHROPIC.encode_request(request, "m")
    read = ANTHROPIC.decode_request(body)
    assert parts_of(request, errors=True) == parts_of(read, errors=True)
    assert request.tools == read.tools
    chosen = request.tool_choice
    if chosen is None and request.parallel_tool_calls is not None:
        chosen = ToolChoice("auto")
    assert chosen == read.tool_choice
    if chosen is None or chosen.mode != "none":
        assert request.parallel_tool_calls == read.parallel_tool_calls
    wanted = request.sampling.temperature
    assert ("temperature" in lost) == (wanted is not None and wanted > 1)
    expected = Sampling(
        max_tokens=request.sampling.max_tokens,
        temperature=None if wanted is None else min(wanted, 1.0),
        top_p=request.sampling.top_p,
        stop=request.sampling.stop,
        reasoning_effort=request.sampling.reasoning_effort,
    )
    assert expected == read.sampling
    assert (request.stream, request.user) == (read.stream, read.user)
    roles = [turn["role"] for turn in json.loads(body)["messages"]]
    assert all(before != after for before, after in pairwise(roles))


@law
@given(some.requests(Dialect.ANTHROPIC))
def test_an_anthropic_request_survives_translation(request: Request) -> None:
    body, lost = OPENAI.encode_request(request, "m")
    read = OPENAI.decode_request(body)
    assert parts_of(request, errors=False) == parts_of(read, errors=False)
    assert request.tools == read.tools
    assert request.tool_choice == read.tool_choice
    assert request.sampling == read.sampling
    assert all(name.endswith(".is_error") for name in lost)


def whole(codec: Codec, response: Response) -> Response:
    return fold(codec.decode_response(codec.encode_response(response, "d")).events)


@pytest.mark.parametrize("codec", [pytest.param(OPENAI, id="openai_chat"), pytest.param(ANTHROPIC, id="anthropic")])
@law
@given(response=some.responses())
def test_an_answer_is_read_as_it_was_written(codec: Codec, response: Response) -> None:
    created = (response.created or 0) if codec is OPENAI else None
    response = some.by(response, None if codec is OPENAI else codec.dialect)
    assert msgspec.structs.replace(response, created=created) == whole(codec, response)


@law
@given(some.responses(most_choices=3))
def test_case_20_the_indices_of_choices_and_calls_survive(response: Response) -> None:
    assert response.choices == whole(OPENAI, response).choices


@st.composite
def streams(draw: st.DrawFn, most_choices: int = 1) -> tuple[Response, list[Event]]:
    """An answer, and a stream that tells it: deltas cut small, parallel calls and choices interleaved as servers may."""
    response = draw(some.responses(most_choices))
    lanes: dict[object, list[Event]] = {}
    head, tail = list[Event](), list[Event]()
    order: list[Event] = list(unfold(response))
    for event in order:
        match event:
            case ToolCallDelta(arguments=arguments, index=index, choice=choice):
                place = draw(st.integers(0, len(arguments)))
                lane = lanes.setdefault((choice, index), [])
                lane.append(msgspec.structs.replace(event, arguments=arguments[:place]))
                lane.append(ToolCallDelta(index, arguments[place:], choice=choice))
            case TextDelta(text=text) | ReasoningDelta(text=text):
                place = draw(st.integers(0, len(text)))
                head += [msgspec.structs.replace(event, text=piece) for piece in (text[:place], text[place:]) if piece]
            case _:
                (tail if head or lanes or len(order) < 4 else head).append(event)
    calls: list[Event] = []
    waiting = list(lanes.values())
    while any(waiting):
        lane = draw(st.sampled_from([lane for lane in waiting if lane]))
        calls.append(lane.pop(0))
    return response, [*(event for event in order[:1] if event not in head), *head, *calls, *(e for e in tail if e is not order[0])]


def through(codec: Codec, events: list[Event], request: Request, cut: list[int]) -> Response:
    encoder = codec.stream_encoder(request, "d")
    written = b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in events)
    framer, decoder = SSEDecoder(), codec.stream_decoder()
    ends = sorted({place % (len(written) + 1) for place in cut} | {0, len(written)})
    read = [event for start, stop in pairwise(ends) for event in framer.feed(written[start:stop])]
    assert not framer.pending
    assert written == b"".join(event.raw for event in read)
    return fold(event for sent in read for event in decoder.feed(sent).events)


def by_kind(response: Response) -> Response:
    """Calls in order of id: interleaved calls may begin in another order than that of their indices."""
    return msgspec.structs.replace(
        response,
        choices=tuple(
            msgspec.structs.replace(choice, parts=tuple(sorted(choice.parts, key=lambda part: (type(part).__name__, str(part)))))
            for choice in response.choices
        ),
    )


ASKING = OPENAI.decode_request(
    b'{"model":"m","messages":[{"role":"user","content":"?"}],"stream":true,"stream_options":{"include_usage":true}}'
)


@law
@given(streams(most_choices=3), st.lists(st.integers(0, 10**6), max_size=6))
def test_openai_a_stream_tells_what_the_whole_answer_tells(sample: tuple[Response, list[Event]], cut: list[int]) -> None:
    response, events = sample
    assert by_kind(response) == by_kind(fold(events))
    assert by_kind(whole(OPENAI, response)) == by_kind(through(OPENAI, events, ASKING, cut))


@law
@given(streams(), st.lists(st.integers(0, 10**6), max_size=6))
def test_anthropic_a_stream_tells_what_the_whole_answer_tells(sample: tuple[Response, list[Event]], cut: list[int]) -> None:
    response, events = sample
    assert by_kind(whole(ANTHROPIC, response)) == by_kind(through(ANTHROPIC, events, ASKING, cut))


@law
@given(streams())
def test_anthropic_the_sequence_is_grammatical(sample: tuple[Response, list[Event]]) -> None:
    encoder = ANTHROPIC.stream_encoder(ASKING, "d")
    written = b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in sample[1])
    read = SSEDecoder().feed(written)
    kinds = [event.event for event in read]
    assert kinds == [json.loads(event.data)["type"] for event in read]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    is_open, index = False, -1
    for event in read[1:-2]:
        body = json.loads(event.data)
        match event.event:
            case "content_block_start":
                assert (is_open, index + 1) == (False, body["index"])
                is_open, index = True, body["index"]
            case "content_block_delta":
                assert (True, index) == (is_open, body["index"])
            case "content_block_stop":
                assert (True, index) == (is_open, body["index"])
                is_open = False
            case _:
                pytest.fail(f"{event.event} inside a message")
    assert not is_open


# -- forwarding ---------------------------------------------------------------------------------------------------------------------

BODIES: dict[Dialect, dict[str, object]] = {
    Dialect.OPENAI_CHAT: {
        "model": "auto",
        "messages": [
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "https://x.test"}}],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "j", "schema": {}}},
        "stream": True,
        "stream_options": {"include_obfuscation": False},
        "temperature": 0.5,
        "stop": ["a"],
    },
    Dialect.ANTHROPIC: {
        "model": "auto",
        "max_tokens": 10,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": "s"},
                    {"type": "tool_use", "id": "c", "name": "f", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "r"}]}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "metadata": {"user_id": "u"},
        "stream": True,
    },
}


@pytest.mark.parametrize("dialect", BODIES)
@law
@given(unknown=st.dictionaries(some.names.map(lambda name: f"x_{name}"), some.json_values, max_size=3))
def test_unknown_fields_are_forwarded_byte_for_byte(dialect: Dialect, unknown: dict[str, object]) -> None:
    codec = CODECS[dialect]
    body = json.dumps({**BODIES[dialect], **unknown}, indent=1).encode()
    request = codec.decode_request(body)
    assert {name for name, value in unknown.items() if value is not None} == set(request.extras)
    sent = codec.forward_request(request, "upstream/model", want_usage=True)
    before, after = (msgspec.json.decode(text, type=dict[str, Raw]) for text in (body, sent))
    assert bytes(after.pop("model")) == b'"upstream/model"'
    before.pop("model")
    if dialect is Dialect.OPENAI_CHAT:
        before.pop("stream_options")
        assert json.loads(bytes(after.pop("stream_options"))) == {"include_obfuscation": False, "include_usage": True}
    assert {name: bytes(raw) for name, raw in before.items()} == {name: bytes(raw) for name, raw in after.items()}


@pytest.mark.parametrize("codec", CODEC_PAIRS)
@law
@given(body=st.binary(max_size=60) | some.json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_raise_nothing_unforeseen(codec: Codec, body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        codec.decode_request(body)
    codec.decode_error(body)
    for read in (codec.decode_response, lambda data: codec.stream_decoder().feed(ServerSentEvent("", data, data))):
        try:
            read(body)
        except WireError:
            continue


def places(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of everything inside ``value``."""
    inner: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, child in inner:
        yield (*at, key)
        yield from places(child, (*at, key))


@st.composite
def damaged(draw: st.DrawFn, value: Mapping[str, object]) -> object:
    """``value`` with one thing in it taken out or replaced by another."""
    whole = copy.deepcopy(value)
    *way, last = draw(st.sampled_from(list(places(whole))))
    inner: Any = whole
    for key in way:
        inner = inner[key]
    if draw(st.booleans()):
        inner[last] = draw(some.json_values)
    else:
        del inner[last]
    return whole


def attempt(read: Callable[[], Request]) -> Request | MalformedRequest:
    try:
        return read()
    except MalformedRequest as refusal:
        return refusal


@pytest.mark.parametrize("dialect", BODIES)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_damaged_request_is_read_or_refused_with_a_place(dialect: Dialect, data: st.DataObject) -> None:
    body = json.dumps(data.draw(damaged(BODIES[dialect]))).encode()
    read = attempt(lambda: CODECS[dialect].decode_request(body))
    if isinstance(read, MalformedRequest):
        assert read.hint
        assert (read.param or "").split(".")[0] in BODIES[dialect]
        return
    for codec in CODECS.values():
        if codec.dialect.operation is dialect.operation:
            codec.encode_request(read, "m")
    CODECS[dialect].forward_request(read, "m", want_usage=True)


CHUNK: dict[str, object] = {
    "id": "x",
    "model": "m",
    "created": 1,
    "choices": [
        {
            "index": 0,
            "delta": {"content": "a", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]},
            "finish_reason": "stop",
            "logprobs": {"content": [{"token": "a"}]},
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
}
EVENTS: list[dict[str, object]] = [
    {
        "type": "message_start",
        "message": {"id": "x", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{"}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_damaged_stream_is_read_or_refused(data: st.DataObject) -> None:
    codec = data.draw(st.sampled_from((OPENAI, ANTHROPIC)))
    samples = [CHUNK] if codec is OPENAI else EVENTS
    decoder = codec.stream_decoder()
    try:
        for sample in samples:
            text = json.dumps(data.draw(damaged(sample))).encode()
            fold(decoder.feed(ServerSentEvent("", text, text)).events)
    except WireError:
        return
