"""The codec of Google's Gemini API: what its four sides do, under one name."""

from __future__ import annotations

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request, Response
from trimtab.wire.codec import StreamDecoder, StreamEncoder, UpstreamError
from trimtab.wire.faults import read_error
from trimtab.wire.gemini import client, request, translate, upstream


class Gemini:
    """``generateContent`` and ``streamGenerateContent?alt=sse``. The path names the model, so no body does."""

    dialect = Dialect.GEMINI

    def decode_request(self, body: bytes) -> Request:
        return request.decode_request(body)

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """The client's own body, byte for byte. ``want_usage`` changes nothing: this protocol always reports usage."""
        return request.native or self.encode_request(request, model)[0]

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        return translate.encode_request(request, model)

    def stream_decoder(self) -> StreamDecoder:
        return upstream.GenerateStreamDecoder()

    def decode_response(self, body: bytes) -> Frame:
        return upstream.decode_response(body)

    def stream_encoder(self, request: Request, decision_id: str) -> StreamEncoder:
        return client.GenerateStreamEncoder(request, decision_id)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        return client.encode_response(response, decision_id)

    def encode_error(self, error: TrimtabError) -> bytes:
        return client.encode_error(error)

    def decode_error(self, body: bytes) -> UpstreamError:
        return read_error(body)
