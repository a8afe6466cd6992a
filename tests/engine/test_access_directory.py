"""What follows from the accounts: laws that hold for any of them, and what is missing closes doors."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.accounts import (
    ANY_SCOPE,
    ROOT,
    Grant,
    Limits,
    Place,
    Role,
    Scope,
    ServiceAccount,
    User,
    VirtualKey,
    ancestors,
    parent_of,
)
from trimtab.core.catalog import Tier
from trimtab.engine.access import build, digest

PATHS = ("a", "a/x", "a/x/p", "ab")
sets = st.none() | st.frozensets(st.sampled_from(("m1", "m2", "m3")))
scopes = st.builds(Scope, models=sets, tiers=st.none() | st.frozensets(st.sampled_from(Tier)), zones=sets, may_lower=st.booleans())
figures = st.none() | st.integers(0, 9)
limits = st.builds(Limits, requests_per_minute=figures, tokens_per_minute=figures, concurrency=figures)


def key(place: str, owner: str = "", **more: object) -> VirtualKey:
    return VirtualKey(id="k", digest=digest("tt-k"), place=place, owner=owner, **more)  # type: ignore[arg-type]


@given(
    st.tuples(*(st.builds(Place, path=st.just(path), scope=scopes, limits=limits, closed=st.booleans()) for path in PATHS)),
    scopes,
    limits,
)
@settings(max_examples=100, deadline=None)
def test_a_place_allows_no_more_than_any_place_above_it(places: tuple[Place, ...], scope: Scope, own: Limits) -> None:
    by_path = {place.path: place for place in places}
    for path in PATHS:
        directory = build(1, (*reversed(places), key(path, scope=scope, limits=own)))
        holder = directory.by_digest[digest("tt-k")]
        above = [by_path[above] for above in ancestors(path) if above != ROOT]
        for outer, figure in ((place.scope, place.limits) for place in above):
            assert outer.covers(holder.scope)
            assert figure.covers(holder.limits)
        assert scope.covers(holder.scope)
        assert any(place.closed for place in above) == bool(holder.barred)
        assert holder.chain == tuple((place.path, place.limits) for place in (*above, Place(path=ROOT)))


def test_the_installation_is_there_without_being_written_down() -> None:
    directory = build(0, (key(ROOT, scope=ANY_SCOPE),))
    assert directory.by_digest[digest("tt-k")].opens(0)
    assert directory.standings[ROOT].scope == ANY_SCOPE


def test_what_is_missing_closes_doors() -> None:
    assert "is not there" in build(0, (key("a"),)).holders["k"].barred
    assert "is not there" in build(0, (Place(path="a/x"), key("a/x"))).holders["k"].barred, "the place above is missing"
    assert "is not there" in build(0, (key(ROOT, "user:gone"),)).holders["k"].barred
    assert not Scope(models=frozenset({"m1"})).covers(ANY_SCOPE)
    assert build(0, (key("a"),)).holders["k"].scope.models == frozenset()


def test_a_service_account_acts_by_its_keys_and_a_person_does_not() -> None:
    entities = (Place(path="a"), ServiceAccount(id="bot", place="a"), User(id="ann"))
    for owner, carried in (("service_account:bot", 1), ("user:ann", 0)):
        grant = Grant(id="g", holder=owner, role=Role.ADMIN, place="a")
        assert carried == len(build(0, (*entities, grant, key("a", owner))).rights("key:k", 0))


def test_what_was_granted_at_a_closed_place_counts_for_nothing() -> None:
    grants = (
        Grant(id="1", holder="user:ann", role=Role.ADMIN, place="a/x"),
        Grant(id="2", holder="user:ann", role=Role.MEMBER, place=ROOT),
    )
    directory = build(0, (Place(path="a", closed=True), Place(path="a/x"), User(id="ann"), *grants))
    assert grants[1:] == directory.rights("user:ann", 0)


def test_parents() -> None:
    assert [(path, parent_of(path)) for path in ("a/x/p", "a/x", "a", ROOT)] == [
        ("a/x/p", "a/x"),
        ("a/x", "a"),
        ("a", ROOT),
        (ROOT, ROOT),
    ]


@given(limits, limits, limits)
def test_limits_meet_in_the_tighter_one(a: Limits, b: Limits, c: Limits) -> None:
    assert a.meet(b) == b.meet(a)
    assert (a.covers(c) and b.covers(c)) == a.meet(b).covers(c)
