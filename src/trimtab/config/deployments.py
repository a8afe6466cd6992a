"""Deployments: what was written, what the provider's row and the model's card add, and the credentials that go with it.

Every doubt closes a door: a key goes only to the address it belongs to, a list price counts only at the provider's own address, and what
nobody priced stays unknown. The rest of the file is the affair of ``resolve.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import msgspec
from msgspec import structs

from trimtab import catalog
from trimtab.catalog import ProviderRow
from trimtab.config.address import Place, fault_of, place_of
from trimtab.config.file import DeploymentTable, FileTable, LocalTable, PriceTable
from trimtab.config.model import ApiKey, AWSCredential, Credential, EntraCredential, GoogleCredential, LocalModel
from trimtab.config.secrets import BadReference, Wallet
from trimtab.config.source import KeyPath, Source, did_you_mean
from trimtab.core.catalog import Capability, Deployment, ModelCard, Tier
from trimtab.core.decision import Wish
from trimtab.core.units import FREE, USD, NanoUSD, Price, Timeouts

_SERVED = frozenset({Capability.STRUCTURED_OUTPUT, Capability.LOGPROBS})
ZONE_AT = {"loopback": "local", "private": "on_prem"}
"""Whose machine answers there, by the text of the address alone."""

_SIGNS_IN: Mapping[type[Credential], tuple[tuple[str, ...], str]] = {
    AWSCredential: (("aws_sigv4",), "AWS keys sign requests to Amazon alone"),
    EntraCredential: (("api-key",), "Entra's tokens are for Azure alone"),
    GoogleCredential: (("google",), "Google's service accounts are for Vertex alone"),
}
"""Which rows' ``auth`` a credential fits, and the sentence for one that does not. A key fits everywhere."""


def nano_usd(dollars: float) -> NanoUSD:
    """Exact for what can be written with nine decimals; ``repr`` gives back the digits that the operator wrote."""
    return NanoUSD(int((Decimal(repr(dollars)) * USD).to_integral_value(ROUND_HALF_UP)))


def price_of(written: PriceTable, version: str) -> Price:
    return Price(
        input=nano_usd(written.input),
        output=nano_usd(written.output),
        cache_read=None if written.cache_read is None else nano_usd(written.cache_read),
        cache_write=None if written.cache_write is None else nano_usd(written.cache_write),
        version=version,
    )


def check_zone(source: Source, zones: Iterable[str], zone: str, path: KeyPath, what: str) -> None:
    if zone not in zones:
        raise source.error(f"{what} zone {zone!r}, which [boundary] does not name.", path, hint=did_you_mean(zone, zones))


def check_address(source: Source, url: str, path: KeyPath, whose: str, *, insecure: bool) -> None:
    if fault := fault_of(url, insecure=insecure):
        raise source.error(f"The address {whose} is not usable. {fault[0]}", path, hint=fault[1])


class Deployments:
    """Those of one file, with their credentials, by id. Every fault is raised with its line."""

    def __init__(
        self,
        source: Source,
        file: FileTable,
        env: Mapping[str, str],
        rows: Mapping[str, ProviderRow],
        prices: Mapping[tuple[str, str], Price],
    ) -> None:
        self.found: dict[str, Deployment] = {}
        self.credentials: dict[str, tuple[Credential, ...]] = {}
        self._source = source
        self._zones = file.boundary.zones
        self._cards = catalog.index_cards(file.card)
        self._env = env
        self._rows = rows
        self._prices = prices

    def add(self, written: DeploymentTable, path: KeyPath) -> None:
        row = self._rows.get(written.provider)
        if row is None:
            hint = did_you_mean(written.provider, self._rows)
            raise self._source.error(f"There is no provider {written.provider!r}.", (*path, "provider"), hint=hint)
        region = written.region or row.region
        base_url, at_home = self._address(written, row, region, path)
        place = place_of(base_url)
        tier = written.tier or row.tier
        self._keep(
            Deployment(
                id=written.id,
                model=written.model,
                card=self._operations(written, row, self._card_for(written.card, written.model, path), path),
                provider=row.name,
                dialect=row.dialect,
                also=frozenset(row.also),
                tier=tier,
                zone=written.zone or (ZONE_AT.get(place, row.zone) if tier is Tier.SELF_HOSTED else row.zone),
                base_url=base_url,
                region=region,
                price=self._price(written, row, tier, place, listed=at_home),
                timeouts=msgspec.convert(written.timeouts, Timeouts, from_attributes=True),
                reserve=written.reserve,
                certified_for=written.certified_for,
                names=written.names,
                stands_in_for=written.stands_in_for,
            ),
            path,
        )
        self._add_credentials(written, row, region, path, at_home=at_home)

    def _keep(self, deployment: Deployment, path: KeyPath) -> None:
        id = deployment.id
        if id in self.found:
            raise self._source.error(f"There are two deployments {id!r}.", (*path, "id"), hint="Give each its own id.")
        for key, names in (("id", {id}), ("names", deployment.names), ("stands_in_for", deployment.stands_in_for)):
            if wishes := sorted(names & set(Wish)):
                raise self._source.error(
                    f"{wishes[0]!r} is a wish of the client and cannot name a deployment.", (*path, key), hint="Choose another."
                )
        check_zone(self._source, self._zones, deployment.zone, (*path, "zone"), f"Deployment {id!r} is in")
        self.found[id] = deployment

    def _address(self, written: DeploymentTable, row: ProviderRow, region: str | None, path: KeyPath) -> tuple[str, bool]:
        """Where it is, and whether that is the provider's own address. A row without an address has whatever it is given."""
        own = row.base_url.rstrip("/")
        if "{region}" in own and written.base_url is None:
            if region is None:
                raise self._source.error(
                    f"Deployment {written.id!r} has no address without a region.",
                    path,
                    hint='Add region = "...", such as "eu-west-1".',
                )
            own = own.replace("{region}", region)
        base_url = (written.base_url or own).rstrip("/")
        if not base_url:
            raise self._source.error(f"Deployment {written.id!r} has no address.", path, hint='Add base_url = "https://..."')
        check_address(self._source, base_url, (*path, "base_url"), f"of deployment {written.id!r}", insecure=written.insecure)
        return base_url, not own or base_url == own

    # -- what the card says

    def _card(self, name: str) -> ModelCard | None:
        return self._cards.get(name.lower()) or catalog.card(name)

    def _card_for(self, name: str | None, model: str, path: KeyPath) -> ModelCard:
        """The card that was asked for, else the model's own, else one that knows nothing but the name."""
        found = self._card(name or model)
        if found is None and name is not None:
            known = {*self._cards, *(row.name for row in catalog.card_rows())}
            raise self._source.error(f"There is no model card {name!r}.", (*path, "card"), hint=did_you_mean(name, known))
        return found or ModelCard(name=model)

    def _operations(self, written: DeploymentTable, row: ProviderRow, card: ModelCard, path: KeyPath) -> ModelCard:
        """The card with what this deployment is asked for. What its provider has no protocol for is an error."""
        wanted = card.operations if written.operations is None else written.operations
        able = {dialect.operation for dialect in row.dialects}
        if not wanted <= able:
            missing = ", ".join(sorted(wanted - able))
            raise self._source.error(
                f"Deployment {written.id!r} is for {missing}, and provider {row.name!r} has no protocol for it.",
                (*path, "operations"),
                hint=f"{row.name} does {', '.join(sorted(able))}. Set operations, or choose another provider.",
            )
        return structs.replace(card, operations=wanted, embedding_space=written.embedding_space or card.embedding_space)

    def _price(self, written: DeploymentTable, row: ProviderRow, tier: Tier, place: Place, *, listed: bool) -> Price | None:
        if written.price is not None:
            return price_of(written.price, "configuration")
        if own := self._prices.get((written.provider, written.model)):
            return own
        if listed and (price := catalog.price(row.prices, written.model)):
            return price
        return FREE if tier is Tier.SELF_HOSTED and place != "elsewhere" else None

    # -- credentials

    def _add_credentials(
        self, written: DeploymentTable, row: ProviderRow, region: str | None, path: KeyPath, *, at_home: bool
    ) -> None:
        wallet = Wallet(self._env, self._source.folder, region)
        where: KeyPath = (*path, "api_key")
        found: list[Credential] = []
        try:
            if written.api_key is not None:
                found.append(wallet.key(written.api_key))
            for number, reference in enumerate(written.api_keys):
                where = (*path, "api_keys", number)
                found.append(wallet.key(reference))
            for number, table in enumerate(written.credentials):
                where = (*path, "credentials", number)
                found.append(wallet.credential(table))
                self._check_fit(found[-1], row, where)
            if not found and at_home and row.auth != "none" and row.key_env:
                found.append(wallet.key(f"env:{row.key_env}"))
        except BadReference as bad:
            raise self._source.error(f"Deployment {written.id!r} has no key: {bad.message}.", where, hint=bad.hint) from None
        if not found and row.auth == "google":
            raise self._source.error(
                f"Deployment {written.id!r} has no credential.",
                (*path, "credentials"),
                hint='Add credentials = [{ google_service_account = "file:key.json" }].',
            )
        if found:
            self.credentials[written.id] = tuple(found)

    def _check_fit(self, credential: Credential, row: ProviderRow, path: KeyPath) -> None:
        if isinstance(credential, ApiKey):
            return
        fitting, sentence = _SIGNS_IN[type(credential)]
        if row.auth not in fitting:
            raise self._source.error(
                f"Provider {row.name!r} does not take this credential: {sentence}.", path, hint='Give it an api_key = "env:...".'
            )

    # -- those that nobody wrote as a deployment

    def add_local(self, written: LocalTable, path: KeyPath) -> LocalModel:
        row = next((row for row in catalog.weights() if row.name == written.weights), None)
        if row is None and not written.weights.endswith(".gguf"):
            hint = did_you_mean(written.weights, [row.name for row in catalog.weights()]) + " A path ends with .gguf."
            raise self._source.error(f"There are no weights {written.weights!r}.", (*path, "weights"), hint=hint)
        card = self._card_for(written.card or (row.card if row else None), written.id, path)
        self._keep(
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
                zone=ZONE_AT["loopback"],
                base_url="",
                price=FREE,
                reserve=bool(row and row.reserve) if written.reserve is None else written.reserve,
                certified_for=written.certified_for,
            ),
            path,
        )
        weights = written.weights if row else str(self._source.folder / Path(written.weights).expanduser())
        return LocalModel(id=written.id, weights=weights, context=written.context, threads=written.threads)

    def add_starters(self) -> None:
        """The shipped deployments of each provider whose key is in the environment and that has none yet."""
        taken = {deployment.provider for deployment in self.found.values()}
        for starter in catalog.starters():
            id = f"{starter.provider}/{starter.card}"
            if starter.provider in taken or id in self.found or not self._env.get(starter.key_env, "").strip():
                continue
            written = DeploymentTable(id=id, model=starter.model, provider=starter.provider, card=starter.card, tier=starter.tier)
            self.add(written, ("starters",))
