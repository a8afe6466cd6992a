"""The codec of Anthropic Messages: what its four sides do, under one name."""

from __future__ import annotations

import msgspec

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request, Response
from trimtab.wire.anthropic import client, request, translate, upstream
from trimtab.wire.body import with_model
from trimtab.wire.codec import StreamDecoder, StreamEncoder, UpstreamError
from trimtab.wire.faults import read_error


class AnthropicMessages:
    """Stateless. Besides the codec it reads and answers ``count_tokens``."""

    dialect = Dialect.ANTHROPIC

    def decode_request(self, body: bytes) -> Request:
        return request.decode_request(body)

    def decode_count_request(self, body: bytes) -> Request:
        """The body of ``/v1/messages/count_tokens``: a request without ``max_tokens``. Raises :class:`MalformedRequest`."""
        return request.decode_request(body, to_count=True)

    def encode_count(self, tokens: int) -> bytes:
        return msgspec.json.encode({"input_tokens": tokens})

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """``want_usage`` changes nothing: this protocol always reports usage."""
        if not request.native:
            return self.encode_request(request, model)[0]
        return msgspec.json.encode(with_model(request.native, model))

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        return translate.encode_request(request, model)

    def stream_decoder(self) -> StreamDecoder:
        return upstream.MessagesStreamDecoder()

    def decode_response(self, body: bytes) -> Frame:
        return upstream.decode_response(body)

    def stream_encoder(self, request: Request, decision_id: str) -> StreamEncoder:
        return client.MessagesStreamEncoder(request, decision_id)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        return client.encode_response(response, decision_id)

    def encode_error(self, error: TrimtabError) -> bytes:
        return client.encode_error(error)

    def decode_error(self, body: bytes) -> UpstreamError:
        return read_error(body)
