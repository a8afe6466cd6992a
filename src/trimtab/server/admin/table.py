"""The admin API as a table of operations: what each takes and gives, as types. Routes and the OpenAPI document are made from it.

It knows nothing of what an operation does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from inspect import cleandoc
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct, structs
from msgspec.inspect import Metadata, Type, VarTupleType, type_info
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from trimtab.core.errors import BodyTooLarge, MalformedRequest, TrimtabError, UnknownRoute
from trimtab.engine.access import Actor, Sight
from trimtab.server.admin.shapes import Nothing
from trimtab.server.admin.who import Who, csrf_of
from trimtab.server.common.answers import json, refused
from trimtab.server.common.site import Site
from trimtab.wire.body import read_request

Q = TypeVar("Q", bound=Struct)
B = TypeVar("B", bound=Struct)
A = TypeVar("A")

MAX_BODY_BYTES = 1 << 20


class Asked(Struct, Generic[Q, B], frozen=True, kw_only=True):
    """One call: who asks, what stands in the path's place for an id, the query, the body. ``csrf`` is the session's, where there is one."""

    site: Site
    actor: Actor
    target: str
    query: Q
    body: B
    csrf: str = ""

    @property
    def sight(self) -> Sight:
        """What the actor may look at, as the accounts are now."""
        return Sight(self.site.book.directory, self.actor)


Handler = Callable[[Asked[Q, B]], Awaitable[A]]


class Operation(Struct, frozen=True, kw_only=True):
    """``call`` decodes, asks and encodes. ``needs`` says in words which right is asked for."""

    name: str
    method: str
    path: str
    summary: str
    needs: str
    status: int
    query: type[Struct]
    body: type[Struct]
    answer: object
    call: Callable[[Site, Actor, Request], Awaitable[bytes]]

    @property
    def has_body(self) -> bool:
        return self.body is not Nothing

    @property
    def target(self) -> str:
        """The name of the parameter in the path; empty where there is none."""
        return self.path.partition("{")[2].partition("}")[0].partition(":")[0]

    @property
    def errors(self) -> tuple[int, ...]:
        """Every status, beside the good one, that an answer can have."""
        writes = self.method != "GET"
        more = (404,) * (writes or bool(self.target)) + (409,) * writes + (413,) * self.has_body
        return (400, 401, 403, *more, 503)


def operation(
    method: str,
    path: str,
    handler: Handler[Q, B, A],
    *,
    query: type[Q],
    body: type[B],
    answer: type[A],
    needs: str,
    status: int = 200,
) -> Operation:
    """A row of the table. What the handler's docstring says stands in the document."""
    queries = msgspec.json.Decoder(query, strict=False)
    lists = frozenset(field.name for field in structs.fields(query) if _is_list(type_info(field.type)))
    bodies = msgspec.json.Decoder(body)
    encode = msgspec.json.Encoder(order="deterministic").encode  # sets have no order of their own

    async def call(site: Site, actor: Actor, request: Request) -> bytes:
        sent = b"{}" if body is Nothing else await _body(request) or b"{}"
        asked = Asked(
            site=site,
            actor=actor,
            target=next(iter(request.path_params.values()), ""),
            query=read_request(queries, _query(request.query_params.multi_items(), lists)),
            body=read_request(bodies, sent),
            csrf=csrf_of(request),
        )
        return encode(await handler(asked))

    return Operation(
        name=handler.__name__,
        method=method,
        path=path,
        summary=cleandoc(handler.__doc__ or ""),
        needs=needs,
        status=status,
        query=query,
        body=body,
        answer=answer,
        call=call,
    )


def routes(operations: Iterable[Operation], site: Site, who: Who) -> list[Route]:
    """One route for each path, in the order of the table."""
    by_path: dict[str, dict[str, Operation]] = {}
    for row in operations:
        by_path.setdefault(row.path, {})[row.method] = row
    return [Route(path, partial(_answer, rows, site, who), methods=list(rows)) for path, rows in by_path.items()]


async def _answer(rows: Mapping[str, Operation], site: Site, who: Who, request: Request) -> Response:
    row = rows["GET" if request.method == "HEAD" else request.method]
    try:
        body = await row.call(site, await who(request), request)
    except TrimtabError as error:
        return refused(error)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    return json(body, row.status)


def not_served(request: Request, allowed: str = "") -> Response:
    """An unknown path, or a known one by a method that it does not have."""
    error = UnknownRoute(f"{request.method} is not served at this path.", hint="GET /-/openapi.json tells what is.")
    answer = refused(error, 405 if allowed else None)
    if allowed:
        answer.headers["allow"] = allowed
    return answer


def _is_list(kind: Type) -> bool:
    return _is_list(kind.type) if isinstance(kind, Metadata) else isinstance(kind, VarTupleType)


def _query(items: Iterable[tuple[str, str]], lists: frozenset[str]) -> bytes:
    """The query as JSON, for the decoder to hold against its type. A parameter that is a list is written with commas."""
    found: dict[str, str | list[str]] = {}
    for name, text in items:
        if name in found:
            raise MalformedRequest(f"{name[:64]}: is given twice.", param=name[:64], hint="Give it once.")
        found[name] = [part for part in text.split(",") if part] if name in lists else text
    return msgspec.json.encode(found)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.", hint="Nothing on the admin side is.")
    return bytes(body)
