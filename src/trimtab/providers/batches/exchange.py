"""What the batches of all providers share: one exchange with the endpoint, its refusals classified, its results read line by line.

A batch belongs to the account that it was handed over to, so it goes by a deployment's first credential alone. No deadline of a client
stands around these calls, so each has a bound of its own, out of the deployment's time-outs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from trimtab import __version__
from trimtab.core.catalog import Deployment
from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect
from trimtab.core.zones import ONLY_PUBLIC, Sensitivity
from trimtab.net import Answer, NetError, NetFailure
from trimtab.providers.base import BatchLine
from trimtab.providers.failures import classify, classify_net, malformed
from trimtab.providers.http import MAX_ANSWER_BYTES, MAX_ERROR_BYTES, HTTPProvider
from trimtab.wire import UpstreamErrorEvent, WireError

T = TypeVar("T")


class BatchExchange(HTTPProvider):
    """Besides the bodies of single requests, which a line's are too."""

    @asynccontextmanager
    async def _exchanged(
        self,
        deployment: Deployment,
        path: str,
        body: bytes | None,
        carried: frozenset[Sensitivity] = ONLY_PUBLIC,
        said: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Answer]:
        """``None`` as a body asks with GET; ``said`` are more headers. Raises :class:`ProviderError`, also for a bad status."""
        _, endpoint = self._calls[self._row.dialect]
        headers = {"user-agent": f"trimtab/{__version__}", "accept": "*/*", **endpoint.headers, **(said or {})}
        connect = deployment.timeouts.connect
        if body is None:
            exchange = self._egress.get(deployment.id, path, carried=carried, headers=headers, connect_timeout=connect)
        else:
            headers.setdefault("content-type", "application/json")
            exchange = self._egress.post(deployment.id, path, body, carried=carried, headers=headers, connect_timeout=connect)
        try:
            async with exchange as answer:
                if not 200 <= answer.status < 300:
                    raise await self._refusal(deployment, answer)
                yield answer
        except NetError as error:
            raise classify_net(error) from error

    async def _refusal(self, deployment: Deployment, answer: Answer) -> ProviderError:
        said = self._calls[self._row.dialect][0].decode_error(await answer.read(MAX_ERROR_BYTES))
        said = replace(said, message=answer.without_credentials(said.message))
        return classify(answer.status, said, answer.headers, who=deployment.id, now=self._now())

    async def _told(self, deployment: Deployment, path: str, body: bytes | None, decoder: msgspec.json.Decoder[T]) -> T:
        """The answer to a question."""
        async with within(deployment, deployment.timeouts.first_token), self._exchanged(deployment, path, body) as answer:
            return await self._read(deployment, answer, decoder)

    async def _read(self, deployment: Deployment, answer: Answer, decoder: msgspec.json.Decoder[T]) -> T:
        try:
            return decoder.decode(await answer.read(MAX_ERROR_BYTES))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise malformed(deployment.id, "undecodable_answer", answer.status) from None

    async def _rows(self, deployment: Deployment, path: str, decoder: msgspec.json.Decoder[T]) -> AsyncGenerator[T]:
        """The lines behind ``path``. A download may take as long as it likes, while something comes."""
        async with AsyncExitStack() as stack:
            async with within(deployment, deployment.timeouts.first_token):
                answer = await stack.enter_async_context(self._exchanged(deployment, path, None))
            pieces = await stack.enter_async_context(aclosing(answer.chunks()))
            rest = bytearray()
            while piece := await self._piece(deployment, pieces):
                rest += piece
                *rows, rest = rest.split(b"\n")
                for row in rows:
                    if row.strip():
                        yield self._row_of(deployment, bytes(row), decoder)
                if len(rest) > MAX_ANSWER_BYTES:
                    raise malformed(deployment.id, "answer_too_large", answer.status)
            if rest.strip():
                yield self._row_of(deployment, bytes(rest), decoder)

    async def _piece(self, deployment: Deployment, pieces: AsyncGenerator[bytes]) -> bytes:
        async with within(deployment, deployment.timeouts.idle):
            return await anext(pieces, b"")

    def _row_of(self, deployment: Deployment, row: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        try:
            return decoder.decode(row)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise malformed(deployment.id, "undecodable_answer", 200) from None

    def _answered(self, deployment: Deployment, dialect: Dialect, body: bytes) -> Frame | ProviderError:
        """The answer of one line, as it would have come by itself."""
        try:
            return self._calls[dialect][0].decode_response(body)
        except UpstreamErrorEvent as error:
            return classify(200, error.error, {}, who=deployment.id, now=self._now())
        except WireError:
            return malformed(deployment.id, "undecodable_answer", 200)

    def _refused(self, deployment: Deployment, dialect: Dialect, status: int, body: bytes) -> ProviderError:
        return classify(status, self._calls[dialect][0].decode_error(body), {}, who=deployment.id, now=self._now())


@asynccontextmanager
async def within(deployment: Deployment, seconds: float) -> AsyncIterator[None]:
    """Raises :class:`ProviderError` where what is inside takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        error = NetError(NetFailure.TIMEOUT, deployment.id, f"after {seconds:g} s")
        raise classify_net(error) from None


def unanswered(deployment: Deployment, why: str) -> ProviderError:
    """The provider did nothing about a line: it may run again, and was not billed."""
    return ProviderError(FailureKind.TRANSIENT, f"{deployment.id} did not get to the line.", upstream_status=503, detail=why)


def carried_by(lines: Sequence[BatchLine]) -> frozenset[Sensitivity]:
    return frozenset[Sensitivity]().union(*(line.request.sensitivity for line in lines))


def safe(id: str) -> str:
    """An id of the provider's as part of a path. Nothing that it could say instead of one leads anywhere else."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_" for letter in id)
