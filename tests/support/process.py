"""The real server in a child process, as a user starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from trimtab.cli.common.home import Running
from trimtab.store import SQLiteStore

KEY = "tt-key-of-the-process-tests"


class Server:
    """``trimtab serve`` in ``home``; without ``config`` the shipped one applies. ``start`` returns when ready, ``kill`` is SIGKILL."""

    def __init__(self, home: Path, config: str | None, *, verb: str = "serve") -> None:
        self.home = home
        self.url = ""
        self._verb = verb
        self._config: list[str] = []
        if config is not None:
            (home / "trimtab.toml").write_text(config)
            self._config = ["--config", str(home / "trimtab.toml")]
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *arguments: str, **environment: str) -> None:
        env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        env |= {"TRIMTAB_HOME": str(self.home), "TRIMTAB_API_KEY": KEY, "PYTHONUNBUFFERED": "1", **environment}
        command = [sys.executable, "-m", "trimtab", self._verb, *self._config, "--port", "0", *arguments]
        (self.home / "running.json").unlink(missing_ok=True)
        log = (self.home / "server.log").open("ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(*command, env=env, stdout=log, stderr=log, cwd=self.home)
        async with asyncio.timeout(45):
            while not await self._ready():
                if self.process.returncode is not None:
                    raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()}")
                await asyncio.sleep(0.05)

    async def _ready(self) -> bool:
        with suppress(OSError, msgspec.DecodeError, ConnectionError):
            self.url = msgspec.json.decode((self.home / "running.json").read_bytes(), type=Running).url
            host, _, port = self.url.removeprefix("http://").partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            line = await reader.readline()
            writer.close()
            return b" 200 " in line
        return False

    def log(self) -> str:
        return (self.home / "server.log").read_text()

    async def stop(self) -> int:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.process.wait()

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    def openai(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0)

    def anthropic(self) -> AsyncAnthropic:
        return AsyncAnthropic(base_url=self.url, api_key=KEY, max_retries=0)

    async def ledger(self) -> SQLiteStore:
        return await SQLiteStore.open(self.home / "ledger.sqlite3", readonly=True)


@asynccontextmanager
async def server(home: Path, config: str | None, *arguments: str, verb: str = "serve", **environment: str) -> AsyncIterator[Server]:
    running = Server(home, config, verb=verb)
    await running.start(*arguments, **environment)
    try:
        yield running
    finally:
        if running.process is not None and running.process.returncode is None:
            await running.stop()
