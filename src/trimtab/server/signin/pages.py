"""What a browser is shown around a sign-in: a title, what happened, the next step. Everything else is told in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trimtab.core.errors import TrimtabError
from trimtab.server.common.answers import refused

GUARDED: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",  # "no-referrer" would take the Origin away from our own form, too
    "x-content-type-options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} - Trimtab</title>
<h1>{title}</h1>
<p>{text}</p>
{more}
</html>
"""


def wants_page(request: Request) -> bool:
    """A browser that shows a page says so; a program does not."""
    return "text/html" in request.headers.get("accept", "")


def page(title: str, text: str, more: str = "", status: int = 200) -> HTMLResponse:
    """``more`` is HTML of our own."""
    return HTMLResponse(_PAGE.format(title=escape(title), text=escape(text), more=more), status, dict(GUARDED))


def told(request: Request, error: TrimtabError) -> Response:
    """``error`` as who asks can read it."""
    if not wants_page(request):
        return refused(error)
    again = '<p><a href="/-/login">Sign in</a></p>'
    return page("Not signed in", f"{error.message} {error.hint}".strip(), again, error.status)
