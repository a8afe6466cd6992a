"""The two laws that hold over every change, whichever rule made it, checked on the accounts before it and after it.

Nobody creates a right that they lack: whatever a key may reach, a place allows or somebody may do after the change and not before it must
be within what the actor may and reaches. And the installation keeps somebody who can administer it. The rules know who may do what; the
laws know nothing of rules, which is why a mistake in one of them is not yet a way in.
"""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.core.accounts import PERMISSIONS, Grant, Limits, Role, Scope
from trimtab.core.errors import Conflict, Forbidden
from trimtab.engine.access.actor import Actor, named, no_later
from trimtab.engine.access.directory import Directory
from trimtab.engine.access.edits import Edit


def no_more_than_own(before: Directory, actor: Actor, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """``edits``, or :class:`Forbidden` when they would give anybody what ``actor`` lacks."""
    after = before.after(edits)
    for place, scope, limits in _widened(before, after):
        if not actor.covers(scope, limits, None):  # what a place allows has no end
            raise _beyond(f"{named(place)} would allow more, or for longer, than the credential that you came with")
    for key, scope, limits, expires_ns in _keys(before, after, actor.now_ns):
        if not actor.covers(scope, limits, expires_ns):
            raise _beyond(f"key:{key} would reach further, or live longer, than the credential that you came with")
    for holder, grant in _granted(before, after, actor.now_ns):
        lacking = sorted(permission for permission in PERMISSIONS[grant.role] if not actor.may(permission, grant.place))
        if lacking:
            raise _beyond(f"{holder} would hold {', '.join(lacking)} at {named(grant.place)}, which you do not hold")
        if not actor.covers(*_reach(after, holder, grant)):
            raise _beyond(
                f"{holder} reaches further at {named(grant.place)}, or lives longer, than the credential that you came with"
            )
    return edits


def keeps_an_admin(before: Directory, actor: Actor, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """``edits``, or :class:`Conflict` when they would leave nobody who can administer the whole installation, or only somebody who will
    not last."""
    were, are = dict(before.admins(actor.now_ns)), dict(before.after(edits).admins(actor.now_ns))
    if (were and not are) or (any(were.values()) and not any(are.values())):
        raise Conflict(
            "Nobody would be left who can administer the whole installation for good.",
            hint="First grant the role admin there to a person who has signed in, or to a key without an end.",
        )
    return edits


def _widened(before: Directory, after: Directory) -> Iterator[tuple[str, Scope, Limits]]:
    """A new place gives nobody anything: it allows at most what the place above it did."""
    for path, now in after.standings.items():
        was = before.standings.get(path)
        if was is not None and not (was.scope.covers(now.scope) and was.limits.covers(now.limits)):
            yield path, now.scope, now.limits


def _keys(before: Directory, after: Directory, now_ns: int) -> Iterator[tuple[str, Scope, Limits, int | None]]:
    """The keys that open more than they did, or that did not open."""
    for id, now in after.keys.items():
        was = before.keys.get(id)
        if was == now or not now.opens(now_ns):
            continue
        expires_ns = now.key.expires_ns
        lives_on = was is not None and was.opens(now_ns) and no_later(expires_ns, was.key.expires_ns)
        if was is None or not (lives_on and was.scope.covers(now.scope) and was.limits.covers(now.limits)):
            yield id, now.scope, now.limits, expires_ns


def _granted(before: Directory, after: Directory, now_ns: int) -> Iterator[tuple[str, Grant]]:
    for holder in after.everybody():
        had: set[tuple[Role, str]] = {(grant.role, grant.place) for grant in before.rights(holder, now_ns)}
        for grant in after.rights(holder, now_ns):
            if (grant.role, grant.place) not in had:
                yield holder, grant


def _reach(directory: Directory, holder: str, grant: Grant) -> tuple[Scope, Limits, int | None]:
    """How far ``holder`` reaches where the grant holds: a key as far as itself, anybody else as far as the place, and for good."""
    standing = directory.standings[grant.place]
    found = directory.key_behind(holder)
    if found is None:
        return standing.scope, standing.limits, None
    return found.scope.meet(standing.scope), found.limits.meet(standing.limits), found.key.expires_ns


def _beyond(what: str) -> Forbidden:
    return Forbidden(f"Nobody can give a right that they lack: {what}.", hint="Ask for less, or ask somebody who holds all of it.")
