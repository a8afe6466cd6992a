"""Spans, made from the record when a request has ended: one for what the client asked, and below it one for each upstream attempt.

Names follow the OpenTelemetry GenAI semantic conventions (status: Development), github.com/open-telemetry/semantic-conventions-genai at
002c8a6; up to v1.41.1 they stood in semantic-conventions. What they have no word for begins with ``trimtab.``. Nothing here can hold
content: the record has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from trimtab.core.catalog import Deployment
from trimtab.core.record import Attempt, Intent, Outcome, OutcomeKind
from trimtab.core.units import USD, Usage
from trimtab.telemetry.otlp import CLIENT, ERROR, SERVER, Fact, Span, Status, attributes

_SAMPLED, _PARENT_KNOWN, _PARENT_REMOTE = 0x01, 0x100, 0x200
_WELL = frozenset({OutcomeKind.COMPLETE, OutcomeKind.CANCELLED})

_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure-v1": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock-anthropic": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "vertex-anthropic": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}
"""The convention's words for providers whose rows have other names. All others go by the name of their row."""


class Upstream(Struct, frozen=True):
    """What is told of a deployment, beside its id."""

    provider: str
    model: str
    address: str | None
    port: int | None


def upstream_of(deployment: Deployment) -> Upstream:
    where = urlsplit(deployment.base_url)
    port = where.port or {"https": 443, "http": 80}.get(where.scheme)
    provider = _PROVIDERS.get(deployment.provider, deployment.provider)
    return Upstream(provider, deployment.model, where.hostname, port)


def is_sampled(traceparent: str) -> bool:
    """A client that does not sample its own trace wants no part of it; one that has no trace gets a new one."""
    return not traceparent or bool(int(traceparent[-2:], 16) & _SAMPLED)


def spans_of(intent: Intent, outcome: Outcome, traceparent: str, upstreams: Mapping[str, Upstream]) -> Iterator[Span]:
    """The client's request first, then its attempts in their order.

    Without a ``traceparent`` the trace's id is the decision's own, a UUID being as long: who has one has the other.
    """
    _, trace_id, parent, _ = traceparent.split("-") if traceparent else ("", intent.id.replace("-", ""), "", "")
    top = _span_id(intent.id, 0)
    operation = intent.decision.ask.operation
    asked = intent.decision.ask.named or intent.decision.ask.wish
    yield Span(
        trace_id=trace_id,
        span_id=top,
        parent_span_id=parent,
        flags=_SAMPLED | _PARENT_KNOWN | (_PARENT_REMOTE if parent else 0),
        name=f"{operation} {asked}",
        kind=SERVER,
        start_time_unix_nano=str(intent.at_ns),
        end_time_unix_nano=str(max(intent.at_ns, outcome.at_ns)),
        attributes=attributes(_of_request(intent, outcome, upstreams, asked)),
        status=None if outcome.kind in _WELL else Status(ERROR, outcome.kind),
    )
    for number, attempt in enumerate(outcome.attempts, 1):
        upstream = upstreams.get(attempt.deployment)
        spent_ns = outcome.at_ns - attempt.started_ns if attempt.total_us is None else attempt.total_us * 1000
        yield Span(
            trace_id=trace_id,
            span_id=_span_id(intent.id, number),
            parent_span_id=top,
            flags=_SAMPLED | _PARENT_KNOWN,
            name=f"{operation} {upstream.model}" if upstream else operation,
            kind=CLIENT,
            start_time_unix_nano=str(attempt.started_ns),
            end_time_unix_nano=str(attempt.started_ns + max(0, spent_ns)),
            attributes=attributes(_of_attempt(intent, attempt, upstream)),
            status=None if attempt.failure is None else Status(ERROR, attempt.failure),
        )


def _span_id(id: str, number: int) -> str:
    """The same in every try to send it, so that a collector that was told twice can see it."""
    return hashlib.blake2b(f"{id}/{number}".encode(), digest_size=8).hexdigest()


def _of_request(intent: Intent, outcome: Outcome, upstreams: Mapping[str, Upstream], asked: str) -> dict[str, Fact]:
    last = outcome.attempts[-1] if outcome.attempts else None
    upstream = upstreams.get(last.deployment) if last else None
    return {
        "gen_ai.operation.name": intent.decision.ask.operation,
        "gen_ai.provider.name": upstream.provider if upstream else None,
        "gen_ai.request.model": asked,
        "gen_ai.request.stream": intent.stream,
        **_answered(last),
        **_usage(outcome.usage),
        "error.type": None if outcome.kind in _WELL else outcome.error or outcome.kind,
        "trimtab.decision.id": intent.id,
        "trimtab.policy": intent.decision.policy,
        "trimtab.outcome": outcome.kind,
        "trimtab.cached": outcome.cached,
        "trimtab.place": intent.place,
        "trimtab.key.id": intent.key_id,
        **_where(last),
        "trimtab.cost_usd": None if outcome.cost is None else outcome.cost / USD,
    }


def _of_attempt(intent: Intent, attempt: Attempt, upstream: Upstream | None) -> dict[str, Fact]:
    first = attempt.first_token_us
    return {
        "gen_ai.operation.name": intent.decision.ask.operation,
        "gen_ai.provider.name": upstream.provider if upstream else None,
        "gen_ai.request.model": upstream.model if upstream else None,
        "gen_ai.request.stream": intent.stream,
        **_answered(attempt),
        "gen_ai.response.time_to_first_chunk": None if first is None else first / 1e6,
        **_usage(attempt.usage),
        "server.address": upstream.address if upstream else None,
        "server.port": upstream.port if upstream else None,
        "error.type": attempt.failure,
        **_where(attempt),
        "trimtab.upstream.status": attempt.upstream_status,
        "trimtab.cost_usd": None if attempt.cost is None else attempt.cost / USD,
    }


def _answered(attempt: Attempt | None) -> dict[str, Fact]:
    """By whom, and why it stopped, where there was an answer."""
    if attempt is None or attempt.finish_reason is None:
        return {}
    return {"gen_ai.response.model": attempt.model, "gen_ai.response.finish_reasons": (attempt.finish_reason,)}


def _where(attempt: Attempt | None) -> dict[str, Fact]:
    if attempt is None:
        return {}
    return {"trimtab.deployment": attempt.deployment, "trimtab.tier": attempt.tier, "trimtab.zone": attempt.zone}


def _usage(usage: Usage) -> dict[str, Fact]:
    return {
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
        "trimtab.usage.estimated": usage.estimated or None,
    }
