"""OpenAI's ``/v1/batches``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.types import Receive, Send

from trimtab.core.units import SECOND_NS
from trimtab.engine.batches import EXPIRY_SECONDS, Batch, Status
from trimtab.server.doors.batches.desks import DeskDoor, Query, id_of, page
from trimtab.server.doors.door import Asked, send_json
from trimtab.wire.batches import ENDPOINTS, Ending
from trimtab.wire.body import read_request, refuse

_STAMPS = {
    Status.IN_PROGRESS: "in_progress_at",
    Status.FINALIZING: "finalizing_at",
    Status.COMPLETED: "completed_at",
    Status.FAILED: "failed_at",
    Status.EXPIRED: "expired_at",
    Status.CANCELLING: "cancelling_at",
    Status.CANCELLED: "cancelled_at",
}


_SHORTEST, _LONGEST = EXPIRY_SECONDS


class _ExpiresAfter(Struct, forbid_unknown_fields=True):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=_SHORTEST, le=_LONGEST)]


class _Create(Struct, forbid_unknown_fields=True):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: (
        Annotated[dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)] | None
    ) = None
    output_expires_after: _ExpiresAfter | None = None


_CREATE = msgspec.json.Decoder(_Create)


class CreateBatch(DeskDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        wanted = read_request(_CREATE, asked.body)
        if wanted.endpoint not in ENDPOINTS:
            raise refuse("endpoint", "is none that batches are taken for", f"Send one of {', '.join(ENDPOINTS)}.")
        if wanted.completion_window != "24h":
            raise refuse("completion_window", "is not known", 'There is one: "24h".')
        expiry = wanted.output_expires_after
        batch = await self.desk.create(
            wanted.endpoint, wanted.input_file_id, wanted.metadata, asked.caller, seconds=expiry.seconds if expiry else None
        )
        await send_json(send, 200, msgspec.json.encode(told(batch)))


class BatchList(DeskDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        query = Query(asked, "after", "limit")
        batches, more = await self.desk.batches("openai", asked.caller.place, after=query.text("after"), limit=query.limit(20, 100))
        await send_json(send, 200, msgspec.json.encode({"object": "list", **page([told(batch) for batch in batches], more)}))


class OneBatch(DeskDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        batch = await self.desk.load("openai", id_of(asked), asked.caller.place)
        await send_json(send, 200, msgspec.json.encode(told(batch)))


class CancelBatch(DeskDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        batch = await self.desk.cancel("openai", id_of(asked), asked.caller.place)
        await send_json(send, 200, msgspec.json.encode(told(batch)))


def told(batch: Batch) -> dict[str, object]:
    """OpenAI's ``Batch``."""
    done = batch.counts.get(Ending.SUCCEEDED, 0)
    faults = [{"code": f.code, "line": f.line or None, "message": f.message, "param": f.param} for f in batch.faults]
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output or None,
        "error_file_id": batch.errors_file or None,
        "created_at": batch.created_ns // SECOND_NS,
        "expires_at": batch.until_ns // SECOND_NS,
        "request_counts": {"total": batch.total, "completed": done, "failed": sum(batch.counts.values()) - done},
        "metadata": batch.metadata,
        **{name: _seconds(batch, status) for status, name in _STAMPS.items()},
    }


def _seconds(batch: Batch, status: Status) -> int | None:
    at_ns = batch.reached.get(status)
    return None if at_ns is None else at_ns // SECOND_NS
