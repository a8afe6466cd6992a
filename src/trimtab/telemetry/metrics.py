"""What Prometheus may scrape. Names follow the OpenTelemetry GenAI conventions where they have one.

No label holds content of a request, nor anything else that a client can make up. It knows nothing of where the figures come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from trimtab.core.record import Attempt

_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
MetricT = TypeVar("MetricT", Counter, Histogram)


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
        self.resting = Gauge(
            "trimtab_deployment_resting",
            "1 while a deployment is not asked: its breaker is open, or it has told us to slow down.",
            ("deployment",),
            registry=self.registry,
        )
        self._add_money_and_cache()

    def _add_money_and_cache(self) -> None:
        self.budget_spent = Gauge(
            "trimtab_budget_spent_usd", "USD spent in the budget's current period.", ("budget",), registry=self.registry
        )
        self.budget_limit = Gauge("trimtab_budget_limit_usd", "USD that the budget allows.", ("budget",), registry=self.registry)
        self.alerts = Counter(
            "trimtab_alerts", "Budget alerts by what became of them: sent, failed.", ("result",), registry=self.registry
        )
        self.cache = Counter(
            "trimtab_cache_lookups",
            "Requests that the response cache was asked for: hit, miss.",
            ("result",),
            registry=self.registry,
        )
        self.cache_bytes = Gauge("trimtab_cache_bytes", "Bytes of answers in the response cache.", registry=self.registry)
        self.telemetry_dropped = Counter(
            "trimtab_telemetry_dropped",
            "Spans and data points that no collector has taken, by signal (traces, metrics).",
            ("signal",),
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

    def record_budgets(self, budgets: Mapping[str, tuple[float, float]]) -> None:
        """What each budget has spent and what it allows, USD. Those that are not named any more are forgotten."""
        self.budget_spent.clear()
        self.budget_limit.clear()
        for name, (spent, limit) in budgets.items():
            self.budget_spent.labels(name).set(spent)
            self.budget_limit.labels(name).set(limit)

    def watch_resting(self, deployment: str, rests: Callable[[], bool]) -> None:
        """``rests`` is asked whenever somebody looks."""
        self.resting.labels(deployment).set_function(lambda: float(rests()))

    def _child(self, metric: MetricT, *labels: str) -> MetricT:
        """``metric.labels(...)``, remembered: on every request the library's own look-up would cost as much as routing does."""
        key = (id(metric), *labels)
        held = self._children.get(key)
        if held is None:
            held = self._children[key] = metric.labels(*labels)
        return cast(MetricT, held)
