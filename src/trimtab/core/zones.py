"""Who may see what: sensitivity classes, trust zones, the one table that maps the first to the second, and secrets, which nobody sees.

The table answers one question, and every doubt is a no: an unknown class, an unknown zone or an empty label set admits nobody.
This file does not know how a class is found (``signals/``) nor how a byte leaves (``net/``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct


class Sensitivity(StrEnum):
    """What a request carries. A request can carry several; the strictest decides."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PERSONAL = "personal"
    SPECIAL_CATEGORY = "special_category"
    FINANCIAL = "financial"
    HEALTH = "health"
    SECRET = "secret"
    PROPRIETARY = "proprietary"
    UNREADABLE = "unreadable"


ONLY_PUBLIC = frozenset({Sensitivity.PUBLIC})
"""What a message carries that holds nothing of anybody's request: a health check, a sign-in, a question for a token."""

DEFAULT_ZONES = ("local", "on_prem", "zdr_processor", "eu_processor", "any")
"""Most trusted first: this process's machine, one's own network, a processor with zero data retention, one bound by EU law, anyone."""


@lru_cache(maxsize=64)
def _ranks(zones: tuple[str, ...]) -> Mapping[str, int]:
    return {name: rank for rank, name in enumerate(zones)}


class Boundary(Struct, frozen=True):
    """The policy's table: for each class the outermost zone that may see it.

    ``zones`` runs from most to least trusted. A zone is admitted when it is at least as trusted as the outermost one of every class
    that the request carries.
    """

    zones: tuple[str, ...]
    outermost: Mapping[Sensitivity, str]

    def admits(self, carried: Iterable[Sensitivity], zone: str) -> bool:
        ranks = _ranks(self.zones)
        here = ranks.get(zone)
        classes = frozenset(carried)
        if here is None or not classes:
            return False
        for found in classes:
            outermost = self.outermost.get(found)
            limit = None if outermost is None else ranks.get(outermost)
            if limit is None or here > limit:
                return False
        return True

    def admitted(self, carried: Iterable[Sensitivity]) -> tuple[str, ...]:
        """The zones that may see such a request, most trusted first."""
        classes = frozenset(carried)
        return tuple(zone for zone in self.zones if self.admits(classes, zone))


class Secret:
    """A credential that shows itself to nobody but the one who asks for it by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled")
