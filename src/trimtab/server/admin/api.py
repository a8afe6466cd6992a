"""The whole admin API: every operation there is, and the document that describes them."""

from __future__ import annotations

from functools import cache

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trimtab.server.admin.accounts import BUDGETS, GRANTS, KEYS, PLACES, SERVICE_ACCOUNTS, USERS
from trimtab.server.admin.insight import INSIGHT
from trimtab.server.admin.openapi import document
from trimtab.server.admin.table import Operation, routes
from trimtab.server.admin.usage import USAGE
from trimtab.server.admin.who import Who
from trimtab.server.common.answers import json
from trimtab.server.common.credentials import Sessions
from trimtab.server.common.site import Site

OPERATIONS: tuple[Operation, ...] = (
    *INSIGHT,
    *USAGE,
    *PLACES,
    *USERS,
    *SERVICE_ACCOUNTS,
    *GRANTS,
    *KEYS,
    *BUDGETS,
)


def admin_routes(site: Site, sessions: Sessions | None = None) -> list[Route]:
    """``sessions`` is ``None`` where people do not sign in, and keys are all there is."""
    cookie = None if sessions is None else sessions.cookie

    async def openapi(_request: Request) -> Response:
        return json(_described(cookie))

    return [Route("/-/openapi.json", openapi), *routes(OPERATIONS, site, Who(site.book, sessions))]


@cache
def _described(cookie: str | None) -> bytes:
    """Made when somebody asks: it takes as long as a hundred requests."""
    return msgspec.json.encode(document(OPERATIONS, cookie))
