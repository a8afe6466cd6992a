"""All checks by name, and how they are run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from trimtab.lab.check_provider import answers, troubles
from trimtab.lab.check_provider.bench import Bench, Check, Factory, Nonconforming
from trimtab.lab.faults import FaultyUpstream

PATIENCE = 20.0
"""Seconds that one check may take. A provider that hangs fails by it."""

CHECKS: Mapping[str, Check] = {
    "the events follow the grammar": answers.grammar,
    "text and parallel tool calls arrive whole": answers.answers,
    "usage is what upstream counted, or unknown": answers.usage,
    "the form of the bytes does not matter": answers.forms,
    "unknown fields and events are ignored": answers.strange,
    "the request keeps what it was, but for the model": answers.request,
    "what else is spoken passes as it came": answers.passing,
    "closing early closes the connection": troubles.closing,
    "every recorded refusal has its kind": troubles.refusals,
    "a cut stream never ends silently": troubles.truncation,
    "an error event ends the stream as an error": troubles.error_events,
    "an address where nobody listens is a failure": troubles.unreachable,
    "two streams at once do not mix": troubles.two_at_once,
    "no credential and no content is shown": troubles.silence_about_secrets,
}
"""Every check by its name."""


@asynccontextmanager
async def _bench(factory: Factory) -> AsyncIterator[Bench]:
    async with FaultyUpstream() as upstream, factory(upstream.url) as subject:
        yield Bench(factory, upstream, subject)


async def run_check(name: str, factory: Factory) -> None:
    """Run one check of :data:`CHECKS`. Raises :class:`Nonconforming` with what was seen, or what the provider should not have raised."""
    async with _bench(factory) as bench:
        try:
            async with asyncio.timeout(PATIENCE):
                await CHECKS[name](bench)
        except TimeoutError:
            raise Nonconforming(f"{name}: no end within {PATIENCE:.0f} s.") from None


async def check_provider(factory: Factory) -> None:
    """Run every check, each against an upstream of its own. Raises an :class:`ExceptionGroup` of all that failed, named."""
    failed: list[Exception] = []
    for name in CHECKS:
        (error,) = await asyncio.gather(run_check(name, factory), return_exceptions=True)
        if isinstance(error, Exception):
            error.add_note(f"check: {name}")
            failed.append(error)
        elif error is not None:
            raise error
    if failed:
        raise ExceptionGroup("The provider does not conform.", failed)
