"""Who is at the admin side: whoever presents a key, or has signed in. It knows nothing of how somebody signs in."""

from __future__ import annotations

from starlette.requests import Request

from trimtab.core.errors import Forbidden, Unauthenticated
from trimtab.engine import AccountBook
from trimtab.engine.access import Actor
from trimtab.server.common.credentials import CSRF_HEADER, Session, Sessions, has_csrf, is_from_elsewhere, presented_key

_CSRF = "trimtab.csrf"
_READS = frozenset({"GET", "HEAD"})


def csrf_of(request: Request) -> str:
    """What a session's changes need in their header; empty where a key was sent, or before :class:`Who` has looked."""
    return str(request.scope.get(_CSRF, ""))


class Who:
    """``sessions`` is ``None`` where nobody can sign in."""

    def __init__(self, book: AccountBook, sessions: Sessions | None = None) -> None:
        self._book = book
        self._sessions = sessions

    async def __call__(self, request: Request) -> Actor:
        """The actor, on accounts that are current. Raises :class:`Unauthenticated`, and :class:`Forbidden` where a cookie is all there is.

        A key that is sent counts, whatever the cookie: no browser sends one by itself. A cookie is sent by itself, so what changes
        anything needs a header beside it, which no other site can make a browser send.
        """
        presented = presented_key(request.headers)
        session = None if presented is not None else await self._session(request)
        holder = f"key:{self._book.authenticate(presented).key.id}" if session is None else session.holder
        if session is not None and request.method not in _READS:
            if is_from_elsewhere(request, session.origin):
                raise Forbidden(
                    "A page of another site asked for this.", hint="Open the gateway's own address, and ask from there."
                )
            if not has_csrf(request, session):
                raise Forbidden(
                    f"The header {CSRF_HEADER} is missing or wrong.", hint="Send the value that GET /-/whoami gives as csrf."
                )
        if session is not None:
            request.scope[_CSRF] = session.csrf
        await self._book.refresh()
        return self._book.actor(holder)

    async def _session(self, request: Request) -> Session | None:
        token = request.cookies.get(self._sessions.cookie) if self._sessions is not None else None
        if self._sessions is None or token is None:
            return None
        found = await self._sessions.find(token)
        if found is None:
            raise Unauthenticated("You are not signed in any more.", hint="Sign in again, or send a key.")
        return found
