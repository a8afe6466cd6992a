"""Pieces as frames of an AWS event stream, plain or as Bedrock wraps Anthropic's events. The faults stay those of ``delivery``.

Bytes that a fault puts between two events are lines of server-sent events, for which a frame has no place: they are left out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec

from trimtab.lab.upstream.answers import Piece
from trimtab.lab.upstream.delivery import Form, Silence, Steps
from trimtab.wire.eventstream import encode_event_frame

CONTENT_TYPE = "application/vnd.amazon.eventstream"


def plain(steps: Steps, form: Form) -> Steps:
    """Each event a frame; one whose name ends in ``Exception`` is an exception."""
    return _encode(steps, lambda piece: (piece.data, piece.event))


def chunked(steps: Steps, form: Form) -> Steps:
    """Each event wrapped into a ``chunk``."""
    return _encode(steps, _wrapped)


def _wrapped(piece: Piece) -> tuple[bytes, str]:
    return msgspec.json.encode({"bytes": base64.b64encode(piece.data).decode(), "p": "abcdefghijk"}), "chunk"


def _encode(steps: Steps, told: Callable[[Piece], tuple[bytes, str]]) -> Steps:
    encoded: Steps = []
    for step in steps:
        if isinstance(step, Piece):
            encoded.append(step.data if step.role == "body" else _frame(*told(step)))
        elif isinstance(step, Silence):
            encoded.append(Silence(every=step.every))
        elif not isinstance(step, bytes):
            encoded.append(step)
    return encoded


def _frame(payload: bytes, name: str) -> bytes:
    return encode_event_frame(payload, name, "exception" if name.endswith("Exception") else "event")
