"""Whoever changes the accounts: what they hold, and how far the credential they came with reaches."""

from __future__ import annotations

from msgspec import Struct

from trimtab.core.accounts import (
    ANY_SCOPE,
    NO_LIMITS,
    PERMISSIONS,
    ROOT,
    Grant,
    Limits,
    Permission,
    Scope,
    ancestors,
    is_within,
)
from trimtab.core.errors import Forbidden, Unauthenticated
from trimtab.engine.access.directory import Directory


def named(place: str) -> str:
    """A place as people read it."""
    return place or "the whole installation"


def no_later(one: int | None, other: int | None) -> bool:
    """Does one end no later than the other? ``None`` never ends."""
    return other is None or (one is not None and one <= other)


class Actor(Struct, frozen=True, kw_only=True):
    """``grants`` are those that count at ``now_ns``. ``scope``, ``limits`` and ``expires_ns`` are the ceiling of the actor's own
    credential: the widest for a person who has signed in, a key's own for a key. ``principal`` owns what the actor makes for itself: a
    key's owner stands in for the key; empty where the key has none.
    """

    holder: str
    principal: str
    grants: tuple[Grant, ...]
    now_ns: int
    scope: Scope = ANY_SCOPE
    limits: Limits = NO_LIMITS
    expires_ns: int | None = None

    def may(self, permission: Permission, place: str) -> bool:
        return any(permission in PERMISSIONS[grant.role] and is_within(place, grant.place) for grant in self.grants)

    def may_somewhere(self, permission: Permission) -> bool:
        return any(permission in PERMISSIONS[grant.role] for grant in self.grants)

    def topmost(self, permission: Permission, place: str) -> str:
        """The place highest above ``place``, or itself, where the actor holds ``permission``."""
        return [above for above in ancestors(place) if above == place or self.may(permission, above)][-1]

    def require(self, permission: Permission, place: str) -> None:
        if not self.may(permission, place):
            raise Forbidden(
                f"This needs the permission {permission} at {named(place)}, which you do not hold.",
                hint=f"Ask an admin of {named(place)} to do it, or to grant you a role that has the permission.",
            )

    def covers(self, scope: Scope, limits: Limits, expires_ns: int | None) -> bool:
        """Is whatever reaches this far within the actor's own ceiling?"""
        return no_later(expires_ns, self.expires_ns) and self.scope.covers(scope) and self.limits.covers(limits)


def actor_of(directory: Directory, holder: str, now_ns: int) -> Actor:
    """``holder`` as an actor. Raises :class:`Unauthenticated` when it is not there any more, or takes no part."""
    barred = directory.barred(holder, now_ns)
    if barred or holder.startswith("service_account:"):
        raise Unauthenticated(
            f"You are not signed in any more: {barred or 'a service account acts by its keys'}.",
            hint=f"Sign in again, or use another key. An admin of {named(ROOT)} can tell who changed it: 'trimtab audit' shows it.",
        )
    grants = directory.rights(holder, now_ns)
    found = directory.key_behind(holder)
    if found is None:
        return Actor(holder=holder, principal=holder, grants=grants, now_ns=now_ns)
    return Actor(
        holder=holder,
        principal=found.key.owner,
        grants=grants,
        now_ns=now_ns,
        scope=found.scope,
        limits=found.limits,
        expires_ns=found.key.expires_ns,
    )
