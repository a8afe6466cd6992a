"""The codec of OpenAI Chat Completions: what its four sides do, under one name."""

from __future__ import annotations

import msgspec

from trimtab.core.messages import Dialect, Request
from trimtab.wire.body import with_model
from trimtab.wire.faults import read_error
from trimtab.wire.openai_chat import client, request, translate, upstream


class OpenAIChat:
    """``max_tokens_field`` is what this upstream calls its limit, ``max_tokens`` or ``max_completion_tokens``; a body that is forwarded
    keeps the name that the client wrote.
    """

    dialect = Dialect.OPENAI_CHAT
    decode_request = staticmethod(request.decode_request)
    stream_decoder = staticmethod(upstream.ChatStreamDecoder)
    decode_response = staticmethod(upstream.decode_response)
    decode_error = staticmethod(read_error)
    stream_encoder = staticmethod(client.ChatStreamEncoder)
    encode_response = staticmethod(client.encode_response)
    encode_error = staticmethod(client.encode_error)

    def __init__(self, max_tokens_field: str = "max_tokens") -> None:
        self._max_tokens_field = max_tokens_field

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
