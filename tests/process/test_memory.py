"""What the gateway keeps resident without a local model: the target is 120 MiB."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.process import Server, server

from trimtab.lab.faults import FaultyUpstream, speak

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc to read the memory from"),
]

CONFIG = """
[[deployment]]
id = "lab"
provider = "vllm"
model = "lab"
base_url = "{url}/v1"
zone = "any"
"""
TARGET = 120.0


def resident(running: Server) -> float:
    """MiB."""
    assert running.process is not None
    pages = int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def test_idle_memory_stays_under_its_target(tmp_path: Path) -> None:
    async with FaultyUpstream(speak()) as upstream, server(tmp_path, CONFIG.format(url=upstream.url)) as running:
        ready = resident(running)
        sdk = running.openai()
        for number in range(50):
            await sdk.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": f"Question {number}: " + "why? " * 200}]
            )
        used = resident(running)
    print(f"\nresident: {ready:.1f} MiB when ready, {used:.1f} MiB after 50 requests")
    assert ready < TARGET
    assert used < TARGET
