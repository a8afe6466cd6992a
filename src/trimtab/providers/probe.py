"""Asks one door what works behind it: the address, the key, the model, and what a request may hold.

What is sent is public and short, and goes the way of every request: through the egress check, in the provider's own protocol. Each failure
is told in the upstream's terms with the next step; a wrong address, a wrong key and a missing model are three different things.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from difflib import get_close_matches

import msgspec
from msgspec import Raw, Struct, field

from trimtab.catalog import ProviderRow
from trimtab.core.catalog import Deployment
from trimtab.core.errors import UNSUPPORTED, FailureKind, ProviderError
from trimtab.core.events import fold
from trimtab.core.messages import (
    Dialect,
    Embedding,
    FinishReason,
    Message,
    Operation,
    OutputFormat,
    Request,
    Response,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Vector,
)
from trimtab.core.units import Deadline
from trimtab.core.zones import ONLY_PUBLIC
from trimtab.net import Egress, NetError, NetFailure
from trimtab.providers.base import Provider, Upstream
from trimtab.providers.endpoints import endpoint_for

PATIENCE = 60.0
"""Seconds for one question."""

HELLO = "Say hello."
TIME = "What time is it in Bern? Use the tool."
SKY = "Which colour is a clear sky? Answer in JSON."
"""All that is ever said."""

MOST_TOKENS = 128

_NO_DEADLINE = Deadline(float("inf"))
_MAX_LIST_BYTES = 4 * 1024 * 1024
_TOOL = Tool(
    "get_time", "The time in a city.", Raw(b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}')
)
_COLOUR = OutputFormat(
    "json_schema",
    name="colour",
    schema=Raw(b'{"type":"object","properties":{"colour":{"type":"string"}},"required":["colour"],"additionalProperties":false}'),
    strict=True,
)
_UNREACHED = frozenset({NetFailure.CONNECT, NetFailure.CONNECT_TIMEOUT, NetFailure.TLS, NetFailure.TIMEOUT})
_NO_ANSWER = frozenset({"unexpected_content_type", "undecodable_answer"})


class Finding(Struct, frozen=True):
    """``works`` is ``None`` for what was not asked. ``then`` is the next step."""

    what: str
    works: bool | None
    said: str = ""
    then: str = ""


class _Named(Struct):
    id: str = ""
    name: str = ""


class _List(Struct):
    data: list[_Named] = field(default_factory=list)
    models: list[_Named] = field(default_factory=list)


_LIST = msgspec.json.Decoder(_List)


class Probe:
    """One deployment behind one credential."""

    def __init__(self, egress: Egress, provider: Provider, row: ProviderRow, deployment: Deployment) -> None:
        self._egress = egress
        self._provider = provider
        self._row = row
        self._deployment = deployment
        self._known: tuple[str, ...] = ()

    async def everything(self) -> list[Finding]:
        """What works. The first thing that makes all others hopeless is the last that is asked."""
        found = [*await self._models()]
        if any(finding.works is False for finding in found):
            return found
        operations = self._deployment.card.operations
        if not self._deployment.model:
            then = f"Name one with --model{_listed(self._known)}."
            return [*found, Finding("model", None, "No model was named.", then)]
        if Operation.CHAT in operations:
            found += await self._chat()
        if Operation.EMBEDDINGS in operations and not _hopeless(found):
            found.append(await self._embeddings())
        rest = sorted(operations - {Operation.CHAT, Operation.EMBEDDINGS})
        return [*found, *(Finding(operation, None, "Not tried: it takes a file, or costs more than a word.") for operation in rest)]

    async def key(self) -> Finding:
        """Whether this credential opens the door: one short question."""
        operations = self._deployment.card.operations
        if operations.isdisjoint((Operation.CHAT, Operation.EMBEDDINGS)):
            return Finding("key", None, "Not tried: it takes a file, or costs more than a word.")
        finding = (await self._hello(stream=False))[0] if Operation.CHAT in operations else await self._embeddings()
        return msgspec.structs.replace(finding, what="key")

    # -- the list of models

    async def _models(self) -> list[Finding]:
        endpoint = endpoint_for(self._row, self._deployment.dialect)
        if not endpoint.models:
            return [Finding("models", None, "The protocol has no list of models here.")]
        exchange = self._egress.get(
            self._deployment.id,
            endpoint.models,
            carried=ONLY_PUBLIC,
            headers={"accept": "application/json", **{n: v for n, v in endpoint.headers.items() if n != "prefer"}},
            connect_timeout=self._deployment.timeouts.connect,
        )
        try:
            async with asyncio.timeout(PATIENCE), exchange as answer:
                status, body = answer.status, await answer.read(_MAX_LIST_BYTES)
        except (NetError, TimeoutError) as error:
            kind = error.kind if isinstance(error, NetError) else NetFailure.TIMEOUT
            if kind is NetFailure.CREDENTIAL:
                return [Finding("key", False, f"{error}.", self._check_key)]
            if kind in _UNREACHED:
                return [Finding("address", False, f"Nobody answers at {self._deployment.base_url} ({kind}).", self._check_server)]
            return [Finding("models", None, f"The list of models could not be read ({kind}).")]
        if status == 401:
            return [Finding("address", True), Finding("key", False, "The key is refused (status 401).", self._check_key)]
        try:
            told = _LIST.decode(body) if status == 200 else _List()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = _List()
        names = [one.id or one.name.removeprefix("models/") for one in (*told.data, *told.models)]
        self._known = tuple(sorted(name for name in names if name and name.isprintable() and len(name) <= 200))
        if not self._known:
            return [Finding("models", None, f"There is no list of models at this address (status {status}).")]
        return [Finding("address", True), Finding("models", True, f"{len(self._known)} listed.")]

    # -- questions

    async def _chat(self) -> list[Finding]:
        first, whole = await self._hello(stream=False)
        if first.works is False:
            return [first]
        streamed, stream = await self._hello(stream=True)
        found = [Finding("key", True), first, streamed]
        found += [await self._tools(), await self._structured(), _usage(whole, stream)]
        others = [dialect for dialect in self._row.also if dialect.operation is Operation.CHAT]
        for dialect in others:
            finding, _ = await self._hello(stream=False, dialect=dialect)
            found.append(msgspec.structs.replace(finding, what=f"{dialect}, natively"))
        return found

    async def _hello(self, *, stream: bool, dialect: Dialect | None = None) -> tuple[Finding, Response | None]:
        what = "stream" if stream else "chat"
        heard = await self._ask(what, self._request(HELLO, dialect=dialect, stream=stream))
        if isinstance(heard, Finding):
            return heard, None
        upstream, response, frames = heard
        if not _words(response) and response.choices and response.choices[0].finish_reason is FinishReason.LENGTH:
            return Finding(what, True, f"It answered, and thought for longer than {MOST_TOKENS} tokens."), response
        if stream and frames == 1 and not upstream.content_type.startswith(("text/event-stream", "application/vnd.amazon")):
            return Finding(what, False, "The answer came whole.", "Clients get it as a stream of one piece."), response
        return Finding(what, True, f"{frames} pieces." if stream else ""), response

    async def _tools(self) -> Finding:
        heard = await self._ask("tools", self._request(TIME, tools=(_TOOL,), tool_choice=ToolChoice("required")))
        if isinstance(heard, Finding):
            return heard
        calls = [part for choice in heard[1].choices for part in choice.parts if isinstance(part, ToolCall)]
        if not calls:
            return Finding("tools", False, "The model was asked to call a tool, and did not.", "Leave `tools` out of its card.")
        return Finding("tools", True)

    async def _structured(self) -> Finding:
        what = "structured output"
        heard = await self._ask(what, self._request(SKY, output=_COLOUR))
        if isinstance(heard, Finding):
            return heard
        try:
            fits = "colour" in msgspec.json.decode(_words(heard[1]), type=dict[str, str])
        except (msgspec.DecodeError, RecursionError):
            fits = False
        then = "Leave `structured_output` out of its card."
        return Finding(what, True) if fits else Finding(what, False, "The answer does not fit the schema that was asked for.", then)

    async def _embeddings(self) -> Finding:
        asked = self._request(HELLO, dialect=Dialect.OPENAI_EMBEDDINGS, embedding=Embedding(), sampling=Sampling())
        heard = await self._ask("embeddings", asked)
        if isinstance(heard, Finding):
            return heard
        vectors = [part for choice in heard[1].choices for part in choice.parts if isinstance(part, Vector)]
        if len(vectors) != 1:
            return Finding("embeddings", False, f"One input got {len(vectors)} vectors.")
        return Finding("embeddings", True, f"{len(msgspec.json.decode(vectors[0].raw, type=list[float]))} dimensions.")

    def _request(self, text: str, *, dialect: Dialect | None = None, **fields: object) -> Request:
        told: Mapping[str, object] = {"sampling": Sampling(max_tokens=MOST_TOKENS), **fields}
        return msgspec.structs.replace(
            Request(
                dialect=dialect or Dialect.OPENAI_CHAT,
                model=self._deployment.model,
                messages=(Message("user", (Text(text),)),),
                sensitivity=ONLY_PUBLIC,
            ),
            **told,
        )

    async def _ask(self, what: str, request: Request) -> tuple[Upstream, Response, int] | Finding:
        try:
            async with asyncio.timeout(PATIENCE), self._provider.open(self._deployment, request, _NO_DEADLINE) as upstream:
                frames = [frame async for frame in upstream.frames]
        except ProviderError as error:
            return self._explained(what, error)
        except TimeoutError:
            return Finding(what, False, f"No answer within {PATIENCE:.0f} s.", "The model may be loading: ask again.")
        return upstream, fold(event for frame in frames for event in frame.events), sum(frame.has_content for frame in frames)

    # -- what a failure means

    @property
    def _check_key(self) -> str:
        named = f", or {self._row.key_env}" if self._row.key_env else ""
        return f"Check the credential of the deployment in the configuration{named}."

    @property
    def _check_server(self) -> str:
        return "Check base_url, and that the server runs and can be reached from here."

    def _explained(self, what: str, error: ProviderError) -> Finding:
        told = f" It said: {error.excerpt}" if error.excerpt else ""
        if error.detail in _UNREACHED:
            return Finding("address", False, f"Nobody answers at {self._deployment.base_url} ({error.detail}).", self._check_server)
        if error.detail == UNSUPPORTED:
            return Finding(what, False, error.message, "Other deployments are tried for it.")
        match error.kind:
            case FailureKind.CREDENTIAL:
                said = f"The key is refused (status {error.upstream_status}).{told}" if error.upstream_status else error.message
                return Finding("key", False, said, self._check_key)
            case FailureKind.MODEL_GONE:
                near = get_close_matches(self._deployment.model, self._known, n=3, cutoff=0.3)
                then = f"Check `model`{_listed(near)}."
                return Finding("model", False, f"The key is good, and there is no model {self._deployment.model!r}.{told}", then)
            case FailureKind.QUOTA:
                return Finding(
                    what, False, f"The account is empty, or at its limit.{told}", "Pay, or raise the limit, at the provider."
                )
            case FailureKind.RATE_LIMIT:
                return Finding(what, False, f"Too many requests at the moment.{told}", "Wait and ask again.")
            case _ if error.upstream_status in (404, 405) or error.detail in _NO_ANSWER:
                usual = f", such as {self._row.base_url}" if self._row.base_url else ""
                said = (
                    f"Somebody answers at {self._deployment.base_url}, and does not speak {self._deployment.dialect} there.{told}"
                )
                return Finding(
                    "address", False, said, f"Check base_url: it ends where the protocol's own clients want it to{usual}."
                )
        return Finding(what, False, f"{error.message}{told}", "Nothing here tells why: the provider's status page may.")


def _hopeless(found: list[Finding]) -> bool:
    return any(finding.works is False and finding.what in ("address", "key", "model") for finding in found)


def _words(response: Response) -> str:
    return "".join(part.text for choice in response.choices for part in choice.parts if isinstance(part, Text))


def _usage(whole: Response | None, stream: Response | None) -> Finding:
    """Unknown usage is recorded as unknown, and whoever has a budget wants to know."""
    silent = [
        name
        for name, response in (("whole answers", whole), ("streams", stream))
        if response is not None and (response.usage.input is None or response.usage.output is None)
    ]
    if not silent:
        return Finding("usage", True)
    return Finding("usage", False, f"Not reported with {' and '.join(silent)}.", "Their cost is recorded as unknown.")


def _listed(names: tuple[str, ...] | list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"; known there: {', '.join(names[:8])}{more}"
