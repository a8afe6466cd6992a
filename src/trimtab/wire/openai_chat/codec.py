"""The codec of OpenAI Chat Completions: what its four sides do, under one name."""

from __future__ import annotations

import msgspec

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request, Response
from trimtab.wire.body import with_model
from trimtab.wire.codec import StreamDecoder, StreamEncoder, UpstreamError
from trimtab.wire.faults import read_error
from trimtab.wire.openai_chat import client, request, translate, upstream


class OpenAIChat:
    """``max_tokens_field`` is what this upstream calls its limit, ``max_tokens`` or ``max_completion_tokens``; a body that is forwarded
    keeps the name that the client wrote.
    """

    dialect = Dialect.OPENAI_CHAT

    def __init__(self, max_tokens_field: str = "max_tokens") -> None:
        self._max_tokens_field = max_tokens_field

    def decode_request(self, body: bytes) -> Request:
        return request.decode_request(body)

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        if not request.native:
            asked = msgspec.structs.replace(request, include_usage=request.include_usage or want_usage)
            return self.encode_request(asked, model)[0]
        fields = with_model(request.native, model)
        if request.stream and want_usage and not request.include_usage:
            fields["stream_options"] = translate.forwarded_stream_options(fields.get("stream_options"))
        return msgspec.json.encode(fields)

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        return translate.encode_request(request, model, self._max_tokens_field)

    def stream_decoder(self) -> StreamDecoder:
        return upstream.ChatStreamDecoder()

    def decode_response(self, body: bytes) -> Frame:
        return upstream.decode_response(body)

    def stream_encoder(self, request: Request, decision_id: str) -> StreamEncoder:
        return client.ChatStreamEncoder(request, decision_id)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        return client.encode_response(response, decision_id)

    def encode_error(self, error: TrimtabError) -> bytes:
        return client.encode_error(error)

    def decode_error(self, body: bytes) -> UpstreamError:
        return read_error(body)
