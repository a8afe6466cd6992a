"""The codec of Cohere v2 chat: what its four sides do, under one name."""

from __future__ import annotations

import msgspec

from trimtab.core.messages import Dialect, Request
from trimtab.wire.body import with_model
from trimtab.wire.cohere import client, request, translate, upstream
from trimtab.wire.faults import read_error


class Cohere:
    """Stateless. ``/v2/chat``, whole and streamed."""

    dialect = Dialect.COHERE
    decode_request = staticmethod(request.decode_request)
    encode_request = staticmethod(translate.encode_request)
    stream_decoder = staticmethod(upstream.ChatStreamDecoder)
    decode_response = staticmethod(upstream.decode_response)
    decode_error = staticmethod(read_error)
    stream_encoder = staticmethod(client.ChatStreamEncoder)
    encode_response = staticmethod(client.encode_response)
    encode_error = staticmethod(client.encode_error)

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """``want_usage`` changes nothing: this protocol always reports usage."""
        if not request.native:
            return self.encode_request(request, model)[0]
        return msgspec.json.encode(with_model(request.native, model))
