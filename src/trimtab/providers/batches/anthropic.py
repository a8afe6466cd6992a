"""Anthropic's message batches: handed over in one body, and results fetched line by line. Source: the API reference, "Message Batches"."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
from msgspec import Raw, Struct

from trimtab.core.catalog import Deployment
from trimtab.core.errors import ProviderError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request
from trimtab.providers.base import BatchAnswer, BatchLine
from trimtab.providers.batches.exchange import BatchExchange, carried_by, safe, unanswered, within

_STATUS = {"invalid_request_error": 400, "not_found_error": 404, "request_too_large": 413, "permission_error": 403}
"""A line's error has a type and no status; these are the types that the request itself is to blame for."""


class _Id(Struct):
    id: str


class _Batch(Struct):
    processing_status: str


class _Error(Struct, frozen=True):
    type: str = ""


class _Told(Struct):
    error: _Error = _Error()


class _Result(Struct):
    type: str
    message: Raw = Raw(b"null")
    error: Raw = Raw(b"{}")


class _Row(Struct):
    custom_id: str
    result: _Result


_ID, _BATCH, _ROW = msgspec.json.Decoder(_Id), msgspec.json.Decoder(_Batch), msgspec.json.Decoder(_Row)


class AnthropicBatches(BatchExchange):
    """See :class:`~trimtab.providers.BatchProvider`."""

    def takes(self, request: Request) -> bool:
        return request.dialect is Dialect.ANTHROPIC

    async def submit(self, deployment: Deployment, lines: Sequence[BatchLine]) -> str:
        codec = self._calls[Dialect.ANTHROPIC][0]
        rows = [{"custom_id": line.id, "params": Raw(self._body(codec, deployment, line.request)[0])} for line in lines]
        body, betas = msgspec.json.encode({"requests": rows}), dict(lines[0].request.headers)
        async with (
            within(deployment, deployment.timeouts.total),
            self._exchanged(deployment, "/v1/messages/batches", body, carried_by(lines), betas) as answer,
        ):
            return (await self._read(deployment, answer, _ID)).id

    async def has_ended(self, deployment: Deployment, id: str) -> bool:
        return (await self._told(deployment, _path(id), None, _BATCH)).processing_status == "ended"

    async def answers(self, deployment: Deployment, id: str) -> AsyncGenerator[BatchAnswer]:
        async with aclosing(self._rows(deployment, f"{_path(id)}/results", _ROW)) as rows:
            async for row in rows:
                yield BatchAnswer(row.custom_id, self._answer_of(deployment, row.result))

    def _answer_of(self, deployment: Deployment, result: _Result) -> Frame | ProviderError:
        match result.type:
            case "succeeded":
                return self._answered(deployment, Dialect.ANTHROPIC, bytes(result.message))
            case "errored":
                kind = msgspec.json.decode(result.error, type=_Told).error.type
                return self._refused(deployment, Dialect.ANTHROPIC, _STATUS.get(kind, 500), bytes(result.error))
            case why:
                return unanswered(deployment, why)

    async def cancel(self, deployment: Deployment, id: str) -> None:
        await self._told(deployment, f"{_path(id)}/cancel", b"{}", _ID)


def _path(id: str) -> str:
    return f"/v1/messages/batches/{safe(id)}"
