"""The page of the routes and headers, from the server's own table of routes.

What a route or a header is for stands in the tables below; a route that is missing there stops the generator.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from docs.generate.paper import Cells, grid, page
from starlette.routing import Route

from trimtab import config
from trimtab.core.decision import LatencyClass
from trimtab.core.zones import Sensitivity
from trimtab.engine import AccountBook, Gate, Gateway, Purse, Rates
from trimtab.engine.batches import Desk, Files, Queue
from trimtab.engine.clock import new_id
from trimtab.engine.recorder import Recorder
from trimtab.lab.clock import ManualClock
from trimtab.lab.memory import MemoryStore
from trimtab.net import Egress, Receivers
from trimtab.routing.policy import compile_policy
from trimtab.routing.ranking import WEIGHTS
from trimtab.server import IdentityProvider, Shelf, SignIn, Site
from trimtab.server.app import routes
from trimtab.telemetry import Metrics

ROUTES = {
    "/v1/files": "OpenAI Files: bring a file of lines for a batch, or list what is kept.",
    "/v1/files/{id}": "One file, or its end.",
    "/v1/files/{id}/content": "What is in it.",
    "/v1/batches": "OpenAI Batches: hand one in, or list them. See [batches](../guides/batches.md).",
    "/v1/batches/{id}": "How a batch stands.",
    "/v1/batches/{id}/cancel": "Call it off: lines under way are finished.",
    "/v1/messages/batches": "Anthropic Message Batches: hand one in, or list them.",
    "/v1/messages/batches/{id}": "How it stands, or its end.",
    "/v1/messages/batches/{id}/cancel": "Call it off.",
    "/v1/messages/batches/{id}/results": "Its results, line by line, once it has ended.",
    "/v1/chat/completions": "OpenAI Chat Completions, whole or streamed.",
    "/v1/messages": "Anthropic Messages, whole or streamed.",
    "/v1/messages/count_tokens": "Anthropic's token count, estimated here; nothing is sent anywhere.",
    "/v2/chat": "Cohere's chat, whole or streamed.",
    "/v1/embeddings": "OpenAI embeddings.",
    "/v2/embed": "Cohere's embeddings.",
    "/v1/moderations": "OpenAI moderations.",
    "/v1/images/generations": "OpenAI image generation.",
    "/v1/audio/transcriptions": "OpenAI transcription of audio.",
    "/v1/responses": "OpenAI Responses, whole or streamed.",
    "/v1/responses/{id}": "A response that was kept, for the project that asked. DELETE forgets it.",
    "/v1/models/{target}": "Google's Gemini API: `MODEL:generateContent` and its like.",
    "/v1beta/models/{target}": "The same, where Google's documentation has it.",
    "/v1/models": "Deployments that the key reaches and wishes, in the shape of the caller's SDK.",
    "/v1/models/{id}": "One deployment.",
    "/-/openapi.json": "The document of the admin API, OpenAPI 3.1. No key.",
    "/-/whoami": "What the presented key, or the session, may do; what is left of its budgets.",
    "/-/usage": "Requests, tokens and cost by any dimension: one's own, or those of a place.",
    "/-/audit": "Who changed the accounts, oldest first.",
    "/-/fleet": "How the deployments are doing, as this process has seen it.",
    "/-/places": "Organisations, teams, projects.",
    "/-/places/{path}": "One of them: PUT creates or alters it, DELETE closes it.",
    "/-/users": "People.",
    "/-/users/{id}": "One of them: PATCH disables or enables.",
    "/-/service-accounts": "Programs that act by keys of their own.",
    "/-/service-accounts/{id}": "One of them: PATCH disables or enables.",
    "/-/grants": "Who holds which role where.",
    "/-/grants/{id}": "One of them: DELETE takes the role away.",
    "/-/keys": "Virtual keys. POST makes one, and its answer alone shows it.",
    "/-/keys/{id}": "One of them: DELETE revokes it.",
    "/-/keys/{id}/rotate": "A new key with the same rights; the old one opens for `overlap_seconds` more.",
    "/-/budgets": "Budgets, with what is spent, held and left.",
    "/-/budgets/{id}": "One of them: PATCH changes it, DELETE removes it.",
    "/-/decisions/{id}": "The whole record of one request, as `trimtab explain --json` prints it.",
    "/-/login": "Signs a person in: a browser is sent to the provider, and ends up at `next`. Where `[oidc]` is set.",
    "/-/callback": "Where the provider sends the browser back to.",
    "/-/logout": "A page to sign out; POST ends the session here, and at the provider where it can.",
    "/healthz": "200 while the process lives. No key.",
    "/readyz": "200 when the ledger answers and a deployment is configured, else 503 with the reason. No key.",
    "/metrics": "Prometheus text format. Needs `read_usage` over the whole installation, or `[server] open_metrics`.",
}

REQUEST_HEADERS: list[Cells] = [
    ("`authorization`", "`Bearer tt-...`", "The gateway's key. `x-api-key: tt-...`, `api-key` and `x-goog-api-key` do the same."),
    (
        "`x-trimtab-latency`",
        ", ".join(f"`{name}`" for name in LatencyClass),
        "What a second of waiting costs. Default: interactive.",
    ),
    (
        "`x-trimtab-sensitivity`",
        ", ".join(f"`{name}`" for name in Sensitivity),
        "What the request carries, separated by commas. Labels add to what is found and remove nothing.",
    ),
    ("`x-trimtab-task`", "a name", "Lets a reserve deployment answer that is `certified_for` this task."),
    (
        "`x-trimtab-cache`",
        "`no-store`, `refresh`",
        "`no-store`: the answer is neither looked for in the cache nor kept there. `refresh`: it is made anew, and kept.",
    ),
    (
        "`x-trimtab-csrf`",
        "a token",
        "Beside the cookie of a sign-in, with everything under `/-/` that changes something. `GET /-/whoami` gives it.",
    ),
    ("`x-trimtab-timeout`", "seconds", "How long the caller waits for the whole answer, over all attempts."),
    (
        "`x-trimtab-lower`",
        "classes, as for `x-trimtab-sensitivity`",
        "Classes that were found and are to be taken away. Only for a key whose scope has `may_lower`; the record shows it.",
    ),
    (
        "`x-trimtab-tags`",
        "names, separated by commas",
        "At most eight: usage is told apart by them, and budgets may be set on them.",
    ),
    ("`traceparent`", "W3C Trace Context", "The request's spans continue this trace, where `[telemetry]` is set."),
    ("`anthropic-beta`", "names", "Goes along to an upstream that speaks Anthropic's protocol; elsewhere it is lost by name."),
]

ANSWER_HEADERS: list[Cells] = [
    ("`x-trimtab-decision`", "The id of the decision: `trimtab explain ID`. On errors too, once there is a record."),
    ("`x-trimtab-cache`", "`hit` where the answer came from the response cache."),
    ("`x-should-retry`", "`false` where the gateway has done all that retrying can do. The official SDKs obey it."),
    ("`retry-after`", "Seconds, where the upstream or the gateway said so."),
]


def app_routes() -> list[Route]:
    """The table of routes, of a gateway without deployments."""
    clock, ledger = ManualClock(), MemoryStore()
    empty = msgspec.structs.replace(config.load(None, {}), deployments=(), local=())
    gateway = Gateway(
        policy=compile_policy(empty),
        deployments={},
        providers={},
        recorder=Recorder(ledger, Purse(ledger, clock), Metrics(), clock),
        rates=Rates(clock),
        routing=empty.routing,
    )
    book = AccountBook(ledger, clock, new_id)
    oidc = config.OIDC(
        issuer="https://id.example",
        client_id="trimtab",
        redirect_url="https://llm.example/-/callback",
        client_secret=None,
        scopes=(),
        admins=frozenset(),
        session_seconds=1.0,
        idle_seconds=1.0,
    )
    provider = IdentityProvider(oidc, Egress(Receivers(empty.boundary, [])), empty.boundary, clock)
    files = Files(Path(), ledger, clock, new_id, days=1, max_bytes=1)
    desk = Desk(files, Queue(ledger, clock, "", lease_seconds=1), clock, days=1, wake=lambda _: None)
    site = Site(gateway=gateway, book=book, gate=Gate(1), store=ledger, max_body_bytes=1)
    return routes(site, Shelf(ledger, clock, 1), desk, SignIn(oidc, provider, book, ledger, clock))


def path_of(route: Route) -> str:
    return route.path.replace(":path}", "}")


def http() -> str:
    rows: list[Cells] = [
        (", ".join(sorted((route.methods or set()) - {"HEAD"})) or "POST", f"`{path_of(route)}`", ROUTES[path_of(route)])
        for route in app_routes()
    ]
    wishes: list[Cells] = [
        (f"`{wish}`", *(f"{percent} %" for percent in (weights.tokens, weights.wrong, weights.wait)))
        for wish, weights in WEIGHTS.items()
    ]
    return page(
        "HTTP",
        "`model` in a request is the id of a deployment, the name of a model, or a wish.\n"
        "The `model` of an answer is the one that answered.",
        f"## Routes\n\n{grid(('method', 'path', 'what it is'), rows)}",
        "## Wishes\n\nWhat each part of the expected money counts for. `auto:fast` may also use a deployment that is kept in reserve.\n\n"
        + grid(("model", "tokens", "wrong answer", "waiting"), wishes),
        f"## Request headers\n\n{grid(('header', 'values', 'meaning'), REQUEST_HEADERS)}",
        f"## Answer headers\n\n{grid(('header', 'meaning'), ANSWER_HEADERS)}",
    )
