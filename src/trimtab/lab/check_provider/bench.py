"""What is checked, in front of an upstream that does as it is told, and the requests that go to it, each in its own protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trimtab.core.catalog import Deployment
from trimtab.core.errors import ProviderError
from trimtab.core.events import Event, Frame, Started, fold
from trimtab.core.messages import Dialect, Request, Text
from trimtab.core.units import Deadline
from trimtab.core.zones import ONLY_PUBLIC
from trimtab.lab.faults import Behaviour, FaultyUpstream
from trimtab.lab.upstream.loopback import Exchange
from trimtab.providers import Provider
from trimtab.wire import CODECS

CANARY = "the-clients-own-words-7f3a"
UNKNOWN_FIELD = "x_lab_field"
UNKNOWN_VALUE = [1, 2.5, None]
FAR = Deadline(1e6)

_CHAT: Mapping[str, object] = {"model": "auto", "max_tokens": 64, "messages": [{"role": "user", "content": CANARY}]}
_BODIES: Mapping[Dialect, Mapping[str, object]] = {
    Dialect.OPENAI_CHAT: _CHAT,
    Dialect.ANTHROPIC: _CHAT,
    Dialect.COHERE: _CHAT,
    Dialect.GEMINI: {"contents": [{"role": "user", "parts": [{"text": CANARY}]}], "generationConfig": {"maxOutputTokens": 64}},
    Dialect.OPENAI_RESPONSES: {"model": "auto", "input": CANARY, "store": False},
    Dialect.OPENAI_EMBEDDINGS: {"model": "auto", "input": [CANARY, "two"]},
    Dialect.COHERE_EMBED: {"model": "auto", "texts": [CANARY], "input_type": "search_query", "embedding_types": ["float"]},
    Dialect.OPENAI_MODERATIONS: {"model": "auto", "input": CANARY},
    Dialect.OPENAI_IMAGES: {"model": "auto", "prompt": CANARY},
}
_FORM = (
    b'--lab\r\ncontent-disposition: form-data; name="model"\r\n\r\nauto\r\n'
    b'--lab\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--lab--\r\n'
)
_STREAM_IN_PATH = frozenset({Dialect.GEMINI})


def body_in(dialect: Dialect, *, stream: bool = False) -> bytes:
    """A client's body in ``dialect``, with a field that nobody knows."""
    if dialect is Dialect.OPENAI_TRANSCRIPTIONS:
        return _FORM
    strange: dict[str, object] = {UNKNOWN_FIELD: UNKNOWN_VALUE}
    if dialect is Dialect.GEMINI_EMBED:
        return msgspec.json.encode({"requests": [{"content": {"parts": [{"text": CANARY}]}} | strange]})
    fields = {**_BODIES[dialect], **strange}
    return msgspec.json.encode(fields | {"stream": True} if stream and dialect not in _STREAM_IN_PATH else fields)


class Subject(Struct, frozen=True):
    """What is checked. The deployment's ``base_url`` is the one that the factory was given, with whatever path the provider needs."""

    provider: Provider
    deployment: Deployment


Factory = Callable[[str], AbstractAsyncContextManager[Subject]]


class Nonconforming(AssertionError):
    """What a provider does other than it must."""


def must(holds: bool, what: str) -> None:
    if not holds:
        raise Nonconforming(what)


class Bench:
    """A subject in front of an upstream that does as it is told.

    ``modes`` are the values of ``stream`` that its protocol knows. Where clients do not speak the protocol, one asks in OpenAI's.
    """

    def __init__(self, factory: Factory, upstream: FaultyUpstream, subject: Subject) -> None:
        self.factory = factory
        self.upstream = upstream
        self.provider = subject.provider
        self.deployment = subject.deployment
        self.dialect = subject.deployment.dialect
        self.client = self.dialect if self.dialect in CODECS else Dialect.OPENAI_CHAT
        self.modes = (False,) if self.dialect is Dialect.REPLICATE else (True, False)
        self.has_tools = self.dialect is not Dialect.REPLICATE

    @property
    def streams(self) -> bool:
        return True in self.modes

    @property
    def last(self) -> Exchange:
        return self.upstream.exchanges[-1]

    def request(self, *, stream: bool, dialect: Dialect | None = None) -> Request:
        dialect = dialect or self.client
        asked = CODECS[dialect].decode_request(body_in(dialect, stream=stream))
        return replace(asked, model="auto", stream=stream, sensitivity=ONLY_PUBLIC)

    async def frames(self, *, stream: bool | None = None) -> AsyncIterator[Frame]:
        asked = self.request(stream=self.streams if stream is None else stream)
        async with self.provider.open(self.deployment, asked, FAR) as upstream:
            async for frame in upstream.frames:
                yield frame

    async def hear(self, behaviour: Behaviour, *, stream: bool | None = None) -> list[Event]:
        """Everything that the provider tells of one answer."""
        self.upstream.play(behaviour)
        return [event async for frame in self.frames(stream=stream) for event in frame.events]

    async def fail(self, behaviour: Behaviour, *, stream: bool | None = None) -> tuple[ProviderError, list[Event]]:
        """The error that ends one answer, and what was told before it."""
        self.upstream.play(behaviour)
        heard: list[Event] = []
        before = len(self.upstream.exchanges)
        try:
            async for frame in self.frames(stream=stream):
                heard += frame.events
        except ProviderError as error:
            must(len(self.upstream.exchanges) == before + 1, "A failed request was sent again: retrying is the engine's affair.")
            return error, heard
        raise Nonconforming(f"{behaviour!r} (stream={stream}) ended without an error after {heard!r}.")


Check = Callable[[Bench], Awaitable[None]]


def text_of(events: list[Event]) -> str:
    parts = [part for choice in fold(events).choices for part in choice.parts]
    return "".join(part.text for part in parts if isinstance(part, Text))


def told_of(events: list[Event]) -> list[Event]:
    """Without what differs from one exchange to the next."""
    return [event for event in events if not isinstance(event, Started)]
