"""A gateway as configured, whole: what the collector and the webhook are told of real requests, and that no content is in it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.support.fleet import CALLER, question
from tests.support.listener import Listener
from tests.support.otlp import facts, metrics_in, spans_sent

from trimtab import config
from trimtab.core.errors import BudgetExhausted
from trimtab.core.messages import Request
from trimtab.core.record import OutcomeKind
from trimtab.engine import Caller, Gateway
from trimtab.engine.access import digest
from trimtab.engine.assembly import assemble
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.store import Filter

WRITTEN = """
[budget]
usd_per_day = 0.00001
[cache]
enabled = true
[telemetry]
otlp_endpoint = "{collector}"
interval_seconds = 0.05
[alerts]
webhook = "{hook}/budgets"
[[deployment]]
id = "door"
provider = "vllm"
model = "m"
base_url = "{upstream}/v1"
price = {{ input = 0.1, output = 0.01 }}
"""
TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"


async def ask(gateway: Gateway, request: Request, caller: Caller) -> str:
    async with gateway.handle(request, caller) as reply:
        async for _ in reply.frames:
            continue
        return reply.id


async def test_requests_are_told_of_outside_without_a_word_of_them(tmp_path: Path) -> None:
    secret_word = "xylophone"
    async with (
        Listener() as collector,
        Listener() as hook,
        FaultyUpstream(speak(f"An {secret_word} it is.")) as upstream,
    ):
        written = WRITTEN.format(collector=collector.url, hook=hook.url, upstream=upstream.url)
        (tmp_path / "trimtab.toml").write_text(written)
        told = config.load(tmp_path / "trimtab.toml", {})
        traced = msgspec.structs.replace(CALLER, trace=TRACE)
        async with assemble(told, ledger=tmp_path / "ledger.sqlite3", weights={}, key_digest=digest("tt-key")) as assembly:
            gateway, asked = assembly.gateway, question(f"What is an {secret_word}?", stream=True)
            ids = [await ask(gateway, asked, CALLER), await ask(gateway, asked, traced)]
            records = [record async for record in assembly.store.scan(Filter())]
            assert [record.outcome and record.outcome.cached for record in records] == [False, True]
            with pytest.raises(BudgetExhausted):
                await ask(gateway, question(f"{secret_word} " * 200), CALLER)
            [alert, *_] = await hook.heard(1, seconds=4)
        spans = spans_sent(collector.exchanges)
        made = [span for span in spans if facts(span.attributes).get("trimtab.decision.id") == ids[0]]
        assert [span.name for span in made] == ["chat auto"]
        assert [span.name for span in spans if span.parent_span_id == made[0].span_id] == ["chat m"]
        [again] = [span for span in spans if facts(span.attributes).get("trimtab.decision.id") == ids[1]]
        assert (again.trace_id.hex(), again.parent_span_id.hex()) == ("ab" * 16, "cd" * 8)
        seen = facts(again.attributes)
        assert (seen["trimtab.cached"], seen["trimtab.outcome"]) == (True, OutcomeKind.COMPLETE)
        assert (seen["gen_ai.usage.input_tokens"], seen["trimtab.cost_usd"]) == (0, 0.0)
        *_, last = [exchange for exchange in collector.exchanges if exchange.request.path == "/v1/metrics"]
        assert "gen_ai.client.token.usage" in metrics_in(last.request.body)
        for exchange in (*collector.exchanges, *hook.exchanges):
            assert secret_word.encode() not in exchange.request.body
        assert b'"budget":"config"' in alert.request.body
        assert b'"share":null' in alert.request.body
