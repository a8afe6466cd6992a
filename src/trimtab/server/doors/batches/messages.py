"""Anthropic's ``/v1/messages/batches``."""

from __future__ import annotations

import msgspec
from starlette.types import Receive, Send

from trimtab.core.errors import MalformedRequest, NotFound
from trimtab.core.messages import Dialect
from trimtab.core.units import iso
from trimtab.engine.batches import Batch, Status
from trimtab.server.doors.batches.desks import DeskDoor, Query, id_of, page, send_file
from trimtab.server.doors.door import Asked, send_json
from trimtab.server.doors.headers import protocol_headers
from trimtab.wire.batches import Ending


class _MessageBatchDoor(DeskDoor):
    dialect = Dialect.ANTHROPIC

    async def _send(self, send: Send, batch: Batch) -> None:
        await send_json(send, 200, msgspec.json.encode(told(batch)))


class CreateMessageBatch(_MessageBatchDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        headers = protocol_headers(Dialect.ANTHROPIC, asked.headers)
        await self._send(send, await self.desk.create_messages(asked.body, headers, asked.caller))


class MessageBatchList(_MessageBatchDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        query = Query(asked, "after_id", "before_id", "limit")
        after, before = query.text("after_id"), query.text("before_id")
        if after and before:
            raise MalformedRequest("after_id and before_id exclude each other.", hint="Send one of them.")
        batches, more = await self.desk.batches(
            "anthropic", asked.caller.place, after=after or before, limit=query.limit(20, 1000), newest_first=not before
        )
        rows = [told(batch) for batch in (reversed(batches) if before else batches)]
        await send_json(send, 200, msgspec.json.encode(page(rows, more)))


class OneMessageBatch(_MessageBatchDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        id, place = id_of(asked), asked.caller.place
        if asked.scope["method"] == "DELETE":
            await self.desk.remove("anthropic", id, place)
            await send_json(send, 200, msgspec.json.encode({"id": id, "type": "message_batch_deleted"}))
        else:
            await self._send(send, await self.desk.load("anthropic", id, place))


class CancelMessageBatch(_MessageBatchDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        await self._send(send, await self.desk.cancel("anthropic", id_of(asked), asked.caller.place))


class MessageBatchResults(_MessageBatchDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        batch = await self.desk.load("anthropic", id_of(asked), asked.caller.place)
        if not batch.output:
            raise NotFound("The batch has no results yet.", hint="They are there once its processing_status is ended.")
        await send_file(send, self.desk.files.path(batch.output), b"application/x-jsonl")


def told(batch: Batch) -> dict[str, object]:
    """Anthropic's ``MessageBatch``. Requests count as processing until the whole batch has ended."""
    ended = batch.status.has_ended
    counts = {ending.value: batch.counts.get(ending, 0) if ended else 0 for ending in Ending}
    cancelled_ns = batch.reached.get(Status.CANCELLING)
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "canceling" if batch.status is Status.CANCELLING else "in_progress",
        "request_counts": {"processing": 0 if ended else batch.total, **counts},
        "created_at": iso(batch.created_ns),
        "expires_at": iso(batch.until_ns),
        "ended_at": iso(batch.reached[batch.status]) if ended else None,
        "cancel_initiated_at": None if cancelled_ns is None else iso(cancelled_ns),
        "archived_at": None,
        # Anthropic's is an absolute address. Behind a proxy we do not know ours, and its SDKs take a path as well.
        "results_url": f"/v1/messages/batches/{batch.id}/results" if batch.output else None,
    }
