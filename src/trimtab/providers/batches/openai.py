"""OpenAI's batches: a file of lines is brought, a batch made of it, and two files of results fetched.

The file that is brought expires by itself two days later. Source: the API reference, "Files" and "Batch".
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
from msgspec import Raw, Struct

from trimtab.core.catalog import Deployment
from trimtab.core.messages import Dialect, Request
from trimtab.providers.base import BatchAnswer, BatchLine
from trimtab.providers.batches.exchange import BatchExchange, carried_by, safe, unanswered, within
from trimtab.wire.batches import ENDPOINTS, Line, written

_KEPT_SECONDS = 48 * 3600
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_URLS = {dialect: url for url, dialect in ENDPOINTS.items()}


class _Id(Struct):
    id: str


class _Batch(Struct):
    status: str
    endpoint: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None


class _Response(Struct):
    status_code: int
    body: Raw = Raw(b"null")


class _Error(Struct):
    code: str | None = None


class _Row(Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


_ID, _BATCH, _ROW = msgspec.json.Decoder(_Id), msgspec.json.Decoder(_Batch), msgspec.json.Decoder(_Row)


class OpenAIBatches(BatchExchange):
    """See :class:`~trimtab.providers.BatchProvider`."""

    def takes(self, request: Request) -> bool:
        return request.dialect in _URLS and request.dialect in self._calls

    async def submit(self, deployment: Deployment, lines: Sequence[BatchLine]) -> str:
        dialect = lines[0].request.dialect
        codec = self._calls[dialect][0]
        rows = (
            written(Line(line.id, "POST", _URLS[dialect], Raw(self._body(codec, deployment, line.request)[0]))) for line in lines
        )
        form, media = _form(b"".join(rows))
        async with within(deployment, deployment.timeouts.total):
            async with self._exchanged(deployment, "/files", form, carried_by(lines), {"content-type": media}) as answer:
                file = (await self._read(deployment, answer, _ID)).id
            wanted = msgspec.json.encode({"input_file_id": file, "endpoint": _URLS[dialect], "completion_window": "24h"})
            async with self._exchanged(deployment, "/batches", wanted) as answer:
                return (await self._read(deployment, answer, _ID)).id

    async def has_ended(self, deployment: Deployment, id: str) -> bool:
        return (await self._told(deployment, f"/batches/{safe(id)}", None, _BATCH)).status in _ENDED

    async def answers(self, deployment: Deployment, id: str) -> AsyncGenerator[BatchAnswer]:
        batch = await self._told(deployment, f"/batches/{safe(id)}", None, _BATCH)
        dialect = ENDPOINTS.get(batch.endpoint, Dialect.OPENAI_CHAT)
        for file in (batch.output_file_id, batch.error_file_id):
            if file is None:
                continue
            async with aclosing(self._rows(deployment, f"/files/{safe(file)}/content", _ROW)) as rows:
                async for row in rows:
                    yield self._answer_of(deployment, dialect, row)

    def _answer_of(self, deployment: Deployment, dialect: Dialect, row: _Row) -> BatchAnswer:
        response = row.response
        if response is None:
            code = row.error.code if row.error is not None else None
            return BatchAnswer(row.custom_id, unanswered(deployment, code or "batch_error"))
        body = bytes(response.body)
        if 200 <= response.status_code < 300:
            return BatchAnswer(row.custom_id, self._answered(deployment, dialect, body))
        return BatchAnswer(row.custom_id, self._refused(deployment, dialect, response.status_code, body))

    async def cancel(self, deployment: Deployment, id: str) -> None:
        await self._told(deployment, f"/batches/{safe(id)}/cancel", b"{}", _ID)


def _form(rows: bytes) -> tuple[bytes, str]:
    """The lines as a form (RFC 7578). The boundary is random, so that no line can hold it."""
    boundary = f"trimtab-{os.urandom(16).hex()}"
    fields = {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": str(_KEPT_SECONDS)}
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="lines.jsonl"\r\n'
        "content-type: application/jsonl\r\n\r\n"
    )
    return b"".join((*parts, head.encode(), rows, f"\r\n--{boundary}--\r\n".encode())), f"multipart/form-data; boundary={boundary}"
