"""Writes ``spine.sql``: an event log as the first release's own server wrote it, for the tests of upgrades.

Run it from a checkout of the release, never from here, so that the old code does the writing::

    git archive v0.1.0 src | tar -x -C SOMEWHERE        # v0.1.0 is commit cb17655
    PYTHONPATH=SOMEWHERE/src python tests/store/data/write_spine.py > tests/store/data/spine.sql

The server is started twice, so that there are two chains. What it is asked has every ending there is: complete, failed over, failed,
partial, refused, cancelled, of unknown cost, and under way when the server was killed. The store itself appends a correction: no verb
makes one yet.
It knows the old command line and nothing of the present one.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trimtab.core.record import Correction
from trimtab.core.units import NanoUSD, Usage
from trimtab.store import Filter, SQLiteStore

KEY = "tt-the-key-of-the-spine"
LAB, PORT = 18902, 18800
# Of those that may be chosen, the cheapest is the one whose account is empty: ``auto`` fails over to the steady one.
WAYS = {
    "steady": ("fault:none", 0.5),
    "uncounted": ("fault:no-usage", 90.0),
    "empty": ("fault:openai.quota", 0.0),
    "cut": ("fault:reset-after-3", 90.0),
    "mute": ("fault:silence-after-2", 90.0),
}


def configuration() -> str:
    deployments = [
        f'[[deployment]]\nid = "{id}"\nprovider = "vllm"\nmodel = "{model}"\nbase_url = "http://127.0.0.1:{LAB}/v1"\n'
        f"price = {{ input = {price}, output = {price * 3} }}\n"
        for id, (model, price) in WAYS.items()
    ]
    abroad = f'[[deployment]]\nid = "abroad"\nprovider = "openai"\nmodel = "fault:tools"\nbase_url = "http://127.0.0.1:{LAB}/v1"\n'
    return f"[server]\nport = {PORT}\n\n" + "\n".join([*deployments, abroad])


@contextmanager
def running(home: Path, *arguments: str, ready: str, end: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    env = {**os.environ, "TRIMTAB_HOME": str(home), "TRIMTAB_API_KEY": KEY, "OPENAI_API_KEY": "unused"}
    child = subprocess.Popen([sys.executable, "-m", "trimtab", *arguments], cwd=home, env=env, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with suppress(OSError):
                urllib.request.urlopen(ready, timeout=5).close()
                break
            time.sleep(0.05)
        yield
    finally:
        child.send_signal(end)
        child.wait(30)


def ask(path: str, *, model: str, text: str, stream: bool = False, seconds: float = 10, task: str = "chat") -> None:
    """What comes back is no matter here: the log is."""
    body = {"model": model, "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {KEY}", "content-type": "application/json", "x-trimtab-task": task},
    )
    with suppress(OSError, http.client.HTTPException), urllib.request.urlopen(request, timeout=seconds) as answer:
        answer.read()


def two_lives(home: Path) -> None:
    config = str(home / "trimtab.toml")
    with running(home, "serve", "--config", config, ready=f"http://127.0.0.1:{PORT}/readyz"):
        ask("/v1/chat/completions", model="steady", text="Say hello.")
        ask("/v1/messages", model="steady", text="Say hello.", stream=True)
        ask("/v1/chat/completions", model="uncounted", text="Write to ann@example.com.", stream=True)
        ask("/v1/chat/completions", model="cut", text="Tell me a story.", stream=True)
        ask("/v1/chat/completions", model="empty", text="Say hello.")
        ask("/v1/messages", model="abroad", text="Say hello.")
        ask("/v1/chat/completions", model="abroad", text="My IBAN is DE89 3704 0044 0532 0130 00.")
        ask("/v1/chat/completions", model="mute", text="Say hello.", stream=True, seconds=1)
        time.sleep(1)
    with running(home, "serve", "--config", config, ready=f"http://127.0.0.1:{PORT}/readyz", end=signal.SIGKILL):
        ask("/v1/chat/completions", model="auto", text="Fasse das zusammen: Gewässer.", task="summary")
        late = threading.Thread(target=ask, args=["/v1/messages"], kwargs={"model": "mute", "text": "Say hello.", "stream": True})
        late.start()
        time.sleep(2)
    late.join()


async def correct(ledger: Path) -> None:
    store = await SQLiteStore.open(ledger, writer="correction")
    guessed = [record async for record in store.scan(Filter()) if record.outcome and record.outcome.usage.estimated]
    for record in guessed[:1]:
        usage = Usage(input=9, output=4)
        at = record.intent.at_ns + 1_000_000_000
        await store.append(
            Correction(id=record.intent.id, at_ns=at, reason="counted afterwards", usage=usage, cost=NanoUSD(12_345))
        )
    await store.aclose()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "trimtab.toml").write_text(configuration())
        with running(home, "lab", "faults", "--port", str(LAB), ready=f"http://127.0.0.1:{LAB}/v1/models"):
            two_lives(home)
        ledger = home / "ledger.sqlite3"
        asyncio.run(correct(ledger))
        with sqlite3.connect(ledger) as db:
            sys.stdout.write("\n".join(db.iterdump()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
