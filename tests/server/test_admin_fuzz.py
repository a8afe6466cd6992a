"""The admin API under what nobody thought of: no fault of ours, no answer beside the document, and no key or digest in any of them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import ASGIApp, Message
from tests.support.admin import ROOT_KEY, Admin, admin

from trimtab.engine.access import digest
from trimtab.lab.check_store.samples import sample_intent, sample_outcome
from trimtab.server.admin import OPERATIONS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
HEADERS = {"authorization": f"Bearer {ROOT_KEY}", "x-api-key": ROOT_KEY}
LABELS = [f"{row.method} {row.path.replace(':path', '')}" for row in OPERATIONS]


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)


# -- the document


@cache
def loaded() -> tuple[Any, Admin]:
    """The document as the application serves it, and the application."""
    site = Admin()
    asyncio.run(site.open())
    return schemathesis.openapi.from_asgi("/-/openapi.json", site.app), site


def operation(label: str) -> Any:
    method, path = label.split(" ")
    return loaded()[0][path][method]


@pytest.mark.parametrize("label", LABELS)
def test_no_fault_and_no_answer_beside_the_document(label: str) -> None:
    """By schemathesis: data that fits the schema and data that does not, at each operation."""
    described = operation(label)
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

    @examples(12)
    @given(case=st.one_of(*(described.as_strategy(generation_mode=mode) for mode in modes)))
    def ask(case: Any) -> None:
        case.call_and_validate(headers=HEADERS, checks=CHECKS)

    ask()


def test_every_good_answer_is_as_the_document_says() -> None:
    """What chance hardly finds: each operation once, where it succeeds."""
    done: list[str] = []

    def ask(label: str, target: str = "", body: object = None, **query: str) -> Any:
        described = operation(label)
        names = {parameter.name: target for parameter in described.path_parameters}
        sent = {"body": body, "media_type": "application/json"} if body is not None else {}
        case = described.Case(path_parameters=names, query=query, **sent)
        answer = case.call_and_validate(headers=HEADERS, checks=CHECKS)
        assert answer.status_code in (200, 201), (label, answer.text)
        done.append(label)
        return answer.json()

    store = loaded()[1].store
    asyncio.run(keep(store.append, [sample_intent(1), sample_outcome(1)]))
    ask("PUT /-/places/{path}", "acme", {"name": "Acme", "scope": {"tiers": ["closed"]}, "limits": {"concurrency": 3}})
    user = ask("POST /-/users", body={"email": "ann@example.test"})["id"]
    account = ask("POST /-/service-accounts", body={"place": "acme"})["id"]
    grant = ask("POST /-/grants", body={"holder": f"user:{user}", "role": "analyst", "place": "acme"})["id"]
    key = ask("POST /-/keys", body={"place": "acme", "expires_at": "2030-01-01T00:00:00Z"})["described"]["id"]
    budget = ask("POST /-/budgets", body={"of": f"key:{key}", "limit_usd": 5, "alerts": []})["id"]
    ask("POST /-/keys/{id}/rotate", key, {"overlap_seconds": 60})
    for name, id in {"users": user, "service-accounts": account, "grants": grant, "keys": key, "budgets": budget}.items():
        ask(f"GET /-/{name}", limit="2")
        ask(f"GET /-/{name}/{{id}}", id)
    ask("GET /-/places", place="acme")
    ask("GET /-/places/{path}", "acme")
    ask("PATCH /-/users/{id}", user, {"disabled": True})
    ask("PATCH /-/service-accounts/{id}", account, {"disabled": True})
    ask("PATCH /-/budgets/{id}", budget, {"limit_usd": 6})
    ask("GET /-/whoami")
    ask("GET /-/fleet")
    ask("GET /-/usage", by="team,model,cached", since="2020-01-01T00:00:00Z", limit="1")
    ask("GET /-/decisions/{id}", sample_intent(1).id)
    ask("GET /-/audit")
    for label, target in {"keys/{id}": key, "grants/{id}": grant, "budgets/{id}": budget, "places/{path}": "acme"}.items():
        ask(f"DELETE /-/{label}", target)
    assert set(done) == set(LABELS)


async def keep(append: Any, rows: Iterable[Any]) -> None:
    for row in rows:
        await append(row)


# -- secrets


def spellings(key: str) -> list[bytes]:
    """A key, and its digest as it could stand anywhere."""
    hashed = digest(key)
    return [key.encode(), hashed.hex().encode(), base64.b64encode(hashed)[:-1], base64.urlsafe_b64encode(hashed)[:-1]]


async def raw(app: ASGIApp, method: str, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes = b"") -> tuple[int, bytes]:
    """One request as a server would hand it over, with any bytes in its headers: its status, and all that came back."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    told = b"".join(repr(message.get("headers", "")).encode() + message.get("body", b"") for message in sent)
    return int(sent[0]["status"]), told


NAMES = (
    b"authorization",
    b"x-api-key",
    b"api-key",
    b"x-goog-api-key",
    b"cookie",
    b"traceparent",
    b"anthropic-version",
    b"content-length",
    b"x-trimtab-tags",
    b"x-trimtab-lower",
    b"x-trimtab-sensitivity",
    b"x-trimtab-latency",
    b"x-trimtab-timeout",
    b"x-trimtab-task",
    b"x-trimtab-csrf",
)
values = st.one_of(
    st.binary(max_size=40),
    st.sampled_from((ROOT_KEY.encode(), b"Bearer " + ROOT_KEY.encode(), b"bearer  " + ROOT_KEY.encode(), b"Basic dHQ6eA==", b"")),
    st.sampled_from((b"public", b"batch", b"inf", b"1e400", b"-0", b"personal,,", b"session=x; session=y", b"a=b;;=;\xff")),
)
PATHS = (
    ("GET", "/-/whoami"),
    ("GET", "/-/keys"),
    ("POST", "/-/keys"),
    ("DELETE", "/-/keys/x"),
    ("GET", "/-/audit"),
    ("GET", "/-/decisions/\x00"),
    ("GET", "/-/openapi.json"),
    ("PUT", "/-/places/\ufffd"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
    ("PATCH", "/-/nothing"),
)


@examples(200)
@given(where=st.sampled_from(PATHS), headers=st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=6))
def test_any_header_is_answered_and_nothing_secret_comes_back(where: tuple[str, str], headers: list[tuple[bytes, bytes]]) -> None:
    async def ask() -> tuple[int, bytes]:
        return await raw(loaded()[1].app, *where, headers, b"{")

    status, told = asyncio.run(ask())
    assert status < 500
    assert [spelling for spelling in spellings(ROOT_KEY) if spelling in told] == []


STEPS = ("create", "rotate", "revoke", "list", "one", "audit", "whoami", "grant", "as another", "clash", "budget")


@examples(40)
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=14))
def test_a_key_is_never_told_again(steps: list[tuple[str, int]]) -> None:
    asyncio.run(walk(steps))


async def walk(steps: list[tuple[str, int]]) -> None:
    """Whatever is done with keys: each is in the one answer that makes it, and in no other; its digest is in none."""
    async with admin() as site:
        keys, ids = [ROOT_KEY], ["none"]
        for step, number in steps:
            key, id = keys[number % len(keys)], ids[number % len(ids)]
            method, path, body, asks = {
                "create": ("POST", "/-/keys", {"place": ""}, key),
                "clash": ("POST", "/-/keys", {"place": "nowhere"}, key),
                "rotate": ("POST", f"/-/keys/{id}/rotate", {"overlap_seconds": 9}, ROOT_KEY),
                "as another": ("POST", f"/-/keys/{id}/rotate", {}, key),
                "revoke": ("DELETE", f"/-/keys/{id}", None, ROOT_KEY),
                "list": ("GET", "/-/keys", None, key),
                "one": ("GET", f"/-/keys/{id}", None, ROOT_KEY),
                "audit": ("GET", "/-/audit?limit=1000", None, ROOT_KEY),
                "whoami": ("GET", "/-/whoami", None, key),
                "grant": ("POST", "/-/grants", {"holder": f"key:{id}", "role": "admin", "place": ""}, ROOT_KEY),
                "budget": ("POST", "/-/budgets", {"of": f"key:{id}", "limit_usd": 1}, ROOT_KEY),
            }[step]
            said = await site.call(method, path, body, key=asks)
            assert said.status < 500, said.text
            told = (said.text + str(dict(said.headers))).encode()
            for known in keys:
                assert [spelling for spelling in spellings(known) if spelling in told] == [], step
            if said.status == 201 and "key" in said.body:
                keys.append(said.body["key"])
                ids.append(said.body["described"]["id"])
                assert told.count(keys[-1].encode()) == 1
                assert [spelling for spelling in spellings(keys[-1])[1:] if spelling in told] == []
        kept = msgspec.json.encode([change async for change in site.book.audit()])
        assert [key for key in keys if key.encode() in kept] == []
