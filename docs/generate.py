"""Writes the reference pages from the code. ``--check`` says which are out of date and writes nothing.

What the code cannot say in a sentence for users (routes, errors, headers) stands in the tables below; a route or an error that is missing
there stops the generator.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import structs
from prometheus_client.metrics import MetricWrapperBase
from starlette.routing import Route
from tests.conformance.matrix.page import tables
from tests.oracle.clients.table import COLUMNS, RESULTS, Results

from trimtab import catalog, config
from trimtab.cli import cli
from trimtab.config import Entry
from trimtab.core.decision import LatencyClass
from trimtab.core.errors import AttemptsExhausted, ConfigError, FailureKind, LocalModelError, ProviderError, TrimtabError
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
from trimtab.server import Parts, Provider, Shelf, SignIn
from trimtab.server.admin import OPERATIONS
from trimtab.server.admin.table import Operation
from trimtab.server.app import routes
from trimtab.telemetry import Metrics
from trimtab.wire.faults import Fault, describe

HERE = Path(__file__).parent / "reference"
Cells = tuple[object, ...]

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
    "/metrics": "Prometheus text format. No key.",
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

ERRORS = {
    "TrimtabError": "A fault of the gateway's own. Its log names the place.",
    "SignInUnavailable": "The sign-in provider does not answer, or not in a way that can be believed. Keys and sessions go on.",
    "LedgerError": "The event log takes no rows: disk full, locked or damaged. Without a record there is no complete answer.",
    "Overloaded": "More requests under way than `[server] max_concurrency`.",
    "RequestError": "The request asks for what no deployment can do.",
    "MalformedRequest": "The body or a header cannot be read; `param` names the field.",
    "Unauthenticated": "No key, or one that is not known here.",
    "SignInRefused": "This sign-in failed: cancelled, too old, used before, or from another browser. Sign in again.",
    "Forbidden": "The key, or the person, has no right to this.",
    "Conflict": "It is there already, cannot be done as things are, or changed meanwhile.",
    "NotFound": "A place, user, key, grant, budget or record that is not there, or may not be seen.",
    "RateLimited": "The key or a place of it has used up its rate; `retry-after` says when to come back.",
    "UnknownModel": "No deployment has that name.",
    "UnknownRoute": "The path, or the method on it, is not served.",
    "BodyTooLarge": "Longer than `[server] max_body_bytes`.",
    "RefusalError": "Nobody may, or nobody can.",
    "EgressRefused": "The check in front of every outgoing byte said no.",
    "NoDeployment": "The plan is empty; the message has a reason for each deployment.",
    "BudgetExhausted": "`[budget] usd_per_day` is spent.",
}

KINDS = {
    FailureKind.TRANSIENT: "No connection, a time-out, a 5xx, a cut stream. 504 for a time-out, 503 for an overloaded upstream.",
    FailureKind.RATE_LIMIT: "Too many requests.",
    FailureKind.QUOTA: "The operator's account at the provider is empty.",
    FailureKind.CREDENTIAL: "The provider does not take the operator's key.",
    FailureKind.MODEL_GONE: "The provider does not know the model, or no longer.",
    FailureKind.REGION: "The provider does not serve this region.",
    FailureKind.CONTEXT_LENGTH: "Too long for this model; only a longer window is tried next.",
    FailureKind.CONTENT_FILTER: "The provider declined the content. Nobody shops for a laxer model.",
    FailureKind.CALLER_FAULT: "The provider says that the request is wrong.",
    FailureKind.UNKNOWN: "None of the above.",
}


def page(title: str, lead: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", "<!-- Generated by `make docs`. -->", lead, *parts]) + "\n"


def grid(headers: tuple[str, ...], rows: list[Cells]) -> str:
    lines = [headers, tuple("---" for _ in headers), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(cell: object) -> str:
    return str(cell).replace("|", "\\|").replace("\n", " ")


# -- configuration


def configuration() -> str:
    sections = [
        f"## {name}\n\n{grid(('key', 'type', 'default', 'meaning'), [_key(entry) for entry in entries])}"
        for name, entries in groupby(config.reference(), _table_of)
    ]
    prices = grid(("key", "type", "default", "meaning"), [_key(entry) for entry in config.prices_reference()])
    return page(
        "Configuration",
        "Every key of the TOML file. An unknown key is an error that names the nearest one. A table whose name ends in `[]` may repeat:\n"
        "`deployment[].id` is the key `id` under `[[deployment]]`. An empty default means that the key is required.\n\n"
        "Without a file the [shipped default](../../src/trimtab/config/default.toml) applies; it shows every key with a comment.",
        *sections,
        f"## The prices file\n\nThe file that `prices_file` names. Its rows go before the shipped price list.\n\n{prices}",
    )


def _table_of(entry: Entry) -> str:
    head, dot, _ = entry.key.partition(".")
    if not dot:
        return "Top level"
    return f"[[{head.removesuffix('[]')}]]" if head.endswith("[]") else f"[{head}]"


def _key(entry: Entry) -> Cells:
    return f"`{entry.key}`", entry.type, f"`{entry.default}`" if entry.default else "", entry.meaning


# -- command line


def verbs(command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """The path and the help of every verb that does something."""
    name = "trimtab" if parent is None else command.name
    with click.Context(
        command, parent=parent, info_name=name, terminal_width=100, max_content_width=100, **command.context_settings
    ) as context:
        if isinstance(command, click.Group):
            for child in sorted(command.commands.values(), key=lambda child: child.name or ""):
                yield from verbs(child, context)
        else:
            yield context.command_path, command.get_help(context)


def command_line() -> str:
    return page(
        "Command line",
        "Every verb, as `--help` prints it. Three variables of the environment stand in for options: `TRIMTAB_CONFIG` for `--config`,\n"
        "`TRIMTAB_HOME` for the folder of ledger, weights and key (default: `.trimtab` here), `TRIMTAB_API_KEY` for the key.",
        *(f"## {path}\n\n```text\n{text}\n```" for path, text in verbs(cli)),
    )


# -- HTTP


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
    provider = Provider(oidc, Egress(Receivers(empty.boundary, [])), empty.boundary, clock)
    files = Files(Path(), ledger, clock, new_id, days=1, max_bytes=1)
    desk = Desk(files, Queue(ledger, clock, "", lease_seconds=1), clock, days=1, wake=lambda _: None)
    parts = Parts(
        gateway=gateway,
        book=book,
        gate=Gate(1),
        store=ledger,
        max_body_bytes=1,
        shelf=Shelf(ledger, clock, 1),
        desk=desk,
        sign_in=SignIn(oidc, provider, book, ledger, clock),
    )
    return routes(parts)


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


# -- the admin API


def admin_api() -> str:
    operations = [f"## {row.method} {row.path.replace(':path}', '}')}\n\n{_operation(row)}" for row in OPERATIONS]
    return page(
        "Admin API",
        "What stands under `/-/`, as `GET /-/openapi.json` describes it to programs. Every answer is JSON. A key in `authorization` or\n"
        "`x-api-key` says who asks, or the cookie of a sign-in, whose changes need the header `x-trimtab-csrf` as well.",
        "Lists come in pages of `limit` rows in `data`, in order of their ids; where `has_more` is true, send `next_after` as `after`.\n"
        "Money is in USD, a moment in RFC 3339. An unknown parameter or field is refused by name.",
        'An error is `{"error": {"code", "message", "hint", "param"}}`: 400 for what cannot be read, 401 without a good key, 403 without\n'
        "the right, 404 for what is not there or may not be seen, 409 where it is there already or was changed in the same moment, 413\n"
        "for too large a body, 503 while the store takes nothing. The right that an operation needs stands with it;\n"
        "[rights](../concepts/rights.md) says what they mean.",
        *operations,
    )


def _operation(row: Operation) -> str:
    parts = [row.summary, f"Needs: {row.needs}."]
    for title, kind in (("parameter", row.query), ("field of the body", row.body)):
        rows: list[Cells] = [
            (f"`{field.name}`", _written(field.type), "required" if field.required else _default(field))
            for field in structs.fields(kind)
        ]
        if rows:
            parts.append(grid((title, "type", "default"), rows))
    return "\n\n".join(parts)


def _written(kind: object) -> str:
    """A type as JSON Schema has it, in a few words."""
    (schema,), components = msgspec.json.schema_components([kind])
    return _schema_words(schema, components)


def _schema_words(schema: dict[str, Any], components: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _schema_words(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return " or ".join(_schema_words(choice, components) for choice in schema["anyOf"] if choice != {"type": "null"})
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_schema_words(schema['items'], components)}"
    if schema.get("type") == "object":
        return "{" + ", ".join(f"`{name}`" for name in schema["properties"]) + "}"
    return str(schema.get("format", schema.get("type")))


def _default(field: structs.FieldInfo) -> str:
    return "" if field.default in (None, "", ()) else f"`{msgspec.json.encode(field.default).decode()}`"


# -- metrics


def metric_rows() -> list[Cells]:
    rows: list[Cells] = []
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            rows.append((f"`{name}`", family.type, labels, family.documentation))
    return sorted(rows, key=str)


def metrics() -> str:
    return page(
        "Metrics",
        "What `GET /metrics` tells, in the Prometheus text format. No label holds content of a request.",
        grid(("metric", "type", "labels", "meaning"), metric_rows()),
    )


# -- errors


def error_tree(kind: type[TrimtabError] = TrimtabError) -> Iterator[type[TrimtabError]]:
    """Every error that a client can get, each once."""
    if kind not in (ConfigError, LocalModelError):
        yield kind
        for child in kind.__subclasses__():
            yield from error_tree(child)


def seen_as(kind: FailureKind) -> Fault:
    """What the client is told when every attempt failed in this way."""
    first = ProviderError(kind, "")
    return describe(AttemptsExhausted(first, {"a deployment": kind}) if kind.try_next else first)


def errors() -> str:
    rows: list[Cells] = [
        (f"`{kind.code}`", kind.status, ERRORS[kind.__name__])
        for kind in error_tree()
        if not issubclass(kind, ProviderError | AttemptsExhausted)
    ]
    kinds: list[Cells] = [
        (
            f"`{kind}`",
            f"`{seen_as(kind).code}`",
            seen_as(kind).status,
            "yes" if kind.try_next else "no",
            "yes" if kind.cools else "no",
            KINDS[kind],
        )
        for kind in FailureKind
    ]
    return page(
        "Errors",
        "Errors come in the body of the client's own protocol. Each message ends with the next step.",
        f"## The gateway's own\n\n{grid(('code', 'status', 'when'), rows)}",
        "## Kinds of upstream failure\n\n"
        "How a failed attempt is classified; code and status that the client gets when no other deployment answered; whether another\n"
        "deployment is tried; and whether the failure counts against the deployment, which then rests for a while. Where the kind has no\n"
        "code of its own, the upstream's stands in place of the one shown, and where the request is to blame so does its 4xx status.\n\n"
        + grid(("kind", "code", "status", "tried elsewhere", "cools down", "what happened"), kinds),
    )


# -- catalog


def facts() -> str:
    providers: list[Cells] = [
        (f"`{row.name}`", row.dialect, row.base_url, f"`{row.key_env}`" if row.key_env else "-", row.tier, row.zone)
        for row in catalog.providers().values()
    ]
    starters: list[Cells] = [(f"`{row.key_env}`", row.provider, row.model, row.tier) for row in catalog.starters()]
    weights: list[Cells] = [
        (f"`{row.name}`", f"{row.parameters / 1e9:.3g} B", f"{row.bytes / 1e6:,.0f} MB", row.licence, f"`{row.sha256}`", row.source)
        for row in catalog.weights()
    ]
    cards: list[Cells] = [
        (
            f"`{row.name}`",
            row.context_window or "-",
            ", ".join(sorted(row.capabilities)) or "-",
            f"{row.ability.score} ({row.ability.benchmark})" if row.ability else "-",
            row.licence or "-",
        )
        for row in catalog.card_rows()
    ]
    prices = catalog.price_list()
    return page(
        "What is shipped",
        "Facts about the world, as rows of data; each row in `src/trimtab/catalog/data` also says where and when it was read.",
        "## Providers\n\nA `[[provider]]` table of your own adds one. The zone is that of the address as shown;\n"
        "an address on loopback is in zone `local`, a private one in `on_prem`.\n\n"
        + grid(("provider", "dialect", "address", "key", "tier", "zone"), providers),
        "## Starters\n\nDeployments that appear when the key is in the environment and `[starters] enabled` is true.\n\n"
        + grid(("key", "provider", "model", "tier"), starters),
        "## Weights\n\nWhat `trimtab up` and `trimtab models pull` can fetch, each held against its SHA-256.\n\n"
        + grid(("name", "parameters", "size", "licence", "sha256", "source"), weights),
        "## Model cards\n\nA dash is unknown. A model without a figure of ability is given that of its tier, and the decision says so.\n\n"
        + grid(("card", "context", "capabilities", "ability", "licence"), cards),
        f"## Prices\n\n{prices.version}, from {prices.source}. A model that is not in it has no price, which is never the price 0.",
    )


# -- clients


def clients() -> str:
    results = msgspec.json.decode(RESULTS.read_bytes(), type=Results)
    rows: list[Cells] = [(row.client, row.version, f"`{row.door}`", *(row.cells[name] for name in COLUMNS)) for row in results.rows]
    return page(
        "Clients",
        f"What each client got from the server on {results.date}, in these versions. `make test` runs the same scripts, which lie in\n"
        "`tests/oracle/clients`, and fails where the table is no longer true; `make clients` writes it anew.\n\n"
        "Behind the server were a deployment that speaks OpenAI's protocol and one that speaks Anthropic's; *yes* means both.\n"
        "A dash: the protocol or the client has no such thing."
        + " *Not yet*: the check is written and does not pass yet; the reason stands in `tests/oracle/clients/table.py`."
        * any("not yet" in row.cells.values() for row in results.rows),
        grid(("client", "version", "route", *COLUMNS), rows),
        "The text of an answer is held against what the model said, whole and in pieces. *tools*: the call of a tool with its arguments,\n"
        "its result sent back and the answer to that, whole and streamed. *structured*: an object of the client's own type.\n"
        "*errors*: a wrong key, an unknown model and a malformed request each become the client's own error for it.",
    )


# -- conformance


def conformance() -> str:
    parts: list[str] = []
    for table in tables():
        parts += [text for text in (f"## {table.title}" * bool(table.title), table.lead) if text]
        parts.append(grid(table.headers, list(table.lines)))
    return page(
        "Conformance",
        "What becomes of each feature between the protocol that a client speaks and the one that an upstream speaks. `make test`\n"
        "works out every cell anew from `tests/conformance/matrix`, and fails where something vanishes that is not named here.",
        "*as is*: the same protocol on both sides, forwarded with every value as it came. *yes*: carried. *part*: carried, less what\n"
        "is named below the table. *named*: not carried, and named as lost in the record and in `trimtab explain`. *refused*: an\n"
        "error that names it. *unread*: not read from the upstream's answer. A table lists what its client's protocol has; a dash is\n"
        "what the upstream's protocol has not. Converse takes some fields for Anthropic's models only. A name such as\n"
        "`messages.1.content.0` counts messages as the client's body does, from 0.",
        *parts,
    )


PAGES = {
    "configuration.md": configuration,
    "command-line.md": command_line,
    "http.md": http,
    "admin-api.md": admin_api,
    "metrics.md": metrics,
    "errors.md": errors,
    "catalog.md": facts,
    "clients.md": clients,
    "conformance.md": conformance,
}


def main() -> None:
    check = "--check" in sys.argv
    stale = []
    for name, write in PAGES.items():
        text, file = write(), HERE / name
        if not file.exists() or file.read_text() != text:
            stale.append(name)
            if not check:
                HERE.mkdir(exist_ok=True)
                file.write_text(text)
    if stale:
        print(f"{'out of date' if check else 'written'}: {', '.join(stale)}")
    sys.exit(bool(stale) and check)


if __name__ == "__main__":
    main()
