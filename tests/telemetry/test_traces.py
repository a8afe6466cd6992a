"""Spans and histograms as the official protobufs read them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.fleet import deployment
from tests.support.otlp import facts, metrics_in, spans_in
from tests.telemetry.records import CONTENT_KEY, INTENT, OUTCOME, ended

from trimtab.core.record import Attempt, Intent, Outcome, OutcomeKind
from trimtab.telemetry.instruments import Instruments
from trimtab.telemetry.otlp import Origin, metrics_body, rejected, traces_body
from trimtab.telemetry.traces import is_sampled, spans_of, upstream_of

ORIGIN = Origin("1.0", "me")
UPSTREAMS = {id: upstream_of(deployment(id, base_url=f"http://{id}.example:81/v1")) for id in ("a", "b")}
Ended = tuple[Intent, Outcome, str]


@given(ended())
@settings(max_examples=80, deadline=None)
def test_a_span_for_the_request_and_one_below_it_for_each_attempt(told: Ended) -> None:
    intent, outcome, traceparent = told
    body = traces_body(ORIGIN, spans_of(intent, outcome, traceparent, UPSTREAMS))
    top, *below = spans_in(body)
    assert len(below) == len(outcome.attempts)
    assert len({span.span_id for span in (top, *below)}) == 1 + len(below)
    for span in (top, *below):
        assert len(span.trace_id) == 16
        assert len(span.span_id) == 8
        assert span.trace_id == top.trace_id
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    assert (top.kind, [span.kind for span in below]) == (top.SPAN_KIND_SERVER, [top.SPAN_KIND_CLIENT] * len(below))
    assert all(span.parent_span_id == top.span_id for span in below)
    if traceparent:
        _, trace, parent, _ = traceparent.split("-")
        assert (top.trace_id.hex(), top.parent_span_id.hex()) == (trace, parent)
    else:
        assert (top.trace_id.hex(), top.parent_span_id) == (intent.id.replace("-", ""), b"")
    for kept in (CONTENT_KEY.decode(), intent.content_digest, intent.owner):
        assert kept.encode() not in body


@given(ended())
@settings(max_examples=80, deadline=None)
def test_what_is_told_is_what_the_record_says_and_unknown_is_not_told(told: Ended) -> None:
    intent, outcome, traceparent = told
    top, *below = spans_in(traces_body(ORIGIN, spans_of(intent, outcome, traceparent, UPSTREAMS)))
    pairs: list[tuple[Span, Outcome | Attempt]] = [(top, outcome), *zip(below, outcome.attempts, strict=True)]
    for span, of in pairs:
        seen = facts(span.attributes)
        assert seen.get("gen_ai.usage.input_tokens") == of.usage.input
        assert seen.get("gen_ai.usage.output_tokens") == of.usage.output
        assert seen.get("trimtab.cost_usd") == (None if of.cost is None else of.cost / 1e9)
        assert seen["gen_ai.operation.name"] == intent.decision.ask.operation
        assert ("error.type" in seen) == (span.status.code == span.status.STATUS_CODE_ERROR)
    seen = facts(top.attributes)
    assert seen["trimtab.decision.id"] == intent.id
    assert (seen["trimtab.place"], seen["trimtab.key.id"]) == (intent.place, intent.key_id)
    assert (seen["trimtab.outcome"], seen["trimtab.cached"]) == (outcome.kind, outcome.cached)
    assert top.name == f"{seen['gen_ai.operation.name']} {seen['gen_ai.request.model']}"
    assert ("error.type" in seen) == (outcome.kind not in (OutcomeKind.COMPLETE, OutcomeKind.CANCELLED))
    for span, attempt in zip(below, outcome.attempts, strict=True):
        seen = facts(span.attributes)
        assert seen.get("error.type") == attempt.failure
        assert seen["server.address"] == f"{attempt.deployment}.example"
        assert seen["server.port"] == 81
        first = attempt.first_token_us
        assert seen.get("gen_ai.response.time_to_first_chunk") == (None if first is None else first / 1e6)
        expected = None if attempt.finish_reason is None else [attempt.finish_reason]
        assert seen.get("gen_ai.response.finish_reasons") == expected


def test_a_client_that_does_not_sample_its_trace_gets_no_span() -> None:
    trace = f"00-{'1' * 32}-{'2' * 16}"
    assert [is_sampled(text) for text in ("", f"{trace}-01", f"{trace}-03", f"{trace}-00", f"{trace}-02")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@given(st.lists(ended(), max_size=4))
@settings(max_examples=60, deadline=None)
def test_histograms_count_each_attempt_once(all_of_them: list[Ended]) -> None:
    instruments = Instruments(UPSTREAMS, 5)
    for intent, outcome, _ in all_of_them:
        instruments.observe(intent, outcome)
    attempts = [attempt for _, outcome, _ in all_of_them for attempt in outcome.attempts]
    told = metrics_in(metrics_body(ORIGIN, instruments.metrics(9)))
    counted, sums = Counter[str](), Counter[str]()
    for name, metric in told.items():
        assert metric.histogram.aggregation_temporality == 2
        for point in metric.histogram.data_points:
            assert (point.start_time_unix_nano, point.time_unix_nano) == (5, 9)
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
            assert sum(point.bucket_counts) == point.count > 0
            bounds = (0.0, *point.explicit_bounds, float("inf"))
            least = sum(count * low for count, low in zip(point.bucket_counts, bounds, strict=False))
            most = sum(count * high for count, high in zip(point.bucket_counts, bounds[1:], strict=True) if count)
            assert least * (1 - 1e-9) <= point.sum <= most * (1 + 1e-9)
            key = f"{name}/{facts(point.attributes).get('gen_ai.token.type', '')}"
            counted[key] += point.count
            sums[key] += point.sum
    known = [attempt.usage for attempt in attempts if not attempt.usage.estimated]
    assert sums["gen_ai.client.token.usage/input"] == sum(usage.input or 0 for usage in known)
    assert sums["gen_ai.client.token.usage/output"] == sum(usage.output or 0 for usage in known)
    assert counted["gen_ai.client.operation.duration/"] == sum(attempt.total_us is not None for attempt in attempts)
    assert counted["gen_ai.server.time_to_first_token/"] == sum(attempt.first_token_us is not None for attempt in attempts)


def test_the_buckets_are_those_of_the_conventions() -> None:
    """Written out in docs/gen-ai/gen-ai-metrics.md of open-telemetry/semantic-conventions-genai."""
    instruments = Instruments(UPSTREAMS, 0)
    instruments.observe(INTENT, OUTCOME)
    told = metrics_in(metrics_body(ORIGIN, instruments.metrics(1)))
    bounds = {name: list(metric.histogram.data_points[0].explicit_bounds) for name, metric in told.items()}
    assert bounds == {
        "gen_ai.client.token.usage": [
            *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864),
        ],
        "gen_ai.client.operation.duration": [
            *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
        ],
        "gen_ai.server.time_to_first_token": [
            *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
        ],
    }


def test_what_the_collector_did_not_want_is_read_from_its_answer() -> None:
    said = {
        b"": 0,
        b"{}": 0,
        b"not json": 0,
        b'{"partialSuccess": {}}': 0,
        b'{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "no"}}': 3,
        b'{"partialSuccess": {"rejectedDataPoints": 2}}': 2,
    }
    assert {body: rejected(body) for body in said} == said
