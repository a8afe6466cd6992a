"""From what the operator wrote to what the program uses: references followed, defaults taken from the catalog, money in nano-USD.

What a deployment comes to is the affair of ``deployments.py``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from trimtab import catalog
from trimtab.catalog import ProviderRow
from trimtab.config.address import fault_of, place_of
from trimtab.config.deployments import ZONE_AT, Deployments, check_address, check_zone, nano_usd, price_of
from trimtab.config.file import CacheTable, DeploymentTable, FileTable, OIDCTable, PricesFileTable, RoutingTable, StartersTable
from trimtab.config.model import (
    OIDC,
    Alerts,
    Batches,
    Cache,
    Config,
    Network,
    Responses,
    RoutingConfig,
    Server,
    StoreConfig,
    Telemetry,
)
from trimtab.config.secrets import BadReference, resolve_secret
from trimtab.config.source import KeyPath, Source
from trimtab.core.accounts import address_key, fault_of_address
from trimtab.core.catalog import Tier
from trimtab.core.decision import LatencyClass
from trimtab.core.units import Price
from trimtab.core.zones import Boundary, Secret, Sensitivity

SIGN_IN_CALLBACK = "/-/callback"

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_NOT_FOR_YOU = frozenset({"content-type", "content-length", "transfer-encoding", "connection", "host"})


class Resolver:
    """One file on its way to a :class:`Config`. Gathers deployments and keys; every fault is raised with its line."""

    def __init__(self, source: Source, env: Mapping[str, str], only: DeploymentTable | None = None) -> None:
        self._source = source
        self._env = env
        self._file = source.decode(FileTable)
        if only is not None:
            self._file = structs.replace(self._file, deployment=(only,), local=(), starters=StartersTable())
        self._boundary = self._read_boundary()
        self._rows = self._read_providers()
        self._deployments = Deployments(source, self._file, env, self._rows, self._read_prices())

    def resolve(self, *, local: bool) -> Config:
        for number, written in enumerate(self._file.deployment):
            self._deployments.add(written, ("deployment", number))
        served = self._file.local if local else ()
        models = tuple(self._deployments.add_local(written, ("local", number)) for number, written in enumerate(served))
        if self._file.starters.enabled:
            self._deployments.add_starters()
        config = Config(
            file=self._source.name,
            policy_hash="",
            server=msgspec.convert(self._file.server, Server, from_attributes=True),
            store=StoreConfig(path=self._beside(self._file.store.path), sync=self._file.store.sync),
            boundary=self._boundary,
            deployments=tuple(self._deployments.found.values()),
            credentials=self._deployments.credentials,
            rows=self._rows,
            network=self._read_network(),
            routing=_routing(self._file.routing, self._file.budget.usd_per_day),
            responses=msgspec.convert(self._file.responses, Responses, from_attributes=True),
            batches=msgspec.convert(self._file.batches, Batches, from_attributes=True),
            oidc=None if self._file.oidc is None else _oidc(self._file.oidc, self._source, self._env),
            cache=_cache(self._file.cache),
            telemetry=self._read_telemetry(),
            alerts=self._read_alerts(),
            local=models,
        )
        return structs.replace(config, policy_hash=policy_hash(config))

    def _beside(self, path: str | None) -> str | None:
        """A path as written is relative to the file that it is written in."""
        return None if path is None else str(self._source.folder / Path(path).expanduser())

    def _read_boundary(self) -> Boundary:
        table = self._file.boundary
        if not table.zones or len(set(table.zones)) != len(table.zones):
            raise self._source.error("The zones must be named, each once.", ("boundary", "zones"), hint="Most trusted first.")
        outermost = {sensitivity: str(getattr(table, sensitivity.value)) for sensitivity in Sensitivity}
        for sensitivity, zone in outermost.items():
            path = ("boundary", sensitivity.value)
            check_zone(self._source, table.zones, zone, path, f"The class {sensitivity.value!r} may be seen by")
        return Boundary(zones=table.zones, outermost=outermost)

    def _read_network(self) -> Network:
        table = self._file.network
        if table.proxy is not None and (fault := fault_of(table.proxy, insecure=True)):
            raise self._source.error(f"The proxy's address is not usable. {fault[0]}", ("network", "proxy"), hint=fault[1])
        return Network(proxy=table.proxy, ca_file=self._beside(table.ca_file))

    def _read_telemetry(self) -> Telemetry | None:
        table = self._file.telemetry
        if table.otlp_endpoint is None:
            return None
        endpoint = table.otlp_endpoint.rstrip("/")
        check_address(self._source, endpoint, ("telemetry", "otlp_endpoint"), "of the collector", insecure=table.insecure)
        headers = {}
        for name, reference in table.otlp_headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in _NOT_FOR_YOU:
                raise self._source.error(
                    f"{name!r} is not a header that can be set.", ("telemetry", "otlp_headers"), hint="Such as authorization."
                )
            headers[name.lower()] = self._secret(reference, ("telemetry", "otlp_headers"), f"The header {name}", spaces=True)
        return Telemetry(
            endpoint=endpoint,
            headers=headers,
            zone=self._zone_of(endpoint, table.zone, "telemetry"),
            traces=table.traces,
            metrics=table.metrics,
            interval_seconds=table.interval_seconds,
        )

    def _read_alerts(self) -> Alerts | None:
        table = self._file.alerts
        if table.webhook is None:
            return None
        path = ("alerts", "webhook")
        url = table.webhook
        if url.startswith(("env:", "file:")):
            url = self._secret(url, path, "The webhook").reveal()
        place, _, query = url.partition("?")
        check_address(self._source, place, path, "of the webhook", insecure=table.insecure)
        parts = urlsplit(place)
        origin = f"{parts.scheme}://{parts.netloc}"
        return Alerts(
            origin=origin,
            path=Secret((parts.path or "/") + (f"?{query}" if query else "")),
            zone=self._zone_of(origin, table.zone, "alerts"),
            secret=None if table.secret is None else self._secret(table.secret, ("alerts", "secret"), "The secret of the webhook"),
        )

    def _secret(self, reference: str, path: KeyPath, what: str, *, spaces: bool = False) -> Secret:
        try:
            return resolve_secret(reference, self._env, self._source.folder, spaces=spaces)
        except BadReference as bad:
            raise self._source.error(f"{what} cannot be had: {bad.message}.", path, hint=bad.hint) from None

    def _zone_of(self, url: str, written: str | None, table: str) -> str:
        """Who is at ``url``, and may be told ids, names and numbers: nobody at all where that is not known."""
        zone = written or ZONE_AT.get(place_of(url))
        if zone is None:
            raise self._source.error(
                f"[{table}] does not say who is at its address.", (table,), hint='Add zone = "any", or another zone of [boundary].'
            )
        check_zone(self._source, self._file.boundary.zones, zone, (table, "zone"), f"[{table}] is in")
        if not self._boundary.admits({Sensitivity.INTERNAL}, zone):
            raise self._source.error(
                f"[boundary] keeps what is internal from zone {zone!r}, so that [{table}] could be told nothing.",
                (table, "zone"),
                hint="Use an address in a zone that may see it, or widen [boundary] internal.",
            )
        return zone

    def _read_providers(self) -> dict[str, ProviderRow]:
        rows = dict(catalog.providers())
        for number, row in enumerate(self._file.provider):
            path = ("provider", number)
            if row.name in rows:
                raise self._source.error(f"There is a provider {row.name!r} already.", (*path, "name"), hint="Choose another name.")
            if row.base_url:
                # Plain http is for the deployment to allow; everything else is wrong here too.
                check_address(self._source, row.base_url, (*path, "base_url"), f"of provider {row.name!r}", insecure=True)
            check_zone(self._source, self._file.boundary.zones, row.zone, (*path, "zone"), f"Provider {row.name!r} is in")
            rows[row.name] = row
        return rows

    def _read_prices(self) -> dict[tuple[str, str], Price]:
        beside = self._beside(self._file.prices_file)
        if beside is None:
            return {}
        name = Path(beside).name
        rows = Source.read(Path(beside)).decode(PricesFileTable).price
        return {(row.provider, row.model): price_of(row.price, f"file {name}") for row in rows}


def _routing(table: RoutingTable, usd_per_day: float | None) -> RoutingConfig:
    return RoutingConfig(
        wrong_answer_usd=nano_usd(table.wrong_answer_usd),
        wait_usd_per_second={
            latency: nano_usd(float(getattr(table.wait_usd_per_second, latency.value))) for latency in LatencyClass
        },
        max_plan=table.max_plan,
        max_attempts=table.max_attempts,
        tier_ability={tier: float(getattr(table.tier_ability, tier.value)) for tier in Tier},
        allowed_regions=None if table.allowed_regions is None else frozenset(table.allowed_regions),
        output_tokens=table.output_tokens,
        budget_usd_per_day=None if usd_per_day is None else nano_usd(usd_per_day),
    )


def _cache(table: CacheTable) -> Cache | None:
    return Cache(ttl_seconds=table.ttl_seconds, max_bytes=table.max_bytes) if table.enabled else None


def _oidc(table: OIDCTable, source: Source, env: Mapping[str, str]) -> OIDC:
    for name, url in (("issuer", table.issuer), ("redirect_url", table.redirect_url)):
        fault = fault_of(url, insecure=False)
        if fault is None and urlsplit(url).scheme == "http" and place_of(url) != "loopback":
            fault = "Plain http would show who signs in to the network.", "Use https; http is for this machine alone."
        if fault is not None:
            raise source.error(f"The {name} of sign-in is not usable. {fault[0]}", ("oidc", name), hint=fault[1])
    if urlsplit(table.redirect_url).path != SIGN_IN_CALLBACK:
        raise source.error(
            f"The redirect_url of sign-in does not lead to {SIGN_IN_CALLBACK}.",
            ("oidc", "redirect_url"),
            hint=f"Write the gateway's public address with {SIGN_IN_CALLBACK} behind it, and register the same at the provider.",
        )
    for address in table.admins:
        if (fault := fault_of_address(address)) is not None:
            raise source.error(f"An admin of sign-in is not known by this. {fault[0]}", ("oidc", "admins"), hint=fault[1])
    if "openid" not in table.scopes:
        raise source.error("Sign-in needs the scope 'openid'.", ("oidc", "scopes"), hint='Add "openid" to the scopes.')
    secret = None
    if table.client_secret is not None:
        try:
            secret = resolve_secret(table.client_secret, env, source.folder)
        except BadReference as bad:
            raise source.error(f"Sign-in has no client secret: {bad.message}.", ("oidc", "client_secret"), hint=bad.hint) from None
    return OIDC(
        issuer=table.issuer,
        client_id=table.client_id,
        redirect_url=table.redirect_url,
        client_secret=secret,
        scopes=table.scopes,
        admins=frozenset(address_key(address) for address in table.admins),
        session_seconds=table.session_hours * 3600,
        idle_seconds=table.idle_minutes * 60,
    )


def policy_hash(config: Config) -> str:
    """SHA-256 over the configuration as canonical JSON, without its file's name, without one secret, and without how people sign in or
    who is told of what happens."""
    without = {"file", "policy_hash", "credentials", "oidc", "telemetry", "alerts"}
    parts = {name: value for name, value in structs.asdict(config).items() if name not in without}
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def default_text() -> str:
    """The shipped default, commented, as a file to start from."""
    return resources.files("trimtab.config").joinpath("default.toml").read_text(encoding="utf-8")


def load(path: Path | str | None, env: Mapping[str, str], *, local: bool = True, only: DeploymentTable | None = None) -> Config:
    """The configuration in the file at ``path``, or the shipped default. Raises :class:`ConfigError`.

    ``env`` is where ``env:`` references and providers' keys are looked up. ``local=False`` leaves out what Trimtab would serve itself.
    ``only`` takes the place of all that is deployed.
    """
    source = Source("default.toml", default_text(), Path()) if path is None else Source.read(Path(path))
    return Resolver(source, env, only).resolve(local=local)
