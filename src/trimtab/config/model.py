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
    """``max_body_bytes`` bounds a client's body; ``max_concurrency`` the requests under way; ``drain_seconds`` the wait at shutdown."""

    host: str
    port: int
    max_body_bytes: int
    max_concurrency: int
    drain_seconds: float


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


class Config(Struct, frozen=True, kw_only=True):
    """``file`` is what was read. ``policy_hash`` is SHA-256 over everything here but the secrets, as canonical JSON.

    ``credentials`` maps a deployment's id to its key, ``rows`` a provider's name to its row, shipped ones and the operator's.
    """

    file: str
    policy_hash: str
    server: Server
    store: StoreConfig
    boundary: Boundary
    deployments: tuple[Deployment, ...]
    credentials: Mapping[str, Secret]
    rows: Mapping[str, ProviderRow]
    network: Network
    routing: RoutingConfig
    local: tuple[LocalModel, ...]
