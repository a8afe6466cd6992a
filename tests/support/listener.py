"""Somebody on loopback who is sent things and answers by script: a collector, a webhook."""

from __future__ import annotations

import asyncio
from typing import Literal, Self

from trimtab.lab.upstream.loopback import Exchange, Loopback

Answer = tuple[int, bytes] | Literal["reset", "hang"]


class Listener:
    """Gives ``answers`` in turn, and the last one for ever after."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers) or [(200, b"{}")]
        self._server = Loopback(self._handle)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def exchanges(self) -> list[Exchange]:
        return self._server.exchanges

    async def heard(self, count: int, seconds: float = 5) -> list[Exchange]:
        """The exchanges, once there are ``count`` of them."""
        async with asyncio.timeout(seconds):
            while len(self.exchanges) < count:
                await asyncio.sleep(0.01)
        return self.exchanges

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)

    async def _handle(self, exchange: Exchange) -> Literal["complete", "cut"]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer == "hang":
            await asyncio.get_running_loop().create_future()
        if isinstance(answer, str):
            await exchange.finish("reset")
            return "cut"
        status, body = answer
        await exchange.start(status, {"content-type": "application/json"})
        await exchange.send(body)
        await exchange.finish()
        return "complete"
