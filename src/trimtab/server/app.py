"""The table of routes.

Everything that answers through a model is in ``doors``, everything that tells about the gateway or changes its accounts in ``admin``.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from trimtab.core.errors import UnknownRoute
from trimtab.core.messages import Dialect
from trimtab.engine.batches import Desk
from trimtab.server.admin import About, admin_routes, not_served, refused_in_dialect
from trimtab.server.common.answers import public_error, refused
from trimtab.server.common.site import Site
from trimtab.server.doors import Completion, CountTokens, Door, GeminiDoor, KeptResponse, ResponsesDoor, Shelf
from trimtab.server.doors.batches import batch_routes
from trimtab.server.signin import SignIn
from trimtab.wire import CODECS


def build_app(site: Site, *, shelf: Shelf | None = None, desk: Desk | None = None, sign_in: SignIn | None = None) -> ASGIApp:
    """The ASGI application. Who starts it also owns the lifetimes of what it is given.

    ``shelf`` is ``None`` where no response is kept, ``desk`` where no batch is taken, ``sign_in`` where people do not sign in.
    """
    site.gateway.metrics.in_flight.set_function(lambda: site.gate.under_way)
    table = routes(site, shelf, desk, sign_in)
    handlers = {404: _no_such_route, 405: _no_such_route, Exception: _broken}
    everything = Starlette(routes=table, exception_handlers=handlers)
    doors = {route.path: route.app for route in table if _is_asked_by_post(route)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """The doors that models answer through come first: on their way the router's layers would cost as much as the decision."""
        door = doors.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (everything if door is None else door)(scope, receive, send)

    return app


def _is_asked_by_post(route: Route) -> bool:
    return isinstance(route.endpoint, Door) and "{" not in route.path and "POST" in (route.methods or ())


def routes(site: Site, shelf: Shelf | None, desk: Desk | None, sign_in: SignIn | None) -> list[Route]:
    sessions = None if sign_in is None else sign_in.sessions
    return [
        *_doors(site, shelf, desk),
        *About(site, sessions).routes(),
        *([] if sign_in is None else sign_in.routes()),
        *admin_routes(site, sessions),
    ]


_WHOLE_AND_STREAMED = {
    "/v1/chat/completions": Dialect.OPENAI_CHAT,
    "/v1/messages": Dialect.ANTHROPIC,
    "/v2/chat": Dialect.COHERE,
    "/v1/embeddings": Dialect.OPENAI_EMBEDDINGS,
    "/v2/embed": Dialect.COHERE_EMBED,
    "/v1/moderations": Dialect.OPENAI_MODERATIONS,
    "/v1/images/generations": Dialect.OPENAI_IMAGES,
    "/v1/audio/transcriptions": Dialect.OPENAI_TRANSCRIPTIONS,
}


def _doors(site: Site, shelf: Shelf | None, desk: Desk | None) -> list[Route]:
    found = [Route(path, Completion(site, CODECS[dialect]), methods=["POST"]) for path, dialect in _WHOLE_AND_STREAMED.items()]
    found += [
        Route("/v1/responses", ResponsesDoor(site, shelf), methods=["POST"]),
        Route("/v1/messages/count_tokens", CountTokens(site), methods=["POST"]),
        # Google's documentation says v1beta, its SDK since the third major version v1.
        *(Route(f"/{version}/models/{{target:path}}", GeminiDoor(site), methods=["POST"]) for version in ("v1", "v1beta")),
    ]
    if shelf is not None:
        found.append(Route("/v1/responses/{id}", KeptResponse(site, shelf), methods=["GET", "DELETE"]))
    if desk is not None:
        found += batch_routes(site, desk)
    return found


_ADMIN = "/-/"


async def _no_such_route(request: Request, error: Exception) -> Response:
    if request.url.path.startswith(_ADMIN):
        headers = error.headers if isinstance(error, HTTPException) else None
        return not_served(request, (headers or {}).get("Allow", ""))
    return refused_in_dialect(request, UnknownRoute(f"{request.method} {request.url.path} is not served here."))


async def _broken(request: Request, error: Exception) -> Response:
    """The last edge: a fault of our own."""
    told = public_error(error)
    return refused(told) if request.url.path.startswith(_ADMIN) else refused_in_dialect(request, told)
