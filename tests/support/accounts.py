"""The store's side of the accounts, as little as will do: a list of changes, and what they make of each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from trimtab.core.accounts import Change, Entity, key_of
from trimtab.core.errors import Conflict

T = TypeVar("T")


class ListedAccounts:
    """``meanwhile`` is called right before a change is looked at: what another process could do."""

    def __init__(self) -> None:
        self.log: list[Change] = []
        self.entities: dict[tuple[str, str], Entity] = {}
        self.reads = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self._revision = 0

    async def change(self, *changes: Change) -> int:
        self.meanwhile()
        return self.keep(*changes)

    def keep(self, *changes: Change) -> int:
        if any(change.basis != self._revision for change in changes):
            raise Conflict("The accounts have changed meanwhile.")
        for change in changes:
            if change.action == "put":
                self.entities[key_of(change.entity)] = change.entity
            else:
                del self.entities[key_of(change.entity)]
        self.log += changes
        self._revision += 1
        return self._revision

    async def directory(self) -> tuple[int, tuple[Entity, ...]]:
        self.reads += 1
        return self._revision, tuple(self.entities[key] for key in sorted(self.entities))

    async def revision(self) -> int:
        return self._revision

    async def changes(self, *, after: str = "", limit: int = 1000) -> AsyncIterator[Change]:
        for change in [change for change in sorted(self.log, key=lambda change: change.id) if change.id > after][:limit]:
            yield change


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of what never has to wait, without an event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        work.close()
    raise AssertionError("it waits for something")
