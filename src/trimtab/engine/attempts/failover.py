"""The one patient place: tries the plan in order until a deployment has begun to answer.

Before the first content it may change its mind, hidden from the client; after it never. Providers only classify, the HTTP client retries
nothing, and everything here runs under one attempt budget and one deadline per client request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from msgspec import Struct

from trimtab.core.catalog import Deployment
from trimtab.core.errors import AttemptsExhausted, BudgetExhausted, EgressRefused, FailureKind, ProviderError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request
from trimtab.core.units import Clock, Deadline
from trimtab.engine.attempts.patience import Patience
from trimtab.engine.recorder import AttemptLog, Entry
from trimtab.providers import Provider
from trimtab.providers.failures import not_sent, truncated
from trimtab.routing.fleet import Fleet

_STARTUP_FRAMES = 64
"""Frames before the first content are held back, so that an error among them can still be hidden. More than this is an answer."""

_STARTUP_BYTES = 256 * 1024


class Opened(Struct, frozen=True):
    """A deployment that has begun to answer, in which ``dialect``. ``frames`` includes what was read while it began."""

    deployment: Deployment
    frames: AsyncGenerator[Frame]
    dialect: Dialect
    content_type: str


class _Try(Struct, frozen=True):
    """One attempt under way. ``deadline`` is the client's, over all attempts; ``limit`` this attempt's own."""

    deployment: Deployment
    attempt: AttemptLog
    entry: Entry
    deadline: Deadline
    limit: Deadline


class Failover:
    def __init__(
        self,
        deployments: Mapping[str, Deployment],
        providers: Mapping[str, Provider],
        fleet: Fleet,
        clock: Clock,
        most_attempts: int,
    ) -> None:
        self._most = most_attempts
        self._deployments = deployments
        self._providers = providers
        self._fleet = fleet
        self._clock = clock

    @asynccontextmanager
    async def first_accepted(
        self, request: Request, entry: Entry, deadline: Deadline, reconsider: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[Opened]:
        """The first deployment of the plan that says something.

        Where no money is left for any of them, ``reconsider`` is asked once: it makes another plan, or raises.

        Raises :class:`ProviderError` where trying on would be wrong (the request's own fault, a content filter), and
        :class:`AttemptsExhausted` when plan, attempts or deadline are spent.
        """
        course = _Course(entry, self._deployments)
        while (deployment := course.next()) is not None:
            if len(entry.attempts) == self._most or (course.first and deadline.remaining(self._clock.monotonic()) == 0):
                break
            try:
                attempt = await entry.begin(deployment)
            except BudgetExhausted as error:
                await course.unpaid(error, reconsider)
                continue
            tried = _Try(deployment, attempt, entry, deadline, deadline.capped(self._clock.monotonic(), deployment.timeouts.total))
            self._fleet.started(deployment.id)
            async with AsyncExitStack() as stack:
                try:
                    opened = await self._open(stack, request, tried)
                except ProviderError as error:
                    self._ended(tried, error)
                    course.failed(deployment, error)
                    if not error.kind.try_next:
                        raise
                    continue
                except EgressRefused:
                    self._ended(tried, not_sent())
                    raise
                except BaseException:
                    self._ended(tried, None)
                    raise
                try:
                    async with aclosing(opened.frames):
                        yield opened
                finally:
                    if not attempt.ended:  # whoever listened has left
                        self._ended(tried, None)
                return
        raise course.exhausted()

    async def _open(self, stack: AsyncExitStack, request: Request, tried: _Try) -> Opened:
        """Open the stream and read up to its first content, within the time that the first token may take.

        A whole answer comes when all of it has been made: it has the attempt's whole time.
        """
        deployment, attempt, limit, now = tried.deployment, tried.attempt, tried.limit, self._clock.monotonic()
        first = limit.capped(now, deployment.timeouts.first_token) if request.stream else limit
        held: list[Frame] = []
        size = 0
        try:
            async with asyncio.timeout_at(_loop_time(first, now)):
                upstream = await stack.enter_async_context(self._providers[deployment.id].open(deployment, request, limit))
                attempt.upstream_id, attempt.lost, attempt.credential = upstream.upstream_id, upstream.lost, upstream.credential
                async for frame in upstream.frames:
                    attempt.see(frame)
                    held.append(frame)
                    size += len(frame.native)
                    if frame.has_content or frame.is_last or len(held) == _STARTUP_FRAMES or size >= _STARTUP_BYTES:
                        break
                else:
                    raise truncated(deployment.id)
        except TimeoutError:
            what, detail = ("no first token", "first_token_timeout") if request.stream else ("no answer", "total_timeout")
            raise ProviderError(FailureKind.TRANSIENT, f"{deployment.id} gave {what} in time.", detail=detail) from None
        if held[-1].has_content:
            self._fleet.answering(deployment.id)
        frames = self._frames(held, upstream.frames, tried)
        return Opened(deployment, frames, upstream.dialect or deployment.dialect, upstream.content_type)

    async def _frames(self, held: list[Frame], rest: AsyncIterator[Frame], tried: _Try) -> AsyncGenerator[Frame]:
        """What was held back, then the rest. The attempt has ended, well or not, before the last frame or the error is passed on."""
        last = held.pop()
        for frame in held:
            yield frame
        frame = last
        idle = left = tried.deployment.timeouts.idle
        patience = Patience()
        try:
            while not frame.is_last:
                yield frame
                began = self._clock.monotonic()
                frame = await self._next(patience, rest, min(left, tried.limit.remaining(began)), tried)
                tried.attempt.see(frame)
                # What only keeps the connection alive is passed on, and buys no time.
                left = idle if frame.events else left - (self._clock.monotonic() - began)
        except ProviderError as error:
            self._ended(tried, error)
            raise
        finally:
            patience.rest()
        self._ended(tried, None)
        yield frame

    async def _next(self, patience: Patience, frames: AsyncIterator[Frame], seconds: float, tried: _Try) -> Frame:
        """The next frame. Only the wait for the upstream is timed: a client that reads slowly is no fault of the upstream."""
        try:
            return await patience.wait(anext(frames), seconds)
        except TimeoutError:
            detail = "total_timeout" if tried.limit.remaining(self._clock.monotonic()) == 0 else "idle_timeout"
            message = f"{tried.deployment.id} stopped in the middle of its answer."
            raise ProviderError(FailureKind.TRANSIENT, message, detail=detail) from None
        except StopAsyncIteration:
            raise truncated(tried.deployment.id) from None

    def _ended(self, tried: _Try, failure: ProviderError | None) -> None:
        if failure is not None and failure.credential:
            tried.attempt.credential = failure.credential
        done = tried.entry.end(tried.attempt, failure)
        if failure is None:
            self._fleet.observe(done)
        else:
            # A caller in a hurry must not close the deployment for everybody else.
            hurried = tried.deadline.remaining(self._clock.monotonic()) == 0
            self._fleet.observe(done, retry_after=failure.retry_after, blameless=failure.spare or hurried)


class _Course:
    """How far one request has come through its plan, and what it met on the way."""

    def __init__(self, entry: Entry, deployments: Mapping[str, Deployment]) -> None:
        self.first: ProviderError | None = None
        self._tried: dict[str, FailureKind] = {}
        self._unpaid: BudgetExhausted | None = None
        self._has_reconsidered = False
        self._too_short: int | None = None
        self._entry = entry
        self._deployments = deployments
        self._plan()

    def _plan(self) -> None:
        self._waiting = deque(self._deployments[planned.deployment] for planned in self._entry.decision.plan)

    def next(self) -> Deployment | None:
        while self._waiting:
            deployment = self._waiting.popleft()
            if self._too_short is None or (deployment.card.context_window or 0) > self._too_short:
                return deployment
        return None

    def failed(self, deployment: Deployment, error: ProviderError) -> None:
        self._tried[deployment.id] = error.kind
        self.first = self.first or error
        if error.kind is FailureKind.CONTEXT_LENGTH:
            self._too_short = deployment.card.context_window or 0
        if error.spare:
            self._waiting.appendleft(deployment)

    async def unpaid(self, error: BudgetExhausted, reconsider: Callable[[], Awaitable[None]]) -> None:
        self._unpaid = error
        if not (self._waiting or self.first or self._has_reconsidered):
            self._has_reconsidered = True
            await reconsider()
            self._plan()

    def exhausted(self) -> AttemptsExhausted | BudgetExhausted:
        if self.first is None:
            assert self._unpaid is not None  # an empty plan never comes here
            return self._unpaid
        return AttemptsExhausted(self.first, self._tried)


def _loop_time(deadline: Deadline, now: float) -> float:
    """The deadline on the event loop's own scale, which need not be the clock's."""
    return asyncio.get_running_loop().time() + deadline.remaining(now)
