"""All accounts at one revision, with what follows from them worked out once: what a place allows, what a key may reach, who holds what.

A snapshot and never a store: it is built from entities, reads no clock, and does not know by which rules entities come to be. Every doubt
closes a door: a place without the place above it, an owner that is not there, take no requests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from msgspec import Struct

from trimtab.core.accounts import (
    NO_LIMITS,
    ROOT,
    Budget,
    Entity,
    Grant,
    Limits,
    Place,
    Role,
    Scope,
    ServiceAccount,
    User,
    VirtualKey,
    address_key,
    holder_of,
    key_of,
    parent_of,
)
from trimtab.core.units import DAY_NS
from trimtab.engine.access.edits import Edit

E = TypeVar("E", bound=Entity)

KEPT_DAYS = 30
"""For so long after its end a key is still told from one that never was. The log, and so the audit, has it for good."""

_KINDS: Mapping[type, str] = {
    Place: "place",
    User: "user",
    ServiceAccount: "service_account",
    Grant: "grant",
    VirtualKey: "key",
    Budget: "budget",
}


class Standing(Struct, frozen=True, kw_only=True):
    """What holds at a place: what it and every place above it allow together.

    ``limits`` are the tightest figures of the chain. ``chain`` has each place that a request from here counts for as ``place:PATH``,
    nearest first, with that place's own limits. ``barred`` says why nothing here takes requests; empty when nothing is against it.
    """

    place: Place
    scope: Scope
    limits: Limits
    chain: tuple[tuple[str, Limits], ...]
    barred: str = ""


class LiveKey(Struct, frozen=True, kw_only=True):
    """A key as a request meets it. ``scope`` and ``limits`` are what the key and its places leave together. ``chain`` has whoever limits
    its rates, ``key:LINE`` and then each ``place:PATH`` above it; it is empty where none of them sets a limit.

    ``barred`` says why the key opens nothing, whatever the time: a closed place, an owner who is disabled. Whether the key itself was
    revoked or has expired depends on the time: :meth:`opens` answers both.
    """

    key: VirtualKey
    scope: Scope
    limits: Limits
    chain: tuple[tuple[str, Limits], ...]
    barred: str = ""

    def opens(self, now_ns: int) -> bool:
        return not self.barred and self.key.opens(now_ns)


class Directory(Struct, frozen=True, eq=False, kw_only=True):
    """``by_digest`` is the hot path's only look-up.

    A holder is ``user:ID``, ``service_account:ID`` or ``key:ID``. ``held`` has the grants by holder as they were given; :meth:`rights`
    are those that count. ``keys`` has the keys by id, ``owned`` by owner; ``budgets`` are by what they are over. ``by_email`` goes by
    :func:`address_key`.
    """

    revision: int
    entities: Mapping[tuple[str, str], Entity]
    standings: Mapping[str, Standing]
    keys: Mapping[str, LiveKey]
    by_digest: Mapping[bytes, LiveKey]
    held: Mapping[str, tuple[Grant, ...]]
    owned: Mapping[str, tuple[VirtualKey, ...]]
    budgets: Mapping[str, tuple[Budget, ...]]
    by_subject: Mapping[str, User]
    by_email: Mapping[str, User]

    def all(self, kind: type[E]) -> Iterator[E]:
        return (entity for entity in self.entities.values() if isinstance(entity, kind))

    def find(self, kind: type[E], id: str) -> E | None:
        found = self.entities.get((_KINDS[kind], id))
        return found if isinstance(found, kind) else None

    def now(self, kind: type[E], id: str) -> E:
        """What is known to be there."""
        found = self.find(kind, id)
        if found is None:
            raise LookupError(f"there is no {kind.__name__} {id}")
        return found

    def key_behind(self, holder: str) -> LiveKey | None:
        """``None`` for a holder that is no key, and for a key that is not there."""
        kind, _, id = holder.partition(":")
        return self.keys.get(id) if kind == "key" else None

    def barred(self, holder: str, now_ns: int) -> str:
        """Why ``holder`` has no rights at all just now; empty when they have those that they were granted."""
        found = self.key_behind(holder)
        if found is None:
            return _owner_barred(self.entities, self.standings, holder)
        if found.key.revoked_ns is not None:
            return "it was revoked"
        return found.barred or ("" if found.key.opens(now_ns) else "it has expired")

    def rights(self, holder: str, now_ns: int) -> tuple[Grant, ...]:
        """The grants that ``holder`` can use: none while barred, and none that were given at a place that is closed by now.

        A service account has no other way to act than its keys, so they carry its grants beside their own. A person signs in to act:
        their keys carry only what was granted to the key itself.
        """
        grants = self.held.get(holder, ())
        found = self.key_behind(holder)
        if found is not None and found.key.owner.startswith("service_account:"):
            grants += self.held.get(found.key.owner, ())
        if not grants or self.barred(holder, now_ns):  # most keys hold nothing, and there are many
            return ()
        return tuple(grant for grant in grants if self.is_open(grant.place))

    def keys_of(self, line: str) -> Iterator[str]:
        """The ids of the keys of one line of rotations."""
        return (key.id for key in self.all(VirtualKey) if key.line == line)

    def felt_at(self, holder: str) -> frozenset[str]:
        """Every place where ``holder`` was given a role or owns a key."""
        granted, owned = self.held.get(holder, ()), self.owned.get(holder, ())
        return frozenset(grant.place for grant in granted) | frozenset(key.place for key in owned)

    def is_open(self, place: str) -> bool:
        standing = self.standings.get(place)
        return standing is not None and not standing.barred

    def everybody(self) -> Iterator[str]:
        """Whoever could hold a right."""
        return (holder_of(entity) for entity in self.entities.values() if isinstance(entity, User | ServiceAccount | VirtualKey))

    def admins(self, now_ns: int) -> Iterator[tuple[str, bool]]:
        """Who can administer the whole installation, and whether that lasts: a key that expires, or a person who has never signed in, may
        be of no help tomorrow. Service accounts are counted by their keys."""
        for holder in self.everybody():
            if any(grant.role is Role.ADMIN and grant.place == ROOT for grant in self.rights(holder, now_ns)):
                match self.entities[_known_by(holder)]:
                    case VirtualKey(expires_ns=expires_ns):
                        yield holder, expires_ns is None
                    case User(subject=subject):
                        yield holder, bool(subject)

    def after(self, edits: Iterable[Edit]) -> Directory:
        return build(self.revision, self.edited(edits))

    def edited(self, edits: Iterable[Edit]) -> Iterable[Entity]:
        entities = dict(self.entities)
        for edit in edits:
            if edit.action == "put":
                entities[key_of(edit.entity)] = edit.entity
            else:
                entities.pop(key_of(edit.entity), None)
        return entities.values()


def build(revision: int, entities: Iterable[Entity]) -> Directory:
    """The installation itself is always there, whether it has an entity or not."""
    root = Place(path=ROOT)
    known = {key_of(entity): entity for entity in (root, *entities)}
    standings = _standings(entity for entity in known.values() if isinstance(entity, Place))
    held: defaultdict[str, list[Grant]] = defaultdict(list)
    owned: defaultdict[str, list[VirtualKey]] = defaultdict(list)
    budgets: defaultdict[str, list[Budget]] = defaultdict(list)
    keys: dict[str, LiveKey] = {}
    people: list[User] = []
    for entity in known.values():
        match entity:
            case Grant():
                held[entity.holder].append(entity)
            case Budget():
                budgets[entity.of].append(entity)
            case VirtualKey():
                owned[entity.owner].append(entity)
                keys[entity.id] = _live(entity, known, standings)
            case User():
                people.append(entity)
    return Directory(
        revision=revision,
        entities=known,
        standings=standings,
        keys=keys,
        by_digest={live.key.digest: live for live in keys.values()},
        held=_frozen(held),
        owned=_frozen(owned),
        budgets=_frozen(budgets),
        by_subject={user.subject: user for user in people if user.subject},
        by_email={address_key(user.email): user for user in people if user.email},
    )


def ended_long_ago(key: VirtualKey, now_ns: int) -> bool:
    return any(end is not None and end <= now_ns - KEPT_DAYS * DAY_NS for end in (key.revoked_ns, key.expires_ns))


def lately(entities: Iterable[Entity], now_ns: int, named: Collection[bytes] = ()) -> list[Entity]:
    """``entities`` without the keys that ended more than :data:`KEPT_DAYS` ago, and without what was granted to those.

    A key stays while another of its line lives, which is known by it and sees its records, and where a budget is over it. So do those whose
    digests are ``named``.
    """
    known = list(entities)
    ended = {entity.id: entity for entity in known if isinstance(entity, VirtualKey) and ended_long_ago(entity, now_ns)}
    if not ended:
        return known
    needed = {entity.of.removeprefix("key:") for entity in known if isinstance(entity, Budget)}
    living = {entity.line for entity in known if isinstance(entity, VirtualKey) and entity.id not in ended}
    gone = {holder_of(key) for id, key in ended.items() if id not in needed and key.line not in living and key.digest not in named}
    return [
        entity
        for entity in known
        if not (isinstance(entity, VirtualKey) and holder_of(entity) in gone)
        and not (isinstance(entity, Grant) and entity.holder in gone)
    ]


def _frozen(groups: Mapping[str, list[E]]) -> dict[str, tuple[E, ...]]:
    return {name: tuple(group) for name, group in groups.items()}


def _standings(places: Iterable[Place]) -> dict[str, Standing]:
    standings: dict[str, Standing] = {}
    for place in sorted(places, key=lambda place: place.path):  # a path sorts behind those it begins with
        closed = f"the place {place.path or 'of the whole installation'} is closed" if place.closed else ""
        above = standings.get(parent_of(place.path)) if place.path else None
        if above is not None:
            standings[place.path] = Standing(
                place=place,
                scope=place.scope.meet(above.scope),
                limits=place.limits.meet(above.limits),
                chain=((f"place:{place.path}", place.limits), *above.chain),
                barred=above.barred or closed,
            )
        else:
            orphan = f"the place above {place.path} is not there" if place.path else ""
            standings[place.path] = Standing(
                place=place,
                scope=place.scope,
                limits=place.limits,
                chain=((f"place:{place.path}", place.limits),),
                barred=orphan or closed,
            )
    return standings


def _live(key: VirtualKey, known: Mapping[tuple[str, str], Entity], standings: Mapping[str, Standing]) -> LiveKey:
    standing = standings.get(key.place)
    if standing is None:
        nothing = Scope(models=frozenset(), tiers=frozenset(), zones=frozenset())
        return LiveKey(key=key, scope=nothing, limits=NO_LIMITS, chain=(), barred=f"the place {key.place} is not there")
    chain = ((f"key:{key.line}", key.limits), *standing.chain)
    return LiveKey(
        key=key,
        scope=key.scope.meet(standing.scope),
        limits=key.limits.meet(standing.limits),
        chain=chain if any(limits != NO_LIMITS for _, limits in chain) else (),
        barred=standing.barred or (_owner_barred(known, standings, key.owner) if key.owner else ""),
    )


def _owner_barred(known: Mapping[tuple[str, str], Entity], standings: Mapping[str, Standing], owner: str) -> str:
    match known.get(_known_by(owner)):
        case User(disabled=disabled):
            return f"{owner} is disabled" if disabled else ""
        case ServiceAccount(place=place, disabled=disabled):
            home = standings.get(place)
            if home is None:
                return f"the place {place} is not there"
            return f"{owner} is disabled" if disabled else home.barred
        case _:
            return f"{owner} is not there"


def _known_by(holder: str) -> tuple[str, str]:
    kind, _, id = holder.partition(":")
    return kind, id
