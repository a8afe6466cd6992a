"""Roles: who is given one, and from whom it is taken."""

from __future__ import annotations

from trimtab.core.accounts import Grant, Permission, Role
from trimtab.core.errors import Conflict, NotFound
from trimtab.engine.access.actor import Actor, named
from trimtab.engine.access.directory import Directory
from trimtab.engine.access.edits import Edit, put, remove
from trimtab.engine.access.law import keeps_an_admin, no_more_than_own
from trimtab.engine.access.rules.check import found, open_at, unused


def grant_role(directory: Directory, actor: Actor, *, id: str, holder: str, role: Role, place: str) -> tuple[Edit, ...]:
    """``holder`` is ``user:ID``, ``service_account:ID`` or ``key:ID``. The law asks for every permission of the role, at that place."""
    actor.require(Permission.MANAGE_GRANTS, place)
    open_at(directory, place)
    if holder not in set(directory.everybody()):
        raise NotFound(f"There is no {holder[:80]!r}.", param="holder", hint="Write user:ID, service_account:ID or key:ID.")
    barred = directory.barred(holder, actor.now_ns)
    if barred:
        raise Conflict(f"{holder} can hold nothing: {barred}.", hint="Enable it, or grant the role to somebody else.")
    if any(grant.role is role and grant.place == place for grant in directory.held.get(holder, ())):
        raise Conflict(f"{holder} has the role {role} at {named(place)} already.", hint="There is nothing left to do.")
    grant = Grant(id=id, holder=holder, role=role, place=place, created_ns=actor.now_ns)
    unused(directory, grant)
    return no_more_than_own(directory, actor, put(grant))


def revoke_role(directory: Directory, actor: Actor, id: str) -> tuple[Edit, ...]:
    held = found(directory, actor, Grant, id, "grant")
    actor.require(Permission.MANAGE_GRANTS, held.place)
    return keeps_an_admin(directory, actor, remove(held))
