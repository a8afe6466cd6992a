"""The account of an import: what was carried, what was not and why, and that nothing was passed over in silence.

It knows nothing of what the keys mean. A note never holds a value of the file: a value may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from trimtab.config.source import KeyPath, dotted

Severity = Literal["act", "differs", "left"]
"""Something has to be done; it works otherwise here; nothing takes its place and nothing is lost by it."""

_ORDER: Mapping[Severity, int] = {"act": 0, "differs": 1, "left": 2}


class Note(Struct, frozen=True):
    """What stands at ``path`` was not carried as it was. ``what`` says why, ``next`` what to do."""

    path: str
    severity: Severity
    what: str
    next: str


class Carried(Struct, frozen=True):
    """What stands at ``path`` is said by ``key`` of the made file."""

    path: str
    key: str


class Account:
    """Gathers both. ``env`` is where values that are no secrets are looked up, ``groups`` the names that clients ask for."""

    def __init__(self, env: Mapping[str, str], groups: frozenset[str] = frozenset()) -> None:
        self.env = env
        self.groups = groups
        self._carried: dict[tuple[KeyPath, str], Carried] = {}
        self._notes: dict[tuple[KeyPath, str], Note] = {}
        self._covered: set[KeyPath] = set()
        self._around: set[KeyPath] = set()

    def carry(self, path: KeyPath, key: str) -> None:
        self._cover(path)
        self._carried.setdefault((path, key), Carried(dotted(path), key))

    def note(self, path: KeyPath, severity: Severity, what: str, next: str) -> None:
        self._cover(path)
        self._notes.setdefault((path, what), Note(dotted(path), severity, what, next))

    def drop(self, path: KeyPath, severity: Severity, what: str, next: str) -> None:
        """Note that all of ``path`` was given up, whatever had been carried of it by then."""
        self._carried = {key: row for key, row in self._carried.items() if key[0][: len(path)] != path}
        self.note(path, severity, what, next)

    def knows(self, path: KeyPath) -> bool:
        """Has anything been said of ``path``, or of something in it?"""
        return path in self._covered or path in self._around

    def _cover(self, path: KeyPath) -> None:
        self._covered.add(path)
        self._around.update(path[:length] for length in range(len(path)))

    def sweep(self, document: Mapping[str, object]) -> None:
        """Note whatever nobody has spoken for, at the outermost place that holds nothing else. What is empty says nothing."""
        for path in list(self._unspoken(document, ())):
            self.note(path, "act", "A key that this import does not know.", "See whether you need it, and tell us about it.")

    def _unspoken(self, value: object, path: KeyPath) -> Iterator[KeyPath]:
        if path in self._covered or _says_nothing(value):
            return
        if path and path not in self._around:
            yield path
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield from self._unspoken(item, (*path, key))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from self._unspoken(item, (*path, number))

    @property
    def carried(self) -> tuple[Carried, ...]:
        return tuple(self._carried.values())

    @property
    def notes(self) -> tuple[Note, ...]:
        """Those that ask for something first."""
        return tuple(sorted(self._notes.values(), key=lambda note: _ORDER[note.severity]))


def _says_nothing(value: object) -> bool:
    """Is it empty, or does it hold nothing but what is empty?"""
    if isinstance(value, Mapping):
        return all(_says_nothing(item) for item in value.values())
    if isinstance(value, list):
        return all(_says_nothing(item) for item in value)
    return value is None
