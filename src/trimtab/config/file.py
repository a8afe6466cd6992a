"""The configuration as the operator writes it: one struct per table, with the meaning of each key beside it.

The reference page is made from these structs (``reference.py``), and a key that is not here is an error. This file resolves nothing:
units, references and defaults from the catalog are the affair of ``resolve.py``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trimtab.catalog import CardRow, ProviderRow
from trimtab.core.catalog import Tier
from trimtab.core.messages import Operation
from trimtab.core.zones import DEFAULT_ZONES

Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]


class ServerTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: Annotated[str, Meta(description="Address to listen on. Anything but loopback shows the gateway to the network.")] = (
        "127.0.0.1"
    )
    port: Annotated[Annotated[int, Meta(ge=1, le=65_535)], Meta(description="Port to listen on.")] = 8800
    max_body_bytes: Annotated[Count, Meta(description="A longer request body is refused with 413.")] = 32 * 1024 * 1024
    max_concurrency: Annotated[Count, Meta(description="Requests under way at the same time; more are refused with 503.")] = 1024
    queue_seconds: Annotated[
        Annotated[float, Meta(ge=0, le=600)],
        Meta(description="How long a request waits for its turn, key by key, when that many are under way."),
    ] = 2.0
    open_metrics: Annotated[
        bool,
        Meta(description="Tell `/metrics` to whoever can reach the port, without a key. They name deployments, budgets and money."),
    ] = False
    drain_seconds: Annotated[Seconds, Meta(description="How long a shutdown waits for requests under way.")] = 30.0


class StoreTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: Annotated[str | None, Meta(description="The event log's file, relative to this one. Unset: the command chooses.")] = None
    sync: Annotated[
        Literal["normal", "full"],
        Meta(description="`normal` survives the death of the process, `full` also the loss of power, at one disk flush per group."),
    ] = "normal"


class NetworkTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    proxy: Annotated[str | None, Meta(description="HTTP proxy for all calls to models but those on loopback.")] = None
    ca_file: Annotated[str | None, Meta(description="Certificates (PEM) to trust besides the system's, relative to this file.")] = (
        None
    )


class BoundaryTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For each sensitivity class the outermost zone that may see it. A missing class keeps its default, which is the careful one."""

    zones: Annotated[tuple[Name, ...], Meta(description="The trust zones, most trusted first.")] = DEFAULT_ZONES
    public: Annotated[str, Meta(description="By the caller's own label: for everybody.")] = "any"
    internal: Annotated[str, Meta(description="Nothing was found, and nobody called it public.")] = "any"
    personal: Annotated[str, Meta(description="Personal data: contact data, identity numbers, dates of birth.")] = "on_prem"
    special_category: Annotated[str, Meta(description="Special categories of personal data (GDPR, article 9).")] = "on_prem"
    financial: Annotated[str, Meta(description="Account and card numbers.")] = "on_prem"
    health: Annotated[str, Meta(description="Health data.")] = "on_prem"
    secret: Annotated[str, Meta(description="Credentials: keys, tokens, passwords.")] = "on_prem"  # noqa: S105 - a zone
    proprietary: Annotated[str, Meta(description="Trade secrets, marked by the client.")] = "on_prem"
    unreadable: Annotated[str, Meta(description="What could not be read: files, images, unknown parts.")] = "on_prem"


class WaitTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD per second. The defaults: a person at 36 USD an hour who does nothing but wait loses 0.01 USD a second."""

    realtime: Annotated[Dollars, Meta(description="Somebody listens or talks: all of their time.")] = 0.01
    interactive: Annotated[Dollars, Meta(description="Somebody reads along: a tenth of it.")] = 0.001
    batch: Annotated[Dollars, Meta(description="Nobody waits.")] = 0.0


class TierAbilityTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stand-ins, from MMLU-Pro: Llama-3.1-8B-Instruct, Llama-3.1-70B-Instruct and gemini-1.5-pro-002 in TIGER-AI-Lab's results."""

    self_hosted: Annotated[Share, Meta(description="Assumed of a self-hosted model without a figure.")] = 0.44
    managed: Annotated[Share, Meta(description="Assumed of a managed model without a figure.")] = 0.63
    closed: Annotated[Share, Meta(description="Assumed of a closed model without a figure.")] = 0.70


class RoutingTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    wrong_answer_usd: Annotated[Dollars, Meta(description="What a wrong answer costs you, in USD.")] = 0.05
    wait_usd_per_second: Annotated[WaitTable, Meta(description="What a second of waiting costs, per latency class.")] = WaitTable()
    tier_ability: Annotated[TierAbilityTable, Meta(description="The ability assumed of a model whose card has no figure.")] = (
        TierAbilityTable()
    )
    max_plan: Annotated[Annotated[int, Meta(ge=1, le=4)], Meta(description="How many deployments a plan holds.")] = 4
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=10)], Meta(description="How many upstream calls one request may make, over all of its plan.")
    ] = 3
    output_tokens: Annotated[Count, Meta(description="The expected length of an answer where the client sets no limit.")] = 512
    allowed_regions: Annotated[
        tuple[Name, ...] | None, Meta(description="Regions that may compute. A deployment without a region is then refused.")
    ] = None


class BudgetTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    usd_per_day: Annotated[Dollars | None, Meta(description="Refuse what would spend more, per UTC day. Unset: no limit.")] = None


class ResponsesTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    store: Annotated[
        bool,
        Meta(description="Keep conversations, so that `previous_response_id` works. They lie in the event log's file as they are."),
    ] = False
    days: Annotated[Annotated[int, Meta(ge=1, le=3650)], Meta(description="How long they are kept.")] = 30


class OIDCTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sign-in for people, to the admin side. All of it or nothing: with a part of it the gateway does not start."""

    issuer: Annotated[Name, Meta(description="The provider's issuer, letter by letter as its discovery document says it.")]
    client_id: Annotated[Name, Meta(description="What the provider calls this gateway.")]
    redirect_url: Annotated[Name, Meta(description="The gateway's public address with `/-/callback` behind it.")]
    client_secret: Annotated[
        str | None, Meta(description="`env:NAME` or `file:PATH`. Unset: a public client, which PKCE alone protects.")
    ] = None
    scopes: Annotated[tuple[Name, ...], Meta(description="What is asked for. `openid` must be among it.")] = (
        "openid",
        "email",
        "profile",
    )
    admins: Annotated[
        tuple[Name, ...],
        Meta(description="E-mail addresses of which the first to sign in becomes admin, while no person is one yet."),
    ] = ()
    session_hours: Annotated[
        Annotated[float, Meta(gt=0, le=720)], Meta(description="How long somebody stays signed in at most.")
    ] = 12.0
    idle_minutes: Annotated[
        Annotated[float, Meta(gt=0, le=43_200)], Meta(description="How long somebody stays signed in without asking for anything.")
    ] = 60.0


class CacheTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: Annotated[
        bool,
        Meta(description="Answer a chat request that is the same in every byte that matters from memory, for its own place alone."),
    ] = False
    ttl_seconds: Annotated[Seconds, Meta(description="How long an answer is given again.")] = 3600.0
    max_bytes: Annotated[Count, Meta(description="Memory for answers; those that were not asked for longest go first.")] = (
        64 * 1024 * 1024
    )


class TelemetryTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where traces and metrics are pushed. `GET /metrics` and the log are there without it."""

    otlp_endpoint: Annotated[
        str | None,
        Meta(description="An OTLP/HTTP collector's address, to which `/v1/traces` and `/v1/metrics` are added. Unset: off."),
    ] = None
    otlp_headers: Annotated[
        dict[str, str], Meta(description="Headers for the collector, each value as `env:NAME` or `file:PATH`.")
    ] = {}
    zone: Annotated[
        str | None, Meta(description="Who runs the collector. Unset: `local` on loopback, `on_prem` on a private address.")
    ] = None
    insecure: Annotated[bool, Meta(description="Allow http to a host that is not on your own machine or network.")] = False
    traces: Annotated[bool, Meta(description="Push a span per request and one per attempt.")] = True
    metrics: Annotated[bool, Meta(description="Push the histograms of the OpenTelemetry GenAI conventions.")] = True
    interval_seconds: Annotated[Seconds, Meta(description="Seconds between two pushes.")] = 10.0


class AlertsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told when a budget has spent a share of its limit. The log and the metrics tell it without this."""

    webhook: Annotated[
        str | None,
        Meta(
            description="The address, or `env:NAME` or `file:PATH` where the address itself is a secret. Unset: nobody is called."
        ),
    ] = None
    zone: Annotated[str | None, Meta(description="Who runs the webhook. Unset: as for the collector.")] = None
    insecure: Annotated[bool, Meta(description="Allow http to a host that is not on your own machine or network.")] = False
    secret: Annotated[
        str | None, Meta(description="`env:NAME` or `file:PATH`: signs each call with HMAC-SHA256. Unset: calls are not signed.")
    ] = None


class BatchesTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: Annotated[
        bool, Meta(description="Take batches and files. They lie in a folder beside the event log, as they are.")
    ] = True
    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=256)],
        Meta(description="Lines of batches that run at once in this process, while interactive requests leave them the room."),
    ] = 4
    keep_days: Annotated[
        Annotated[int, Meta(ge=1, le=365)],
        Meta(description="How long files, batches and results are kept where a client says nothing."),
    ] = 30
    provider: Annotated[
        Literal["auto", "never"],
        Meta(
            description="`auto` hands lines over to a provider's own batches where those are cheaper, `never` runs them all here."
        ),
    ] = "auto"
    max_file_bytes: Annotated[Count, Meta(description="A longer file is refused with 413.")] = 200 * 1024 * 1024


class StartersTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: Annotated[
        bool,
        Meta(description="Add the shipped deployments of each provider whose key is in the environment and that has none here."),
    ] = False


class PriceTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD per million tokens, as price lists are written."""

    input: Annotated[Dollars, Meta(description="USD per million input tokens.")]
    output: Annotated[Dollars, Meta(description="USD per million output tokens.")]
    cache_read: Annotated[
        Dollars | None, Meta(description="USD per million input tokens read from the cache. Unset: as input.")
    ] = None
    cache_write: Annotated[Dollars | None, Meta(description="USD per million input tokens written to it. Unset: as input.")] = None


class TimeoutsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    connect: Annotated[Seconds, Meta(description="Seconds to connect.")] = 5.0
    first_token: Annotated[Seconds, Meta(description="Seconds until the first content of a stream.")] = 60.0
    idle: Annotated[Seconds, Meta(description="Seconds between two pieces of an answer.")] = 30.0
    total: Annotated[Seconds, Meta(description="Seconds for the whole attempt.")] = 600.0


class CredentialTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One credential, of one kind. Each value is a reference, `env:NAME` or `file:PATH`; what is no secret may also stand here itself."""

    api_key: Annotated[str | None, Meta(description="A key, as `api_key` of the deployment. A reference.")] = None
    aws_access_key_id: Annotated[str | None, Meta(description="AWS: the access key's id. A reference.")] = None
    aws_secret_access_key: Annotated[str | None, Meta(description="AWS: the access key's secret. A reference.")] = None
    aws_session_token: Annotated[str | None, Meta(description="AWS: the token of a key that lives for a while. A reference.")] = (
        None
    )
    aws_region: Annotated[str | None, Meta(description="AWS: the region to sign for. Unset: the deployment's.")] = None
    entra_tenant: Annotated[str | None, Meta(description="Microsoft Entra: the tenant's id.")] = None
    entra_client_id: Annotated[str | None, Meta(description="Microsoft Entra: the application's id.")] = None
    entra_client_secret: Annotated[str | None, Meta(description="Microsoft Entra: the application's secret. A reference.")] = None
    google_service_account: Annotated[
        str | None, Meta(description="Google: the JSON key file of a service account, as `file:PATH`, or its text as `env:NAME`.")
    ] = None


class DeploymentTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[Id, Meta(description="Its name: in decisions, in the log, and as a `model` that a client may ask for.")]
    model: Annotated[Name, Meta(description="The model's name as the provider knows it.")]
    provider: Annotated[str, Meta(description="A shipped provider or one of your own `[[provider]]` rows.")]
    card: Annotated[str | None, Meta(description="The model card. Unset: the card of `model`, if there is one.")] = None
    base_url: Annotated[str | None, Meta(description="Another address than the provider's, with the version path.")] = None
    insecure: Annotated[bool, Meta(description="Allow http to a host that is not on your own machine or network.")] = False
    tier: Annotated[Tier | None, Meta(description="Unset: the provider's.")] = None
    zone: Annotated[
        str | None,
        Meta(
            description="Who may see the data. Unset: a self-hosted model is `local` on loopback and `on_prem` on a private address; "
            "anything else is in its provider's zone."
        ),
    ] = None
    region: Annotated[str | None, Meta(description="Where it computes. Unset: the provider's, if it has one.")] = None
    price: Annotated[
        PriceTable | None, Meta(description="Unset: `prices_file`, then the shipped list; a self-hosted model at home is free.")
    ] = None
    timeouts: Annotated[TimeoutsTable, Meta(description="How long an attempt may take.")] = TimeoutsTable()
    api_key: Annotated[
        str | None,
        Meta(
            description="`env:NAME` or `file:PATH`. Unset: the provider's usual variable, and only at the provider's own address."
        ),
    ] = None
    api_keys: Annotated[
        tuple[str, ...],
        Meta(description="Several keys, each as `api_key`. They take turns, and one that is refused or limited rests."),
    ] = ()
    credentials: Annotated[
        tuple[CredentialTable, ...],
        Meta(description="For clouds, and for keys of several kinds. They take turns as `api_keys` do."),
    ] = ()
    operations: Annotated[
        Annotated[frozenset[Operation], Meta(min_length=1)] | None,
        Meta(description="What it is asked for. Unset: what its card says, else `chat`."),
    ] = None
    embedding_space: Annotated[
        str | None,
        Meta(description="The space of its vectors: deployments of one space stand in for each other. Unset: its card's."),
    ] = None
    reserve: Annotated[bool, Meta(description="Keep it for what nothing better may or should answer.")] = False
    certified_for: Annotated[frozenset[str], Meta(description="Tasks for which it may answer although it is a reserve.")] = (
        frozenset()
    )
    names: Annotated[
        frozenset[Name],
        Meta(
            description="The names by which clients ask for it, besides its id; several deployments may share one. "
            "Unset: the model's name and its card's."
        ),
    ] = frozenset()
    stands_in_for: Annotated[
        frozenset[Name], Meta(description="Names of other deployments. Where those fail or may not answer, this one is tried.")
    ] = frozenset()


class LocalTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[Id, Meta(description="Its name, as for a deployment.")]
    weights: Annotated[
        Name, Meta(description="A name that `trimtab models` lists, or the path of a GGUF file, relative to this file.")
    ]
    card: Annotated[str | None, Meta(description="The model card. Unset: that of the listed weights.")] = None
    context: Annotated[
        Annotated[int, Meta(ge=256)], Meta(description="Tokens that fit, question and answer together. More takes more memory.")
    ] = 4096
    threads: Annotated[Count | None, Meta(description="CPU threads. Unset: as many as fit.")] = None
    reserve: Annotated[bool | None, Meta(description="As for a deployment. Unset: yes for the smallest weights only.")] = None
    certified_for: Annotated[frozenset[str], Meta(description="As for a deployment.")] = frozenset()


class FileTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    prices_file: Annotated[
        str | None,
        Meta(description="A TOML file of `[[price]]` rows that go before the shipped price list, relative to this file."),
    ] = None
    server: Annotated[ServerTable, Meta(description="The gateway's own door.")] = ServerTable()
    store: Annotated[StoreTable, Meta(description="The event log.")] = StoreTable()
    network: Annotated[NetworkTable, Meta(description="How calls leave.")] = NetworkTable()
    boundary: Annotated[BoundaryTable, Meta(description="Who may see what: each class and the outermost zone that may see it.")] = (
        BoundaryTable()
    )
    routing: Annotated[RoutingTable, Meta(description="How deployments are compared, in money.")] = RoutingTable()
    budget: Annotated[BudgetTable, Meta(description="What may be spent.")] = BudgetTable()
    responses: Annotated[ResponsesTable, Meta(description="OpenAI Responses with a memory.")] = ResponsesTable()
    oidc: Annotated[OIDCTable | None, Meta(description="Sign-in for people, to the admin side.")] = None
    cache: Annotated[CacheTable, Meta(description="Answers that are given again.")] = CacheTable()
    telemetry: Annotated[TelemetryTable, Meta(description="Traces and metrics for a collector.")] = TelemetryTable()
    alerts: Annotated[AlertsTable, Meta(description="Who is told about budgets.")] = AlertsTable()
    batches: Annotated[BatchesTable, Meta(description="Many requests handed in at once.")] = BatchesTable()
    starters: Annotated[StartersTable, Meta(description="Deployments that appear by themselves.")] = StartersTable()
    provider: Annotated[tuple[ProviderRow, ...], Meta(description="Providers of your own: a row each.")] = ()
    card: Annotated[tuple[CardRow, ...], Meta(description="Model cards of your own; they go before shipped ones.")] = ()
    deployment: Annotated[tuple[DeploymentTable, ...], Meta(description="One door to a model each.")] = ()
    local: Annotated[tuple[LocalTable, ...], Meta(description="Models that Trimtab serves itself.")] = ()


class PriceRowTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of ``prices_file``."""

    provider: Annotated[Name, Meta(description="The provider's name.")]
    model: Annotated[Name, Meta(description="The model's name as the provider knows it.")]
    price: Annotated[PriceTable, Meta(description="What it costs.")]


class PricesFileTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    price: tuple[PriceRowTable, ...] = ()
