"""The lines of batches, in and out: OpenAI's input and output files, Anthropic's list of requests and its results.

One line is one request. What its body means, its own codec knows; where files lie and when a line runs, others do.

Sources: the OpenAPI descriptions behind the official SDKs (``Batch``, ``FileObject``, ``MessageBatchIndividualResponse``), and OpenAI's
batch guide for the lines of its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from trimtab.core.errors import MalformedRequest
from trimtab.core.messages import Dialect
from trimtab.wire.body import read_fields, read_request, refuse

ENDPOINTS = {
    "/v1/chat/completions": Dialect.OPENAI_CHAT,
    "/v1/responses": Dialect.OPENAI_RESPONSES,
    "/v1/embeddings": Dialect.OPENAI_EMBEDDINGS,
}
"""What an OpenAI batch may ask, each batch of one of them."""

MESSAGES = "/v1/messages"
MAX_CUSTOM_ID = 512

_MESSAGE_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # the pattern of Anthropic's API for `custom_id`


class Ending(StrEnum):
    """What became of one line; Anthropic's words."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Line(Struct, frozen=True):
    """One request of a batch. ``body`` is undecoded."""

    custom_id: str
    method: str
    url: str
    body: Raw


class LineFault(Struct, frozen=True, omit_defaults=True):
    """What is wrong with one line of an input, counted from 1; 0 where it is the input as a whole. OpenAI's ``BatchError``."""

    code: str
    message: str
    line: int = 0
    param: str | None = None


class Result(Struct, frozen=True):
    """What came of the line ``number`` (from 0). ``body`` is the answer, or the error in the words of the line's protocol, on one line.

    ``status`` is the HTTP status that the client would have got, 0 where there was none; ``decision`` is the request's id in the ledger.
    """

    number: int
    custom_id: str
    ending: Ending
    status: int = 0
    decision: str = ""
    body: Raw = Raw(b"null")


_LINE = msgspec.json.Decoder(Line)
_RESULT = msgspec.json.Decoder(Result)


def read_line(raw: bytes, number: int, endpoint: str) -> Line | LineFault:
    """One line of an input file of OpenAI's; ``number`` counts from 1."""
    try:
        line = _LINE.decode(raw)
    except msgspec.ValidationError as error:
        fault = _misread(raw)
        return LineFault(code=fault.code, message=str(fault) or str(error), line=number, param=fault.param)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return LineFault(code="invalid_json_line", message="This line is not valid JSON.", line=number)
    if not line.custom_id or len(line.custom_id) > MAX_CUSTOM_ID:
        message = f"custom_id has 1 to {MAX_CUSTOM_ID} characters."
        return LineFault(code="invalid_custom_id", message=message, line=number, param="custom_id")
    if line.method != "POST":
        return LineFault(code="invalid_method", message="The method of a line is POST.", line=number, param="method")
    if line.url != endpoint:
        message = f"The url of a line is the batch's endpoint, {endpoint}."
        return LineFault(code="invalid_url", message=message, line=number, param="url")
    return line


def _misread(raw: bytes) -> MalformedRequest:
    """Why ``raw`` is no line, without its content: the reader of bodies knows how to say that."""
    try:
        read_request(_LINE, raw)
    except MalformedRequest as error:
        return error
    raise AssertionError("a line that could not be read was read")


class _Asked(Struct):
    custom_id: str
    params: Raw


class _Requests(Struct):
    requests: list[_Asked]


_REQUESTS = msgspec.json.Decoder(_Requests)


def read_requests(body: bytes, limit: int) -> Iterator[bytes]:
    """The requests of ``POST /v1/messages/batches`` as lines of an input file. Raises :class:`MalformedRequest`.

    What is wrong within the ``params`` of one request is that request's own error, later.
    """
    for name in read_fields(body):
        if name != "requests":
            raise refuse("(a field)", "is not known here", "Send requests alone.")
    asked = read_request(_REQUESTS, body).requests
    if not 0 < len(asked) <= limit:
        raise refuse("requests", f"has {len(asked)} requests", f"Send 1 to {limit} of them.")
    seen: set[str] = set()
    for number, one in enumerate(asked):
        at = f"requests.{number}.custom_id"
        if not _MESSAGE_ID.fullmatch(one.custom_id):
            raise refuse(at, "is no id", "1 to 64 letters, digits, _ and -.")
        if one.custom_id in seen:
            raise refuse(at, "occurs twice", "Give each request its own.")
        seen.add(one.custom_id)
    return (written(Line(one.custom_id, "POST", MESSAGES, one.params)) for one in asked)


def written(value: Struct) -> bytes:
    """``value`` as a line, line feed and all: undecoded JSON within may have had line feeds of its own."""
    return msgspec.json.format(msgspec.json.encode(value), indent=-1) + b"\n"


def read_result(raw: bytes) -> Result | None:
    """A line that :func:`written` wrote; ``None`` for one that is not whole."""
    try:
        return _RESULT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_WHY = {
    Ending.EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    Ending.CANCELED: ("batch_cancelled", "This request was not executed: the batch was cancelled."),
}


def told(result: Result, flavour: Literal["openai", "anthropic"], id: str) -> bytes:
    """``result`` as the batch's client reads it, one line. ``id`` is the line's own, of OpenAI's alone."""
    if flavour == "anthropic":
        return _line({"custom_id": result.custom_id, "result": _anthropic(result)})
    answered = result.ending in (Ending.SUCCEEDED, Ending.ERRORED)
    code, message = _WHY.get(result.ending, ("", ""))
    return _line(
        {
            "id": id,
            "custom_id": result.custom_id,
            "response": {"status_code": result.status, "request_id": result.decision, "body": result.body} if answered else None,
            "error": None if answered else {"code": code, "message": message},
        }
    )


def _anthropic(result: Result) -> dict[str, object]:
    match result.ending:
        case Ending.SUCCEEDED:
            return {"type": "succeeded", "message": result.body}
        case Ending.ERRORED:
            return {"type": "errored", "error": result.body}
        case ending:
            return {"type": ending.value}


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
