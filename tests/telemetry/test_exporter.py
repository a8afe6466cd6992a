"""The exporter against a collector on real sockets: what is sent, and what happens when it is not taken."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from tests.support.fleet import config_of, deployment
from tests.support.listener import Answer, Listener
from tests.support.otlp import metrics_in, spans_sent
from tests.telemetry.records import INTENT, OUTCOME

from trimtab.core.record import Intent, Outcome
from trimtab.core.zones import Secret
from trimtab.engine.clock import SystemClock, new_id
from trimtab.net import Egress, Receiver, Receivers
from trimtab.telemetry import Exporter, ExportPlan, Metrics
from trimtab.telemetry.otlp import Origin

FLEET = [deployment("a"), deployment("b")]
TAKEN: Answer = (200, b"{}")
ONE = (INTENT, OUTCOME, "")


def another() -> tuple[Intent, Outcome, str]:
    intent, outcome, _ = ONE
    id = new_id(time.time_ns())
    return replace(intent, id=id), replace(outcome, id=id), ""


@asynccontextmanager
async def exporting(url: str, metrics: Metrics, *, traces: bool = True, histograms: bool = False) -> AsyncIterator[Exporter]:
    boundary = config_of(FLEET).boundary
    collector = Receiver(id="otlp", base_url=url, zone="local", headers={"authorization": Secret("Bearer t")})
    egress = Egress(Receivers(boundary, [collector]))
    plan = ExportPlan(receiver="otlp", traces=traces, metrics=histograms, interval_seconds=0.02, origin=Origin("1", "me"))
    try:
        yield Exporter(egress, SystemClock(), metrics, plan, FLEET)
    finally:
        await egress.aclose()


def dropped(metrics: Metrics, signal: str = "traces") -> float:
    return metrics.registry.get_sample_value("trimtab_telemetry_dropped_total", {"signal": signal}) or 0


async def test_spans_go_in_batches_with_the_credentials_of_the_configuration() -> None:
    metrics = Metrics()
    async with Listener(TAKEN) as collector, exporting(collector.url, metrics) as exporter:
        told = [another() for _ in range(300)]
        for each in told:
            exporter.observe(*each)
        await exporter.flush()
        sent = spans_sent(collector.exchanges)
        assert len(sent) == 600
        assert len({span.trace_id.hex() for span in sent}) == 300
        assert len(collector.exchanges) == 3
        for exchange in collector.exchanges:
            assert exchange.request.headers["authorization"] == "Bearer t"
            assert exchange.request.headers["content-type"] == "application/json"
        assert dropped(metrics) == 0


@pytest.mark.parametrize("trouble", [(503, b""), (429, b""), (502, b"x"), (504, b""), "reset"])
async def test_a_trouble_that_passes_loses_nothing(trouble: Answer) -> None:
    metrics = Metrics()
    async with Listener(trouble, TAKEN) as collector, exporting(collector.url, metrics) as exporter:
        exporter.observe(*another())
        await exporter.flush()
        await exporter.flush()
        first, second = (exchange.request.body for exchange in collector.exchanges)
        assert first == second, "sent again as it was, so that a collector can tell"
        await exporter.flush()
        assert len(collector.exchanges) == 2
        assert dropped(metrics) == 0


@pytest.mark.parametrize("refusal", [400, 401, 404, 413, 301])
async def test_what_the_collector_refuses_is_dropped_counted_and_told(refusal: int, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    async with Listener((refusal, b"no"), TAKEN) as collector, exporting(collector.url, metrics) as exporter:
        exporter.observe(*another())
        with caplog.at_level(logging.WARNING):
            await exporter.flush()
        assert dropped(metrics) == 2
        [line] = [record for record in caplog.records if record.name.startswith("trimtab")]
        assert line.getMessage() == "the collector took nothing"
        assert line.facts["reason"] == f"status {refusal}"  # type: ignore[attr-defined]
        exporter.observe(*another())
        await exporter.flush()
        assert len(collector.exchanges) == 2


async def test_what_it_takes_in_part_is_counted() -> None:
    metrics = Metrics()
    part = (200, json.dumps({"partialSuccess": {"rejectedSpans": "1"}}).encode())
    async with Listener(part) as collector, exporting(collector.url, metrics) as exporter:
        exporter.observe(*another())
        await exporter.flush()
        assert dropped(metrics) == 1


async def test_the_queue_is_bounded_and_what_does_not_fit_is_counted() -> None:
    metrics = Metrics()
    async with Listener((503, b"")) as collector, exporting(collector.url, metrics) as exporter:
        for _ in range(2048):
            exporter.observe(*ONE)
        assert dropped(metrics) == 0
        for _ in range(10):
            exporter.observe(*ONE)
        assert dropped(metrics) == 20
        await exporter.flush()
        assert len(collector.exchanges) == 1, "it stops at the first failure"


async def test_a_collector_that_hangs_holds_up_neither_requests_nor_the_shutdown() -> None:
    metrics = Metrics()
    async with Listener("hang") as collector, exporting(collector.url, metrics) as exporter:
        task = asyncio.create_task(exporter.run())
        exporter.observe(*another())
        await asyncio.sleep(0.1)
        began = time.monotonic()
        for _ in range(100):
            exporter.observe(*ONE)
        assert time.monotonic() - began < 0.5
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await exporter.aclose()
        assert time.monotonic() - began < 4


async def test_run_sends_by_itself_and_the_last_batch_goes_at_the_end() -> None:
    metrics = Metrics()
    async with Listener(TAKEN) as collector, exporting(collector.url, metrics, histograms=True) as exporter:
        task = asyncio.create_task(exporter.run())
        exporter.observe(*another())
        async with asyncio.timeout(3):
            while len(spans_sent(collector.exchanges)) < 2:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        exporter.observe(*another())
        await exporter.aclose()
        assert len(spans_sent(collector.exchanges)) == 4
        *_, last = [exchange for exchange in collector.exchanges if exchange.request.path == "/v1/metrics"]
        points = metrics_in(last.request.body)["gen_ai.client.operation.duration"].histogram.data_points
        assert [point.count for point in points] == [2], "cumulative"


async def test_only_what_is_asked_for_is_sent() -> None:
    async with Listener(TAKEN) as collector, exporting(collector.url, Metrics(), traces=False, histograms=True) as exporter:
        exporter.observe(*another())
        await exporter.flush()
        assert [exchange.request.path for exchange in collector.exchanges] == ["/v1/metrics"]


async def test_a_trace_that_the_client_does_not_sample_is_not_sent() -> None:
    async with Listener(TAKEN) as collector, exporting(collector.url, Metrics()) as exporter:
        intent, outcome, _ = another()
        exporter.observe(intent, outcome, f"00-{'1' * 32}-{'2' * 16}-00")
        await exporter.flush()
        assert collector.exchanges == []
