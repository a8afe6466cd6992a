"""What a failure is called in each client's protocol, whole and in the middle of a stream."""

from __future__ import annotations

import json

from tests.conformance.matrix.answers import asking
from tests.conformance.matrix.feature import ANTHROPIC, CHAT, COHERE, CONVERSE, GEMINI, RESPONSES, Json

from trimtab.core.errors import AttemptsExhausted, FailureKind, ProviderError, TrimtabError
from trimtab.core.messages import Dialect
from trimtab.wire import CODECS, UPSTREAM_CODECS, ServerSentEvent, SSEDecoder, UpstreamErrorEvent, client_status
from trimtab.wire.codec import UpstreamError

MESSAGE = "The provider could not."

BROKEN: dict[Dialect, tuple[str, Json]] = {
    CHAT: ("", {"error": {"message": MESSAGE, "type": "server_error", "code": None}}),
    RESPONSES: ("error", {"type": "error", "code": "server_error", "message": MESSAGE, "param": None}),
    ANTHROPIC: ("error", {"type": "error", "error": {"type": "overloaded_error", "message": MESSAGE}}),
    GEMINI: ("", {"error": {"code": 503, "message": MESSAGE, "status": "UNAVAILABLE"}}),
    COHERE: ("message-end", {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": MESSAGE}}),
    CONVERSE: ("error", {"type": "error", "error": {"type": "throttlingException", "message": MESSAGE}}),
}
"""How a stream of each protocol breaks off."""


def failure(kind: FailureKind) -> TrimtabError:
    """What the client is told about when every attempt failed in this way."""
    first = ProviderError(kind, MESSAGE)
    return AttemptsExhausted(first, {"a deployment": kind}) if kind.try_next else first


def words(kind: FailureKind, client: Dialect) -> str:
    """The status and the protocol's own words for it."""
    error = failure(kind)
    body = json.loads(CODECS[client].encode_error(error))
    said = body.get("error", {})
    named = dict.fromkeys(str(said[name]) for name in ("type", "status", "code") if isinstance(said.get(name), str))
    return " ".join([str(client_status(error)), *(f"`{word}`" for word in named)])


def read_whole(kind: FailureKind, client: Dialect) -> UpstreamError:
    return CODECS[client].decode_error(CODECS[client].encode_error(failure(kind)))


def read_in_stream(kind: FailureKind, client: Dialect) -> UpstreamError:
    """What a client of the protocol finds where a stream broke off."""
    codec = CODECS[client]
    return _first_error(client, SSEDecoder().feed(codec.stream_encoder(asking(client), "d1").error(failure(kind))))


def read_from_upstream(upstream: Dialect) -> UpstreamError:
    name, fields = BROKEN[upstream]
    data = json.dumps(fields).encode()
    return _first_error(upstream, [ServerSentEvent(name, data, data)])


def _first_error(dialect: Dialect, events: list[ServerSentEvent]) -> UpstreamError:
    decoder = UPSTREAM_CODECS[dialect].stream_decoder()
    try:
        for event in events:
            decoder.feed(event)
    except UpstreamErrorEvent as raised:
        return raised.error
    raise AssertionError("the stream does not say that it failed")
