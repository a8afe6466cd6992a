"""A sign-in provider of our own making on loopback, which does as it is told, and a gateway that people sign in to.

What a well-behaved provider does is the affair of a certified one (``tests/oracle/test_oidc.py``); this one misbehaves.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from base64 import b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import msgspec
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from msgspec import Struct
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from tests.support.fleet import config_of, gateway_of
from tests.support.serving import KEY, QuietServer

from trimtab.config import OIDC
from trimtab.core.accounts import ROOT, Role, User
from trimtab.core.zones import Boundary, Secret
from trimtab.engine import AccountBook, Gate
from trimtab.engine.access import Actor, digest, rules
from trimtab.engine.clock import SystemClock, new_id
from trimtab.lab.memory import MemoryStore
from trimtab.net import Egress, Receivers
from trimtab.server import IdentityProvider, SignIn, build_app
from trimtab.server import Site as ServedSite

CLIENT, SECRET = "gateway", "a-client-secret-0123456789"
ME = "me@acme.test"
AT = "http://127.0.0.1:8800"

Params = Mapping[str, str]


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


ONE_KEY = new_key()


def public(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", "alg": "RS256"}


class FakeIssuer:
    """``metadata`` goes over what it says of itself; ``answers`` maps a path to a status and a body that it gives instead of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.metadata: dict[str, object] = {}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.keys = [public(ONE_KEY, "one")]
        self.asked: Counter[str] = Counter()
        self.secret = SECRET
        self.userinfo: dict[str, object] | None = None
        self._codes: dict[str, tuple[str, Params]] = {}

    def code(
        self, params: Params, *, key: Any = ONE_KEY, kid: str | None = "one", algorithm: str = "RS256", **claims: object
    ) -> str:
        """A code for whoever asked with ``params``. A claim that is ``None`` is left out."""
        now = int(time.time())
        whole: dict[str, object] = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 300,
            "nonce": params["nonce"],
            "email": ME,
            "email_verified": True,
        } | claims
        body = {name: value for name, value in whole.items() if value is not None}
        return self.code_for(jwt.encode(body, key, algorithm, {} if kid is None else {"kid": kid}), params)

    def code_for(self, token: str, params: Params) -> str:
        code = f"code-{len(self._codes)}"
        self._codes[code] = (token, params)
        return code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.asked[request.url.path] += 1
        status, body = self.answers.get(request.url.path) or await self._answer(request)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, request: Request) -> tuple[int, bytes]:
        match request.url.path:
            case "/.well-known/openid-configuration":
                said: dict[str, object] = {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                }
                return 200, msgspec.json.encode(said | self.metadata)
            case "/keys":
                return 200, msgspec.json.encode({"keys": self.keys})
            case "/token":
                return self._token(request, {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()})
            case "/userinfo" if request.headers.get("authorization") == "Bearer access-token":
                return 200, msgspec.json.encode(self.userinfo)
            case _:
                return 404, b"{}"

    def _token(self, request: Request, form: Params) -> tuple[int, bytes]:
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        client, _, secret = b64decode(pair).decode().partition(":") if scheme == "Basic" else ("", "", "")
        if (client or form.get("client_id"), secret or form.get("client_secret", "")) != (CLIENT, self.secret):
            return 401, b'{"error": "invalid_client"}'
        token, params = self._codes.pop(form["code"], ("", {}))
        challenge = urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if not token or challenge != params["code_challenge"] or form["redirect_uri"] != params["redirect_uri"]:
            return 400, b'{"error": "invalid_grant"}'
        return 200, msgspec.json.encode({"id_token": token, "access_token": "access-token", "token_type": "Bearer"})


class Site:
    """Where an issuer listens: each test puts its own there, which is quicker than a server each."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.issuer = FakeIssuer(url)

    def anew(self) -> FakeIssuer:
        self.issuer = FakeIssuer(self.url)
        return self.issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.issuer(scope, receive, send)


@asynccontextmanager
async def issuer_site() -> AsyncIterator[Site]:
    listening = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio turns Nagle's algorithm off for what is called TCP alone
    listening.bind(("127.0.0.1", 0))
    site = Site(f"http://127.0.0.1:{listening.getsockname()[1]}")
    server = QuietServer(uvicorn.Config(site, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None))
    serve = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            await asyncio.sleep(0.002)
        yield site
    finally:
        server.should_exit = server.force_exit = True
        await serve
        listening.close()


class ShiftedClock(SystemClock):
    """The real time, and ``ahead`` seconds more."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def time_ns(self) -> int:
        return super().time_ns() + int(self.ahead * 1e9)


class House(Struct):
    """A gateway without a socket. ``client`` is a browser, with a jar of its own, that follows no redirect."""

    client: httpx2.AsyncClient
    app: Any
    book: AccountBook
    store: MemoryStore
    clock: ShiftedClock
    config: OIDC
    egress: Egress

    def browser(self) -> httpx2.AsyncClient:
        return browser(self.app, self.config)

    @property
    def operator(self) -> Actor:
        (key,) = self.book.directory.by_digest.values()
        return self.book.actor(f"key:{key.key.id}")

    async def invite(self, email: str, role: Role | None = Role.ADMIN) -> str:
        """A new user's id."""
        id = self.book.new_id()
        await self.book.apply(self.operator, lambda directory, actor: rules.create_user(directory, actor, id=id, email=email))
        if role is not None:
            await self.book.apply(
                self.operator,
                lambda directory, actor: rules.grant_role(
                    directory, actor, id=f"{id}.g", holder=f"user:{id}", role=role, place=ROOT
                ),
            )
        return id

    def user(self, email: str) -> User:
        return self.book.directory.by_email[email]


def browser(app: Any, config: OIDC) -> httpx2.AsyncClient:
    at = config.redirect_url.removesuffix("/-/callback")
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=at)


def oidc(issuer: str, **changed: Any) -> OIDC:
    base = OIDC(
        issuer=issuer,
        client_id=CLIENT,
        redirect_url=f"{AT}/-/callback",
        client_secret=Secret(SECRET),
        scopes=("openid", "email"),
        admins=frozenset(),
        session_seconds=3600.0,
        idle_seconds=600.0,
    )
    return msgspec.structs.replace(base, **changed)


@cache
def _boundary() -> Boundary:
    return config_of([]).boundary


@asynccontextmanager
async def house(config: OIDC, *, egress: Egress | None = None) -> AsyncIterator[House]:
    """``egress`` is lent: a TLS context of its own costs more than all the rest."""
    clock, store = ShiftedClock(), MemoryStore()
    book = AccountBook(store, clock, new_id)
    await book.ensure_bootstrap(digest(KEY), "test")
    boundary = _boundary()
    lent, egress = egress, egress or new_egress()
    sign_in = SignIn(config, IdentityProvider(config, egress, boundary, clock), book, store, clock)
    served = ServedSite(gateway=gateway_of([], {}, store=store), book=book, gate=Gate(10), store=store, max_body_bytes=1000)
    app = build_app(served, sign_in=sign_in)
    async with browser(app, config) as client:
        yield House(client, app, book, store, clock, config, egress)
    if lent is None:
        await egress.aclose()


def new_egress() -> Egress:
    return Egress(Receivers(_boundary(), []))


async def begin(client: httpx2.AsyncClient, **query: str) -> dict[str, str]:
    """The authorization request that the gateway sends the browser away with."""
    answer = await client.get("/-/login", params=query)
    assert answer.status_code == 303, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def finish(client: httpx2.AsyncClient, params: Params, code: str, **more: str) -> httpx2.Response:
    return await client.get("/-/callback", params={"state": params["state"], "code": code, **more})


async def signed_in(house: House, issuer: FakeIssuer, client: httpx2.AsyncClient | None = None, **claims: Any) -> httpx2.Response:
    client = client or house.client
    params = await begin(client)
    return await finish(client, params, issuer.code(params, **claims))
