"""What an operator may watch: counters for Prometheus and one structured log line per happening.

Names follow the OpenTelemetry GenAI conventions where they have one. Redaction lives here: a log line is built from named facts that are
ids, names and numbers, and never from a request's content. It knows nothing of where the facts come from.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TypeVar, cast

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from trimtab.core.record import Attempt

_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
MetricT = TypeVar("MetricT", Counter, Histogram)
_LEVELS = ("debug", "info", "warning", "error")

Fact = str | int | float | bool | None


class Metrics:
    """Every metric of the process, in a registry of its own, so that two gateways in one process do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[object, ...], Counter | Histogram] = {}
        self.requests = Counter("trimtab_requests", "Client requests by outcome.", ("outcome", "dialect"), registry=self.registry)
        self.attempts = Counter(
            "trimtab_attempts",
            "Upstream attempts by failure kind (none: it succeeded).",
            ("deployment", "failure"),
            registry=self.registry,
        )
        self.refused = Counter(
            "trimtab_rejected", "Requests that were answered with an error, by its code.", ("code",), registry=self.registry
        )
        self.in_flight = Gauge("trimtab_requests_in_flight", "Client requests under way.", registry=self.registry)
        self.tokens = Counter(
            "gen_ai_client_token_usage",
            "Tokens by deployment and type (input, output).",
            ("deployment", "type"),
            registry=self.registry,
        )
        self.cost = Counter(
            "trimtab_cost_usd", "Cost in USD, where the price is known.", ("deployment", "tier"), registry=self.registry
        )
        self.cost_unknown = Counter(
            "trimtab_cost_unknown",
            "Attempts whose cost is unknown: no price or no usage.",
            ("deployment",),
            registry=self.registry,
        )
        self.first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from the start of an attempt to its first content.",
            ("deployment",),
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from the start of an attempt to its end.",
            ("deployment",),
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)

    def record_request(self, outcome: str, dialect: str) -> None:
        self._child(self.requests, outcome, dialect).inc()

    def record_attempt(self, attempt: Attempt) -> None:
        """Count one ended attempt."""
        name = attempt.deployment
        self._child(self.attempts, name, attempt.failure or "none").inc()
        if attempt.first_token_us is not None:
            self._child(self.first_token, name).observe(attempt.first_token_us / 1e6)
        if attempt.total_us is not None:
            self._child(self.duration, name).observe(attempt.total_us / 1e6)
        if attempt.usage.input is not None and attempt.usage.output is not None:
            self._child(self.tokens, name, "input").inc(attempt.usage.input)
            self._child(self.tokens, name, "output").inc(attempt.usage.output)
        if attempt.cost is None:
            self._child(self.cost_unknown, name).inc()
        else:
            self._child(self.cost, name, attempt.tier).inc(attempt.cost / 1e9)

    def _child(self, metric: MetricT, *labels: str) -> MetricT:
        """``metric.labels(...)``, remembered: on every request the library's own look-up would cost as much as routing does."""
        key = (id(metric), *labels)
        held = self._children.get(key)
        if held is None:
            held = self._children[key] = metric.labels(*labels)
        return cast(MetricT, held)


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Fact] = {"at": self.formatTime(record), "level": record.levelname.lower(), "event": record.getMessage()}
        facts = getattr(record, "facts", None)
        if isinstance(facts, Mapping):
            line.update(facts)
        if record.exc_info and record.exc_info[0] is not None:
            # The type and place of an error are facts; its text may quote a request.
            line["error"] = record.exc_info[0].__name__
            line["where"] = _innermost(record)
        return msgspec.json.encode(line).decode()


def _innermost(record: logging.LogRecord) -> str:
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else ""


def configure_logging(level: str = "info") -> None:
    """One JSON object per line on stderr."""
    if level not in _LEVELS:
        raise ValueError(f"log level must be one of {', '.join(_LEVELS)}, not {level!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def log(name: str, event: str, *, level: int = logging.INFO, error: BaseException | None = None, **facts: Fact) -> None:
    """Say that ``event`` happened. ``facts`` are ids, names and numbers."""
    logging.getLogger(name).log(level, event, extra={"facts": facts}, exc_info=error)
