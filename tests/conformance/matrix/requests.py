"""What becomes of each feature of a request on its way to each upstream: carried, named as lost, refused, forwarded, or a gap.

A feature is carried when the upstream's own reader finds in the body what the client's decoder found in the client's. It may only be
missing there under its own name. What the client's decoder does not notice at all is a gap, too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache

import msgspec
from msgspec import Struct
from tests.conformance.matrix.content import CONVERSATION, MEDIA, TOOLS
from tests.conformance.matrix.feature import (
    ANTHROPIC,
    CHAT,
    CLIENTS,
    COHERE,
    COHERE_EMBED,
    CONVERSE,
    EMBEDDERS,
    EMBEDDINGS,
    GEMINI,
    GEMINI_EMBED,
    PLAIN,
    REPLICATE,
    RESPONSES,
    Feature,
    Json,
    Upstream,
    merged,
)
from tests.conformance.matrix.options import EMBEDDED, FORM, HISTORY, SAMPLING, SERVICE
from tests.support import converse
from tests.support.bedrock import check_request

from trimtab.core.errors import MalformedRequest
from trimtab.core.messages import (
    Dialect,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Request,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from trimtab.wire import CODECS, UPSTREAM_CODECS, Untranslatable
from trimtab.wire.gemini.translate import UNSIGNED
from trimtab.wire.unread import unread


class Verdict(StrEnum):
    CARRIED = "carried"
    PARTLY = "partly"
    NAMED = "named"
    REFUSED = "refused"
    NATIVE = "native"
    ABSENT = "absent"


class Cell(Struct, frozen=True):
    """``names`` are those of what is lost, or why it is refused."""

    verdict: Verdict
    names: tuple[str, ...] = ()


class Gap(AssertionError):
    """Something vanished, and nobody said so."""


PLAIN_CHAT = Feature("a question", {dialect: {} for dialect in CLIENTS})
PLAIN_EMBEDDING = Feature("a text", {dialect: {} for dialect in EMBEDDERS}, ("input_type", "taskType"))
GROUPS: tuple[tuple[str, tuple[Feature, ...]], ...] = (
    ("Conversation", (PLAIN_CHAT, *CONVERSATION)),
    ("Media", MEDIA),
    ("Tools", (*TOOLS, *HISTORY)),
    ("Sampling and thinking", SAMPLING),
    ("Form of the answer", FORM),
    ("Service", SERVICE),
)
EMBEDDING_FEATURES = (PLAIN_EMBEDDING, *EMBEDDED)
FEATURES = {feature.name: feature for _, features in (*GROUPS, ("", EMBEDDING_FEATURES)) for feature in features}


def body_of(feature: Feature, client: Dialect) -> Json:
    body = body_of(FEATURES[feature.base], client) if feature.base else PLAIN[client]
    return merged(body, feature.bodies.get(client, {}))


# -- what an upstream reads -------------------------------------------------------------------------------------------------------


def read_back(body: bytes, upstream: Upstream, *, stream: bool) -> Request:
    """``stream`` stands in the path where the protocol has it there."""
    match upstream.dialect:
        case dialect if dialect == CONVERSE:
            check_request(body)
            return msgspec.structs.replace(converse.read_request(json.loads(body)), stream=stream)
        case dialect if dialect == REPLICATE:
            return msgspec.structs.replace(_replicate(json.loads(body)["input"]), stream=stream)
        case dialect if dialect == GEMINI:
            return msgspec.structs.replace(CODECS[dialect].decode_request(body), stream=stream)
        case dialect:
            return CODECS[dialect].decode_request(body)


def _replicate(inputs: Json) -> Request:
    system = inputs.get("system_prompt")
    return Request(
        dialect=REPLICATE,
        model="",
        messages=(*((Message("system", (Text(system),)),) if system else ()), Message("user", (Text(inputs["prompt"]),))),
        sampling=Sampling(max_tokens=inputs.get("max_tokens"), temperature=inputs.get("temperature"), top_p=inputs.get("top_p")),
    )


# -- the same in other words -------------------------------------------------------------------------------------------------------

Facets = dict[str, object]

IMPLIED: dict[Dialect, frozenset[str]] = {
    # An answer to a schema is always held to it, and a format of plain text is no format.
    ANTHROPIC: frozenset({"output.strict", "output.text"}),
    GEMINI: frozenset({"output.strict", "output.name"}),
    COHERE: frozenset({"output.strict", "output.name"}),
    CONVERSE: frozenset({"output.strict", "output.text"}),
    REPLICATE: frozenset({"output.text"}),
    # The gateway packs vectors itself, or unpacks them.
    COHERE_EMBED: frozenset({"embedding.encoding"}),
    GEMINI_EMBED: frozenset({"embedding.encoding"}),
    EMBEDDINGS: frozenset(),
}
"""What an upstream does without being told."""

_DEFAULT_NAMES = (None, "document.pdf", "Document")
"""Protocols that demand a name of a document get one."""


def facets(request: Request, upstream: Dialect) -> Facets:
    """What the request says, in words that do not depend on where it stands."""
    found: Facets = {f"sampling.{name}": value for name, value in msgspec.structs.asdict(request.sampling).items()}
    found["sampling.n"] = request.sampling.n or 1
    found["sampling.logit_bias"] = None if request.sampling.logit_bias is None else json.loads(bytes(request.sampling.logit_bias))
    found["said"] = _joined(request) if upstream == REPLICATE else [said for said in _said(request) if not _says_nothing(said[1])]
    found["names"] = [message.name for message in request.messages if message.name is not None]
    found |= _tools(request)
    output = request.output
    found["output.text"] = output is not None and output.kind == "text"
    found["output.kind"] = None if output is None or output.kind == "text" else output.kind
    found["output.schema"] = None if output is None or output.schema is None else json.loads(bytes(output.schema))
    found["output.name"] = output.name if output is not None and output.name != "answer" else None
    found["output.strict"] = output is not None and bool(output.strict)
    found["user"] = request.user
    found["stream"] = request.stream
    wish = request.embedding
    if wish is not None:
        found |= {f"embedding.{name}": value for name, value in msgspec.structs.asdict(wish).items()}
        # What is embedded without a purpose counts as part of a corpus; to cut nothing off is what happens anyway.
        found["embedding.purpose"] = wish.purpose or "search_document"
        found["embedding.truncate"] = wish.truncate or "none"
        found["embedding.encoding"] = wish.encoding or "float"
    return {name: value for name, value in found.items() if name not in IMPLIED.get(upstream, frozenset())}


def _says_nothing(part: Part) -> bool:
    """Google's word for a call that its model did not sign says nothing that was said."""
    return part == Text("") or part == Reasoning(signature=UNSIGNED, signer=Dialect.GEMINI)


def _said(request: Request) -> Iterator[tuple[str, Part]]:
    """Every part with who says it: whether turns are one message or several is a matter of the protocol."""
    for message in request.messages:
        speaker = "user" if message.role == "tool" else message.role
        for part in message.parts:
            for piece in _plain(part):
                yield speaker, piece


def _joined(request: Request) -> list[tuple[str, Part]]:
    """All that one speaker says at a time as one text: a prediction knows no parts."""
    said: list[tuple[str, Part]] = []
    for speaker, part in _said(request):
        match said, part:
            case [*_, (before, Text(text=begun))], Text(text=text) if before == speaker:
                said[-1] = speaker, Text(f"{begun}\n\n{text}")
            case _:
                said.append((speaker, msgspec.structs.replace(part, cache=None) if isinstance(part, Text) else part))
    return said


def _plain(part: Part) -> Iterator[Part]:
    """A refusal is told as text, a document of text shown as text, an image in a result right behind it."""
    match part:
        case Refusal(text=text):
            yield Text(text)
        case ToolResult(parts=held):
            texts = tuple(Text(piece.text) for piece in held if isinstance(piece, Text))
            yield msgspec.structs.replace(part, parts=texts)
            for piece in held:
                if not isinstance(piece, Text):
                    yield from _plain(piece)
        case ToolCall(arguments=arguments):
            yield msgspec.structs.replace(part, arguments=json.dumps(json.loads(arguments), sort_keys=True))
        case Image(url=str()):
            yield msgspec.structs.replace(part, media_type=None)
        case Document(text=str(text), cache=cache):
            yield Text(text, cache)
        case Document(data=str(data), media_type="text/plain", cache=cache):
            yield Text(base64.b64decode(data).decode(), cache)
        case Document(url=str()):
            yield msgspec.structs.replace(part, media_type=None)
        case Document(name=name):
            yield msgspec.structs.replace(part, name=None if name in _DEFAULT_NAMES else name)
        case _:
            yield part


def _tools(request: Request) -> Facets:
    """To choose among one tool is to choose that one; to choose none is to have none, unless there were calls already."""
    tools, choice = request.tools, request.tool_choice
    mode, name = (choice.mode, choice.name) if choice is not None else ("auto", None)
    if mode == "tool" and [tool.name for tool in tools] == [name]:
        mode, name = "required", None
    has_calls = any(isinstance(part, ToolCall) for message in request.messages for part in message.parts)
    if mode == "none" and not has_calls:
        mode, tools = "auto", ()
    return {"tools": [_tool(tool) for tool in tools], "choice": (mode, name), "parallel": request.parallel_tool_calls is not False}


def _tool(tool: Tool) -> Json:
    told = msgspec.structs.asdict(tool)
    return told | {"parameters": json.loads(bytes(tool.parameters or b"null")), "strict": bool(tool.strict)}


# -- verdicts ----------------------------------------------------------------------------------------------------------------------


class Sent(Struct, frozen=True):
    """``asked`` is what the client said, ``read`` what the upstream reads."""

    asked: Request
    read: Request
    lost: tuple[str, ...]


@cache
def sent(feature: str, client: Dialect, upstream: Upstream) -> Sent:
    """Raises :class:`MalformedRequest` and :class:`Untranslatable`."""
    asked = CODECS[client].decode_request(json.dumps(body_of(FEATURES[feature], client)).encode())
    body, lost = UPSTREAM_CODECS[upstream.dialect].encode_request(asked, upstream.model)
    return Sent(asked, read_back(body, upstream, stream=asked.stream), (*lost, *unread(asked)))


def judge(feature: Feature, client: Dialect, upstream: Upstream) -> Cell:
    """Raises :class:`Gap`."""
    if client not in feature.bodies:
        return Cell(Verdict.ABSENT)
    body = json.dumps(body_of(feature, client), ensure_ascii=False).encode()
    try:
        asked = CODECS[client].decode_request(body)
        if client == upstream.dialect:
            _check_forwarded(asked, body, upstream)
            return Cell(Verdict.NATIVE)
        trip = sent(feature.name, client, upstream)
    except MalformedRequest as refusal:
        _demand(refusal.param in feature.refused_at, f"refused at {refusal.param}: {refusal}")
        return Cell(Verdict.REFUSED, (refusal.param or "",))
    except Untranslatable as refusal:
        known = any(fnmatchcase(str(refusal), pattern) for pattern in feature.refused_at)
        _demand(known or upstream.dialect == REPLICATE, f"refused: {refusal}")
        return Cell(Verdict.REFUSED, (str(refusal),))
    return _judge_sent(feature, trip, _plain_trip(feature, client, upstream), upstream)


def _plain_trip(feature: Feature, client: Dialect, upstream: Upstream) -> Sent | None:
    """The same request without the feature; ``None`` where that is the feature, or cannot be said to this upstream."""
    plain = PLAIN_CHAT if client in CLIENTS else PLAIN_EMBEDDING
    if feature == plain:
        return None
    return sent(feature.base or plain.name, client, upstream)


def _judge_sent(feature: Feature, trip: Sent, plain: Sent | None, upstream: Upstream) -> Cell:
    asked, read = facets(trip.asked, upstream.dialect), facets(trip.read, upstream.dialect)
    differing = {name for name in asked if asked[name] != read[name]}
    names = tuple(name for name in trip.lost if any(fnmatchcase(name, pattern) for pattern in feature.lost_as))
    stray = set(trip.lost) - set(names) - set(plain.lost if plain is not None else ())
    _demand(not stray, f"lost by a name that is not its own: {sorted(stray)}")
    if plain is None:
        _demand(not differing or bool(names), f"vanished: {differing}")
        return Cell(Verdict.NAMED if names else Verdict.CARRIED, names)
    before, before_read = facets(plain.asked, upstream.dialect), facets(plain.read, upstream.dialect)
    changed = {name for name in asked if asked[name] != before[name]}
    noticed = msgspec.structs.replace(trip.asked, native=b"") != msgspec.structs.replace(plain.asked, native=b"")
    _demand(noticed, "the client's decoder did not notice it")
    known = {name for name in before if before[name] != before_read[name]}
    _demand(differing - known <= changed, f"took {sorted(differing - known - changed)} along")
    if not names:
        _demand(not (differing - known), f"vanished: {sorted(differing - known)}: {[(asked[n], read[n]) for n in differing]}")
        return Cell(Verdict.CARRIED)
    _check_rest(plain.asked, trip.asked, trip.read)
    arrived = any(read[name] != before_read[name] for name in changed)
    return Cell(Verdict.PARTLY if arrived else Verdict.NAMED, names)


def _check_rest(before: Request, asked: Request, read: Request) -> None:
    """Of the texts that were said besides, each arrives, in its order."""
    known = [part for _, part in _said(before)]
    arrived = "\n".join(part.text for _, part in _said(read) if isinstance(part, Text))
    place = 0
    for _, part in _said(asked):
        if isinstance(part, Text) and part in known:
            place = arrived.find(part.text, place) + len(part.text)
            _demand(place >= len(part.text), "a text went along")


def _check_forwarded(asked: Request, body: bytes, upstream: Upstream) -> None:
    """The client's own body, equal but for what the codec says that it changes."""
    codec = UPSTREAM_CODECS[upstream.dialect]
    after = json.loads(codec.forward_request(asked, upstream.model, want_usage=True))
    before = json.loads(body)
    match upstream.dialect:
        case dialect if dialect == GEMINI:
            pass
        case dialect if dialect == GEMINI_EMBED:
            for member in before["requests"]:
                member["model"] = f"models/{upstream.model}"
        case _:
            before["model"] = upstream.model
    if upstream.dialect == RESPONSES:
        before["store"] = False
    if upstream.dialect == CHAT and asked.stream:
        before["stream_options"] = {"include_usage": True}
    _demand(before == after, "forwarded otherwise than it came")


def _demand(holds: bool, problem: str) -> None:
    if not holds:
        raise Gap(problem)
