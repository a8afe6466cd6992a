"""What follows from the accounts: laws that hold for any of them, and what is missing closes doors."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.accounts import (
    ANY_SCOPE,
    ROOT,
    Budget,
    Grant,
    Limits,
    Period,
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
from trimtab.core.units import NanoUSD
from trimtab.engine.access import build, digest
from trimtab.engine.access.directory import KEPT_DAYS, lately

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
        everybody = (("key:k", own), *((f"place:{place.path}", place.limits) for place in (*above, Place(path=ROOT))))
        assert holder.chain == (everybody if any(limits != Limits() for _, limits in everybody) else ())


def test_the_installation_is_there_without_being_written_down() -> None:
    directory = build(0, (key(ROOT, scope=ANY_SCOPE),))
    assert directory.by_digest[digest("tt-k")].opens(0)
    assert directory.standings[ROOT].scope == ANY_SCOPE


def test_what_is_missing_closes_doors() -> None:
    assert "is not there" in build(0, (key("a"),)).keys["k"].barred
    assert "is not there" in build(0, (Place(path="a/x"), key("a/x"))).keys["k"].barred, "the place above is missing"
    assert "is not there" in build(0, (key(ROOT, "user:gone"),)).keys["k"].barred
    assert not Scope(models=frozenset({"m1"})).covers(ANY_SCOPE)
    assert build(0, (key("a"),)).keys["k"].scope.models == frozenset()


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


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("", "a", "b")), st.sampled_from((None, 0, 1, 2)), st.sampled_from((None, 0, 1, 2)), st.booleans()
        ),
        max_size=8,
    )
)
@settings(max_examples=200, deadline=None)
def test_what_ended_long_ago_is_not_there_and_takes_nothing_along(rows: list[tuple[str, int | None, int | None, bool]]) -> None:
    """Times are in spans of what is kept: at 1, what ended at 0 is long gone."""
    span = KEPT_DAYS * 86_400 * 10**9
    ends = [tuple(None if end is None else end * span for end in row[1:3]) for row in rows]
    keys = [
        VirtualKey(
            id=f"{row[0]}{number}",
            digest=digest(str(number)),
            place="a",
            first=row[0] and f"{row[0]}0",
            expires_ns=end,
            revoked_ns=other,
        )
        for number, (row, (end, other)) in enumerate(zip(rows, ends, strict=True))
    ]
    grants = [Grant(id=key.id, holder=f"key:{key.id}", role=Role.MEMBER, place="a") for key in keys]
    budgets = [
        Budget(id=key.id, of=f"key:{key.id}", period=Period.DAY, limit=NanoUSD(1))
        for key, row in zip(keys, rows, strict=True)
        if row[3]
    ]
    whole = build(1, (Place(path="a"), *keys, *grants, *budgets))
    kept = build(1, lately(whole.entities.values(), span, named={digest("3")}))
    assert kept.by_digest.keys() <= whole.by_digest.keys()
    ended_ids = {key.id for key in keys if any(end is not None and end <= 0 for end in (key.expires_ns, key.revoked_ns))}
    living = {key.line for key in keys if key.id not in ended_ids}
    for key in keys:
        if not (ended := key.id in ended_ids):
            assert kept.keys[key.id] == whole.keys[key.id]
        if key.id in kept.keys:
            assert not ended or key.digest == digest("3") or kept.budgets.get(f"key:{key.id}") or key.line in living
        assert whole.rights(f"key:{key.id}", span) == kept.rights(f"key:{key.id}", span)
        assert (key.id in kept.keys) == (kept.find(Grant, key.id) is not None)
    for budget in budgets:
        assert kept.find(VirtualKey, budget.of.removeprefix("key:")) is not None


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
