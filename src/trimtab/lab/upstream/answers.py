"""What a lab upstream says, in no protocol's dialect, and the pieces in which a protocol sends it.

Written by hand from the public API references and on purpose apart from ``wire/``: the official SDKs are the oracle of what the lab
emits, and what the lab emits is the oracle of ``wire/``.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

Finish = Literal["stop", "length", "tool_calls", "content_filter"]
Role = Literal["start", "content", "finish", "usage", "end", "body", "aside"]


class Call(Struct, frozen=True):
    """One tool call; ``arguments`` is JSON text."""

    name: str
    arguments: str


class Answer(Struct, frozen=True, kw_only=True):
    """``text`` is sent in the pieces given here, one event each. Token counts are what the upstream claims."""

    text: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    finish: Finish = "stop"
    input_tokens: int = 12
    output_tokens: int = 7


class Piece(Struct, frozen=True):
    """One event of a stream, or a part of a JSON body (``body``). ``content`` pieces are what the model said."""

    role: Role
    data: bytes
    event: str = ""


def words(text: str) -> tuple[str, ...]:
    """``text`` cut before each word; joined it is ``text`` again."""
    return tuple(re.split(r"(?<=\s)(?=\S)", text))


def answer(text: str) -> Answer:
    return Answer(text=words(text))


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def body(data: bytes) -> list[Piece]:
    """A whole JSON body in two pieces, so that a cut has somewhere to fall."""
    middle = len(data) // 2
    return [Piece("body", data[:middle]), Piece("body", data[middle:])]


HELLO = answer("Hello, wörld: the sky is 青い today 🙂 and so on.")
"""The answer where none is given. It has characters of two, three and four bytes, so that a split can fall inside one."""

TOOLS = Answer(
    calls=(Call("get_weather", '{"city": "Zürich", "unit": "celsius"}'), Call("get_time", '{"zone": "Europe/Zurich"}')),
    finish="tool_calls",
)
"""Two parallel tool calls."""
