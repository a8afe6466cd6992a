"""Sends spans and metrics to a collector, in batches, through the one way out of the process.

Nothing here blocks or fails a request: what is observed goes into a bounded queue, and what does not fit is dropped, counted and told. It
knows nothing of how requests are answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum
from itertools import islice

from msgspec import Struct

from trimtab.core.catalog import Deployment
from trimtab.core.errors import EgressRefused
from trimtab.core.record import Intent, Outcome
from trimtab.core.units import Clock
from trimtab.core.zones import Sensitivity
from trimtab.net import Answer, Egress, NetError
from trimtab.telemetry.instruments import Instruments
from trimtab.telemetry.logs import log
from trimtab.telemetry.metrics import Metrics
from trimtab.telemetry.otlp import Origin, Span, metrics_body, rejected, traces_body
from trimtab.telemetry.traces import is_sampled, spans_of, upstream_of

_QUEUE = 2048
"""Requests that wait for the collector at most: as many spans as OpenTelemetry's own processors keep, or a few times that."""

_BATCH = 128
_AT_ONCE = 16
_CARRIED = frozenset({Sensitivity.INTERNAL})
"""Ids, names and numbers, whatever the requests carried."""

_AGAIN = frozenset({429, 502, 503, 504})
"""OTLP/HTTP, "Retryable Response Codes": with any other failure the data is to be dropped."""

_SEND_SECONDS = 10.0
_LAST_SECONDS = 3.0
_MOST_PATIENCE = 64.0
_ANSWER_BYTES = 65_536

Ended = tuple[Intent, Outcome, str]


class ExportPlan(Struct, frozen=True, kw_only=True):
    """``receiver`` is the collector's id in the register of receivers; ``interval_seconds`` lie between two batches, or two readings."""

    receiver: str
    traces: bool
    metrics: bool
    interval_seconds: float
    origin: Origin


class _Verdict(Enum):
    TAKEN = "taken"
    LATER = "later"
    REFUSED = "refused"


class Exporter:
    """Hand :meth:`observe` to the recorder, keep :meth:`run` as a task, and call :meth:`aclose` when that has ended."""

    def __init__(self, egress: Egress, clock: Clock, metrics: Metrics, plan: ExportPlan, deployments: Iterable[Deployment]) -> None:
        self._egress = egress
        self._clock = clock
        self._metrics = metrics
        self._plan = plan
        self._upstreams = {deployment.id: upstream_of(deployment) for deployment in deployments}
        self._instruments = Instruments(self._upstreams, clock.time_ns())
        self._queue: deque[Ended] = deque()
        self._full = asyncio.Event()
        self._failures = {"traces": 0, "metrics": 0}
        self._dropped = 0
        self._next_reading = clock.monotonic() + plan.interval_seconds

    def observe(self, intent: Intent, outcome: Outcome, traceparent: str) -> None:
        """A request has ended."""
        if self._plan.metrics:
            self._instruments.observe(intent, outcome)
        if not self._plan.traces or not is_sampled(traceparent):
            return
        if len(self._queue) >= _QUEUE:
            self._drop("traces", 1 + len(outcome.attempts))
            return
        self._queue.append((intent, outcome, traceparent))
        if len(self._queue) >= _BATCH:
            self._full.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._pause()
            await self.flush(reading=self._clock.monotonic() >= self._next_reading)

    async def flush(self, *, reading: bool = True) -> None:
        """Send what is waiting and, with ``reading``, what has been counted. Stops at the first failure that may pass: the rest waits."""
        while self._queue:
            batch = list(islice(self._queue, _BATCH))
            spans = await self._spans_of(batch)
            verdict = await self._send("traces", traces_body(self._plan.origin, spans), len(spans))
            if verdict is _Verdict.LATER:
                break
            for _ in batch:
                self._queue.popleft()
        else:
            if reading and self._plan.metrics:
                self._next_reading = self._clock.monotonic() + self._plan.interval_seconds
                await self._read()
        self._full.clear()
        if self._dropped:
            log(__name__, "telemetry was dropped", level=logging.WARNING, spans=self._dropped, reason="the queue was full")
            self._dropped = 0

    async def aclose(self) -> None:
        """Send the rest, if that does not take long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self.flush()
        left = sum(1 + len(outcome.attempts) for _, outcome, _ in self._queue)
        if left:
            log(
                __name__, "telemetry was dropped", level=logging.WARNING, spans=left, reason="the collector did not take it in time"
            )

    async def _spans_of(self, batch: Sequence[Ended]) -> list[Span]:
        """Made a few at a time, so that streams go on meanwhile."""
        spans: list[Span] = []
        for start in range(0, len(batch), _AT_ONCE):
            spans += (span for ended in batch[start : start + _AT_ONCE] for span in spans_of(*ended, self._upstreams))
            await asyncio.sleep(0)
        return spans

    async def _read(self) -> None:
        told = self._instruments.metrics(self._clock.time_ns())
        if told:
            await self._send("metrics", metrics_body(self._plan.origin, told), self._instruments.points)

    async def _pause(self) -> None:
        """Until it is time, or a batch is full. After a failure only time helps."""
        interval, failures = self._plan.interval_seconds, max(self._failures.values())
        if failures:
            await self._clock.sleep(max(interval, min(interval * 2.0 ** min(failures, 9), _MOST_PATIENCE)))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._next_reading - self._clock.monotonic())):
                await self._full.wait()
        if not self._plan.metrics:
            self._next_reading = self._clock.monotonic() + self._plan.interval_seconds

    async def _send(self, signal: str, body: bytes, count: int) -> _Verdict:
        try:
            async with (
                asyncio.timeout(_SEND_SECONDS),
                self._egress.post(
                    self._plan.receiver,
                    f"/v1/{signal}",
                    body,
                    carried=_CARRIED,
                    headers={"content-type": "application/json"},
                    connect_timeout=_SEND_SECONDS / 2,
                ) as answer,
            ):
                verdict, reason = await self._judge(signal, answer), f"status {answer.status}"
        except TimeoutError:
            verdict, reason = _Verdict.LATER, "no answer in time"
        except NetError as error:
            verdict, reason = _Verdict.LATER, error.kind.value
        except EgressRefused:
            verdict, reason = _Verdict.REFUSED, "the boundary does not let it out"
        if verdict is _Verdict.TAKEN:
            self._failures[signal] = 0
            return verdict
        if verdict is _Verdict.REFUSED:
            self._metrics.telemetry_dropped.labels(signal).inc(count)
        else:
            self._failures[signal] += 1
        if verdict is _Verdict.REFUSED or self._failures[signal] == 1:  # once for each time that it is away
            log(__name__, "the collector took nothing", level=logging.WARNING, signal=signal, reason=reason, verdict=verdict.value)
        return verdict

    async def _judge(self, signal: str, answer: Answer) -> _Verdict:
        told = await answer.read(_ANSWER_BYTES)
        if 200 <= answer.status < 300:
            if unwanted := rejected(told):
                self._metrics.telemetry_dropped.labels(signal).inc(unwanted)
                log(__name__, "the collector took a part", level=logging.WARNING, signal=signal, rejected=unwanted)
            return _Verdict.TAKEN
        return _Verdict.LATER if answer.status in _AGAIN else _Verdict.REFUSED

    def _drop(self, signal: str, count: int) -> None:
        self._dropped += count
        self._metrics.telemetry_dropped.labels(signal).inc(count)
