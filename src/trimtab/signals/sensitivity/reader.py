"""From a request to what it carries. The whole native body is read, so that no field that we do not know slips by."""

from __future__ import annotations

from itertools import chain

import msgspec

from trimtab.core.messages import Audio, Document, Image, Opaque, Part, Reasoning, Request, ToolResult
from trimtab.core.zones import Sensitivity
from trimtab.signals.sensitivity.detector import Found, scan
from trimtab.signals.sensitivity.strings import Hidden, TooMuch, strings_of

_FRAME = frozenset({"messages", "role", "user", "assistant", "system", "content", "type", "text"})
"""Words of every protocol. Left out, so that a question for a number and the number in the next message stand side by side."""


def read_request(request: Request) -> Found:
    """What ``request`` carries. Nothing found is an empty set of classes. May raise; the caller then counts it as unreadable."""
    problems = [name for message in request.messages for part in message.parts if (name := _unreadable(part))]
    try:
        texts = strings_of(request.native or msgspec.json.encode(request))
        texts += _unsealed(request, texts)
    except TooMuch:
        return _closed([*problems, "too long to read"])
    except Hidden:
        return _closed([*problems, "a key occurs twice"])
    sent = (value for _, value in request.headers)  # they go along with the body
    found = scan(chain((text for text in texts if text not in _FRAME), sent))
    if not problems:
        return found
    return Found(found.classes | {Sensitivity.UNREADABLE}, found.counts, (*found.problems, *sorted(set(problems))))


def _unsealed(request: Request, read: list[str]) -> list[str]:
    """What signs the request's thinking where the body has it sealed: an upstream gets it opened, and a client may seal what it likes."""
    thoughts = [part for message in request.messages for part in message.parts if isinstance(part, Reasoning)]
    if not thoughts:
        return []
    known = {None, *read}
    opened = [text for part in thoughts for text in (part.signature, part.redacted) if text not in known]
    return strings_of(msgspec.json.encode(opened))


def _closed(problems: list[str]) -> Found:
    return Found(frozenset({Sensitivity.UNREADABLE}), (), tuple(sorted(set(problems))))


def _unreadable(part: Part) -> str:
    """What kind of thing the part is, when it is one that we cannot read."""
    match part:
        case Image():
            return "image"
        case Audio():
            return "audio"
        case Document(text=None) | Document(data=str()) | Document(url=str()):
            return "document"
        case Opaque():
            return "unknown part"
        case ToolResult(parts=parts):
            return next((name for inner in parts if (name := _unreadable(inner))), "")
        case _:
            return ""
