"""``model_list``: each entry becomes a deployment that answers to the name of its group, or a note that says why it does not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from trimtab import catalog
from trimtab.catalog import ProviderRow
from trimtab.config.address import fault_of, place_of
from trimtab.config.importing.litellm.clouds import azure, bedrock, vertex
from trimtab.config.importing.litellm.document import Section
from trimtab.config.importing.litellm.draft import COMPATIBLE, Draft, NotCarriedError, is_no_key, our_address
from trimtab.config.importing.litellm.knowledge import Prefix, first_match, knowledge, note_left, prefixes
from trimtab.config.importing.toml import Value
from trimtab.core.catalog import Tier
from trimtab.core.decision import Wish
from trimtab.core.messages import Operation

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._:/@-]+")
_CLOUDS = {"azure": azure, "bedrock": bedrock, "vertex": vertex}
_PRICES = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
}
_ANSWER_SECONDS = 600.0
_LONGEST_SECONDS = 86_400.0


class Groups(Struct, frozen=True, kw_only=True):
    """What the settings say of model groups. ``fallbacks`` maps a group to those that stand in for it; ``*`` is any group."""

    aliases: Mapping[str, Sequence[str]]
    fallbacks: Mapping[str, Sequence[str]]
    timeout: float | None = None
    stream_timeout: float | None = None

    def names(self, group: str) -> list[str]:
        return sorted({group, *self.aliases.get(group, ())} - set(Wish))

    def stands_in_for(self, group: str) -> list[str]:
        """Names of other groups for which ``group`` is tried."""
        helped = {one for one, others in self.fallbacks.items() if group in others and one not in ("*", group)}
        return sorted({name for one in helped for name in self.names(one)} - set(self.names(group)))


def add_models(document: Section, draft: Draft, groups: Groups) -> None:
    entries = list(document.rows("model_list"))
    credentials = _credentials(document)
    sizes: dict[str, int] = {}
    for entry in entries:
        sizes[str(entry.value("model_name"))] = sizes.get(str(entry.value("model_name")), 0) + 1
    ids = _Ids({name for group in sizes for name in groups.names(group)} | set(Wish))
    for entry in entries:
        params = entry.section("litellm_params")
        named = params.text("litellm_credential_name")
        if named is not None:
            params = Section(params.values, params.path, params.account, credentials.get(named))
            if named in credentials:
                params.carry("deployment.api_key", "litellm_credential_name")
            else:
                params.note(
                    "litellm_credential_name", "act", "credential_list has no such credential.", "Give the deployment an api_key."
                )
        try:
            draft.deployments.append(
                _deployment(entry, params, draft, groups, ids, alone=sizes.get(str(entry.value("model_name"))) == 1)
            )
        except NotCarriedError as error:
            draft.account.drop(entry.path, error.severity, error.what, error.next)
            continue
        note_left(params, "litellm_params")
        note_left(entry.section("model_info"), "model_info")
        note_left(entry, "model_list")
    for values in credentials.values():
        for key in values:
            if not draft.account.knows((*values.path, key)):
                values.note(key, "left", "No deployment that was carried needs it.", "Nothing.")


def _credentials(document: Section) -> dict[str, Section]:
    found = {}
    for row in document.rows("credential_list"):
        name = row.text("credential_name")
        row.carry("deployment.api_key", "credential_name")
        note_left(row, "credential_list")
        if name is not None:
            found[name] = row.section("credential_values")
    return found


class _Ids:
    """Gives each deployment an id of its own. A group's name is the id of its only deployment, and of no other."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._taken: set[str] = set()

    def give(self, group: str, provider: str, said: str | None, *, alone: bool) -> str:
        if said is not None and _ID.fullmatch(said) and said not in self._taken | self._names:
            found = said
        elif alone and _ID.fullmatch(group) and group not in self._taken and group not in set(Wish):
            found = group
        else:
            stem = _NOT_IN_ID.sub("-", f"{group}/{provider}").lstrip("-._:/@")[:110] or "deployment"
            found, number = stem, 1
            while found in self._taken | self._names:
                number += 1
                found = f"{stem}-{number}"
        self._taken.add(found)
        return found


def _deployment(entry: Section, params: Section, draft: Draft, groups: Groups, ids: _Ids, *, alone: bool) -> dict[str, Value]:
    group, full = entry.text("model_name"), params.text("model")
    if group is None or full is None:
        raise NotCarriedError("act", "It has no model_name, or no litellm_params.model.", "Add it and import again.")
    if "*" in group or "*" in full:
        raise NotCarriedError(
            "act",
            "A wildcard lets clients ask for any model of a provider; here each model is a deployment that has been written down.",
            "Add a [[deployment]] for each model that is used.",
        )
    prefix, model = _provider_of(params, full)
    info = entry.section("model_info")
    id = ids.give(group, prefix.provider, info.text("id"), alone=alone)
    info.carry("deployment.id", "id")
    row: dict[str, Value] = {"id": id, "names": groups.names(group) or [id], "provider": prefix.provider, "model": model}
    if group in set(Wish):
        entry.note("model_name", "act", "It is a wish here: Trimtab chooses among all deployments.", f"Let clients ask for {id}.")
    entry.carry("deployment.names", "model_name")
    params.carry("deployment.provider", "custom_llm_provider")
    params.carry("deployment.model", "model")
    address = _address(draft, params, prefix)
    if address is not None:
        row["base_url"] = address
        params.carry("deployment.base_url", "api_base", "base_url")
    if (special := _CLOUDS.get(prefix.provider)) is not None:
        special(draft, params, model, row)
    elif prefix.elsewhere and address is not None:
        row["provider"] = draft.provider(COMPATIBLE)
    _settle_address(params, row)
    _key(draft, params, prefix, row)
    _facts(draft, params, info, row)
    if others := groups.stands_in_for(group):
        row["stands_in_for"] = others
    _timeouts(params, groups, row)
    return row


def _provider_of(params: Section, full: str) -> tuple[Prefix, str]:
    """LiteLLM's provider and the model's name behind it."""
    named = params.text("custom_llm_provider")
    head, slash, rest = full.partition("/")
    if named is not None:
        head, rest = named, full.removeprefix(f"{named}/")
    elif not slash or head not in prefixes():
        guessed = None if slash else first_match(knowledge().bare, full)
        head, rest = (guessed, full) if guessed else (head if slash else "", rest or full)
    if not rest:
        raise NotCarriedError("act", "Its model has no name.", "Correct litellm_params.model and import again.")
    found = prefixes().get(head)
    if found is None:
        raise NotCarriedError(
            "act",
            "Trimtab does not know this provider of LiteLLM's.",
            "If it speaks OpenAI's protocol, add a [[provider]] with its base_url and a [[deployment]].",
        )
    if head == "openrouter" and "/" not in rest:
        rest = f"openrouter/{rest}"
    if head == "fireworks_ai" and not rest.startswith("accounts/"):
        rest = f"accounts/fireworks/models/{rest}"
    if head == "huggingface" and rest.count("/") == 2:
        route, _, rest = rest.partition("/")
        rest = f"{rest}:{route}"
    return found, rest


def _address(draft: Draft, params: Section, prefix: Prefix) -> str | None:
    """The deployment's own address, or ``None`` where it is the provider's."""
    own = catalog.providers()[prefix.provider].base_url.rstrip("/")
    said = next((key for key in ("api_base", "base_url", "aws_bedrock_runtime_endpoint") if key in params), None)
    if said is None and prefix.unlisted:
        raise NotCarriedError("act", "Its address is not known here.", "Add its api_base and import again.")
    if said is None:
        return None
    url = params.text(said)
    if url is None:
        raise NotCarriedError("act", "Its address is not known.", f"Say {said} and import again.")
    found = our_address(url, prefix.base)
    params.carry("deployment.base_url", said)
    return None if found == own else found


def _settle_address(params: Section, row: dict[str, Value]) -> None:
    url = str(row.get("base_url", ""))
    if not url or fault_of(url, insecure=False) is None:
        return
    if (fault := fault_of(url, insecure=True)) is not None:
        raise NotCarriedError("act", f"Its address cannot be used. {fault[0]}", fault[1])
    row["insecure"] = True
    params.note(
        "api_base" if "api_base" in params else "base_url",
        "act",
        "Requests and key go there over plain http, to a name that may be anybody's. It was carried with insecure = true.",
        "Use https, or make sure that the way there is yours; for a model of your own also say its zone.",
    )


def _key(draft: Draft, params: Section, prefix: Prefix, row: dict[str, Value]) -> None:
    shipped = _provider_row(row)
    params.carry("deployment.api_key", "api_key")
    if "credentials" in row:
        return
    value = params.value("api_key")
    if value is not None and not (is_no_key(value) and not shipped.key_env):
        row["api_key"] = draft.reference(params, "api_key", f"{row['id']}_API_KEY")
        return
    usual = next((name for name in prefix.keys if draft.account.env.get(name)), prefix.keys[0] if prefix.keys else "")
    at_home = "base_url" not in row or not (shipped.base_url or shipped is COMPATIBLE)
    if at_home and shipped.key_env:
        row["api_key"] = f"env:{usual}"
    elif usual and not at_home and shipped.tier is not Tier.SELF_HOSTED:
        params.note(
            "api_base",
            "differs",
            f"LiteLLM would send the key in {usual} to this address. Here a key goes only to the address it belongs to.",
            f'If it is meant for it, add api_key = "env:{usual}" to the deployment.',
        )


def _provider_row(row: Mapping[str, Value]) -> ProviderRow:
    """The shipped row behind the deployment's provider: rows of the made file are copies of one."""
    name = str(row["provider"])
    if name == COMPATIBLE.name:
        return COMPATIBLE
    return catalog.providers().get(name) or catalog.providers()["azure"]


def _facts(draft: Draft, params: Section, info: Section, row: dict[str, Value]) -> None:
    """Operation, card, price and region."""
    shipped, model = _provider_row(row), str(row["model"])
    base = info.text("base_model")
    if base is not None and (card := catalog.card(base) or catalog.card(base.rpartition("/")[2])) is not None:
        row["card"] = card.name
        info.carry("deployment.card", "base_model")
    card = catalog.card(str(row.get("card", model)))
    operations = _operations(info, base or model, frozenset() if card is None else card.operations)
    if not operations <= {dialect.operation for dialect in shipped.dialects}:
        raise NotCarriedError(
            "act",
            f"Provider {shipped.name} is not asked for {', '.join(sorted(operations))} here.",
            "Deploy it at another provider.",
        )
    if operations != (frozenset({Operation.CHAT}) if card is None else card.operations):
        row["operations"] = sorted(operations)
    if base is not None and Operation.EMBEDDINGS in operations:
        row["embedding_space"] = base
        info.carry("deployment.embedding_space", "base_model")
    if price := _price(params, info):
        row["price"] = price
    region = params.text("region_name")
    if region is not None and "region" not in row:
        row["region"] = region
        params.carry("deployment.region", "region_name")
    url = str(row.get("base_url", ""))
    if shipped.name == COMPATIBLE.name and place_of(url) != "elsewhere":
        params.note(
            "api_base",
            "act",
            "A server at home may pass requests on to somebody else, so nothing sensitive is sent there.",
            'If the model runs there, say tier = "self_hosted": it is then in a zone of its own and free of charge.',
        )


def _operations(info: Section, model: str, known: frozenset[Operation]) -> frozenset[Operation]:
    """What is asked of it: by its mode, else its card (``known``), else its name, else chat."""
    mode = info.text("mode")
    info.carry("deployment.operations", "mode")
    if mode is None and known:
        return known
    guessed = first_match(knowledge().guesses, model.rpartition("/")[2])
    found = knowledge().modes.get(mode) if mode is not None else "chat" if guessed is None else guessed
    if not found:
        raise NotCarriedError("left", "Trimtab has no door for what this model does.", "Let those clients ask the provider itself.")
    return frozenset({Operation(found)})


def _price(params: Section, info: Section) -> dict[str, float]:
    """USD per million tokens. LiteLLM counts what is not said as nothing; so does this, where one of both is said."""
    found: dict[str, float] = {}
    for name, key in _PRICES.items():
        where = params if key in params else info
        number = where.number(key)
        if number is None:
            continue
        dollars = float(Decimal(repr(number)) * 1_000_000)
        if 0 <= dollars <= 1_000_000:
            found[name] = dollars
            where.carry(f"deployment.price.{name}", key)
        else:
            where.note(key, "act", "This is no price per token.", "Correct it and import again.")
    if found.keys() & {"input", "output"}:
        return {"input": 0.0, "output": 0.0} | found
    for key in (_PRICES[name] for name in found):
        (params if key in params else info).note(key, "differs", "A price here begins with that of input and output.", "Give both.")
    return {}


def _timeouts(params: Section, groups: Groups, row: dict[str, Value]) -> None:
    """LiteLLM waits as long for the first token as for the whole, and its limit for streams holds between two pieces."""
    total, idle = params.number("timeout"), params.number("stream_timeout")
    params.carry("deployment.timeouts", "timeout", "stream_timeout")
    total = total or groups.timeout or _ANSWER_SECONDS
    idle = idle or groups.stream_timeout
    seconds = {"first_token": total, "total": total} | ({} if idle is None else {"idle": idle})
    for key in ("timeout", "stream_timeout"):
        if (number := params.number(key)) is not None and not 0 < number <= _LONGEST_SECONDS:
            params.note(key, "differs", "Nobody waits so long here.", "Say a time of up to a day.")
    row["timeouts"] = {name: min(value, _LONGEST_SECONDS) for name, value in seconds.items() if value > 0}


def key_variables(deployments: Sequence[Mapping[str, Value]]) -> list[str]:
    """The environment variables that ``deployments`` name, sorted."""
    found = set()
    for row in deployments:
        credentials = row.get("credentials", ())
        tables = [one for one in credentials if isinstance(one, Mapping)] if isinstance(credentials, Sequence) else []
        for value in (row.get("api_key"), *(value for one in tables for value in one.values())):
            if isinstance(value, str) and value.startswith("env:"):
                found.add(value.removeprefix("env:"))
    return sorted(found)
