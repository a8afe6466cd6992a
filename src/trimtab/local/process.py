"""One child process as the supervisor sees it: start it, hear that it listens, read its last words, end it for certain.

It knows nothing about restarts, and nothing of llama.cpp but the two lines that ``child.py`` says.
"""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trimtab.core.errors import LocalModelError
from trimtab.local.child import Reason, find_reason

_TAIL = 4096
_PASSED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_",
    "LD_",
    "DYLD_",
    "TMP",
    "TEMP",
    "SYSTEMROOT",
    "PYTHON",
    "VIRTUAL_ENV",
    "OMP_",
    "GGML_",
    "CUDA_",
    "HIP_",
    "ROCR_",
)
"""Prefixes of the variables that a child gets. The keys of other providers are not among them."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ChildProcess:
    """Made by :meth:`spawn`, ended by :meth:`stop`, which must be called whatever happens."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._tail = b""
        self._listener = asyncio.create_task(self._keep_tail(), name=f"stderr of {process.pid}")

    @classmethod
    async def spawn(cls, command: Sequence[str], settings: bytes) -> ChildProcess:
        """Start ``command`` and write it one line. Its own session, so that Ctrl-C in the terminal reaches us alone."""
        environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
            )
        except OSError as failure:
            raise LocalModelError(
                f"The process of the local model cannot be started: {failure.strerror}.",
                hint="Check free memory and process limits.",
            ) from failure
        child = cls(process)
        assert process.stdin is not None
        process.stdin.write(settings + b"\n")
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.returncode is None

    async def listening(self) -> bool:
        """Wait until the child says that it listens; ``False`` when it ends instead."""
        assert self._process.stdout is not None
        return bool(await self._process.stdout.readline())

    async def ended(self) -> int:
        """Wait for its end and for all that it had to say. Returns the exit status, negative for a signal."""
        status = await self._process.wait()
        await asyncio.wait({self._listener})
        return status

    async def stop(self, patience: float) -> None:
        """SIGTERM, then after ``patience`` seconds SIGKILL. On return it is gone and reaped."""
        try:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.terminate()
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await self._process.wait()
        finally:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.kill()
            await self.ended()

    def reason(self) -> Reason:
        """Why it ended, in its own words: its reason if it gave one, else its last lines as they are."""
        lines = [line for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return find_reason(self._tail) or Reason(
            " | ".join(lines[-3:]) or "it said nothing", "Start the gateway again; if it stays so, try another file."
        )

    def rss(self) -> int | None:
        """Resident memory in bytes; ``None`` where the system has no ``/proc``."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return None
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def _keep_tail(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_TAIL):
            self._tail = (self._tail + chunk)[-_TAIL:]
