"""What the admin API takes and gives, as it stands on the wire: moments in RFC 3339, money in USD, keys without their digests.

The classes are the document's schemas too, and what their docstrings say stands in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Generic, Self, TypeVar

from msgspec import Meta, Struct, structs

from trimtab.core.accounts import Budget, Entity, Limits, Period, Role, Scope, User
from trimtab.core.catalog import Tier
from trimtab.core.errors import MalformedRequest
from trimtab.core.units import USD, NanoUSD
from trimtab.store import Spending

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2262, 1, 1, tzinfo=UTC)
"""Nanoseconds since the epoch fit into 63 bits until shortly after."""

Moment = Annotated[datetime, Meta(tz=True)]
Money = Annotated[float, Meta(ge=0, le=9_000_000_000)]
Rate = Annotated[int, Meta(ge=0, le=10**12)]
Name = Annotated[str, Meta(max_length=200)]
Words = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=500)]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Paging(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: Annotated[str | None, Meta(description="`next_after` of the page before.")] = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="The most rows that a page may have.")] = 100


class AtPlace(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    place: Annotated[str, Meta(description="Only what is at this place or below it.")] = ""


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """Rows in order of their ids. Send `next_after` as `after` to go on."""

    data: tuple[T, ...]
    has_more: bool
    next_after: str | None = None


def page(rows: Iterable[tuple[str, T]], asked: Paging) -> Page[T]:
    """The rows behind ``asked.after``, each with the id that it is sorted by."""
    beyond = sorted((row for row in rows if asked.after is None or row[0] > asked.after), key=lambda row: row[0])
    shown = beyond[: asked.limit]
    more = len(beyond) > len(shown)
    return Page(data=tuple(row for _, row in shown), has_more=more, next_after=shown[-1][0] if more else None)


class AccessScope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deployments can be reached. Null is no restriction, an empty list admits nothing.

    `models` holds ids of deployments or names of models. `may_lower`: may the sensitivity of a request be lowered by a label?
    """

    models: Words | None = None
    tiers: tuple[Tier, ...] | None = None
    zones: Words | None = None
    may_lower: bool = False

    @staticmethod
    def of(scope: Scope) -> AccessScope:
        return AccessScope(
            models=_sorted(scope.models),
            tiers=None if scope.tiers is None else tuple(sorted(scope.tiers)),
            zones=_sorted(scope.zones),
            may_lower=scope.may_lower,
        )

    def value(self) -> Scope:
        return Scope(
            models=None if self.models is None else frozenset(self.models),
            tiers=None if self.tiers is None else frozenset(self.tiers),
            zones=None if self.zones is None else frozenset(self.zones),
            may_lower=self.may_lower,
        )


class RateLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Null is no limit."""

    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    concurrency: Rate | None = None

    @staticmethod
    def of(limits: Limits) -> RateLimits:
        return RateLimits(**limits.figures)

    def value(self) -> Limits:
        return Limits(**structs.asdict(self))


class View(Struct, frozen=True, kw_only=True):
    """What is shown of an entity: what it has by the same name, its scope, limits and moments as they stand on the wire."""

    @classmethod
    def showing(cls, entity: Entity, **beside: object) -> Self:
        """``beside`` has what the entity itself does not."""
        return cls(**{name: beside[name] if name in beside else _shown(entity, name) for name in cls.__struct_fields__})


class PlaceView(View, frozen=True, kw_only=True, tag="place", tag_field="kind"):
    """An organisation, a team or a project. `barred` says why it takes no requests, and is empty when nothing is against it."""

    path: str
    name: str
    scope: AccessScope
    limits: RateLimits
    closed: bool
    barred: str
    created_at: datetime | None


class UserView(View, frozen=True, kw_only=True, tag="user", tag_field="kind"):
    """A person. `signed_in`: have they ever, so that their identity is known?"""

    id: str
    email: str
    name: str
    signed_in: bool
    disabled: bool
    created_at: datetime | None


class ServiceAccountView(View, frozen=True, kw_only=True, tag="service_account", tag_field="kind"):
    """A program that acts by its keys, at home in one place."""

    id: str
    place: str
    name: str
    disabled: bool
    created_at: datetime | None


class GrantView(View, frozen=True, kw_only=True, tag="grant", tag_field="kind"):
    """`holder` has `role` at `place` and below. A holder is written `user:ID`, `service_account:ID` or `key:ID`."""

    id: str
    holder: str
    role: Role
    place: str
    created_at: datetime | None


class KeyView(View, frozen=True, kw_only=True, tag="key", tag_field="kind"):
    """A virtual key without the key. `line` is the id of the first of its rotations: budgets and rates go by it."""

    id: str
    place: str
    owner: str
    name: str
    scope: AccessScope
    limits: RateLimits
    line: str
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class BudgetView(View, frozen=True, kw_only=True, tag="budget", tag_field="kind"):
    """What may be spent in a calendar period (UTC) on everything under `of`: `place:PATH`, `key:ID` or `tag:NAME`.

    A hard budget refuses what would exceed it, a soft one only tells. `set_at` is the place from which it is changed, or from above; a
    `fixed` one stands in the configuration. `held_usd` is what requests under way may cost; the three figures are those of the current
    period, and null where they were not read.
    """

    id: str
    of: str
    period: Period
    limit_usd: float
    hard: bool
    alerts: tuple[float, ...]
    set_at: str
    fixed: bool
    spent_usd: float | None
    held_usd: float | None
    left_usd: float | None
    created_at: datetime | None

    @staticmethod
    def of_budget(budget: Budget, seen: Spending | None = None, *, fixed: bool = False) -> BudgetView:
        return BudgetView.showing(
            budget,
            limit_usd=dollars(budget.limit),
            fixed=fixed,
            spent_usd=None if seen is None else dollars(seen.spent),
            held_usd=None if seen is None else dollars(seen.held),
            left_usd=None if seen is None else dollars(max(0, budget.limit - seen.spent - seen.held)),
        )


_TIMES = {"created_at": "created_ns", "expires_at": "expires_ns", "revoked_at": "revoked_ns"}


def _shown(entity: Entity, name: str) -> object:
    if name == "signed_in":
        return isinstance(entity, User) and entity.subject != ""
    if name in _TIMES:
        return moment(getattr(entity, _TIMES[name]))
    match getattr(entity, name):
        case Scope() as scope:
            return AccessScope.of(scope)
        case Limits() as limits:
            return RateLimits.of(limits)
        case value:
            return value


def _sorted(words: frozenset[str] | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(sorted(words))


def moment(ns: int | None) -> datetime | None:
    """``None`` for what has no time: the installation was always there."""
    return _EPOCH + timedelta(microseconds=ns // 1000) if ns else None


def nanoseconds(when: datetime, param: str) -> int:
    """Raises :class:`MalformedRequest` for a moment that no clock of ours has shown or will show."""
    if not _EPOCH <= when < _LAST:
        raise MalformedRequest(f"{param}: that is no time to work with.", param=param, hint="Name a moment between 1970 and 2262.")
    return (when - _EPOCH) // timedelta(microseconds=1) * 1000


def dollars(amount: int) -> float:
    return amount / USD


def nano(amount: float) -> NanoUSD:
    """What was written, to the nano: 0.1 is a tenth, whatever the float behind it."""
    return NanoUSD(round(Decimal(str(amount)) * USD))
