"""What holds between every two chat protocols: what was said arrives, in its order, and a second trip changes nothing more.

The other files of laws hold each protocol against itself; here is no protocol by name but for what it has no word for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import strategies as some

from trimtab.core.errors import MalformedRequest
from trimtab.core.events import Ended, Event, Frame, ReasoningDelta, fold, unfold
from trimtab.core.messages import Dialect, FinishReason, Reasoning, Request, Response, Text, ToolCall, ToolResult
from trimtab.core.units import Usage
from trimtab.core.zones import Sensitivity
from trimtab.signals import sense
from trimtab.wire import CODECS, UPSTREAM_CODECS, SSEDecoder
from trimtab.wire.common.signatures import seal

CHATS = (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC, Dialect.GEMINI, Dialect.COHERE)
PAIRS = list(permutations(CHATS, 2))
of_every_client = pytest.mark.parametrize("client", CHATS)
law = settings(max_examples=10, deadline=None)

MODEL = "gemini-2.5-flash"
"""Of the models behind these protocols only Google's change what is written; with this one a call needs no signature."""


# -- requests ----------------------------------------------------------------------------------------------------------------------


@st.composite
def asked(draw: st.DrawFn, client: Dialect) -> Request:
    """A request as a client of that protocol wrote it, body and all."""
    codec = CODECS[client]
    request = codec.decode_request(codec.encode_request(draw(some.requests(client)), MODEL)[0])
    return msgspec.structs.replace(request, stream=draw(st.booleans()))


def others(client: Dialect) -> list[Dialect]:
    return [dialect for dialect in CHATS if dialect is not client]


def told(request: Request) -> list[tuple[str, Any]]:
    """Texts, calls and results in their order, with who said them. A result is its call's id and its text."""
    out: list[tuple[str, Any]] = []
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text(text=text) if text:
                    out.append(("user" if message.role == "tool" else message.role, text))
                case ToolCall():
                    out.append(("call", (part.id, part.name, json.loads(part.arguments))))
                case ToolResult():
                    out.append(("result", (part.id, "\n".join(piece.text for piece in part.parts if isinstance(piece, Text)))))
                case _:
                    continue
    return out


def carried(request: Request, upstream: Dialect) -> Request:
    codec = CODECS[upstream]
    return codec.decode_request(codec.encode_request(request, MODEL)[0])


@of_every_client
@law
@given(data=st.data())
def test_what_was_said_arrives_in_its_order(client: Dialect, data: st.DataObject) -> None:
    request = data.draw(asked(client))
    for upstream in others(client):
        assert told(request) == told(carried(request, upstream))


@of_every_client
@law
@given(data=st.data())
def test_every_result_finds_its_call(client: Dialect, data: st.DataObject) -> None:
    request = data.draw(asked(client))
    for upstream in others(client):
        read = carried(request, upstream)
        called = [part.id for message in read.messages for part in message.parts if isinstance(part, ToolCall)]
        answered = [part.id for message in read.messages for part in message.parts if isinstance(part, ToolResult)]
        assert called == answered


@of_every_client
@law
@given(data=st.data())
def test_tools_and_their_schemas_arrive(client: Dialect, data: st.DataObject) -> None:
    """Where one tool must be called, the others may stay behind."""
    request = data.draw(asked(client))
    choice = request.tool_choice
    for upstream in others(client):
        expected = {tool.name: tool for tool in request.tools}
        if choice is not None and choice.mode == "tool" and choice.name in expected and upstream is Dialect.COHERE:
            expected = {choice.name: expected[choice.name]}
        read = carried(request, upstream)
        assert list(expected) == [tool.name for tool in read.tools]
        for tool in read.tools:
            held = expected[tool.name]
            assert held.description == tool.description
            assert json.loads(bytes(held.parameters or b"{}")) == json.loads(bytes(tool.parameters or b"{}"))


@of_every_client
@law
@given(data=st.data())
def test_a_limit_arrives_and_whatever_else_is_missing_is_named(client: Dialect, data: st.DataObject) -> None:
    request = data.draw(asked(client))
    for upstream in others(client):
        body, lost = CODECS[upstream].encode_request(request, MODEL)
        before, after = request.sampling, CODECS[upstream].decode_request(body).sampling
        assert before.max_tokens == after.max_tokens
        for name in ("temperature", "top_p"):
            assert getattr(before, name) == getattr(after, name) or name in lost
        assert before.stop == after.stop or {"stop", "stop_sequences"} & set(lost)
        thought = {before.reasoning_effort} - {after.reasoning_effort, None}
        assert not thought or after.thinking_budget is not None or "reasoning_effort" in lost


def settled(request: Request) -> Request:
    """Without what tells where it came from."""
    return msgspec.structs.replace(request, native=b"", extras=(), stream=False, include_usage=False, model="")


@of_every_client
@law
@given(data=st.data())
def test_a_second_trip_changes_nothing_more(client: Dialect, data: st.DataObject) -> None:
    """There and back again, and once more: what one trip lost, the next does not lose again."""
    request = data.draw(asked(client))
    for upstream in others(client):
        home = carried(carried(request, upstream), client)
        again = carried(carried(home, upstream), client)
        assert settled(home) == settled(again)


# -- answers -----------------------------------------------------------------------------------------------------------------------

NO_WORD: dict[Dialect, frozenset[FinishReason]] = {Dialect.COHERE: frozenset({FinishReason.CONTENT_FILTER})}
"""Ends that a protocol writes as any other."""

ASKING = {client: Request(dialect=client, model="m", messages=(), stream=True, include_usage=True) for client in CHATS}

Trip = Callable[[Response, Dialect, list[int]], Response]


def whole(response: Response, dialect: Dialect, cut: list[int]) -> Response:
    codec = CODECS[dialect]
    return fold(codec.decode_response(codec.encode_response(response, "d")).events)


def streamed(response: Response, dialect: Dialect, cut: list[int]) -> Response:
    """In pieces, the model's and the network's, wherever they fall."""
    encoder, framing, decoder = CODECS[dialect].stream_encoder(ASKING[dialect], "d"), SSEDecoder(), CODECS[dialect].stream_decoder()
    written = b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in pieces(response))
    places = sorted({place % (len(written) + 1) for place in cut} | {0, len(written)})
    sent = [event for start, stop in pairwise(places) for event in framing.feed(written[start:stop])]
    return fold(event for found in sent for event in decoder.feed(found).events)


def pieces(response: Response) -> list[Event]:
    """Each part in two."""
    out: list[Event] = []
    for event in unfold(response):
        for field in ("text", "arguments"):
            text = getattr(event, field, "")
            if len(text) > 1:
                first = msgspec.structs.replace(event, **{field: text[:1]})
                if isinstance(first, ReasoningDelta):
                    # A signature closes its block.
                    first = msgspec.structs.replace(first, signature=None)
                rest = {field: text[1:]} | ({"id": None, "name": None} if field == "arguments" else {})
                out += [first, msgspec.structs.replace(event, **rest)]
                break
        else:
            out.append(event)
    assert isinstance(out[-1], Ended)
    return out


def heard(response: Response) -> list[tuple[str, Any]]:
    """The parts of the answer in their order."""
    out: list[tuple[str, Any]] = []
    for part in response.choices[0].parts:
        match part:
            case Text(text=text):
                out.append(("text", text))
            case Reasoning(text=text):
                out.append(("thinking", text))
            case ToolCall():
                out.append(("call", (part.id, part.name, json.loads(part.arguments))))
            case _:
                raise TypeError
    return out


def unsigned(response: Response) -> Response:
    """Every trip has a signer of its own."""
    return some.by(response, None)


def end(response: Response, *protocols: Dialect) -> FinishReason | None:
    reason = response.choices[0].finish_reason
    return FinishReason.STOP if any(reason in NO_WORD.get(protocol, ()) for protocol in protocols) else reason


def counted(usage: Usage) -> tuple[int | None, int | None]:
    return usage.input, usage.output


@pytest.mark.parametrize("trip", [whole, streamed])
@law
@given(response=some.responses(), cut=st.lists(st.integers(0, 10**6), max_size=6))
def test_an_answer_arrives(trip: Trip, response: Response, cut: list[int]) -> None:
    """From an upstream of one protocol to a client of the other."""
    for upstream, client in PAIRS:
        arrived = trip(trip(response, upstream, cut), client, cut)
        assert heard(response) == heard(arrived)
        assert end(response, upstream, client) == arrived.choices[0].finish_reason
        assert counted(response.usage) == counted(arrived.usage)


@law
@given(response=some.responses())
def test_no_figure_of_the_usage_is_told_otherwise(response: Response) -> None:
    """A protocol may have no word for a figure, or write 0 for what is unknown."""
    for upstream, client in PAIRS:
        there = whole(response, upstream, []).usage
        here = whole(whole(response, upstream, []), client, []).usage
        for name in ("cache_read", "cache_write", "reasoning"):
            assert getattr(there, name) in (getattr(response.usage, name), None) or getattr(response.usage, name) is None
            assert getattr(here, name) in (getattr(there, name) or 0, None)


@pytest.mark.parametrize("trip", [whole, streamed])
@law
@given(response=some.responses())
def test_an_answer_changes_on_its_first_trip_only(trip: Trip, response: Response) -> None:
    for upstream, client in PAIRS:
        home = trip(trip(response, upstream, []), client, [])
        again = trip(trip(home, upstream, []), client, [])
        assert unsigned(home) == unsigned(again)


# -- who signed --------------------------------------------------------------------------------------------------------------------

SIGNERS = (Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC, Dialect.GEMINI)
"""Of the protocols that clients speak, those with a place for a signature."""
SIGNATURE = "c2lnbmVkIGJ5IG9uZQ=="
ANY_SEAL = seal(Reasoning(), Dialect.ANTHROPIC) or ""
MODELS = dict.fromkeys(CHATS, MODEL) | {Dialect.CONVERSE: "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"}


def next_turn(client: Dialect, answer: bytes) -> Request:
    """The conversation as a client keeps it, with the answer as it came."""
    said = json.loads(answer)
    asked = {"role": "user", "content": "?"}
    fields: dict[str, Any] = {"model": "auto"}
    match client:
        case Dialect.OPENAI_CHAT:
            fields["messages"] = [asked, said["choices"][0]["message"], asked]
        case Dialect.COHERE:
            fields["messages"] = [asked, said["message"], asked]
        case Dialect.ANTHROPIC:
            fields |= {"max_tokens": 9, "messages": [asked, {"role": "assistant", "content": said["content"]}, asked]}
        case Dialect.OPENAI_RESPONSES:
            fields["input"] = [asked, *said["output"], asked]
        case _:
            user = {"role": "user", "parts": [{"text": "?"}]}
            fields = {"contents": [user, said["candidates"][0]["content"], user]}
    return CODECS[client].decode_request(json.dumps(fields).encode())


def sent(request: Request, upstream: Dialect) -> tuple[str, tuple[str, ...]]:
    """The body for the upstream, and what it names as left behind, as the provider does it."""
    codec = UPSTREAM_CODECS[upstream]
    if upstream is request.dialect:
        return codec.forward_request(request, MODELS[upstream], want_usage=False).decode(), request.foreign
    body, lost = codec.encode_request(request, MODELS[upstream])
    return body.decode(), lost


@pytest.mark.parametrize("trip", [whole, streamed])
@pytest.mark.parametrize("signer", [*SIGNERS, None])
@law
@given(response=some.responses(), thought=some.texts, is_redacted=st.booleans())
def test_a_signature_goes_to_its_signer_and_to_nobody_else(
    trip: Trip, signer: Dialect | None, response: Response, thought: str, is_redacted: bool
) -> None:
    """Whoever the client is, and wherever the conversation goes on. ``None`` is a provider that signs nothing."""
    signed = Reasoning(thought or ("" if signer else "t"), SIGNATURE if signer else None, signer=signer)
    if is_redacted and signer is Dialect.ANTHROPIC:
        signed = Reasoning(redacted=SIGNATURE, signer=signer)
    choice = response.choices[0]
    parts = (signed, *(part for part in choice.parts if not isinstance(part, Reasoning)), Text("."))
    response = msgspec.structs.replace(response, choices=(msgspec.structs.replace(choice, parts=parts),))
    for client in CHATS:
        # What a client gathers from a stream is what it would have got whole.
        heard_by_client = response if trip is whole else streamed(response, client, [])
        request = next_turn(client, CODECS[client].encode_response(heard_by_client, "d"))
        is_sealed = client in SIGNERS and client is not signer and (signer is not None or client is not Dialect.GEMINI)
        assert bool(request.foreign) == is_sealed
        for upstream in MODELS:
            body, lost = sent(request, upstream)
            is_signer = signer is (Dialect.ANTHROPIC if upstream is Dialect.CONVERSE else upstream)
            assert ANY_SEAL[:12] not in body
            assert (SIGNATURE in body) == (is_signer and client in SIGNERS)
            assert lost or is_signer or not is_sealed


def with_thinking(client: Dialect, thought: Reasoning, *, alone: bool = False) -> Request:
    """A conversation, or nothing but a turn of the model, with thinking as a client of that protocol may write it."""
    answer = {"role": "user", "content": "?"}
    signature = seal(thought, client)
    fields: dict[str, Any] = {"model": "auto", "stream": True}
    match client:
        case Dialect.ANTHROPIC:
            turn = {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": signature}]}
            fields |= {"max_tokens": 9, "system": "Be brief.", "messages": [turn] if alone else [turn, answer]}
        case Dialect.OPENAI_RESPONSES:
            item: dict[str, Any] = {"type": "reasoning", "summary": [], "encrypted_content": signature}
            fields |= {"instructions": "Be brief.", "input": [item] if alone else [item, answer]}
        case _:
            system, user = {"parts": [{"text": "Be brief."}]}, {"role": "user", "parts": [{"text": "?"}]}
            turn = {"role": "model", "parts": [{"thought": True, "text": "t", "thoughtSignature": signature}]}
            fields = {"systemInstruction": system, "contents": [turn] if alone else [turn, user]}
    return CODECS[client].decode_request(json.dumps(fields).encode())


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("client", SIGNERS)
@pytest.mark.parametrize("field", ["signature", "redacted"])
def test_nothing_leaves_that_was_not_read(client: Dialect, signer: Dialect, field: str) -> None:
    """A client can make a seal of its own, and an upstream gets it opened."""
    card = "4111 1111 1111 1111"
    request = with_thinking(client, msgspec.structs.replace(Reasoning(signer=signer), **{field: card}))
    leaves = any(card in sent(request, upstream)[0] for upstream in MODELS)
    assert leaves or field == "redacted"
    assert not leaves or Sensitivity.FINANCIAL in sense(request).sensitivity


@pytest.mark.parametrize("client", SIGNERS)
def test_a_body_keeps_what_stands_beside_foreign_thinking(client: Dialect) -> None:
    signer = next(dialect for dialect in SIGNERS if dialect is not client)
    thought = Reasoning(signature=SIGNATURE, signer=signer)
    body = json.loads(sent(with_thinking(client, thought), client)[0])
    plain = json.loads(with_thinking(client, thought).native)
    assert plain.keys() <= body.keys()
    with pytest.raises(MalformedRequest) as refusal:
        with_thinking(client, thought, alone=True)
    assert refusal.value.param in plain
    assert refusal.value.hint


def test_the_protocols_are_all_there() -> None:
    spoken = {dialect for dialect in CODECS if dialect.operation == "chat"}
    assert set(CHATS) == spoken
