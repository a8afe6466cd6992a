"""Answers of our own: JSON that nobody keeps, errors in the one shape of the admin side, and what may be told of a fault of ours."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import msgspec
from msgspec import Struct
from starlette.responses import Response

from trimtab.core.errors import (
    LedgerError,
    NoDeployment,
    Overloaded,
    ProviderError,
    RateLimited,
    RequestError,
    TrimtabError,
)
from trimtab.telemetry import log
from trimtab.wire import primary


class ErrorBody(Struct, frozen=True):
    """`code` is stable and for programs. `param` names the field or parameter that is to blame, where one is."""

    code: str
    message: str
    hint: str
    param: str | None


class Failure(Struct, frozen=True):
    error: ErrorBody


def json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Nothing of this is kept by anybody between us and the client: it may be a key."""
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def refused(error: TrimtabError, status: int | None = None) -> Response:
    """The one shape of an error on the admin side."""
    param = error.param if isinstance(error, RequestError) else None
    body = Failure(ErrorBody(code=error.code, message=error.message, hint=error.hint, param=param))
    status = status or error.status
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    if (seconds := retry_after(error)) is not None:
        headers["retry-after"] = str(seconds)
    return json(msgspec.json.encode(body), status, headers)


def public_error(error: Exception) -> TrimtabError:
    """The error as the client may see it. The text of a fault of our own may quote a request: neither client nor log gets it."""
    if isinstance(error, TrimtabError):
        return error
    log(__name__, "unexpected error", level=logging.ERROR, error=error)
    return TrimtabError("The gateway failed in a way it did not expect. Its log names the place.")


def retry_after(error: TrimtabError) -> int | None:
    """Whole seconds: what the upstream said, or a moment where we ourselves are the ones who are busy."""
    first = primary(error)
    if isinstance(first, ProviderError | NoDeployment | RateLimited):
        return None if first.retry_after is None else math.ceil(first.retry_after)
    return 1 if isinstance(error, Overloaded | LedgerError) else None
