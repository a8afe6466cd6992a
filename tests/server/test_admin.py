"""The admin API: who may do what over HTTP, what is shown of it, and what never is."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec.structs import replace
from starlette.requests import Request
from tests.support.admin import ROOT_KEY, Admin, Said, admin

from trimtab.core.accounts import ROOT, Change, Scope
from trimtab.core.errors import Conflict, Forbidden, Unauthenticated
from trimtab.core.units import USD, NanoUSD
from trimtab.engine.access import NewKey, digest, new_key, rules
from trimtab.lab.check_store.samples import START_NS, sample_intent, sample_outcome
from trimtab.lab.memory import MemoryStore
from trimtab.server import build_app
from trimtab.server.admin import OPERATIONS, Who
from trimtab.server.common.credentials import CSRF_HEADER, Session
from trimtab.store import SpendLine


@pytest.fixture
async def site() -> AsyncIterator[Admin]:
    """The places acme, acme/search and beta."""
    async with admin() as site:
        for path in ("acme", "acme/search", "beta"):
            await site.place(path)
        yield site


ROLES = ("admin", "operator", "analyst", "member", None)


async def cast(site: Admin) -> dict[str, str]:
    """A key for each role at acme, one without any, and the operator's own."""
    scope = {"may_lower": True}  # who gives a role to a person gives them this, too
    keys = {str(role): await site.key_with(role, "acme", name=str(role), scope=scope) for role in ROLES}
    return {**keys, "root": ROOT_KEY}


# -- rights: role by operation, as docs/concepts/rights.md has them

AT_ACME: dict[str, set[str]] = {
    "PUT /-/places/acme/new": {"admin"},
    "PUT /-/places/new": set(),
    "DELETE /-/places/acme/search": {"admin"},
    "POST /-/users": {"admin"},
    "PATCH /-/users/{user}": {"admin"},
    "POST /-/service-accounts": {"admin"},
    "PATCH /-/service-accounts/{account}": {"admin"},
    "POST /-/grants": {"admin"},
    "DELETE /-/grants/{grant}": {"admin"},
    "POST /-/keys": {"admin", "operator"},
    "POST /-/keys/{key}/rotate": {"admin", "operator"},
    "DELETE /-/keys/{key}": {"admin", "operator"},
    "POST /-/budgets": {"admin"},
    "PATCH /-/budgets/{budget}": {"admin"},
    "DELETE /-/budgets/{budget}": {"admin"},
    "GET /-/usage?place=acme": {"admin", "operator", "analyst"},
    "GET /-/usage?place=beta": set(),
    "GET /-/usage?owner=user:ada": {"admin", "operator", "analyst"},
    "GET /-/fleet": set(),
    "GET /-/whoami": {"admin", "operator", "analyst", "member", "None"},
}
BODIES: dict[str, dict[str, object]] = {
    "PUT /-/places/acme/new": {},
    "PUT /-/places/new": {},
    "POST /-/users": {"email": "new@example.test"},
    "PATCH /-/users/{user}": {"disabled": True},
    "POST /-/service-accounts": {"place": "acme"},
    "PATCH /-/service-accounts/{account}": {"disabled": True},
    "POST /-/grants": {"holder": "user:{user}", "role": "analyst", "place": "acme"},
    "POST /-/keys": {"place": "acme"},
    "POST /-/keys/{key}/rotate": {},
    "POST /-/budgets": {"of": "place:acme", "limit_usd": 5},
    "PATCH /-/budgets/{budget}": {"limit_usd": 7.5},
}


@pytest.mark.parametrize("line", AT_ACME)
async def test_each_role_may_what_it_may_and_nothing_else(site: Admin, line: str) -> None:
    for role, key in (await cast(site)).items():
        names = await made_for(site, line + str(BODIES.get(line, "")))
        method, path = filled(line, names).split(" ")
        body = msgspec.json.decode(filled(msgspec.json.encode(BODIES[line]).decode(), names)) if line in BODIES else None
        before = site.book.directory.revision
        said = await site.call(method, path, body, key=key)
        allowed = role == "root" or role in AT_ACME[line]
        if allowed and said.status == 409:
            continue  # somebody before has done it already
        if allowed:
            assert said.status in (200, 201), (role, said.text)
            continue
        unseen = "{" in line and (await site.call("GET", path.removesuffix("/rotate"), key=key)).status == 404
        assert said.status == (404 if unseen else 403), (role, said.text)
        assert site.book.directory.revision == before
        assert set(said.body["error"]) == {"code", "message", "hint", "param"}
        assert said.body["error"]["code"] == ("entity_not_found" if unseen else "permission_denied")


async def made_for(site: Admin, text: str) -> dict[str, str]:
    """A fresh one of everything at acme that ``text`` names, by the operator; a budget by acme's admin, since it is changed from there."""
    fresh = str(site.book.directory.revision)
    user = {"email": f"u{fresh}@example.test"}
    wanted: dict[str, tuple[str, dict[str, object]]] = {
        "user": ("/-/users", dict(user)),
        "account": ("/-/service-accounts", {"place": "acme"}),
        "key": ("/-/keys", {"place": "acme"}),
        "budget": ("/-/budgets", {"of": "place:acme", "limit_usd": 5}),
        "grant": ("/-/grants", {"role": "member", "place": "acme"}),
    }
    names: dict[str, str] = {}
    for name, (path, body) in wanted.items():
        if "{" + name + "}" not in text:
            continue
        if name == "grant":
            body["holder"] = f"user:{(await site.made('/-/users', user))['id']}"
        key = await site.key_with("admin", "acme") if name == "budget" else ROOT_KEY
        made = await site.made(path, body, key=key)
        names[name] = made["described"]["id"] if name == "key" else made["id"]
        if name == "user":
            await site.made("/-/grants", {"holder": f"user:{made['id']}", "role": "member", "place": "acme"})
    return names


def filled(text: str, names: dict[str, str]) -> str:
    for name, id in names.items():
        text = text.replace("{" + name + "}", id)
    return text


async def test_the_matrix_has_every_operation_that_changes_something() -> None:
    """A new operation needs a line."""
    tried = {line.split("?")[0] for line in AT_ACME}
    patterns = {f"{row.method} {row.path.split('{')[0]}" for row in OPERATIONS if row.method != "GET"}
    assert [pattern for pattern in patterns if not any(line.startswith(pattern) for line in tried)] == []


@pytest.mark.parametrize("row", [row for row in OPERATIONS if row.target], ids=lambda row: row.name)
async def test_a_refusal_does_not_tell_what_is_there(site: Admin, row: Any) -> None:
    """Whoever has any role elsewhere gets one answer for what is there and what is not."""
    there = {**await one_of_each(site), "decisions": sample_intent(1).id, "places": "acme/search"}
    kind = row.path.split("/")[2]
    for role in ROLES:
        key = await site.key_with(role, "beta")
        told = set()
        for id in (there[kind], "acme/none" if kind == "places" else "none"):
            for body in BLIND.get(row.name, (None,)):
                path = row.path.replace("{path:path}", id).replace("{id}", id)
                said = await site.call(row.method, path, body, key=key)
                told.add((said.status, said.text.replace(id, "ID")))
        assert len(told) == 1, (role, told)
        assert {status for status, _ in told} <= {403, 404}


async def test_what_a_body_names_is_not_told_either(site: Admin) -> None:
    there = await one_of_each(site)
    key = await site.key_with("admin", "beta")
    for path, field, named in (
        ("/-/budgets", "of", f"key:{there['keys']}"),
        ("/-/keys", "owner", f"user:{there['users']}"),
        ("/-/keys", "owner", f"service_account:{there['service-accounts']}"),
    ):
        told = set()
        for name in (named, named.partition(":")[0] + ":none"):
            body = {field: name, **({"limit_usd": 1} if field == "of" else {"place": "beta"})}
            said = await site.call("POST", path, body, key=key)
            told.add((said.status, said.text.replace(name, "NAME").replace(name.partition(":")[2], "ID")))
        assert len(told) == 1, told


BLIND: dict[str, tuple[dict[str, object], ...]] = {
    "put_place": ({}, {"closed": True}, {"closed": False}),
    "change_user": ({"disabled": True}, {"disabled": False}),
    "change_service_account": ({"disabled": True}, {"disabled": False}),
    "change_budget": ({"limit_usd": 3},),
    "rotate_key": ({},),
}


async def one_of_each(site: Admin) -> dict[str, str]:
    """The id of each, at acme, by the last name of its path."""
    await site.store.append(sample_intent(1))
    kinds = {"user": "users", "account": "service-accounts", "key": "keys", "budget": "budgets", "grant": "grants"}
    return {kind: (await made_for(site, f"{{{name}}}"))[name] for name, kind in kinds.items()}


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
async def test_nothing_is_told_without_a_key(site: Admin, row: Any) -> None:
    path = row.path.replace("{path:path}", "acme").replace("{id}", "x")
    for headers in ({}, {"authorization": "Bearer tt-nobody"}, {"x-api-key": ""}, {"authorization": "Basic x"}):
        said = await site.call(row.method, path, {} if row.has_body else None, key=None, headers=headers)
        assert said.status == 401
        assert said.headers["www-authenticate"] == "Bearer"
        assert said.body["error"]["hint"]


# -- what may be seen

VISIBLE = {
    "/-/places": {"admin": 2, "operator": 2, "analyst": 2, "member": 2, "None": 1, "root": 4},
    "/-/keys": {"admin": 5, "operator": 5, "analyst": 5, "member": 1, "None": 1, "root": 6},
    "/-/grants": {"admin": 4, "operator": 1, "analyst": 4, "member": 1, "None": 0, "root": 5},
    "/-/users": {"admin": 1, "operator": 0, "analyst": 0, "member": 0, "None": 0, "root": 1},
    "/-/service-accounts": {"admin": 1, "operator": 1, "analyst": 1, "member": 0, "None": 0, "root": 2},
    "/-/budgets": {"admin": 1, "operator": 1, "analyst": 1, "member": 1, "None": 1, "root": 2},
}


@pytest.mark.parametrize("path", VISIBLE)
async def test_a_list_shows_what_one_may_see(site: Admin, path: str) -> None:
    keys = await cast(site)
    await site.made("/-/users", {"email": "u@example.test"})
    for place in ("acme", "beta"):
        await site.made("/-/service-accounts", {"place": place})
        await site.made("/-/budgets", {"of": f"place:{place}", "limit_usd": 5})
    counted = {role: len((await site.call("GET", path, key=key)).body["data"]) for role, key in keys.items()}
    assert counted == VISIBLE[path]
    # What a list does not show is not there by its id either, and the answer is that for an id which never was.
    rows = (await site.call("GET", path)).body["data"]
    for row in rows:
        id = row.get("id", row.get("path"))
        there = {role: (await site.call("GET", f"{path}/{id}", key=key)).status for role, key in keys.items()}
        seen = {role: 200 if row in (await site.call("GET", path, key=key)).body["data"] else 404 for role, key in keys.items()}
        assert there == seen, row


async def test_lists_come_in_pages(site: Admin) -> None:
    for number in range(7):
        await site.place(f"beta/{number}")
    found, after = [], ""
    for _ in range(10):
        said = await site.call("GET", f"/-/places?place=beta&limit=3{after}")
        found += [row["path"] for row in said.body["data"]]
        assert len(said.body["data"]) <= 3
        if not said.body["has_more"]:
            break
        after = f"&after={said.body['next_after']}"
    assert found == ["beta", *(f"beta/{number}" for number in range(7))]
    audited, after = [], ""
    for _ in range(10):
        said = await site.call("GET", f"/-/audit?limit=4{after}")
        audited += [row["id"] for row in said.body["data"]]
        if not said.body["has_more"]:
            break
        after = f"&after={said.body['next_after']}"
    assert audited == [change.id async for change in site.book.audit()]


async def test_the_audit_tells_who_changed_what_where_one_may_read_it(site: Admin) -> None:
    keys = await cast(site)
    await site.made("/-/keys", {"place": "acme/search"}, key=keys["operator"])
    rows = (await site.call("GET", "/-/audit?limit=1000", key=keys["analyst"])).body["data"]
    operator = (await site.call("GET", "/-/whoami", key=keys["operator"])).body["holder"]
    assert rows[-1]["actor"] == operator
    assert rows[-1]["entity"]["place"] == "acme/search"
    assert "beta" not in {row["entity"].get("path") for row in rows}
    assert (await site.call("GET", "/-/audit", key=keys["operator"])).body["data"] == []


async def test_metrics_are_for_whoever_may_read_all_usage_or_for_everybody_where_the_file_says_so(site: Admin) -> None:
    keys = await cast(site)
    prometheus = await site.key_with("analyst", ROOT, limits={"requests_per_minute": 0})
    for key, status in ((None, 401), ("tt-unknown", 401), (keys["analyst"], 403), (ROOT_KEY, 200), (prometheus, 200)):
        sent = {} if key is None else {"authorization": f"Bearer {key}"}
        answer = await site.client.get("/metrics", headers=sent)
        assert answer.status_code == status, answer.text
        assert ("trimtab_requests_in_flight" in answer.text) == (status == 200)
        assert status == 200 or answer.json()["error"]["hint"]
    opened = build_app(replace(site.site, open_metrics=True))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(opened), base_url="http://127.0.0.1") as client:
        assert "trimtab_requests_in_flight" in (await client.get("/metrics")).text


async def test_a_key_sees_the_models_within_its_scope(site: Admin) -> None:
    narrow = await site.key_with(None, "acme", scope={"tiers": ["self_hosted"]})
    none = await site.key_with(None, "acme", scope={"models": []})
    everything = await models(site, ROOT_KEY)
    assert {"small", "large", "auto"} <= everything
    assert await models(site, narrow) == everything - {"large"}
    assert await models(site, none) == everything - {"large", "small"}
    assert (await site.call("GET", "/v1/models/large", key=narrow)).status == 404
    assert (await site.call("GET", "/v1/models/small", key=narrow)).status == 200
    await site.place("acme", scope={"zones": ["any"]})
    assert await models(site, narrow) == everything - {"large", "small"}, "the place has been narrowed, too"


async def models(site: Admin, key: str) -> set[str]:
    return {row["id"] for row in (await site.call("GET", "/v1/models", key=key)).body["data"]}


async def test_a_decision_is_shown_to_who_asked_and_to_who_may_read_records(site: Admin) -> None:
    """The samples were asked from acme/search/chatbot."""
    keys = await cast(site)
    own = await site.made("/-/keys", {"place": "acme/search"})
    other = await site.made("/-/keys", {"place": "acme/search"})
    intent = replace(sample_intent(1, key_id=own["described"]["id"]), owner="")
    await site.store.append(intent)
    path = f"/-/decisions/{intent.id}"
    seen = {role: (await site.call("GET", path, key=key)).status for role, key in keys.items()}
    assert seen == {"admin": 200, "operator": 200, "analyst": 200, "member": 404, "None": 404, "root": 200}
    assert (await site.call("GET", path, key=other["key"])).status == 404
    said = await site.call("GET", path, key=own["key"])
    assert said.body["intent"]["content_key"] == ""
    rotated = await site.made(f"/-/keys/{own['described']['id']}/rotate", {})
    assert (await site.call("GET", path, key=rotated["key"])).status == 200, "a key's line is one"


async def test_usage_is_ones_own_or_that_of_a_place_one_may_read(site: Admin) -> None:
    keys = await cast(site)
    own = await site.made("/-/keys", {"place": "acme/search"})
    for number, key_id in enumerate(("key-a", "key-a", own["described"]["id"])):
        await site.store.append(sample_intent(number, key_id=key_id))
        await site.store.append(sample_outcome(number, cost=None if number == 1 else USD // 4))
    whole = (await site.call("GET", "/-/usage?by=team,key")).body
    assert [(row["by"], row["sums"]["cost_usd"], row["sums"]["cost_unknown"]) for row in whole["data"]] == [
        ({"team": "acme/search", "key": own["described"]["id"]}, 0.25, 0),
        ({"team": "acme/search", "key": "key-a"}, 0.25, 1),
    ]
    assert whole["totals"] == {
        "requests": 3,
        "complete": 3,
        "input_tokens": 303,
        "output_tokens": 30,
        "cost_usd": 0.5,
        "cost_unknown": 1,
    }
    mine = (await site.call("GET", "/-/usage", key=own["key"])).body
    assert (mine["totals"]["requests"], mine["covered"]["key"]) == (1, own["described"]["id"])
    assert (await site.call("GET", "/-/usage?key=key-a", key=own["key"])).status == 403
    analyst = (await site.call("GET", "/-/usage", key=keys["analyst"])).body
    assert (analyst["totals"]["requests"], analyst["covered"]["place"]) == (3, "acme")
    since = (await site.call("GET", f"/-/usage?since={moment(START_NS + 2 * 10**9)}")).body
    assert since["totals"]["requests"] == 1
    first = (await site.call("GET", "/-/usage?by=key,deployment&limit=1")).body
    rest = (await site.call("GET", f"/-/usage?by=key,deployment&after={first['next_after']}")).body
    assert len(first["data"]) + len(rest["data"]) == 4
    assert not rest["has_more"]


def moment(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_whoever_reads_several_places_is_asked_which(site: Admin) -> None:
    user = (await site.made("/-/service-accounts", {"place": ROOT}))["id"]
    for place in ("acme", "beta"):
        await site.made("/-/grants", {"holder": f"service_account:{user}", "role": "analyst", "place": place})
    key = (await site.made("/-/keys", {"place": ROOT, "owner": f"service_account:{user}"}))["key"]
    said = await site.call("GET", "/-/usage", key=key)
    assert (said.status, said.body["error"]["param"]) == (400, "place")
    assert (await site.call("GET", "/-/usage?place=beta", key=key)).status == 200


# -- keys


async def test_a_key_is_shown_once(site: Admin) -> None:
    said = await site.call("POST", "/-/keys", {"place": "acme", "name": "ci"})
    key, id = said.body["key"], said.body["described"]["id"]
    assert said.headers["cache-control"] == "no-store"
    assert (await site.call("GET", "/-/whoami", key=key)).body["holder"] == f"key:{id}"
    assert site.book.directory.by_digest[digest(key)].key.id == id
    for path in ("/-/keys", f"/-/keys/{id}", "/-/audit?limit=1000"):
        assert not is_told((await site.call("GET", path)), key)


def is_told(said: Said, key: str) -> bool:
    """Is the key, or its digest in any usual spelling, in the answer?"""
    hashed = digest(key)
    spellings = (key, hashed.hex(), base64.b64encode(hashed).decode(), base64.urlsafe_b64encode(hashed).decode().rstrip("="))
    text = said.text + str(dict(said.headers))
    return any(spelling in text for spelling in spellings)


async def test_a_rotated_key_opens_until_its_overlap_ends(site: Admin) -> None:
    old = await site.made("/-/keys", {"place": "acme"})
    new = await site.made(f"/-/keys/{old['described']['id']}/rotate", {"overlap_seconds": 60})
    assert new["replaces"]["id"] == old["described"]["id"]
    for key in (old["key"], new["key"]):
        assert (await site.call("GET", "/-/whoami", key=key)).status == 200
    site.clock.advance(59)
    assert (await site.call("GET", "/-/whoami", key=old["key"])).status == 200
    site.clock.advance(1)
    assert (await site.call("GET", "/-/whoami", key=old["key"])).status == 401
    assert (await site.call("GET", "/-/whoami", key=new["key"])).status == 200
    assert (await site.call("DELETE", f"/-/keys/{new['described']['id']}")).body["revoked_at"] is not None
    assert (await site.call("GET", "/-/whoami", key=new["key"])).status == 401


async def test_a_member_makes_keys_for_themselves_and_within_their_own(site: Admin) -> None:
    user = (await site.made("/-/users", {"email": "mia@example.test"}))["id"]
    await site.made("/-/grants", {"holder": f"user:{user}", "role": "member", "place": "acme"})
    await site.book.sign_in(subject="idp|mia", email="mia@example.test")
    first, id = new_key(), "first"
    wanted = NewKey(id=id, digest=digest(first), place="acme", owner=f"user:{user}", scope=Scope(models=frozenset({"small"})))
    await site.book.apply(site.book.actor(f"user:{user}"), partial(rules.create_key, asked=wanted))
    await site.made("/-/grants", {"holder": f"key:{id}", "role": "member", "place": "acme"})
    second = await site.made("/-/keys", {"place": "acme"}, key=first)
    assert second["described"]["owner"] == f"user:{user}"
    assert second["described"]["scope"]["models"] == ["small"]
    wider = await site.call("POST", "/-/keys", {"place": "acme", "scope": {"models": ["large"]}}, key=first)
    assert wider.status == 403
    stranger = await site.call("POST", "/-/keys", {"place": "acme", "owner": ""}, key=first)
    assert stranger.status == 403
    seen = (await site.call("GET", "/-/keys", key=first)).body["data"]
    assert {row["id"] for row in seen} == {id, second["described"]["id"]}


# -- budgets


async def test_a_budget_says_what_is_spent_and_left(site: Admin) -> None:
    made = await site.made("/-/budgets", {"of": "place:acme", "limit_usd": 0.1, "period": "day"})
    assert (made["spent_usd"], made["left_usd"]) == (None, None), "not read yet, and so not known"
    (budget,) = site.budgets()
    assert budget.limit == USD // 10
    await site.read_budgets()
    period = site.gateway.purse._key(budget)
    await site.store.settle("some request", (SpendLine(*period, amount=USD // 50),))
    path = f"/-/budgets/{made['id']}"
    assert (await site.call("GET", path)).body["spent_usd"] == 0.0, "the store is asked once a second, however often somebody looks"
    site.clock.advance(1)
    said = (await site.call("GET", path)).body
    assert (said["limit_usd"], said["spent_usd"], said["held_usd"], said["left_usd"]) == (0.1, 0.02, 0.0, 0.08)
    changed = (await site.call("PATCH", f"/-/budgets/{made['id']}", {"limit_usd": 0.2, "hard": False})).body
    assert (changed["limit_usd"], changed["hard"], changed["alerts"]) == (0.2, False, [0.8, 1.0])
    key = await site.key_with(None, "acme/search")
    assert [row["id"] for row in (await site.call("GET", "/-/whoami", key=key)).body["budgets"]] == [made["id"]]
    assert (await site.call("DELETE", f"/-/budgets/{made['id']}")).status == 200
    assert (await site.call("GET", f"/-/budgets/{made['id']}")).status == 404


async def test_the_configurations_budget_is_shown_and_not_changed() -> None:
    async with admin(budget=NanoUSD(3 * USD)) as site:
        (row,) = (await site.call("GET", "/-/budgets")).body["data"]
        assert (row["id"], row["fixed"], row["left_usd"]) == ("config", True, 3.0)
        for method, body in (("PATCH", {"limit_usd": 9}), ("DELETE", None)):
            said = await site.call(method, "/-/budgets/config", body)
            assert (said.status, said.body["error"]["code"]) == (409, "conflict")
            assert "usd_per_day" in said.body["error"]["hint"]


# -- what is wrong


class Contended(MemoryStore):
    """Somebody else is always quicker."""

    async def change(self, *changes: Change) -> int:
        if any(change.actor != "system" for change in changes):
            raise Conflict("The accounts have changed meanwhile.")
        return await super().change(*changes)


async def test_a_change_that_others_always_overtake_is_a_conflict() -> None:
    async with admin(Contended()) as site:
        said = await site.call("PUT", "/-/places/acme", {})
        assert (said.status, said.body["error"]["code"]) == (409, "conflict")
        assert said.body["error"]["hint"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("PUT", "/-/places/Acme!", {}, 400, "place"),
        ("PUT", "/-/places/acme/a/b/c", {}, 400, "place"),
        ("PUT", "/-/places/acme/none/c", {}, 404, "place"),
        ("PUT", "/-/places/", {"closed": True}, 400, "place"),
        ("PUT", "/-/places/acme", {"limits": {"concurrency": -1}}, 400, "limits.concurrency"),
        ("PUT", "/-/places/acme", {"limit": {}}, 400, "limit"),
        ("PUT", "/-/places/acme", [], 400, None),
        ("POST", "/-/keys", {}, 400, "place"),
        ("POST", "/-/keys", {"place": "nowhere"}, 404, "place"),
        ("POST", "/-/keys", {"place": "acme", "expires_at": "1999-01-01T00:00:00Z"}, 400, "expires"),
        ("POST", "/-/keys", {"place": "acme", "expires_at": "9999-01-01T00:00:00Z"}, 400, "expires_at"),
        ("POST", "/-/keys", {"place": "acme", "expires_at": "2027-01-01T00:00:00"}, 400, "expires_at"),
        ("POST", "/-/keys/none/rotate", {}, 404, None),
        ("POST", "/-/users", {"email": "no address"}, 400, "email"),
        ("POST", "/-/grants", {"holder": "user:none", "role": "admin", "place": "acme"}, 404, "holder"),
        ("POST", "/-/grants", {"holder": "user:none", "role": "king", "place": "acme"}, 400, "role"),
        ("POST", "/-/budgets", {"of": "everything", "limit_usd": 1}, 400, "of"),
        ("POST", "/-/budgets", {"of": "place:acme", "limit_usd": 1e300}, 400, "limit_usd"),
        ("GET", "/-/usage?by=colour", None, 400, "by.0"),
        ("GET", "/-/usage?by=day,team,key,tag,model", None, 400, "by"),
        ("GET", "/-/usage?since=yesterday", None, 400, "since"),
        ("GET", "/-/usage?since=0001-01-01T00:00:00Z", None, 400, "since"),
        ("GET", "/-/usage?by=team&after=%21", None, 400, "after"),
        ("GET", "/-/keys?limit=0", None, 400, "limit"),
        ("GET", "/-/keys?limit=1&limit=2", None, 400, "limit"),
        ("GET", "/-/keys?colour=red", None, 400, "colour"),
        ("GET", "/-/nothing", None, 404, None),
        ("PATCH", "/-/keys", {}, 405, None),
    ],
)
async def test_bad_input_is_named(site: Admin, method: str, path: str, body: object, status: int, param: str | None) -> None:
    before = site.book.directory.revision
    said = await site.call(method, path, body)
    assert (said.status, said.body["error"]["param"]) == (status, param), said.text
    assert said.body["error"]["message"]
    assert said.body["error"]["hint"]
    assert site.book.directory.revision == before


async def test_a_body_that_is_too_large_or_no_json_is_refused(site: Admin) -> None:
    for content, status in ((b"{", 400), (b"\xff", 400), (b'{"place": "\\ud800"}', 400), (b" " * (2 << 20), 413)):
        answer = await site.client.post("/-/keys", content=content, headers={"x-api-key": ROOT_KEY})
        assert answer.status_code == status, answer.text


# -- sessions


class OneSession:
    """The cookie's value "good" is ``holder``'s session."""

    cookie = "session"

    def __init__(self, holder: str) -> None:
        self.holder = holder

    async def find(self, token: str) -> Session | None:
        return Session(self.holder, "the-csrf-token", "https://gateway.test") if token == "good" else None


def asked(method: str, **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": method, "path": "/-/keys", "headers": raw, "query_string": b""})


async def test_a_cookie_speaks_for_who_signed_in_and_changes_need_a_header() -> None:
    async with admin() as site:
        ann = (await site.made("/-/users", {"email": "ann@example.test"}))["id"]
        who = Who(site.book, OneSession(f"user:{ann}"))
        assert (await who(asked("GET", cookie="session=good"))).holder == f"user:{ann}"
        assert (await who(asked("POST", cookie="session=good", **{CSRF_HEADER: "the-csrf-token"}))).holder == f"user:{ann}"
        for sent in ({}, {CSRF_HEADER: "another"}, {CSRF_HEADER: "the-csrf-token", "origin": "https://elsewhere.test"}):
            with pytest.raises(Forbidden):
                await who(asked("POST", cookie="session=good", **sent))
        with pytest.raises(Unauthenticated):
            await who(asked("GET", cookie="session=stale"))
        both = asked("POST", cookie="session=good", authorization=f"Bearer {ROOT_KEY}")
        assert (await who(both)).holder.startswith("key:bootstrap-"), "a key that is sent counts"
