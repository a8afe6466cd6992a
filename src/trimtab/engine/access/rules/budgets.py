"""Budgets. A budget is changed only by whoever manages budgets at the place from which it was set, or above it.

So what was set from above can be neither raised nor removed from below, a hard one as little as a soft one, while a team that sets its own
limits can change its mind. Whoever is below and wants less adds a budget of their own beside it: all of them count.
"""

from __future__ import annotations

import math
import re

from msgspec.structs import replace

from trimtab.core.accounts import ROOT, Budget, Permission, VirtualKey
from trimtab.core.errors import Conflict, MalformedRequest
from trimtab.core.units import NanoUSD
from trimtab.engine.access.actor import Actor
from trimtab.engine.access.directory import Directory
from trimtab.engine.access.edits import Edit, put, remove
from trimtab.engine.access.rules.check import found, standing_at

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")
_MOST = 1 << 63


def put_budget(directory: Directory, actor: Actor, asked: Budget) -> tuple[Edit, ...]:
    """Set a budget, or change the one with its id; when it was made and from where it is set are filled in here."""
    place, of = _subject(directory, actor, asked.of)
    if not 0 <= asked.limit < _MOST:
        raise MalformedRequest("A budget's limit is 0 or more.", param="limit", hint="Remove the budget for no limit.")
    if not all(math.isfinite(share) and share > 0 for share in asked.alerts):
        raise MalformedRequest(
            "Alerts are shares of the limit above 0.", param="alerts", hint="Write [0.8, 1.0] for 80 % and all of it."
        )
    held = directory.find(Budget, asked.id)
    if held is not None:
        actor.require(Permission.MANAGE_BUDGETS, held.set_at)
        if held.of != of:
            raise Conflict("What a budget is over does not change.", param="of", hint="Set another budget, and remove this one.")
    budget = replace(
        asked,
        of=of,
        created_ns=actor.now_ns if held is None else held.created_ns,
        set_at=actor.topmost(Permission.MANAGE_BUDGETS, place),
    )
    return put(budget) if budget != held else ()


def change_budget(
    directory: Directory,
    actor: Actor,
    id: str,
    *,
    limit: NanoUSD | None = None,
    hard: bool | None = None,
    alerts: tuple[float, ...] | None = None,
) -> tuple[Edit, ...]:
    """``None`` leaves a thing as it is."""
    held = found(directory, actor, Budget, id, "budget")
    asked = replace(
        held,
        limit=held.limit if limit is None else limit,
        hard=held.hard if hard is None else hard,
        alerts=held.alerts if alerts is None else alerts,
    )
    return put_budget(directory, actor, asked)


def remove_budget(directory: Directory, actor: Actor, id: str) -> tuple[Edit, ...]:
    held = found(directory, actor, Budget, id, "budget")
    actor.require(Permission.MANAGE_BUDGETS, held.set_at)
    return remove(held)


def _subject(directory: Directory, actor: Actor, of: str) -> tuple[str, str]:
    """The place whose budgets have to be managed for it, and ``of`` as it is kept: a key stands for its whole line of rotations."""
    kind, _, id = of.partition(":")
    if kind == "place":
        actor.require(Permission.MANAGE_BUDGETS, id)
        return standing_at(directory, id).place.path, of
    if kind == "key":
        key = found(directory, actor, VirtualKey, id, "key")
        actor.require(Permission.MANAGE_BUDGETS, key.place)
        return key.place, f"key:{key.line}"
    if kind == "tag" and _TAG.fullmatch(id):
        actor.require(Permission.MANAGE_BUDGETS, ROOT)  # a tag is written by anybody, at any place
        return ROOT, of
    raise MalformedRequest("A budget is over a place, a key or a tag.", param="of", hint="Write place:PATH, key:ID or tag:NAME.")
