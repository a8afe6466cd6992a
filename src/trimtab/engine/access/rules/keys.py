"""Virtual keys: made within what their maker may reach, rotated with an overlap, revoked at once."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from trimtab.core.accounts import Grant, Limits, Permission, Scope, ServiceAccount, VirtualKey, holder_of, is_within
from trimtab.core.errors import Conflict, Forbidden, MalformedRequest, NotFound
from trimtab.engine.access.actor import Actor, named, no_later
from trimtab.engine.access.directory import KEPT_DAYS, Directory, ended_long_ago
from trimtab.engine.access.edits import Edit, put
from trimtab.engine.access.law import keeps_an_admin, no_more_than_own
from trimtab.engine.access.rules.check import beyond, found, limits_of, name_of, open_at, unused, unused_digest
from trimtab.engine.access.sight import Sight

OVERLAP_SECONDS = 86_400
MOST_KEYS = 10_000
"""Of one owner, or at one place of those that nobody owns."""


class NewKey(Struct, frozen=True, kw_only=True):
    """A key that is asked for. What is ``None``, and every set or figure that is ``None`` inside, becomes the most that the maker and the
    place allow; but a sensitivity may be lowered only where ``scope`` says so in words."""

    id: str
    digest: bytes
    place: str
    owner: str = ""
    name: str = ""
    scope: Scope | None = None
    limits: Limits | None = None
    expires_ns: int | None = None


def create_key(directory: Directory, actor: Actor, asked: NewKey) -> tuple[Edit, ...]:
    own = asked.owner != "" and asked.owner == actor.principal
    if not (own and actor.may(Permission.MANAGE_OWN_KEYS, asked.place)):
        actor.require(Permission.MANAGE_KEYS, asked.place)
    standing = open_at(directory, asked.place)
    _owner_allowed(directory, actor, asked)
    _not_too_many(directory, actor, asked.owner, asked.place)
    key = VirtualKey(
        id=asked.id,
        digest=asked.digest,
        place=asked.place,
        owner=asked.owner,
        name=name_of(asked.name),
        scope=_scope(asked.scope or Scope(), actor.scope.meet(standing.scope)),
        limits=_limits(limits_of(asked.limits or Limits()), actor.limits),
        created_ns=actor.now_ns,
        expires_ns=_expiry(asked.expires_ns, actor),
    )
    unused(directory, key)
    unused_digest(directory, key)
    return no_more_than_own(directory, actor, put(key))


def rotate_key(
    directory: Directory, actor: Actor, key_id: str, *, id: str, digest: bytes, overlap_seconds: float = OVERLAP_SECONDS
) -> tuple[Edit, ...]:
    """A new key with the rights of ``key_id``, which opens for ``overlap_seconds`` more. The new one is the first of the edits.

    Whoever rotates a key gets to see the new one: so they must hold everything that it can do, and speak for its owner.
    """
    if not 0 <= overlap_seconds < 1e9:
        raise MalformedRequest(
            "The overlap is a number of seconds, 0 or more.", param="overlap_seconds", hint="0 ends the old key at once."
        )
    held = _reached(directory, actor, key_id)
    _speaks_for(directory, actor, held.owner)
    _not_too_many(directory, actor, held.owner, held.place)
    barred = directory.barred(holder_of(held), actor.now_ns)
    if barred:
        raise Conflict(f"key:{key_id} cannot be rotated: {barred}.", hint="Create another key.")
    # What the old key would gain if its place were widened is not the actor's to hand on: the new one has what both reach today.
    new = replace(
        held,
        id=id,
        digest=digest,
        scope=held.scope.meet(actor.scope),
        limits=held.limits.meet(actor.limits),
        created_ns=actor.now_ns,
        first=held.line,
    )
    unused(directory, new)
    unused_digest(directory, new)
    live = directory.keys[key_id]
    if not actor.covers(live.scope, live.limits, held.expires_ns):
        raise Forbidden(
            f"key:{key_id} reaches further, or lives longer, than the credential that you came with.",
            hint="Ask somebody who holds all of it to rotate it.",
        )
    end = actor.now_ns + round(overlap_seconds * 1e9)
    old = replace(held, expires_ns=end if held.expires_ns is None else min(end, held.expires_ns))
    copies = [
        Grant(id=f"{id}.{index}", holder=holder_of(new), role=grant.role, place=grant.place, created_ns=actor.now_ns)
        for index, grant in enumerate(directory.held.get(holder_of(held), ()))
        if directory.is_open(grant.place)
    ]
    edits = put(new, old, *copies)
    return keeps_an_admin(directory, actor, no_more_than_own(directory, actor, edits))


def revoke_key(directory: Directory, actor: Actor, key_id: str) -> tuple[Edit, ...]:
    held = _reached(directory, actor, key_id)
    if held.revoked_ns is not None:
        return ()
    return keeps_an_admin(directory, actor, put(replace(held, revoked_ns=actor.now_ns)))


def _reached(directory: Directory, actor: Actor, key_id: str) -> VirtualKey:
    """The key, when it is the actor's to change: its own, its principal's, or one at a place whose keys it manages."""
    key = found(directory, actor, VirtualKey, key_id, "key")
    own = holder_of(key) == actor.holder or (key.owner != "" and key.owner == actor.principal)
    if not (own and actor.may(Permission.MANAGE_OWN_KEYS, key.place)):
        actor.require(Permission.MANAGE_KEYS, key.place)
    return key


def _owner_allowed(directory: Directory, actor: Actor, asked: NewKey) -> None:
    """Nobody, oneself, or a service account that takes part and owns keys at home only. What its key would carry, the law looks at."""
    if not asked.owner:
        return
    kind, _, id = asked.owner.partition(":")
    if kind not in ("user", "service_account"):
        raise MalformedRequest(
            "A key belongs to a person or to a service account.", param="owner", hint="Write user:ID or service_account:ID."
        )
    account = directory.find(ServiceAccount, id) if kind == "service_account" else None
    if kind == "service_account" and (account is None or not Sight(directory, actor).sees(account)):
        raise NotFound(f"There is no {asked.owner[:80]!r}.", param="owner", hint="Create it first.")
    _speaks_for(directory, actor, asked.owner)
    barred = directory.barred(asked.owner, actor.now_ns)
    if barred:
        raise Conflict(f"{asked.owner} can own nothing: {barred}.", param="owner", hint="Enable it, or take another owner.")
    if account is not None and not is_within(asked.place, account.place):
        raise Forbidden(
            f"{asked.owner} is at home at {named(account.place)}, and its keys ask from there or below.",
            param="owner",
            hint="Create one here.",
        )


def _speaks_for(directory: Directory, actor: Actor, owner: str) -> None:
    """What a key asks is its owner's, and it shows what they asked: so nobody gets to see a key of somebody else.

    A service account is spoken for by whoever manages the keys at its home, since all that it asks is asked there or below.
    """
    if owner in ("", actor.principal):
        return
    kind, _, id = owner.partition(":")
    account = directory.find(ServiceAccount, id) if kind == "service_account" else None
    if account is None:
        raise Forbidden(
            f"A key that speaks for {owner[:80]} is theirs alone to make and to rotate.",
            hint="They do it themselves, once signed in. You can revoke theirs; a program has a service account.",
        )
    actor.require(Permission.MANAGE_KEYS, account.place)


def _not_too_many(directory: Directory, actor: Actor, owner: str, place: str) -> None:
    """Every key is held in memory, and looked at with every change."""
    whose = [key for key in directory.owned.get(owner, ()) if owner or key.place == place]
    if len(whose) >= MOST_KEYS and sum(not ended_long_ago(key, actor.now_ns) for key in whose) >= MOST_KEYS:
        raise Conflict(
            f"{owner or named(place)} has {MOST_KEYS} keys, and that is the most.",
            hint=f"Revoke those that nobody needs; a key counts for {KEPT_DAYS} days after its end. Or take another place or owner.",
        )


def _scope(asked: Scope, bound: Scope) -> Scope:
    outside = beyond(asked, bound)
    if outside or (asked.may_lower and not bound.may_lower):
        what = outside or "may_lower"
        raise Forbidden(
            f"You, or the key's place, do not reach {what}.", param="scope", hint="Leave it out, or ask somebody who does."
        )
    return asked.meet(bound)


def _limits(asked: Limits, bound: Limits) -> Limits:
    within = asked.meet(bound)
    if any(wanted not in (None, within.figures[name]) for name, wanted in asked.figures.items()):
        raise Forbidden(
            "The limits are above those of the key that you came with.", param="limits", hint="Leave them out to get as much."
        )
    return within


def _expiry(asked: int | None, actor: Actor) -> int | None:
    if asked is None:
        return actor.expires_ns
    if asked <= actor.now_ns:
        raise MalformedRequest("The key would have expired already.", param="expires", hint="Name a moment that is still to come.")
    if not no_later(asked, actor.expires_ns):
        raise Forbidden(
            "The key would live longer than the key that you came with.", param="expires", hint="Leave it out to get as much."
        )
    return asked
