"""What rights are, written a second time and differently: sets of (who, what, where) and sets of things that can be reached.

It reads entities as the store has them and uses nothing of ``engine.access``. Slow and plain on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from trimtab.core.accounts import Budget, Entity, Grant, Limits, Permission, Place, Scope, ServiceAccount, User, VirtualKey
from trimtab.core.catalog import Tier

MODELS, ZONES = ("m1", "m2"), ("local", "any")
UNIVERSE = {
    "models": (*MODELS, "every other"),
    "tiers": (*(str(tier) for tier in Tier), "every other"),
    "zones": (*ZONES, "every other"),
}

ALL = {str(permission) for permission in Permission}
MAY = {
    "admin": ALL,
    "operator": {"manage_keys", "manage_own_keys", "read_usage", "read_records", "operate"},
    "analyst": {"read_usage", "read_records", "read_audit"},
    "member": {"manage_own_keys"},
}

Triple = tuple[str, str, str]
Entities = Mapping[tuple[str, str], Entity]
Reach = tuple[frozenset[str], float, float]
"""Everything that can be asked for, requests per minute, and until when."""
Asked = tuple[str, str, str]
"""What a record tells of who asked: the key, its owner, its place."""


@cache
def tokens(scope: Scope) -> frozenset[str]:
    found = {"lower"} if scope.may_lower else set()
    for field, everything in UNIVERSE.items():
        chosen = getattr(scope, field)
        found |= {f"{field}={item}" for item in (everything if chosen is None else chosen)}
    return frozenset(found)


EVERYTHING: Reach = (tokens(Scope(may_lower=True)), math.inf, math.inf)


def rate(limits: Limits) -> float:
    return math.inf if limits.requests_per_minute is None else limits.requests_per_minute


def least(*reaches: Reach) -> Reach:
    return (
        frozenset.intersection(*(reach[0] for reach in reaches)),
        min(reach[1] for reach in reaches),
        min(reach[2] for reach in reaches),
    )


def inside(small: Reach, big: Reach) -> bool:
    return small[0] <= big[0] and small[1] <= big[1] and small[2] <= big[2]


def path_of(place: str) -> list[str]:
    """Every place on the way down from the installation."""
    names = place.split("/") if place else []
    return ["/".join(names[:count]) for count in range(len(names) + 1)]


def above(place: str) -> str:
    return path_of(place)[-2] if place else ""


class World:
    """The rights that follow from ``entities`` at one moment."""

    def __init__(self, entities: Iterable[Entity], now_ns: int) -> None:
        self.now_ns = now_ns
        self.places = {"": Place(path="")}
        self.users: dict[str, User] = {}
        self.accounts: dict[str, ServiceAccount] = {}
        self.keys: dict[str, VirtualKey] = {}
        self.grants: dict[str, Grant] = {}
        self.budgets: dict[str, Budget] = {}
        for entity in entities:
            match entity:
                case Place():
                    self.places[entity.path] = entity
                case User():
                    self.users[f"user:{entity.id}"] = entity
                case ServiceAccount():
                    self.accounts[f"service_account:{entity.id}"] = entity
                case VirtualKey():
                    self.keys[f"key:{entity.id}"] = entity
                case Grant():
                    self.grants[entity.id] = entity
                case Budget():
                    self.budgets[entity.id] = entity
        self.place_reaches = {path: self._place_reach(path) for path in self.places}
        self.ceilings = {who: self._ceiling(who) for who in self.everybody()}
        self.triples = set(self._triples())
        pairs = {(who, where) for who, _, where in self.triples}
        self.reaches = {(who, where): least(self.ceilings[who], self.place_reaches[where]) for who, where in pairs}

    def open(self, place: str) -> bool:
        return all(step in self.places and not self.places[step].closed for step in path_of(place))

    def alive(self, who: str) -> bool:
        if who in self.users:
            return not self.users[who].disabled
        if who in self.accounts:
            return not self.accounts[who].disabled and self.open(self.accounts[who].place)
        key = self.keys[who]
        over = key.revoked_ns is not None or (key.expires_ns is not None and key.expires_ns <= self.now_ns)
        return not over and self.open(key.place) and (not key.owner or self.alive(key.owner))

    def everybody(self) -> list[str]:
        return [*self.users, *self.accounts, *self.keys]

    def _triples(self) -> Iterator[Triple]:
        for grant in self.grants.values():
            carriers = [
                grant.holder,
                *(id for id, key in self.keys.items() if key.owner == grant.holder and grant.holder in self.accounts),
            ]
            if self.open(grant.place):
                for who in carriers:
                    if self.alive(who):
                        for place in self.places:
                            if grant.place in path_of(place):
                                for what in MAY[grant.role]:
                                    yield who, what, place

    def _place_reach(self, place: str) -> Reach:
        steps = [self.places[step] for step in path_of(place)]
        return least(EVERYTHING, *((tokens(step.scope), rate(step.limits), math.inf) for step in steps))

    def _ceiling(self, who: str) -> Reach:
        """How far the credential of ``who`` reaches: a person's is no limit, a key's is what it and its places leave."""
        if who not in self.keys:
            return EVERYTHING
        key = self.keys[who]
        until = math.inf if key.expires_ns is None else key.expires_ns
        return least((tokens(key.scope), rate(key.limits), until), self.place_reaches[key.place])

    def acts_for(self, who: str) -> str:
        """Whoever makes a key for themselves with this credential owns it: a person, a service account, or nobody."""
        return self.keys[who].owner if who in self.keys else who

    def may_read(self, who: str, asked: Asked) -> bool:
        """Does ``who`` see what was asked then? A service account acts by its keys, and each sees what all of them asked; a person's key
        sees what was asked with its own line alone."""
        key, owner, place = asked
        if who in self.keys:
            own = self.keys[who].line == self.keys[key].line or (owner in self.accounts and owner == self.keys[who].owner)
        else:
            own = owner == who
        return self.alive(who) and (own or (who, "read_records", place) in self.triples)

    def lasting_admins(self) -> list[str]:
        """People who never signed in, and keys that end, do not count; nor do service accounts, which act by their keys."""
        return [
            who
            for who in [*self.users, *self.keys]
            if {(who, what, "") for what in ALL} <= self.triples
            and (self.users[who].subject != "" if who in self.users else self.keys[who].expires_ns is None)
        ]


def unexplained(before: World, after: World, actor: str) -> Iterator[str]:
    """What somebody has after ``actor``'s change, not before it, and ``actor`` did not have either."""
    ceiling = before.ceilings[actor]
    for who, what, where in after.triples:
        there = where if where in before.places else above(where)  # a place that is new was a part of the one above it
        new = (who, what, there) not in before.triples
        if new and (actor, what, there) not in before.triples:
            yield f"{who} may {what} at {where!r}"
        reach = after.reaches[who, where]
        if (new or not inside(reach, before.reaches[who, there])) and not inside(reach, ceiling):
            yield f"{who} reaches further at {where!r}"
    for who in after.keys:
        if after.alive(who):
            reach = after.ceilings[who]
            grown = who not in before.keys or not before.alive(who) or not inside(reach, before.ceilings[who])
            if grown and not inside(reach, ceiling):
                yield f"{who} reaches further"


def overheard(before: World, actor: str, records: Iterable[tuple[Asked, set[str]]]) -> Iterator[str]:
    """What ``actor``, who made keys and got to see them, reads with them that is neither their own nor was theirs to read.

    ``records`` has each with those of the keys that see it, as the code says.
    """
    for asked, readers in records:
        own = asked[1] != "" and asked[1] == before.acts_for(actor)
        if not own and not before.may_read(actor, asked):
            yield from (f"{actor} made {who}, which reads what {asked[0]} asked" for who in readers)


def unauthorised(before: World, after: World, actor: str, tops: Mapping[str, str]) -> Iterator[str]:
    """What ``actor`` changed without the permission for it. ``tops`` has the topmost place from which each budget was set."""

    def has(what: str, where: str) -> bool:
        return (actor, what, where) in before.triples

    for path, place in after.places.items():
        was = before.places.get(path)
        if was is None:
            fine = has("manage_places", above(path))
        elif was != place:
            wider = not (tokens(place.scope) <= tokens(was.scope) and rate(place.limits) <= rate(was.limits))
            fine = has("manage_places", above(path) if wider or (was.closed and not place.closed) else path)
        else:
            continue
        if not fine:
            yield f"place {path}"
    for who, user in after.users.items():
        if before.users.get(who) != user and actor != who and not any(has("manage_people", where) for where in before.places):
            yield who
    for who, account in after.accounts.items():
        if before.accounts.get(who) != account and not has("manage_people", account.place):
            yield who
    for who, key in after.keys.items():
        own = who == actor or (key.owner and key.owner in (actor, before.keys[actor].owner if actor in before.keys else actor))
        fine = has("manage_keys", key.place) or (bool(own) and has("manage_own_keys", key.place))
        if before.keys.get(who) != key and not fine:
            yield who
        home = after.accounts[key.owner].place if key.owner in after.accounts else None
        speaks = key.owner in ("", before.acts_for(actor)) or (home is not None and has("manage_keys", home))
        if who not in before.keys and not speaks:
            yield f"{who}, which speaks for {key.owner}"
    for id in before.grants.keys() ^ after.grants.keys():
        grant = before.grants.get(id) or after.grants[id]
        rotated = grant.holder in after.keys and grant.holder not in before.keys
        if not rotated and not has("manage_grants", grant.place):
            yield f"grant {id}"
    for id in before.budgets.keys() | after.budgets.keys():
        if before.budgets.get(id) != after.budgets.get(id) and id in before.budgets and not has("manage_budgets", tops[id]):
            yield f"budget {id}, which was set at {tops[id]!r}"
        if id not in before.budgets and not has("manage_budgets", budget_place(after, after.budgets[id])):
            yield f"budget {id}"


def budget_place(world: World, budget: Budget) -> str:
    kind, _, id = budget.of.partition(":")
    return {"place": id, "key": world.keys[f"key:{id}"].place if kind == "key" else "", "tag": ""}[kind]
