"""A TOML text with its name: decodes it into structs, and turns every fault into a :class:`ConfigError` that points at a line.

The line of a key is found by asking the TOML parser itself: the statement after the longest prefix of the text that parses and does not
have the key yet. Slow (a parse per line) and right for every way of writing TOML; it runs only when there is an error to report.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import inspect

from trimtab.core.errors import ConfigError

T = TypeVar("T")
KeyPath = tuple[str | int, ...]

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_AT = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<key>[^`]*)`")
_TOML_LINE = re.compile(r"\s*\(at line (?P<line>\d+), column \d+\)")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like ``name``, or the empty string when there is none at all."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return f"Did you mean {nearest(name, names)!r}? Known here: {', '.join(names)}." if names else "None are known here."


def dotted(path: KeyPath) -> str:
    """``("deployment", 0, "id")`` as people write it: ``deployment[0].id``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


class Source:
    """``name`` is what errors call the file; ``folder`` is where relative paths start."""

    def __init__(self, name: str, text: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._text = text

    @classmethod
    def read(cls, path: Path) -> Source:
        try:
            return cls(str(path), path.read_text(encoding="utf-8"), path.parent)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"Cannot read the file: {why}.", file=str(path), hint="Check the path and its permissions.") from None

    def error(self, message: str, path: KeyPath = (), *, hint: str = "") -> ConfigError:
        """An error about the key at ``path``, or about the nearest table around it that is written down."""
        return ConfigError(message, file=self.name, line=self.line_of(path), key=dotted(path), hint=hint)

    def decode(self, type_: type[T]) -> T:
        try:
            raw = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise self._syntax_error(str(error)) from None
        try:
            return msgspec.convert(raw, type_)
        except msgspec.ValidationError as error:
            # Not chained: the validator's own message may quote the value.
            raise self._shape_error(str(error), type_) from None

    def line_of(self, path: KeyPath) -> int | None:
        """The line, counted from 1, on which the statement that brings ``path`` begins; of the table around it if ``path`` is not there."""
        lines = self._text.splitlines(keepends=True)
        whole = tomllib.loads(self._text)
        while path and not _has(whole, path):
            path = path[:-1]
        if not path:
            return None
        before = 0
        for end in range(1, len(lines) + 1):
            try:
                prefix = tomllib.loads("".join(lines[:end]))
            except tomllib.TOMLDecodeError:
                continue  # inside a value of several lines
            if _has(prefix, path):
                return before + 1
            before = end
        return None

    def _syntax_error(self, message: str) -> ConfigError:
        found = _TOML_LINE.search(message)
        line = int(found["line"]) if found else max(1, self._text.rstrip().count("\n") + 1)
        what = _TOML_LINE.sub("", message).removesuffix(" (at end of document)")
        return ConfigError(
            f"Not valid TOML: {what}.", file=self.name, line=line, hint="Text stands in quotes; see https://toml.io."
        )

    def _shape_error(self, message: str, type_: type) -> ConfigError:
        at = _AT.search(message)
        path: KeyPath = ()
        if at:
            path = tuple(name or int(index) for name, index in _STEP.findall(at["path"]))
            message = message[: at.start()]
        if unknown := _UNKNOWN.fullmatch(message):
            key = unknown["key"]
            known = _fields(_type_at(type_, path))
            place = f"[{dotted(path)}]" if path else "the file"
            homes = sorted(set(_homes(inspect.type_info(type_), key)))
            hint = f"It is a key of {', '.join(homes)}." if homes else did_you_mean(key, known)
            return self.error(f"Unknown key {key!r} in {place}.", (*path, key), hint=hint)
        if missing := _MISSING.fullmatch(message):
            place = dotted((*path, missing["key"]))
            return self.error(f"The key {place!r} is missing.", path, hint=f"Add {missing['key']} = ...")
        if message.startswith("Invalid enum value"):
            allowed = ", ".join(_choices(_type_at(type_, path)))
            return self.error(f"{dotted(path)!r} is none of the values it can have.", path, hint=f"One of: {allowed}.")
        return self.error(f"{dotted(path)!r}: {message}.", path, hint="`trimtab config check` lists what each key takes.")


def _has(tree: object, path: KeyPath) -> bool:
    for step in path:
        match tree:
            case dict() if step in tree:
                tree = tree[step]
            case list() if isinstance(step, int) and step < len(tree):
                tree = tree[step]
            case _:
                return False
    return True


def _strip(found: inspect.Type) -> inspect.Type:
    """Without annotations, and of a choice between a type and nothing the type."""
    while True:
        if isinstance(found, inspect.Metadata):
            found = found.type
        elif isinstance(found, inspect.UnionType) and any(isinstance(one, inspect.NoneType) for one in found.types):
            rest = [one for one in found.types if not isinstance(one, inspect.NoneType)]
            if len(rest) != 1:
                return found
            found = rest[0]
        else:
            return found


def _type_at(type_: type, path: KeyPath) -> inspect.Type:
    found = _strip(inspect.type_info(type_))
    for step in path:
        if isinstance(found, inspect.StructType):
            found = next((field.type for field in found.fields if field.encode_name == step), found)
        elif isinstance(found, inspect.VarTupleType | inspect.FrozenSetType):
            found = found.item_type
        found = _strip(found)
    return found


def _fields(found: inspect.Type) -> list[str]:
    return [field.encode_name for field in found.fields] if isinstance(found, inspect.StructType) else []


def _homes(found: inspect.Type, key: str, table: str = "") -> Iterator[str]:
    """The tables that do have ``key``: a key written below the wrong header is a common slip in TOML."""
    found = _strip(found)
    if isinstance(found, inspect.VarTupleType):
        yield from _homes(found.item_type, key, table)
    elif isinstance(found, inspect.StructType):
        if key in _fields(found):
            yield f"[{table}]" if table else "the file, above all tables"
        for field in found.fields:
            yield from _homes(field.type, key, f"{table}.{field.encode_name}".lstrip("."))


def _choices(found: inspect.Type) -> list[str]:
    if isinstance(found, inspect.EnumType):
        return sorted(str(member.value) for member in found.cls)
    if isinstance(found, inspect.DictType):
        return _choices(found.key_type)
    if isinstance(found, inspect.LiteralType):
        return sorted(str(value) for value in found.values)
    return []
