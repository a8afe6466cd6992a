"""Google's Gemini protocol: the model and what is wanted of it stand in the path, behind ``/v1/models/`` or ``/v1beta/models/``."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from msgspec.structs import replace
from starlette.types import Receive, Send

from trimtab.core.errors import UnknownRoute
from trimtab.core.messages import Dialect, Request
from trimtab.server.common.site import Site
from trimtab.server.doors.completion import Completion
from trimtab.server.doors.door import Asked, Door
from trimtab.wire import CODECS, ClientCodec, GeminiEmbed

_METHODS: Mapping[str, tuple[ClientCodec, bool]] = {
    "generateContent": (CODECS[Dialect.GEMINI], False),
    "streamGenerateContent": (CODECS[Dialect.GEMINI], True),
    "embedContent": (GeminiEmbed(single=True), False),
    "batchEmbedContents": (CODECS[Dialect.GEMINI_EMBED], False),
}


class _Method(Completion):
    """One method of one model."""

    def __init__(self, site: Site, codec: ClientCodec, model: str, *, stream: bool) -> None:
        super().__init__(site, codec)
        self._model = model
        self._stream_wanted = stream

    def decode(self, asked: Asked) -> Request:
        return replace(super().decode(asked), model=self._model, stream=self._stream_wanted)


class GeminiDoor(Door):
    def __init__(self, site: Site) -> None:
        super().__init__(site, CODECS[Dialect.GEMINI])
        self._house = site

    async def answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        model, _, method = asked.scope["path_params"]["target"].rpartition(":")
        codec, stream = _METHODS.get(method, (None, False))
        if codec is None or not model:
            raise UnknownRoute(f"{method or 'Nothing'} is not served here.", hint=f"Served are {', '.join(_METHODS)}.")
        if stream and parse_qs(asked.scope["query_string"].decode("latin-1")).get("alt") != ["sse"]:
            raise UnknownRoute("A stream is served as server-sent events alone.", hint="Add ?alt=sse to the address.")
        await _Method(self._house, codec, model, stream=stream).answer(asked, receive, send)
