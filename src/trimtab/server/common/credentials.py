"""By what somebody shows who they are: a key in a header, or the session of whoever has signed in. It knows nothing of rights."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct
from starlette.requests import Request

CSRF_HEADER = "x-trimtab-csrf"
SESSION_KIND = "session"
"""What sessions are called among the store's documents. Each is owned by ``user:ID``."""


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The client's key, in OpenAI's header, Anthropic's, Azure's or Google's."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return next((headers[name] for name in ("x-api-key", "api-key", "x-goog-api-key") if name in headers), None)


def is_from_elsewhere(request: Request, origin: str) -> bool:
    """Does the browser say that a page of another origin asks? One from before these headers says nothing, and a program neither."""
    sent, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    return sent not in (None, origin) or site not in (None, "same-origin", "none")


class Session(Struct, frozen=True):
    """Somebody who has signed in. A page of ours knows ``csrf`` and comes from ``origin``, and a page of anybody else's does not."""

    holder: str
    csrf: str
    origin: str


def has_csrf(request: Request, session: Session) -> bool:
    """Does the request carry the session's own word, in :data:`CSRF_HEADER`? The time this takes tells nothing of the word."""
    sent = request.headers.get(CSRF_HEADER, "").encode("latin-1", "replace")
    return hmac.compare_digest(sent, session.csrf.encode())


class Sessions(Protocol):
    """Where sign-ins are kept."""

    @property
    def cookie(self) -> str:
        """The name of the cookie that carries a session."""

    async def find(self, token: str) -> Session | None:
        """The session behind the cookie's value, ``None`` when it is none or has ended."""
