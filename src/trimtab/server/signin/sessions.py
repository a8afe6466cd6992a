"""Sign-ins that are under way, and sessions: what a browser holds, and the little that the store has to know of it.

A browser holds random tokens. The store has their digests alone, so that whoever reads its file signs in as nobody; all else that a
sign-in needs is derived from what the browser brings back. A sign-in can be taken up once, over all processes, since a document can be
removed once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode

import msgspec
from msgspec import Struct

from trimtab.core.errors import LedgerError
from trimtab.core.units import SECOND_NS, Clock
from trimtab.server.common.credentials import SESSION_KIND, Session
from trimtab.store import Document, Documents

PENDING_SECONDS = 600
"""How long somebody may take at the provider."""

_TOUCH_SECONDS = 60.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def is_token(text: str | None) -> bool:
    return text is not None and _TOKEN.fullmatch(text) is not None


def derived(token: str, purpose: str) -> str:
    """256 bits that tell nothing of ``token``, another 256 for every purpose."""
    return urlsafe_b64encode(hmac.digest(token.encode(), purpose.encode(), "sha256")).rstrip(b"=").decode()


class PendingSignIn(Struct, frozen=True):
    """A sign-in under way. ``challenge`` is of RFC 7636, S256."""

    state: str
    nonce: str
    verifier: str
    next: str

    @property
    def challenge(self) -> str:
        return urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


class _Kept(Struct):
    next: str


class _Lifetime(Struct):
    ends_ns: int
    seen_ns: int


_KEPT = msgspec.json.Decoder(_Kept)
_LIFETIME = msgspec.json.Decoder(_Lifetime)


class PendingSignIns:
    """``browser`` is what the browser holds in a cookie: of several sign-ins in one browser, each has its own ``state``."""

    def __init__(self, store: Documents, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def begin(self, browser: str, next: str) -> PendingSignIn:
        pending = _pending(browser, new_token(), next)
        now_ns = self._clock.time_ns()
        await self._store.put_document(
            Document(
                kind="sign_in",
                id=_pending_id(browser, pending.state),
                created_ns=now_ns,
                expires_ns=now_ns + PENDING_SECONDS * SECOND_NS,
                body=msgspec.json.encode(_Kept(next)),
            )
        )
        return pending

    async def take(self, browser: str, state: str) -> PendingSignIn | None:
        """The sign-in that this browser began, once; ``None`` when there is none, or not any more."""
        id = _pending_id(browser, state)
        found = await self._store.document("sign_in", id, now_ns=self._clock.time_ns())
        if found is None or not await self._store.remove_document("sign_in", id):
            return None
        try:
            return _pending(browser, state, _KEPT.decode(found.body).next)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


def _pending(browser: str, state: str, next: str) -> PendingSignIn:
    return PendingSignIn(
        state=state, nonce=derived(browser, f"nonce {state}"), verifier=derived(browser, f"verifier {state}"), next=next
    )


def _pending_id(browser: str, state: str) -> str:
    return hashlib.sha256(f"{browser} {state}".encode()).hexdigest()


class StoredSessions:
    """Sessions end at a fixed time, and earlier when nobody asks for anything for ``idle_seconds``."""

    def __init__(self, store: Documents, clock: Clock, *, cookie: str, origin: str, lasts: float, idle: float) -> None:
        self.cookie = cookie
        self._origin = origin
        self._store = store
        self._clock = clock
        self._lasts_ns = round(lasts * SECOND_NS)
        self._idle_ns = round(idle * SECOND_NS)

    async def open(self, holder: str) -> str:
        """A new session of ``holder``, ``user:ID``. Its token is for the browser alone."""
        token = new_token()
        now_ns = self._clock.time_ns()
        await self._store.put_document(self._document(token, holder, now_ns, _Lifetime(now_ns + self._lasts_ns, now_ns)))
        return token

    async def find(self, token: str) -> Session | None:
        """The session behind the token, which lives on for finding it; ``None`` where there is none."""
        if not is_token(token):
            return None
        now_ns = self._clock.time_ns()
        found = await self._store.document(SESSION_KIND, _session_id(token), now_ns=now_ns)
        if found is None:
            return None
        try:
            life = _LIFETIME.decode(found.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if now_ns - life.seen_ns > min(_TOUCH_SECONDS * SECOND_NS, self._idle_ns / 4):
            await self._touch(token, found, _Lifetime(life.ends_ns, now_ns))
        return Session(found.owner, derived(token, "csrf"), self._origin)

    async def close(self, token: str) -> None:
        if is_token(token):
            await self._store.remove_document(SESSION_KIND, _session_id(token))

    async def _touch(self, token: str, found: Document, life: _Lifetime) -> None:
        """Put back only where it still is what was read: a session that was closed meanwhile stays closed."""
        touched = self._document(token, found.owner, found.created_ns, life)
        try:
            await self._store.swap_document(touched, found.body)
        except LedgerError:
            return  # a disk that takes nothing for a while signs nobody out

    def _document(self, token: str, holder: str, created_ns: int, life: _Lifetime) -> Document:
        return Document(
            kind=SESSION_KIND,
            id=_session_id(token),
            owner=holder,
            created_ns=created_ns,
            expires_ns=min(life.ends_ns, life.seen_ns + self._idle_ns),
            body=msgspec.json.encode(life),
        )


def _session_id(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
