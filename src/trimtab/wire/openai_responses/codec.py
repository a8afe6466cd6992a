"""The codec of OpenAI Responses: what its four sides do, under one name."""

from __future__ import annotations

import msgspec

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request, Response
from trimtab.wire.body import as_raw, with_model
from trimtab.wire.codec import StreamDecoder, StreamEncoder, UpstreamError
from trimtab.wire.faults import read_error
from trimtab.wire.openai_responses import client, request, translate, upstream


class OpenAIResponses:
    """Stateless: it refuses ``previous_response_id``, and no provider is ever asked to store."""

    dialect = Dialect.OPENAI_RESPONSES

    def decode_request(self, body: bytes) -> Request:
        return request.decode_request(body)

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """``want_usage`` changes nothing: this protocol always reports usage. Besides the model, ``store`` is replaced."""
        if not request.native:
            return self.encode_request(request, model)[0]
        return msgspec.json.encode(with_model(request.native, model) | {"store": as_raw(False)})

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        return translate.encode_request(request, model)

    def stream_decoder(self) -> StreamDecoder:
        return upstream.ResponsesStreamDecoder()

    def decode_response(self, body: bytes) -> Frame:
        return upstream.decode_response(body)

    def stream_encoder(self, request: Request, decision_id: str) -> StreamEncoder:
        return client.ResponsesStreamEncoder(request, decision_id)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        return client.encode_response(response, decision_id)

    def encode_error(self, error: TrimtabError) -> bytes:
        return client.encode_error(error)

    def decode_error(self, body: bytes) -> UpstreamError:
        return read_error(body)
