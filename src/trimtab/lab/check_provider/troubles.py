"""Checks of what goes wrong: refusals, cuts, silences, clients that leave, and what may be said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.events import Ended, Event
from trimtab.core.messages import Dialect
from trimtab.lab.check_provider.bench import CANARY, FAR, Bench, Nonconforming, must, text_of
from trimtab.lab.faults import Speak, Status, nobody, speak
from trimtab.lab.upstream import anthropic, openai
from trimtab.lab.upstream.answers import HELLO, TOOLS, Answer
from trimtab.lab.upstream.bodies import FAILURES
from trimtab.lab.upstream.clouds import converse
from trimtab.lab.upstream.delivery import Cut, CutBytes, Drop, ErrorEvent, Pace, Stall
from trimtab.lab.upstream.operations import cohere, gemini


async def closing(bench: Bench) -> None:
    async def left() -> None:
        async with asyncio.timeout(5):
            await bench.last.ended.wait()
        must(bench.last.ending == "client_left", f"The upstream saw {bench.last.ending} and not that the client left.")

    bench.upstream.play(speak(HELLO, Stall(after=3)))
    async with bench.provider.open(bench.deployment, bench.request(stream=bench.streams), FAR):
        pass
    await left()
    if not bench.streams:
        return
    async with bench.provider.open(bench.deployment, bench.request(stream=True), FAR) as upstream:
        await anext(upstream.frames)
    await left()
    stalled = asyncio.Event()

    async def listen() -> None:
        heard: list[Event] = []
        async for frame in bench.frames():
            heard += frame.events
            if HELLO.text[2] in text_of(heard):
                stalled.set()

    tasks = (asyncio.ensure_future(listen()), asyncio.ensure_future(stalled.wait()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    must(stalled.is_set(), "What has arrived was not told before the rest came.")
    await left()


async def refusals(bench: Bench) -> None:
    for row in FAILURES.values():
        if row.dialect is not bench.dialect:
            continue
        error, _ = await bench.fail(row)
        must(error.kind is row.kind, f"{row.name} is {row.kind}, and was read as {error.kind}.")
        must(error.upstream_status == row.status, f"{row.name} has status {row.status}, and was read as {error.upstream_status}.")
        waits = error.retry_after is not None and error.retry_after > 0
        must(waits is ("retry-after" in row.headers), f"{row.name} was read with retry_after={error.retry_after}.")


async def truncation(bench: Bench) -> None:
    for how in ("end", "close", "reset"):
        await bench.fail(speak(HELLO, Cut(after=1, how=how)), stream=False)
    if not bench.streams:
        return
    cuts = [speak(HELLO, Cut(after=after, how=how, inside=inside)) for after, inside in ((0, False), (1, True), (3, False), (11, False))
            for how in ("end", "close", "reset")]  # fmt: skip
    cuts += [speak(TOOLS, Cut(after=2, how="end")), speak(HELLO, Drop(("finish", "usage", "end")))]
    cuts += [speak(HELLO, CutBytes(after=size, how="close")) for size in (0, 1, 200, 999)]
    if bench.dialect is Dialect.ANTHROPIC:
        cuts.append(speak(HELLO, Drop(("end",))))
    for cut in cuts:
        error, heard = await bench.fail(cut)
        must(error.kind is FailureKind.TRANSIENT, f"{cut!r} was read as {error.kind}.")
        must(not any(isinstance(event, Ended) for event in heard), f"{cut!r} was told as an answer that ended.")
        must("".join(cut.answer.text).startswith(text_of(heard)), f"{cut!r} was told as {heard!r}.")
        if _ends_politely(cut):
            must(error.detail == "stream_truncated", f"{cut!r} must be stream_truncated, and was {error.detail!r}.")


def _ends_politely(cut: Speak) -> bool:
    return all(isinstance(fault, Drop) or (isinstance(fault, Cut) and fault.how == "end") for fault in cut.faults)


async def error_events(bench: Bench) -> None:
    for after in (0, 3) if bench.streams else ():
        error, heard = await bench.fail(speak(HELLO, ErrorEvent(after=after)))
        must(error.kind is FailureKind.TRANSIENT, f"An overload in the stream was read as {error.kind}.")
        must(text_of(heard) == "".join(HELLO.text[:after]), f"Before the error {heard!r} was told.")
    error, _ = await bench.fail(speak(HELLO, ErrorEvent()), stream=False)
    must(error.kind is FailureKind.TRANSIENT, f"An overload under status 200 was read as {error.kind}.")


async def unreachable(bench: Bench) -> None:
    with nobody() as url:
        async with bench.factory(url) as subject:
            try:
                async with subject.provider.open(subject.deployment, bench.request(stream=bench.streams), FAR):
                    raise Nonconforming("Opened where nobody listens.")
            except ProviderError as error:
                must(error.kind is FailureKind.TRANSIENT, f"A refused connection was read as {error.kind}.")
                must(error.upstream_status is None, "There was no status line.")


async def two_at_once(bench: Bench) -> None:
    answers = [Answer(text=tuple(f"{name}{number} " for number in range(30))) for name in "ab"]
    bench.upstream.play(*(speak(answer, Pace(each=0.001)) for answer in answers))

    async def listen() -> str:
        return text_of([event async for frame in bench.frames() for event in frame.events])

    heard = await asyncio.gather(listen(), listen())
    must(sorted(heard) == ["".join(answer.text) for answer in answers], f"Two streams at once came as {heard!r}.")


_REFUSALS: Mapping[Dialect, Callable[[str], bytes]] = {
    Dialect.OPENAI_CHAT: lambda said: openai.error(said, type="invalid_request_error", code="invalid_api_key"),
    Dialect.ANTHROPIC: lambda said: anthropic.error(said, type="authentication_error"),
    Dialect.GEMINI: lambda said: gemini.error(said, code=401, status="UNAUTHENTICATED"),
    Dialect.COHERE: lambda said: msgspec.json.encode({"id": "lab", "message": said}),
    Dialect.CONVERSE: converse.error,
}
_FAILURES_UNDER_WAY: Mapping[Dialect, Callable[[str], bytes]] = {**_REFUSALS, Dialect.COHERE: cohere.failed}


async def silence_about_secrets(bench: Bench) -> None:
    await bench.hear(speak(HELLO))
    sent = bench.last.request.headers
    headers = ("x-api-key", "api-key", "x-goog-api-key", "authorization")
    key = next((sent[name] for name in headers if name in sent), "").rpartition(" ")[2]
    echo = f"Incorrect API key provided: {key or 'none'}. You said: {CANARY}."
    refusal, failure = (said.get(bench.dialect, said[Dialect.OPENAI_CHAT])(echo) for said in (_REFUSALS, _FAILURES_UNDER_WAY))
    for behaviour in (Status(401, refusal), speak(HELLO, ErrorEvent(after=1, data=failure))):
        error, _ = await bench.fail(behaviour)
        shown = (str(error), repr(error), repr(error.args), error.message, error.hint)
        must(not any(CANARY in text for text in shown), "The error's message repeats what the client said.")
        everything = (*shown, error.excerpt, error.detail, repr(bench.provider), repr(bench.deployment))
        must(not key or not any(key in text for text in everything), "A credential is shown.")
