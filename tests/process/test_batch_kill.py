"""kill -9 between two lines of a batch: another process goes on, and no line whose result is written runs again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.engine.batch_shop import bench
from tests.engine.batch_worker import Logging
from tests.support.process import Server

from trimtab.engine.batches import Status
from trimtab.engine.batches.running.journal import Journal
from trimtab.engine.clock import SystemClock, new_id
from trimtab.lab.faults import FaultyUpstream, speak
from trimtab.store import Filter, SQLiteStore
from trimtab.wire.batches import Ending

pytestmark = pytest.mark.process

LINES = 40


async def worker(folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.engine.batch_worker", str(folder))


async def test_kill_nine_between_two_lines(tmp_path: Path) -> None:
    clock = SystemClock()
    store = await SQLiteStore.open(tmp_path / "ledger.sqlite3", writer=new_id(clock.time_ns()))
    shop = await bench(tmp_path / "files", clock, store, Logging(tmp_path / "asked"))
    batch = await shop.hand_in(LINES)

    def journal() -> Journal:
        return Journal(lambda epoch: tmp_path / "files" / f"{batch.id}.{epoch}.results", 1)

    first = await worker(tmp_path)
    async with asyncio.timeout(20):
        while len(journal().done) < 5:
            await asyncio.sleep(0.01)
    first.kill()
    await first.wait()
    written = journal().done
    assert 5 <= len(written) < LINES

    second = await worker(tmp_path)
    async with asyncio.timeout(20):
        while not (done := await shop.loaded(batch)).status.has_ended:
            await asyncio.sleep(0.05)
    second.kill()
    await second.wait()
    assert (done.status, dict(done.counts)) == (Status.COMPLETED, {Ending.SUCCEEDED: LINES})
    assert set(shop.rows(done.output)) == set(range(LINES))

    times = Counter(int(text.removeprefix("line ")) for text in (tmp_path / "asked").read_text().splitlines())
    assert set(times) == set(range(LINES))
    assert {times[number] for number in written} == {1}
    again = {number for number, count in times.items() if count > 1}
    assert len(again) <= 3  # the lines that were under way
    records = [record async for record in store.scan(Filter(), limit=1000)]
    assert len(records) <= LINES + len(again)
    complete = [record for record in records if record.outcome is not None]
    assert len(complete) >= LINES
    await store.aclose()


CONFIG = """
[starters]
enabled = false

[[deployment]]
id = "lab"
provider = "vllm"
model = "lab"
base_url = "{url}/v1"
zone = "any"
"""


async def test_the_server_keeps_batches_beside_its_ledger(tmp_path: Path) -> None:
    """The whole program: files beside the ledger, a kill, a start, and the SDK that asks again."""
    body = {"model": "lab", "messages": [{"role": "user", "content": "Hi"}]}
    rows = [{"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body} for number in range(3)]
    async with FaultyUpstream(speak("Fine.")) as upstream:
        running = Server(tmp_path, CONFIG.format(url=upstream.url))
        await running.start()
        client = running.openai()
        file = await client.files.create(file=b"\n".join(json.dumps(row).encode() for row in rows), purpose="batch")
        batch = await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        async with asyncio.timeout(10):
            while (done := await client.batches.retrieve(batch.id)).status != "completed":
                await asyncio.sleep(0.05)
        await running.kill()
        await running.start()
        try:
            assert done.output_file_id is not None
            answers = (await running.openai().files.content(done.output_file_id)).text
            assert len(answers.splitlines()) == 3
        finally:
            await running.stop()
    assert {kept.name for kept in (tmp_path / "ledger.files").iterdir()} == {file.id, done.output_file_id}
