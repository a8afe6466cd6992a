"""A tree of plain values as TOML text. The standard library reads TOML and does not write it; this writes what an import makes, no more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

Scalar = str | bool | int | float
Value = Scalar | Sequence[Scalar] | Mapping[str, Scalar] | Sequence[Mapping[str, Scalar]]
Table = Mapping[str, Value]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def tables(name: str, rows: Sequence[Table]) -> str:
    """``rows`` as ``[[name]]``, each with an empty line behind it."""
    return "".join(f"[[{name}]]\n{_lines(row)}\n" for row in rows)


def table(name: str, row: Table) -> str:
    """``row`` as ``[name]``; nothing where it is empty."""
    return f"[{name}]\n{_lines(row)}\n" if row else ""


def _lines(row: Table) -> str:
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in row.items())


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case int():
            return str(value)
        case float():
            return _number(value)
        case Mapping():
            return f"{{ {', '.join(f'{_key(name)} = {_value(item)}' for name, item in value.items())} }}"
        case _:
            return f"[{', '.join(_value(item) for item in value)}]"


def _text(text: str) -> str:
    """A basic string. TOML's escapes are JSON's, but for DEL, which TOML wants escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(number: float) -> str:
    text = repr(number)
    return text if any(mark in text for mark in ".e") else f"{text}.0"
