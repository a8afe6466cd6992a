"""Signing in and out by a browser: the authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0; RFC 9700).

Who signs in becomes a user of the accounts, or is told whom to ask. What a user may do is the accounts' affair, and is asked anew with
every request.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from trimtab.config import OIDC
from trimtab.core.accounts import Limits, User, holder_of
from trimtab.core.errors import Forbidden, RateLimited, SignInRefused, SignInUnavailable, TrimtabError
from trimtab.core.units import Clock
from trimtab.engine import AccountBook, Rates
from trimtab.server.common.answers import json
from trimtab.server.common.credentials import CSRF_HEADER, has_csrf, is_from_elsewhere
from trimtab.server.signin.cookies import Cookies, local_path
from trimtab.server.signin.pages import GUARDED, page, told, wants_page
from trimtab.server.signin.provider import IdentityProvider, plain_code
from trimtab.server.signin.sessions import PENDING_SECONDS, PendingSignIn, PendingSignIns, StoredSessions, is_token, new_token
from trimtab.server.signin.tokens import Claims
from trimtab.store import Documents
from trimtab.telemetry import log

PER_MINUTE = 600
"""Sign-ins that may be begun from one address: each leaves a line in the store for ten minutes, and nobody is known yet. Behind a proxy
everybody has the proxy's address."""

ALTOGETHER_PER_MINUTE = 6_000
_SLOTS = 4_096
"""Addresses share this many counts, so that there is an end to them."""

_MOST_ADMINS = 3
_Handler = Callable[[Request], Awaitable[Response]]


class SignIn:
    """The pages of signing in and out. ``sessions`` is where the admin side looks up who is there."""

    def __init__(self, config: OIDC, provider: IdentityProvider, book: AccountBook, store: Documents, clock: Clock) -> None:
        self._config = config
        self._provider = provider
        self._book = book
        self._clock = clock
        self._cookies = Cookies.of(config.redirect_url)
        self._pending = PendingSignIns(store, clock)
        self._rates = Rates(clock, patience=0.0)
        self.sessions = StoredSessions(
            store,
            clock,
            cookie=self._cookies.session,
            origin=self._cookies.origin,
            lasts=config.session_seconds,
            idle=config.idle_seconds,
        )

    def routes(self) -> list[Route]:
        return [
            Route("/-/login", partial(_answered, self.login), methods=["GET"]),
            Route("/-/callback", partial(_answered, self.callback), methods=["GET"]),
            Route("/-/logout", partial(_answered, self.logout), methods=["GET", "POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """To the provider, and back to ``next`` in the end."""
        target = local_path(request.query_params.get("next"))
        metadata = await self._provider.metadata()
        held = request.cookies.get(self._cookies.pending)
        browser = held if held is not None and is_token(held) else new_token()
        pending = await self._begin(request, browser, target)
        asked = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": self._config.redirect_url,
            "scope": " ".join(self._config.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        answer = _redirect(_with_query(metadata.authorization_endpoint, asked))
        self._cookies.put(answer, self._cookies.pending, browser, PENDING_SECONDS)
        return answer

    async def callback(self, request: Request) -> Response:
        """Back from the provider: the code becomes an ID token, the ID token a user, the user a session."""
        given = dict(request.query_params)
        if len(given) != len(request.query_params.multi_items()):
            raise SignInRefused("The sign-in provider's answer says something twice.", hint="Sign in again.")
        pending = await self._taken(request, given.get("state", ""))
        await self._check_issuer(given.get("iss"))
        if "error" in given or not given.get("code"):
            raise _declined(given.get("error", ""))
        claims = await self._provider.redeem(given["code"], pending.verifier, pending.nonce)
        user = await self._user(claims)
        former = request.cookies.get(self._cookies.session)
        if former is not None:
            await self.sessions.close(former)
        token = await self.sessions.open(holder_of(user))
        log(__name__, "signed in", user=user.id)
        answer = _redirect(pending.next)
        self._cookies.put(answer, self._cookies.session, token, self._config.session_seconds)
        return answer

    async def logout(self, request: Request) -> Response:
        """A page with a button, and what the button does: the session ends here, and then at the provider where it can."""
        token = request.cookies.get(self._cookies.session, "")
        session = await self.sessions.find(token)
        if request.method != "POST":
            if session is None:
                return page("Not signed in", "Nobody is signed in with this browser.")
            return page("Sign out", "Sign out of this gateway?", '<form method="post"><button>Sign out</button></form>')
        if session is not None:
            by_form = request.headers.get("origin") == session.origin
            if is_from_elsewhere(request, session.origin) or not (by_form or has_csrf(request, session)):
                raise Forbidden(
                    "Only a page of this gateway can sign you out.", hint=f"Open /-/logout, or send the header {CSRF_HEADER}."
                )
            await self.sessions.close(token)
            log(__name__, "signed out", holder=session.holder)
        return await self._signed_out(request)

    async def _begin(self, request: Request, browser: str, target: str) -> PendingSignIn:
        chain = [
            (f"address:{_slot(request)}", Limits(requests_per_minute=PER_MINUTE)),
            ("everybody", Limits(requests_per_minute=ALTOGETHER_PER_MINUTE)),
        ]
        try:
            async with self._rates.entered(chain, 0):
                return await self._pending.begin(browser, target)
        except RateLimited as error:
            raise RateLimited(
                "Too many sign-ins are begun here just now.",
                retry_after=error.retry_after,
                hint="Try again in a moment.",
            ) from None

    async def _taken(self, request: Request, state: str) -> PendingSignIn:
        browser = request.cookies.get(self._cookies.pending)
        pending = None
        if browser is not None and is_token(browser) and is_token(state):
            pending = await self._pending.take(browser, state)
        if pending is None:
            raise SignInRefused(
                "No such sign-in is under way in this browser: it took too long, is done already, or was begun elsewhere.",
                hint="Sign in again, with cookies allowed, at the address that [oidc] redirect_url names.",
            )
        return pending

    async def _check_issuer(self, named: str | None) -> None:
        """RFC 9207: the answer of another provider is not taken for ours."""
        metadata = await self._provider.metadata()
        missing = named is None and metadata.authorization_response_iss_parameter_supported
        if missing or named not in (None, self._config.issuer):
            raise SignInRefused("The answer comes from another sign-in provider.", hint="Sign in again.")

    async def _user(self, claims: Claims) -> User:
        subject, email = f"{self._config.issuer}|{claims.sub}", claims.verified_email
        try:
            user = await self._book.sign_in(subject=subject, email=email, admins=self._config.admins)
        except Forbidden:
            if email:
                raise
            raise Forbidden(
                "You are signed in, but nobody knows you here, and the sign-in provider does not vouch for your e-mail address.",
                hint="Ask whoever runs the provider to have it send 'email' and 'email_verified' (Entra ID: 'xms_edov') in the ID token.",
            ) from None
        holder = holder_of(user)
        if not self._book.actor(holder).grants and not self._book.directory.owned.get(holder):
            raise Forbidden("You are signed in, but hold no role here.", hint=f"Ask {self._admins()} to grant you one.")
        return user

    def _admins(self) -> str:
        """Whom somebody who is known here can ask."""
        directory = self._book.directory
        admins = {holder for holder, _ in directory.admins(self._clock.time_ns())}
        people = sorted(user.email for user in directory.all(User) if user.email and holder_of(user) in admins)
        return ", ".join(people[:_MOST_ADMINS]) or "whoever runs this gateway"

    async def _signed_out(self, request: Request) -> Response:
        """Without an ``id_token_hint``, since no token is kept: the provider may ask whether that is meant (RP-Initiated Logout 1.0)."""
        try:
            endpoint = (await self._provider.metadata()).end_session_endpoint
        except SignInUnavailable:
            endpoint = ""
        url = _with_query(endpoint, {"client_id": self._config.client_id}) if endpoint else None
        if not wants_page(request):
            answer = json(msgspec.json.encode({"signed_out": True, "provider_logout": url}))
        elif url is not None:
            answer = _redirect(url)
        else:
            answer = page("Signed out", "You are signed out of this gateway. At the sign-in provider you may still be signed in.")
        self._cookies.drop(answer, self._cookies.session)
        return answer


async def _answered(handler: _Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except TrimtabError as error:
        level = logging.WARNING if error.status >= 500 else logging.INFO
        log(__name__, "sign-in failed", level=level, code=error.code, reason=error.message)
        return told(request, error)


def _declined(code: str) -> SignInRefused | SignInUnavailable:
    """What the provider said instead of a code (RFC 6749, section 4.1.2.1). Its description is anybody's text, and is not repeated."""
    if code == "access_denied":
        return SignInRefused(
            "The sign-in was declined at the provider.", hint="Sign in again, and agree; or ask who runs the provider."
        )
    if code in ("server_error", "temporarily_unavailable"):
        return SignInUnavailable("The sign-in provider has a fault of its own.", hint="Try again in a moment.")
    known = plain_code(code)
    return SignInRefused(
        f"The sign-in provider gave no code{f' ({known})' if known else ''}.",
        hint="Sign in again. Whoever runs the gateway: check [oidc] and how this gateway is registered at the provider.",
    )


def _slot(request: Request) -> int:
    """Which count the peer's address belongs to. Whoever has an IPv6 address has the whole /64 around it."""
    host = request.client.host if request.client is not None else ""
    with suppress(ValueError):
        address = ip_address(host)
        if isinstance(address, IPv6Address):
            host = str(address.ipv4_mapped or int(address) >> 64)
    return hash(host) % _SLOTS


def _with_query(url: str, query: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _redirect(url: str) -> Response:
    return RedirectResponse(url, 303, dict(GUARDED))
