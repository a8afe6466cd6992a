"""What the import knows of LiteLLM, as rows of data (``litellm.toml``). Reads them once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Literal

import msgspec
from msgspec import Struct

from trimtab.config.importing.account import Severity
from trimtab.config.importing.litellm.document import Section


class Prefix(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Providers of LiteLLM and ours. What each field means stands in the data."""

    names: tuple[str, ...]
    provider: str
    keys: tuple[str, ...] = ()
    base: Literal["same", "v1", "root"] = "same"
    elsewhere: bool = False
    unlisted: bool = False


class Left(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    section: str
    keys: tuple[str, ...]
    severity: Severity
    what: str
    next: str


class Knowledge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prefix: tuple[Prefix, ...]
    bare: Mapping[str, str]
    modes: Mapping[str, str]
    guesses: Mapping[str, str]
    left: tuple[Left, ...]


@cache
def knowledge() -> Knowledge:
    text = resources.files("trimtab.config.importing.litellm").joinpath("litellm.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Knowledge)


@cache
def prefixes() -> Mapping[str, Prefix]:
    return {name: row for row in knowledge().prefix for name in row.names}


def first_match(table: Mapping[str, str], name: str) -> str | None:
    """The value of the first pattern that ``name`` fits, whatever the case."""
    return next((value for pattern, value in table.items() if fnmatchcase(name.lower(), pattern)), None)


def note_left(section: Section, name: str) -> None:
    """Note each key of ``section`` that a row knows. Keys that were spoken for already keep what was said of them."""
    for key in section:
        row = next(
            (row for row in knowledge().left if row.section == name and any(fnmatchcase(key, one) for one in row.keys)), None
        )
        if row is not None and not section.account.knows((*section.path, key)):
            section.note(key, row.severity, row.what, row.next)
