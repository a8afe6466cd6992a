"""Google's subset of OpenAPI 3.0 schemas as JSON Schema, which everybody else speaks and Google takes too. Knows nothing of requests.

Types are written in capitals there, ``nullable`` is a field of its own, bounds of lengths may be strings (proto3 JSON, int64), and
``propertyOrdering`` says what the order of an object's fields says elsewhere.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from trimtab.wire.body import Json

_SNAKE = {
    "additional_properties": "additionalProperties",
    "any_of": "anyOf",
    "max_items": "maxItems",
    "max_length": "maxLength",
    "max_properties": "maxProperties",
    "min_items": "minItems",
    "min_length": "minLength",
    "min_properties": "minProperties",
    "prefix_items": "prefixItems",
    "property_ordering": "propertyOrdering",
    "defs": "$defs",
    "ref": "$ref",
}
_BOUNDS = frozenset({"maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties"})
_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})


def to_json_schema(raw: Raw) -> Raw:
    """``raw`` in JSON Schema's words; as it came where it is that already, or is no schema at all."""
    try:
        schema = msgspec.json.decode(raw)
        converted = _schema(schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw
    return raw if converted == schema else Raw(msgspec.json.encode(converted))


def _schema(node: object) -> object:
    if not isinstance(node, dict):
        return node
    out: Json = {}
    for written, value in node.items():
        name = _SNAKE.get(written, str(written))
        match name:
            case "properties" | "$defs" if isinstance(value, dict):
                out[name] = {key: _schema(inner) for key, inner in value.items()}
            case "anyOf" | "prefixItems" if isinstance(value, list):
                out[name] = [_schema(inner) for inner in value]
            case "items" | "additionalProperties":
                out[name] = _schema(value)
            case _ if name in _BOUNDS and isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
                out[name] = int(value)
            case "example":
                out["examples"] = [value]
            case _:
                out[name] = value
    _type(out)
    _nullable(out)
    _order(out)
    return out


def _type(out: Json) -> None:
    kind = out.get("type")
    if kind == "TYPE_UNSPECIFIED":
        del out["type"]
    elif isinstance(kind, str) and kind in _TYPES:
        out["type"] = kind.lower()
    if out.get("format") == "enum":
        del out["format"]


def _nullable(out: Json) -> None:
    if out.pop("nullable", False) is not True:
        return
    kind, choices, values = out.get("type"), out.get("anyOf"), out.get("enum")
    if isinstance(kind, str):
        out["type"] = [kind, "null"]
    elif isinstance(choices, list):
        out["anyOf"] = [*choices, {"type": "null"}]
    if isinstance(values, list):
        out["enum"] = [*values, None]


def _order(out: Json) -> None:
    order, properties = out.pop("propertyOrdering", None), out.get("properties")
    if isinstance(order, list) and isinstance(properties, dict):
        first = {name: properties[name] for name in order if isinstance(name, str) and name in properties}
        out["properties"] = {**first, **properties}
