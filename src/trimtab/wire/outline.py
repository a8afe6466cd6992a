"""Which items of a Responses body, or contents of a Gemini body, make one message, and by which path the client knows that message.

Knows what tells items apart and nothing of what they hold. It stands outside the dialects, as every translation needs the paths.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.json import Decoder

from trimtab.core.messages import Role

_ROLES: dict[str, Role] = {"assistant": "assistant", "system": "system", "developer": "system"}


class Outline(Struct):
    """What tells one item from another. A message may leave its type out."""

    type: str | None = None
    role: str | None = None

    @property
    def kind(self) -> str:
        """``""`` for an item of which nothing says what it is."""
        return self.type or ("message" if self.role is not None else "")

    @property
    def speaker(self) -> Role:
        """Whose turn the item belongs to: a call is the assistant's, its output the tool's."""
        if self.kind == "message":
            return _ROLES.get(self.role or "", "user")
        return "tool" if self.kind.endswith(("_output", "_response")) else "assistant"


class _Body(Struct):
    input: str | list[Outline] | None = None
    instructions: str | None = None


_BODY = Decoder(_Body)


def turns(items: Sequence[Outline]) -> list[range]:
    """The items of each message. Thinking, text and calls are items of their own, one behind the other, and one turn of the assistant."""
    found: list[range] = []
    for number, item in enumerate(items):
        if found and item.speaker == "assistant" == items[number - 1].speaker:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found


def paths(native: bytes) -> list[str]:
    """``instructions`` or ``input.N`` for each message of a body that was decoded before."""
    body = _BODY.decode(native)
    lead = ["instructions"] if body.instructions else []
    if not isinstance(body.input, list):
        return [*lead, "input"]
    return [*lead, *(f"input.{items.start}" for items in turns(body.input))]


class _Content(Struct):
    role: str | None = None


class _Contents(Struct):
    contents: list[_Content] | _Content


_CONTENTS = Decoder(_Contents)


def content_turns(roles: Sequence[str | None]) -> list[range]:
    """The contents of each message. Google's clients keep every chunk of a streamed answer as a content of the model of its own."""
    found: list[range] = []
    for number, role in enumerate(roles):
        if found and role == "model" == roles[number - 1]:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found


def content_paths(native: bytes) -> list[str]:
    """``contents.N`` for each message of a Gemini body that was decoded before, without the system prompt's."""
    contents = _CONTENTS.decode(native).contents
    roles = [content.role for content in contents] if isinstance(contents, list) else [contents.role]
    return [f"contents.{turn.start}" for turn in content_turns(roles)]
