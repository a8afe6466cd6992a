"""The first promise, end to end: under random faults no byte of a sensitive request reaches a place outside the admitted zones, and the
process opens no connection but to the configured receivers."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import msgspec
import pytest
from tests.support.fleet import CALLER, deployment, gateway_of, question
from tests.support.serving import openai_door, serving

from trimtab.core.decision import Planned, Score
from trimtab.core.errors import EgressRefused
from trimtab.core.messages import Request
from trimtab.core.zones import Sensitivity
from trimtab.engine import gateway as path
from trimtab.lab.clock import ManualClock
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.lab.scripted import ScriptedProvider, says
from trimtab.routing.policy import decide

CHILD = Path(__file__).with_name("egress_child.py")


@pytest.mark.process
async def test_nothing_leaves_but_to_admitted_receivers(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(tmp_path), "300", "7", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    facts = json.loads(said)
    assert facts["leaked"] == []
    allowed = {f"('127.0.0.1', {url.rpartition(':')[2]})" for url in facts["allowed"]}
    assert set(facts["connects"]) == allowed, "the drill itself must see the connections that are meant to be"
    assert set(facts["lookups"]) <= {"127.0.0.1"}
    assert facts["records"] == 300
    assert facts["chain"] == ""
    # The drill had something to find: both sides were called, and many requests had to stay inside.
    assert min(facts["outside_calls"], facts["inside_calls"], facts["kept_inside"], facts["answered"]) > 50


async def test_a_forged_plan_is_refused_at_the_last_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were routing itself to go wrong and plan an outside deployment for secret data, not one byte would leave."""

    def forged(*arguments: object) -> object:
        decision = decide(*arguments)  # type: ignore[arg-type]
        return msgspec.structs.replace(decision, plan=(Planned("outside", Score(0)),), rejected=())

    monkeypatch.setattr(path, "decide", forged)
    async with FaultyUpstream(speak("ok")) as upstream, serving([openai_door("outside", upstream.url)]) as running:
        with pytest.raises(EgressRefused):
            async with running.gateway.handle(question("My card is 4111 1111 1111 1111."), CALLER):
                raise AssertionError("it was answered")
        assert upstream.exchanges == []


async def test_a_request_that_nobody_read_counts_as_unreadable() -> None:
    """The default of a request closes doors: whoever forgets to read it cannot send it outside."""
    unread = Request(dialect=question().dialect, model="auto", messages=())
    assert unread.sensitivity == {Sensitivity.UNREADABLE}
    provider = ScriptedProvider({"here": says("ok")})
    gateway = gateway_of([deployment("here", zone="local")], provider, clock=ManualClock())
    async with gateway.handle(question(), CALLER) as reply:
        assert [frame async for frame in reply.frames]
    assert provider.calls[0].request.sensitivity == {Sensitivity.INTERNAL}
