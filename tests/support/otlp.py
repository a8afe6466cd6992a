"""What a collector makes of OTLP/JSON: the official protobufs, which take no field that they do not know."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from trimtab.lab.upstream.loopback import Exchange

_IDS = ("traceId", "spanId", "parentSpanId")


def _in_base64(told: object) -> object:
    """OTLP writes ids in hex where the JSON mapping of protobuf has base64; that is the one difference between them."""
    match told:
        case dict():
            return {
                name: base64.b64encode(bytes.fromhex(value)).decode() if name in _IDS else _in_base64(value)
                for name, value in told.items()
            }
        case list():
            return [_in_base64(each) for each in told]
        case _:
            return told


def spans_in(body: bytes) -> list[Span]:
    request = json_format.Parse(json.dumps(_in_base64(json.loads(body))), ExportTraceServiceRequest())
    [resource] = request.resource_spans
    assert facts(resource.resource.attributes)["service.name"] == "trimtab"
    [scope] = resource.scope_spans
    return list(scope.spans)


def metrics_in(body: bytes) -> dict[str, Metric]:
    request = json_format.Parse(body, ExportMetricsServiceRequest())
    [resource] = request.resource_metrics
    [scope] = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def facts(attributes: Iterable[KeyValue]) -> Mapping[str, object]:
    """Attributes as plain values."""
    found: dict[str, object] = {}
    for each in attributes:
        kind = each.value.WhichOneof("value")
        assert kind is not None, f"{each.key} has no value"
        assert each.key not in found
        value = getattr(each.value, kind)
        found[each.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found


def spans_sent(exchanges: list[Exchange]) -> list[Span]:
    return [span for each in exchanges if each.request.path == "/v1/traces" for span in spans_in(each.request.body)]
