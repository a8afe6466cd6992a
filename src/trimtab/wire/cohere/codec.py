"""The codec of Cohere v2 chat: what its four sides do, under one name."""

from __future__ import annotations

import msgspec

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request, Response
from trimtab.wire.body import with_model
from trimtab.wire.codec import StreamDecoder, StreamEncoder, UpstreamError
from trimtab.wire.cohere import client, request, translate, upstream
from trimtab.wire.faults import read_error


class Cohere:
    """Stateless. ``/v2/chat``, whole and streamed."""

    dialect = Dialect.COHERE

    def decode_request(self, body: bytes) -> Request:
        return request.decode_request(body)

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """``want_usage`` changes nothing: this protocol always reports usage."""
        if not request.native:
            return self.encode_request(request, model)[0]
        return msgspec.json.encode(with_model(request.native, model))

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        return translate.encode_request(request, model)

    def stream_decoder(self) -> StreamDecoder:
        return upstream.ChatStreamDecoder()

    def decode_response(self, body: bytes) -> Frame:
        return upstream.decode_response(body)

    def stream_encoder(self, request: Request, decision_id: str) -> StreamEncoder:
        return client.ChatStreamEncoder(decision_id)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        return client.encode_response(response, decision_id)

    def encode_error(self, error: TrimtabError) -> bytes:
        return client.encode_error(error)

    def decode_error(self, body: bytes) -> UpstreamError:
        return read_error(body)
