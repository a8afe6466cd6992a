"""What an import makes, while it is being made: rows of providers and deployments, and references in place of keys."""

from __future__ import annotations

import re

import msgspec
from msgspec import structs

from trimtab.catalog import ProviderRow
from trimtab.config.importing.account import Account, Severity
from trimtab.config.importing.litellm.document import Section, variable
from trimtab.config.importing.toml import Table, Value
from trimtab.core.messages import Dialect

COMPATIBLE = ProviderRow(name="openai-compatible", also=(Dialect.OPENAI_EMBEDDINGS,))
"""A server of which nothing is known but that it speaks OpenAI's protocol. It is in the outermost zone: an address does not tell whose."""

_API = re.compile(r"/(openai|v\d+(beta\d?)?)(/.*)?$")
_CALL = re.compile(r"/(chat/completions|completions|embeddings|responses|messages)$")

_NO_KEYS = frozenset({"", "none", "empty", "dummy", "fake", "fake-key", "no-key", "not-needed", "anything", "sk-none", "null"})


class NotCarriedError(Exception):
    """This deployment cannot be carried at all."""

    def __init__(self, severity: Severity, what: str, next: str) -> None:
        super().__init__(what)
        self.severity = severity
        self.what = what
        self.next = next


class Draft:
    """``providers`` by name. ``variables`` are those that stand for keys that were written out in the file."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.providers: dict[str, Table] = {}
        self.deployments: list[dict[str, Value]] = []
        self.variables: dict[str, str] = {}

    def provider(self, row: ProviderRow) -> str:
        """A row of the made file; its name."""
        self.providers.setdefault(row.name, _as_table(row))
        return row.name

    def reference(self, section: Section, key: str, suggested: str) -> str:
        """``env:NAME`` for the secret at ``key``. One that is written out is left where it is, and gets a variable's name."""
        value = section.value(key)
        if (name := variable(value)) is not None:
            return f"env:{name}"
        found = self.variables.get(str(value))
        if found is None:
            taken = set(self.variables.values())
            stem = re.sub(r"[^A-Z0-9]+", "_", suggested.upper()).strip("_") or "KEY"
            stem = f"KEY_{stem}" if stem[0].isdigit() else stem
            found = next(name for name in _numbered(stem) if name not in taken and name not in self.account.env)
            self.variables[str(value)] = found
        section.note(
            key, "act", "A secret stands here. It was not copied: the made file names a variable.", f"Put it into {found}."
        )
        return f"env:{found}"


def our_address(url: str, how: str) -> str:
    """LiteLLM's ``api_base`` as our ``base_url``; see ``base`` in ``litellm.toml``."""
    url = url.split("?")[0].split("#")[0].rstrip("/")
    if how == "root":
        return _API.sub("", url)
    url = _CALL.sub("", url)
    return url if how == "same" or _API.search(url) else f"{url}/v1"


def is_no_key(value: object) -> bool:
    """Words that people write where a server wants no key but a client wants one."""
    return isinstance(value, str) and value.strip().lower() in _NO_KEYS


def _numbered(stem: str) -> list[str]:
    return [stem, *(f"{stem}_{number}" for number in range(2, 10_000))]


def _as_table(row: ProviderRow) -> Table:
    """``row`` without what is default anyway, and without where it was read: this one is the operator's."""
    plain = ProviderRow(name=row.name, source=row.source, as_of=row.as_of)
    given = {name: value for name, value in structs.asdict(row).items() if name == "name" or value != getattr(plain, name)}
    table: dict[str, Value] = msgspec.to_builtins(given)
    return table
