"""The table ``failures.toml``: how real providers say no, and how each must be read."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import msgspec
from msgspec import Struct, field

from trimtab.core.errors import FailureKind
from trimtab.core.messages import Dialect


class Failure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way in which a provider fails before its answer begins. ``name`` is ``provider.what``."""

    name: str
    dialect: Dialect
    status: int
    kind: FailureKind
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    source: str


class _Table(Struct, forbid_unknown_fields=True):
    failure: tuple[Failure, ...]


def _load() -> dict[str, Failure]:
    text = resources.files(__package__ or "trimtab.lab.upstream").joinpath("failures.toml").read_bytes()
    return {row.name: row for row in msgspec.toml.decode(text, type=_Table).failure}


FAILURES: Mapping[str, Failure] = _load()
"""Every recorded failure by name."""
