"""What the gateway tells about itself: its models, its health, its metrics."""

from __future__ import annotations

import logging

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trimtab.core.accounts import ROOT, Permission
from trimtab.core.catalog import Deployment
from trimtab.core.decision import Wish
from trimtab.core.errors import LedgerError, TrimtabError, UnknownModel
from trimtab.core.messages import Dialect
from trimtab.routing.constraints import beyond_scope
from trimtab.server.admin.who import Who
from trimtab.server.common.answers import refused
from trimtab.server.common.credentials import Sessions, presented_key
from trimtab.server.common.site import Site
from trimtab.telemetry import log
from trimtab.wire import CODECS, client_status


class About:
    """Read-only. Models need a key, and it sees those that it reaches. Metrics tell of everybody's spending: they need the right to read
    that, unless the configuration opens them. Health needs nothing, and tells nothing of anybody."""

    def __init__(self, site: Site, sessions: Sessions | None) -> None:
        self._gateway = site.gateway
        self._book = site.book
        self._ledger = site.store
        self._who = None if site.open_metrics else Who(site.book, sessions)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/models", self.models),
            Route("/v1/models/{id:path}", self.model),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
        ]

    async def models(self, request: Request) -> Response:
        """The deployments within the key's scope and the wishes, in the shape of the caller's own SDK."""
        try:
            rows = [describe(name, deployment) for name, deployment in self._reached(request).items()]
        except TrimtabError as error:
            return refused_in_dialect(request, error)
        rows += [wish_row(wish) for wish in Wish]
        if "anthropic-version" in request.headers:
            page = {
                "data": [_anthropic(row) for row in rows],
                "has_more": False,
                "first_id": rows[0]["id"],
                "last_id": rows[-1]["id"],
            }
            return _json(page)
        return _json({"object": "list", "data": rows})

    async def model(self, request: Request) -> Response:
        try:
            reached = self._reached(request)
        except TrimtabError as error:
            return refused_in_dialect(request, error)
        name = request.path_params["id"]
        row = wish_row(Wish(name)) if name in set(Wish) else describe(name, reached[name]) if name in reached else None
        if row is None:
            return refused_in_dialect(
                request, UnknownModel(f"No model {name!r} is deployed here.", hint="GET /v1/models lists what is.")
            )
        return _json(_anthropic(row) if "anthropic-version" in request.headers else row)

    async def healthz(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        """Ready when the ledger takes questions and at least one deployment may answer."""
        try:
            await self._ledger.get("")
        except LedgerError as error:
            log(__name__, "the event log cannot be read", level=logging.WARNING, reason=error.message)
            return _json({"status": "not ready", "reason": "the event log cannot be read; the gateway's own log says why"}, 503)
        if self._ledger.statistics().failing:
            return _json({"status": "not ready", "reason": "the event log takes no rows; its disk may be full"}, 503)
        if not self._gateway.deployments:
            return _json({"status": "not ready", "reason": "no deployment is configured"}, 503)
        return _json({"status": "ready", "deployments": len(self._gateway.deployments)})

    async def metrics(self, request: Request) -> Response:
        try:
            if self._who is not None:
                (await self._who(request)).require(Permission.READ_USAGE, ROOT)
        except TrimtabError as error:
            return refused(error)
        return Response(self._gateway.metrics.exposition(), media_type="text/plain; version=0.0.4")

    def _reached(self, request: Request) -> dict[str, Deployment]:
        """By id, then by the names that the operator gave; one that several share shows the first. Raises :class:`Unauthenticated`."""
        scope = self._book.authenticate(presented_key(request.headers)).scope
        reached = {id: each for id, each in self._gateway.deployments.items() if beyond_scope(each, scope) is None}
        shared = {name: each for each in reversed(reached.values()) for name in each.names}
        return reached | {name: shared[name] for name in sorted(shared.keys() - reached.keys())}


def wish_row(wish: Wish) -> dict[str, object]:
    return {"id": wish.value, "object": "model", "created": 0, "owned_by": "trimtab"}


def describe(name: str, deployment: Deployment) -> dict[str, object]:
    """A row of ``/v1/models``: OpenAI's fields, and ours beside them. Unknown is ``null``."""
    card, price = deployment.card, deployment.price
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": card.maker or deployment.provider,
        "trimtab": {
            "model": deployment.model,
            "tier": deployment.tier,
            "zone": deployment.zone,
            "region": deployment.region,
            "licence": card.licence,
            "context_window": card.context_window,
            "capabilities": None if card.capabilities is None else sorted(card.capabilities),
            "reserve": deployment.reserve,
            "price_nano_usd_per_million": None
            if price is None
            else {"input": price.input, "output": price.output, "version": price.version},
        },
    }


def _anthropic(row: dict[str, object]) -> dict[str, object]:
    return {**row, "type": "model", "display_name": row["id"], "created_at": "1970-01-01T00:00:00Z"}


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def refused_in_dialect(request: Request, error: TrimtabError) -> Response:
    """``error`` as the caller's own SDK reads it: Anthropic's says its version with every request, on every path."""
    speaks_anthropic = "anthropic-version" in request.headers or request.url.path.startswith("/v1/messages")
    dialect = Dialect.ANTHROPIC if speaks_anthropic else Dialect.OPENAI_CHAT
    return Response(CODECS[dialect].encode_error(error), client_status(error), media_type="application/json")
