"""A walk over a client's body, for what no decoder looks at."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trimtab.core.messages import Dialect, Request
from trimtab.wire.body import Losses, plain_name
from trimtab.wire.gemini.shapes import camel_body
from trimtab.wire.unread.known import ANY, IDLE, SHAPES, Shape

_SILENT: tuple[object, ...] = (None, "", [], {})
_TYPE = "type"
_SPELLED = frozenset({Dialect.GEMINI, Dialect.GEMINI_EMBED})


def unread(request: Request) -> tuple[str, ...]:
    """The dotted names of what stands further in and is not read, without what ``extras`` names already; at most 32 and a count."""
    shape = SHAPES.get(request.dialect)
    if shape is None or not request.native:
        return ()
    spelled = camel_body(request.native) if request.dialect in _SPELLED else request.native
    try:
        body = msgspec.json.decode(spelled)
    except RecursionError:
        return ("(what is nested too deeply to be looked at)",)
    found: list[str] = []
    for name, value in body.items():
        _walk(value, shape.fields.get(name, {}), name, found)
    idle = IDLE.get(request.dialect, frozenset())
    return Losses(name for name in found if name.rpartition(".")[2] not in idle and not _is_told(name, request.extras)).names()


def _is_told(name: str, extras: tuple[str, ...]) -> bool:
    return any(name == extra or name.startswith(f"{extra}.") for extra in extras)


def _walk(value: object, inside: Mapping[str, Shape], at: str, found: list[str]) -> None:
    """A member of a kind that is none of ``inside`` is left or lost as a whole, which its translation says."""
    if isinstance(value, list):
        for number, member in enumerate(value):
            if isinstance(member, dict | list):
                _walk(member, inside, f"{at}.{number}", found)
        return
    if not isinstance(value, dict):
        return
    shape = _chosen(value.get(_TYPE), inside)
    if shape is None:
        return
    for name, member in value.items():
        further = shape.fields.get(name)
        if further and isinstance(member, dict | list):
            _walk(member, further, f"{at}.{name}", found)
        elif further is None and not shape.is_open and member not in _SILENT:
            found.append(f"{at}.{plain_name(name)}")


def _chosen(kind: object, inside: Mapping[str, Shape]) -> Shape | None:
    if isinstance(kind, str) and kind in inside:
        return inside[kind]
    return inside.get(ANY) if kind is None or inside.keys() == {ANY} else None
