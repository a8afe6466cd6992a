"""Every key of the configuration file with its type, default and meaning, read off the structs: the reference page cannot lag behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import NODEFAULT, inspect

from trimtab.config.file import FileTable, PricesFileTable


class Entry(NamedTuple):
    """``key`` is dotted, ``[]`` marks the rows of a table that may repeat. ``default`` is JSON, empty where the key is required."""

    key: str
    type: str
    default: str
    meaning: str


def reference() -> tuple[Entry, ...]:
    """All keys of the configuration file, in the order in which they are declared."""
    return tuple(_entries(FileTable, ""))


def prices_reference() -> tuple[Entry, ...]:
    """All keys of a ``prices_file``."""
    return tuple(_entries(PricesFileTable, ""))


def _entries(table: type, prefix: str) -> Iterator[Entry]:
    found = inspect.type_info(table)
    if not isinstance(found, inspect.StructType):
        raise TypeError(f"not a struct: {table!r}")
    for field in found.fields:
        key = f"{prefix}{field.encode_name}"
        shape, meaning = _unwrap(field.type)
        inner, many = _table_in(shape)
        if inner is not None:
            yield from _entries(inner, f"{key}[]." if many else f"{key}.")
        else:
            yield Entry(key, _type_name(shape), _default(field), meaning)


def _unwrap(found: inspect.Type) -> tuple[inspect.Type, str]:
    """The type without its annotations, and the outermost description among them."""
    meaning = ""
    while isinstance(found, inspect.Metadata):
        meaning = meaning or str((found.extra_json_schema or {}).get("description", ""))
        found = found.type
    if not meaning and isinstance(found, inspect.UnionType):
        meaning = next((text for text in (_unwrap(one)[1] for one in found.types) if text), "")
    return found, meaning


def _table_in(found: inspect.Type) -> tuple[type | None, bool]:
    """The struct that ``found`` is, may be, or is a row of; and whether there can be many."""
    found = _unwrap(found)[0]
    if isinstance(found, inspect.StructType):
        return found.cls, False
    if isinstance(found, inspect.UnionType):
        return next((inner for inner, _ in map(_table_in, found.types) if inner is not None), None), False
    if isinstance(found, inspect.VarTupleType):
        return _table_in(found.item_type)[0], True
    return None, False


def _type_name(found: inspect.Type) -> str:
    found = _unwrap(found)[0]
    match found:
        case inspect.UnionType():
            return " or ".join(_type_name(one) for one in found.types if not isinstance(one, inspect.NoneType))
        case inspect.DictType():
            return f"table of {_type_name(found.value_type)}"
        case inspect.VarTupleType() | inspect.FrozenSetType():
            return f"list of {_type_name(found.item_type)}"
        case inspect.EnumType():
            return " | ".join(f'"{member.value}"' for member in found.cls)
        case inspect.LiteralType():
            return " | ".join(f'"{value}"' for value in found.values)
        case inspect.StrType():
            return "string"
        case inspect.IntType():
            return "integer"
        case inspect.FloatType():
            return "number"
        case inspect.BoolType():
            return "true | false"
        case _:
            raise TypeError(f"a type that the reference has no word for: {found!r}")


def _default(field: inspect.Field) -> str:
    if field.required:
        return ""
    value = field.default_factory() if field.default is NODEFAULT else field.default
    return "unset" if value is None else msgspec.json.encode(value, order="deterministic").decode()
