"""Content and secrets stand in no log, metric, record, error or listing, whatever goes wrong, with every channel wide open."""

from __future__ import annotations

import logging

import httpx2
import msgspec
import pytest
from tests.support.serving import KEY, SHORT, UPSTREAM_KEY, openai_door, serving

from trimtab.lab.faults import Behaviour, FaultyUpstream, Hang, Refuse, Status, speak
from trimtab.lab.upstream.delivery import Cut, ErrorEvent

CANARY = "canary-7f3a9c-zebra"
ANSWERED = "answer-51d2e8-giraffe"
ECHO = msgspec.json.encode({"error": {"message": f"I do not like {CANARY} nor {UPSTREAM_KEY}", "type": "invalid_request_error"}})
SCRIPT: tuple[Behaviour, ...] = (
    speak(ANSWERED),
    Status(400, ECHO),
    Status(401, ECHO),
    Status(500, ECHO),
    speak(ANSWERED, ErrorEvent(after=1)),
    speak(ANSWERED, Cut(after=1, how="reset")),
    Refuse(),
    Hang(),
)


async def test_no_channel_tells_content_or_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    for stream in (False, True):
        async with FaultyUpstream(*SCRIPT) as upstream:
            for _ in SCRIPT:  # a gateway each, so that no breaker hides a fault
                async with serving([openai_door("door", upstream.url, timeouts=SHORT)]) as running:
                    async with httpx2.AsyncClient(
                        base_url=running.url, headers={"authorization": f"Bearer {KEY}"}, timeout=10
                    ) as client:
                        body = {
                            "model": "auto",
                            "messages": [{"role": "user", "content": CANARY}],
                            "stream": stream,
                            "user": CANARY,
                        }
                        answer = await client.post("/v1/chat/completions", json=body)
                        # What the upstream said belongs to the client who asked; what is ours to tell is all the rest.
                        told.append(str(answer.headers))
                        assert UPSTREAM_KEY not in answer.text
                        decision = answer.headers["x-trimtab-decision"]
                        listings = ("/metrics", "/v1/models", "/readyz", "/healthz", f"/-/decisions/{decision}")
                        told += [(await client.get(path)).text for path in listings]
                        told.append((await client.post("/v1/chat/completions", json={**body, "messages": CANARY})).text)
                    told.append(repr(await running.records()))
                    told.append(repr(running.egress) + repr(running.gateway.fleet.statistics()))
    told += [
        record.getMessage() + str(record.__dict__) for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    ]
    everything = "\n".join(told)
    assert len(told) > 100
    for secret in (CANARY, ANSWERED, UPSTREAM_KEY, KEY):
        assert secret not in everything, f"{secret} was told: {everything[max(0, everything.index(secret) - 200) :][:400]}"
