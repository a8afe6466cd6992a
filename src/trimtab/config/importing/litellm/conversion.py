"""A LiteLLM configuration as a Trimtab configuration, with an account of what was carried and what was not.

Pure: text and environment in, text and notes out. What it makes has been read by our own loader.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from trimtab.config.importing.account import Account, Carried, Note
from trimtab.config.importing.litellm.document import Section, read_yaml, variable
from trimtab.config.importing.litellm.draft import Draft
from trimtab.config.importing.litellm.models import add_models, key_variables
from trimtab.config.importing.litellm.settings import Settings, read_settings
from trimtab.config.importing.toml import Value, table, tables
from trimtab.config.resolve import Resolver
from trimtab.config.source import Source

_HEAD = """\
# Made from a LiteLLM configuration by `trimtab import litellm`.
# Keys stand in environment variables, and the key of this gateway's clients is TRIMTAB_API_KEY.

"""

_BOUNDARY = """\
# What is found sensitive reaches only zones that may see it; LiteLLM sends everything everywhere. These are the defaults: a request with
# personal data, a key or a card number is refused where no deployment of yours is at home. Loosen what your contracts allow.
# [boundary]
# personal = "on_prem"
# secret = "on_prem"

"""


class Converted(Struct, frozen=True, kw_only=True):
    """``toml`` is sound. ``variables`` are the environment variables that it names."""

    toml: str
    carried: tuple[Carried, ...]
    notes: tuple[Note, ...]
    variables: tuple[str, ...]


def convert(text: str, env: Mapping[str, str] | None = None, name: str = "config.yaml") -> Converted:
    """The configuration in ``text``, YAML as LiteLLM reads it. Raises :class:`ConfigError` where it is none.

    ``env`` is where addresses and other values that are no secrets are looked up when ``text`` refers to them. Secrets are never read.
    """
    document = read_yaml(text, name)
    account = Account(ChainMap(_variables(document), dict(env or {})), _groups(document))
    top = Section(document, (), account)
    settings = read_settings(top)
    draft = Draft(account)
    add_models(top, draft, settings.groups)
    account.sweep(document)
    made = _write(draft, settings, draft.deployments)
    Resolver(
        Source(name, _write(draft, settings, [_without_files(row) for row in draft.deployments]), Path()), _Anything()
    ).resolve(local=False)
    return Converted(toml=made, carried=account.carried, notes=account.notes, variables=tuple(key_variables(draft.deployments)))


def _variables(document: Mapping[str, object]) -> dict[str, str]:
    """``environment_variables`` that are written out: LiteLLM sets them before it reads the rest."""
    found = document.get("environment_variables")
    return (
        {key: str(value) for key, value in found.items() if value is not None and variable(value) is None}
        if isinstance(found, dict)
        else {}
    )


def _groups(document: Mapping[str, object]) -> frozenset[str]:
    entries = document.get("model_list")
    names = [entry.get("model_name") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return frozenset(str(name).strip() for name in names if isinstance(name, str | int | float))


def _write(draft: Draft, settings: Settings, deployments: list[dict[str, Value]]) -> str:
    return (
        _HEAD
        + table("server", settings.server)
        + table("routing", settings.routing)
        + table("budget", settings.budget)
        + _BOUNDARY
        + tables("provider", list(draft.providers.values()))
        + tables("deployment", deployments)
    ).rstrip("\n") + "\n"


def _without_files(row: dict[str, Value]) -> dict[str, Value]:
    """``row`` as it can be checked without the disk: a file of credentials may be on another machine than this."""
    found = row.get("credentials")
    if not isinstance(found, list):
        return row
    tables = [{key: "env:X" if str(value).startswith("file:") else value for key, value in one.items()} for one in found]
    return {**row, "credentials": tables}


class _Anything(Mapping[str, str]):
    """An environment in which every variable is set: whether it is, is to be seen where the gateway starts."""

    def __getitem__(self, name: str) -> str:
        return "set"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
