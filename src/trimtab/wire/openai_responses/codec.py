"""The codec of OpenAI Responses: what its four sides do, under one name."""

from __future__ import annotations

import msgspec

from trimtab.core.messages import Dialect, Request
from trimtab.wire.body import as_raw, with_model, without
from trimtab.wire.faults import read_error
from trimtab.wire.openai_responses import client, request, translate, upstream


class OpenAIResponses:
    """Stateless: it refuses ``previous_response_id``, and no provider is ever asked to store."""

    dialect = Dialect.OPENAI_RESPONSES
    decode_request = staticmethod(request.decode_request)
    encode_request = staticmethod(translate.encode_request)
    stream_decoder = staticmethod(upstream.ResponsesStreamDecoder)
    decode_response = staticmethod(upstream.decode_response)
    decode_error = staticmethod(read_error)
    stream_encoder = staticmethod(client.ResponsesStreamEncoder)
    encode_response = staticmethod(client.encode_response)
    encode_error = staticmethod(client.encode_error)

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """``want_usage`` changes nothing: this protocol always reports usage. Besides the model, ``store`` is replaced."""
        if not request.native:
            return self.encode_request(request, model)[0]
        native = without(request.native, request.foreign) if request.foreign else request.native
        return msgspec.json.encode(with_model(native, model) | {"store": as_raw(False)})
