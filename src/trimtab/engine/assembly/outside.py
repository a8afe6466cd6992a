"""Who outside is told of what happens here: the collector and the webhook, registered as receivers, with the tasks that call them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from trimtab import __version__, config
from trimtab.core.catalog import Deployment
from trimtab.core.units import Clock
from trimtab.engine.limits import Alerts, HMACSigner, Purse, Webhook
from trimtab.engine.limits.alerts import RECEIVER
from trimtab.engine.recorder import Observer
from trimtab.net import Egress, Receiver
from trimtab.store import Budgets
from trimtab.telemetry import Exporter, ExportPlan, Metrics
from trimtab.telemetry.otlp import Origin

_COLLECTOR = "[telemetry]"
"""The collector's name among the receivers. No deployment can have it."""


@asynccontextmanager
async def alerting(
    written: config.Alerts | None, egress: Egress, store: Budgets, purse: Purse, metrics: Metrics, clock: Clock
) -> AsyncIterator[Alerts]:
    """Alerts that somebody has to call ``round`` of. Leaving tries once more what the webhook has not taken."""
    if written is None:
        yield Alerts(store, purse, metrics, clock)
        return
    signer = None if written.secret is None else HMACSigner(written.secret)
    egress.receivers.register(Receiver(id=RECEIVER, base_url=written.origin, zone=written.zone, signer=signer))
    alerts = Alerts(store, purse, metrics, clock, Webhook(egress, written.path))
    task = asyncio.create_task(alerts.run())
    try:
        yield alerts
    finally:
        await stop(task)
        await alerts.aclose()


@asynccontextmanager
async def exporting(
    written: config.Telemetry | None,
    egress: Egress,
    metrics: Metrics,
    clock: Clock,
    instance: str,
    deployments: Iterable[Deployment],
) -> AsyncIterator[tuple[Observer, ...]]:
    """Whom the recorder is to tell of each request. Leaving sends what is left, if that does not take long."""
    if written is None:
        yield ()
        return
    egress.receivers.register(Receiver(id=_COLLECTOR, base_url=written.endpoint, zone=written.zone, headers=written.headers))
    plan = ExportPlan(
        receiver=_COLLECTOR,
        traces=written.traces,
        metrics=written.metrics,
        interval_seconds=written.interval_seconds,
        origin=Origin(__version__, instance),
    )
    exporter = Exporter(egress, clock, metrics, plan, deployments)
    task = asyncio.create_task(exporter.run())
    try:
        yield (exporter.observe,)
    finally:
        await stop(task)
        await exporter.aclose()


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
