"""What a dialect's codec promises, and the words for what goes wrong on the upstream's side. Knows no dialect itself, and does no I/O.

On the client's side a codec raises :class:`~trimtab.core.errors.MalformedRequest` and nothing else; on the upstream's side
:class:`WireError` and nothing else.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from trimtab.core.errors import UNSUPPORTED, AttemptsExhausted, FailureKind, ProviderError, TrimtabError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request, Response
from trimtab.wire.sse import ServerSentEvent


class WireError(Exception):
    """The upstream sent what its own protocol does not allow. The message holds no content."""


class Untranslatable(WireError):
    """The request holds what another dialect cannot say, and what the answer hangs on: nothing may be left out and named as lost.

    The one error of :meth:`UpstreamCodec.encode_request`: the next deployment may speak the client's own dialect.
    """


class UpstreamError(Struct, frozen=True):
    """What an upstream's error body says, field by field; ``""`` where it says nothing. ``message`` is not scrubbed."""

    code: str = ""
    type: str = ""
    message: str = ""
    param: str = ""


class UpstreamErrorEvent(WireError):
    """The upstream reported an error where an answer was due: in its stream, or in a body under a good status line."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.code or error.type or "upstream error")
        self.error = error


class StreamDecoder(Protocol):
    """The upstream's stream, event by event. One for each stream."""

    def feed(self, event: ServerSentEvent) -> Frame:
        """Raises :class:`WireError` on what cannot be read, :class:`UpstreamErrorEvent` on an error event."""


class StreamEncoder(Protocol):
    """The client's stream. One for each stream."""

    def encode(self, frame: Frame, *, same_dialect: bool) -> bytes:
        """``frame.native`` for an upstream of the same dialect, less a usage report that the client did not ask for; else the frame's
        events in the client's dialect. So is a frame without native bytes, but after forwarded ones only its last word is written.
        """

    def error(self, error: TrimtabError) -> bytes:
        """The protocol's own error event. Nothing follows it."""


class ClientCodec(Protocol):
    """The side of a wire protocol that faces the client."""

    @property
    def dialect(self) -> Dialect: ...

    def decode_request(self, body: bytes) -> Request:
        """What the client asks. Raises :class:`MalformedRequest` with ``param`` as a dotted path.

        Where a protocol names the model or the stream in its path, the door adds them to the request.
        """

    def stream_encoder(self, request: Request, decision_id: str) -> StreamEncoder: ...

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        """``decision_id`` stands in for the id of an answer that has none."""

    def encode_error(self, error: TrimtabError) -> bytes:
        """The protocol's own error body; the HTTP status is :func:`client_status`."""


class UpstreamCodec(Protocol):
    """The side of a wire protocol that faces the upstream."""

    @property
    def dialect(self) -> Dialect: ...

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """The client's own body for an upstream of the same dialect: every value as it came, only the model name replaced, and what
        ``request.foreign`` names left out.

        ``want_usage`` asks for a usage report at the end of a stream, where the protocol leaves that to the client.
        """

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        """The request in this dialect, and the dotted names of what it cannot carry, at most 32 of them and a count.

        Raises :class:`Untranslatable` where the rest alone would get a wrong answer.

        ``messages.N`` counts as the client's own body does, ``content.M`` the parts of that message in ``core``'s order.
        """

    def stream_decoder(self) -> StreamDecoder: ...

    def decode_response(self, body: bytes) -> Frame:
        """A whole answer as one frame. Raises :class:`WireError`."""

    def decode_error(self, body: bytes) -> UpstreamError:
        """Never raises."""


class Codec(ClientCodec, UpstreamCodec, Protocol):
    """One wire protocol, both ways on both sides."""


_STATUS_BY_KIND = {
    FailureKind.RATE_LIMIT: 429,
    FailureKind.QUOTA: 503,
    FailureKind.CREDENTIAL: 502,
    FailureKind.MODEL_GONE: 502,
    FailureKind.REGION: 502,
    FailureKind.UNKNOWN: 502,
}


def primary(error: TrimtabError) -> TrimtabError:
    """The failure to tell the client about: the first one, when several were tried."""
    return error.first if isinstance(error, AttemptsExhausted) else error


def client_status(error: TrimtabError) -> int:
    """The HTTP status for the client.

    ==============================================  ==========================================================
    caller_fault, context_length, content_filter    the upstream's own 4xx, else 400: the request is to blame
    rate_limit                                      429
    quota                                           503: the operator's account is empty, not the client's
    credential                                      502: so that nobody thinks that the client's key is bad
    model_gone, region, unknown                     502; 400 where what is asked for cannot be said to that upstream
    transient                                       504 for a time-out, 503 for an upstream that is overloaded, else 502
    any other error                                 its own ``status``
    ==============================================  ==========================================================
    """
    cause = primary(error)
    if not isinstance(cause, ProviderError):
        return cause.status
    upstream = cause.upstream_status
    if cause.kind.clients_fault:
        return upstream if upstream is not None and 400 <= upstream < 500 else 400
    if cause.kind is FailureKind.TRANSIENT:
        if upstream == 504 or "timeout" in cause.detail:
            return 504
        return 503 if upstream in (503, 529) else 502
    if upstream is None and cause.detail == UNSUPPORTED:
        return 400
    return _STATUS_BY_KIND[cause.kind]
