"""From the pieces of an answer to timed bytes, and everything that can go wrong on that way.

A :class:`Fault` rewrites the list of steps, either while they are still events or once they are bytes. Faults combine: they are applied in
the order in which they are given. Positions count *content* pieces, so the same fault means the same in every dialect; a JSON body, which
has none, is broken in its middle instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Literal

from msgspec import Struct

from trimtab.core.messages import Dialect
from trimtab.lab.upstream import anthropic, openai, responses
from trimtab.lab.upstream.answers import Piece, Role
from trimtab.lab.upstream.clouds import converse
from trimtab.lab.upstream.loopback import How
from trimtab.lab.upstream.operations import cohere, gemini


class Pause(Struct, frozen=True):
    seconds: float


class Silence(Struct, frozen=True):
    """Nothing more, until the client leaves; or only ``data`` again and again."""

    data: bytes = b""
    every: float = 3600.0


class Break(Struct, frozen=True):
    """The end before the end."""

    how: How


Step = Piece | bytes | Pause | Silence | Break
Steps = list[Step]


class Form(Struct, frozen=True, kw_only=True):
    """The liberties that the SSE grammar allows. ``mixed`` changes from line to line and never puts LF after CR."""

    newline: Literal["lf", "crlf", "cr", "mixed"] = "lf"
    space: bool = True
    bom: bool = False


_NEWLINES = {"lf": (b"\n",), "crlf": (b"\r\n",), "cr": (b"\r",), "mixed": (b"\n", b"\r", b"\r\n")}


def encode(steps: Steps, form: Form) -> Steps:
    """Pieces as bytes: SSE events in the given form, or parts of a JSON body as they are."""
    newlines, lines = _NEWLINES[form.newline], count()
    field = b": " if form.space else b":"

    def line(text: bytes) -> bytes:
        return text + newlines[next(lines) % len(newlines)]

    def event(piece: Piece) -> bytes:
        name = line(b"event" + field + piece.event.encode()) if piece.event else b""
        return name + line(b"data" + field + piece.data) + line(b"")

    encoded: Steps = []
    for step in steps:
        if isinstance(step, Piece):
            encoded.append(step.data if step.role == "body" else event(step))
        elif isinstance(step, Silence):
            encoded.append(Silence(line(step.data) + line(b"") if step.data else b"", step.every))
        else:
            encoded.append(step)
    if form.bom and any(isinstance(step, Piece) and step.role != "body" for step in steps):
        encoded.insert(0, b"\xef\xbb\xbf")
    return encoded


def after_content(steps: Steps, number: int) -> int:
    """The index right after content piece ``number`` (at most the last one); with 0 the index of the first."""
    content = [index for index, step in enumerate(steps) if isinstance(step, Piece) and step.role == "content"]
    if not content:
        return min(number, 1)
    return content[0] if number == 0 else content[min(number, len(content)) - 1] + 1


class Fault(Struct, frozen=True):
    """Overrides one of the two, or both."""

    def on_pieces(self, steps: Steps, dialect: Dialect) -> Steps:
        return steps

    def on_bytes(self, steps: Steps) -> Steps:
        return steps


class Cut(Fault, frozen=True, kw_only=True):
    """Break off after so many content pieces; ``inside`` sends half of the event that follows first.

    ``how``: ``end`` ends the HTTP body properly, so that nothing but the protocol's own missing end tells; ``close`` closes the
    connection within the body; ``reset`` resets it.
    """

    after: int
    how: How = "reset"
    inside: bool = False

    def on_pieces(self, steps: Steps, dialect: Dialect) -> Steps:
        at = after_content(steps, self.after)
        following = steps[at] if self.inside and at < len(steps) else None
        if isinstance(following, Piece):
            half = b"data: " * (following.role != "body") + following.data[: len(following.data) // 2]
            return [*steps[:at], half, Break(self.how)]
        return [*steps[:at], Break(self.how)]


class CutBytes(Fault, frozen=True, kw_only=True):
    """Break off after so many bytes of the body."""

    after: int
    how: How = "reset"

    def on_bytes(self, steps: Steps) -> Steps:
        left, kept = self.after, Steps()
        for step in steps:
            if isinstance(step, bytes):
                if len(step) >= left:
                    return [*kept, step[:left], Break(self.how)]
                left -= len(step)
            kept.append(step)
        return [*kept, Break(self.how)]


class ErrorEvent(Fault, frozen=True, kw_only=True):
    """Say, within a good answer, that it failed after all. ``data`` is the error's JSON; by default the dialect's own overload error.

    Where the client did not ask for a stream it is the whole body, with status 200, as aggregators do.
    """

    after: int = 0
    data: bytes = b""

    def on_pieces(self, steps: Steps, dialect: Dialect) -> Steps:
        data = self.data or _OVERLOADED.get(dialect, _OVERLOADED[Dialect.OPENAI_CHAT])
        if any(isinstance(step, Piece) and step.role == "body" for step in steps):
            return [Piece("body", data)]
        name = _ERROR_EVENTS.get(dialect, "")
        return [*steps[: after_content(steps, self.after)], Piece("aside", data, event=name), Break("end")]


class Stall(Fault, frozen=True, kw_only=True):
    """Fall silent after so many content pieces; ``keep_alive`` seconds apart only comments come."""

    after: int = 0
    keep_alive: float | None = None

    def on_pieces(self, steps: Steps, dialect: Dialect) -> Steps:
        silence = Silence() if self.keep_alive is None else Silence(b": OPENROUTER PROCESSING", self.keep_alive)
        return [*steps[: after_content(steps, self.after)], silence]


class Drop(Fault, frozen=True):
    """Leave out the pieces of these roles: ``end`` is ``[DONE]`` or ``message_stop``, ``finish`` carries the finish reason.

    In OpenAI Responses ``response.completed`` is all of it in one, and an ``end``.
    """

    roles: tuple[Role, ...]

    def on_pieces(self, steps: Steps, dialect: Dialect) -> Steps:
        return [step for step in steps if not (isinstance(step, Piece) and step.role in self.roles)]


class Pace(Fault, frozen=True, kw_only=True):
    """Seconds before the first content piece and before each later one. A JSON body waits for both at once."""

    first: float = 0.0
    each: float = 0.0

    def on_pieces(self, steps: Steps, dialect: Dialect) -> Steps:
        paced: Steps = []
        waits = _first_then(self.first, self.each)
        for step in steps:
            if isinstance(step, Piece) and step.role in ("content", "body"):
                paced.append(Pause(next(waits)))
            paced.append(step)
        return paced


class Strange(Fault, frozen=True):
    """What a newer version of the protocol may add: unknown fields everywhere, unknown events, comments, ``id`` and ``retry``.

    None of them stands alone before a blank line, though the grammar allows it: openai 3.54.0, once it has seen an ``id``, takes every
    blank line for an event and fails for want of data.
    """

    def on_pieces(self, steps: Steps, dialect: Dialect) -> Steps:
        strange: Steps = []
        for step in steps:
            if isinstance(step, Piece) and step.role != "body":
                if step.event:
                    strange.append(Piece("aside", b'{"type":"lab_news","delta":{"text":"not an answer"}}', event="lab_news"))
                strange.append(b": a comment\nid: 7\nretry: 1000\n")
            if isinstance(step, Piece) and step.data.startswith(b"{"):
                step = Piece(step.role, b'{"x_lab":{"text":["?"]},' + step.data[1:], step.event)
            strange.append(step)
        return strange


class Split(Fault, frozen=True):
    """Packets of so many bytes."""

    size: int = 1

    def on_bytes(self, steps: Steps) -> Steps:
        return _split(steps, lambda data: [data[at : at + self.size] for at in range(0, len(data), self.size)])


class SplitCharacters(Fault, frozen=True):
    """A packet border inside every character of more than one byte."""

    def on_bytes(self, steps: Steps) -> Steps:
        # Every continuation byte begins a packet: a character of three bytes lies in three packets.
        return _split(steps, lambda data: re.findall(rb"[\x80-\xbf]?[^\x80-\xbf]*", data))


def _split(steps: Steps, cut: Callable[[bytes], list[bytes]]) -> Steps:
    parts: Steps = []
    for step in steps:
        parts += [part for part in cut(step) if part] if isinstance(step, bytes) else [step]
    return parts


def _first_then(first: float, each: float) -> Iterator[float]:
    yield first
    while True:
        yield each


_OVERLOADED = {
    Dialect.OPENAI_CHAT: openai.error("The server is currently overloaded.", type="server_error", code="server_error"),
    Dialect.OPENAI_RESPONSES: responses.error("The server is currently overloaded.", code="server_error"),
    Dialect.ANTHROPIC: anthropic.error("Overloaded", type="overloaded_error"),
    Dialect.COHERE: cohere.failed("internal server error"),
    Dialect.GEMINI: gemini.error("The model is overloaded. Please try again later.", code=503, status="UNAVAILABLE"),
    Dialect.CONVERSE: converse.error("The system encountered an unexpected error during processing. Try your request again."),
}

_ERROR_EVENTS = {
    Dialect.ANTHROPIC: "error",
    Dialect.OPENAI_RESPONSES: "error",
    Dialect.CONVERSE: "internalServerException",
    Dialect.COHERE: "message-end",
}
