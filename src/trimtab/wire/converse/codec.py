"""The codec of Amazon Bedrock's Converse and ConverseStream: what its two sides do, under one name.

The model and the wish for a stream stand in the path (``/model/{model}/converse``, ``.../converse-stream``), never in the body. The stream
is framed as ``wire.eventstream`` reads it.
"""

from __future__ import annotations

from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request
from trimtab.wire.codec import StreamDecoder, UpstreamError
from trimtab.wire.converse import translate, upstream
from trimtab.wire.faults import read_error


class Converse:
    """Stateless."""

    dialect = Dialect.CONVERSE

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """No client speaks this protocol, so there is nothing to forward. It always reports usage."""
        return self.encode_request(request, model)[0]

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        return translate.encode_request(request, model)

    def stream_decoder(self) -> StreamDecoder:
        return upstream.ConverseStreamDecoder()

    def decode_response(self, body: bytes) -> Frame:
        return upstream.decode_response(body)

    def decode_error(self, body: bytes) -> UpstreamError:
        """What kind of error it was mostly stands in the header ``x-amzn-errortype``, which is not ours to read."""
        return read_error(body)
