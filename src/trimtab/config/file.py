"""The configuration as the operator writes it: one struct per table, with the meaning of each key beside it.

The reference page is made from these structs (``reference.py``), and a key that is not here is an error. This file resolves nothing:
units, references and defaults from the catalog are the affair of ``resolve.py``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trimtab.catalog import CardRow, ProviderRow
from trimtab.core.catalog import Tier
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
    first_token: Annotated[Seconds, Meta(description="Seconds until the first content.")] = 60.0
    idle: Annotated[Seconds, Meta(description="Seconds between two pieces of an answer.")] = 30.0
    total: Annotated[Seconds, Meta(description="Seconds for the whole attempt.")] = 600.0


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
    reserve: Annotated[bool, Meta(description="Keep it for what nothing better may or should answer.")] = False
    certified_for: Annotated[frozenset[str], Meta(description="Tasks for which it may answer although it is a reserve.")] = (
        frozenset()
    )


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
