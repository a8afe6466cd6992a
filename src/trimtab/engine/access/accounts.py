"""The book of accounts: the current snapshot, who a presented key is, and the one way in which the accounts change.

It keeps no rules: those are pure and handed in. It knows nothing of how the store keeps what it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from trimtab.core.accounts import (
    ANY_SCOPE,
    ROOT,
    Change,
    Entity,
    Grant,
    Role,
    User,
    VirtualKey,
    address_key,
    holder_of,
)
from trimtab.core.errors import Conflict, Unauthenticated
from trimtab.core.units import Clock
from trimtab.engine.access.actor import Actor, actor_of
from trimtab.engine.access.directory import Directory, LiveKey, build, lately
from trimtab.engine.access.edits import Edit, put
from trimtab.engine.access.keys import digest, same
from trimtab.engine.access.rules import first_admin, signed_in
from trimtab.store import Accounts

T = TypeVar("T")

BOOTSTRAP = "bootstrap-"
_SYSTEM = "system"
_TRIES = 5
_MILLISECOND = 1_000_000
_MANY = 2_000
"""Entities from which on the event loop has others do what looks at all of them: a thousand take some 6 ms."""


class AccountBook:
    """``new_id`` makes an id that sorts by the nanoseconds it is given. Call :meth:`load` before anything else."""

    def __init__(self, store: Accounts, clock: Clock, new_id: Callable[[int], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._stamped = 0
        self._writing = asyncio.Lock()
        self._directory = build(0, ())
        self._named: set[bytes] = set()

    @property
    def directory(self) -> Directory:
        return self._directory

    async def load(self) -> None:
        revision, entities = await self._store.directory()
        self._keep(await _aside(len(entities), partial(self._built, revision, entities)))

    def _built(self, revision: int, entities: Iterable[Entity]) -> Directory:
        return build(revision, lately(entities, self._clock.time_ns(), self._named))

    def _keep(self, directory: Directory) -> None:
        """A slow reader, or writer, may come back after somebody else: what was revoked meanwhile must not open again."""
        if directory.revision >= self._directory.revision:
            self._directory = directory

    async def refresh(self) -> None:
        """See what others have changed. Cheap while nobody has."""
        if await self._store.revision() != self._directory.revision:
            await self.load()

    def new_id(self) -> str:
        """Ids of one book sort in the order in which it made them, within a millisecond too."""
        self._stamped = max(self._clock.time_ns(), self._stamped + _MILLISECOND)
        return self._new_id(self._stamped)

    def authenticate(self, presented: str | None) -> LiveKey:
        """Whose key it is, or :class:`Unauthenticated`."""
        if not presented:
            raise Unauthenticated(
                "No API key was sent.",
                hint="Send 'Authorization: Bearer tt-...' (or 'x-api-key: tt-...'); 'trimtab up' prints the key.",
            )
        offered = digest(presented)
        held = self._directory.by_digest.get(offered)
        if held is None or not same(held.key.digest, offered):
            raise Unauthenticated("That API key is not known here.", hint="'trimtab up' prints the key that this gateway takes.")
        if held.opens(self._clock.time_ns()):
            return held
        barred = self._directory.barred(holder_of(held.key), self._clock.time_ns())
        raise Unauthenticated(
            f"That API key opens nothing any more: {barred}.", hint="Ask whoever runs this gateway for another key."
        )

    def actor(self, holder: str) -> Actor:
        """``user:ID`` of a person who has signed in, or ``key:ID`` of a key that was authenticated, as they stand now."""
        return actor_of(self._directory, holder, self._clock.time_ns())

    async def apply(self, actor: Actor, rule: Callable[[Directory, Actor], Sequence[Edit]]) -> tuple[Change, ...]:
        """Check ``rule`` on the newest accounts and write what it returns: all of it or nothing. What was written, in the rule's order.

        ``rule`` may be called again when somebody else changed the accounts meanwhile, with the actor as it stands by then. The snapshot is
        current when this returns. Raises what the rule raises, and :class:`LedgerError` when the store cannot keep it.
        """

        def edited(directory: Directory) -> Sequence[Edit]:
            return rule(directory, actor_of(directory, actor.holder, self._clock.time_ns()))

        return await self._write(actor.holder, edited)

    async def sign_in(self, *, subject: str, email: str, admins: Collection[str] = ()) -> User:
        """The user who signed in with that identity; see :func:`rules.signed_in`.

        ``admins`` are addresses, by their :func:`address_key`, of which the first becomes admin: see :func:`rules.first_admin`.
        """
        await self.refresh()
        if address_key(email) in admins:
            id, now_ns = self.new_id(), self._clock.time_ns()
            await self._write(_SYSTEM, lambda directory: first_admin(directory, id=id, subject=subject, email=email, now_ns=now_ns))
        user, _ = signed_in(self._directory, subject=subject, email=email)
        await self._write(holder_of(user), lambda directory: signed_in(directory, subject=subject, email=email)[1])
        return signed_in(self._directory, subject=subject, email=email)[0]

    async def ensure_bootstrap(self, key_digest: bytes, name: str) -> VirtualKey:
        """The key that the operator holds, made if it is new: it reaches everything, and administers the whole installation.

        Of all lines of such keys only the current one opens: earlier ones are revoked, rotated keys included. A key that was revoked or
        has expired stays so, whatever the operator says, since an admin may have had a reason, and then nothing is changed at all: look
        at what is returned, and ask for a new key. Nor is anything for a key that is somebody's virtual key.
        """

        def current(directory: Directory) -> tuple[Edit, ...]:
            now_ns = self._clock.time_ns()
            held = directory.by_digest.get(key_digest)
            if held is not None and not (held.opens(now_ns) and held.key.line.startswith(BOOTSTRAP)):
                return ()
            line = held.key.line if held is not None else ""
            earlier = [
                replace(key, revoked_ns=now_ns)
                for key in directory.all(VirtualKey)
                if key.line.startswith(BOOTSTRAP) and key.line != line and key.revoked_ns is None
            ]
            if held is not None:
                return put(*earlier)
            id = BOOTSTRAP + self.new_id()  # and nothing of the digest, by which a short key could be found
            key = VirtualKey(id=id, digest=key_digest, place=ROOT, name=name, scope=ANY_SCOPE, created_ns=now_ns)
            grant = Grant(id=f"{id}.0", holder=holder_of(key), role=Role.ADMIN, place=ROOT, created_ns=now_ns)
            return put(key, grant, *earlier)

        self._named.add(key_digest)  # however long ago it ended, it must not come back by being named again
        await self.load()
        await self._write(_SYSTEM, current)
        return self._directory.by_digest[key_digest].key

    def audit(self, *, after: str = "", limit: int = 1000) -> AsyncIterator[Change]:
        """Every change there was, from the first whose id is greater than ``after``."""
        return self._store.changes(after=after, limit=limit)

    async def _write(self, who: str, edited: Callable[[Directory], Sequence[Edit]]) -> tuple[Change, ...]:
        async with self._writing:
            for _ in range(_TRIES):
                await self.refresh()
                basis = self._directory
                edits = await _aside(len(basis.entities), partial(edited, basis))
                if not edits:
                    return ()
                changes = self._changes(who, basis.revision, edits)
                try:
                    revision = await self._store.change(*changes)
                except Conflict:
                    continue  # somebody was quicker: look again
                # Nobody came in between, or the store would have refused: what is current is known without reading it.
                self._keep(await _aside(len(basis.entities), partial(self._built, revision, basis.edited(edits))))
                return changes
        raise Conflict(f"The accounts were changed by others {_TRIES} times in a row.", hint="Try again in a moment.")

    def _changes(self, who: str, basis: int, edits: Sequence[Edit]) -> tuple[Change, ...]:
        return tuple(
            Change(id=self.new_id(), at_ns=self._clock.time_ns(), actor=who, action=edit.action, entity=edit.entity, basis=basis)
            for edit in edits
        )


async def _aside(entities: int, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if entities > _MANY else work()
