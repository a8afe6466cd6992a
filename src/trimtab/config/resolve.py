"""From what the operator wrote to what the program uses: references followed, defaults taken from the catalog, money in nano-USD.

Every doubt closes a door: a key goes only to the address it belongs to, a list price counts only at the provider's own address, and what
nobody priced stays unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources
from pathlib import Path

import msgspec
from msgspec import structs

from trimtab import catalog
from trimtab.catalog import ProviderRow
from trimtab.config.address import Place, fault_of, place_of
from trimtab.config.file import DeploymentTable, FileTable, LocalTable, PricesFileTable, PriceTable, RoutingTable
from trimtab.config.model import Config, LocalModel, Network, RoutingConfig, Server, StoreConfig
from trimtab.config.secrets import BadReference, resolve_secret
from trimtab.config.source import KeyPath, Source, did_you_mean
from trimtab.core.catalog import Capability, Deployment, ModelCard, Tier
from trimtab.core.decision import LatencyClass, Wish
from trimtab.core.units import FREE, USD, NanoUSD, Price, Timeouts
from trimtab.core.zones import Boundary, Secret, Sensitivity

_SERVED = frozenset({Capability.STRUCTURED_OUTPUT, Capability.LOGPROBS})
_ZONE_AT = {"loopback": "local", "private": "on_prem"}


def nano_usd(dollars: float) -> NanoUSD:
    """Exact for what can be written with nine decimals; ``repr`` gives back the digits that the operator wrote."""
    return NanoUSD(int((Decimal(repr(dollars)) * USD).to_integral_value(ROUND_HALF_UP)))


def _price(written: PriceTable, version: str) -> Price:
    return Price(
        input=nano_usd(written.input),
        output=nano_usd(written.output),
        cache_read=None if written.cache_read is None else nano_usd(written.cache_read),
        cache_write=None if written.cache_write is None else nano_usd(written.cache_write),
        version=version,
    )


class Resolver:
    """One file on its way to a :class:`Config`. Gathers deployments and keys; every fault is raised with its line."""

    def __init__(self, source: Source, env: Mapping[str, str]) -> None:
        self._source = source
        self._env = env
        self._file = source.decode(FileTable)
        self._boundary = self._read_boundary()
        self._rows = self._read_providers()
        self._own_cards = catalog.index_cards(self._file.card)
        self._own_prices = self._read_prices()
        self._deployments: dict[str, Deployment] = {}
        self._credentials: dict[str, Secret] = {}

    def resolve(self, *, local: bool) -> Config:
        for number, written in enumerate(self._file.deployment):
            self._add_deployment(written, ("deployment", number))
        served = self._file.local if local else ()
        models = tuple(self._add_local(written, ("local", number)) for number, written in enumerate(served))
        if self._file.starters.enabled:
            self._add_starters()
        config = Config(
            file=self._source.name,
            policy_hash="",
            server=msgspec.convert(self._file.server, Server, from_attributes=True),
            store=StoreConfig(path=self._beside(self._file.store.path), sync=self._file.store.sync),
            boundary=self._boundary,
            deployments=tuple(self._deployments.values()),
            credentials=self._credentials,
            rows=self._rows,
            network=self._read_network(),
            routing=_routing(self._file.routing, self._file.budget.usd_per_day),
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
            self._check_zone(zone, ("boundary", sensitivity.value), f"The class {sensitivity.value!r} may be seen by")
        return Boundary(zones=table.zones, outermost=outermost)

    def _check_zone(self, zone: str, path: KeyPath, what: str) -> None:
        zones = self._file.boundary.zones
        if zone not in zones:
            raise self._source.error(f"{what} zone {zone!r}, which [boundary] does not name.", path, hint=did_you_mean(zone, zones))

    def _read_network(self) -> Network:
        table = self._file.network
        if table.proxy is not None and (fault := fault_of(table.proxy, insecure=True)):
            raise self._source.error(f"The proxy's address is not usable. {fault[0]}", ("network", "proxy"), hint=fault[1])
        return Network(proxy=table.proxy, ca_file=self._beside(table.ca_file))

    def _read_providers(self) -> dict[str, ProviderRow]:
        rows = dict(catalog.providers())
        for number, row in enumerate(self._file.provider):
            path = ("provider", number)
            if row.name in rows:
                raise self._source.error(f"There is a provider {row.name!r} already.", (*path, "name"), hint="Choose another name.")
            if row.base_url:
                # Plain http is for the deployment to allow; everything else is wrong here too.
                self._check_address(row.base_url, (*path, "base_url"), f"of provider {row.name!r}", insecure=True)
            self._check_zone(row.zone, (*path, "zone"), f"Provider {row.name!r} is in")
            rows[row.name] = row
        return rows

    def _check_address(self, url: str, path: KeyPath, whose: str, *, insecure: bool) -> None:
        if fault := fault_of(url, insecure=insecure):
            raise self._source.error(f"The address {whose} is not usable. {fault[0]}", path, hint=fault[1])

    def _read_prices(self) -> dict[tuple[str, str], Price]:
        beside = self._beside(self._file.prices_file)
        if beside is None:
            return {}
        name = Path(beside).name
        rows = Source.read(Path(beside)).decode(PricesFileTable).price
        return {(row.provider, row.model): _price(row.price, f"file {name}") for row in rows}

    def _card(self, name: str) -> ModelCard | None:
        return self._own_cards.get(name.lower()) or catalog.card(name)

    def _card_for(self, name: str | None, model: str, path: KeyPath) -> ModelCard:
        """The card that was asked for, else the model's own, else one that knows nothing but the name."""
        found = self._card(name or model)
        if found is None and name is not None:
            known = {*self._own_cards, *(row.name for row in catalog.card_rows())}
            raise self._source.error(f"There is no model card {name!r}.", (*path, "card"), hint=did_you_mean(name, known))
        return found or ModelCard(name=model)

    def _add(self, deployment: Deployment, path: KeyPath) -> None:
        id = deployment.id
        if id in self._deployments:
            raise self._source.error(f"There are two deployments {id!r}.", (*path, "id"), hint="Give each its own id.")
        if id in set(Wish):
            raise self._source.error(
                f"{id!r} is a wish of the client and cannot name a deployment.", (*path, "id"), hint="Choose another."
            )
        self._check_zone(deployment.zone, (*path, "zone"), f"Deployment {id!r} is in")
        self._deployments[id] = deployment

    def _add_deployment(self, written: DeploymentTable, path: KeyPath) -> None:
        row = self._rows.get(written.provider)
        if row is None:
            hint = did_you_mean(written.provider, self._rows)
            raise self._source.error(f"There is no provider {written.provider!r}.", (*path, "provider"), hint=hint)
        base_url = (written.base_url or row.base_url).rstrip("/")
        if not base_url:
            raise self._source.error(f"Deployment {written.id!r} has no address.", path, hint='Add base_url = "https://..."')
        self._check_address(base_url, (*path, "base_url"), f"of deployment {written.id!r}", insecure=written.insecure)
        place = place_of(base_url)
        tier = written.tier or row.tier
        at_home = base_url == row.base_url.rstrip("/")
        self._add(
            Deployment(
                id=written.id,
                model=written.model,
                card=self._card_for(written.card, written.model, path),
                provider=row.name,
                dialect=row.dialect,
                tier=tier,
                zone=written.zone or (_ZONE_AT.get(place, row.zone) if tier is Tier.SELF_HOSTED else row.zone),
                base_url=base_url,
                region=written.region or row.region,
                price=self._price_of(written, tier, place, listed=at_home),
                timeouts=msgspec.convert(written.timeouts, Timeouts, from_attributes=True),
                reserve=written.reserve,
                certified_for=written.certified_for,
            ),
            path,
        )
        self._add_key(written, row, path, at_home=at_home)

    def _price_of(self, written: DeploymentTable, tier: Tier, place: Place, *, listed: bool) -> Price | None:
        if written.price is not None:
            return _price(written.price, "configuration")
        if own := self._own_prices.get((written.provider, written.model)):
            return own
        if listed and (price := catalog.price(written.provider, written.model)):
            return price
        return FREE if tier is Tier.SELF_HOSTED and place != "elsewhere" else None

    def _add_key(self, written: DeploymentTable, row: ProviderRow, path: KeyPath, *, at_home: bool) -> None:
        reference = written.api_key
        if reference is None and at_home and row.auth != "none" and row.key_env:
            reference = f"env:{row.key_env}"
        if reference is None:
            return
        try:
            self._credentials[written.id] = resolve_secret(reference, self._env, self._source.folder)
        except BadReference as bad:
            where = (*path, "api_key")
            raise self._source.error(f"Deployment {written.id!r} has no key: {bad.message}.", where, hint=bad.hint) from None

    def _add_local(self, written: LocalTable, path: KeyPath) -> LocalModel:
        row = next((row for row in catalog.weights() if row.name == written.weights), None)
        if row is None and not written.weights.endswith(".gguf"):
            hint = did_you_mean(written.weights, [row.name for row in catalog.weights()]) + " A path ends with .gguf."
            raise self._source.error(f"There are no weights {written.weights!r}.", (*path, "weights"), hint=hint)
        card = self._card_for(written.card or (row.card if row else None), written.id, path)
        self._add(
            Deployment(
                id=written.id,
                model=card.name,
                card=structs.replace(
                    card,
                    context_window=min(written.context, card.context_window or written.context),
                    # llama.cpp takes tools in silence even where a model's template has no place for them: only a card vouches for them.
                    capabilities=_SERVED if card.capabilities is None else card.capabilities,
                ),
                provider="llama.cpp",
                dialect=self._rows["llama.cpp"].dialect,
                tier=Tier.SELF_HOSTED,
                zone=_ZONE_AT["loopback"],
                base_url="",
                price=FREE,
                reserve=bool(row and row.reserve) if written.reserve is None else written.reserve,
                certified_for=written.certified_for,
            ),
            path,
        )
        weights = written.weights if row else str(self._source.folder / Path(written.weights).expanduser())
        return LocalModel(id=written.id, weights=weights, context=written.context, threads=written.threads)

    def _add_starters(self) -> None:
        taken = {deployment.provider for deployment in self._deployments.values()}
        for starter in catalog.starters():
            id = f"{starter.provider}/{starter.card}"
            if starter.provider in taken or id in self._deployments or not self._env.get(starter.key_env, "").strip():
                continue
            written = DeploymentTable(id=id, model=starter.model, provider=starter.provider, card=starter.card, tier=starter.tier)
            self._add_deployment(written, ("starters",))


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


def policy_hash(config: Config) -> str:
    """SHA-256 over the configuration as canonical JSON, without its file's name and without one secret."""
    parts = {name: value for name, value in structs.asdict(config).items() if name not in ("file", "policy_hash", "credentials")}
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def default_text() -> str:
    """The shipped default, commented, as a file to start from."""
    return resources.files("trimtab.config").joinpath("default.toml").read_text(encoding="utf-8")


def load(path: Path | str | None, env: Mapping[str, str], *, local: bool = True) -> Config:
    """The configuration in the file at ``path``, or the shipped default. Raises :class:`ConfigError`.

    ``env`` is where ``env:`` references and providers' keys are looked up. ``local=False`` leaves out what Trimtab would serve itself.
    """
    source = Source("default.toml", default_text(), Path()) if path is None else Source.read(Path(path))
    return Resolver(source, env).resolve(local=local)
