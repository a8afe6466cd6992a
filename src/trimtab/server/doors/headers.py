"""What a client's headers say: the key, and what we are told beside the body. A value that says nothing we understand is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from trimtab.core.accounts import ANY_SCOPE
from trimtab.core.decision import LatencyClass
from trimtab.core.errors import MalformedRequest
from trimtab.core.messages import Dialect
from trimtab.core.zones import Sensitivity
from trimtab.engine import CacheUse, Caller, LiveKey

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_MOST_TAGS = 8
_FLAGS = re.compile(r"[A-Za-z0-9._-]{1,64}(?: ?, ?[A-Za-z0-9._-]{1,64}){0,15}")

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

PROTOCOL_HEADERS: Mapping[Dialect, tuple[str, ...]] = {Dialect.ANTHROPIC: ("anthropic-beta",)}
"""Headers that belong to a protocol as its body does: they go along to an upstream of the same dialect."""


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name, in lower case. One that comes twice is joined by a comma (RFC 9110, section 5.2): none is passed over."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def caller_of(live: LiveKey, headers: Mapping[str, str]) -> Caller:
    """Who asks, and how. Raises :class:`MalformedRequest` for a header of ours that says nothing we understand."""
    key = live.key
    return Caller(
        key_id=key.id,
        line=key.line,
        place=key.place,
        owner=key.owner,
        tags=_tags(headers.get("x-trimtab-tags")),
        scope=None if live.scope == ANY_SCOPE else live.scope,
        chain=live.chain,
        labels=_classes("x-trimtab-sensitivity", headers.get("x-trimtab-sensitivity", "")),
        lowered=_classes("x-trimtab-lower", headers.get("x-trimtab-lower", "")),
        latency=_latency(headers.get("x-trimtab-latency")),
        task=_task(headers.get("x-trimtab-task")),
        seconds=_seconds(headers.get("x-trimtab-timeout")),
        trace=_trace(headers.get("traceparent", "")),
        cache=_cache(headers.get("x-trimtab-cache")),
    )


def protocol_headers(dialect: Dialect, headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The protocol's own headers that the client sent. Raises :class:`MalformedRequest` for one that is more than a list of names."""
    found = []
    for name in PROTOCOL_HEADERS.get(dialect, ()):
        value = headers.get(name)
        if value is None:
            continue
        if not _FLAGS.fullmatch(value):
            raise MalformedRequest(
                f"{name}: that is no list of names.", hint="Send the names that the protocol defines, with commas."
            )
        found.append((name, value))
    return tuple(found)


def _cache(text: str | None) -> CacheUse:
    if text is None:
        return CacheUse.NORMAL
    try:
        return CacheUse(text.strip().lower())
    except ValueError:
        raise MalformedRequest(
            "x-trimtab-cache: that is no way to use the cache.", hint=f"The ways are {', '.join(CacheUse)}."
        ) from None


def _trace(text: str) -> str:
    """W3C Trace Context: what is no ``traceparent`` is passed over, as the standard demands."""
    return text if _TRACEPARENT.fullmatch(text) else ""


def _tags(text: str | None) -> tuple[str, ...]:
    """Tags are recorded and counted, so they have to look like names."""
    if text is None:
        return ()
    tags = tuple(sorted({part.strip() for part in text.split(",") if part.strip()}))
    if len(tags) > _MOST_TAGS or not all(_NAME.fullmatch(tag) for tag in tags):
        raise MalformedRequest(
            "x-trimtab-tags: these are no tags.",
            hint=f"At most {_MOST_TAGS}, separated by commas, each of letters, digits and . _ : - , at most 64 of them.",
        )
    return tags


def _classes(header: str, text: str) -> frozenset[Sensitivity]:
    """A class that we do not know must not be ignored."""
    if not text:
        return frozenset()
    try:
        return frozenset(Sensitivity(part.strip().lower()) for part in text.split(",") if part.strip())
    except ValueError:
        raise MalformedRequest(
            f"{header}: that names a class that we do not know.", hint=f"The classes are {', '.join(Sensitivity)}."
        ) from None


def _task(text: str | None) -> str | None:
    """A task's name is recorded, so it has to look like one."""
    if text is None or _NAME.fullmatch(text):
        return text
    raise MalformedRequest("x-trimtab-task: that is no task's name.", hint="Letters, digits and . _ : - , at most 64 of them.")


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise MalformedRequest(
            "x-trimtab-timeout: that is no time.", hint="Seconds above 0 for the whole answer, such as 30 or 2.5."
        )
    return seconds


def _latency(text: str | None) -> LatencyClass:
    if text is None:
        return LatencyClass.INTERACTIVE
    try:
        return LatencyClass(text.strip().lower())
    except ValueError:
        raise MalformedRequest(
            "x-trimtab-latency: that is no latency class.", hint=f"The classes are {', '.join(LatencyClass)}."
        ) from None
