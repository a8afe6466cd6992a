"""Places: organisations, teams, projects."""

from __future__ import annotations

from functools import partial

from msgspec import Struct

from trimtab.core.accounts import Place
from trimtab.engine.access import Sight, rules
from trimtab.server.admin.shapes import AccessScope, AtPlace, Name, Nothing, Page, PlaceView, RateLimits, page
from trimtab.server.admin.table import Asked, operation


class PlaceBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is; of a new place it is whatever the place above allows. A scope or limits are replaced whole."""

    name: Name | None = None
    scope: AccessScope | None = None
    limits: RateLimits | None = None
    closed: bool | None = None


async def list_places(asked: Asked[AtPlace, Nothing]) -> Page[PlaceView]:
    """Places, by path."""
    sight = asked.sight
    found = [place for place in sight.all(Place) if sight.within(place, asked.query.place)]
    return page([(place.path, _view(sight, place)) for place in found], asked.query)


async def get_place(asked: Asked[Nothing, Nothing]) -> PlaceView:
    """One place."""
    return _view(asked.sight, asked.sight.find(Place, asked.target, "place"))


async def put_place(asked: Asked[Nothing, PlaceBody]) -> PlaceView:
    """Create a place, or alter the one that is there.

    A path has one to three names: organisation, team, project.
    """
    body = asked.body
    rule = partial(
        rules.put_place,
        path=asked.target,
        name=body.name,
        scope=None if body.scope is None else body.scope.value(),
        limits=None if body.limits is None else body.limits.value(),
        closed=body.closed,
    )
    await asked.site.book.apply(asked.actor, rule)
    return _current(asked)


async def close_place(asked: Asked[Nothing, Nothing]) -> PlaceView:
    """Close a place: it and everything below it take no requests any more, and what was granted there counts for nothing.

    A `PUT` with `closed: false` opens it again.
    """
    await asked.site.book.apply(asked.actor, partial(rules.close_place, path=asked.target))
    return _current(asked)


def _current(asked: Asked[Nothing, PlaceBody] | Asked[Nothing, Nothing]) -> PlaceView:
    standing = asked.site.book.directory.standings[asked.target]
    return PlaceView.showing(standing.place, barred=standing.barred)


def _view(sight: Sight, place: Place) -> PlaceView:
    return PlaceView.showing(place, barred=sight.directory.standings[place.path].barred)


_PATH = "/-/places/{path:path}"
PLACES = (
    operation(
        "GET",
        "/-/places",
        list_places,
        query=AtPlace,
        body=Nothing,
        answer=Page[PlaceView],
        needs="a role there or above, or a key of it",
    ),
    operation(
        "GET", _PATH, get_place, query=Nothing, body=Nothing, answer=PlaceView, needs="a role there or above, or a key of it"
    ),
    operation(
        "PUT",
        _PATH,
        put_place,
        query=Nothing,
        body=PlaceBody,
        answer=PlaceView,
        needs="manage_places at the place above to create, widen or reopen it; there to rename, narrow or close it",
    ),
    operation("DELETE", _PATH, close_place, query=Nothing, body=Nothing, answer=PlaceView, needs="manage_places there"),
)
