"""Time under control: an event loop whose time leaps to the next timer, and a clock that tells its time.

Under :class:`VirtualTimeLoop` a day of time-outs passes in milliseconds and in the same order every time: ``asyncio.sleep``,
``asyncio.timeout`` and ``loop.call_later`` all obey it. The idea is trio's ``MockClock`` with ``autojump_threshold``.

Limits. Time leaps only when nothing is ready. Work in ``run_in_executor`` holds it still. While sockets or pipes are open the loop first
gives them ``grace`` real seconds to speak; a peer that is slower than that sees time leap, so code under virtual time should talk to a
:class:`~trimtab.lab.ScriptedProvider` rather than to a socket. Threads that the loop does not know of are not waited for at all. A loop
with neither a timer nor anything that could wake it is a deadlock and raises.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z: what a manual clock shows at its start, so that records are the same in every run."""


class _LeapingSelector(selectors.DefaultSelector):
    """Waits for nobody: where a real selector would sleep, it tells the loop how far time may leap."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualTimeLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or self.loop is None or (timeout is not None and timeout <= 0):
            return ready
        return self.loop.idle(timeout, super().select)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at time 0 and passes it only by leaping to the next timer when nothing else can run."""

    def __init__(self, *, grace: float = 0.005) -> None:
        self._virtual_now = 0.0
        self._grace = grace
        self._in_executor = 0
        selector = _LeapingSelector()
        super().__init__(selector)
        # The loop's own wake-up pipe is registered by now: anything beyond it is somebody's socket.
        self._own_files = len(selector.get_map())
        self._leaping_selector = selector
        selector.loop = self

    def time(self) -> float:
        return self._virtual_now

    def leap(self, seconds: float) -> None:
        """Let ``seconds`` pass at once; timers that fall due run in the loop's next rounds, in their order."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._virtual_now += seconds

    def idle(
        self,
        timeout: float | None,
        select: Callable[[float | None], list[tuple[selectors.SelectorKey, int]]],
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing is ready: wait for real where somebody real may yet speak, else leap. Called by the loop's selector alone."""
        sockets = len(self._leaping_selector.get_map()) > self._own_files
        if self._in_executor or (sockets and timeout is None):
            return select(None)
        if sockets and (ready := select(self._grace)):
            return ready
        if timeout is None:
            raise RuntimeError("Deadlock under virtual time: every task waits, and no timer, socket or executor could wake one.")
        self.leap(timeout)
        return []

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._in_executor += 1
        future.add_done_callback(self._executor_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        self._in_executor += 1  # a thread of asyncio's own joins the others and wakes us
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._in_executor -= 1

    def _executor_done(self, future: asyncio.Future[T]) -> None:
        self._in_executor -= 1


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end under virtual time and return what it returns."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def virtual(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Decorate an ``async def`` test to run under virtual time. Async fixtures run on another loop: make what you need in the test."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    return run


class ManualClock:
    """A :class:`~trimtab.core.units.Clock` that moves only when told.

    On a :class:`VirtualTimeLoop` its ``monotonic()`` *is* the loop's time. Anywhere else it stands still but for :meth:`advance` and its
    own :meth:`sleep`, which is what a test without tasks wants. One clock serves one of the two.
    """

    def __init__(self, *, epoch_ns: int = EPOCH_NS) -> None:
        self._wall_ns = epoch_ns
        self._now = 0.0

    def __repr__(self) -> str:
        return f"<ManualClock {self.monotonic():.3f} s>"

    def monotonic(self) -> float:
        loop = _virtual_loop()
        return self._now if loop is None else loop.time()

    def time_ns(self) -> int:
        return self._wall_ns + round(self.monotonic() * 1e9)

    async def sleep(self, seconds: float) -> None:
        if _virtual_loop() is None:
            self.advance(max(0.0, seconds))
            seconds = 0
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        loop = _virtual_loop()
        if loop is not None:
            loop.leap(seconds)
        elif seconds < 0:
            raise ValueError("time does not run backwards; set_wall moves the calendar")
        else:
            self._now += seconds

    def set_wall(self, seconds: float) -> None:
        """Move the calendar by ``seconds``, backwards too, as NTP or an operator would. ``monotonic()`` does not notice."""
        self._wall_ns += round(seconds * 1e9)


def _virtual_loop() -> VirtualTimeLoop | None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop if isinstance(loop, VirtualTimeLoop) else None
