"""Amazon Bedrock's doors: ``/model/MODEL/converse``, ``/converse-stream``, ``/invoke`` and ``/invoke-with-response-stream``, the last two
with Anthropic's models behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct

from trimtab.core.messages import Dialect
from trimtab.lab.upstream.anthropic import MessagesRequest
from trimtab.lab.upstream.clouds import converse, frames
from trimtab.lab.upstream.clouds.signature import fault_in_signature
from trimtab.lab.upstream.delivery import Form, Steps
from trimtab.lab.upstream.loopback import Received

_DOOR = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke|invoke-with-response-stream)")
_VERSIONS = ("bedrock-2023-05-31", "2026-10-21")
"""The documented one, and what Anthropic's own client has sent instead since its 2.12."""


class Refused(Exception):
    """The request is refused with this status and this kind of error."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    @property
    def body(self) -> bytes:
        return converse.error(str(self))

    @property
    def headers(self) -> Mapping[str, str]:
        return {"x-amzn-errortype": f"{self.kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}


class Call(Struct, frozen=True):
    """A request, and how its stream is framed."""

    request: converse.ConverseRequest | MessagesRequest
    dialect: Dialect
    encode: Callable[[Steps, Form], Steps]


def call_of(received: Received, secret: str | None) -> Call | None:
    """What is asked of Bedrock; ``None`` for the path of another door. With ``secret`` the signature must fit. Raises :class:`Refused`."""
    door = _DOOR.fullmatch(received.path.partition("?")[0])
    if door is None:
        return None
    if secret is not None and (fault := fault_in_signature(received, secret)):
        raise Refused(403, "InvalidSignatureException", f"The request signature we calculated does not match: {fault}.")
    model, action = unquote(door[1]), door[2]
    is_stream = action.endswith("-stream")
    try:
        if action.startswith("converse"):
            asked = msgspec.json.decode(received.body, type=converse.ConverseRequest)
            asked.model, asked.stream = model, is_stream
            return Call(asked, Dialect.CONVERSE, frames.plain)
        fields = msgspec.json.decode(received.body, type=dict[str, Raw])
        _check_fields(fields)
        whole = msgspec.json.encode({**fields, "model": model, "stream": is_stream})
        request = msgspec.json.decode(whole, type=MessagesRequest)
    except msgspec.DecodeError as error:
        raise Refused(400, "ValidationException", str(error)) from None
    return Call(request, Dialect.ANTHROPIC, frames.chunked)


def _check_fields(fields: Mapping[str, Raw]) -> None:
    version = msgspec.json.decode(fields.get("anthropic_version", b"null"))
    if version not in _VERSIONS:
        raise Refused(400, "ValidationException", f"anthropic_version: must be {_VERSIONS[0]}")
    for name in ("model", "stream"):
        if name in fields:
            raise Refused(400, "ValidationException", f"{name}: Extra inputs are not permitted")
