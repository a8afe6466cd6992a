"""The answer that a request asks for: the call of its first tool, an object that fits its schema, or words.

For clients that check what they get. It makes one instance of the schemas that clients make of their types and is no validator: what it
does not know of JSON Schema it passes over.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from trimtab.lab.upstream.answers import HELLO, Answer, Call, answer

_EMPTY = Raw(b"{}")


class Asked(Struct, frozen=True):
    """What of a request decides. ``tools`` are names and schemas; ``settled`` is true when their results are already there."""

    tools: tuple[tuple[str, Raw], ...] = ()
    schema: Raw | None = None
    settled: bool = False


class Schema(Struct, rename="camel"):
    """The part of JSON Schema that decides what an instance looks like."""

    type: str | list[str] = "object"
    properties: dict[str, Schema] = field(default_factory=dict)
    items: Schema | bool | None = None
    enum: list[object] = field(default_factory=list)
    const: Raw = Raw()
    any_of: list[Schema] = field(default_factory=list)
    all_of: list[Schema] = field(default_factory=list)
    ref: str = field(default="", name="$ref")
    defs: dict[str, Schema] = field(default_factory=dict, name="$defs")
    minimum: float = 0


def oblige(asked: Asked) -> Answer:
    if asked.tools and not asked.settled:
        name, schema = asked.tools[0]
        return Answer(calls=(Call(name, _instance_of(schema)),), finish="tool_calls")
    return HELLO if asked.schema is None else answer(_instance_of(asked.schema))


def _instance_of(raw: Raw) -> str:
    schema = msgspec.json.decode(raw or _EMPTY, type=Schema)
    return msgspec.json.encode(_instance(schema, schema.defs)).decode()


def _instance(schema: Schema, defs: dict[str, Schema]) -> object:
    if schema.ref:
        return _instance(defs[schema.ref.rpartition("/")[2]], defs)
    if schema.const:
        return schema.const
    if schema.enum:
        return schema.enum[0]
    for alternatives in (schema.any_of, schema.all_of):
        if alternatives:
            return _instance(alternatives[0], defs)
    match schema.type if isinstance(schema.type, str) else schema.type[0]:
        case "string":
            return "Zürich"
        case "integer" | "number":
            return int(schema.minimum) + 1
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            return [_instance(schema.items, defs)] if isinstance(schema.items, Schema) else []
        case _:
            return {name: _instance(inner, defs) for name, inner in schema.properties.items()}
