"""The cookies of a sign-in, and where a browser may be sent afterwards.

Over https their names begin with ``__Host-``: no other host, and nothing that is not encrypted, can set them (RFC 6265bis, 4.1.3.2). Plain
http is for loopback alone.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from starlette.responses import Response

from trimtab.core.errors import MalformedRequest

HOME = "/-/whoami"

_LOCAL = re.compile(r"/-/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,500}")
_LOOPS = ("/-/login", "/-/callback", "/-/logout")


class Cookies(Struct, frozen=True):
    """``origin`` is the gateway's own, as browsers write it."""

    origin: str

    @classmethod
    def of(cls, redirect_url: str) -> Cookies:
        parts = urlsplit(redirect_url)
        port = "" if parts.port in (None, {"https": 443, "http": 80}[parts.scheme]) else f":{parts.port}"
        host = parts.hostname or ""
        return cls(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}")

    @property
    def secure(self) -> bool:
        return self.origin.startswith("https:")

    @property
    def session(self) -> str:
        return "__Host-trimtab" if self.secure else "trimtab"

    @property
    def pending(self) -> str:
        return f"{self.session}-login"

    def put(self, answer: Response, name: str, token: str, seconds: float) -> None:
        answer.set_cookie(name, token, max_age=round(seconds), path="/", secure=self.secure, httponly=True, samesite="lax")

    def drop(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")


def local_path(text: str | None) -> str:
    """Where to go after the sign-in: a path of ours, or :class:`MalformedRequest`."""
    if text is None:
        return HOME
    path = text.partition("?")[0]
    if not _LOCAL.fullmatch(text) or ".." in unquote(path).split("/") or path.startswith(_LOOPS):
        raise MalformedRequest("next: that is no page of this gateway's admin side.", param="next", hint="Give a path under /-/.")
    return text
