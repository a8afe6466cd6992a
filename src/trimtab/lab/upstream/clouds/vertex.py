"""Anthropic's models behind Google's Vertex AI: ``/publishers/anthropic/models/MODEL:rawPredict`` and ``:streamRawPredict``.

Google's own models there are at the paths of its Gemini API, which ``operations`` knows.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from trimtab.lab.upstream.anthropic import MessagesRequest
from trimtab.lab.upstream.loopback import Received

_DOOR = re.compile(r"/publishers/anthropic/models/([^/:]+):(rawPredict|streamRawPredict)$")
_VERSION = "vertex-2023-10-16"


def claude_at(received: Received) -> MessagesRequest | None:
    """``None`` for the path of another door. Raises :class:`msgspec.DecodeError` for a body that Vertex would refuse."""
    door = _DOOR.search(received.path.partition("?")[0])
    if door is None:
        return None
    fields = msgspec.json.decode(received.body, type=dict[str, Raw])
    if msgspec.json.decode(fields.get("anthropic_version", b"null")) != _VERSION:
        raise msgspec.ValidationError(f"anthropic_version: must be {_VERSION}")
    if "model" in fields:
        raise msgspec.ValidationError("model: Extra inputs are not permitted")
    request = msgspec.json.decode(msgspec.json.encode({**fields, "model": unquote(door[1])}), type=MessagesRequest)
    if bool(request.stream) is not (door[2] == "streamRawPredict"):
        raise msgspec.ValidationError(f"stream: {door[2]} was called")
    return request
