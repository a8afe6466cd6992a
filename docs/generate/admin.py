"""The page of the admin API, from its table of operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from docs.generate.paper import Cells, grid, page
from msgspec import structs

from trimtab.server.admin import OPERATIONS
from trimtab.server.admin.table import Operation


def admin_api() -> str:
    operations = [f"## {row.method} {row.path.replace(':path}', '}')}\n\n{_operation(row)}" for row in OPERATIONS]
    return page(
        "Admin API",
        "What stands under `/-/`, as `GET /-/openapi.json` describes it to programs. Every answer is JSON. A key in `authorization` or\n"
        "`x-api-key` says who asks, or the cookie of a sign-in, whose changes need the header `x-trimtab-csrf` as well.",
        "Lists come in pages of `limit` rows in `data`, in order of their ids; where `has_more` is true, send `next_after` as `after`.\n"
        "Money is in USD, a moment in RFC 3339. An unknown parameter or field is refused by name.",
        'An error is `{"error": {"code", "message", "hint", "param"}}`: 400 for what cannot be read, 401 without a good key, 403 without\n'
        "the right, 404 for what is not there or may not be seen, 409 where it is there already or was changed in the same moment, 413\n"
        "for too large a body, 503 while the store takes nothing. The right that an operation needs stands with it;\n"
        "[rights](../concepts/rights.md) says what they mean.",
        *operations,
    )


def _operation(row: Operation) -> str:
    parts = [row.summary, f"Needs: {row.needs}."]
    for title, kind in (("parameter", row.query), ("field of the body", row.body)):
        rows: list[Cells] = [
            (f"`{field.name}`", _written(field.type), "required" if field.required else _default(field))
            for field in structs.fields(kind)
        ]
        if rows:
            parts.append(grid((title, "type", "default"), rows))
    return "\n\n".join(parts)


def _written(kind: object) -> str:
    """A type as JSON Schema has it, in a few words."""
    (schema,), components = msgspec.json.schema_components([kind])
    return _schema_words(schema, components)


def _schema_words(schema: dict[str, Any], components: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _schema_words(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return " or ".join(_schema_words(choice, components) for choice in schema["anyOf"] if choice != {"type": "null"})
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_schema_words(schema['items'], components)}"
    if schema.get("type") == "object":
        return "{" + ", ".join(f"`{name}`" for name in schema["properties"]) + "}"
    return str(schema.get("format", schema.get("type")))


def _default(field: structs.FieldInfo) -> str:
    return "" if field.default in (None, "", ()) else f"`{msgspec.json.encode(field.default).decode()}`"
