"""Budget alerts: who is told, when, how often, and what happens when nobody listens."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.support.fleet import CALLER, config_of, deployment, gateway_of, question
from tests.support.listener import Listener

from trimtab import config
from trimtab.core.accounts import Budget, Period
from trimtab.core.errors import BudgetExhausted
from trimtab.core.units import USD, Clock, NanoUSD
from trimtab.core.zones import Secret
from trimtab.engine.assembly.outside import alerting
from trimtab.engine.clock import SystemClock, new_id
from trimtab.engine.limits import Alerts, Purse
from trimtab.engine.limits.purse import period_start
from trimtab.lab.clock import ManualClock, virtual
from trimtab.lab.memory import MemoryStore
from trimtab.lab.scripted import ScriptedProvider, says
from trimtab.net import Egress, Receivers
from trimtab.store import Budgets, SpendLine, SQLiteStore
from trimtab.telemetry import Metrics

DAY = Budget(id="team", of="place:acme", period=Period.DAY, limit=NanoUSD(10 * USD))
SECRET = Secret("whsec-0123456789")


class Till:
    """One process: its own purse and alerts, over a store that it may share."""

    def __init__(self, store: Budgets, clock: Clock, alerts: Alerts, purse: Purse, metrics: Metrics) -> None:
        self.store, self.clock, self.alerts, self.purse, self.metrics = store, clock, alerts, purse, metrics

    async def spend(self, dollars: float, budget: Budget = DAY) -> None:
        now = self.clock.time_ns()
        await self.store.settle(new_id(now), (SpendLine(budget.id, period_start(budget.period, now), round(dollars * USD)),))

    async def look(self) -> None:
        await self.purse.refresh(now=True)
        await self.alerts.round()

    def told(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def till(store: Budgets, clock: Clock, *budgets: Budget) -> Till:
    """Without a webhook."""
    metrics, purse = Metrics(), Purse(store, clock, budgets)
    return Till(store, clock, Alerts(store, purse, metrics, clock), purse, metrics)


@asynccontextmanager
async def calling(url: str, store: Budgets, *budgets: Budget, path: str = "/hook") -> AsyncIterator[Till]:
    """With one, over real sockets."""
    egress = Egress(Receivers(config_of([]).boundary, []))
    clock, metrics = SystemClock(), Metrics()
    purse = Purse(store, clock, budgets)
    hook = config.Alerts(origin=url, path=Secret(path), zone="local", secret=SECRET)
    try:
        async with alerting(hook, egress, store, purse, metrics, clock) as alerts:
            yield Till(store, clock, alerts, purse, metrics)
    finally:
        await egress.aclose()


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    return [(record.facts["budget"], record.facts["share"]) for record in caplog.records if record.msg == "budget alert"]  # type: ignore[attr-defined]


@virtual
async def test_each_share_is_told_once_a_period(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    one = till(MemoryStore(clock.time_ns), clock, DAY)
    with caplog.at_level(logging.WARNING):
        await one.spend(7.9)
        await one.look()
        assert lines(caplog) == []
        await one.spend(0.1)
        await one.look()
        await one.look()
        assert lines(caplog) == [("team", 0.8)]
        await one.spend(5)
        await one.look()
        await one.look()
        assert lines(caplog) == [("team", 0.8), ("team", 1.0)]
        assert one.told("trimtab_budget_spent_usd", budget="team") == 13
        assert one.told("trimtab_budget_limit_usd", budget="team") == 10
        clock.set_wall(86_400)
        await one.look()
        assert one.told("trimtab_budget_spent_usd", budget="team") == 0
        await one.spend(10)
        await one.look()
        assert lines(caplog)[2:] == [("team", 0.8), ("team", 1.0)]


@virtual
async def test_soft_budgets_tell_silent_ones_do_not_and_a_gone_one_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    soft = msgspec.structs.replace(DAY, id="soft", hard=False)
    silent = msgspec.structs.replace(DAY, id="silent", alerts=())
    nothing = msgspec.structs.replace(DAY, id="nothing", limit=NanoUSD(0))
    one = till(MemoryStore(clock.time_ns), clock, soft, silent, nothing)
    await one.spend(20, soft)
    await one.spend(20, silent)
    with caplog.at_level(logging.WARNING):
        await one.look()
    assert lines(caplog) == [("soft", 0.8), ("soft", 1.0)]
    one.purse.replace([silent])
    await one.look()
    assert one.told("trimtab_budget_spent_usd", budget="soft") is None
    assert one.told("trimtab_budget_spent_usd", budget="silent") == 20


@virtual
async def test_a_refusal_is_told_though_the_limit_is_never_quite_reached(caplog: pytest.LogCaptureFixture) -> None:
    """A hard budget refuses what does not fit, so that it may never be spent whole: its users wonder all the same."""
    clock, metrics = ManualClock(), Metrics()
    store = MemoryStore(clock.time_ns)
    gateway = gateway_of(
        [deployment("a")], ScriptedProvider({"a": says("x")}, clock=clock), store=store, clock=clock, budget=NanoUSD(1000)
    )
    alerts = Alerts(store, gateway.purse, metrics, clock)
    with pytest.raises(BudgetExhausted):
        async with gateway.handle(question(), CALLER):
            raise AssertionError("it was answered")
    with caplog.at_level(logging.WARNING):
        await alerts.round()
        await alerts.round()
    assert lines(caplog) == [("config", None)]


async def test_the_webhook_is_called_with_a_signed_body() -> None:
    async with Listener() as hook, calling(hook.url, MemoryStore(), DAY, path="/T0/B1?token=x") as one:
        await one.spend(8.5)
        await one.look()
        [exchange] = await hook.heard(1)
        sent = exchange.request
        assert sent.path == "/T0/B1?token=x"
        expected = hmac.new(SECRET.reveal().encode(), sent.body, hashlib.sha256).hexdigest()
        assert sent.headers["x-trimtab-signature"] == f"sha256={expected}"
        said = json.loads(sent.body)
        assert {name: said[name] for name in ("type", "budget", "of", "period", "share", "spent_usd", "limit_usd", "hard")} == {
            "type": "budget_alert",
            "budget": "team",
            "of": "place:acme",
            "period": "day",
            "share": 0.8,
            "spent_usd": 8.5,
            "limit_usd": 10,
            "hard": True,
        }
        assert "$8.50 of $10.00" in said["text"]
    assert one.told("trimtab_alerts_total", result="sent") == 1


async def test_two_processes_on_one_file_send_one_alert(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(Listener())
        tills = []
        for writer in ("one", "two"):
            store = await SQLiteStore.open(tmp_path / "ledger.sqlite3", writer=writer)
            stack.push_async_callback(store.aclose)
            tills.append(await stack.enter_async_context(calling(hook.url, store, DAY)))
        await tills[0].spend(6)
        await tills[1].spend(6)
        for _ in range(3):
            await asyncio.gather(*(each.look() for each in tills))
        await hook.heard(2)
        await asyncio.sleep(0.1)
        assert sorted(json.loads(each.request.body)["share"] for each in hook.exchanges) == [0.8, 1.0]


async def test_a_webhook_in_trouble_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.engine.limits.alerts._WAITS", (0.01, 0.01, 0.01))
    async with Listener((500, b""), "reset", (200, b"")) as hook, calling(hook.url, MemoryStore(), DAY) as one:
        await one.spend(8)
        await one.look()
        await hook.heard(3)
        assert len({each.request.body for each in hook.exchanges}) == 1, "the same alert, with the same id"
        async with asyncio.timeout(3):
            while not one.told("trimtab_alerts_total", result="sent"):
                await asyncio.sleep(0.01)


async def test_an_alert_that_reaches_nobody_is_given_up_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trimtab.engine.limits.alerts._WAITS", (0.01, 0.01, 0.01))
    async with Listener((404, b"s3cret page")) as hook, calling(hook.url, MemoryStore(), DAY, path="/s3cret") as one:
        await one.spend(8)
        await one.look()
        async with asyncio.timeout(3):
            while not one.told("trimtab_alerts_total", result="failed"):
                await asyncio.sleep(0.01)
        assert len(hook.exchanges) == 4
    [line] = [record for record in caplog.records if record.msg == "a budget alert reached nobody"]
    assert line.facts["reason"] == "status 404"  # type: ignore[attr-defined]
    assert "s3cret" not in repr([vars(record) for record in caplog.records])


async def test_a_slow_webhook_holds_up_neither_the_round_nor_the_shutdown() -> None:
    async with Listener("hang") as hook:
        loop = asyncio.get_running_loop()
        async with calling(hook.url, MemoryStore(), DAY) as one:
            await one.spend(20)
            began = loop.time()
            await one.look()
            assert loop.time() - began < 1
            await hook.heard(1)
            began = loop.time()
        assert loop.time() - began < 4
