"""Keep inference servers running: start, health-check, restart with back-off, stop. Each is a child process at one fixed address.

It opens no connection: the ``probe`` that it is handed asks a server's health. It knows nothing about requests or where weights come from.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from trimtab.core.errors import LocalModelError
from trimtab.core.zones import Secret
from trimtab.local.child import Settings
from trimtab.local.process import ChildProcess, free_port
from trimtab.net import NetError

Probe = Callable[[str, str], Awaitable[int]]
"""Asks the receiver with this id for this path. Returns the HTTP status, or raises :class:`NetError` where nobody answered."""

_CHILD = (sys.executable, "-P", "-m", "trimtab.local.child")
_UNWELL_CHECKS = 3


class State(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"


class Serving(Struct, frozen=True, kw_only=True):
    """What to serve. ``id`` is also the receiver's id, ``model`` the name that answers carry (default: the id); ``context`` is in
    tokens.

    ``threads`` is ``None`` for as many as fit: the machine's processors but one.
    """

    id: str
    path: Path
    model: str = ""
    context: int = 4096
    threads: int | None = None


class Pace(Struct, frozen=True, kw_only=True):
    """Seconds. A server that stayed up for ``settled`` starts its back-off anew."""

    start: float = 120.0
    check: float = 5.0
    first_delay: float = 0.5
    longest_delay: float = 30.0
    settled: float = 60.0
    stop: float = 3.0

    def delay(self, failures: int) -> float:
        """The wait before the next start after ``failures`` in a row: doubling, capped. One machine has no herd, so no jitter."""
        return min(self.longest_delay, self.first_delay * 2.0 ** min(failures, 32))


class Statistics(Struct, frozen=True, kw_only=True):
    """``rss_bytes`` is ``None`` while nothing runs, or where the system does not tell. ``last_failure`` is empty until there is one."""

    id: str
    state: State
    restarts: int
    pid: int | None
    rss_bytes: int | None
    last_failure: str


class LlamaServer:
    """One model. ``base_url`` and ``key`` are fixed from the beginning: register them as a receiver, then :meth:`start`."""

    def __init__(self, serving: Serving, probe: Probe, *, pace: Pace | None = None, command: Sequence[str] = _CHILD) -> None:
        self.id = serving.id
        self.key = Secret(secrets.token_urlsafe(32))
        self._port = free_port()
        self.base_url = f"http://127.0.0.1:{self._port}/v1"
        self._serving = serving
        self._probe = probe
        self._pace = pace or Pace()
        self._command = command
        self._state = State.STOPPED
        self._child: ChildProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._restarts = 0
        self._last_failure = ""

    async def start(self) -> None:
        """Return once the model answers. Raises :class:`LocalModelError` if it cannot be started at all; later ends are repaired."""
        child = await self._launch()
        self._task = asyncio.create_task(self._supervise(child), name=f"supervise {self.id}")

    async def aclose(self) -> None:
        """Stop the model and reap it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._child is not None:  # not in the task's own hands: one that is cancelled before its first step does nothing
            await self._end(self._child)
        self._state = State.STOPPED
        if self._task is not None and not self._task.cancelled():
            self._task.result()

    def statistics(self) -> Statistics:
        child = self._child
        return Statistics(
            id=self.id,
            state=self._state,
            restarts=self._restarts,
            pid=None if child is None else child.pid,
            rss_bytes=None if child is None else child.rss(),
            last_failure=self._last_failure,
        )

    async def _launch(self) -> ChildProcess:
        """A child that listens and is well, or :class:`LocalModelError` and no child."""
        self._state = State.STARTING
        child = await ChildProcess.spawn(self._command, self._settings())
        self._child = child
        try:
            async with asyncio.timeout(self._pace.start):
                await self._until_ready(child)
        except BaseException as failure:
            await self._end(child)
            if isinstance(failure, TimeoutError):
                raise LocalModelError(
                    f"{self.id} was not ready after {self._pace.start:g} seconds.",
                    hint="Is the machine busy, or the model too big for it?",
                ) from failure
            raise
        self._state = State.READY
        return child

    async def _end(self, child: ChildProcess) -> None:
        self._state = State.STOPPED
        self._child = None
        await child.stop(self._pace.stop)

    async def _until_ready(self, child: ChildProcess) -> None:
        if await child.listening():  # only its own word makes the port ours: whoever else may sit there must not be sent a prompt
            while child.runs:
                if await self._is_well():
                    return
                await asyncio.sleep(0.1)
        status = await child.ended()
        why = child.reason()
        raise LocalModelError(f"{self.id} could not be started (status {status}): {why.error}", hint=why.hint)

    async def _is_well(self) -> bool:
        try:
            async with asyncio.timeout(self._pace.check):
                return await self._probe(self.id, "/health") == 200
        except (NetError, TimeoutError):
            return False

    async def _supervise(self, child: ChildProcess) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            self._last_failure = await self._until_broken(child)
            failures = 0 if loop.time() - began >= self._pace.settled else failures
            await self._end(child)
            child = await self._relaunch(failures)
            failures += 1

    async def _until_broken(self, child: ChildProcess) -> str:
        """Watch a running server and return, in words, what ended that."""
        ended = asyncio.create_task(child.ended(), name=f"wait for {self.id}")
        unwell = 0
        try:
            while unwell < _UNWELL_CHECKS:
                await asyncio.wait({ended}, timeout=self._pace.check)
                if ended.done():
                    return f"ended with status {ended.result()}: {child.reason().error}"
                unwell = 0 if await self._is_well() else unwell + 1
            return f"no answer to {_UNWELL_CHECKS} health checks in a row"
        finally:
            ended.cancel()
            await asyncio.wait({ended})

    async def _relaunch(self, failures: int) -> ChildProcess:
        """A new child at the old address, however long it takes."""
        while True:
            self._state = State.BACKING_OFF
            await asyncio.sleep(self._pace.delay(failures))
            failures += 1
            self._restarts += 1
            try:
                return await self._launch()
            except LocalModelError as failure:
                self._last_failure = str(failure)

    def _settings(self) -> bytes:
        serving = self._serving
        return msgspec.json.encode(
            Settings(
                path=str(serving.path),
                name=serving.model or serving.id,
                port=self._port,
                api_key=self.key.reveal(),
                context=serving.context,
                threads=serving.threads or _threads_that_fit(),
            )
        )


class Supervisor:
    """Any number of models, started and stopped together."""

    def __init__(self, servers: Iterable[LlamaServer]) -> None:
        self._servers = tuple(servers)

    async def start(self) -> Mapping[str, LocalModelError]:
        """Start all at once. Returns those that could not be started, by id; the others run."""
        results = await asyncio.gather(*(server.start() for server in self._servers), return_exceptions=True)
        failed: dict[str, LocalModelError] = {}
        for server, result in zip(self._servers, results, strict=True):
            if isinstance(result, LocalModelError):
                failed[server.id] = result
            elif result is not None:
                raise result
        return failed

    def statistics(self) -> tuple[Statistics, ...]:
        return tuple(server.statistics() for server in self._servers)

    async def aclose(self) -> None:
        await asyncio.gather(*(server.aclose() for server in self._servers))


def _threads_that_fit() -> int:
    """One fewer than the processors that this process may run on, which in a container are fewer than the machine has.

    llama.cpp's threads wait for each other in a busy loop. Where one of them must share its processor, all crawl: on two busy cores two
    threads were measured 20 times slower than one.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable - 1)
