"""A YAML text as a tree of plain values, and one table of it as the import reads it. Bounded: an alias can make a small file large.

PyYAML is the optional extra ``import``: nothing but this needs it, and a gateway that serves should not carry a parser that it never
calls. LiteLLM itself reads its files with PyYAML's safe loader, so a value means here what it means there.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator

import msgspec

from trimtab.config.importing.account import Account, Severity
from trimtab.config.source import KeyPath
from trimtab.core.errors import ConfigError

MOST_BYTES = 4 << 20
MOST_VALUES = 100_000
_DEEPEST = 50
_LINE = re.compile(r"line (\d+), column \d+")
_ENVIRONMENT = "os.environ/"


def read_yaml(text: str, name: str) -> dict[str, object]:
    """The document. Raises :class:`ConfigError`, which holds nothing of the text."""
    if len(text) > MOST_BYTES:
        raise ConfigError(f"The file is longer than {MOST_BYTES >> 20} MiB.", file=name, hint="Is it a LiteLLM configuration?")
    try:
        raw: object = msgspec.yaml.decode(text, type=object)
    except ImportError:
        raise ConfigError("Reading YAML takes PyYAML, which is not installed.", hint="Run: pip install 'trimtab[import]'") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        found = _LINE.findall(str(error))  # and nothing more of it: the parser's message quotes the text
        line = int(found[-1]) if found else None
        raise ConfigError("Not valid YAML.", file=name, line=line, hint="Check indentation, brackets and quotes there.") from None
    document = _Plain(name).value(raw, 0)
    if not isinstance(document, dict) or not document:
        raise ConfigError("No LiteLLM configuration: the file is no table.", file=name, hint="It should hold `model_list:`.")
    return document


class _Plain:
    """Copies a parsed document into strings, numbers, lists and tables with names, and counts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen = 0

    def value(self, raw: object, depth: int) -> object:
        self._seen += 1
        if self._seen > MOST_VALUES or depth > _DEEPEST:
            raise ConfigError(
                "The file holds too many values, or too deep ones.", file=self._name, hint="Write aliases out, or split the file."
            )
        match raw:
            case dict():
                return {_whole(str(key)): self.value(item, depth + 1) for key, item in raw.items()}
            case list() | tuple() | set():
                return [self.value(item, depth + 1) for item in raw]
            case datetime.date():
                return raw.isoformat()  # an api_version without quotes
            case None | bool() | int() | float():
                return raw
            case _:
                return _whole(str(raw))


def _whole(text: str) -> str:
    """Halves of characters, as escapes in quotes can write them, put together; one without its other half is replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Section:
    """One table of the document: reads its keys, and says to the account what became of each.

    What it lacks is looked up in the table ``behind`` it, and told of there.
    """

    def __init__(self, value: object, path: KeyPath, account: Account, behind: Section | None = None) -> None:
        self.values: dict[str, object] = value if isinstance(value, dict) else {}
        self.path = path
        self.account = account
        self._behind = behind

    def __contains__(self, key: str) -> bool:
        return self.value(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def section(self, key: str) -> Section:
        return Section(self.values.get(key), (*self.path, key), self.account)

    def value(self, key: str) -> object:
        return self._home(key).values.get(key)

    def carry(self, target: str, *keys: str) -> None:
        """``keys``, where they stand here, are said by ``target``."""
        for key in keys:
            if key in self._home(key).values:
                self.account.carry((*self._home(key).path, key), target)

    def note(self, key: str, severity: Severity, what: str, next: str) -> None:
        self.account.note((*self._home(key).path, key), severity, what, next)

    def _home(self, key: str) -> Section:
        return self if self._behind is None or self.values.get(key) is not None else self._behind

    def text(self, key: str) -> str | None:
        """A text that is no secret, looked up where it is a reference; ``None`` where there is none, which is noted if there should be."""
        value = self.value(key)
        if isinstance(value, bool | int | float):
            return str(value)
        if not isinstance(value, str):
            if value is not None:
                self.note(key, "act", "This should be a text.", "Correct it and import again.")
            return None
        if (name := variable(value)) is None:
            return value.strip() or None
        found = self.account.env.get(name, "").strip()
        if not found:
            self.note(key, "act", f"It stands in the variable {name}, which is not set.", f"Set {name} and import again.")
        return found or None

    def number(self, key: str) -> float | None:
        """A finite number, also one that is written as a text: YAML reads ``1e-6`` as one, and LiteLLM reads it as a number."""
        value = self.value(key)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(self.text(key) or "nan")
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
        self.note(key, "act", "This should be a number.", "Correct it and import again.")
        return None

    def rows(self, key: str) -> Iterator[Section]:
        """The tables of a list, each by its place. What is no table is noted."""
        value = self.values.get(key)
        for number, item in enumerate(value if isinstance(value, list) else []):
            row = Section(item, (*self.path, key, number), self.account)
            if isinstance(item, dict):
                yield row
            else:
                self.account.note(row.path, "act", "This should be a table.", "Correct it and import again.")


def variable(value: object) -> str | None:
    """The name of the environment variable that a value refers to in LiteLLM's way."""
    if isinstance(value, str) and value.startswith(_ENVIRONMENT):
        return value.removeprefix(_ENVIRONMENT).strip() or None
    return None
