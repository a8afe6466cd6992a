"""The sign-in provider as the gateway asks it: where its endpoints are, its keys, an ID token for a code.

OpenID Connect Discovery 1.0 and Core 1.0, section 3.1. What the provider says is believed only where it can be: its own name, endpoints by
https, nothing that leads further inside than the provider itself. Nothing of a request to a model goes there. It knows nothing of
browsers, and keeps no token.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from trimtab.config import OIDC
from trimtab.config.address import place_of
from trimtab.core.errors import EgressRefused, SignInRefused, SignInUnavailable
from trimtab.core.units import Clock
from trimtab.core.zones import ONLY_PUBLIC, Boundary, Secret, Sensitivity
from trimtab.net import CredentialError, Egress, NetError, Receiver
from trimtab.server.signin.fetched import Fetched
from trimtab.server.signin.tokens import Claims, JSONWebKeys, NoSuchKey, verified

_LONGEST = 256 * 1024
_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_FRESH = 3600.0
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
_INSIDE = {"elsewhere": 0, "private": 1, "loopback": 2}

T = TypeVar("T")


class Metadata(Struct, frozen=True, kw_only=True):
    """What the discovery document says, as far as it is of use here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] | UnsetType = UNSET
    authorization_response_iss_parameter_supported: bool = False


class _Granted(Struct):
    id_token: str
    access_token: str = ""


class _Refused(Struct):
    error: str = ""


class _UserInfo(Struct):
    sub: str
    email: str = ""
    email_verified: bool | str | None = None
    name: str = ""


_METADATA = msgspec.json.Decoder(Metadata)
_KEYS = msgspec.json.Decoder(JSONWebKeys)
_GRANTED = msgspec.json.Decoder(_Granted)
_REFUSED = msgspec.json.Decoder(_Refused)
_USER_INFO = msgspec.json.Decoder(_UserInfo)


class _Bearer:
    """Lets the one request that is being made carry the token it is made with."""

    def __init__(self) -> None:
        self.token: ContextVar[Secret | None] = ContextVar("token", default=None)

    async def headers(self, method: str, url: str, sent: Mapping[str, str], body: bytes | None) -> Mapping[str, Secret]:
        token = self.token.get()
        if token is None:
            raise CredentialError("there is no token to ask with")
        return {"authorization": Secret(f"Bearer {token.reveal()}")}


class IdentityProvider:
    """``config`` names it. An answer that cannot be used is :class:`SignInUnavailable`, with the reason and no word of the answer."""

    def __init__(self, config: OIDC, egress: Egress, boundary: Boundary, clock: Clock) -> None:
        self._config = config
        self._egress = egress
        # Whoever may see what is public may see what carries nothing at all.
        self._zone = boundary.outermost[Sensitivity.PUBLIC]
        self._bearer = _Bearer()
        self._metadata = Fetched(self._discover, clock)
        self._keys = Fetched(self._fetch_keys, clock)
        egress.receivers.register(Receiver(id="oidc", base_url=config.issuer.rstrip("/"), zone=self._zone))

    async def metadata(self) -> Metadata:
        return await self._metadata.get(_FRESH)

    async def redeem(self, code: str, verifier: str, nonce: str) -> Claims:
        """Who signed in, by the code that their browser brought. Raises :class:`SignInRefused` where code or ID token do not hold."""
        metadata = await self.metadata()
        granted = await self._exchange(metadata, code, verifier)
        claims = await self._verified(granted.id_token, nonce)
        if claims.email or not metadata.userinfo_endpoint or not granted.access_token:
            return claims
        return await self._completed(metadata, claims, Secret(granted.access_token))

    async def _discover(self) -> Metadata:
        found = await self._get("oidc", "/.well-known/openid-configuration", _METADATA, "discovery document")
        if found.issuer != self._config.issuer:
            raise SignInUnavailable(
                "The sign-in provider calls itself by another name than [oidc] issuer.",
                hint="Copy 'issuer' from the provider's discovery document, letter by letter, a slash at its end included.",
            )
        endpoints = {
            "authorization_endpoint": found.authorization_endpoint,
            "token_endpoint": found.token_endpoint,
            "jwks_uri": found.jwks_uri,
            "userinfo_endpoint": found.userinfo_endpoint,
            "end_session_endpoint": found.end_session_endpoint,
        }
        optional = ("userinfo_endpoint", "end_session_endpoint")
        for name, url in endpoints.items():
            if not (name in optional and not url) and not usable(url, self._config.issuer):
                raise SignInUnavailable(
                    f"The sign-in provider's {name} is no address that may be used.",
                    hint="It has to be https, unless the provider is on this machine, and no further inside than the provider.",
                )
        methods = found.code_challenge_methods_supported
        if self._config.client_secret is None and methods is not UNSET and "S256" not in methods:
            raise SignInUnavailable(
                "The sign-in provider does not do PKCE, which a client without a secret needs.",
                hint="Register this gateway as a confidential client, and set [oidc] client_secret.",
            )
        return found

    async def _fetch_keys(self) -> JSONWebKeys:
        metadata = await self.metadata()
        receiver, path = self._register("keys", metadata.jwks_uri)
        return await self._get(receiver, path, _KEYS, "list of keys")

    async def _exchange(self, metadata: Metadata, code: str, verifier: str) -> _Granted:
        config = self._config
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": config.redirect_url,
            "code_verifier": verifier,
        }
        headers: dict[str, Secret] = {}
        method = "none"
        if config.client_secret is None:
            form["client_id"] = config.client_id
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            method = "basic"
            pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret.reveal())}"  # RFC 6749, section 2.3.1
            headers["authorization"] = Secret(f"Basic {b64encode(pair.encode()).decode()}")
        else:
            method = "post"
            form |= {"client_id": config.client_id, "client_secret": config.client_secret.reveal()}
        receiver, path = self._register(f"tokens {method}", metadata.token_endpoint, headers=headers)
        status, body = await self._ask(receiver, path, urlencode(form).encode(), _FORM)
        if status != 200:
            raise _refusal(status, body)
        return _decoded(_GRANTED, body, "answer to a code")

    async def _verified(self, token: str, nonce: str) -> Claims:
        config = self._config
        keys = await self._keys.get(_FRESH)
        try:
            return verified(token, keys, issuer=config.issuer, client_id=config.client_id, nonce=nonce)
        except NoSuchKey:
            # It has new keys perhaps. Asked at most once in a while, whatever comes.
            keys = await self._keys.get(0.0)
        try:
            return verified(token, keys, issuer=config.issuer, client_id=config.client_id, nonce=nonce)
        except NoSuchKey:
            raise SignInRefused(
                "The ID token is signed with a key that the provider does not publish.",
                hint="Sign in again. Where it happens again, the provider's jwks_uri is not up to date.",
            ) from None

    async def _completed(self, metadata: Metadata, claims: Claims, token: Secret) -> Claims:
        """With the e-mail address of the UserInfo endpoint: not every provider puts it into the ID token (Core 1.0, section 5.4)."""
        receiver, path = self._register("userinfo", metadata.userinfo_endpoint, signer=self._bearer)
        reset = self._bearer.token.set(token)
        try:
            found = await self._get(receiver, path, _USER_INFO, "answer about a person")
        finally:
            self._bearer.token.reset(reset)
        if found.sub != claims.sub:  # Core 1.0, section 5.3.2
            raise SignInUnavailable("The sign-in provider's UserInfo endpoint speaks of somebody else.", hint="Sign in again.")
        # Whoever names the address also has to vouch for it: the ID token's word was about another one, or about none.
        return msgspec.structs.replace(
            claims, email=found.email, email_verified=found.email_verified, xms_edov=None, name=claims.name or found.name
        )

    def _register(
        self, role: str, url: str, *, headers: Mapping[str, Secret] | None = None, signer: _Bearer | None = None
    ) -> tuple[str, str]:
        """A receiver for the origin of ``url`` in this role, and the path there."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        id = f"oidc {role} {origin}"
        self._egress.receivers.register(Receiver(id=id, base_url=origin, zone=self._zone, headers=headers or {}, signer=signer))
        return id, url[len(origin) :] or "/"

    async def _get(self, receiver: str, path: str, decoder: msgspec.json.Decoder[T], what: str) -> T:
        status, body = await self._ask(receiver, path, None, {"accept": "application/json"})
        if status != 200:
            raise SignInUnavailable(
                f"The sign-in provider's {what} cannot be had: status {status}.",
                hint="Check [oidc] issuer: the address of the discovery document without /.well-known/openid-configuration.",
            )
        return _decoded(decoder, body, what)

    async def _ask(self, receiver: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        egress = self._egress
        opened = (
            egress.get(receiver, path, carried=ONLY_PUBLIC, headers=headers, connect_timeout=_CONNECT_SECONDS)
            if body is None
            else egress.post(receiver, path, body, carried=ONLY_PUBLIC, headers=headers, connect_timeout=_CONNECT_SECONDS)
        )
        try:
            async with asyncio.timeout(_SECONDS), opened as answer:
                status, said = answer.status, await answer.read(_LONGEST + 1)
        except TimeoutError:
            raise _unreachable(f"no answer within {_SECONDS:.0f} seconds") from None
        except (NetError, EgressRefused) as error:
            raise _unreachable(str(error)) from None
        if len(said) > _LONGEST:
            raise SignInUnavailable(
                f"The sign-in provider's answer is longer than {_LONGEST} bytes.", hint="Check [oidc] issuer: is it a provider?"
            )
        return status, said


def _unreachable(why: str) -> SignInUnavailable:
    return SignInUnavailable(
        f"The sign-in provider cannot be reached: {why}.",
        hint="Try again in a moment. Keys work meanwhile, and whoever is signed in stays so.",
    )


def usable(url: str, issuer: str) -> bool:
    """Discovery may lead to other hosts (Google's does), but never from the network outside to one inside."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return False
    place = place_of(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and place == "loopback")
    return safe and _INSIDE[place] <= _INSIDE[place_of(issuer)]


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SignInUnavailable(
            f"The sign-in provider's {what} cannot be read.", hint="Check [oidc] issuer: is it an OpenID Connect provider?"
        ) from None


def plain_code(code: str) -> str:
    """An error code of OAuth, where it is a word that may be repeated; empty where it is anybody's text."""
    return code if code.isascii() and code.replace("_", "").isalnum() and len(code) <= 64 else ""


def _refusal(status: int, body: bytes) -> SignInRefused | SignInUnavailable:
    """A refused code is the browser's affair, a refused client the operator's (RFC 6749, section 5.2)."""
    try:
        code = plain_code(_REFUSED.decode(body).error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        code = ""
    reason = f"status {status}, {code}" if code else f"status {status}"
    if code == "invalid_grant":
        return SignInRefused(
            "The sign-in provider does not take the code: it was used, is too old, or was made for somebody else.",
            hint="Sign in again.",
        )
    if status == 401 or code in ("invalid_client", "unauthorized_client"):
        return SignInUnavailable(
            f"The sign-in provider does not take this gateway's client_id or client_secret ({reason}).",
            hint="Whoever runs the gateway: compare [oidc] client_id and client_secret with the provider's; the secret may have expired.",
        )
    if status == 429 or status >= 500:
        return _unreachable(reason)
    return SignInUnavailable(
        f"The sign-in provider refuses to answer for a code ({reason}).",
        hint="Whoever runs the gateway: is [oidc] redirect_url registered there, letter by letter?",
    )
