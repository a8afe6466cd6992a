"""What several rules ask of what they are given."""

from __future__ import annotations

from typing import TypeVar

from trimtab.core.accounts import Entity, Limits, Scope, VirtualKey, key_of
from trimtab.core.errors import Conflict, MalformedRequest, NotFound
from trimtab.engine.access.actor import Actor, named
from trimtab.engine.access.directory import Directory, Standing
from trimtab.engine.access.sight import Sight

E = TypeVar("E", bound=Entity)

_LONGEST_NAME = 200


def found(directory: Directory, actor: Actor, kind: type[E], id: str, what: str) -> E:
    """What the actor may see: to whoever may not, a refusal must not tell that it is there."""
    return Sight(directory, actor).find(kind, id, what)


def standing_at(directory: Directory, place: str) -> Standing:
    standing = directory.standings.get(place)
    if standing is None:
        raise NotFound(
            f"There is no place {place!r}.", param="place", hint="Create it first, or mind the spelling: acme/search/chatbot."
        )
    return standing


def open_at(directory: Directory, place: str) -> Standing:
    """The standing of a place in which something may still be made."""
    standing = standing_at(directory, place)
    if standing.barred:
        raise Conflict(f"Nothing can be added at {named(place)}: {standing.barred}.", hint="Reopen it, or take another place.")
    return standing


def unused(directory: Directory, entity: Entity) -> None:
    if key_of(entity) in directory.entities:
        kind, id = key_of(entity)
        raise Conflict(f"There is a {kind.replace('_', ' ')} {id!r} already.", hint="Alter that one, or choose another name.")


def unused_digest(directory: Directory, key: VirtualKey) -> None:
    if key.digest in directory.by_digest or len(key.digest) != 32:
        raise Conflict("That key cannot be used a second time.", hint="Have a new random key made.")


def name_of(name: str) -> str:
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise MalformedRequest(f"A name is at most {_LONGEST_NAME} printable characters.", param="name", hint="Shorten it.")
    return name


def limits_of(limits: Limits) -> Limits:
    for field, figure in limits.figures.items():
        if figure is not None and figure < 0:
            raise MalformedRequest(f"{field} cannot be negative.", param=f"limits.{field}", hint="Leave it out for no limit.")
    return limits


def beyond(asked: Scope, bound: Scope) -> str:
    """What ``asked`` names that ``bound`` does not have; a set that is not given names nothing. Empty when all is within."""
    pairs = (
        ("models", asked.models, bound.models),
        ("tiers", asked.tiers, bound.tiers),
        ("zones", asked.zones, bound.zones),
    )
    outside = [
        f"{field} {', '.join(sorted(wanted - allowed))}"
        for field, wanted, allowed in pairs
        if wanted is not None and allowed is not None and wanted - allowed
    ]
    return "; ".join(outside)
