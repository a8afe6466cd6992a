"""Run by ``test_egress_drill`` in a process of its own, since an audit hook cannot be taken out again.

A whole gateway (real configuration, providers, egress and ledger) answers random requests under faults, while an audit hook writes down
every address that any part of the process connects to, and every name that it looks up. Prints the facts as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from trimtab import config as configuration
from trimtab.core.errors import TrimtabError
from trimtab.core.messages import Dialect, Message, Request, Text
from trimtab.core.zones import Sensitivity
from trimtab.engine import Caller
from trimtab.engine.access import digest
from trimtab.engine.assembly import assemble
from trimtab.lab.faults import Behaviour, FaultyUpstream, Refuse, Status, speak
from trimtab.lab.upstream.delivery import Cut, ErrorEvent
from trimtab.store import Filter

CONFIG = """
[starters]
enabled = false

[[deployment]]
id = "outside-a"
provider = "vllm"
model = "m"
base_url = "{outside}/v1"
zone = "any"

[[deployment]]
id = "outside-b"
provider = "anthropic"
model = "m"
base_url = "{outside}"
zone = "any"
api_key = "env:LAB_KEY"

[[deployment]]
id = "inside"
provider = "vllm"
model = "m"
base_url = "{inside}/v1"
zone = "local"
"""
SENSITIVE = ["card 4111 1111 1111 1111", "write to jane.doe@example.org", "key sk-proj-abcdefghijklmnopqrstuvwx0123456789ABCD"]
FAULTS: list[Behaviour] = [
    speak("ok"),
    speak("ok ok ok", ErrorEvent(after=1)),
    speak("ok ok ok", ErrorEvent(after=0)),
    speak("ok ok ok", Cut(after=1, how="reset")),
    Status(503),
    Refuse(),
]
"""Faults are rare enough that breakers stay closed for most of the drill: a fleet that is down proves nothing."""


def script(rng: random.Random, count: int) -> list[Behaviour]:
    return rng.choices(FAULTS, weights=[30, *(1 for _ in FAULTS[1:])], k=4 * count)


def canary(number: int) -> str:
    return f"canary-{number:04d}"


def request(rng: random.Random, number: int, *, sensitive: bool) -> Request:
    text = f"{canary(number)} {rng.choice(SENSITIVE) if sensitive else 'hello'}"
    model = rng.choice(["auto", "auto:fast", "auto:cheap", "auto:best", "outside-a", "outside-b", "inside"])
    dialect = rng.choice((Dialect.OPENAI_CHAT, Dialect.ANTHROPIC))
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": text}], "stream": bool(number % 2)}
    return Request(
        dialect=dialect,
        model=model,
        messages=(Message("user", (Text(text),)),),
        stream=bool(number % 2),
        native=msgspec.json.encode(body),
    )


async def drill(home: Path, count: int, seed: int) -> dict[str, object]:
    rng = random.Random(seed)
    connects: list[str] = []
    lookups: list[str] = []
    async with (
        FaultyUpstream(*script(rng, count)) as outside,
        FaultyUpstream(*script(rng, count)) as inside,
    ):
        file = home / "trimtab.toml"
        file.write_text(CONFIG.format(outside=outside.url, inside=inside.url))
        config = configuration.load(file, {"LAB_KEY": "sk-lab-0123456789"})

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            if event == "socket.connect":
                connects.append(str(arguments[1]))
            elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
                lookups.append(str(arguments[0]))

        sys.addaudithook(watch)
        kept_inside, answered = set(), 0
        async with assemble(config, ledger=home / "ledger.sqlite3", weights={}, key_digest=digest("tt-x")) as assembly:
            for number in range(count):
                marked = rng.random() < 0.3
                sensitive = rng.random() < 0.5
                if marked or sensitive:
                    kept_inside.add(canary(number))
                labels = frozenset({Sensitivity.PROPRIETARY}) if marked else frozenset()
                with suppress(TrimtabError):
                    asked = request(rng, number, sensitive=sensitive)
                    async with assembly.gateway.handle(asked, Caller(key_id="drill", line="drill", labels=labels)) as reply:
                        async for _ in reply.frames:
                            continue
                        answered += 1
            report = await assembly.store.verify()
            totals = await assembly.store.totals(Filter())
        seen_outside = b"".join(exchange.request.body for exchange in outside.exchanges).decode()
        return {
            "allowed": [outside.url, inside.url],
            "connects": sorted(set(connects)),
            "lookups": sorted(set(lookups)),
            "leaked": sorted(mark for mark in kept_inside if mark in seen_outside),
            "kept_inside": len(kept_inside),
            "outside_calls": len(outside.exchanges),
            "inside_calls": len(inside.exchanges),
            "answered": answered,
            "records": totals.requests,
            "chain": report.reason,
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(drill(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))))
