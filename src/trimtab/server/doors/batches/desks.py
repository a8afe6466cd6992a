"""What the doors of batches share: the desk behind them, questions in the address, and a file sent from the disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.types import Send

from trimtab.core.errors import MalformedRequest, NotFound
from trimtab.core.messages import Dialect
from trimtab.engine.batches import Desk
from trimtab.server.common.site import Site
from trimtab.server.doors.door import Asked, Door, start
from trimtab.wire import CODECS

_PIECE = 256 * 1024


class DeskDoor(Door):
    """A door with the desk behind it, in OpenAI's protocol where it does not say another."""

    dialect = Dialect.OPENAI_CHAT

    def __init__(self, site: Site, desk: Desk) -> None:
        super().__init__(site, CODECS[self.dialect])
        self.desk = desk


def id_of(asked: Asked) -> str:
    id: str = asked.scope["path_params"]["id"]
    return id


def page(rows: Sequence[Mapping[str, object]], more: bool) -> dict[str, object]:
    """A page of a list, as both protocols have it."""
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return {"data": rows, "first_id": first, "last_id": last, "has_more": more}


class Query:
    """What stands behind the question mark. A name that is not known is refused."""

    def __init__(self, asked: Asked, *known: str) -> None:
        text = asked.scope["query_string"].decode("latin-1")
        self._said: Mapping[str, str] = dict(parse_qsl(text, keep_blank_values=True))
        if not self._said.keys() <= set(known):
            raise MalformedRequest("The address asks for something that is not known here.", hint=f"Known are {', '.join(known)}.")

    def text(self, name: str) -> str:
        return self._said.get(name, "")

    def limit(self, usual: int, most: int) -> int:
        text = self._said.get("limit", str(usual))
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise MalformedRequest("limit: that is no limit.", param="limit", hint=f"Send a number from 1 to {most}.")
        return int(text)


async def send_file(send: Send, path: Path, media: bytes) -> None:
    """Raises :class:`NotFound` where there is no such file."""
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except FileNotFoundError:
        raise NotFound("The file is not there any more.", hint="It has expired or was deleted.") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        headers = [(b"content-type", media), (b"content-length", str(size).encode())]
        await send(start(200, headers))
        while piece := await asyncio.to_thread(file.read, _PIECE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
