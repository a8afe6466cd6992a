"""OpenAI Responses. The gateway keeps the state, where the operator lets it: a provider is never asked to, and any deployment can go on.

What is kept of an answer is the whole conversation so far, for the place that asked, until it expires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace
from starlette.types import Receive, Send

from trimtab.core.errors import MalformedRequest, NotFound
from trimtab.core.messages import Dialect, Request
from trimtab.core.units import DAY_NS, Clock
from trimtab.core.zones import Sensitivity
from trimtab.engine import Caller, Reply
from trimtab.server.common.site import Site
from trimtab.server.doors.completion import Completion
from trimtab.server.doors.door import Asked, Door, send_json
from trimtab.store import Document, Documents
from trimtab.wire import CODECS
from trimtab.wire.openai_responses import conversation

_KIND = "response"
_RESPONSES = CODECS[Dialect.OPENAI_RESPONSES]


def _key(place: str, id: str) -> str:
    """Ids are the upstreams' own, and two of them may give out the same: a place finds its own answers alone."""
    return f"{place} {id}"


class Kept(Struct, frozen=True):
    """``items`` are all that was said up to and with ``response``; ``labels`` what its callers said that it carries, turn by turn."""

    items: list[Raw]
    response: Raw
    labels: frozenset[Sensitivity] = frozenset()


class Shelf(Struct, frozen=True):
    """Where answers are kept, and for how many days."""

    documents: Documents
    clock: Clock
    days: int

    async def load(self, id: str, place: str) -> Kept:
        """Raises :class:`NotFound` also for an answer that belongs to another place."""
        held = await self.documents.document(_KIND, _key(place, id), now_ns=self.clock.time_ns())
        if held is None or held.place != place:
            raise NotFound(
                f"No response {id[:100]!r} is kept here.",
                hint=f"Responses are kept for {self.days} days, for the project that asked.",
            )
        return msgspec.json.decode(held.body, type=Kept)

    async def keep(self, kept: Kept, caller: Caller) -> None:
        now = self.clock.time_ns()
        await self.documents.put_document(
            Document(
                kind=_KIND,
                id=_key(caller.place, conversation.id_of(kept.response)),
                place=caller.place,
                owner=caller.owner,
                created_ns=now,
                expires_ns=now + self.days * DAY_NS,
                body=msgspec.json.encode(kept),
            )
        )


class ResponsesDoor(Completion):
    """``shelf`` is ``None`` where nothing is kept."""

    def __init__(self, site: Site, shelf: Shelf | None) -> None:
        super().__init__(site, _RESPONSES)
        self._shelf = shelf

    @property
    def keeps(self) -> bool:
        return self._shelf is not None

    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        earlier = conversation.previous(asked.body)
        if earlier is not None:
            if self._shelf is None:
                raise MalformedRequest(
                    "previous_response_id: nothing is kept here.",
                    param="previous_response_id",
                    hint="Send the whole conversation as input, or set [responses] store = true.",
                )
            kept = await self._shelf.load(earlier, asked.caller.place)
            # What a caller said of an earlier turn holds for as long as that turn goes along.
            caller = replace(asked.caller, labels=asked.caller.labels | kept.labels)
            asked = replace(asked, body=await asyncio.to_thread(conversation.expand, asked.body, kept.items), caller=caller)
        await super().answer(asked, receive, send)

    async def complete(self, request: Request, reply: Reply, whole: Callable[[], bytes], caller: Caller) -> None:
        if self._shelf is None or not conversation.wants_store(request.native):
            return
        body = whole()
        items = [*conversation.items_of_input(request.native), *conversation.items_of_output(body)]
        await self._shelf.keep(Kept(items, Raw(body), caller.labels), caller)


class KeptResponse(Door):
    """``GET`` and ``DELETE /v1/responses/{id}``."""

    def __init__(self, site: Site, shelf: Shelf) -> None:
        super().__init__(site, _RESPONSES)
        self._shelf = shelf

    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        id = asked.scope["path_params"]["id"]
        kept = await self._shelf.load(id, asked.caller.place)
        if asked.scope["method"] == "DELETE":
            await self._shelf.documents.remove_document(_KIND, _key(asked.caller.place, id))
            await send_json(send, 200, msgspec.json.encode({"id": id, "object": "response", "deleted": True}))
        else:
            await send_json(send, 200, bytes(kept.response))
