"""What an actor may look at: accounts, records, usage, the audit. Pure, over one snapshot; what an actor may change is the rules' affair.

===================  =================================================================================================================
a place              whoever holds any role there or above, and the keys that ask from it
a user               themselves; ``manage_people`` or ``read_audit`` where they hold a role or own a key; where there is none,
                     ``manage_people`` anywhere, or ``read_audit`` everywhere
a service account    itself; ``manage_people``, ``manage_keys`` or ``read_audit`` at its home
a grant              its holder; ``manage_grants`` or ``read_audit`` at its place
a key                itself and its owner; ``manage_keys`` or ``read_audit`` at its place; other keys of its owner that manage them
a budget             whoever spends from it; ``manage_budgets`` or ``read_usage`` at its place
a record             whoever asked; ``read_records`` at the place that was asked from
usage                one's own; ``read_usage`` at the place
a change             ``read_audit`` at the place of what was changed
===================  =================================================================================================================

What may not be seen is not there: the answer is the same for both. A service account acts by its keys, so each of them sees what is the
account's. A person signs in to act: their key sees what is its own, and that of its line, alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from trimtab.core.accounts import (
    PERMISSIONS,
    ROOT,
    Budget,
    Change,
    Entity,
    Grant,
    Permission,
    Place,
    ServiceAccount,
    User,
    VirtualKey,
    holder_of,
    is_within,
)
from trimtab.core.errors import MalformedRequest, NotFound
from trimtab.core.record import Record
from trimtab.engine.access.actor import Actor
from trimtab.engine.access.directory import Directory
from trimtab.engine.limits.purse import targets
from trimtab.store import Filter

E = TypeVar("E", bound=Entity)


class Sight(Struct, frozen=True):
    directory: Directory
    actor: Actor

    @property
    def key(self) -> VirtualKey | None:
        """The key that the actor came with; ``None`` for a person who has signed in."""
        found = self.directory.key_behind(self.actor.holder)
        return None if found is None else found.key

    @property
    def oneself(self) -> str:
        """As whom the actor is seen to act: a person, a service account, or a key that acts for itself."""
        principal = self.actor.principal
        return principal if principal.startswith("service_account:") else self.actor.holder

    def all(self, kind: type[E]) -> list[E]:
        """Everything of a kind that the actor may see, in no order."""
        return [entity for entity in self.directory.all(kind) if self.sees(entity)]

    def find(self, kind: type[E], id: str, what: str) -> E:
        """Raises :class:`NotFound` also for what may not be seen."""
        entity = self.directory.find(kind, id)
        if entity is None or not self.sees(entity):
            raise NotFound(f"There is no {what} {id[:100]!r}.", hint=f"List them to see the ids of every {what} here.")
        return entity

    def sees(self, entity: Entity) -> bool:
        key, oneself = self.key, self.oneself
        match entity:
            case Place(path=path):
                return self._holds_something_at(path) or (key is not None and key.place == path)
            case User(id=id):
                if oneself == f"user:{id}":
                    return True
                felt = self.directory.felt_at(f"user:{id}")
                if not felt and self.actor.may_somewhere(Permission.MANAGE_PEOPLE):
                    return True  # just created, and about to be given a role by somebody
                return self._may_any(felt or {ROOT}, Permission.MANAGE_PEOPLE, Permission.READ_AUDIT)
            case ServiceAccount(id=id, place=place):
                wanted = (Permission.MANAGE_PEOPLE, Permission.MANAGE_KEYS, Permission.READ_AUDIT)
                return oneself == f"service_account:{id}" or self._may_any({place}, *wanted)
            case Grant(holder=holder, place=place):
                own = holder in (self.actor.holder, oneself)
                return own or self._may_any({place}, Permission.MANAGE_GRANTS, Permission.READ_AUDIT)
            case VirtualKey(place=place, owner=owner):
                managed = owner != "" and owner == self.actor.principal and self.actor.may(Permission.MANAGE_OWN_KEYS, place)
                own = managed or self.is_own(entity.id, owner)
                return own or self._may_any({place}, Permission.MANAGE_KEYS, Permission.READ_AUDIT)
            case Budget():
                return self.spends_from(entity) or self._may_any(
                    {self.place_of(entity)}, Permission.MANAGE_BUDGETS, Permission.READ_USAGE
                )

    def within(self, entity: Entity, place: str) -> bool:
        return is_within(self.place_of(entity), place)

    def sees_change(self, change: Change) -> bool:
        entity = change.entity
        places = self.directory.felt_at(holder_of(entity)) if isinstance(entity, User) else {self.place_of(entity)}
        return self._may_any(places or {ROOT}, Permission.READ_AUDIT)

    def sees_record(self, record: Record) -> bool:
        intent = record.intent
        return self.is_own(intent.key_id, intent.owner) or self.actor.may(Permission.READ_RECORDS, intent.place)

    def spends_from(self, budget: Budget) -> bool:
        """Do requests with the actor's key count for it? Of tags nobody knows that before they ask."""
        key = self.key
        return key is not None and budget.of in targets(key.place, key.line, ())

    def is_own(self, key_id: str, owner: str) -> bool:
        """Was something done with the actor's own key, an earlier or later one of its line, or another key of whom they act as?"""
        if owner == self.oneself:
            return True
        key, other = self.key, self.directory.find(VirtualKey, key_id)
        return key is not None and (key.id == key_id or (other is not None and other.line == key.line))

    def place_of(self, entity: Entity) -> str:
        """Where ``entity`` belongs; the installation for what belongs nowhere else."""
        match entity:
            case Place(path=place) | ServiceAccount(place=place) | Grant(place=place) | VirtualKey(place=place):
                return place
            case Budget(of=of):
                kind, _, id = of.partition(":")
                key = self.directory.find(VirtualKey, id) if kind == "key" else None
                return key.place if key is not None else id if kind == "place" else ROOT
            case User():
                return ROOT

    def usage(self, asked: Filter) -> Filter:
        """``asked`` as far as the actor may see it: where it names nothing, the one place whose usage they may read, else their own.

        Raises :class:`Forbidden` for somebody else's, and :class:`MalformedRequest` where there are several places to choose from.
        """
        key = self.directory.find(VirtualKey, asked.key_id) if asked.key_id is not None else None
        if (asked.key_id is not None or asked.owner is not None) and self.is_own(asked.key_id or "", asked.owner or ""):
            return asked
        if key is not None and self.is_own(key.id, key.owner):
            return asked
        if asked.place is not None:
            self.actor.require(Permission.READ_USAGE, asked.place)
            return asked
        if self.actor.may(Permission.READ_USAGE, ROOT) or (key is not None and self.actor.may(Permission.READ_USAGE, key.place)):
            return asked
        readable = sorted({grant.place for grant in self.actor.grants if Permission.READ_USAGE in PERMISSIONS[grant.role]})
        topmost = [place for place in readable if not any(is_within(place, other) for other in readable if other != place)]
        if len(topmost) > 1:
            raise MalformedRequest(
                "You may read the usage of several places.", param="place", hint=f"Name one of them: {', '.join(topmost)}."
            )
        if topmost:
            return replace(asked, place=topmost[0])
        if asked.owner is not None or asked.key_id is not None:
            self.actor.require(Permission.READ_USAGE, ROOT)
        kind, _, id = self.oneself.partition(":")
        return replace(asked, key_id=id) if kind == "key" else replace(asked, owner=self.oneself)

    def _holds_something_at(self, path: str) -> bool:
        return any(is_within(path, grant.place) for grant in self.actor.grants)

    def _may_any(self, places: Iterable[str], *permissions: Permission) -> bool:
        return any(self.actor.may(permission, place) for place in places for permission in permissions)
