"""No path leads to a right that was not granted: random people and keys try everything, and a second account of rights looks on.

The model (``rights_model``) is written differently from the code. After each change it asks who has what they had not before, and whether
whoever made the change had it; from the first key on, that explains every right there is by a chain of grants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace
from tests.laws.rights_model import (
    MODELS,
    ZONES,
    Asked,
    World,
    above,
    budget_place,
    overheard,
    path_of,
    rate,
    tokens,
    unauthorised,
    unexplained,
)
from tests.support.accounts import ListedAccounts, at_once

from trimtab.core.accounts import ANY_SCOPE, NO_LIMITS, Budget, Change, Limits, Period, Permission, Role, Scope
from trimtab.core.errors import RequestError, Unauthenticated
from trimtab.core.record import Record
from trimtab.core.units import NanoUSD
from trimtab.engine.access import AccountBook, Actor, Directory, Edit, NewKey, Sight, build, digest, rules
from trimtab.engine.access.edits import put
from trimtab.engine.access.law import no_more_than_own
from trimtab.lab.check_store.samples import sample_intent
from trimtab.lab.clock import EPOCH_NS, ManualClock
from trimtab.store.directory import replay

T = TypeVar("T")
Build = Callable[[Directory, Actor], Sequence[Edit]]

PATHS = ("a", "a/x", "a/x/p", "ab", "ab/y")
"""One is the beginning of another and is not above it."""
scopes = st.builds(
    Scope,
    models=st.none() | st.frozensets(st.sampled_from(MODELS)),
    zones=st.none() | st.frozensets(st.sampled_from(ZONES)),
    may_lower=st.booleans(),
)
limits = st.builds(Limits, requests_per_minute=st.sampled_from((None, 10, 100)))
ADMIN = f"key:bootstrap-{EPOCH_NS:020}"
"""By the first id that the book makes."""


class Rights(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.store = ListedAccounts()
        self.count = 0
        self.book = AccountBook(self.store, self.clock, lambda at_ns: f"{at_ns:020}")
        self.secrets = {ADMIN: "tt-0"}
        self.tops: dict[str, str] = {}
        self.records: dict[Asked, Record] = {}
        self._moment, self._world = (-1, -1), World((), 0)
        self.looked_at = self._world
        at_once(self.book.ensure_bootstrap(digest("tt-0"), "up"))

    def fresh(self) -> str:
        self.count += 1
        return str(self.count)

    def world(self) -> World:
        moment = (len(self.store.log), self.clock.time_ns())
        if moment != self._moment:
            self._moment, self._world = moment, World(self.store.entities.values(), self.clock.time_ns())
        return self._world

    def attempt(self, actor: str, build: Build) -> bool:
        """Have ``actor`` try, and hold what became of it against the model. Gives whether it was done."""
        before, kept = self.world(), dict(self.store.entities)
        rows, revision = len(self.store.log), self.book.directory.revision
        try:
            at_once(self.book.apply(self.book.actor(actor), build))
        except RequestError:
            assert (kept, rows, revision) == (self.store.entities, len(self.store.log), self.book.directory.revision)
            return False
        after = self.world()
        assert [*unexplained(before, after, actor), *unauthorised(before, after, actor, self.tops)] == []
        made = after.keys.keys() - before.keys.keys()
        assert not made or [*overheard(before, actor, self.seen(made))] == []
        assert {actor} >= {change.actor for change in self.store.log[rows:]}
        for id, budget in after.budgets.items():
            if before.budgets.get(id) != budget:
                held = [
                    where for where in path_of(budget_place(after, budget)) if (actor, "manage_budgets", where) in before.triples
                ]
                self.tops[id] = min(held, key=len)
        self.tops = {id: top for id, top in self.tops.items() if id in after.budgets}
        return True

    def seen(self, them: Iterable[str]) -> list[tuple[Asked, set[str]]]:
        """Each record, and who of them sees it as the code says."""
        sights = {who: Sight(self.book.directory, self.book.actor(who)) for who in them if self.world().alive(who)}
        return [
            (asked, {who for who, sight in sights.items() if sight.sees_record(record)}) for asked, record in self.records.items()
        ]

    def ask(self, who: str) -> None:
        """A request with a key leaves a record. What a line asked before tells no more than what it asked last; a few lines are enough."""
        key = self.world().keys[who]
        intent = replace(sample_intent(1, key_id=key.id), owner=key.owner, place=key.place)
        self.records = {asked: record for asked, record in self.records.items() if self.world().keys[asked[0]].line != key.line}
        if len(self.records) < 6:
            self.records[who, key.owner, key.place] = Record(intent)

    def somebody(self, data: st.DataObject, what: str, where: str) -> str:
        """Mostly somebody who may do such a thing there, or something somewhere: those who may nothing are refused soon."""
        world = self.world()
        asked = {who for who, held, place in world.triples if (held, place) == (what, where)}
        groups = (
            asked & set(world.users),
            asked & set(world.keys) - {ADMIN},
            {who for who, _, _ in world.triples},
            set(world.everybody()),
        )
        them = sorted(data.draw(st.sampled_from(groups)) - set(world.accounts))
        return data.draw(self.one_of(them or [ADMIN]), label="actor")

    def one_of(self, them: Sequence[T]) -> st.SearchStrategy[T]:
        return st.sampled_from(them)

    @initialize()
    def furnish(self) -> None:
        """Something to begin with, made by the first key as anybody would."""
        narrow = Scope(models=frozenset({"m1"}), may_lower=True)
        self.make_place(ADMIN, "a", ANY_SCOPE, Limits(requests_per_minute=100))
        self.make_place(ADMIN, "a/x", ANY_SCOPE, NO_LIMITS)
        self.make_place(ADMIN, "ab", narrow, NO_LIMITS)
        for id, role, place in (
            ("ann", Role.ADMIN, "a"),
            ("oli", Role.OPERATOR, "a/x"),
            ("mia", Role.MEMBER, "a"),
            ("bea", Role.ADMIN, "ab"),
        ):
            self.make_user(ADMIN, id)
            at_once(self.book.sign_in(subject=f"idp|{id}", email=f"{id}@example.test"))
            self.grant(ADMIN, f"user:{id}", role, place)
        self.attempt(ADMIN, lambda d, a: rules.create_service_account(d, a, id="bot", place="a"))
        self.make_key(ADMIN, "a", "service_account:bot", None, None, None)
        self.make_key("user:mia", "a", "user:mia", None, None, None)
        self.make_key(ADMIN, "a", "", Scope(models=frozenset({"m1"})), Limits(requests_per_minute=100), 5_000)
        self.grant(ADMIN, max(self.secrets), Role.ADMIN, "a")
        budget = Budget(id="b1", of="place:a", period=Period.MONTH, limit=NanoUSD(1))
        self.attempt(ADMIN, lambda d, a: rules.put_budget(d, a, budget))

    def make_place(self, actor: str, path: str, scope: Scope, limits: Limits) -> None:
        self.attempt(actor, lambda d, a: rules.create_place(d, a, path, scope=scope, limits=limits))

    def make_user(self, actor: str, id: str) -> None:
        self.attempt(actor, lambda d, a: rules.create_user(d, a, id=id, email=f"{id}@example.test"))

    def grant(self, actor: str, holder: str, role: Role, place: str) -> bool:
        return self.attempt(actor, lambda d, a: rules.grant_role(d, a, id=self.fresh(), holder=holder, role=role, place=place))

    def make_key(self, actor: str, place: str, owner: str, scope: Scope | None, limits: Limits | None, seconds: int | None) -> None:
        id = f"k{self.fresh()}"
        expires_ns = None if seconds is None else self.clock.time_ns() + seconds * 10**9
        asked = NewKey(
            id=id, digest=digest(f"tt-{id}"), place=place, owner=owner, scope=scope, limits=limits, expires_ns=expires_ns
        )
        if self.attempt(actor, lambda d, a: rules.create_key(d, a, asked)):
            self.secrets[f"key:{id}"] = f"tt-{id}"
            self.ask(f"key:{id}")

    @rule(data=st.data(), path=st.sampled_from(PATHS), scope=scopes, limits=limits)
    def create_place(self, data: st.DataObject, path: str, scope: Scope, limits: Limits) -> None:
        self.attempt(
            self.somebody(data, "manage_places", above(path)),
            lambda d, a: rules.create_place(d, a, path, scope=scope, limits=limits),
        )

    @rule(data=st.data(), scope=st.none() | scopes, limits=st.none() | limits)
    def alter_place(self, data: st.DataObject, scope: Scope | None, limits: Limits | None) -> None:
        path = data.draw(self.one_of(sorted(self.world().places)))
        self.attempt(
            self.somebody(data, "manage_places", path), lambda d, a: rules.alter_place(d, a, path, scope=scope, limits=limits)
        )

    @rule(data=st.data(), change=st.sampled_from((rules.close_place, rules.reopen_place)))
    def close_or_reopen(self, data: st.DataObject, change: Callable[[Directory, Actor, str], Sequence[Edit]]) -> None:
        path = data.draw(self.one_of(sorted(self.world().places)))
        self.attempt(self.somebody(data, "manage_places", path), lambda d, a: change(d, a, path))

    @rule(data=st.data(), name=st.sampled_from(("ned", "pia")))
    def create_user(self, data: st.DataObject, name: str) -> None:
        self.make_user(self.somebody(data, "manage_people", "a"), name)

    @rule(name=st.sampled_from(("ann", "ned", "pia", "nobody")))
    def sign_in(self, name: str) -> None:
        before = self.world()
        try:
            user = at_once(self.book.sign_in(subject=f"idp|{name}", email=f"{name}@example.test"))
        except RequestError:
            assert f"user:{name}" not in before.users or before.users[f"user:{name}"].disabled
        else:
            assert (name, f"idp|{name}", False) == (user.id, user.subject, before.users[f"user:{name}"].disabled)
            assert before.triples == self.world().triples

    @rule(data=st.data(), disabled=st.sampled_from((True, False)))
    def switch_user(self, data: st.DataObject, disabled: bool) -> None:
        id = data.draw(self.one_of(sorted(self.world().users))).removeprefix("user:")
        self.attempt(self.somebody(data, "manage_people", "a"), lambda d, a: rules.switch_user(d, a, id, disabled=disabled))

    @rule(data=st.data(), place=st.sampled_from(("", *PATHS)))
    def create_service_account(self, data: st.DataObject, place: str) -> None:
        self.attempt(
            self.somebody(data, "manage_people", place),
            lambda d, a: rules.create_service_account(d, a, id=f"s{self.fresh()}", place=place),
        )

    @rule(data=st.data(), disabled=st.sampled_from((True, False)))
    def switch_service_account(self, data: st.DataObject, disabled: bool) -> None:
        id = data.draw(self.one_of(sorted(self.world().accounts))).removeprefix("service_account:")
        self.attempt(
            self.somebody(data, "manage_people", "a"), lambda d, a: rules.switch_service_account(d, a, id, disabled=disabled)
        )

    @rule(data=st.data(), role=st.sampled_from(Role), place=st.sampled_from(("", *PATHS)))
    def grant_role(self, data: st.DataObject, role: Role, place: str) -> None:
        holder = data.draw(self.one_of(self.world().everybody()), label="holder")
        self.grant(self.somebody(data, "manage_grants", place), holder, role, place)

    @rule(data=st.data())
    @precondition(lambda self: self.world().grants)
    def revoke_role(self, data: st.DataObject) -> None:
        id = data.draw(self.one_of(sorted(self.world().grants)))
        self.attempt(self.somebody(data, "manage_grants", self.world().grants[id].place), lambda d, a: rules.revoke_role(d, a, id))

    @rule(data=st.data(), place=st.sampled_from(("", *PATHS)), scope=st.none() | scopes, limits=st.none() | limits)
    def create_key(self, data: st.DataObject, place: str, scope: Scope | None, limits: Limits | None) -> None:
        actor, world = self.somebody(data, "manage_own_keys", place), self.world()
        mine = world.keys[actor].owner if actor in world.keys else actor
        owner = data.draw(self.one_of(["", mine, *world.users, *world.accounts]), label="owner")
        self.make_key(actor, place, owner, scope, limits, data.draw(st.sampled_from((None, 50, 10_000)), label="seconds"))

    @rule(data=st.data())
    def make_a_key_in_a_name(self, data: st.DataObject) -> None:
        """One that nothing else stands against: whose name may it carry?"""
        place = data.draw(self.one_of(sorted(self.world().places)), label="place")
        owner = data.draw(self.one_of(sorted({asked[1] for asked in self.records})), label="owner")
        self.make_key(self.somebody(data, "manage_keys", place), place, owner, None, None, None)

    @rule(data=st.data(), overlap=st.sampled_from((0, 60, 86_400)))
    def rotate_key(self, data: st.DataObject, overlap: float) -> None:
        old = data.draw(self.one_of(sorted(self.secrets)), label="key").removeprefix("key:")
        actor, id = self.somebody(data, "manage_own_keys", self.world().keys[f"key:{old}"].place), f"k{self.fresh()}"
        if self.attempt(actor, lambda d, a: rules.rotate_key(d, a, old, id=id, digest=digest(f"tt-{id}"), overlap_seconds=overlap)):
            self.secrets[f"key:{id}"] = f"tt-{id}"
            self.ask(f"key:{id}")
            world = self.world()
            assert world.keys[f"key:{old}"].line == world.keys[f"key:{id}"].line
            assert overlap == 0 or world.ceilings[f"key:{old}"][:2] == world.ceilings[f"key:{id}"][:2]

    @rule(data=st.data())
    def revoke_key(self, data: st.DataObject) -> None:
        id = data.draw(self.one_of(sorted(self.secrets)), label="key").removeprefix("key:")
        self.attempt(
            self.somebody(data, "manage_own_keys", self.world().keys[f"key:{id}"].place), lambda d, a: rules.revoke_key(d, a, id)
        )

    @rule(data=st.data(), limit=st.integers(0, 3), hard=st.booleans(), id=st.sampled_from(("b1", "b2")))
    def put_budget(self, data: st.DataObject, limit: int, hard: bool, id: str) -> None:
        world = self.world()
        of = data.draw(self.one_of([*(f"place:{path}" for path in world.places), *sorted(world.keys), "tag:demo"]), label="of")
        budget = Budget(id=id, of=of, period=Period.DAY, limit=NanoUSD(limit), hard=hard)
        self.attempt(self.somebody(data, "manage_budgets", "a"), lambda d, a: rules.put_budget(d, a, budget))

    @rule(data=st.data(), id=st.sampled_from(("b1", "b2")))
    def remove_budget(self, data: st.DataObject, id: str) -> None:
        self.attempt(self.somebody(data, "manage_budgets", "a"), lambda d, a: rules.remove_budget(d, a, id))

    @rule(seconds=st.sampled_from((1, 60, 6_000, 90_000)))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def all_is_well(self) -> None:
        if self.world() is not self.looked_at:  # what was refused has changed nothing
            self.looked_at = self.world()
            self.the_code_sees_what_the_model_sees()
            self.a_key_opens_while_it_lives()
            self.the_log_tells_it_all()
            assert self.world().lasting_admins()

    def the_code_sees_what_the_model_sees(self) -> None:
        world, directory = self.world(), self.book.directory
        seen = set()
        for who in world.everybody():
            grants = directory.rights(who, self.clock.time_ns())
            actor = Actor(holder=who, principal="", grants=grants, now_ns=0)
            seen |= {(who, what, where) for what in Permission for where in world.places if grants and actor.may(what, where)}
        assert world.triples == seen
        them = [*world.users, *world.keys]
        for asked, readers in self.seen(them):
            assert readers == {who for who in them if world.may_read(who, asked)}, asked

    def a_key_opens_while_it_lives(self) -> None:
        world = self.world()
        for who, secret in self.secrets.items():
            try:
                holder = self.book.authenticate(secret)
            except Unauthenticated:
                assert not world.alive(who)
            else:
                assert world.alive(who)
                assert world.ceilings[who][:2] == (tokens(holder.scope), rate(holder.limits))

    def the_log_tells_it_all(self) -> None:
        async def told() -> list[Change]:
            return [change async for change in self.book.audit(limit=10_000)]

        revision, entities = replay(at_once(told()))
        current = build(*at_once(self.store.directory()))
        assert (self.book.directory.revision, dict(self.book.directory.entities)) == (current.revision, dict(current.entities))
        assert (revision, dict(entities)) == (current.revision, self.store.entities)


CALM = settings(max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
HUNT = settings(
    CALM,
    max_examples=200,
    stateful_step_count=40,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    derandomize=True,
    database=None,
)


def test_no_path_leads_to_a_right_that_was_not_granted() -> None:
    run_state_machine_as_test(Rights, settings=CALM)


def _as_it_is(before: Directory, actor: Actor, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    return edits


def _no_law(patch: pytest.MonkeyPatch) -> None:
    for module in ("grants", "keys", "people", "places"):
        patch.setattr(f"trimtab.engine.access.rules.{module}.no_more_than_own", _as_it_is)


def _no_lock(patch: pytest.MonkeyPatch) -> None:
    for module in ("grants", "keys", "people", "places"):
        patch.setattr(f"trimtab.engine.access.rules.{module}.keeps_an_admin", _as_it_is)


def _no_permission_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "require", lambda actor, permission, place: None)


def _no_ceiling(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "covers", lambda actor, scope, limits, expires_ns: True)


def _any_place_that_begins_so(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("trimtab.engine.access.actor.is_within", str.startswith)


def _the_dead_hold_rights(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Directory, "barred", lambda directory, holder, now_ns: "")


def _closing_does_not_reach_down(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Directory, "is_open", lambda directory, place: not directory.standings[place].place.closed)


def _budgets_of_ones_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "topmost", lambda actor, permission, place: place)


def _widening_from_within(patch: pytest.MonkeyPatch) -> None:
    def alter_place(
        directory: Directory, actor: Actor, path: str, *, scope: Scope | None, limits: Limits | None
    ) -> tuple[Edit, ...]:
        actor.require(Permission.MANAGE_PLACES, path)
        held = directory.standings[path].place
        return no_more_than_own(directory, actor, put(replace(held, scope=scope or held.scope, limits=limits or held.limits)))

    patch.setattr(rules, "alter_place", alter_place)


def _anybodys_name_on_a_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("trimtab.engine.access.rules.keys._speaks_for", lambda directory, actor, owner: None)


def _a_key_is_its_owner(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sight, "oneself", property(lambda sight: sight.actor.principal or sight.actor.holder))


MISTAKES = (
    _anybodys_name_on_a_key,
    _a_key_is_its_owner,
    _no_law,
    _no_lock,
    _no_permission_asked,
    _no_ceiling,
    _any_place_that_begins_so,
    _the_dead_hold_rights,
    _closing_does_not_reach_down,
    _budgets_of_ones_own,
    _widening_from_within,
)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_machine_finds_a_mistake(mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Rights, settings=HUNT)
