"""Anthropic's ``count_tokens``, counted here: an estimate by our own tokeniser that sends nothing anywhere."""

from __future__ import annotations

from starlette.types import Receive, Send

from trimtab.server.common.site import Site
from trimtab.server.doors.door import Asked, Door, send_json
from trimtab.wire import AnthropicMessages


class CountTokens(Door):
    def __init__(self, site: Site) -> None:
        self._counts = AnthropicMessages()
        super().__init__(site, self._counts)

    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        decision = self.gateway.consider(self._counts.decode_count_request(asked.body), asked.caller)
        await send_json(send, 200, self._counts.encode_count(decision.signals.input_tokens))
