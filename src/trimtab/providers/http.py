"""The provider over HTTP: one request, one answer read as frames, and whatever goes wrong classified.

``endpoints`` says where to post, with which headers, and what counts as the end of a stream; the row says what is special about one
provider. Time-outs other than connecting belong to the engine, which holds the deadline around the frames.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from msgspec.structs import replace

from trimtab import __version__
from trimtab.catalog import ProviderRow
from trimtab.core.catalog import Deployment
from trimtab.core.errors import UNSUPPORTED, FailureKind, ProviderError
from trimtab.core.events import Ended, Finished, Frame, Started, UsageReported
from trimtab.core.messages import Dialect, Request
from trimtab.core.units import Deadline
from trimtab.net import Answer, Egress, NetError
from trimtab.providers.base import Upstream
from trimtab.providers.endpoints import Endpoint, codec_for, endpoint_for
from trimtab.providers.failures import classify, classify_net, malformed, truncated
from trimtab.providers.keyring import Keyring
from trimtab.wire import SSEOverflow, Untranslatable, UpstreamCodec, UpstreamError, UpstreamErrorEvent, WireError
from trimtab.wire.body import Losses
from trimtab.wire.operations import in_form
from trimtab.wire.unread import unread

MAX_ERROR_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024

_ID_HEADERS = ("x-request-id", "request-id", "x-generation-id")
_ACCEPT = {Dialect.OPENAI_TRANSCRIPTIONS: "*/*"}
_ALSO_WHOLE = {Dialect.OPENAI_TRANSCRIPTIONS: frozenset({"text/vtt", "text/srt", "application/x-subrip"})}
_AS_ASKED = frozenset({"", "text/plain", "application/octet-stream"})
"""Content types that say nothing: the body is taken for what was asked for."""


class HTTPProvider:
    """A provider of one row. ``now`` is seconds since the epoch, for a ``Retry-After`` that is a date.

    ``keyring`` says to which of a deployment's receivers, one for each credential, the next request goes.
    """

    def __init__(
        self, egress: Egress, row: ProviderRow, *, keyring: Keyring | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._egress = egress
        self._row = row
        self._keyring = keyring
        self._now = now
        self._calls = {dialect: (codec_for(row, dialect), endpoint_for(row, dialect)) for dialect in row.dialects}

    @asynccontextmanager
    async def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AsyncIterator[Upstream]:
        """See :class:`~trimtab.providers.Provider`. ``deadline`` is held by whoever waits for the frames."""
        dialect = self._spoken(request)
        codec, endpoint = self._calls[dialect]
        body, lost = self._body(codec, deployment, request)
        async with (
            self._answer(codec, endpoint, deployment, body, request) as reader,
            aclosing(reader.frames()) as frames,
        ):
            yield Upstream(
                frames,
                reader.upstream_id,
                lost,
                dialect=dialect,
                content_type=reader.content_type,
                credential=reader.credential,
            )

    def _spoken(self, request: Request) -> Dialect:
        """The client's own dialect where the upstream speaks it, else the first that does what is asked for."""
        if request.dialect in self._calls:
            return request.dialect
        wanted = request.dialect.operation
        for dialect in self._calls:
            if dialect.operation is wanted:
                return dialect
        raise ProviderError(FailureKind.UNKNOWN, f"{self._row.name} has no {wanted}.", detail=UNSUPPORTED)

    def _body(self, codec: UpstreamCodec, deployment: Deployment, request: Request) -> tuple[bytes, tuple[str, ...]]:
        """The bytes to send, and the names of what they cannot carry: the client's own bytes where upstream speaks its dialect, less
        thinking that the provider would refuse as signed by another.
        """
        usage = self._row.usage_in_stream
        if request.native and request.dialect is codec.dialect:
            lost = Losses(request.foreign).names() if request.foreign else ()
            return codec.forward_request(request, deployment.model, want_usage=usage), lost
        if request.stream:
            # A translated stream asks for its usage, unless the row says that the upstream does not know how to tell.
            request = replace(request, include_usage=usage)
        try:
            body, lost = codec.encode_request(request, deployment.model)
        except Untranslatable as error:
            raise ProviderError(FailureKind.UNKNOWN, f"{deployment.id}: {error}.", detail=UNSUPPORTED) from error
        return body, (*lost, *unread(request), *(name for name, _ in request.headers))

    @asynccontextmanager
    async def _answer(
        self, codec: UpstreamCodec, endpoint: Endpoint, deployment: Deployment, body: bytes, request: Request
    ) -> AsyncIterator[_Reader]:
        """Post ``body``; give the reader of an answer whose status is good, or raise."""
        same = request.dialect is codec.dialect
        said = {
            **(dict(request.headers) if same else {}),
            "content-type": request.content_type if same else "application/json",
            "accept": f"{endpoint.stream_type}, application/json"
            if request.stream
            else _ACCEPT.get(codec.dialect, "application/json"),
            "user-agent": f"trimtab/{__version__}",
            **endpoint.headers,
        }
        receiver = deployment.id if self._keyring is None else self._keyring.pick()
        exchange = self._egress.post(
            receiver,
            endpoint.target(deployment.model, stream=request.stream),
            body,
            carried=request.sensitivity,
            headers=said,
            connect_timeout=deployment.timeouts.connect,
        )
        try:
            async with exchange as answer:
                reader = _Reader(codec, endpoint, answer, request, deployment.id, self._now)
                reader.model = deployment.model
                reader.credential = "" if self._keyring is None else receiver
                if not 200 <= answer.status < 300:
                    raise await reader.refusal()
                yield reader
        except NetError as error:
            raise self._blamed(receiver, classify_net(error)) from error
        except ProviderError as error:
            self._blamed(receiver, error)
            raise

    def _blamed(self, receiver: str, error: ProviderError) -> ProviderError:
        if self._keyring is not None:
            error.credential = receiver
            self._keyring.failed(receiver, error)
        return error


class _Reader:
    """Reads one answer."""

    credential = ""
    model = ""

    def __init__(
        self,
        codec: UpstreamCodec,
        endpoint: Endpoint,
        answer: Answer,
        request: Request,
        who: str,
        now: Callable[[], float],
    ) -> None:
        self._codec = codec
        self._endpoint = endpoint
        self._answer = answer
        self._request = request
        self._who = who
        self._now = now
        self.content_type = answer.headers.get("content-type", "")
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
                frame = self._named(in_form(self._codec.decode_response(await self.whole()), self._request))
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

    def _named(self, frame: Frame) -> Frame:
        """Some protocols (Cohere's, Bedrock's) never say which model answers: it is the one that was asked for."""
        match frame.events:
            case (Started(model="") as started, *rest):
                return replace(frame, events=(replace(started, model=self.model), *rest))
            case _:
                return frame

    def _is_stream(self) -> bool:
        media = self.content_type.partition(";")[0].strip().lower()
        if media == self._endpoint.stream_type:
            return True
        if media.endswith("json") or media in _ALSO_WHOLE.get(self._codec.dialect, ()):
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
        framing, decoder, choices = (
            self._endpoint.framing(),
            self._codec.stream_decoder(),
            _Choices(self._request.sampling.n or 1),
        )
        async with aclosing(self._answer.chunks()) as chunks:
            async for chunk in chunks:
                for event in framing.feed(chunk):
                    frame = self._named(decoder.feed(event))
                    choices.add(frame)
                    if frame.is_last and not choices.are_ended:
                        raise truncated(self._who, self.upstream_id)
                    yield frame
                    if frame.is_last:
                        return
        if framing.pending or not (self._endpoint.may_end_unsaid and choices.are_complete):
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
