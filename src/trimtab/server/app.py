"""The table of routes.

Everything that answers through a model is in ``doors``, everything that tells about the gateway or changes its accounts in ``admin``.
"""

from __future__ import annotations

from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from trimtab.core.errors import UnknownRoute
from trimtab.core.messages import Dialect
from trimtab.engine import AccountBook, Gate, Gateway
from trimtab.engine.batches import Desk
from trimtab.server.admin import About, Site, admin_routes, not_served, refused, refused_in_dialect
from trimtab.server.doors import (
    Completion,
    CountTokens,
    Door,
    GeminiDoor,
    House,
    KeptResponse,
    ResponsesDoor,
    Shelf,
    public_error,
)
from trimtab.server.doors.batches import batch_routes
from trimtab.server.signin import SignIn
from trimtab.store import Store
from trimtab.wire import CODECS, AnthropicMessages


class Parts(Struct, frozen=True, kw_only=True):
    """What the site is made of. ``shelf`` is ``None`` where no response is kept, ``desk`` where no batch is taken,
    ``sign_in`` where people do not sign in."""

    gateway: Gateway
    book: AccountBook
    gate: Gate
    store: Store
    max_body_bytes: int
    shelf: Shelf | None = None
    desk: Desk | None = None
    sign_in: SignIn | None = None

    @property
    def house(self) -> House:
        return House(self.gateway, self.book, self.gate, self.max_body_bytes)


def build_app(parts: Parts) -> ASGIApp:
    """The ASGI application. Who starts it also owns the lifetimes of what it is given."""
    parts.gateway.metrics.in_flight.set_function(lambda: parts.gate.under_way)
    table = routes(parts)
    site = Starlette(routes=table, exception_handlers={404: _no_such_route, 405: _no_such_route, Exception: _broken})
    doors = {route.path: route.app for route in table if _is_asked_by_post(route)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """The doors that models answer through come first: on their way the router's layers would cost as much as the decision."""
        door = doors.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (site if door is None else door)(scope, receive, send)

    return app


def _is_asked_by_post(route: Route) -> bool:
    return isinstance(route.endpoint, Door) and "{" not in route.path and "POST" in (route.methods or ())


def routes(parts: Parts) -> list[Route]:
    return [*_doors(parts), *_about(parts), *_people(parts), *_admin(parts)]


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


def _doors(parts: Parts) -> list[Route]:
    house = parts.house
    found = [Route(path, Completion(house, CODECS[dialect]), methods=["POST"]) for path, dialect in _WHOLE_AND_STREAMED.items()]
    found += [
        Route("/v1/responses", ResponsesDoor(house, parts.shelf), methods=["POST"]),
        Route("/v1/messages/count_tokens", CountTokens(house, AnthropicMessages()), methods=["POST"]),
        # Google's documentation says v1beta, its SDK since the third major version v1.
        *(Route(f"/{version}/models/{{target:path}}", GeminiDoor(house), methods=["POST"]) for version in ("v1", "v1beta")),
    ]
    if parts.shelf is not None:
        found.append(Route("/v1/responses/{id}", KeptResponse(house, parts.shelf), methods=["GET", "DELETE"]))
    if parts.desk is not None:
        found += batch_routes(house, parts.desk)
    return found


def _about(parts: Parts) -> list[Route]:
    about = About(parts.gateway, parts.book, parts.store)
    return [
        Route("/v1/models", about.models),
        Route("/v1/models/{id:path}", about.model),
        Route("/healthz", about.healthz),
        Route("/readyz", about.readyz),
        Route("/metrics", about.metrics),
    ]


def _people(parts: Parts) -> list[Route]:
    """How people come and go, where they sign in."""
    return [] if parts.sign_in is None else parts.sign_in.routes()


def _admin(parts: Parts) -> list[Route]:
    sessions = None if parts.sign_in is None else parts.sign_in.sessions
    return admin_routes(Site(parts.gateway, parts.book, parts.store), sessions)


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
