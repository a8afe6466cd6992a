"""The codec of Amazon Bedrock's Converse and ConverseStream: what its two sides do, under one name.

The model and the wish for a stream stand in the path (``/model/{model}/converse``, ``.../converse-stream``), never in the body. The stream
is framed as ``wire.eventstream`` reads it.
"""

from __future__ import annotations

from trimtab.core.messages import Dialect, Request
from trimtab.wire.converse import translate, upstream
from trimtab.wire.faults import read_error


class Converse:
    """Stateless. What kind of error it was mostly stands in the header ``x-amzn-errortype``, which is not a codec's to read."""

    dialect = Dialect.CONVERSE
    encode_request = staticmethod(translate.encode_request)
    stream_decoder = staticmethod(upstream.ConverseStreamDecoder)
    decode_response = staticmethod(upstream.decode_response)
    decode_error = staticmethod(read_error)

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """No client speaks this protocol, so there is nothing to forward. It always reports usage."""
        return self.encode_request(request, model)[0]
