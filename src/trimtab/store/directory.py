"""The directory that a list of changes makes. Pure, and shared by all backends; who may change what is no affair of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from trimtab.core.accounts import Change, Entity, key_of
from trimtab.core.errors import Conflict, LedgerError

Name = tuple[str, str]
"""Kind and id."""

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[Entity] = msgspec.json.Decoder(Entity)
_AGAIN = "Read the accounts again, and decide anew."


def entity_body(entity: Entity) -> bytes:
    return _encoder.encode(entity)


def entity_of(body: bytes) -> Entity:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerError("An entry of the accounts cannot be read.", hint="Verify the log: it names the first bad row.") from error


def check_basis(changes: Sequence[Change], revision: int) -> None:
    """Raises :class:`Conflict` for changes that were judged on another directory."""
    if any(change.basis != revision for change in changes):
        raise Conflict(f"The accounts have changed meanwhile: they are at revision {revision}.", hint=_AGAIN)


def removed_unseen(name: Name) -> Conflict:
    kind, id = name
    return Conflict(f"There is no {kind} {id!r} to be removed.", hint=_AGAIN)


def replay(changes: Iterable[Change]) -> tuple[int, Mapping[Name, Entity]]:
    """Revision and entities after all ``changes``, each call's in the order in which it gave them."""
    revision, entities = 0, dict[Name, Entity]()
    for change in sorted(changes, key=lambda change: change.basis):
        revision = change.basis + 1
        if change.action == "put":
            entities[key_of(change.entity)] = change.entity
        else:
            entities.pop(key_of(change.entity), None)
    return revision, entities
