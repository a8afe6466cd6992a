"""Virtual keys. A key is shown once, to whoever made it, and nothing can bring it back."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from trimtab.core.accounts import VirtualKey
from trimtab.engine.access import NewKey, digest, new_key, rules
from trimtab.engine.access.rules.keys import OVERLAP_SECONDS
from trimtab.server.admin.shapes import (
    AccessScope,
    AtPlace,
    KeyView,
    Moment,
    Name,
    Nothing,
    Page,
    RateLimits,
    nanoseconds,
    page,
)
from trimtab.server.admin.table import Asked, operation


class KeyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out of scope, limits and end becomes the most that its maker and its place allow."""

    place: str
    owner: Annotated[
        str | None,
        Meta(
            description="service_account:ID; or empty for nobody. Left out: whoever makes it, where a key, its owner. "
            "Nobody makes a key for another person."
        ),
    ] = None
    name: Name = ""
    scope: AccessScope | None = None
    limits: RateLimits | None = None
    expires_at: Moment | None = None


class RotateBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overlap_seconds: Annotated[float, Meta(ge=0, lt=1e9, description="For how long the old key opens.")] = OVERLAP_SECONDS


class NewKeyView(Struct, frozen=True, kw_only=True):
    """`key` is shown here and never again: only its digest is kept. `replaces` is the key that it was rotated from."""

    key: str
    described: KeyView
    replaces: KeyView | None = None


class OfOwner(AtPlace, frozen=True, kw_only=True, forbid_unknown_fields=True):
    owner: Annotated[str | None, Meta(description="Only the keys of this owner.")] = None


async def list_keys(asked: Asked[OfOwner, Nothing]) -> Page[KeyView]:
    """Keys, by id, without the keys themselves."""
    sight, query = asked.sight, asked.query
    found = [key for key in sight.all(VirtualKey) if sight.within(key, query.place) and query.owner in (None, key.owner)]
    return page([(key.id, KeyView.showing(key)) for key in found], query)


async def get_key(asked: Asked[Nothing, Nothing]) -> KeyView:
    """One key, without the key itself."""
    return KeyView.showing(asked.sight.find(VirtualKey, asked.target, "key"))


async def create_key(asked: Asked[Nothing, KeyBody]) -> NewKeyView:
    """Make a key. The answer is the only one that shows it."""
    body, key, id = asked.body, new_key(), asked.site.book.new_id()
    wanted = NewKey(
        id=id,
        digest=digest(key),
        place=body.place,
        owner=asked.actor.principal if body.owner is None else body.owner,
        name=body.name,
        scope=None if body.scope is None else body.scope.value(),
        limits=None if body.limits is None else body.limits.value(),
        expires_ns=None if body.expires_at is None else nanoseconds(body.expires_at, "expires_at"),
    )
    await asked.site.book.apply(asked.actor, partial(rules.create_key, asked=wanted))
    return NewKeyView(key=key, described=KeyView.showing(asked.site.book.directory.now(VirtualKey, id)))


async def rotate_key(asked: Asked[Nothing, RotateBody]) -> NewKeyView:
    """Make a new key with the same rights; the old one opens for a while longer. The answer is the only one that shows the new key."""
    key, id, book = new_key(), asked.site.book.new_id(), asked.site.book
    rule = partial(rules.rotate_key, key_id=asked.target, id=id, digest=digest(key), overlap_seconds=asked.body.overlap_seconds)
    await book.apply(asked.actor, rule)
    old, new = book.directory.now(VirtualKey, asked.target), book.directory.now(VirtualKey, id)
    return NewKeyView(key=key, described=KeyView.showing(new), replaces=KeyView.showing(old))


async def revoke_key(asked: Asked[Nothing, Nothing]) -> KeyView:
    """Revoke a key: it opens nothing from now on."""
    await asked.site.book.apply(asked.actor, partial(rules.revoke_key, key_id=asked.target))
    return KeyView.showing(asked.site.book.directory.now(VirtualKey, asked.target))


_SEE = "to be it or its owner; manage_keys or read_audit at its place; for a key, manage_own_keys there to see its owner's others"
_CHANGE = "manage_keys at its place, or manage_own_keys there for one's own"
_SPEAK = "where it has an owner, to be them, or manage_keys at the service account's home"
_ONE = "/-/keys/{id}"
KEYS = (
    operation("GET", "/-/keys", list_keys, query=OfOwner, body=Nothing, answer=Page[KeyView], needs=_SEE),
    operation(
        "POST", "/-/keys", create_key, query=Nothing, body=KeyBody, answer=NewKeyView, status=201, needs=f"{_CHANGE}; {_SPEAK}"
    ),
    operation("GET", _ONE, get_key, query=Nothing, body=Nothing, answer=KeyView, needs=_SEE),
    operation("DELETE", _ONE, revoke_key, query=Nothing, body=Nothing, answer=KeyView, needs=_CHANGE),
    operation(
        "POST",
        f"{_ONE}/rotate",
        rotate_key,
        query=Nothing,
        body=RotateBody,
        answer=NewKeyView,
        status=201,
        needs=f"{_CHANGE}; everything that the key can do; {_SPEAK}",
    ),
)
