"""The matrix as tables for the docs: what the tests hold, in the words of ``docs/reference/conformance.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from tests.conformance.matrix import faults
from tests.conformance.matrix.answers import CANNOT_SAY, UNREAD, UPSTREAM_DIALECTS, Heard, listen
from tests.conformance.matrix.feature import CLIENTS, EMBEDDERS, EMBEDDING_UPSTREAMS, NAMES, UPSTREAMS, Feature, Upstream
from tests.conformance.matrix.requests import EMBEDDING_FEATURES, GROUPS, Cell, Verdict, judge
from tests.conformance.matrix.said import ANSWERS

from trimtab.core.errors import FailureKind
from trimtab.core.messages import Dialect

Line = tuple[str, ...]

_WORDS = {
    Verdict.CARRIED: "yes",
    Verdict.PARTLY: "part",
    Verdict.NAMED: "named",
    Verdict.REFUSED: "refused",
    Verdict.NATIVE: "as is",
}
_HEARD = {Heard.CARRIED: "yes", Heard.UNSAID: "part", Heard.UNREAD: "unread", Heard.NATIVE: "as is", Heard.ABSENT: "-"}

_FACETS = {
    "arguments": "arguments of a call",
    "blocks": "several blocks of text",
    "choices": "several answers",
    "created": "time of the answer",
    "finish content_filter": "finish: content filter",
    "finish pause": "finish: paused turn",
    "logprobs": "log-probabilities",
    "model": "model that answered",
    "opaque": "content of another protocol's own kinds",
    "order": "text behind a call",
    "redacted": "redacted thinking",
    "signature": "signature of thinking",
    "stop_sequence": "the stop sequence that was met",
    "thoughts": "several blocks of thinking",
    "usage.cache_read": "usage: read from the cache",
    "usage.cache_write": "usage: written to the cache",
    "usage.input": "usage: input",
    "usage.output": "usage: output",
    "usage.reasoning": "usage: thinking",
}


class Table(Struct, frozen=True):
    title: str
    lead: str
    headers: Line
    lines: Sequence[Line]


def tables() -> list[Table]:
    found: list[Table] = []
    for client in CLIENTS:
        features = [feature for _, group in GROUPS for feature in group if client in feature.bodies]
        found += _requests(client, features, UPSTREAMS)
    for client in EMBEDDERS:
        found += _requests(client, [feature for feature in EMBEDDING_FEATURES if client in feature.bodies], EMBEDDING_UPSTREAMS)
    for client in CLIENTS:
        found += _answers(client)
    unread = [(NAMES[upstream], feature, why) for (upstream, feature), why in UNREAD.items()]
    found.append(Table("Not read from an upstream's answer", "", ("upstream", "what", "why"), unread))
    lines = [(f"`{kind}`", *(faults.words(kind, client) for client in CLIENTS)) for kind in FailureKind]
    lead = "Status, and the protocol's own words; in a stream the same stands in the protocol's own event for it."
    found.append(Table("Errors", lead, ("failure", *(NAMES[client] for client in CLIENTS)), lines))
    return found


def _requests(client: Dialect, features: Sequence[Feature], upstreams: Sequence[Upstream]) -> list[Table]:
    lines: list[Line] = []
    names: dict[str, dict[str, list[str]]] = {}
    for feature in features:
        row = [(upstream, judge(feature, client, upstream)) for upstream in upstreams]
        lines.append((feature.name, *(_WORDS[cell.verdict] for _, cell in row)))
        for upstream, cell in row:
            if cell.names:
                names.setdefault(_told(cell), {}).setdefault(feature.name, []).append(upstream.name)
    others = sum(upstream.dialect != client for upstream in upstreams)
    return [
        Table(f"Requests: {NAMES[client]}", "", ("feature", *(upstream.name for upstream in upstreams)), lines),
        Table("", "What is lost or refused, by what name:", ("name", "feature", "upstreams"), list(_gathered(names, others))),
    ]


def _gathered(names: dict[str, dict[str, list[str]]], most: int) -> Iterator[Line]:
    """One line for the features that are lost by one name at the same places."""
    for name, places in names.items():
        found: dict[str, list[str]] = {}
        for feature, where in places.items():
            found.setdefault("all others" if len(where) == most else "all" if len(where) > most else ", ".join(where), []).append(
                feature
            )
        yield from ((name, ", ".join(features), where) for where, features in found.items())


def _told(cell: Cell) -> str:
    """A refusal without a field gives its reason."""
    return ", ".join(f"`{name}`" if " " not in name else f"refused: {name}" for name in cell.names)


def _answers(client: Dialect) -> list[Table]:
    lines: list[Line] = [
        (feature.name, *(_HEARD[listen(feature, upstream, client).heard] for upstream in UPSTREAM_DIALECTS)) for feature in ANSWERS
    ]
    excuses = [(_FACETS.get(facet, facet), why) for facet, why in sorted(CANNOT_SAY[client].items())]
    upstreams = [NAMES.get(upstream, upstream.capitalize()) for upstream in UPSTREAM_DIALECTS]
    return [
        Table(f"Answers: {NAMES[client]}", "", ("feature", *upstreams), lines),
        Table("", "What the protocol has no word for:", ("what", "what becomes of it"), excuses),
    ]
