"""What the directory and its changes promise."""

from __future__ import annotations

import asyncio
from typing import Literal

from msgspec.structs import replace

from trimtab.core.accounts import (
    Budget,
    Change,
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
    key_of,
)
from trimtab.core.catalog import Tier
from trimtab.core.errors import Conflict
from trimtab.core.units import USD, NanoUSD
from trimtab.lab.check_store.expect import Check, Factory, expect, refused
from trimtab.lab.check_store.samples import START_NS, sample_correction, sample_intent, sample_outcome
from trimtab.store.base import Filter, Store, Totals

ENTITIES: tuple[Entity, ...] = (
    Budget(id="b1", of="place:acme", period=Period.MONTH, limit=NanoUSD(5 * USD), hard=False, alerts=(0.5,)),
    Grant(id="g1", holder="user:ada", role=Role.ADMIN, place="acme", created_ns=START_NS),
    VirtualKey(
        id="k1",
        digest=bytes(range(32)),
        place="acme/search",
        owner="user:ada",
        scope=Scope(models=frozenset("abcdefgh"), tiers=frozenset(Tier), may_lower=True),
        limits=Limits(requests_per_minute=60),
        expires_ns=START_NS,
    ),
    Place(path="acme", name="Acme & Söhne"),
    Place(path="acme/search"),
    ServiceAccount(id="s1", place="acme/search", name="nightly"),
    User(id="ada", email="ada@example.org", subject="https://id.example.org|1"),
)
"""One of each kind, in order of kind and id."""


def change(number: int, entity: Entity, basis: int, action: Literal["put", "remove"] = "put") -> Change:
    return Change(id=f"chg-{number:08d}", at_ns=START_NS + number, actor="user:root", action=action, entity=entity, basis=basis)


async def _changes(store: Store, after: str = "", limit: int = 1000) -> list[Change]:
    return [found async for found in store.changes(after=after, limit=limit)]


async def the_directory_is_what_the_changes_say(factory: Factory) -> None:
    async with factory() as store:
        expect((0, ()), await store.directory(), "an empty directory")
        put = [change(number, entity, 0) for number, entity in enumerate(reversed(ENTITIES))]
        expect(1, await store.change(*put), "the revision after the first call")
        expect((1, ENTITIES), await store.directory(), "the directory")
        renamed = Place(path="acme", name="Acme", closed=True)
        expect(2, await store.change(change(10, renamed, 1), change(11, ENTITIES[0], 1, "remove")), "the revision after the second")
        expected = tuple(renamed if key_of(entity) == ("place", "acme") else entity for entity in ENTITIES[1:])
        expect((2, expected), await store.directory(), "the directory after a change and a removal")
        expect(2, await store.revision(), "the revision")
        expect(2, await store.change(), "the revision after changing nothing")


async def the_audit_has_every_change(factory: Factory) -> None:
    async with factory() as store:
        made = [change(number, ENTITIES[number % len(ENTITIES)], 0) for number in range(250)]
        await store.change(*made)
        expect(made, await _changes(store), "all changes, in order of id")
        expect(made[101:141], await _changes(store, "chg-00000100", 40), "40 changes after chg-00000100")
        expect([], await _changes(store, limit=0), "no changes")
        report = await store.verify()
        expect((250, ""), (report.rows, report.reason), "rows in the log and what is wrong with them")


async def a_change_is_judged_on_the_directory_as_it_stands(factory: Factory) -> None:
    async with factory() as store:
        await store.change(change(1, ENTITIES[0], 0))
        await refused(store.change(change(2, ENTITIES[1], 0)), "revision 1", Conflict)
        await refused(store.change(change(2, ENTITIES[1], 1), change(3, ENTITIES[2], 2)), "revision 1", Conflict)
        await refused(store.change(change(2, ENTITIES[1], 1), change(3, ENTITIES[2], 1, "remove")), "'k1'", Conflict)
        gone = change(3, ENTITIES[0], 1, "remove")
        await refused(store.change(gone, replace(gone, id="chg-00000004")), "'b1'", Conflict)
        await refused(store.change(change(1, ENTITIES[1], 1)), "chg-00000001")
        await refused(store.change(change(5, ENTITIES[1], 1), change(5, ENTITIES[2], 1)), "chg-00000005")
        expect((1, ENTITIES[:1]), await store.directory(), "the directory after refusals")
        expect([change(1, ENTITIES[0], 0)], await _changes(store), "the changes after refusals")
        expect(2, await store.change(change(6, ENTITIES[1], 1), change(7, ENTITIES[1], 1, "remove")), "put and removed in one call")
        expect((2, ENTITIES[:1]), await store.directory(), "the directory after that")
        expect((3, True), ((report := await store.verify()).rows, report.ok), "rows in the log, and whether they are whole")


async def of_changes_on_one_basis_one_wins(factory: Factory) -> None:
    async with factory() as store:
        tried = [store.change(change(number, Place(path=f"p{number}"), 0)) for number in range(20)]
        answers = await asyncio.gather(*tried, return_exceptions=True)
        expect([1], [answer for answer in answers if not isinstance(answer, Conflict)], "what was not refused")
        expect(1, len((await store.directory())[1]), "entities")
        expect(0, store.statistics().failed, "failed rows in the statistics: a conflict is nobody's failure")


async def a_change_that_cannot_be_kept_is_refused(factory: Factory) -> None:
    budget = Budget(id="b", of="tag:x", period=Period.DAY, limit=NanoUSD(1), alerts=(float("nan"),))
    async with factory() as store:
        await refused(store.change(change(1, ENTITIES[0], 0), change(2, budget, 0)), "chg-00000002")
        await refused(store.change(change(3, Place(path="a", name="\ud800"), 0)), "chg-00000003")
        await refused(store.append(change(4, ENTITIES[0], 0)), "chg-00000004")
        expect((0, ()), await store.directory(), "the directory")


async def changes_are_no_requests(factory: Factory) -> None:
    async with factory() as store:
        await store.change(replace(change(1, ENTITIES[0], 0), id="req-00000001"), replace(change(2, ENTITIES[1], 0), id="zzz"))
        expect(None, await store.get("zzz"), "a change asked for as a request")
        expect(None, await store.last(), "the last request")
        for row in (sample_intent(1), sample_outcome(1), sample_correction(1)):
            await store.append(row)
        record = await store.get("req-00000001")
        expect(record, await store.last(), "the last request")
        expect([record], [found async for found in store.scan(Filter())], "a scan")
        expect((), await store.unsettled(1 << 62), "unsettled requests")
        totals = Totals(requests=1, complete=1, input_tokens=1, output_tokens=2, cost=NanoUSD(7))
        expect(totals, await store.totals(Filter()), "totals")
        expect(("", 5), ((report := await store.verify()).reason, report.rows), "what is wrong, and rows in the log")
        expect(5, store.statistics().rows, "rows in the statistics")


ACCOUNTS: tuple[Check, ...] = (
    the_directory_is_what_the_changes_say,
    the_audit_has_every_change,
    a_change_is_judged_on_the_directory_as_it_stands,
    of_changes_on_one_basis_one_wins,
    a_change_that_cannot_be_kept_is_refused,
    changes_are_no_requests,
)
