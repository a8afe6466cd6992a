"""The histograms that the OpenTelemetry GenAI semantic conventions ask for, counted from the record of each request that has ended.

Cumulative, with the conventions' bucket bounds. Every attribute's values come from the configuration or from a list of ours, so that their
number is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from trimtab.core.record import Intent, Outcome
from trimtab.telemetry.otlp import Attribute, Fact, HistogramData, HistogramPoint, Metric, attributes
from trimtab.telemetry.traces import Upstream

_TOKENS = tuple(float(4**power) for power in range(14))
_SECONDS = tuple(0.01 * 2**power for power in range(14))
_FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

Series = tuple[tuple[str, Fact], ...]
"""Attributes by name."""


class _Cells:
    """One series."""

    def __init__(self, series: Series, bounds: tuple[float, ...]) -> None:
        self.told: list[Attribute] = attributes(dict(series))
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0


class Histogram:
    """``bounds`` are the upper ends of the buckets, each of which includes its own; the last bucket has none."""

    def __init__(self, name: str, description: str, unit: str, bounds: tuple[float, ...]) -> None:
        self.name = name
        self._description = description
        self._unit = unit
        self._bounds = bounds
        self._series: dict[Series, _Cells] = {}

    def observe(self, value: float, series: Series) -> None:
        cells = self._series.get(series)
        if cells is None:
            cells = self._series[series] = _Cells(series, self._bounds)
        cells.counts[bisect_left(self._bounds, value)] += 1
        cells.sum += value

    def metric(self, start_ns: int, now_ns: int) -> Metric:
        points = [
            HistogramPoint(
                attributes=cells.told,
                start_time_unix_nano=str(start_ns),
                time_unix_nano=str(now_ns),
                count=str(sum(cells.counts)),
                sum=cells.sum,
                bucket_counts=[str(count) for count in cells.counts],
                explicit_bounds=self._bounds,
            )
            for cells in self._series.values()
        ]
        return Metric(name=self.name, description=self._description, unit=self._unit, histogram=HistogramData(points))

    @property
    def size(self) -> int:
        return len(self._series)


class Instruments:
    """``start_ns`` is when counting began."""

    def __init__(self, upstreams: Mapping[str, Upstream], start_ns: int) -> None:
        self._upstreams = upstreams
        self._start_ns = start_ns
        self._common: dict[tuple[str, str], Series] = {}
        self._tokens = Histogram("gen_ai.client.token.usage", "Number of input and output tokens used.", "{token}", _TOKENS)
        self._seconds = Histogram("gen_ai.client.operation.duration", "GenAI operation duration.", "s", _SECONDS)
        self._first_token = Histogram(
            "gen_ai.server.time_to_first_token", "Time to generate the first token of a response.", "s", _FIRST_TOKEN
        )

    def observe(self, intent: Intent, outcome: Outcome) -> None:
        """Count every attempt: each is an operation of the GenAI client that a gateway is. Estimated usage is no usage."""
        for attempt in outcome.attempts:
            series = self._series_of(intent.decision.ask.operation, attempt.deployment)
            if not attempt.usage.estimated:
                for kind, count in (("input", attempt.usage.input), ("output", attempt.usage.output)):
                    if count:
                        self._tokens.observe(count, (*series, ("gen_ai.token.type", kind)))
            if attempt.total_us is not None:
                self._seconds.observe(attempt.total_us / 1e6, (*series, ("error.type", attempt.failure)))
            if attempt.first_token_us is not None:
                self._first_token.observe(attempt.first_token_us / 1e6, series)

    def _series_of(self, operation: str, deployment: str) -> Series:
        """What all instruments tell of a deployment."""
        held = self._common.get((operation, deployment))
        if held is None:
            upstream = self._upstreams[deployment]
            held = self._common[operation, deployment] = (
                ("gen_ai.operation.name", operation),
                ("gen_ai.provider.name", upstream.provider),
                ("gen_ai.request.model", upstream.model),
                ("server.address", upstream.address),
                ("server.port", upstream.port),
                ("trimtab.deployment", deployment),
            )
        return held

    def metrics(self, now_ns: int) -> list[Metric]:
        """What has been counted so far, less what has not happened yet."""
        return [each.metric(self._start_ns, now_ns) for each in self._all if each.size]

    @property
    def points(self) -> int:
        return sum(each.size for each in self._all)

    @property
    def _all(self) -> tuple[Histogram, ...]:
        return self._tokens, self._seconds, self._first_token
