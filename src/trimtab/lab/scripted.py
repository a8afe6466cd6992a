"""A provider that says what it is told to, when it is told to: the seam's own double, without sockets or protocols.

    provider = ScriptedProvider({"big": says("hello"), "small": fails(FailureKind.RATE_LIMIT, retry_after=30)})
    provider.on("flaky", fails(FailureKind.TRANSIENT), says("second time lucky"))

It knows nothing of HTTP. What a real upstream does to the bytes is :mod:`trimtab.lab.faults`'s affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import get_args

from msgspec import Struct

from trimtab.core.catalog import Deployment
from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.events import Ended, Event, Finished, Frame, Started, TextDelta, ToolCallDelta, UsageReported
from trimtab.core.messages import FinishReason, Request
from trimtab.core.units import Clock, Deadline, Usage
from trimtab.lab.clock import ManualClock
from trimtab.lab.upstream.answers import words
from trimtab.providers import Upstream


class Wait(Struct, frozen=True):
    """Silence of ``seconds``, by the clock."""

    seconds: float


class Hang(Struct, frozen=True):
    """Silence for ever: only a time-out or the caller's leaving ends it."""


class Fail(Struct, frozen=True, kw_only=True):
    """Raise this error here: instead of opening when it comes first, otherwise in the middle of the frames."""

    kind: FailureKind
    upstream_status: int | None = None
    retry_after: float | None = None
    detail: str = ""

    def error(self, deployment: str) -> ProviderError:
        return ProviderError(
            self.kind,
            f"{deployment} failed by script: {self.kind}.",
            upstream_status=self.upstream_status,
            retry_after=self.retry_after,
            detail=self.detail,
        )


class Opened(Struct, frozen=True):
    """The status line has arrived. Steps before it happen while opening. Without it the first frame, or the end, is that moment."""


Step = Event | Frame | Wait | Hang | Fail | Opened
Script = tuple[Step, ...]
_SAID = (Frame, *get_args(Event))
_USAGE = Usage(input=8, output=4)


def says(text: str, *, usage: Usage | None = _USAGE, finish: FinishReason = FinishReason.STOP) -> Script:
    """A whole answer, a frame per word. ``usage=None`` is an upstream that reports none."""
    return _answer([TextDelta(word) for word in words(text)], finish, usage)


def calls(name: str, arguments: str, *more: tuple[str, str], usage: Usage | None = _USAGE) -> Script:
    """An answer of tool calls, ``arguments`` being JSON text that arrives in two halves; ``more`` are further parallel calls."""
    deltas: list[Event] = []
    for index, (tool, text) in enumerate(((name, arguments), *more)):
        middle = len(text) // 2
        deltas += (ToolCallDelta(index, text[:middle], id=f"call_{index}", name=tool), ToolCallDelta(index, text[middle:]))
    return _answer(deltas, FinishReason.TOOL_CALLS, usage)


def fails(kind: FailureKind, *, after: Script = (), status: int | None = None, retry_after: float | None = None) -> Script:
    """A failure to open, or one after the steps ``after``: ``fails(kind, after=says("a b c")[:3])`` fails after two words."""
    return (*after, Fail(kind=kind, upstream_status=status, retry_after=retry_after))


def _answer(content: Sequence[Event], finish: FinishReason, usage: Usage | None) -> Script:
    reported: tuple[Event, ...] = () if usage is None else (UsageReported(usage),)
    return (Started(id="scripted", model="scripted"), *content, Finished(finish), *reported, Ended())


class ScriptedCall:
    """What the provider saw of one call. Times are the clock's; ``closed_at`` is ``None`` while the caller holds it open."""

    def __init__(self, deployment: Deployment, request: Request, deadline: Deadline, opened_at: float) -> None:
        self.deployment = deployment
        self.request = request
        self.deadline = deadline
        self.opened_at = opened_at
        self.closed_at: float | None = None
        self.frames_sent = 0
        self.finished = False
        """The script ran to its end. ``closed_at`` without it means that the caller left early, or was told an error."""

    def __repr__(self) -> str:
        state = "open" if self.closed_at is None else "finished" if self.finished else "left"
        return f"<ScriptedCall {self.deployment.id} {state} frames={self.frames_sent}>"


class ScriptedProvider:
    """An ordinary :class:`~trimtab.providers.Provider`. ``calls`` lists everything that was asked of it, in order."""

    def __init__(self, scripts: Mapping[str, Script] | None = None, *, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or ManualClock()
        self._scripts: dict[str, list[Script]] = {deployment: [script] for deployment, script in (scripts or {}).items()}
        self.calls: list[ScriptedCall] = []

    def on(self, deployment: str, *scripts: Script) -> None:
        """From now on the deployment plays ``scripts`` in turn, one a call, and the last one for ever after."""
        if not scripts:
            raise ValueError("on() needs at least one script")
        self._scripts[deployment] = list(scripts)

    def asked(self, deployment: str) -> list[ScriptedCall]:
        return [call for call in self.calls if call.deployment.id == deployment]

    def _script(self, deployment: str) -> Script:
        scripts = self._scripts.get(deployment)
        if scripts is None:
            # Not a ProviderError: the code under test would take that for an upstream's failure, and hide the test's.
            raise LookupError(f"no script for deployment {deployment!r}")
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    @asynccontextmanager
    async def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AsyncIterator[Upstream]:
        call = ScriptedCall(deployment, request, deadline, self._clock.monotonic())
        self.calls.append(call)
        script = self._script(deployment.id)
        try:
            at = 0
            while at < len(script) and isinstance(script[at], Wait | Hang | Fail):
                await self._pass(script[at], deployment.id)
                at += 1
            async with aclosing(self._frames(script[at:], call)) as frames:
                yield Upstream(frames=frames, upstream_id=f"scripted-{len(self.calls)}")
        finally:
            call.closed_at = self._clock.monotonic()

    async def _frames(self, script: Script, call: ScriptedCall) -> AsyncGenerator[Frame]:
        for step in script:
            if isinstance(step, _SAID):
                call.frames_sent += 1
                call.finished = step is script[-1]
                yield step if isinstance(step, Frame) else Frame(events=(step,))
            else:
                await self._pass(step, call.deployment.id)

    async def _pass(self, step: Step, deployment: str) -> None:
        match step:
            case Wait(seconds=seconds):
                await self._clock.sleep(seconds)
            case Hang():
                await asyncio.get_running_loop().create_future()
            case Fail():
                raise step.error(deployment)
            case _:
                return
