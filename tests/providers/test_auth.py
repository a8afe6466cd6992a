"""Signatures and tokens. The oracles are the clouds' own clients: botocore, msal and google-auth."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unittest.mock import patch

import google.auth.transport
import jwt
import msal
import pytest
from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.oauth2 import service_account
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.exits import BOUNDARY, PUBLIC

from trimtab.core.errors import ConfigError
from trimtab.core.zones import Secret
from trimtab.lab.upstream.clouds.signature import fault_in_signature
from trimtab.lab.upstream.clouds.tokens import TokenAuthority
from trimtab.lab.upstream.loopback import Received
from trimtab.net import CredentialError, Egress, NetError, NetFailure, Receiver, Receivers
from trimtab.providers.auth import AWSKey, EntraGrant, Grant, Post, SigV4Signer, TokenSigner, sign
from trimtab.providers.auth.google import ServiceAccount, ServiceAccountGrant
from trimtab.providers.auth.tokens import EARLY, RESTING

NOW = 1_795_000_000.0
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # the one of AWS's documentation
KEY = AWSKey("AKIDEXAMPLE", Secret(SECRET), Secret("a-session-token"))

# -- AWS signatures

segments = st.lists(
    st.sampled_from(["model", "a.b-v1:0", "a.b-v1%3A0", "x%2Fy", "..", ".", "", "~a_b", "ü", "a b", "converse"]), max_size=4
)
pairs = st.tuples(st.sampled_from(["a", "b", "a%20b", "Z"]), st.sampled_from(["", "1", "%3A", "z"]))
urls = st.builds(
    lambda host, path, query: f"{host}/{'/'.join(path)}" + (f"?{'&'.join('='.join(pair) for pair in query)}" if query else ""),
    st.sampled_from(["https://bedrock.eu-west-1.amazonaws.com", "http://127.0.0.1:8080", "https://x.test:443", "http://[::1]:99"]),
    segments,
    st.lists(pairs, max_size=3),
)
header_names = st.sampled_from(["Content-Type", "accept", "X-Amz-Meta", "user-agent", "traceparent", "x-b3"])
header_values = st.sampled_from(["application/json", "  two   spaces ", "", "a,b"])


def by_botocore(
    method: str, url: str, headers: Mapping[str, str], body: bytes, key: AWSKey, region: str, service: str
) -> dict[str, str]:
    token = key.session_token.reveal() if key.session_token else None
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    signer = botocore_auth.SigV4Auth(Credentials(key.id, key.secret.reveal(), token), service, region)
    with patch.object(botocore_auth, "get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC)):
        signer.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["GET", "POST"]),
    urls,
    st.dictionaries(header_names, header_values, max_size=4),
    st.binary(max_size=20),
    st.booleans(),
    st.sampled_from([("eu-west-1", "bedrock"), ("us-gov-west-1", "execute-api")]),
)
def test_the_signature_is_the_one_of_awss_client(
    method: str, url: str, headers: dict[str, str], body: bytes, is_session: bool, place: tuple[str, str]
) -> None:
    key = KEY if is_session else AWSKey(KEY.id, KEY.secret)
    ours = sign(method, url, headers, body, key=key, region=place[0], service=place[1], now=NOW)
    theirs = by_botocore(method, url, headers, body, key, *place)
    assert ours == {name: theirs[name] for name in ours}
    assert ("x-amz-security-token" in ours) == is_session


@pytest.mark.parametrize("path", ["/model/anthropic.claude-v1:0/converse", "/model/anthropic.claude-v1%3A0/converse", "/a?x=1&b=2"])
async def test_the_signature_fits_what_a_server_works_out_for_itself(path: str) -> None:
    signer = SigV4Signer(KEY, region="eu-west-1", now=lambda: NOW)
    sent = {"content-type": "application/json", "accept": "a", "user-agent": "b"}
    added = await signer.headers("POST", f"http://127.0.0.1:8080{path}", sent, b"{}")
    told = {name: value.reveal() for name, value in added.items()}
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token" in told["authorization"]
    received = Received("POST", path, {**sent, **told, "host": "127.0.0.1:8080", "accept": "a proxy's"}, b"{}")
    assert fault_in_signature(received, SECRET) == ""
    assert fault_in_signature(received, SECRET + "x")
    for changed in ({"path": path + "x"}, {"body": b"{} "}, {"headers": {**received.headers, "host": "another"}}):
        fields = {"method": "POST", "path": path, "headers": received.headers, "body": b"{}"} | changed
        assert fault_in_signature(Received(**fields), SECRET)  # type: ignore[arg-type]
    assert SECRET not in repr(signer) + repr(KEY) + str(told)


# -- tokens that live for a while


class Authority:
    """Grants tokens when it is let, and counts how often it was asked."""

    def __init__(self, life: float = 1000.0) -> None:
        self.life = life
        self.asked = 0
        self.failure: CredentialError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.now = NOW

    async def __call__(self) -> Grant:
        self.asked += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return Grant(Secret(f"token-{self.asked}"), self.life)


async def token(signer: TokenSigner) -> str:
    return (await signer.headers("POST", "https://x.test/", {}, b""))["authorization"].reveal()


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    authority = Authority(life=1000.0)
    signer = TokenSigner(authority, now=lambda: authority.now)
    assert [await token(signer), await token(signer)] == ["Bearer token-1"] * 2
    authority.now += 1000 - EARLY - 1
    assert await token(signer) == "Bearer token-1"
    authority.now += 1
    assert await token(signer) == "Bearer token-2"


async def test_many_who_wait_ask_once() -> None:
    authority = Authority()
    authority.gate.clear()
    signer = TokenSigner(authority)
    waiting = [asyncio.create_task(token(signer)) for _ in range(50)]
    await asyncio.sleep(0)
    authority.gate.set()
    assert set(await asyncio.gather(*waiting)) == {"Bearer token-1"}
    assert authority.asked == 1


async def test_whoever_asks_may_leave_and_the_next_one_asks() -> None:
    authority = Authority()
    authority.gate.clear()
    signer = TokenSigner(authority)
    first, second = asyncio.create_task(token(signer)), asyncio.create_task(token(signer))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    authority.gate.set()
    assert await second == "Bearer token-2"
    assert first.cancelled()


async def test_the_old_token_serves_while_no_new_one_can_be_had() -> None:
    authority = Authority(life=1000.0)
    signer = TokenSigner(authority, now=lambda: authority.now)
    await token(signer)
    authority.failure = CredentialError("busy", is_passing=True)
    authority.now += 999
    assert await token(signer) == "Bearer token-1"
    authority.now += 1
    with pytest.raises(CredentialError, match="busy"):
        await token(signer)
    authority.failure = None
    authority.now += RESTING
    assert await token(signer) == "Bearer token-3"


async def test_a_failure_is_shared_by_those_who_wait() -> None:
    authority = Authority()
    authority.failure = CredentialError("refused")
    authority.gate.clear()
    signer = TokenSigner(authority)
    waiting = [asyncio.create_task(token(signer)) for _ in range(20)]
    await asyncio.sleep(0)
    authority.gate.set()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(failure) for failure in failures} == {"refused"}
    assert authority.asked == 1


@pytest.mark.parametrize("life", [1.0, 60.0, 400.0, 700.0])
async def test_a_short_life_is_used_before_it_ends(life: float) -> None:
    authority = Authority(life=life)
    signer = TokenSigner(authority, now=lambda: authority.now)
    await token(signer)
    authority.now += life * 0.4
    assert await token(signer) == "Bearer token-1"
    authority.now += life * 0.6
    assert await token(signer) == "Bearer token-2"


# -- the authorities


def posting(egress: Egress) -> Post:
    async def post(receiver_id: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        async with egress.post(receiver_id, path, body, carried=PUBLIC, headers=headers, connect_timeout=2) as answer:
            return answer.status, await answer.read(65536)

    return post


def egress_to(url: str) -> Egress:
    return Egress(Receivers(BOUNDARY, [Receiver(id="authority", base_url=url, zone="any")]))


def entra(egress: Egress, secret: str = "s%cret +/&=") -> EntraGrant:
    return EntraGrant(posting(egress), "authority", tenant="a-tenant", client_id="an-app", client_secret=Secret(secret))


CLIENTS = {"an-app": "s%cret +/&="}
ENTRA = "https://login.microsoftonline.com"


async def test_entra_grants_a_token() -> None:
    async with TokenAuthority(clients=CLIENTS) as authority:
        egress = egress_to(authority.url)
        granted = await entra(egress)()
        assert (granted.token.reveal(), granted.expires_in) == (authority.granted[0], 3600.0)
        with pytest.raises(CredentialError, match="status 401 \\(invalid_client\\)") as raised:
            await entra(egress, "another-secret")()
        assert (raised.value.is_passing, "another-secret" in str(raised.value)) == (False, False)
        await egress.aclose()


@pytest.mark.parametrize("status, is_passing", [(503, True), (429, True), (400, False), (404, False)])
async def test_a_busy_authority_is_told_from_a_refusal(status: int, is_passing: bool) -> None:
    async with TokenAuthority(clients=CLIENTS) as authority:
        authority.failing.append(status)
        egress = egress_to(authority.url)
        with pytest.raises(CredentialError, match=str(status)) as raised:
            await entra(egress)()
        assert raised.value.is_passing == is_passing
        await egress.aclose()


async def test_an_authority_that_cannot_be_reached() -> None:
    async def post(receiver_id: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        raise NetError(NetFailure.RESET, receiver_id)

    grant = EntraGrant(post, "authority", tenant="t", client_id="c", client_secret=Secret("s"))
    with pytest.raises(CredentialError, match="authority") as raised:
        await grant()
    assert raised.value.is_passing


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"access_token":""}', b'{"access_token":"a\\nb","expires_in":9}', b"\xff"])
async def test_a_token_that_is_none_is_refused(body: bytes) -> None:
    async def post(receiver_id: str, path: str, form: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        return 200, body

    with pytest.raises(CredentialError):
        await EntraGrant(post, "authority", tenant="t", client_id="c", client_secret=Secret("s"))()


class Rerouted:
    """The HTTP client that msal is given: what it asks of Microsoft is asked of the lab."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, url: str, **rest: Any) -> Any:
        return self._ask(url, None)

    def post(self, url: str, *, data: Mapping[str, str], **rest: Any) -> Any:
        return self._ask(url, urllib.parse.urlencode(data).encode())

    def close(self) -> None:
        """Nothing is kept."""

    def _ask(self, url: str, data: bytes | None) -> Any:
        with urllib.request.urlopen(url.replace(ENTRA, self._url), data) as answer:
            return type(
                "Answer", (), {"status_code": answer.status, "text": answer.read().decode(), "headers": dict(answer.headers)}
            )()


async def test_the_lab_and_microsofts_client_understand_each_other() -> None:
    """So that what the lab demands of us is what Entra's own client sends."""
    async with TokenAuthority(clients=CLIENTS, name=ENTRA) as authority:

        def acquire() -> dict[str, Any]:
            app = msal.ConfidentialClientApplication(
                "an-app",
                client_credential=CLIENTS["an-app"],
                authority=f"{ENTRA}/a-tenant",
                instance_discovery=False,
                http_client=Rerouted(authority.url),
            )
            found: dict[str, Any] = app.acquire_token_for_client(["https://cognitiveservices.azure.com/.default"])
            return found

        theirs = await asyncio.to_thread(acquire)
        assert theirs["access_token"] == authority.granted[0]
        egress = egress_to(authority.url)
        await entra(egress)()
        await egress.aclose()
        forms = [urllib.parse.parse_qs(exchange.request.body.decode()) for exchange in authority.exchanges if exchange.request.body]
    assert all(forms[0][name] == value for name, value in forms[1].items())


@cache
def key_pair() -> tuple[str, rsa.RSAPublicKey]:
    key = rsa.generate_private_key(65537, 2048)
    return pem(key), key.public_key()


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def key_file(**fields: str) -> dict[str, str]:
    told = {"type": "service_account", "client_email": "sa@p.iam.gserviceaccount.com", "private_key_id": "k1"}
    return {**told, "private_key": key_pair()[0], "token_uri": "https://oauth2.googleapis.com/token", **fields}


def accepts(assertion: str) -> bool:
    try:
        claims = jwt.decode(assertion, key_pair()[1], algorithms=["RS256"], audience="https://oauth2.googleapis.com/token")
    except jwt.PyJWTError:
        return False
    return bool(claims["iss"] == "sa@p.iam.gserviceaccount.com" and claims["exp"] - claims["iat"] <= 3600)


async def test_google_grants_a_token_for_an_assertion_as_its_own_client_writes_it() -> None:
    async with TokenAuthority(accepts=accepts) as authority:
        egress = egress_to(authority.url)
        account = ServiceAccount.read(Secret(json.dumps(key_file())))
        granted = await ServiceAccountGrant(posting(egress), "authority", account)()
        assert (granted.token.reveal(), granted.expires_in) == (authority.granted[0], 3600.0)
        await egress.aclose()

        def theirs() -> str:
            scopes = ["https://www.googleapis.com/auth/cloud-platform"]
            credentials = service_account.Credentials.from_service_account_info(key_file(), scopes=scopes)  # type: ignore[no-untyped-call]
            credentials.refresh(_Transport(authority.url))
            return str(credentials.token)

        assert await asyncio.to_thread(theirs) == authority.granted[1]
        forms = [urllib.parse.parse_qs(exchange.request.body.decode()) for exchange in authority.exchanges]
    assert forms[0]["grant_type"] == forms[1]["grant_type"]
    ours, google_s = (form["assertion"][0] for form in forms)
    assert jwt.get_unverified_header(ours) == jwt.get_unverified_header(google_s)
    claims = [jwt.decode(one, options={"verify_signature": False}) for one in (ours, google_s)]
    assert [{name: told[name] for name in ("iss", "scope", "aud")} for told in claims[:1]] == [
        {name: told[name] for name in ("iss", "scope", "aud")} for told in claims[1:]
    ]


class _Transport(google.auth.transport.Request):
    """The HTTP client that google-auth is given."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(
        self, url: str, method: str = "GET", body: bytes | None = None, headers: object = None, timeout: object = None, **rest: Any
    ) -> Any:
        with urllib.request.urlopen(url.replace("https://oauth2.googleapis.com", self._url), body) as answer:
            return type("Answer", (), {"status": answer.status, "headers": dict(answer.headers), "data": answer.read()})()


async def test_an_assertion_of_another_key_is_refused() -> None:
    async with TokenAuthority(accepts=accepts) as authority:
        egress = egress_to(authority.url)
        other = pem(rsa.generate_private_key(65537, 2048))
        account = ServiceAccount.read(Secret(json.dumps(key_file(private_key=other))))
        with pytest.raises(CredentialError, match="invalid_grant"):
            await ServiceAccountGrant(posting(egress), "authority", account)()
        await egress.aclose()


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", json.dumps({"client_email": "a", "private_key": "secret-words"}), '{"client_email":"a","private_key":1}'],
)
def test_a_key_file_that_is_none_is_named_without_its_content(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ServiceAccount.read(Secret(text))
    assert raised.value.hint
    assert "secret-words" not in str(raised.value)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="RSA"):
        ServiceAccount.read(Secret(json.dumps(key_file(private_key=pem(ec.generate_private_key(ec.SECP256R1()))))))
