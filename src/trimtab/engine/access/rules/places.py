"""Places: organisations, teams, projects. Whoever narrows a place from above is not undone from within."""

from __future__ import annotations

from msgspec.structs import replace

from trimtab.core.accounts import ANY_SCOPE, NO_LIMITS, ROOT, Limits, Permission, Place, Scope, parent_of
from trimtab.core.accounts.entities import PATH
from trimtab.core.errors import Forbidden, MalformedRequest
from trimtab.engine.access.actor import Actor, named
from trimtab.engine.access.directory import Directory
from trimtab.engine.access.edits import Edit, put
from trimtab.engine.access.law import keeps_an_admin, no_more_than_own
from trimtab.engine.access.rules.check import beyond, limits_of, name_of, open_at, standing_at, unused


def create_place(
    directory: Directory, actor: Actor, path: str, *, name: str = "", scope: Scope = ANY_SCOPE, limits: Limits = NO_LIMITS
) -> tuple[Edit, ...]:
    if not PATH.fullmatch(path):
        raise MalformedRequest(
            f"{path[:80]!r} is not a place.",
            param="place",
            hint="Write one to three names of small letters, digits and hyphens: acme, acme/search, acme/search/chatbot.",
        )
    above = parent_of(path)
    actor.require(Permission.MANAGE_PLACES, above)
    open_at(directory, above)
    place = Place(path=path, name=name_of(name), scope=scope, limits=limits_of(limits), created_ns=actor.now_ns)
    unused(directory, place)
    _within_what_is_above(directory, path, scope)
    return no_more_than_own(directory, actor, put(place))


def alter_place(
    directory: Directory,
    actor: Actor,
    path: str,
    *,
    name: str | None = None,
    scope: Scope | None = None,
    limits: Limits | None = None,
) -> tuple[Edit, ...]:
    """``None`` leaves a thing as it is."""
    actor.require(Permission.MANAGE_PLACES, path)
    _not_the_installation(path)
    held = standing_at(directory, path).place
    place = replace(
        held,
        name=held.name if name is None else name_of(name),
        scope=held.scope if scope is None else scope,
        limits=held.limits if limits is None else limits_of(limits),
    )
    if not (held.scope.covers(place.scope) and held.limits.covers(place.limits)):
        actor.require(Permission.MANAGE_PLACES, parent_of(path))
        _within_what_is_above(directory, path, place.scope)
    return no_more_than_own(directory, actor, put(place)) if place != held else ()


def put_place(
    directory: Directory,
    actor: Actor,
    path: str,
    *,
    name: str | None = None,
    scope: Scope | None = None,
    limits: Limits | None = None,
    closed: bool | None = None,
) -> tuple[Edit, ...]:
    """Create the place, or alter, close and reopen the one that is there, one rule after the other. ``None`` leaves a thing as it is."""
    actor.require(Permission.MANAGE_PLACES, path)
    if directory.find(Place, path) is None:
        edits = create_place(
            directory,
            actor,
            path,
            name=name or "",
            scope=ANY_SCOPE if scope is None else scope,
            limits=NO_LIMITS if limits is None else limits,
        )
    else:
        edits = alter_place(directory, actor, path, name=name, scope=scope, limits=limits)
    if closed is None:
        return edits
    turn = close_place if closed else reopen_place
    return (*edits, *turn(directory.after(edits), actor, path))


def close_place(directory: Directory, actor: Actor, path: str) -> tuple[Edit, ...]:
    """From then on the place and everything below it take no requests, and what was granted there counts for nothing."""
    actor.require(Permission.MANAGE_PLACES, path)
    _not_the_installation(path)
    held = standing_at(directory, path).place
    return () if held.closed else keeps_an_admin(directory, actor, put(replace(held, closed=True)))


def reopen_place(directory: Directory, actor: Actor, path: str) -> tuple[Edit, ...]:
    """Its keys and grants count again: only who holds all of them can do that."""
    _not_the_installation(path)
    actor.require(Permission.MANAGE_PLACES, parent_of(path))
    held = standing_at(directory, path).place
    return no_more_than_own(directory, actor, put(replace(held, closed=False))) if held.closed else ()


def _not_the_installation(path: str) -> None:
    if path == ROOT:
        raise MalformedRequest(
            "The installation itself has no name, scope or limits, and is not closed.",
            param="place",
            hint="Change the places in it, or the configuration.",
        )


def _within_what_is_above(directory: Directory, path: str, scope: Scope) -> None:
    above = parent_of(path)
    outside = beyond(scope, directory.standings[above].scope)
    if outside:
        raise Forbidden(
            f"{named(above)} does not allow {outside}.", param="scope", hint=f"Widen {named(above)} first, or leave it out."
        )
