"""What codecs share whose operation is one request and one whole answer: no streams, and answers that pass through as they are."""

from __future__ import annotations

from typing import NoReturn

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Ended, Event, Finished, Frame, OpaqueDelta, Started, UsageReported
from trimtab.core.messages import Dialect, FinishReason, Opaque, Request, Response
from trimtab.core.units import Usage
from trimtab.wire.body import ABSENT, Count, figures, given, read_answer, with_model
from trimtab.wire.codec import StreamDecoder, StreamEncoder, Untranslatable, UpstreamError, UpstreamErrorEvent, WireError
from trimtab.wire.faults import read_error
from trimtab.wire.openai_chat.client import encode_error
from trimtab.wire.sse import ServerSentEvent

ANY_MODEL = "auto"
"""What a request asks for that leaves the model to the server."""


def purpose_field(request: Request) -> str:
    """What the client calls that which its vectors are for."""
    return "taskType" if request.dialect is Dialect.GEMINI_EMBED else "input_type"


class _NoStream:
    def feed(self, event: ServerSentEvent) -> NoReturn:
        raise WireError("a stream where none was asked for")


class WholeOnly:
    """A codec without streams."""

    def stream_decoder(self) -> StreamDecoder:
        return _NoStream()

    def stream_encoder(self, request: Request, decision_id: str) -> StreamEncoder:
        raise TypeError(f"{request.operation} has no stream, and no request of it asks for one")

    def decode_error(self, body: bytes) -> UpstreamError:
        return read_error(body)


class _Counts(Struct):
    """What image models and transcribing models report. A duration in seconds, which some report instead, is no count of tokens."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None


class _Answer(Struct):
    id: str | None = None
    model: str | None = None
    usage: Raw = ABSENT
    error: Raw = ABSENT


_ANSWER = Decoder(_Answer)
_COUNTS = Decoder(_Counts)


def _usage(raw: Raw) -> Usage | None:
    wire = figures(_COUNTS, raw)
    if wire is None or (wire.input_tokens is None and wire.output_tokens is None):
        return None
    return Usage(input=wire.input_tokens, output=wire.output_tokens)


class PassThrough(WholeOnly):
    """An operation that is spoken in one dialect only: bytes in, bytes out, and decoded is only what routing and accounting need.

    ``kind`` names the answer as an opaque part.
    """

    dialect: Dialect
    kind: str

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        if not request.native:
            raise Untranslatable(f"{self.dialect} only passes on what a client wrote")
        return self.replaced(request, model)

    def replaced(self, request: Request, model: str) -> bytes:
        """The client's body with the model's name replaced."""
        return msgspec.json.encode(with_model(request.native, model))

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        """The client's own body; what came in another dialect has no like in this one."""
        if request.dialect is not self.dialect:
            raise Untranslatable(f"{request.dialect} cannot be said in {self.dialect}")
        return self.forward_request(request, model, want_usage=False), ()

    def decode_response(self, body: bytes) -> Frame:
        answer = read_answer(_ANSWER, body)
        if given(answer.error):
            raise UpstreamErrorEvent(read_error(body))
        started = Started(answer.id or "", answer.model or "")
        events: list[Event] = [started, OpaqueDelta(self.kind, Raw(body)), Finished(FinishReason.STOP)]
        usage = _usage(answer.usage)
        if usage is not None:
            events.append(UsageReported(usage))
        return Frame((*events, Ended()), body)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        return bytes(answer_of(response).raw)

    def encode_error(self, error: TrimtabError) -> bytes:
        return encode_error(error)


def answer_of(response: Response) -> Opaque:
    """The one part of an answer that passed through."""
    return next(part for choice in response.choices for part in choice.parts if isinstance(part, Opaque))
