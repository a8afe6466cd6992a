"""Requests as the codecs make them: typed, with the native body beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from trimtab.core.messages import Dialect, Message, Part, Request, Text


def request(
    *texts: str, parts: tuple[Part, ...] = (), more: Mapping[str, object] | None = None, native: bytes | None = None
) -> Request:
    """One user message per text; ``parts`` go into a last message; ``more`` are fields of the body that nobody knows."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text} for text in texts], **(more or {})}
    messages = tuple(Message("user", (Text(text),)) for text in texts) + ((Message("user", parts),) if parts else ())
    encoded = json.dumps(body).encode() if native is None else native
    return Request(dialect=Dialect.OPENAI_CHAT, model="auto", messages=messages, native=b"" if parts else encoded)
