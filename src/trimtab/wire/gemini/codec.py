"""The codec of Google's Gemini API: what its four sides do, under one name."""

from __future__ import annotations

from trimtab.core.messages import Dialect, Request
from trimtab.wire.body import without
from trimtab.wire.faults import read_error
from trimtab.wire.gemini import client, request, translate, upstream
from trimtab.wire.gemini.shapes import camel_body


class Gemini:
    """``generateContent`` and ``streamGenerateContent?alt=sse``. The path names the model, so no body does."""

    dialect = Dialect.GEMINI
    decode_request = staticmethod(request.decode_request)
    encode_request = staticmethod(translate.encode_request)
    stream_decoder = staticmethod(upstream.GenerateStreamDecoder)
    decode_response = staticmethod(upstream.decode_response)
    decode_error = staticmethod(read_error)
    stream_encoder = staticmethod(client.GenerateStreamEncoder)
    encode_response = staticmethod(client.encode_response)
    encode_error = staticmethod(client.encode_error)

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """The client's own body, byte for byte but for what ``foreign`` names. ``want_usage`` changes nothing: usage is always reported."""
        if request.foreign:
            return without(camel_body(request.native), request.foreign)
        return request.native or self.encode_request(request, model)[0]
