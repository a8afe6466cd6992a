"""The OpenAPI document of the admin API, made from the table of operations and from its types: it says what they do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from trimtab import __version__
from trimtab.server.admin.shapes import Nothing
from trimtab.server.admin.table import Operation
from trimtab.server.common.answers import Failure
from trimtab.server.common.credentials import CSRF_HEADER

Json: TypeAlias = "dict[str, Json] | Sequence[Json] | str | int | float | bool | None"
Object: TypeAlias = dict[str, Json]

_REF = "#/components/schemas/{name}"
_STATUS = {
    200: "Done.",
    201: "Made.",
    400: "The query or the body is not what it should be; `param` names what is to blame.",
    401: "No key, a key that is not known or opens nothing any more, or a session that has ended.",
    403: "The right that this needs is not held.",
    404: "It is not there, or may not be seen.",
    409: "It is there already, cannot be done as things are, or others changed the accounts in the same moment.",
    413: "The body is too large.",
    503: "The store takes nothing just now. Nothing was changed.",
}
_SPECIMEN = "tt-..."


def document(operations: Iterable[Operation], cookie: str | None = None) -> Object:
    """``cookie`` is the name of the session's cookie, where people can sign in."""
    rows = tuple(operations)
    types: list[object] = [Failure]
    for row in rows:
        types += [row.answer, row.query, row.body]
    references, components = msgspec.json.schema_components(types, ref_template=_REF)
    schemas = {id(kind): reference for kind, reference in zip(types, references, strict=True)}
    paths: dict[str, Json] = {}
    for row in rows:
        path = paths.setdefault(re.sub(r":\w+}", "}", row.path), {})
        assert isinstance(path, dict)
        path[row.method.lower()] = _operation(row, schemas, components, cookie)
    wanted = {name: schema for name, schema in components.items() if not _is_query(name, rows)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trimtab's admin API",
            "version": __version__,
            "description": "Places, people, keys, roles, budgets, usage and the audit. Every right is checked by one set of rules.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": _plain(wanted), "securitySchemes": _schemes(cookie)},
    }


def _operation(row: Operation, schemas: dict[int, Object], components: dict[str, Object], cookie: str | None) -> Object:
    summary, _, rest = row.summary.partition("\n")
    security: list[Json] = [{"key": []}, {"x-api-key": []}]
    if cookie:
        security.append({"session": []})
    described: Object = {
        "operationId": row.name,
        "summary": summary.removesuffix("."),
        "description": "\n".join(part for part in (rest.strip(), f"Needs: {row.needs}.") if part),
        "tags": [row.path.split("/")[2]],
        "parameters": _parameters(row, components, cookie),
        "security": security,
        "responses": {
            str(row.status): _response(row.status, schemas[id(row.answer)]),
            **{str(status): _response(status, schemas[id(Failure)]) for status in row.errors},
        },
    }
    if row.has_body:
        content: Json = {"application/json": {"schema": schemas[id(row.body)]}}
        needed = components[_name(row.body)].get("required")
        described["requestBody"] = {"required": bool(needed), "content": content}
    return described


def _parameters(row: Operation, components: dict[str, Object], cookie: str | None) -> list[Json]:
    found: list[Json] = []
    if row.target:
        found.append({"name": row.target, "in": "path", "required": True, "schema": {"type": "string"}})
    fields = components[_name(row.query)]["properties"] if row.query is not Nothing else {}
    assert isinstance(fields, dict)
    for name, schema in fields.items():
        assert isinstance(schema, dict)
        kept = {key: value for key, value in schema.items() if key != "description"}
        parameter: Object = {"name": name, "in": "query", "required": False, "schema": _not_null(kept)}
        if "description" in schema:
            parameter["description"] = schema["description"]
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        found.append(parameter)
    if cookie and row.method != "GET":
        token: Object = {"type": "string"}
        text = "The token of the session. Needed where the cookie says who asks, and not beside a key."
        found.append({"name": CSRF_HEADER, "in": "header", "required": False, "schema": token, "description": text})
    return found


def _not_null(schema: Object) -> Object:
    """A query says nothing by leaving a parameter out: there is no null in it."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return schema
    rest = [choice for choice in choices if choice != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    only = rest[0] if len(rest) == 1 else {"anyOf": rest}
    assert isinstance(only, dict)
    return others | only


def _response(status: int, schema: Object) -> Object:
    return {"description": _STATUS[status], "content": {"application/json": {"schema": schema}}}


def _schemes(cookie: str | None) -> Object:
    schemes: Object = {
        "key": {"type": "http", "scheme": "bearer", "description": f"A virtual key: `Authorization: Bearer {_SPECIMEN}`."},
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A virtual key."},
    }
    if cookie:
        schemes["session"] = {"type": "apiKey", "in": "cookie", "name": cookie, "description": "Somebody who has signed in."}
    return schemes


def _name(kind: type) -> str:
    return kind.__name__


def _is_query(name: str, rows: Iterable[Operation]) -> bool:
    return name == _name(Nothing) or any(name == _name(row.query) for row in rows)


def _plain(schemas: dict[str, Object]) -> Object:
    """Docstrings without the indent that they have in the source."""
    return {name: _unwrapped(schema) for name, schema in schemas.items()}


def _unwrapped(schema: Object) -> Json:
    text = schema.get("description")
    return schema | {"description": re.sub(r"\n[ \t]+", "\n", text).replace("``", "`")} if isinstance(text, str) else schema
