"""The table of routes.

Everything that answers through a model is in ``inference.py``, everything that tells about the gateway in ``admin.py``.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from trimtab.core.errors import UnknownRoute
from trimtab.core.messages import Dialect
from trimtab.engine import Admission, Gateway
from trimtab.server.admin import Admin, refused_in_dialect
from trimtab.server.inference import MESSAGES, Completion, CountTokens, Endpoint, public_error
from trimtab.store import Ledger
from trimtab.wire import CODECS


def build_app(gateway: Gateway, admission: Admission, ledger: Ledger, *, max_body_bytes: int) -> ASGIApp:
    """The ASGI application. Who starts it also owns the lifetimes of what it is given."""
    gateway.metrics.in_flight.set_function(lambda: admission.under_way)
    table = routes(gateway, admission, ledger, max_body_bytes)
    site = Starlette(routes=table, exception_handlers={404: _no_such_route, 405: _no_such_route, Exception: _broken})
    doors = {route.path: route.app for route in table if isinstance(route.endpoint, Endpoint)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """The doors that models answer through come first: on their way the router's layers would cost as much as the decision."""
        door = doors.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (site if door is None else door)(scope, receive, send)

    return app


def routes(gateway: Gateway, admission: Admission, ledger: Ledger, max_body_bytes: int) -> list[Route]:
    admin = Admin(gateway, admission, ledger)
    return [
        Route(
            "/v1/chat/completions", Completion(gateway, admission, CODECS[Dialect.OPENAI_CHAT], max_body_bytes), methods=["POST"]
        ),
        Route("/v1/messages", Completion(gateway, admission, MESSAGES, max_body_bytes), methods=["POST"]),
        Route("/v1/messages/count_tokens", CountTokens(gateway, admission, MESSAGES, max_body_bytes), methods=["POST"]),
        Route("/v1/models", admin.models),
        Route("/v1/models/{id:path}", admin.model),
        Route("/-/decisions/{id}", admin.decision),
        Route("/healthz", admin.healthz),
        Route("/readyz", admin.readyz),
        Route("/metrics", admin.metrics),
    ]


async def _no_such_route(request: Request, error: Exception) -> Response:
    return refused_in_dialect(request, UnknownRoute(f"{request.method} {request.url.path} is not served here."))


async def _broken(request: Request, error: Exception) -> Response:
    """The last edge: a fault of our own."""
    return refused_in_dialect(request, public_error(error))
