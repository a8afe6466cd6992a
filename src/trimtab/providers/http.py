"""What every provider over HTTP shares: one request, one answer read as frames, and whatever goes wrong classified.

A dialect's own file says where to post, with which headers, and what counts as the end of a stream. Time-outs other than connecting
belong to the engine, which holds the deadline around the frames.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import ClassVar

from msgspec.structs import replace

from trimtab import __version__
from trimtab.catalog import ProviderRow
from trimtab.core.catalog import Deployment
from trimtab.core.errors import ProviderError
from trimtab.core.events import Ended, Finished, Frame, Started, UsageReported
from trimtab.core.messages import Request
from trimtab.core.units import Deadline
from trimtab.net import Answer, Egress, NetError
from trimtab.providers.base import Upstream
from trimtab.providers.failures import classify, classify_net, malformed, truncated
from trimtab.wire import CODECS, Codec, SSEDecoder, SSEOverflow, UpstreamError, UpstreamErrorEvent, WireError

MAX_ERROR_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024

_ID_HEADERS = ("x-request-id", "request-id", "x-generation-id")
_AS_ASKED = frozenset({"", "text/plain", "application/octet-stream"})
"""Content types that say nothing: the body is taken for what was asked for."""


class HTTPProvider:
    """A provider of one row. ``now`` is seconds since the epoch, for a ``Retry-After`` that is a date."""

    path: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}
    may_end_unsaid: ClassVar[bool]
    """May a stream whose choices are all finished end without the protocol's last word?"""

    def __init__(self, egress: Egress, row: ProviderRow, *, now: Callable[[], float] = time.time) -> None:
        self._egress = egress
        self._row = row
        self._now = now
        self._codec = self.codec_for(row)

    def codec_for(self, row: ProviderRow) -> Codec:
        return CODECS[row.dialect]

    @asynccontextmanager
    async def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AsyncIterator[Upstream]:
        """See :class:`~trimtab.providers.Provider`. ``deadline`` is held by whoever waits for the frames."""
        body, lost = self.body(deployment, request)
        accept = "text/event-stream, application/json" if request.stream else "application/json"
        async with self._answer(deployment, self.path, body, request, accept) as reader, aclosing(reader.frames()) as frames:
            yield Upstream(frames, reader.upstream_id, lost)

    def body(self, deployment: Deployment, request: Request) -> tuple[bytes, tuple[str, ...]]:
        """The bytes to send, and the names of what they cannot carry: the client's own bytes where upstream speaks its dialect."""
        if self.forwards(request):
            return self._codec.forward_request(request, deployment.model, want_usage=self._row.usage_in_stream), ()
        return self._codec.encode_request(request, deployment.model)

    def forwards(self, request: Request) -> bool:
        return bool(request.native) and request.dialect is self._codec.dialect

    @asynccontextmanager
    async def _answer(
        self, deployment: Deployment, path: str, body: bytes, request: Request, accept: str
    ) -> AsyncIterator[_Reader]:
        """Post ``body``; give the reader of an answer whose status is good, or raise."""
        said = {
            "content-type": "application/json",
            "accept": accept,
            "user-agent": f"trimtab/{__version__}",
            **self.headers,
        }
        exchange = self._egress.post(
            deployment.id,
            path,
            body,
            carried=request.sensitivity,
            headers=said,
            connect_timeout=deployment.timeouts.connect,
        )
        try:
            async with exchange as answer:
                reader = _Reader(self._codec, answer, request, deployment.id, self._now, self.may_end_unsaid)
                if not 200 <= answer.status < 300:
                    raise await reader.refusal()
                yield reader
        except NetError as error:
            raise classify_net(error) from error


class _Reader:
    """Reads one answer."""

    def __init__(
        self, codec: Codec, answer: Answer, request: Request, who: str, now: Callable[[], float], may_end_unsaid: bool
    ) -> None:
        self._codec = codec
        self._answer = answer
        self._request = request
        self._who = who
        self._now = now
        self._may_end_unsaid = may_end_unsaid
        self.upstream_id = next((answer.headers[name][:200] for name in _ID_HEADERS if name in answer.headers), "")

    async def refusal(self) -> ProviderError:
        """What an answer with a bad status says."""
        try:
            said = await self._answer.read(MAX_ERROR_BYTES)
        except NetError:
            said = b""  # the status line tells enough
        return self._classified(self._codec.decode_error(said))

    def _classified(self, error: UpstreamError) -> ProviderError:
        return classify(
            self._answer.status,
            replace(error, message=self._answer.without_credentials(error.message)),
            self._answer.headers,
            who=self._who,
            now=self._now(),
            upstream_id=self.upstream_id,
        )

    def _malformed(self, detail: str) -> ProviderError:
        return malformed(self._who, detail, self._answer.status, self.upstream_id)

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """The answer, up to and with the frame that ends it. Raises :class:`ProviderError` and nothing else."""
        try:
            if not self._is_stream():
                frame = self._codec.decode_response(await self.whole())
                choices = _Choices(1)
                choices.add(frame)
                if not choices.are_ended:
                    raise self._malformed("unfinished_answer")
                yield frame if not self._request.stream else replace(frame, native=b"")
            elif self._request.stream:
                async with aclosing(self._stream()) as frames:
                    async for frame in frames:
                        yield frame
            else:
                yield await self._gathered()
        except NetError as error:
            raise classify_net(error, upstream_status=self._answer.status, upstream_id=self.upstream_id) from error
        except UpstreamErrorEvent as error:
            raise self._classified(error.error) from error
        except WireError as error:
            raise self._malformed("undecodable_answer") from error
        except SSEOverflow as error:
            raise self._malformed("event_too_large") from error

    def _is_stream(self) -> bool:
        media = self._answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media == "text/event-stream":
            return True
        if media.endswith("json"):
            return False
        if media in _AS_ASKED:
            return self._request.stream
        raise self._malformed("unexpected_content_type")

    async def whole(self) -> bytes:
        body = await self._answer.read(MAX_ANSWER_BYTES + 1)
        if len(body) > MAX_ANSWER_BYTES:
            raise self._malformed("answer_too_large")
        return body

    async def _stream(self) -> AsyncGenerator[Frame, None]:
        framing, decoder, choices = SSEDecoder(), self._codec.stream_decoder(), _Choices(self._request.sampling.n or 1)
        async with aclosing(self._answer.chunks()) as chunks:
            async for chunk in chunks:
                for event in framing.feed(chunk):
                    frame = decoder.feed(event)
                    choices.add(frame)
                    if frame.is_last and not choices.are_ended:
                        raise truncated(self._who, self.upstream_id)
                    yield frame
                    if frame.is_last:
                        return
        if framing.pending or not (self._may_end_unsaid and choices.are_complete):
            raise truncated(self._who, self.upstream_id)
        yield Frame((Ended(),))

    async def _gathered(self) -> Frame:
        """A stream that nobody asked for, as the one frame that was asked for."""
        size = 0
        gathered: list[Frame] = []
        async with aclosing(self._stream()) as frames:
            async for frame in frames:
                gathered.append(frame)
                size += len(frame.native)
                if size > MAX_ANSWER_BYTES:
                    raise self._malformed("answer_too_large")
        return Frame(tuple(event for frame in gathered for event in frame.events))


class _Choices:
    """Which choices have begun and which are finished."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def add(self, frame: Frame) -> None:
        for event in frame.events:
            if isinstance(event, Finished):
                self._finished.add(event.choice)
            elif not isinstance(event, (Started, UsageReported, Ended)):
                self._begun.add(event.choice)

    @property
    def are_ended(self) -> bool:
        """Whatever has begun is finished, and something is. A server may give fewer choices than were asked for."""
        return bool(self._finished) and self._begun <= self._finished

    @property
    def are_complete(self) -> bool:
        return len(self._finished) >= self._expected and self._begun <= self._finished
