"""What each rule asks and makes. That no combination of them leads further, ``tests/laws/test_rights_machine.py`` holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from trimtab.core.accounts import (
    ANY_SCOPE,
    ROOT,
    Budget,
    Entity,
    Grant,
    Limits,
    Period,
    Place,
    Role,
    Scope,
    ServiceAccount,
    User,
    VirtualKey,
    fault_of_address,
)
from trimtab.core.errors import Conflict, Forbidden, MalformedRequest, NotFound, RequestError, Unauthenticated
from trimtab.core.units import NanoUSD
from trimtab.engine.access import Actor, Directory, Edit, NewKey, Sight, actor_of, build, digest, rules
from trimtab.engine.access.directory import KEPT_DAYS
from trimtab.store import Filter

NOW = 1_000 * 10**9
NARROW = Scope(models=frozenset({"m1", "m2"}), may_lower=True)
ENTITIES: tuple[Entity, ...] = (
    Place(path="acme", scope=NARROW, limits=Limits(requests_per_minute=60)),
    Place(path="acme/search"),
    Place(path="beta"),
    User(id="root", email="root@example.test", subject="idp|root"),
    User(id="ann", email="Ann@example.test", subject="idp|ann"),
    User(id="mia", email="mia@example.test"),
    User(id="bea", email="bea@example.test", subject="idp|bea", disabled=False),
    User(id="sam", email="sam@example.test", subject="idp|sam"),
    ServiceAccount(id="bot", place="acme"),
    Grant(id="g-root", holder="user:root", role=Role.ADMIN, place=ROOT),
    Grant(id="g-ann", holder="user:ann", role=Role.ADMIN, place="acme"),
    Grant(id="g-mia", holder="user:mia", role=Role.MEMBER, place="acme"),
    Grant(id="g-bea", holder="user:bea", role=Role.ADMIN, place="beta"),
    Grant(id="g-sam-o", holder="user:sam", role=Role.OPERATOR, place="acme/search"),
    Grant(id="g-sam-a", holder="user:sam", role=Role.ANALYST, place="acme"),
    Grant(id="g-bot", holder="service_account:bot", role=Role.ANALYST, place="acme"),
    VirtualKey(
        id="old", digest=digest("old"), place="acme", name="ci", scope=Scope(models=frozenset({"m1"})), expires_ns=NOW + 10**12
    ),
    Grant(id="g-old", holder="key:old", role=Role.OPERATOR, place="acme"),
    VirtualKey(id="mias", digest=digest("mias"), place="acme", owner="user:mia"),
    VirtualKey(id="bots", digest=digest("bots"), place="acme/search", owner="service_account:bot"),
    VirtualKey(id="end", digest=digest("end"), place=ROOT, scope=ANY_SCOPE, expires_ns=NOW + 10**12),
    Grant(id="g-end", holder="key:end", role=Role.ADMIN, place=ROOT),
    Budget(id="above", of="place:acme", period=Period.MONTH, limit=NanoUSD(5), set_at=ROOT),
)
BEFORE = build(7, ENTITIES)
Try = Callable[[Directory, Actor], tuple[Edit, ...]]


def do(who: str, rule: Try, directory: Directory = BEFORE) -> tuple[Edit, ...]:
    return rule(directory, actor_of(directory, who, NOW))


def made(who: str, asked: NewKey) -> VirtualKey:
    (edit,) = do(who, lambda d, a: rules.create_key(d, a, asked))
    assert isinstance(edit.entity, VirtualKey)
    return edit.entity


def new(place: str = "acme", **more: object) -> NewKey:
    return NewKey(id="new", digest=digest("new"), place=place, **more)  # type: ignore[arg-type]


def test_a_key_gets_the_most_that_its_maker_and_its_place_allow_but_may_not_lower() -> None:
    key = made("user:ann", new())
    assert key.scope == replace(NARROW, may_lower=False)
    assert key.expires_ns is None
    assert made("user:ann", new(scope=Scope(may_lower=True))).scope == NARROW


def test_a_key_made_by_a_key_reaches_no_further_and_ends_no_later() -> None:
    key = made("key:old", new("acme/search"))
    assert (frozenset({"m1"}), NOW + 10**12, 60) == (key.scope.models, key.expires_ns, key.limits.requests_per_minute)


REFUSED: tuple[tuple[str, str, Try, type[RequestError]], ...] = (
    ("scope", "user:ann", lambda d, a: rules.create_key(d, a, new(scope=Scope(models=frozenset({"m3"})))), Forbidden),
    ("expiry", "key:old", lambda d, a: rules.create_key(d, a, new(expires_ns=NOW + 10**13)), Forbidden),
    ("past", "user:ann", lambda d, a: rules.create_key(d, a, new(expires_ns=NOW)), MalformedRequest),
    ("limits", "key:old", lambda d, a: rules.create_key(d, a, new(limits=Limits(requests_per_minute=61))), Forbidden),
    ("negative", "user:ann", lambda d, a: rules.create_key(d, a, new(limits=Limits(concurrency=-1))), MalformedRequest),
    ("elsewhere", "user:ann", lambda d, a: rules.create_key(d, a, new("beta")), Forbidden),
    ("no place, from above", "user:root", lambda d, a: rules.create_key(d, a, new("gamma")), NotFound),
    ("no place, from outside", "user:ann", lambda d, a: rules.create_key(d, a, new("gamma")), Forbidden),
    ("for others", "user:mia", lambda d, a: rules.create_key(d, a, new(owner="user:ann")), Forbidden),
    ("for others, who are there", "user:root", lambda d, a: rules.create_key(d, a, new(owner="user:mia")), Forbidden),
    ("for others, who are not", "user:root", lambda d, a: rules.create_key(d, a, new(owner="user:zoe")), Forbidden),
    ("owner unknown", "user:ann", lambda d, a: rules.create_key(d, a, new(owner="service_account:zoe")), NotFound),
    ("owner unseen", "user:bea", lambda d, a: rules.create_key(d, a, new("beta", owner="service_account:bot")), NotFound),
    (
        "owner from above",
        "user:sam",
        lambda d, a: rules.create_key(d, a, new("acme/search", owner="service_account:bot")),
        Forbidden,
    ),
    ("rotate others'", "user:root", lambda d, a: rules.rotate_key(d, a, "mias", id="n", digest=digest("n")), Forbidden),
    ("rotate what is from above", "user:sam", lambda d, a: rules.rotate_key(d, a, "bots", id="n", digest=digest("n")), Forbidden),
    ("owner a key", "user:ann", lambda d, a: rules.create_key(d, a, new(owner="key:old")), MalformedRequest),
    (
        "account from elsewhere",
        "user:root",
        lambda d, a: rules.create_key(d, a, new("beta", owner="service_account:bot")),
        Forbidden,
    ),
    ("carries read_audit", "key:old", lambda d, a: rules.create_key(d, a, new(owner="service_account:bot")), Forbidden),
    ("digest again", "user:ann", lambda d, a: rules.create_key(d, a, replace(new(), digest=digest("old"))), Conflict),
    ("digest short", "user:ann", lambda d, a: rules.create_key(d, a, replace(new(), digest=b"")), Conflict),
    ("rotate upwards", "user:mia", lambda d, a: rules.rotate_key(d, a, "old", id="n", digest=digest("n")), NotFound),
    (
        "overlap",
        "user:ann",
        lambda d, a: rules.rotate_key(d, a, "old", id="n", digest=digest("n"), overlap_seconds=-1),
        MalformedRequest,
    ),
    ("not a path", "user:root", lambda d, a: rules.create_place(d, a, "Acme"), MalformedRequest),
    ("too deep", "user:root", lambda d, a: rules.create_place(d, a, "a/b/c/d"), MalformedRequest),
    ("no parent", "user:root", lambda d, a: rules.create_place(d, a, "gamma/x"), NotFound),
    ("there already", "user:root", lambda d, a: rules.create_place(d, a, "beta"), Conflict),
    ("beyond above", "user:ann", lambda d, a: rules.create_place(d, a, "acme/y", scope=Scope(models=frozenset({"m3"}))), Forbidden),
    ("widen own", "user:ann", lambda d, a: rules.alter_place(d, a, "acme", scope=ANY_SCOPE), Forbidden),
    ("faster own", "user:ann", lambda d, a: rules.alter_place(d, a, "acme", limits=Limits()), Forbidden),
    ("widen by what ends", "key:end", lambda d, a: rules.alter_place(d, a, "acme", scope=ANY_SCOPE), Forbidden),
    ("the installation", "user:root", lambda d, a: rules.close_place(d, a, ROOT), MalformedRequest),
    ("e-mail", "user:ann", lambda d, a: rules.create_user(d, a, id="z", email="z"), MalformedRequest),
    ("e-mail again", "user:ann", lambda d, a: rules.create_user(d, a, id="z", email="ANN@example.test"), Conflict),
    ("e-mail of a beta", "user:ann", lambda d, a: rules.create_user(d, a, id="z", email="bea@example.test"), Conflict),
    ("e-mail like a k", "user:ann", lambda d, a: rules.create_user(d, a, id="z", email="\u212aai@example.test"), MalformedRequest),
    ("no manager of people", "user:mia", lambda d, a: rules.create_user(d, a, id="z", email="z@example.test"), Forbidden),
    ("user of others too", "user:ann", lambda d, a: rules.switch_user(d, a, "root", disabled=True), NotFound),
    ("name", "user:root", lambda d, a: rules.create_place(d, a, "gamma", name="x" * 201), MalformedRequest),
    ("last admin's role", "user:root", lambda d, a: rules.revoke_role(d, a, "g-root"), Conflict),
    ("last admin", "user:root", lambda d, a: rules.switch_user(d, a, "root", disabled=True), Conflict),
    (
        "role beyond",
        "key:old",
        lambda d, a: rules.grant_role(d, a, id="n", holder="user:mia", role=Role.MEMBER, place="acme"),
        Forbidden,
    ),
    (
        "role again",
        "user:ann",
        lambda d, a: rules.grant_role(d, a, id="n", holder="user:mia", role=Role.MEMBER, place="acme"),
        Conflict,
    ),
    (
        "role for nobody",
        "user:ann",
        lambda d, a: rules.grant_role(d, a, id="n", holder="mia", role=Role.MEMBER, place="acme"),
        NotFound,
    ),
    ("budget from above", "user:ann", lambda d, a: rules.remove_budget(d, a, "above"), Forbidden),
    ("tag", "user:ann", lambda d, a: rules.put_budget(d, a, budget("tag:x")), Forbidden),
    ("budget of what", "user:root", lambda d, a: rules.put_budget(d, a, budget("moon")), MalformedRequest),
    (
        "below nothing",
        "user:root",
        lambda d, a: rules.put_budget(d, a, replace(budget("tag:x"), limit=NanoUSD(-1))),
        MalformedRequest,
    ),
    (
        "alert at nothing",
        "user:root",
        lambda d, a: rules.put_budget(d, a, replace(budget("tag:x"), alerts=(0.0,))),
        MalformedRequest,
    ),
)


def budget(of: str) -> Budget:
    return Budget(id="own", of=of, period=Period.DAY, limit=NanoUSD(1))


@pytest.mark.parametrize("who,rule,error", [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_with_a_next_step(who: str, rule: Try, error: type[RequestError]) -> None:
    with pytest.raises(RequestError) as refused:
        do(who, rule)
    assert type(refused.value) is error
    assert refused.value.hint


def test_rotation_hands_on_everything_and_ends_the_old_key_after_the_overlap() -> None:
    edits = do("user:ann", lambda d, a: rules.rotate_key(d, a, "old", id="n", digest=digest("n"), overlap_seconds=60))
    after = BEFORE.after(edits)
    old, fresh = after.keys["old"], after.keys["n"]
    assert (old.scope, old.limits, old.key.name, "old") == (fresh.scope, fresh.limits, fresh.key.name, fresh.key.line)
    assert BEFORE.keys["old"].key.expires_ns == fresh.key.expires_ns
    assert [(grant.role, grant.place) for grant in after.rights("key:n", NOW)] == [(Role.OPERATOR, "acme")]
    assert old.opens(NOW + 60 * 10**9 - 1)
    assert not old.opens(NOW + 60 * 10**9)
    at_once = BEFORE.after(
        do("user:ann", lambda d, a: rules.rotate_key(d, a, "old", id="n", digest=digest("n"), overlap_seconds=0))
    )
    assert not at_once.keys["old"].opens(NOW)


def test_a_key_is_made_in_ones_own_name_or_in_that_of_a_program_at_home_here() -> None:
    assert made("user:mia", new(owner="user:mia")).owner == "user:mia"
    assert made("user:ann", new("acme/search", owner="service_account:bot")).owner == "service_account:bot"
    assert do("user:mia", lambda d, a: rules.rotate_key(d, a, "mias", id="n", digest=digest("n")))
    assert do("user:ann", lambda d, a: rules.revoke_key(d, a, "mias")), "whoever manages keys ends them, whosever they are"
    assert do("user:sam", lambda d, a: rules.revoke_key(d, a, "bots"))


def test_a_persons_key_sees_its_own_and_a_programs_key_sees_the_programs() -> None:
    more = (
        VirtualKey(id="mias2", digest=digest("mias2"), place="acme", owner="user:mia"),
        VirtualKey(id="mias3", digest=digest("mias3"), place="acme", owner="user:mia", first="mias"),
        VirtualKey(id="bots2", digest=digest("bots2"), place="acme", owner="service_account:bot"),
        Grant(id="g-mias", holder="key:mias", role=Role.MEMBER, place="acme"),
    )
    directory = build(8, (*ENTITIES, *more))
    sights = {who: Sight(directory, actor_of(directory, who, NOW)) for who in ("user:mia", "key:mias", "key:mias2", "key:bots")}
    asked = [(key.id, key.owner) for key in directory.all(VirtualKey)]
    own = {who: {key for key, owner in asked if sight.is_own(key, owner)} for who, sight in sights.items()}
    assert own == {
        "user:mia": {"mias", "mias2", "mias3"},
        "key:mias": {"mias", "mias3"},
        "key:mias2": {"mias2"},
        "key:bots": {"bots", "bots2"},
    }
    usage = {
        who: (found.owner, found.key_id) for who, sight in sights.items() for found in [sight.usage(Filter())] if who != "key:bots"
    }
    assert usage == {"user:mia": ("user:mia", None), "key:mias": (None, "mias"), "key:mias2": (None, "mias2")}
    with pytest.raises(Forbidden):
        sights["key:mias"].usage(Filter(owner="user:mia"))
    keys = {who: {key.id for key in sight.all(VirtualKey)} for who, sight in sights.items()}
    assert keys["key:mias"] == {"mias", "mias2", "mias3"}, "a key that manages its owner's keys sees them"
    assert keys["key:mias2"] == {"mias2"}


def test_nobody_has_more_keys_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.engine.access.rules.keys.MOST_KEYS", 3)
    at_search = [VirtualKey(id=f"s{n}", digest=digest(f"s{n}"), place="acme/search") for n in range(2)]
    directory = build(8, (*ENTITIES, *at_search))
    full = build(9, (*directory.entities.values(), replace(at_search[0], id="s2", digest=digest("s2"), revoked_ns=NOW)))
    asked = new("acme/search")
    tries: tuple[Try, ...] = (
        lambda d, a: rules.create_key(d, a, asked),
        lambda d, a: rules.rotate_key(d, a, "s0", id="n", digest=digest("n")),
    )
    for rule in tries:
        assert do("user:ann", rule, directory)
        with pytest.raises(Conflict, match="3 keys"):
            do("user:ann", rule, full)
        later = NOW + KEPT_DAYS * 86_400 * 10**9
        assert rule(full, actor_of(full, "user:ann", later)), "what ended long ago does not count"
    assert do("user:ann", lambda d, a: rules.create_key(d, a, new("acme", owner="service_account:bot")), full)


def test_whose_an_address_is_is_told_to_who_may_know() -> None:
    disabled = BEFORE.after(do("user:root", lambda d, a: rules.switch_user(d, a, "bea", disabled=True)))
    messages = []
    for who, directory in (("user:ann", BEFORE), ("user:ann", disabled), ("user:root", disabled)):
        with pytest.raises(Conflict) as refused:
            do(who, lambda d, a: rules.create_user(d, a, id="z", email="BEA@example.test"), directory)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert ["user:bea" in message for message in messages] == [False, False, True]


@pytest.mark.parametrize("address", ["kai@example.test", "KAI@EXAMPLE.TEST"])
def test_only_ascii_letters_are_folded(address: str) -> None:
    """The Kelvin sign casefolds to a k, the long s to an s."""
    directory = build(0, (User(id="kai", email=address),))
    assert rules.signed_in(directory, subject="idp|k", email="Kai@Example.test")[0].id == "kai"
    for other in ("\u212aai@example.test", "kai@example.te\u017ft", "kai@e\uff58ample.test"):
        with pytest.raises(Forbidden):
            rules.signed_in(directory, subject="idp|k", email=other)
        assert fault_of_address(other) is not None


def test_a_budget_over_a_key_is_over_its_whole_line() -> None:
    after = BEFORE.after(do("user:ann", lambda d, a: rules.rotate_key(d, a, "old", id="n", digest=digest("n"))))
    (edit,) = do("user:ann", lambda d, a: rules.put_budget(d, a, budget("key:n")), after)
    assert isinstance(edit.entity, Budget)
    assert (edit.entity.of, edit.entity.set_at) == ("key:old", "acme")


def test_a_team_changes_the_budget_that_it_set_itself() -> None:
    after = BEFORE.after(do("user:ann", lambda d, a: rules.put_budget(d, a, budget("place:acme"))))
    raised = replace(budget("place:acme"), limit=NanoUSD(9))
    assert do("user:ann", lambda d, a: rules.put_budget(d, a, raised), after)
    taken_over = after.after(do("user:root", lambda d, a: rules.put_budget(d, a, raised), after))
    with pytest.raises(Forbidden):
        do("user:ann", lambda d, a: rules.remove_budget(d, a, "own"), taken_over)


def test_who_is_new_is_seen_by_whoever_manages_people_anywhere() -> None:
    """So that somebody can grant them their first role; from then on by whoever may where they hold it."""
    new, auditor = User(id="new", email="new@example.test"), Grant(id="g-aud", holder="user:aud", role=Role.ANALYST, place=ROOT)
    entities = (*ENTITIES, new, User(id="aud", email="aud@example.test"), auditor)

    def seen_by(directory: Directory) -> set[str]:
        everybody = [holder for holder in directory.everybody() if not holder.startswith("service_account:")]
        return {who for who in everybody if Sight(directory, actor_of(directory, who, NOW)).sees(new)} - {"key:end"}

    assert seen_by(build(7, entities)) == {"user:new", "user:root", "user:aud", "user:ann", "user:bea"}
    first = Grant(id="g-new", holder="user:new", role=Role.MEMBER, place="beta")
    assert seen_by(build(7, (*entities, first))) == {"user:new", "user:root", "user:aud", "user:bea"}


def test_only_a_key_is_behind_a_holder() -> None:
    assert BEFORE.key_behind("key:old") is BEFORE.by_digest[digest("old")]
    assert [BEFORE.key_behind(holder) for holder in ("user:ann", "user:old", "service_account:bot", "key:gone", "old")] == [
        None
    ] * 5


def test_a_dead_key_is_nobody() -> None:
    revoked = BEFORE.after(do("user:ann", lambda d, a: rules.revoke_key(d, a, "old")))
    closed = BEFORE.after(do("user:ann", lambda d, a: rules.close_place(d, a, "acme")))
    for directory, why in ((revoked, "revoked"), (closed, "closed")):
        assert not directory.rights("key:old", NOW)
        with pytest.raises(Unauthenticated, match=why):
            actor_of(directory, "key:old", NOW)
    with pytest.raises(Unauthenticated, match="expired"):
        actor_of(BEFORE, "key:old", NOW + 10**12)
    for holder in ("key:gone", "user:gone", "service_account:bot", "place:acme", "bot"):
        with pytest.raises(Unauthenticated, match=r"is not there|acts by its keys"):
            actor_of(BEFORE, holder, NOW)


def test_nothing_is_written_where_all_is_so_already() -> None:
    assert do("user:root", lambda d, a: rules.alter_place(d, a, "acme", limits=Limits(requests_per_minute=60))) == ()
    assert do("user:root", lambda d, a: rules.reopen_place(d, a, "acme")) == ()
    assert do("user:root", lambda d, a: rules.switch_user(d, a, "mia", disabled=False)) == ()


def first_admin(directory: Directory, subject: str, email: str) -> tuple[Edit, ...]:
    return rules.first_admin(directory, id="new", subject=subject, email=email, now_ns=NOW)


def test_whom_the_operator_names_is_the_first_admin_and_nobody_after_them() -> None:
    empty = build(0, ())
    edits = first_admin(empty, "idp|n", "new@example.test")
    after = empty.after(edits)
    assert [entity for entity in (edit.entity for edit in edits) if isinstance(entity, Grant)] == [
        Grant(id="new.0", holder="user:new", role=Role.ADMIN, place=ROOT, created_ns=NOW)
    ]
    assert dict(after.admins(NOW)) == {"user:new": True}
    assert first_admin(after, "idp|n", "new@example.test") == ()
    assert first_admin(after, "idp|other", "other@example.test") == ()
    assert first_admin(BEFORE, "idp|m", "mia@example.test") == (), "there is an admin who has signed in"
    assert first_admin(empty, "idp|n", "") == ()
    assert first_admin(empty, "", "new@example.test") == ()


def test_the_first_admin_is_whoever_was_invited_with_the_address() -> None:
    invited = User(id="mia", email="mia@example.test")
    edits = first_admin(build(0, (invited,)), "idp|m", "MIA@example.test")
    assert replace(invited, subject="idp|m") in [edit.entity for edit in edits]
    grant = Grant(id="g", holder="user:mia", role=Role.ADMIN, place=ROOT)
    assert [edit.entity for edit in first_admin(build(0, (invited, grant)), "idp|m", "mia@example.test")] == [
        replace(invited, subject="idp|m")
    ]


@pytest.mark.parametrize("held", [{"disabled": True}, {"subject": "idp|else"}])
def test_an_address_that_is_somebody_elses_or_is_barred_makes_no_admin(held: dict[str, object]) -> None:
    taken = replace(User(id="mia", email="mia@example.test"), **held)
    assert first_admin(build(0, (taken,)), "idp|m", "mia@example.test") == ()


def test_a_role_that_was_taken_from_the_first_admin_stays_away() -> None:
    known = build(0, (User(id="mia", email="mia@example.test", subject="idp|m"),))
    assert first_admin(known, "idp|m", "mia@example.test") == ()


def test_whoever_signs_in_first_with_an_invited_address_is_that_user() -> None:
    user, edits = rules.signed_in(BEFORE, subject="idp|m", email="MIA@example.test")
    assert (user.id, user.subject, len(edits)) == ("mia", "idp|m", 1)
    assert rules.signed_in(BEFORE.after(edits), subject="idp|m", email="") == (user, ())
    for subject, email in (("idp|other", "mia@example.test"), ("idp|x", "zoe@example.test"), ("idp|x", ""), ("", "")):
        with pytest.raises(Forbidden):
            rules.signed_in(BEFORE.after(edits), subject=subject, email=email)
    disabled = BEFORE.after(do("user:root", lambda d, a: rules.switch_user(d, a, "ann", disabled=True)))
    with pytest.raises(Unauthenticated):
        rules.signed_in(disabled, subject="idp|ann", email="")
