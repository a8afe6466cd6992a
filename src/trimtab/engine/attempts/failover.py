"""The one patient place: tries the plan in order until a deployment has begun to answer.

Before the first content it may change its mind, hidden from the client; after it never. Providers only classify, the HTTP client retries
nothing, and everything here runs under one attempt budget and one deadline per client request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
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
from trimtab.providers.failures import truncated
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


class Failover:
    def __init__(
        self, deployments: Mapping[str, Deployment], providers: Mapping[str, Provider], fleet: Fleet, clock: Clock
    ) -> None:
        self._deployments = deployments
        self._providers = providers
        self._fleet = fleet
        self._clock = clock

    @asynccontextmanager
    async def first_accepted(self, request: Request, entry: Entry, budget: int, deadline: Deadline) -> AsyncIterator[Opened]:
        """The first deployment of the plan that says something.

        Raises :class:`ProviderError` where trying on would be wrong (the request's own fault, a content filter), and
        :class:`AttemptsExhausted` when plan, budget or deadline are spent.
        """
        tried: dict[str, FailureKind] = {}
        first: ProviderError | None = None
        unpaid: BudgetExhausted | None = None
        too_short: int | None = None
        waiting = deque(planned.deployment for planned in entry.decision.plan)
        while waiting:
            deployment = self._deployments[waiting.popleft()]
            if len(entry.attempts) == budget or (first is not None and deadline.remaining(self._clock.monotonic()) == 0):
                break
            if too_short is not None and not _longer(deployment, too_short):
                continue
            try:
                attempt = await entry.begin(deployment)
            except BudgetExhausted as error:
                unpaid = error
                continue
            self._fleet.started(deployment.id)
            async with AsyncExitStack() as stack:
                try:
                    await entry.sure_of_intent()
                    opened = await self._open(stack, entry, request, attempt, deadline)
                except ProviderError as error:
                    self._ended(entry, attempt, error)
                    tried[deployment.id] = error.kind
                    first = first or error
                    if not error.kind.try_next:
                        raise
                    if error.kind is FailureKind.CONTEXT_LENGTH:
                        too_short = deployment.card.context_window or 0
                    if error.spare:
                        waiting.appendleft(deployment.id)
                    continue
                except EgressRefused:
                    self._ended(entry, attempt, ProviderError(FailureKind.UNKNOWN, "Not sent.", detail="egress_refused"))
                    raise
                except BaseException:
                    self._ended(entry, attempt, None)
                    raise
                try:
                    async with aclosing(opened.frames):
                        yield opened
                finally:
                    if not attempt.ended:  # whoever listened has left
                        self._ended(entry, attempt, None)
                return
        if first is None and unpaid is not None:
            raise unpaid
        assert first is not None  # an empty plan never comes here
        raise AttemptsExhausted(first, tried)

    async def _open(self, stack: AsyncExitStack, entry: Entry, request: Request, attempt: AttemptLog, deadline: Deadline) -> Opened:
        """Open the stream and read up to its first content, within the time that the first token may take."""
        deployment, now = attempt.deployment, self._clock.monotonic()
        limit = deadline.capped(now, deployment.timeouts.total)
        held: list[Frame] = []
        size = 0
        try:
            async with asyncio.timeout_at(_loop_time(limit.capped(now, deployment.timeouts.first_token), now)):
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
            raise ProviderError(
                FailureKind.TRANSIENT, f"{deployment.id} gave no first token in time.", detail="first_token_timeout"
            ) from None
        if held[-1].has_content:
            self._fleet.answering(deployment.id)
        frames = self._frames(held, upstream.frames, entry, attempt, limit)
        return Opened(deployment, frames, upstream.dialect or deployment.dialect, upstream.content_type)

    async def _frames(
        self, held: list[Frame], rest: AsyncIterator[Frame], entry: Entry, attempt: AttemptLog, limit: Deadline
    ) -> AsyncGenerator[Frame]:
        """What was held back, then the rest. The attempt has ended, well or not, before the last frame or the error is passed on."""
        last = held.pop()
        for frame in held:
            yield frame
        frame = last
        idle = left = attempt.deployment.timeouts.idle
        patience = Patience()
        try:
            while not frame.is_last:
                yield frame
                began = self._clock.monotonic()
                frame = await self._next(patience, rest, attempt.deployment, min(left, limit.remaining(began)), limit)
                attempt.see(frame)
                # What only keeps the connection alive is passed on, and buys no time.
                left = idle if frame.events else left - (self._clock.monotonic() - began)
        except ProviderError as error:
            self._ended(entry, attempt, error)
            raise
        finally:
            patience.rest()
        self._ended(entry, attempt, None)
        yield frame

    async def _next(
        self, patience: Patience, frames: AsyncIterator[Frame], deployment: Deployment, seconds: float, limit: Deadline
    ) -> Frame:
        """The next frame. Only the wait for the upstream is timed: a client that reads slowly is no fault of the upstream."""
        try:
            return await patience.wait(anext(frames), seconds)
        except TimeoutError:
            detail = "total_timeout" if limit.remaining(self._clock.monotonic()) == 0 else "idle_timeout"
            raise ProviderError(
                FailureKind.TRANSIENT, f"{deployment.id} stopped in the middle of its answer.", detail=detail
            ) from None
        except StopAsyncIteration:
            raise truncated(deployment.id) from None

    def _ended(self, entry: Entry, attempt: AttemptLog, failure: ProviderError | None) -> None:
        if failure is not None and failure.credential:
            attempt.credential = failure.credential
        done = entry.end(attempt, failure)
        if failure is None:
            self._fleet.observe(done)
        else:
            self._fleet.observe(done, retry_after=failure.retry_after, blameless=failure.spare)


def _longer(deployment: Deployment, window: int) -> bool:
    return (deployment.card.context_window or 0) > window


def _loop_time(deadline: Deadline, now: float) -> float:
    """The deadline on the event loop's own scale, which need not be the clock's."""
    return asyncio.get_running_loop().time() + deadline.remaining(now)
