"""What a rule asks to be written: an entity put or removed. Who asked, when, and on which revision is the book's to add."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from trimtab.core.accounts import Entity


class Edit(Struct, frozen=True):
    action: Literal["put", "remove"]
    entity: Entity


def put(*entities: Entity) -> tuple[Edit, ...]:
    return tuple(Edit("put", entity) for entity in entities)


def remove(*entities: Entity) -> tuple[Edit, ...]:
    return tuple(Edit("remove", entity) for entity in entities)
