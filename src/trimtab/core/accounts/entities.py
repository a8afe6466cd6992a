"""The things that have rights: places (organisation, team, project), people and service accounts, virtual keys, grants, budgets.

A place is a path of at most three names, ``acme/search/chatbot``; the empty path is the whole installation. What is held at a place holds
for everything below it. Who holds something is written ``user:ID``, ``service_account:ID`` or ``key:ID``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from trimtab.core.accounts.rights import ANY_SCOPE, NO_LIMITS, Limits, Role, Scope
from trimtab.core.units import NanoUSD

ROOT = ""
PATH = re.compile(r"[a-z0-9][a-z0-9-]{0,62}(?:/[a-z0-9][a-z0-9-]{0,62}){0,2}")


def ancestors(path: str) -> Iterator[str]:
    """``path`` itself and every place above it, the installation last."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ROOT


def parent_of(path: str) -> str:
    """The place right above. The installation has none and is its own."""
    return path.rpartition("/")[0]


def is_within(path: str, place: str) -> bool:
    """Is ``path`` the ``place`` itself or below it?"""
    return place == ROOT or path == place or path.startswith(f"{place}/")


class Place(Struct, frozen=True, kw_only=True, tag="place"):
    """An organisation, a team or a project, by the depth of its path. A closed place takes no requests, and neither does what is below."""

    path: str
    name: str = ""
    scope: Scope = ANY_SCOPE
    limits: Limits = NO_LIMITS
    created_ns: int = 0
    closed: bool = False


class User(Struct, frozen=True, kw_only=True, tag="user"):
    """A person. ``subject`` is ``issuer|sub`` of their OpenID Connect identity, once they have signed in."""

    id: str
    email: str = ""
    name: str = ""
    subject: str = ""
    created_ns: int = 0
    disabled: bool = False


class ServiceAccount(Struct, frozen=True, kw_only=True, tag="service_account"):
    """A program that acts for itself, at home in one place."""

    id: str
    place: str
    name: str = ""
    created_ns: int = 0
    disabled: bool = False


class Grant(Struct, frozen=True, kw_only=True, tag="grant"):
    """``holder`` has ``role`` at ``place`` and below."""

    id: str
    holder: str
    role: Role
    place: str
    created_ns: int = 0


class VirtualKey(Struct, frozen=True, kw_only=True, tag="key"):
    """A key as kept: its SHA-256 ``digest``, never itself. It asks for ``place``, within its own scope and that of every place above.

    Rotation makes a new key and gives the old one an ``expires_ns``; times are nanoseconds since the epoch. All keys of a line of
    rotations count as one against rates and budgets: rotating a key does not fill its purse again.
    """

    id: str
    digest: bytes
    place: str
    owner: str = ""
    name: str = ""
    scope: Scope = Scope()
    limits: Limits = NO_LIMITS
    created_ns: int = 0
    expires_ns: int | None = None
    revoked_ns: int | None = None
    first: str = ""

    @property
    def line(self) -> str:
        """The id of the first key in its line of rotations: its own where it is the first."""
        return self.first or self.id

    def opens(self, now_ns: int) -> bool:
        return self.revoked_ns is None and (self.expires_ns is None or now_ns < self.expires_ns)


class Period(StrEnum):
    """A calendar period in UTC."""

    DAY = "day"
    MONTH = "month"


class Budget(Struct, frozen=True, kw_only=True, tag="budget"):
    """What may be spent on everything under ``of``: ``place:PATH``, ``key:ID`` (the id of a key's line) or ``tag:NAME``.

    ``set_at`` is the topmost place from which whoever set it manages budgets: below that place nobody changes it. A hard budget refuses
    what would exceed it, a soft one only tells. ``alerts`` are shares of the limit at which somebody is told, once a period.
    """

    id: str
    of: str
    period: Period
    limit: NanoUSD
    hard: bool = True
    alerts: tuple[float, ...] = (0.8, 1.0)
    created_ns: int = 0
    set_at: str = ROOT


Entity = Place | User | ServiceAccount | Grant | VirtualKey | Budget


def key_of(entity: Entity) -> tuple[str, str]:
    """Kind and id: what an entity is known by."""
    match entity:
        case Place(path=path):
            return "place", path
        case User(id=id):
            return "user", id
        case ServiceAccount(id=id):
            return "service_account", id
        case Grant(id=id):
            return "grant", id
        case VirtualKey(id=id):
            return "key", id
        case Budget(id=id):
            return "budget", id


def holder_of(entity: User | ServiceAccount | VirtualKey) -> str:
    """How ``entity`` stands in a grant's ``holder`` and a key's ``owner``."""
    kind, id = key_of(entity)
    return f"{kind}:{id}"


class Change(Struct, frozen=True, kw_only=True, tag="change"):
    """One change of the accounts: a row of the event log like any other, in its writer's chain.

    ``basis`` is the revision of the directory on which the actor's right to it was checked: the store refuses the change when another
    came in between.
    """

    id: str
    at_ns: int
    actor: str
    action: Literal["put", "remove"]
    entity: Entity
    basis: int
