"""Roles that somebody holds."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from trimtab.core.accounts import Grant, Role
from trimtab.engine.access import rules
from trimtab.server.admin.shapes import AtPlace, GrantView, Nothing, Page, page
from trimtab.server.admin.table import Asked, operation


class GrantBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The empty place is the whole installation."""

    holder: Annotated[str, Meta(description="user:ID, service_account:ID or key:ID")]
    role: Role
    place: str


class OfHolder(AtPlace, frozen=True, kw_only=True, forbid_unknown_fields=True):
    holder: Annotated[str | None, Meta(description="Only what this holder was given.")] = None


async def list_grants(asked: Asked[OfHolder, Nothing]) -> Page[GrantView]:
    """Grants, by id."""
    sight, query = asked.sight, asked.query
    found = [grant for grant in sight.all(Grant) if sight.within(grant, query.place) and query.holder in (None, grant.holder)]
    return page([(grant.id, GrantView.showing(grant)) for grant in found], query)


async def get_grant(asked: Asked[Nothing, Nothing]) -> GrantView:
    """One grant."""
    return GrantView.showing(asked.sight.find(Grant, asked.target, "grant"))


async def grant_role(asked: Asked[Nothing, GrantBody]) -> GrantView:
    """Give somebody a role at a place and below. Nobody can give what they lack."""
    id, body = asked.site.book.new_id(), asked.body
    rule = partial(rules.grant_role, id=id, holder=body.holder, role=body.role, place=body.place)
    await asked.site.book.apply(asked.actor, rule)
    return GrantView.showing(asked.site.book.directory.now(Grant, id))


async def revoke_role(asked: Asked[Nothing, Nothing]) -> GrantView:
    """Take a role away. The last lasting admin of the installation stays."""
    (change,) = await asked.site.book.apply(asked.actor, partial(rules.revoke_role, id=asked.target))
    assert isinstance(change.entity, Grant)
    return GrantView.showing(change.entity)


_SEE = "to hold it; manage_grants or read_audit at its place"
_ONE = "/-/grants/{id}"
GRANTS = (
    operation("GET", "/-/grants", list_grants, query=OfHolder, body=Nothing, answer=Page[GrantView], needs=_SEE),
    operation(
        "POST",
        "/-/grants",
        grant_role,
        query=Nothing,
        body=GrantBody,
        answer=GrantView,
        status=201,
        needs="manage_grants at the place, and everything that the role allows",
    ),
    operation("GET", _ONE, get_grant, query=Nothing, body=Nothing, answer=GrantView, needs=_SEE),
    operation("DELETE", _ONE, revoke_role, query=Nothing, body=Nothing, answer=GrantView, needs="manage_grants at its place"),
)
