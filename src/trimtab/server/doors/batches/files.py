"""OpenAI's ``/v1/files``, for batches alone: a file is written to the disk as it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec
from starlette.types import Receive, Send

from trimtab.core.errors import MalformedRequest
from trimtab.core.units import SECOND_NS
from trimtab.engine import ClientGone
from trimtab.engine.batches import KeptFile
from trimtab.server.doors.batches.desks import DeskDoor, Query, id_of, page, send_file
from trimtab.server.doors.door import Asked, send_json

_MOST = 10_000


class Upload(DeskDoor):
    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        return b""  # it is read as it comes, by :meth:`answer`

    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        kept = await self.desk.files.bring(_pieces(receive), asked.caller)
        await send_json(send, 200, msgspec.json.encode(told(kept)))


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        yield message.get("body", b"")


class FileList(DeskDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        query = Query(asked, "after", "limit", "order", "purpose")
        order = query.text("order") or "desc"
        if order not in ("asc", "desc"):
            raise MalformedRequest("order: that is no order.", param="order", hint="Send asc or desc.")
        files, more = await self.desk.kept_files(
            asked.caller.place,
            after=query.text("after"),
            limit=query.limit(_MOST, _MOST),
            newest_first=order == "desc",
            purpose=query.text("purpose") or None,
        )
        await send_json(send, 200, msgspec.json.encode({"object": "list", **page([told(file) for file in files], more)}))


class OneFile(DeskDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        id, place = id_of(asked), asked.caller.place
        if asked.scope["method"] == "DELETE":
            await self.desk.files.remove(id, place)
            await send_json(send, 200, msgspec.json.encode({"id": id, "object": "file", "deleted": True}))
        else:
            await send_json(send, 200, msgspec.json.encode(told(await self.desk.files.load(id, place))))


class FileContent(DeskDoor):
    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        kept = await self.desk.files.load(id_of(asked), asked.caller.place)
        await send_file(send, self.desk.files.path(kept.id), b"application/octet-stream")


def told(file: KeptFile) -> dict[str, object]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_ns // SECOND_NS,
        "expires_at": file.expires_ns // SECOND_NS,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }
