"""Roles, and the scopes and limits that a place or a key may carry. ``None`` is no restriction; an empty set admits nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, structs

from trimtab.core.catalog import Tier


class Permission(StrEnum):
    """What a role allows on the admin side. Reading one's own usage needs none."""

    MANAGE_PLACES = "manage_places"
    MANAGE_PEOPLE = "manage_people"
    MANAGE_GRANTS = "manage_grants"
    MANAGE_BUDGETS = "manage_budgets"
    MANAGE_KEYS = "manage_keys"
    MANAGE_OWN_KEYS = "manage_own_keys"
    READ_USAGE = "read_usage"
    READ_RECORDS = "read_records"
    READ_AUDIT = "read_audit"
    OPERATE = "operate"


class Role(StrEnum):
    ADMIN = "admin"
    OPERATOR = "operator"
    ANALYST = "analyst"
    MEMBER = "member"


PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Permission),
        Role.OPERATOR: frozenset(
            {
                Permission.MANAGE_KEYS,
                Permission.MANAGE_OWN_KEYS,
                Permission.READ_USAGE,
                Permission.READ_RECORDS,
                Permission.OPERATE,
            }
        ),
        Role.ANALYST: frozenset({Permission.READ_USAGE, Permission.READ_RECORDS, Permission.READ_AUDIT}),
        Role.MEMBER: frozenset({Permission.MANAGE_OWN_KEYS}),
    }
)


def _within(inner: frozenset[str] | None, outer: frozenset[str] | None) -> bool:
    return outer is None or (inner is not None and inner <= outer)


def _meet(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b


def _least(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


class Scope(Struct, frozen=True, omit_defaults=True):
    """Which deployments a request may reach, by id or card, tier and zone, and whether its sensitivity may be lowered by label."""

    models: frozenset[str] | None = None
    tiers: frozenset[Tier] | None = None
    zones: frozenset[str] | None = None
    may_lower: bool = False

    def covers(self, other: Scope) -> bool:
        """Is everything that ``other`` allows allowed here?"""
        return (
            _within(other.models, self.models)
            and _within(other.tiers, self.tiers)
            and _within(other.zones, self.zones)
            and self.may_lower >= other.may_lower
        )

    def meet(self, other: Scope) -> Scope:
        """What both allow."""
        tiers = _meet(self.tiers, other.tiers)
        return Scope(
            models=_meet(self.models, other.models),
            tiers=None if tiers is None else frozenset(Tier(tier) for tier in tiers),
            zones=_meet(self.zones, other.zones),
            may_lower=self.may_lower and other.may_lower,
        )


ANY_SCOPE = Scope(may_lower=True)
"""The widest scope. A key is made with less than this unless somebody who may lower says otherwise."""


class Limits(Struct, frozen=True, omit_defaults=True):
    """Rates over all requests of a key or a place, and how many of them may be under way at once."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    @property
    def figures(self) -> Mapping[str, int | None]:
        """Each by its name."""
        return structs.asdict(self)

    def covers(self, other: Limits) -> bool:
        return all(_least(ours, theirs) == theirs for ours, theirs in self._beside(other))

    def meet(self, other: Limits) -> Limits:
        """The tighter of both, figure by figure."""
        return Limits(*(_least(ours, theirs) for ours, theirs in self._beside(other)))

    def _beside(self, other: Limits) -> Iterator[tuple[int | None, int | None]]:
        return zip(structs.astuple(self), structs.astuple(other), strict=True)


NO_LIMITS = Limits()
