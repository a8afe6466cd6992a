"""Who may what, at rest: the directory of places, people, keys, grants and budgets, and the changes that made it.

The store knows nothing of rights. It sees to it that a change is judged on the directory as it stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from trimtab.core.accounts import Change, Entity


class Accounts(Protocol):
    """The directory is what the changes say, one after the other; its revision counts the calls that changed it."""

    async def change(self, *changes: Change) -> int:
        """Apply all of them, in order, in one transaction, each a row in the writer's chain. Gives the directory's new revision.

        Raises :class:`trimtab.core.errors.Conflict` when the directory is not at the changes' ``basis`` any more, or when what is to be
        removed is not there, and :class:`LedgerError` when a row cannot be kept. Nothing is kept then.
        """

    async def directory(self) -> tuple[int, tuple[Entity, ...]]:
        """The revision and every entity, in order of kind and id."""

    async def revision(self) -> int:
        """Cheap enough to be asked every second by every process."""

    def changes(self, *, after: str = "", limit: int = 1000) -> AsyncIterator[Change]:
        """The audit: at most ``limit`` changes in order of id, from the first id greater than ``after``."""
