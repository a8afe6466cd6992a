"""What holds for every request and every answer on its way through OpenAI Responses, alone and beside the other protocols."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from tests import strategies as some
from tests.laws.test_wire_laws import attempt, bare, by_kind, damaged, parts_of, streams, through, whole, without_errors

from trimtab.core.errors import MalformedRequest
from trimtab.core.events import Event, Frame, fold, unfold
from trimtab.core.messages import Dialect, Part, Reasoning, Request, Response, Text, Tool, ToolResult
from trimtab.core.units import Usage
from trimtab.wire import CODECS, Codec, ServerSentEvent, SSEDecoder, WireError
from trimtab.wire.common.signatures import unseal
from trimtab.wire.openai_responses import conversation

RESPONSES = CODECS[Dialect.OPENAI_RESPONSES]
CHAT_DIALECTS = (Dialect.OPENAI_CHAT, Dialect.ANTHROPIC)
OTHERS = [pytest.param(CODECS[dialect], id=dialect) for dialect in CHAT_DIALECTS]
ASKING = RESPONSES.decode_request(b'{"model":"m","input":"?","stream":true}')
law = settings(max_examples=40, deadline=None)


def known(usage: Usage) -> Usage:
    """What this protocol can say: its details are numbers, always."""
    return msgspec.structs.replace(
        usage, cache_read=usage.cache_read or 0, cache_write=usage.cache_write or 0, reasoning=usage.reasoning or 0
    )


def as_told(response: Response) -> Response:
    return msgspec.structs.replace(response, created=response.created or 0, usage=known(response.usage))


def opened(response: Response) -> Response:
    """What a client keeps of an answer, as it is read when it comes back."""
    choices = [
        msgspec.structs.replace(choice, parts=tuple(unseal(part) if isinstance(part, Reasoning) else part for part in choice.parts))
        for choice in response.choices
    ]
    return msgspec.structs.replace(response, choices=tuple(choices))


def explicit(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Silence means strict in this protocol and not strict elsewhere, so what came from elsewhere is said."""
    return tuple(msgspec.structs.replace(tool, strict=bool(tool.strict)) for tool in tools)


def spoken_by(request: Request) -> list[tuple[str, Part]]:
    """A result of nothing and one of no text are the same."""
    return [
        (role, msgspec.structs.replace(part, parts=part.parts or (Text(""),)) if isinstance(part, ToolResult) else part)
        for role, part in parts_of(request, errors=True)
    ]


# -- requests -----------------------------------------------------------------------------------------------------------------------


@law
@given(some.requests(Dialect.OPENAI_RESPONSES))
def test_a_request_is_read_as_it_was_written(request: Request) -> None:
    body, lost = RESPONSES.encode_request(request, "m")
    expected = bare(
        request,
        model="m",
        messages=without_errors(request.messages),
        include_usage=True,
        sampling=msgspec.structs.replace(request.sampling, stop=()),
    )
    assert expected == bare(RESPONSES.decode_request(body))
    assert all(name == "stop" or name.endswith(".is_error") for name in lost)
    assert ("stop" in lost) == bool(request.sampling.stop)


@pytest.mark.parametrize("dialect", CHAT_DIALECTS)
@law
@given(data=st.data())
def test_a_request_survives_translation_to_responses(dialect: Dialect, data: st.DataObject) -> None:
    request = data.draw(some.requests(dialect))
    body, lost = RESPONSES.encode_request(request, "m")
    read = RESPONSES.decode_request(body)
    assert parts_of(request, errors=False) == parts_of(read, errors=False)
    assert explicit(request.tools) == read.tools
    assert (request.tool_choice, request.parallel_tool_calls, request.output) == (
        read.tool_choice,
        read.parallel_tool_calls,
        read.output,
    )
    assert msgspec.structs.replace(request.sampling, stop=()) == read.sampling
    assert (request.stream, request.user) == (read.stream, read.user)
    assert {name for name in lost if not name.endswith(".is_error")} <= {"stop", "stop_sequences"}
    assert json.loads(body)["store"] is False


@pytest.mark.parametrize("codec", OTHERS)
@law
@given(request=some.requests(Dialect.OPENAI_RESPONSES))
def test_a_responses_request_survives_translation(codec: Codec, request: Request) -> None:
    body, _ = RESPONSES.encode_request(request, "m")
    asked = RESPONSES.decode_request(body)
    read = codec.decode_request(codec.encode_request(asked, "m")[0])
    assert parts_of(asked, errors=False) == parts_of(read, errors=False)
    assert asked.tools == read.tools
    assert (asked.stream, asked.user) == (read.stream, read.user)
    assert asked.sampling.max_tokens == read.sampling.max_tokens


@law
@given(some.requests(Dialect.OPENAI_RESPONSES))
def test_every_call_is_followed_by_its_results_in_chat(request: Request) -> None:
    """Chat Completions refuses a call whose result does not follow at once; here a call and its result are items of their own."""
    asked = RESPONSES.decode_request(RESPONSES.encode_request(request, "m")[0])
    sent = json.loads(CODECS[Dialect.OPENAI_CHAT].encode_request(asked, "m")[0])["messages"]
    for number, message in enumerate(sent):
        called = [call["id"] for call in message.get("tool_calls", ())]
        answered = [result["tool_call_id"] for result in sent[number + 1 : number + 1 + len(called)]]
        assert called == answered


# -- answers ------------------------------------------------------------------------------------------------------------------------


@law
@given(some.responses())
def test_an_answer_is_read_as_it_was_written(response: Response) -> None:
    assert as_told(response) == opened(whole(RESPONSES, response))


@law
@given(streams(), st.lists(st.integers(0, 10**6), max_size=6))
def test_a_stream_tells_what_the_whole_answer_tells(sample: tuple[Response, list[Event]], cut: list[int]) -> None:
    response, events = sample
    assert by_kind(as_told(response)) == by_kind(opened(through(RESPONSES, events, ASKING, cut)))


@pytest.mark.parametrize("codec", OTHERS)
@law
@given(response=some.responses())
def test_an_answer_survives_every_other_protocol(codec: Codec, response: Response) -> None:
    """Upstream in one protocol, client in the other, and back."""
    abroad = whole(codec, response)
    assert by_kind(as_told(abroad)) == by_kind(opened(whole(RESPONSES, abroad)))
    home = opened(fold(RESPONSES.decode_response(RESPONSES.encode_response(response, "d")).events))
    assert by_kind(whole(codec, home)).choices == by_kind(whole(codec, response)).choices


def told(written: bytes) -> list[dict[str, object]]:
    return [json.loads(event.data) for event in SSEDecoder().feed(written)]


@law
@given(streams())
def test_the_sequence_is_grammatical(sample: tuple[Response, list[Event]]) -> None:
    encoder = RESPONSES.stream_encoder(ASKING, "d")
    read = SSEDecoder().feed(b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in sample[1]))
    bodies = [json.loads(event.data) for event in read]
    kinds = [body["type"] for body in bodies]
    assert kinds == [event.event for event in read]
    assert list(range(len(bodies))) == [body["sequence_number"] for body in bodies]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    said: dict[tuple[int, str], str] = {}
    is_open: dict[int, str] = {}
    done: dict[int, object] = {}
    for body in bodies[2:-1]:
        kind, place = body["type"].removeprefix("response."), body["output_index"]
        match kind:
            case "output_item.added":
                assert place == len(is_open) + len(done)
                is_open[place] = body["item"]["id"]
            case "output_item.done":
                assert is_open.pop(place) == body["item"]["id"]
                done[place] = body["item"]
            case _:
                assert is_open[place] == body["item_id"]
        stem, _, last = kind.rpartition(".")
        key = (place, f"{stem}.{body.get('content_index', body.get('summary_index'))}")
        if last == "delta":
            said[key] = said.get(key, "") + body["delta"]
        elif last == "done" and stem != "output_item" and not stem.endswith("part"):
            assert said.pop(key, "") == body.get("text", body.get("arguments", body.get("refusal")))
    assert (said, is_open) == ({}, {})
    assert [done[place] for place in sorted(done)] == bodies[-1]["response"]["output"]


@law
@given(streams())
def test_a_stream_ends_with_the_whole_answer(sample: tuple[Response, list[Event]]) -> None:
    response, events = sample
    encoder = RESPONSES.stream_encoder(ASKING, "d")
    written = b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in events)
    ended = conversation.answer_in(written)
    assert ended is not None
    assert by_kind(as_told(response)) == by_kind(opened(fold(RESPONSES.decode_response(ended).events)))
    straight = RESPONSES.stream_encoder(ASKING, "d").encode(Frame(tuple(unfold(response))), same_dialect=False)
    assert json.loads(RESPONSES.encode_response(response, "d")) == told(straight)[-1]["response"]


# -- conversations ------------------------------------------------------------------------------------------------------------------


@law
@given(some.requests(Dialect.OPENAI_RESPONSES), some.responses(), some.some_text)
def test_a_conversation_goes_on_where_it_stood(request: Request, response: Response, question: str) -> None:
    first = RESPONSES.encode_request(request, "m")[0]
    answered = RESPONSES.encode_response(response, "d")
    kept = [*conversation.items_of_input(first), *conversation.items_of_output(answered)]
    second = json.dumps({"model": "m", "previous_response_id": response.id, "input": question, "metadata": {"a": "b"}}).encode()
    assert conversation.previous(second) == response.id == conversation.id_of(answered)
    with pytest.raises(MalformedRequest):
        RESPONSES.decode_request(second)
    expanded = conversation.expand(second, kept)
    assert conversation.previous(expanded) is None
    assert RESPONSES.decode_request(expanded).extras == ("metadata",)
    # Instructions are not carried over; thinking that nobody encrypted is not sent again.
    asked = parts_of(RESPONSES.decode_request(first), errors=True)
    if "instructions" in json.loads(first):
        asked = asked[1:]
    spoken = [("assistant", part) for part in response.choices[0].parts]
    read = RESPONSES.decode_request(expanded)
    assert [*asked, *spoken, ("user", Text(question))] == parts_of(read, errors=True)
    sent = RESPONSES.decode_request(RESPONSES.forward_request(read, "m", want_usage=True))
    said = [pair for pair in spoken if not isinstance(pair[1], Reasoning)]
    assert [*asked, *said, ("user", Text(question))] == parts_of(sent, errors=True)


# -- what nobody foresaw ------------------------------------------------------------------------------------------------------------

BODY: dict[str, object] = {
    "model": "auto",
    "instructions": "s",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "t"},
                {"type": "input_image", "image_url": "https://x.test", "detail": "low"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "xx"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
        {"role": "user", "content": "b"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}, {"type": "mcp", "server_label": "l"}],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "j", "schema": {}}},
    "reasoning": {"effort": "low"},
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 2,
    "max_output_tokens": 100,
    "temperature": 0.5,
    "stream": True,
    "store": True,
    "background": False,
    "previous_response_id": None,
}


@law
@given(st.dictionaries(some.names.map(lambda name: f"x_{name}"), some.json_values, max_size=3))
def test_all_but_the_model_and_store_is_forwarded_byte_for_byte(unknown: dict[str, object]) -> None:
    body = json.dumps({**BODY, **unknown}, indent=1).encode()
    request = RESPONSES.decode_request(body)
    assert {name for name, value in unknown.items() if value is not None} == set(request.extras)
    sent = RESPONSES.forward_request(request, "upstream/model", want_usage=True)
    before, after = (msgspec.json.decode(text, type=dict[str, Raw]) for text in (body, sent))
    assert (bytes(after.pop("model")), bytes(after.pop("store"))) == (b'"upstream/model"', b"false")
    del before["model"], before["store"]
    assert {name: bytes(raw) for name, raw in before.items()} == {name: bytes(raw) for name, raw in after.items()}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_request_is_read_or_refused_with_a_place(data: st.DataObject) -> None:
    body = json.dumps(data.draw(damaged(BODY))).encode()
    read = attempt(lambda: RESPONSES.decode_request(body))
    if isinstance(read, MalformedRequest):
        assert read.hint
        assert (read.param or "").split(".")[0] in BODY
        return
    for dialect in CHAT_DIALECTS:
        CODECS[dialect].encode_request(read, "m")
    RESPONSES.forward_request(read, "m", want_usage=True)
    again = RESPONSES.decode_request(RESPONSES.encode_request(read, "m")[0])
    assert spoken_by(read) == spoken_by(again)


@law
@given(st.binary(max_size=60) | some.json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_raise_nothing_unforeseen(body: bytes) -> None:
    for read in (conversation.previous, conversation.wants_store, conversation.items_of_input, RESPONSES.decode_request):
        try:
            read(body)
        except MalformedRequest:
            continue
    for learn in (conversation.items_of_output, conversation.id_of, conversation.answer_in):
        try:
            learn(body)
        except WireError:
            continue


STREAM: list[dict[str, object]] = [
    {"type": "response.created", "response": {"id": "x", "model": "m", "created_at": 1, "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "call_id": "c", "name": "f"}},
    {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"},
    {"type": "response.output_item.done", "output_index": 1, "item": {"type": "reasoning", "summary": [{"text": "t"}]}},
    {"type": "response.output_text.delta", "output_index": 2, "content_index": 0, "delta": "a", "logprobs": [{"token": "a"}]},
    {
        "type": "response.completed",
        "response": {"id": "x", "output": [], "usage": {"input_tokens": 1, "output_tokens": 2, "input_tokens_details": {}}},
    },
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_stream_is_read_or_refused(data: st.DataObject) -> None:
    decoder = RESPONSES.stream_decoder()
    try:
        for sample in STREAM:
            text = json.dumps(data.draw(damaged(sample))).encode()
            fold(decoder.feed(ServerSentEvent("", text, text)).events)
    except WireError:
        return


@law
@given(streams())
def test_forwarded_bytes_go_through_as_they_came(sample: tuple[Response, list[Event]]) -> None:
    written = RESPONSES.stream_encoder(ASKING, "d").encode(Frame(tuple(sample[1])), same_dialect=False)
    decoder, encoder = RESPONSES.stream_decoder(), RESPONSES.stream_encoder(ASKING, "d")
    events = SSEDecoder().feed(written)
    assert written == b"".join(encoder.encode(decoder.feed(event), same_dialect=True) for event in events)
    assert all(before.data != after.data for before, after in pairwise(events))
