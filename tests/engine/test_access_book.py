"""The book: who a key is, changes that meet other changes, and the operator's own key."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable

import pytest
from tests.support.accounts import ListedAccounts

from trimtab.core.accounts import ROOT, Change, Entity, Place, Role, VirtualKey
from trimtab.core.errors import Conflict, Forbidden, Unauthenticated
from trimtab.engine.access import AccountBook, Directory, NewKey, build, digest, new_key, rules
from trimtab.engine.access.actor import Actor
from trimtab.engine.access.directory import KEPT_DAYS
from trimtab.engine.access.edits import Edit
from trimtab.engine.clock import new_id
from trimtab.lab.clock import ManualClock

KEY = "tt-first"
Rule = Callable[[Directory, Actor], tuple[Edit, ...]]


async def opened(store: ListedAccounts, clock: ManualClock) -> tuple[AccountBook, Actor]:
    book = AccountBook(store, clock, new_id)
    await book.load()
    key = await book.ensure_bootstrap(digest(KEY), "up")
    return book, book.actor(f"key:{key.id}")


def create(asked: NewKey) -> Rule:
    return lambda directory, actor: rules.create_key(directory, actor, asked)


def place(path: str) -> Rule:
    return lambda directory, actor: rules.create_place(directory, actor, path)


async def test_a_key_opens_until_it_does_not_and_each_end_is_told_apart() -> None:
    clock = ManualClock()
    book, admin = await opened(ListedAccounts(), clock)
    await book.apply(admin, place("acme"))
    await book.apply(admin, lambda d, a: rules.create_user(d, a, id="mia", email="mia@example.test"))
    await book.apply(admin, lambda d, a: rules.grant_role(d, a, id="g", holder="user:mia", role=Role.MEMBER, place="acme"))
    secrets = {}
    for name, owner, seconds in (("gone", "", 60), ("revoked", "", None), ("disabled", "user:mia", None), ("closed", "", None)):
        secrets[name] = new_key()
        end = None if seconds is None else clock.time_ns() + seconds * 10**9
        asked = NewKey(id=name, digest=digest(secrets[name]), place="acme", owner=owner, expires_ns=end)
        await book.apply(book.actor(owner) if owner else admin, create(asked))
        assert name == book.authenticate(secrets[name]).key.id
    clock.advance(60)
    await book.apply(admin, lambda d, a: rules.revoke_key(d, a, "revoked"))
    await book.apply(admin, lambda d, a: rules.switch_user(d, a, "mia", disabled=True))
    messages = {}
    for name, secret in secrets.items():
        if name == "closed":
            assert book.authenticate(secret)
            await book.apply(admin, lambda d, a: rules.close_place(d, a, "acme"))
        with pytest.raises(Unauthenticated) as refused:
            book.authenticate(secret)
        messages[name] = refused.value.message
        assert secret not in str(refused.value)
    assert len(set(messages.values())) == 4
    assert all(
        word in message for word, message in zip(("expired", "revoked", "disabled", "closed"), messages.values(), strict=True)
    )


@pytest.mark.parametrize("presented", [None, "", "tt-other", "\udcff", KEY + " "])
async def test_what_is_no_key_is_told_how_to_go_on(presented: str | None) -> None:
    book, _ = await opened(ListedAccounts(), ManualClock())
    with pytest.raises(Unauthenticated) as refused:
        book.authenticate(presented)
    assert "trimtab up" in refused.value.hint


async def test_a_rule_is_asked_again_when_somebody_was_quicker() -> None:
    store = ListedAccounts()
    book, admin = await opened(store, ManualClock())
    seen: list[int] = []

    def quicker() -> None:
        store.meanwhile = lambda: None
        store.keep(
            Change(
                id=book.new_id(),
                at_ns=0,
                actor="user:other",
                action="put",
                entity=Place(path="theirs"),
                basis=book.directory.revision,
            )
        )

    def rule(directory: Directory, actor: Actor) -> tuple[Edit, ...]:
        seen.append(directory.revision)
        return rules.create_place(directory, actor, "ours")

    store.meanwhile = quicker
    (change,) = await book.apply(admin, rule)
    assert seen == [1, 2]
    assert change.basis == 2
    assert {ROOT, "ours", "theirs"} == set(book.directory.standings)


async def test_a_right_that_was_lost_meanwhile_is_not_used() -> None:
    """Two processes: the second takes the role away, the first has not looked since."""
    store, clock = ListedAccounts(), ManualClock()
    book, admin = await opened(store, clock)
    asked = NewKey(id="second", digest=digest("tt-second"), place=ROOT)
    await book.apply(admin, create(asked))
    await book.apply(admin, lambda d, a: rules.grant_role(d, a, id="g", holder="key:second", role=Role.ADMIN, place=ROOT))
    stale = book.actor("key:second")
    other = AccountBook(store, clock, new_id)
    await other.apply(admin, lambda d, a: rules.revoke_role(d, a, "g"))
    rows = len(store.log)
    with pytest.raises(Forbidden):
        await book.apply(stale, place("acme"))
    assert rows == len(store.log)


async def test_endless_rivals_end_in_a_conflict_and_nothing_is_written() -> None:
    store = ListedAccounts()
    book, admin = await opened(store, ManualClock())

    def always() -> None:
        raise Conflict("The accounts have changed meanwhile.")

    store.meanwhile = always
    with pytest.raises(Conflict, match="5 times"):
        await book.apply(admin, place("acme"))
    assert {ROOT} == set(book.directory.standings)


async def test_changes_of_one_process_do_not_trip_over_each_other() -> None:
    store = ListedAccounts()
    book, admin = await opened(store, ManualClock())
    await asyncio.gather(*(book.apply(admin, place(f"p{n}")) for n in range(20)))
    assert [change.basis for change in store.log[2:]] == list(range(1, 21))
    ids = [change.id for change in store.log]
    assert sorted(ids) == ids


async def test_the_snapshot_is_read_again_only_when_somebody_changed_it() -> None:
    store, clock = ListedAccounts(), ManualClock()
    book, admin = await opened(store, clock)
    other = AccountBook(store, clock, new_id)
    await other.load()
    reads = store.reads
    await book.apply(admin, place("acme"))
    await book.refresh()
    assert reads == store.reads
    await other.refresh()
    await other.refresh()
    assert reads + 1 == store.reads
    assert "acme" in other.directory.standings


async def test_only_the_current_operators_key_opens() -> None:
    store, clock = ListedAccounts(), ManualClock()
    book, admin = await opened(store, clock)
    rows = len(store.log)
    again = await book.ensure_bootstrap(digest(KEY), "up")
    assert (rows, admin.holder) == (len(store.log), f"key:{again.id}")
    asked = NewKey(id="made", digest=digest("tt-made"), place=ROOT, name="bootstrap")
    await book.apply(admin, create(asked))
    await book.ensure_bootstrap(digest("tt-later"), "up")
    assert book.authenticate("tt-later")
    assert book.authenticate("tt-made"), "what it made is not undone"
    with pytest.raises(Unauthenticated, match="revoked"):
        book.authenticate(KEY)
    rows = len(store.log)
    for offered in (KEY, "tt-made"):
        await book.ensure_bootstrap(digest(offered), "up")
    assert book.authenticate("tt-later"), "what is no operator's key, or not any more, closes nothing"
    with pytest.raises(Unauthenticated, match="revoked"):
        book.authenticate(KEY)
    assert rows == len(store.log), "nor does it come back by being named again"


def rotate(id: str, key: str) -> Rule:
    return lambda directory, actor: rules.rotate_key(directory, actor, id, id=f"{id}+", digest=digest(key), overlap_seconds=60)


async def test_a_rotated_operators_key_goes_with_its_line() -> None:
    clock = ManualClock()
    book, admin = await opened(ListedAccounts(), clock)
    id = admin.holder.removeprefix("key:")
    await book.apply(admin, rotate(id, "tt-rotated"))
    for offered in (KEY, "tt-rotated"):
        await book.ensure_bootstrap(digest(offered), "up")
        assert book.authenticate(KEY), "the overlap lasts, whichever of them the server was started with"
        assert book.authenticate("tt-rotated")
    clock.advance(61)
    await book.ensure_bootstrap(digest(KEY), "up")
    assert book.directory.barred(f"key:{id}", clock.time_ns()) == "it has expired"
    assert book.authenticate("tt-rotated")
    await book.ensure_bootstrap(digest("tt-later"), "up")
    with pytest.raises(Unauthenticated, match="revoked"):
        book.authenticate("tt-rotated")


async def test_the_operators_keys_id_tells_nothing_of_the_key() -> None:
    _, admin = await opened(ListedAccounts(), ManualClock())
    assert digest(KEY).hex()[:8] not in admin.holder
    assert admin.holder.startswith("key:bootstrap-")


async def test_two_processes_start_with_one_key_and_make_it_once() -> None:
    store, clock = ListedAccounts(), ManualClock()
    first, second = AccountBook(store, clock, new_id), AccountBook(store, clock, new_id)
    await asyncio.gather(first.ensure_bootstrap(digest(KEY), "up"), second.ensure_bootstrap(digest(KEY), "up"))
    assert [True for entity in store.entities.values() if isinstance(entity, VirtualKey)] == [True]
    await second.refresh()
    assert first.authenticate(KEY) == second.authenticate(KEY)


async def test_a_sign_in_is_written_once_and_by_the_user() -> None:
    store = ListedAccounts()
    book, admin = await opened(store, ManualClock())
    await book.apply(admin, lambda d, a: rules.create_user(d, a, id="mia", email="mia@example.test"))
    rows = len(store.log)
    for _ in range(2):
        user = await book.sign_in(subject="idp|m", email="mia@example.test")
        assert (user.id, user.subject) == ("mia", "idp|m")
    assert [change.actor for change in store.log[rows:]] == ["user:mia"]
    assert ["put"] * len(store.log) == [change.action async for change in book.audit()]


async def test_a_key_that_ended_long_ago_is_forgotten_and_never_comes_back() -> None:
    store, clock = ListedAccounts(), ManualClock()
    book, admin = await opened(store, clock)
    for name in ("kept", "gone"):
        await book.apply(admin, create(NewKey(id=name, digest=digest(f"tt-{name}"), place=ROOT)))
    await book.apply(admin, lambda d, a: rules.revoke_key(d, a, "gone"))
    clock.advance(KEPT_DAYS * 86_400)
    await book.apply(admin, place("acme"))
    assert book.directory.keys.keys() == {"kept", admin.holder.removeprefix("key:")}
    assert ("key", "gone") in store.entities, "the store and its log have it"
    for again in (book, AccountBook(store, clock, new_id)):
        assert (await again.ensure_bootstrap(digest("tt-gone"), "up")).revoked_ns is not None
        with pytest.raises(Unauthenticated, match="revoked"):
            again.authenticate("tt-gone")
        assert again.authenticate(KEY)


async def test_many_accounts_are_worked_out_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    store, here = ListedAccounts(), threading.get_ident()
    threads: list[bool] = []

    def watched(revision: int, entities: Iterable[Entity]) -> Directory:
        threads.append(threading.get_ident() == here)
        return build(revision, entities)

    book, admin = await opened(store, ManualClock())
    monkeypatch.setattr("trimtab.engine.access.accounts.build", watched)
    monkeypatch.setattr("trimtab.engine.access.directory.build", watched)
    for many, expected in ((100, {True}), (1, {False})):
        monkeypatch.setattr("trimtab.engine.access.accounts._MANY", many)
        threads.clear()
        await book.apply(admin, place(f"p{many}"))
        await book.load()
        assert set(threads) == expected


async def test_a_slow_writer_does_not_take_back_what_came_after() -> None:
    store = ListedAccounts()
    book, admin = await opened(store, ManualClock())
    other = AccountBook(store, ManualClock(), new_id)
    await other.load()
    change = store.change

    async def overtaken(*changes: Change) -> int:
        revision = await change(*changes)
        store.change = change  # type: ignore[method-assign]
        await other.apply(admin, place("later"))
        await book.load()
        return revision

    store.change = overtaken  # type: ignore[method-assign]
    await book.apply(admin, place("sooner"))
    assert {ROOT, "sooner", "later"} == set(book.directory.standings)
