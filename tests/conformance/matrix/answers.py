"""What becomes of each feature of an answer on its way to each client, whole and in a stream: carried, forwarded, or what cannot be said.

``CANNOT_SAY`` is the list of what a client's protocol has no word for, with the reason; ``UNREAD`` of what is not read from an upstream's
answer. Whatever else does not arrive is a gap, and so is an excuse that excuses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from functools import cache

import msgspec
from msgspec import Struct
from tests.conformance.matrix.feature import ANTHROPIC, CHAT, CLIENTS, COHERE, CONVERSE, GEMINI, REPLICATE, RESPONSES, Json, merged
from tests.conformance.matrix.requests import Gap
from tests.conformance.matrix.said import ANSWERS, PLAIN_ANSWERS, AnswerFeature
from tests.support import converse

from trimtab.core.events import Ended, Event, Frame, fold, unfold
from trimtab.core.messages import (
    Choice,
    Dialect,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    Text,
    ToolCall,
)
from trimtab.wire import CODECS, UPSTREAM_CODECS, EventStreamDecoder, SSEDecoder
from trimtab.wire.common.signatures import unseal

UPSTREAM_DIALECTS = (CHAT, RESPONSES, ANTHROPIC, GEMINI, COHERE, CONVERSE, REPLICATE)


class Heard(StrEnum):
    CARRIED = "carried"
    UNSAID = "unsaid"
    UNREAD = "unread"
    NATIVE = "native"
    ABSENT = "absent"


class Ear(Struct, frozen=True):
    """``missing`` are the facets that the client's protocol has no word for, or the one reason why nothing is read."""

    heard: Heard
    missing: tuple[str, ...] = ()


Facets = dict[str, object]

CANNOT_SAY: dict[Dialect, dict[str, str]] = {
    CHAT: {
        "blocks": "a message has one text: blocks are joined",
        "thoughts": "a message has one thinking: its blocks are joined, and one without words is none",
        "order": "a message has its text in front of its calls",
        "signature": "no place for it",
        "redacted": "no place for it",
        "opaque": "what a provider's own tools said, and media, have a place in their own protocol only",
        "finish pause": "no client of it can go on with a paused turn: the answer ends with `stop`",
        "stop_sequence": "which one it was is not told",
        "created": "a time is a number: unknown is written 0",
    },
    RESPONSES: {
        "choices": "it has one answer: the first is given",
        "finish pause": "no word for it: the answer is `completed`",
        "stop_sequence": "which one it was is not told",
        "usage.cache_read": "a count is a number: unknown is written 0, and the record keeps it unknown",
        "usage.cache_write": "a count is a number: unknown is written 0, and the record keeps it unknown",
        "usage.reasoning": "a count is a number: unknown is written 0, and the record keeps it unknown",
        "opaque": "what another protocol's own tools said, and media, have no place",
        "created": "a time is a number: unknown is written 0",
    },
    ANTHROPIC: {
        "choices": "it has one answer: the first is given",
        "refusal": "it is told as text",
        "logprobs": "there are none",
        "created": "there is none",
        "arguments": "they are an object: what is none goes along as one string",
        "opaque": "what another protocol's own tools said, and media, have no place",
        "usage.input": "a count is a number: unknown is written 0, and the record keeps it unknown",
        "usage.output": "a count is a number: unknown is written 0, and the record keeps it unknown",
    },
    GEMINI: {
        "refusal": "it is told as text",
        "blocks": "texts behind one another are one text to its clients",
        "order": "in a stream a call is written whole, once the answer is finished: text behind it comes before it",
        "created": "there is none",
        "arguments": "they are an object: what is none goes along as one string",
        "opaque": "what another protocol's own tools said, and media, have no place",
        "finish pause": "no client of it can go on with another's paused turn: the answer ends with `OTHER`",
        "stop_sequence": "which one it was is not told",
        "usage.cache_write": "there is no such figure",
    },
    COHERE: {
        "choices": "it has one answer: the first is given",
        "refusal": "it is told as text",
        "order": "a message has its content in front of its calls",
        "signature": "no place for it",
        "thoughts": "a thought without words is none",
        "redacted": "no place for it",
        "logprobs": "they come with token ids, which nobody else tells",
        "opaque": "what another protocol's own tools said, and media, have no place",
        "model": "the protocol never says which model answered",
        "created": "there is none",
        "finish content_filter": "no word for it: the answer is `COMPLETE`",
        "finish pause": "no word for it: the answer is `COMPLETE`",
        "stop_sequence": "that there was one is told, and not which",
        "usage.cache_read": "it is no share of what is billed, which is what clients read",
        "usage.cache_write": "there is no such figure",
        "usage.reasoning": "there is no such figure",
    },
}

UNREAD: dict[tuple[Dialect, str], str] = {
    (CHAT, "citations"): "`annotations` have no place in the gateway's own words",
    (RESPONSES, "citations"): "`annotations` have no place in the gateway's own words",
    (ANTHROPIC, "citations"): "`citations` of a text have no place in the gateway's own words",
    (GEMINI, "citations"): "`groundingMetadata` has no place in the gateway's own words",
    (CONVERSE, "citations"): "`citationsContent` is read for its text",
    (COHERE, "log-probabilities"): "they come with token ids, for pieces of text of several tokens",
    (COHERE, "finish: stop sequence"): "which one it was is not told, and that there was one is an end as any",
}


def facets(response: Response) -> Facets:
    """What the answer says, in words that do not depend on where it stands."""
    found: Facets = {"id": response.id, "model": response.model, "created": response.created, "choices": len(response.choices)}
    found |= {f"usage.{name}": value for name, value in msgspec.structs.asdict(response.usage).items() if name != "estimated"}
    choice = response.choices[0] if response.choices else Choice(0, (), None)
    # Another's signature is sealed before a client, and opened where it comes back.
    parts = [unseal(part) if isinstance(part, Reasoning) else part for part in choice.parts]
    found["text"] = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    found["blocks"] = [part.text for part in parts if isinstance(part, Text | Refusal)]
    found["refusal"] = [part.text for part in parts if isinstance(part, Refusal)]
    found["thinking"] = "".join(part.text for part in parts if isinstance(part, Reasoning))
    found["thoughts"] = [part.text for part in parts if isinstance(part, Reasoning)]
    found["signature"] = [part.signature for part in parts if isinstance(part, Reasoning) and part.signature]
    found["redacted"] = [part.redacted for part in parts if isinstance(part, Reasoning) and part.redacted]
    found["calls"] = [(part.id, part.name) for part in parts if isinstance(part, ToolCall)]
    found["arguments"] = [_arguments(part.arguments) for part in parts if isinstance(part, ToolCall)]
    found["opaque"] = [part.kind for part in parts if isinstance(part, Opaque)]
    found["order"] = list(dict.fromkeys(_kind(part) for part in parts if not isinstance(part, Opaque | Reasoning)))
    found["finish"] = choice.finish_reason
    found["stop_sequence"] = choice.stop_sequence
    found["logprobs"] = [_token(json.loads(bytes(raw))) for raw in choice.logprobs]
    return found


def _arguments(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _kind(part: Part) -> str:
    return "call" if isinstance(part, ToolCall) else "text"


def _token(token: Json) -> object:
    return token["token"], token["logprob"]


def _word(name: str, value: object) -> str:
    """How ``CANNOT_SAY`` knows a facet: a finish by its reason."""
    return f"finish {value}" if name == "finish" else name


# -- the ways ----------------------------------------------------------------------------------------------------------------------


def body_of(feature: AnswerFeature, upstream: Dialect) -> bytes:
    return json.dumps(merged(PLAIN_ANSWERS[upstream], feature.bodies.get(upstream, {})), ensure_ascii=False).encode()


@cache
def whole(feature: str, upstream: Dialect) -> Response:
    found = next(held for held in ANSWERS if held.name == feature)
    return fold(UPSTREAM_CODECS[upstream].decode_response(body_of(found, upstream)).events)


def asking(client: Dialect) -> Request:
    return Request(dialect=client, model="m", messages=(), stream=True, include_usage=True)


def stream_of(response: Response, dialect: Dialect) -> bytes:
    """The answer as a stream of that protocol: by its own encoder, or by a writer of its own where nobody speaks it to us."""
    if dialect == CONVERSE:
        return converse.stream_of(response)
    encoder = CODECS[dialect].stream_encoder(asking(dialect), "d1")
    return b"".join(encoder.encode(Frame((event,)), same_dialect=False) for event in unfold(response))


def frames_of(stream: bytes, dialect: Dialect, size: int = 7) -> list[Frame]:
    """Read in pieces of ``size`` bytes."""
    framing = EventStreamDecoder() if dialect == CONVERSE else SSEDecoder()
    decoder = UPSTREAM_CODECS[dialect].stream_decoder()
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    return [decoder.feed(event) for piece in pieces for event in framing.feed(piece)]


def events_of(frames: list[Frame]) -> list[Event]:
    """A stream of Gemini has no last word, so whoever reads it says that it has ended."""
    events = [event for frame in frames for event in frame.events]
    return events if any(isinstance(event, Ended) for event in events) else [*events, Ended()]


def told_whole(response: Response, client: Dialect) -> Response:
    return fold(CODECS[client].decode_response(CODECS[client].encode_response(response, "d1")).events)


def told_in_stream(frames: list[Frame], client: Dialect) -> Response:
    encoder = CODECS[client].stream_encoder(asking(client), "d1")
    ended = [] if frames and frames[-1].is_last else [Frame((Ended(),))]
    stream = b"".join(encoder.encode(frame, same_dialect=False) for frame in [*frames, *ended])
    return fold(events_of(frames_of(stream, client)))


# -- verdicts ----------------------------------------------------------------------------------------------------------------------


def cases() -> Iterator[tuple[AnswerFeature, Dialect, Dialect]]:
    return ((feature, upstream, client) for feature in ANSWERS for upstream in UPSTREAM_DIALECTS for client in CLIENTS)


def listen(feature: AnswerFeature, upstream: Dialect, client: Dialect) -> Ear:
    """Raises :class:`Gap`."""
    if upstream not in feature.bodies:
        return Ear(Heard.ABSENT)
    body = body_of(feature, upstream)
    if upstream == client:
        _check_forwarded(feature, body, upstream)
        return Ear(Heard.NATIVE)
    said = whole(feature.name, upstream)
    missing = unsaid(said, upstream, client)
    plain = ANSWERS[0]
    if feature == plain:
        return Ear(Heard.CARRIED)
    before, after = facets(whole(plain.name, upstream)), facets(said)
    changed = {_word(name, after[name]) for name in after if before[name] != after[name]}
    if not changed:
        if (upstream, feature.name) not in UNREAD:
            raise Gap("it is not read from the upstream's answer")
        return Ear(Heard.UNREAD, (UNREAD[upstream, feature.name],))
    names = tuple(sorted(missing & changed))
    return Ear(Heard.UNSAID if names else Heard.CARRIED, names)


def unsaid(said: Response, upstream: Dialect, client: Dialect) -> set[str]:
    """What the client is not told, whole or in a stream. Raises :class:`Gap` for what nothing excuses."""
    missing = _missing(said, told_whole(said, client), client)
    if upstream != REPLICATE:
        frames = frames_of(stream_of(said, upstream), upstream)
        streamed = fold(events_of(frames))
        # What the upstream's own stream has no place for is not the client's loss.
        there, flowing = facets(said), facets(streamed)
        lost = _missing(streamed, told_in_stream(frames, client), client)
        missing |= {name for name in lost if (key := name.partition(" ")[0]) and there[key] == flowing[key]}
    return missing


def _missing(said: Response, heard: Response, client: Dialect) -> set[str]:
    there, here = facets(said), facets(heard)
    names = {_word(name, there[name]) for name in there if there[name] != here[name] and not _made(name, there[name])}
    unnamed = names - CANNOT_SAY[client].keys()
    if unnamed:
        raise Gap(f"vanished: {[(name, there.get(name), here.get(name)) for name in sorted(unnamed)]}")
    return names


def _made(name: str, value: object) -> bool:
    """An answer without an id gets the decision's; one whose model is not told, the name that was asked for."""
    return name in ("id", "model") and value == ""


def _check_forwarded(feature: AnswerFeature, body: bytes, dialect: Dialect) -> None:
    """Whole and streamed, the upstream's own bytes."""
    if UPSTREAM_CODECS[dialect].decode_response(body).native != body:
        raise Gap("the body is not given on as it came")
    stream = stream_of(whole(feature.name, dialect), dialect)
    frames = frames_of(stream, dialect)
    encoder = CODECS[dialect].stream_encoder(asking(dialect), "d1")
    ended = [] if frames[-1].is_last else [Frame((Ended(),))]
    if b"".join(encoder.encode(frame, same_dialect=True) for frame in [*frames, *ended]) != stream:
        raise Gap("the stream is not given on as it came")
