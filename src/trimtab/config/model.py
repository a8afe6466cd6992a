"""The resolved configuration: what the rest of the program reads. Frozen, without one secret in its hash, its ``repr`` or its errors.

This file does not know TOML, the environment or the catalog (see ``file.py`` and ``resolve.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from trimtab.catalog.rows import ProviderRow
from trimtab.core.catalog import Deployment, Tier
from trimtab.core.decision import LatencyClass
from trimtab.core.units import NanoUSD
from trimtab.core.zones import Boundary, Secret


class Server(Struct, frozen=True, kw_only=True):
    """``max_body_bytes`` bounds a client's body; ``max_concurrency`` the requests under way, ``queue_seconds``
    the wait for a place among them; ``drain_seconds`` the wait at shutdown. ``open_metrics``: do metrics need no key?"""

    host: str
    port: int
    max_body_bytes: int
    max_concurrency: int
    queue_seconds: float
    drain_seconds: float
    open_metrics: bool


class StoreConfig(Struct, frozen=True, kw_only=True):
    """``path`` is ``None`` where the command line chooses. ``sync="full"`` survives the loss of power, ``normal`` that of the process."""

    path: str | None
    sync: Literal["normal", "full"]


class Network(Struct, frozen=True, kw_only=True):
    proxy: str | None
    ca_file: str | None


class RoutingConfig(Struct, frozen=True, kw_only=True):
    """The policy's figures. Money is nano-USD, whatever unit the file used.

    ``tier_ability`` is assumed for a model whose card has no figure, and marked so. ``allowed_regions`` is ``None`` for any.
    ``output_tokens`` is expected where the client states no limit.
    """

    wrong_answer_usd: NanoUSD
    wait_usd_per_second: Mapping[LatencyClass, NanoUSD]
    max_plan: int
    max_attempts: int
    tier_ability: Mapping[Tier, float]
    allowed_regions: frozenset[str] | None
    output_tokens: int
    budget_usd_per_day: NanoUSD | None


class LocalModel(Struct, frozen=True, kw_only=True):
    """A model that Trimtab serves itself. ``weights`` is a name of ``catalog.weights()`` or a path to a GGUF file.

    Its :class:`Deployment` has the same id and no address until the child process has one. ``threads`` is ``None`` for as many as fit.
    """

    id: str
    weights: str
    context: int
    threads: int | None


class Batches(Struct, frozen=True, kw_only=True):
    """``concurrency`` lines run at once; files, batches and results are kept for ``keep_days``.

    ``provider="auto"`` uses providers' own batches where those are cheaper.
    """

    enabled: bool
    concurrency: int
    keep_days: int
    provider: Literal["auto", "never"]
    max_file_bytes: int


class Responses(Struct, frozen=True, kw_only=True):
    """Are conversations kept, and for how many days?"""

    store: bool
    days: int


class OIDC(Struct, frozen=True, kw_only=True):
    """The one provider that people sign in with. Without a ``client_secret`` the gateway is a public client."""

    issuer: str
    client_id: str
    redirect_url: str
    client_secret: Secret | None
    scopes: tuple[str, ...]
    admins: frozenset[str]
    session_seconds: float
    idle_seconds: float


class Cache(Struct, frozen=True, kw_only=True):
    """``max_bytes`` bounds the answers in memory."""

    ttl_seconds: float
    max_bytes: int


class Telemetry(Struct, frozen=True, kw_only=True):
    """The collector and what it is sent. ``headers`` are its credentials."""

    endpoint: str
    headers: Mapping[str, Secret]
    zone: str
    traces: bool
    metrics: bool
    interval_seconds: float


class Alerts(Struct, frozen=True, kw_only=True):
    """The webhook: its ``origin``, and the ``path`` on it, which many services make a secret. ``secret`` signs what is sent."""

    origin: str
    path: Secret
    zone: str
    secret: Secret | None


class ApiKey(Struct, frozen=True):
    key: Secret


class AWSCredential(Struct, frozen=True, kw_only=True):
    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None
    region: str


class EntraCredential(Struct, frozen=True, kw_only=True):
    """An application that Microsoft Entra grants tokens to."""

    tenant: str
    client_id: str
    client_secret: Secret


class GoogleCredential(Struct, frozen=True):
    """``service_account`` is the text of its JSON key file."""

    service_account: Secret


Credential = ApiKey | AWSCredential | EntraCredential | GoogleCredential


class Config(Struct, frozen=True, kw_only=True):
    """``file`` is what was read. ``policy_hash`` is SHA-256 over everything here but the secrets, how people sign in, and who
    is told of what happens, as canonical JSON.

    ``credentials`` maps a deployment's id to its credentials, which take turns; ``rows`` a provider's name to its row, shipped ones and
    the operator's.
    """

    file: str
    policy_hash: str
    server: Server
    store: StoreConfig
    boundary: Boundary
    deployments: tuple[Deployment, ...]
    credentials: Mapping[str, tuple[Credential, ...]]
    rows: Mapping[str, ProviderRow]
    network: Network
    routing: RoutingConfig
    responses: Responses
    batches: Batches
    oidc: OIDC | None = None
    cache: Cache | None = None
    telemetry: Telemetry | None = None
    alerts: Alerts | None = None
    local: tuple[LocalModel, ...]
