"""Signing in and out by OpenID Connect, as a browser meets it, with everybody at their worst: provider, browser, another site."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.serving import KEY
from tests.support.signin import (
    AT,
    ME,
    SECRET,
    FakeIssuer,
    House,
    Site,
    begin,
    finish,
    house,
    issuer_site,
    new_egress,
    new_key,
    oidc,
    public,
    signed_in,
)

from trimtab.core.accounts import Role
from trimtab.core.errors import MalformedRequest
from trimtab.engine.access import rules
from trimtab.net import Egress
from trimtab.server.signin.cookies import Cookies, local_path
from trimtab.server.signin.provider import usable

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    async with issuer_site() as running:
        yield running


@pytest.fixture
def issuer(site: Site) -> FakeIssuer:
    return site.anew()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lonely() -> AsyncIterator[House]:
    async with house(oidc("http://127.0.0.1:9")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def egress() -> AsyncIterator[Egress]:
    shared = new_egress()
    yield shared
    await shared.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def home(issuer: FakeIssuer, egress: Egress) -> AsyncIterator[House]:
    async with house(oidc(issuer.url, admins=frozenset({ME})), egress=egress) as running:
        yield running


def reason(answer: httpx2.Response) -> str:
    error = answer.json()["error"]
    assert error["hint"], "an error names the next step"
    return str(error["message"])


# -- the way in


async def test_the_browser_is_sent_away_with_state_nonce_and_pkce(home: House, issuer: FakeIssuer) -> None:
    answer = await home.client.get("/-/login")
    target = urlsplit(answer.headers["location"])
    asked = {name: values[0] for name, values in parse_qs(target.query).items()}
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{issuer.url}/authorize"
    assert asked["code_challenge_method"] == "S256"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert all(len(asked[name]) == 43 for name in ("state", "nonce", "code_challenge"))
    again = await begin(home.client)
    assert {again["state"], again["nonce"], again["code_challenge"]}.isdisjoint(asked.values())


async def test_whoever_the_file_names_becomes_admin_and_is_known_by_their_session(home: House, issuer: FakeIssuer) -> None:
    answer = await signed_in(home, issuer)
    assert (answer.status_code, answer.headers["location"]) == (303, "/-/whoami")
    me = (await home.client.get("/-/whoami")).json()
    assert me["holder"] == f"user:{home.user(ME).id}"
    assert [(role["role"], role["place"]) for role in me["roles"]] == [("admin", "")]
    assert home.user(ME).subject == f"{issuer.url}|subject-1"


async def test_the_second_in_the_file_is_no_admin_by_that_alone(issuer: FakeIssuer) -> None:
    async with house(oidc(issuer.url, admins=frozenset({ME, "you@acme.test"}))) as home:
        assert (await signed_in(home, issuer)).status_code == 303
        other = await signed_in(home, issuer, home.browser(), sub="subject-2", email="you@acme.test")
        assert other.status_code == 403
        assert "you@acme.test" not in home.book.directory.by_email


async def test_a_role_that_was_taken_away_does_not_come_back_by_signing_in(home: House, issuer: FakeIssuer) -> None:
    await signed_in(home, issuer)
    (grant,) = home.book.directory.held[f"user:{home.user(ME).id}"]
    await home.book.apply(home.operator, lambda directory, actor: rules.revoke_role(directory, actor, grant.id))
    answer = await signed_in(home, issuer)
    assert answer.status_code == 403
    assert "hold no role" in reason(answer)


async def test_a_stranger_is_told_whom_to_ask(home: House, issuer: FakeIssuer) -> None:
    answer = await signed_in(home, issuer, sub="stranger", email="stranger@acme.test")
    assert answer.status_code == 403
    assert "nobody has let you in" in reason(answer)
    assert "Ask an admin" in answer.json()["error"]["hint"]


async def test_somebody_without_a_role_is_told_the_admins_to_ask(home: House, issuer: FakeIssuer) -> None:
    await signed_in(home, issuer)
    await home.invite("member@acme.test", None)
    answer = await signed_in(home, issuer, home.browser(), sub="m", email="member@acme.test")
    assert answer.status_code == 403
    assert ME in answer.json()["error"]["hint"]


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": None},
        {"email_verified": False},
        {"email_verified": "false"},
        {"email_verified": False, "xms_edov": True},
        {"email_verified": None, "xms_edov": "0"},
        {"email": "me@acme.test\n"},
        {"email": None},
    ],
)
async def test_an_address_that_nobody_vouches_for_opens_nothing(home: House, issuer: FakeIssuer, claims: dict[str, Any]) -> None:
    answer = await signed_in(home, issuer, **claims)
    assert answer.status_code == 403
    assert "does not vouch" in reason(answer)
    assert ME not in home.book.directory.by_email


async def test_entra_ids_own_word_for_a_verified_address_counts(home: House, issuer: FakeIssuer) -> None:
    assert (await signed_in(home, issuer, email_verified=None, xms_edov=True)).status_code == 303


async def test_the_address_is_asked_for_where_the_id_token_has_none(home: House, issuer: FakeIssuer) -> None:
    issuer.metadata["userinfo_endpoint"] = f"{issuer.url}/userinfo"
    issuer.userinfo = {"sub": "subject-1", "email": ME, "email_verified": True}
    assert (await signed_in(home, issuer, email=None, email_verified=None)).status_code == 303
    issuer.userinfo = {"sub": "subject-2", "email": "you@acme.test"}
    answer = await signed_in(home, issuer, sub="subject-2", email=None, email_verified=True, xms_edov=True)
    assert "does not vouch" in reason(answer), "the ID token's word is not about an address that stands elsewhere"
    issuer.userinfo = {"sub": "somebody-else", "email": "you@acme.test", "email_verified": True}
    answer = await signed_in(home, issuer, email=None, email_verified=None)
    assert answer.status_code == 503
    assert "somebody else" in reason(answer)


async def test_two_sign_ins_in_two_tabs_both_end_well(home: House, issuer: FakeIssuer) -> None:
    one, two = await begin(home.client), await begin(home.client)
    for params in (one, two):
        assert (await finish(home.client, params, issuer.code(params))).status_code == 303


# -- state, code, browser


async def test_a_state_is_good_once(home: House, issuer: FakeIssuer) -> None:
    params = await begin(home.client)
    assert (await finish(home.client, params, issuer.code(params))).status_code == 303
    answer = await finish(home.client, params, issuer.code(params))
    assert answer.status_code == 401
    assert "No such sign-in" in reason(answer)


async def test_a_state_is_good_for_ten_minutes(home: House, issuer: FakeIssuer) -> None:
    params = await begin(home.client)
    home.clock.ahead = 601
    assert (await finish(home.client, params, issuer.code(params))).status_code == 401


async def test_a_sign_in_of_another_browser_is_not_taken_up(home: House, issuer: FakeIssuer) -> None:
    """Login CSRF: the attacker's state and code in the victim's browser."""
    params = await begin(home.browser())
    code = issuer.code(params)
    victim = home.browser()
    await begin(victim)
    assert (await finish(victim, params, code)).status_code == 401
    assert (await finish(home.browser(), params, code)).status_code == 401
    assert issuer.asked["/token"] == 0


async def test_a_stolen_code_is_worth_nothing_in_another_sign_in(home: House, issuer: FakeIssuer) -> None:
    """PKCE: the code was made for another challenge."""
    stolen = issuer.code(await begin(home.browser()))
    mine = await begin(home.client)
    answer = await finish(home.client, mine, stolen)
    assert answer.status_code == 401
    assert "does not take the code" in reason(answer)


async def test_the_answer_of_another_provider_is_not_taken(home: House, issuer: FakeIssuer) -> None:
    """RFC 9207."""
    params = await begin(home.client)
    answer = await finish(home.client, params, issuer.code(params), iss="https://evil.example")
    assert (answer.status_code, issuer.asked["/token"]) == (401, 0)
    assert "another sign-in provider" in reason(answer)


async def test_a_provider_that_names_itself_has_to(issuer: FakeIssuer) -> None:
    issuer.metadata["authorization_response_iss_parameter_supported"] = True
    async with house(oidc(issuer.url, admins=frozenset({ME}))) as home:
        params = await begin(home.client)
        assert (await finish(home.client, params, issuer.code(params))).status_code == 401
        params = await begin(home.client)
        assert (await finish(home.client, params, issuer.code(params), iss=issuer.url)).status_code == 303


async def test_what_the_provider_says_instead_of_a_code_is_told_but_not_repeated(home: House) -> None:
    for error, status, words in (
        ("access_denied", 401, "declined"),
        ("server_error", 503, "fault of its own"),
        ("invalid_scope", 401, "(invalid_scope)"),
        ("aadsts_50105", 401, "(aadsts_50105)"),
        ("<script>", 401, "gave no code."),
    ):
        params = await begin(home.client)
        query = {"state": params["state"], "error": error, "error_description": "call 555-evil"}
        answer = await home.client.get("/-/callback", params=query, headers={"accept": "text/html"})
        assert answer.status_code == status
        assert words in answer.text
        assert "555" not in answer.text
        assert "<script>" not in answer.text


# -- the ID token


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "another"}, "another application"),
        ({"aud": ["gateway", "another"]}, "another application"),
        ({"azp": "another"}, "another application"),
        ({"iss": "https://evil.example"}, "another provider"),
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"exp": int(time.time()) - 120}, "another time"),
        ({"iat": int(time.time()) + 86_400}, "another time"),
        ({"exp": None}, "cannot be read"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 7}, "cannot be read"),
        ({"kid": "unknown"}, "does not publish"),
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    home: House, issuer: FakeIssuer, claims: dict[str, Any], words: str
) -> None:
    answer = await signed_in(home, issuer, **claims)
    assert answer.status_code == 401
    assert words in reason(answer)
    assert (await home.client.get("/-/whoami")).status_code == 401


async def test_clocks_may_be_a_minute_apart(home: House, issuer: FakeIssuer) -> None:
    now = int(time.time())
    assert (await signed_in(home, issuer, iat=now + 45, exp=now + 345)).status_code == 303
    assert (await signed_in(home, issuer, iat=now - 345, exp=now - 45)).status_code == 303


async def test_new_keys_are_fetched_once_and_not_with_every_token(home: House, issuer: FakeIssuer) -> None:
    await signed_in(home, issuer)
    fresh = new_key()
    issuer.keys.append(public(fresh, "two"))
    home.clock.ahead = 6
    assert (await signed_in(home, issuer, key=fresh, kid="two")).status_code == 303
    assert issuer.asked["/keys"] == 2
    for _ in range(5):
        assert (await signed_in(home, issuer, kid="three")).status_code == 401
    assert issuer.asked["/keys"] == 2


# -- the provider


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"issuer": "https://evil.example"}, "another name"),
        ({"issuer": 7}, "cannot be read"),
        ({"token_endpoint": "http://token.example/token"}, "token_endpoint"),
        ({"token_endpoint": "https://user:pass@token.example/"}, "token_endpoint"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"end_session_endpoint": "http://[::1"}, "end_session_endpoint"),
        ({"x": "y" * 300_000}, "longer than"),
    ],
)
async def test_a_discovery_document_that_cannot_be_believed_is_not(
    home: House, issuer: FakeIssuer, metadata: dict[str, object], words: str
) -> None:
    issuer.metadata = metadata
    answer = await home.client.get("/-/login")
    assert answer.status_code == 503
    assert words in reason(answer)


@pytest.mark.parametrize(
    ("issuer_url", "endpoint", "good"),
    [
        ("https://accounts.example", "https://tokens.example/token?p=1", True),
        ("https://accounts.example", "https://127.0.0.1/token", False),
        ("https://accounts.example", "https://localhost/token", False),
        ("https://accounts.example", "https://192.168.0.7/token", False),
        ("https://10.0.0.7", "https://10.0.0.8/token", True),
        ("https://10.0.0.7", "http://127.0.0.1/token", False),
        ("http://127.0.0.1:9", "http://127.0.0.1:10/token", True),
        ("http://127.0.0.1:9", "http://10.0.0.7/token", False),
        ("https://accounts.example", "https://tokens.example/a b", False),
        ("https://accounts.example", "https://tokens.example/#x", False),
    ],
)
async def test_discovery_leads_nowhere_further_inside(issuer_url: str, endpoint: str, good: bool) -> None:
    assert usable(endpoint, issuer_url) == good


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"<html>", b'{"issuer": null}'])
async def test_what_is_no_discovery_document_is_said_to_be_none(home: House, issuer: FakeIssuer, body: bytes) -> None:
    issuer.answers["/.well-known/openid-configuration"] = (200, body)
    answer = await home.client.get("/-/login")
    assert answer.status_code == 503
    assert "cannot be read" in reason(answer)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"keys": [7]}', b'{"keys": []}', b'{"keys": [{"kty": "RSA", "kid": "one", "n": "!"}]}']
)
async def test_keys_that_are_none_open_nothing(home: House, issuer: FakeIssuer, body: bytes) -> None:
    issuer.answers["/keys"] = (200, body)
    answer = await signed_in(home, issuer)
    assert answer.status_code in (401, 503)
    assert reason(answer)


async def test_a_provider_that_is_down_is_a_503_and_sessions_go_on(home: House, issuer: FakeIssuer) -> None:
    await signed_in(home, issuer)
    for path in ("/.well-known/openid-configuration", "/token", "/keys"):
        issuer.answers[path] = (502, b"")
    assert (await home.client.get("/-/whoami")).status_code == 200
    params = await begin(home.client)  # what it said of itself is still known
    answer = await finish(home.client, params, issuer.code(params))
    assert answer.status_code == 503
    assert "cannot be reached" in reason(answer)
    async with house(home.config) as fresh:
        assert (await fresh.client.get("/-/login")).status_code == 503
        assert (await fresh.client.get("/-/login")).status_code == 503
        assert issuer.asked["/.well-known/openid-configuration"] == 2, "it is left alone for a moment"
        assert (await fresh.client.get("/-/whoami", headers={"authorization": f"Bearer {KEY}"})).status_code == 200


async def test_nobody_there_is_a_503(lonely: House) -> None:
    answer = await lonely.client.get("/-/login")
    assert answer.status_code == 503
    assert "no connection" in reason(answer)


async def test_a_wrong_client_secret_is_told_from_a_wrong_code(home: House, issuer: FakeIssuer) -> None:
    issuer.secret = "rotated"
    answer = await signed_in(home, issuer)
    assert answer.status_code == 503
    assert "client_secret" in reason(answer)
    assert SECRET not in answer.text


@pytest.mark.parametrize("methods", [["client_secret_post"], ["client_secret_basic", "private_key_jwt"]])
async def test_the_client_says_who_it_is_as_the_provider_wants_it(issuer: FakeIssuer, methods: list[str]) -> None:
    issuer.metadata["token_endpoint_auth_methods_supported"] = methods
    async with house(oidc(issuer.url, admins=frozenset({ME}))) as home:
        assert (await signed_in(home, issuer)).status_code == 303


async def test_a_public_client_needs_a_provider_that_does_pkce(issuer: FakeIssuer) -> None:
    issuer.secret = ""
    for methods, status in ((["S256"], 303), (["plain"], 503)):
        issuer.metadata["code_challenge_methods_supported"] = methods
        async with house(oidc(issuer.url, client_secret=None, admins=frozenset({ME}))) as home:
            answer = await home.client.get("/-/login")
            assert answer.status_code == status
            if status == 303:
                assert (await signed_in(home, issuer)).status_code == 303


# -- the session


async def test_the_store_holds_nothing_that_a_browser_could_show(home: House, issuer: FakeIssuer) -> None:
    params = await begin(home.client)
    await finish(home.client, params, issuer.code(params))
    tokens = [cookie.value for cookie in home.client.cookies.jar if cookie.value]
    csrf = (await home.client.get("/-/whoami")).json()["csrf"]
    kept = [f"{one.kind} {one.id} {one.owner} {one.body!r}" for one in home.store._documents.values()]
    assert len(tokens) == 2
    for secret in (*tokens, csrf, params["nonce"], params["state"]):
        assert not [line for line in kept if secret in line]
    assert [line for line in kept if hashlib.sha256(home.client.cookies["trimtab"].encode()).hexdigest() in line]


async def test_a_session_ends_at_its_time_however_busy_and_earlier_when_idle(home: House, issuer: FakeIssuer) -> None:
    await signed_in(home, issuer)
    for _ in range(6):
        home.clock.ahead += 590  # within idle_seconds each time
        assert (await home.client.get("/-/whoami")).status_code == 200
    home.clock.ahead += 590
    assert (await home.client.get("/-/whoami")).status_code == 401, "session_seconds are over"
    await signed_in(home, issuer)
    home.clock.ahead += 601
    assert (await home.client.get("/-/whoami")).status_code == 401, "idle_seconds are over"


async def test_signing_in_gives_a_new_session_and_ends_the_one_before(home: House, issuer: FakeIssuer) -> None:
    """Session fixation: a token that was there before, anybody's or one's own, is worth nothing afterwards."""
    planted = "A" * 43
    home.client.cookies.set("trimtab", planted, domain="127.0.0.1")
    await signed_in(home, issuer)
    first = home.client.cookies["trimtab"]
    assert first != planted
    await signed_in(home, issuer)
    assert home.client.cookies["trimtab"] != first
    other = home.browser()
    for token in (planted, first):
        other.cookies.set("trimtab", token, domain="127.0.0.1")
        assert (await other.get("/-/whoami")).status_code == 401


async def test_a_disabled_user_is_out_at_once_and_does_not_come_in_again(home: House, issuer: FakeIssuer) -> None:
    id = await home.invite("member@acme.test", Role.ANALYST)
    await signed_in(home, issuer, sub="m", email="member@acme.test")
    assert (await home.client.get("/-/whoami")).status_code == 200
    await home.book.apply(home.operator, lambda directory, actor: rules.switch_user(directory, actor, id, disabled=True))
    assert (await home.client.get("/-/whoami")).status_code == 401
    answer = await signed_in(home, issuer, sub="m", email="member@acme.test")
    assert answer.status_code == 401
    assert "disabled" in reason(answer)


async def test_whoever_was_disabled_has_to_sign_in_again(home: House, issuer: FakeIssuer) -> None:
    id = await home.invite("member@acme.test", Role.ANALYST)
    await signed_in(home, issuer, sub="m", email="member@acme.test")
    admin = home.browser()
    await signed_in(home, issuer, admin)
    as_operator = {"authorization": f"Bearer {KEY}"}
    for disabled in (True, False):
        answer = await admin.patch(f"/-/users/{id}", json={"disabled": disabled}, headers=as_operator)
        assert answer.json()["disabled"] is disabled
        assert (await home.client.get("/-/whoami")).status_code == 401
    assert (await admin.get("/-/whoami")).status_code == 200, "nobody else is signed out"
    assert (await signed_in(home, issuer, sub="m", email="member@acme.test")).status_code == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"x-trimtab-csrf": "A" * 43}, 403),
        ({"x-trimtab-csrf": "CSRF", "origin": "https://evil.example"}, 403),
        ({"x-trimtab-csrf": "CSRF", "origin": "null"}, 403),
        ({"x-trimtab-csrf": "CSRF", "sec-fetch-site": "cross-site"}, 403),
        ({"x-trimtab-csrf": "CSRF", "sec-fetch-site": "same-site"}, 403),
        ({"x-trimtab-csrf": "CSRF", "origin": AT, "sec-fetch-site": "same-origin"}, 200),
        ({"x-trimtab-csrf": "CSRF"}, 200),
    ],
)
async def test_only_a_page_of_ours_changes_anything_with_a_session(
    home: House, issuer: FakeIssuer, headers: dict[str, str], status: int
) -> None:
    await signed_in(home, issuer)
    csrf = (await home.client.get("/-/whoami")).json()["csrf"]
    sent = {name: csrf if value == "CSRF" else value for name, value in headers.items()}
    answer = await home.client.post("/-/users", json={"email": "new@acme.test"}, headers=sent)
    assert answer.status_code // 100 == status // 100, answer.text
    assert ("new@acme.test" in home.book.directory.by_email) == (status == 200)


async def test_another_sessions_token_is_no_good(home: House, issuer: FakeIssuer) -> None:
    await signed_in(home, issuer)
    csrf = (await home.client.get("/-/whoami")).json()["csrf"]
    other = home.browser()
    await signed_in(home, issuer, other)
    assert (await other.get("/-/whoami")).json()["csrf"] != csrf
    assert (await other.post("/-/users", json={"email": "new@acme.test"}, headers={"x-trimtab-csrf": csrf})).status_code == 403


# -- the way out


async def test_signing_out_ends_the_session_here_and_at_the_provider(home: House, issuer: FakeIssuer) -> None:
    issuer.metadata["end_session_endpoint"] = f"{issuer.url}/bye?lang=en"
    await signed_in(home, issuer)
    token = home.client.cookies["trimtab"]
    page = await home.client.get("/-/logout", headers={"accept": "text/html"})
    assert '<form method="post">' in page.text
    answer = await home.client.post("/-/logout", headers={"accept": "text/html", "origin": AT})
    assert answer.headers["location"] == f"{issuer.url}/bye?lang=en&client_id=gateway"
    assert "trimtab" not in home.client.cookies
    home.client.cookies.set("trimtab", token, domain="127.0.0.1")
    assert (await home.client.get("/-/whoami")).status_code == 401


async def test_another_site_signs_nobody_out(home: House, issuer: FakeIssuer) -> None:
    await signed_in(home, issuer)
    for headers in ({}, {"origin": "https://evil.example"}, {"origin": "null"}):
        assert (await home.client.post("/-/logout", headers=headers)).status_code == 403
    await home.client.get("/-/logout")
    assert (await home.client.get("/-/whoami")).status_code == 200
    csrf = (await home.client.get("/-/whoami")).json()["csrf"]
    answer = await home.client.post("/-/logout", headers={"x-trimtab-csrf": csrf})
    assert answer.json() == {"signed_out": True, "provider_logout": None}
    assert (await home.client.post("/-/logout")).status_code == 200, "once more does no harm"


# -- cookies, pages, bad input


async def test_over_https_no_other_host_can_set_the_cookies(issuer: FakeIssuer) -> None:
    config = oidc(issuer.url, redirect_url="https://gateway.acme.test/-/callback", admins=frozenset({ME}))
    async with house(config) as home:
        params = await begin(home.client)
        answer = await finish(home.client, params, issuer.code(params))
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-trimtab=")
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
        assert not [part for part in parts if part.startswith("domain")]
        assert (await home.client.get("/-/whoami")).status_code == 200


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["trimtab", "trimtab-login", "x"]), st.text(st.characters(min_codepoint=32, max_codepoint=255)))
)
async def test_no_cookie_breaks_anything(lonely: House, cookies: dict[str, str]) -> None:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode("latin-1")
    for path, status in (("/-/whoami", 401), ("/-/callback?state=x&code=y", 401), ("/-/logout", 200)):
        answer = await lonely.client.get(path, headers=[(b"cookie", header)])
        assert answer.status_code == status, (path, answer.text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40).map(lambda text: "/-/" + text) | st.text(max_size=40))
async def test_nobody_is_sent_elsewhere(text: str) -> None:
    """Held against a parser of URLs that is not ours."""
    try:
        path = local_path(text)
    except MalformedRequest:
        return
    target = httpx2.URL(f"{AT}/-/callback").join(path)
    assert f"{target.scheme}://{target.netloc.decode()}" == AT
    assert target.path.startswith("/-/")


@pytest.mark.parametrize(
    "text",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/-/../x",
        "/-/%2e%2e/x",
        "/-/\n",
        "/-/login?next=/-/",
        "javascript:x",
        "",
    ],
)
async def test_a_next_that_leads_elsewhere_is_refused(home: House, text: str) -> None:
    assert (await home.client.get("/-/login", params={"next": text})).status_code == 400


async def test_next_is_where_one_ends_up(home: House, issuer: FakeIssuer) -> None:
    params = await begin(home.client, next="/-/usage?by=team")
    answer = await finish(home.client, params, issuer.code(params))
    assert answer.headers["location"] == "/-/usage?by=team"


async def test_something_said_twice_is_refused(home: House) -> None:
    params = await begin(home.client)
    answer = await home.client.get(f"/-/callback?state={params['state']}&code=a&code=b")
    assert answer.status_code == 401


async def test_sign_ins_that_anybody_can_begin_are_bounded(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.server.signin.flow.PER_MINUTE", 3)
    answers = [await home.client.get("/-/login") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    for host, status in {
        "192.0.2.7": 303,
        "::ffff:127.0.0.1": 429,
        "2001:db8::1": 303,
        "2001:db8:0:1::1": 303,
        "no address": 303,
    }.items():
        assert (await from_address(home, host).get("/-/login")).status_code == status, host
    beside = [from_address(home, f"2001:db8::{number}") for number in range(2, 5)]
    assert [(await client.get("/-/login")).status_code for client in beside] == [303, 303, 429], "all of a /64 are one"
    monkeypatch.setattr("trimtab.server.signin.flow.ALTOGETHER_PER_MINUTE", 1)
    assert [(await from_address(home, f"198.51.100.{number}").get("/-/login")).status_code for number in (1, 2)] == [303, 429]


def from_address(home: House, host: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=home.app, client=(host, 1)), base_url=AT)


async def test_a_browser_gets_a_page_that_runs_nothing_and_is_kept_nowhere(home: House) -> None:
    answer = await home.client.get("/-/callback?state=%3Cscript%3E&code=x", headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert "Sign in again" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_no_token_is_in_a_log_or_an_answer(home: House, issuer: FakeIssuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    params = await begin(home.client)
    code = issuer.code(params)
    answers = [await finish(home.client, params, code), await finish(home.client, params, code)]
    answers.append(await signed_in(home, issuer, nonce="another"))
    said = "\n".join([*(answer.text for answer in answers), *(f"{line.getMessage()} {line.__dict__}" for line in caplog.records)])
    for secret in (home.client.cookies["trimtab"], home.client.cookies["trimtab-login"], SECRET, "access-token"):
        assert secret not in said


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://gw.acme.test/-/callback", "https://gw.acme.test"),
        ("https://GW.acme.test:443/-/callback", "https://gw.acme.test"),
        ("https://gw.acme.test:8443/-/callback", "https://gw.acme.test:8443"),
        ("http://[::1]:8800/-/callback", "http://[::1]:8800"),
    ],
)
async def test_the_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert Cookies.of(url).origin == origin
