"""The codec of Anthropic Messages: what its four sides do, under one name."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from trimtab.core.messages import Dialect, Request
from trimtab.wire.anthropic import client, request, translate, upstream
from trimtab.wire.body import as_raw, with_model, without
from trimtab.wire.faults import read_error

Cloud = Literal["bedrock", "vertex"]

_VERSIONS: dict[Cloud, str] = {"bedrock": "bedrock-2023-05-31", "vertex": "vertex-2023-10-16"}


class AnthropicMessages:
    """Stateless. Besides the codec it reads and answers ``count_tokens``.

    ``cloud`` writes the body as Anthropic's models want it behind that cloud: there the model stands in the path and the protocol's
    version in the body. On Bedrock the wish for a stream is in the path too, and the betas of the client's header are in the body.
    """

    dialect = Dialect.ANTHROPIC
    decode_request = staticmethod(request.decode_request)
    stream_decoder = staticmethod(upstream.MessagesStreamDecoder)
    decode_response = staticmethod(upstream.decode_response)
    decode_error = staticmethod(read_error)
    stream_encoder = staticmethod(client.MessagesStreamEncoder)
    encode_response = staticmethod(client.encode_response)
    encode_error = staticmethod(client.encode_error)

    def __init__(self, cloud: Cloud | None = None) -> None:
        self._cloud = cloud

    def decode_count_request(self, body: bytes) -> Request:
        """The body of ``/v1/messages/count_tokens``: a request without ``max_tokens``. Raises :class:`MalformedRequest`."""
        return request.decode_request(body, to_count=True)

    def encode_count(self, tokens: int) -> bytes:
        return msgspec.json.encode({"input_tokens": tokens})

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """``want_usage`` changes nothing: this protocol always reports usage."""
        if not request.native:
            return self.encode_request(request, model)[0]
        native = without(request.native, request.foreign) if request.foreign else request.native
        fields = with_model(native, model)
        return msgspec.json.encode(fields if self._cloud is None else _behind(self._cloud, fields, request))

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        body, lost = translate.encode_request(request, model)
        if self._cloud is not None:
            body = msgspec.json.encode(_behind(self._cloud, with_model(body, model), request))
        return body, lost


def _behind(cloud: Cloud, fields: dict[str, Raw], request: Request) -> dict[str, Raw]:
    """The fields as ``cloud`` wants them. A version that the client wrote into its body stays."""
    del fields["model"]
    fields.setdefault("anthropic_version", as_raw(_VERSIONS[cloud]))
    if cloud == "bedrock":
        fields.pop("stream", None)
        betas = [beta.strip() for name, value in request.headers if name.lower() == "anthropic-beta" for beta in value.split(",")]
        if request.dialect is Dialect.ANTHROPIC and any(betas):
            fields.setdefault("anthropic_beta", as_raw([beta for beta in betas if beta]))
    return fields
