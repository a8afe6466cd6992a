"""OTLP over HTTP in its JSON form: what a collector is sent, and what it answers.

The field names are those of ``opentelemetry.proto`` in lower camel case; ids are hex, 64-bit integers are strings, enums are numbers
(OpenTelemetry Protocol specification, "JSON Protobuf Encoding"). Our own, because the official exporters open sockets of their own and
weigh more than all of it: 15.5 MiB of memory and 0.3 s of imports (opentelemetry-exporter-otlp-proto-http 1.45.2, measured). It knows
nothing of requests or of what the figures mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

SERVER, CLIENT = 2, 3
"""Span kinds."""

ERROR = 2
"""The status code of a span whose operation failed; a span without one is well."""

CUMULATIVE = 2
"""Each point tells everything since the start, so that one that is lost costs nothing but its moment."""

Fact = str | bool | int | float | tuple[str, ...] | None
Attribute = dict[str, object]


class Status(Struct, frozen=True, omit_defaults=True):
    code: int
    message: str = ""


class Span(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """``flags`` are the W3C trace flags, with bits 8 and 9 telling whether the parent is known to be remote, and is."""

    trace_id: str
    span_id: str
    parent_span_id: str = ""
    flags: int = 0
    name: str
    kind: int
    start_time_unix_nano: str
    end_time_unix_nano: str
    attributes: list[Attribute]
    status: Status | None = None


class HistogramPoint(Struct, frozen=True, kw_only=True, rename="camel"):
    attributes: list[Attribute]
    start_time_unix_nano: str
    time_unix_nano: str
    count: str
    sum: float
    bucket_counts: list[str]
    explicit_bounds: tuple[float, ...]


class HistogramData(Struct, frozen=True, rename="camel"):
    data_points: list[HistogramPoint]
    aggregation_temporality: int = CUMULATIVE


class Metric(Struct, frozen=True, kw_only=True):
    name: str
    description: str
    unit: str
    histogram: HistogramData


class _PartialSuccess(Struct, rename="camel"):
    rejected_spans: int | str = 0
    rejected_data_points: int | str = 0


class _Answer(Struct, rename="camel"):
    partial_success: _PartialSuccess | None = None


class Origin(Struct, frozen=True):
    """Who tells: the process, as the resource of all that is sent."""

    version: str
    instance: str


def attributes(facts: Mapping[str, Fact]) -> list[Attribute]:
    """What is ``None`` is unknown, and left out."""
    return [{"key": name, "value": _value(fact)} for name, fact in facts.items() if fact is not None]


def _value(fact: Fact) -> dict[str, object]:
    if isinstance(fact, str):  # most are
        return {"stringValue": fact}
    if isinstance(fact, bool):
        return {"boolValue": fact}
    if isinstance(fact, int):
        return {"intValue": str(fact)}
    if isinstance(fact, tuple):
        return {"arrayValue": {"values": [{"stringValue": each} for each in fact]}}
    return {"doubleValue": fact}


def traces_body(origin: Origin, spans: Iterable[Span]) -> bytes:
    """An ``ExportTraceServiceRequest``."""
    return _body("resourceSpans", "scopeSpans", origin, {"spans": list(spans)})


def metrics_body(origin: Origin, metrics: Iterable[Metric]) -> bytes:
    """An ``ExportMetricsServiceRequest``."""
    return _body("resourceMetrics", "scopeMetrics", origin, {"metrics": list(metrics)})


def _body(outer: str, inner: str, origin: Origin, told: Mapping[str, object]) -> bytes:
    resource = attributes({"service.name": "trimtab", "service.version": origin.version, "service.instance.id": origin.instance})
    scope = {"name": "trimtab", "version": origin.version}
    return msgspec.json.encode({outer: [{"resource": {"attributes": resource}, inner: [{"scope": scope, **told}]}]})


def rejected(answer: bytes) -> int:
    """How many of the spans or data points that it was sent the collector did not want; 0 where its answer says nothing of it."""
    try:
        partial = msgspec.json.decode(answer, type=_Answer).partial_success
        return 0 if partial is None else int(partial.rejected_spans) + int(partial.rejected_data_points)
    except ValueError:  # msgspec's errors are, too
        return 0
