"""A conformance suite for whoever writes a :class:`~trimtab.providers.Provider`, in the manner of ``trio.testing``'s stream checks.

    @asynccontextmanager
    async def mine(base_url):
        async with MyClient(base_url) as client:
            yield Subject(MyProvider(client), deployment)

    await check_provider(mine)                                   # everything
    @pytest.mark.parametrize("name", CHECKS)                     # or one test a check
    async def test_conforms(name): await run_check(name, mine)

It talks to the provider over real loopback HTTP, in the dialect of the subject's deployment, and knows nothing of how it is built.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
from msgspec import Struct

from trimtab.core.catalog import Deployment
from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.events import Ended, Event, Finished, Frame, Started, UsageReported, fold
from trimtab.core.messages import Dialect, FinishReason, Message, Request, Text, ToolCall
from trimtab.core.units import Deadline
from trimtab.core.zones import Sensitivity
from trimtab.lab.faults import Behaviour, FaultyUpstream, Speak, Status, nobody, speak
from trimtab.lab.upstream import anthropic, openai
from trimtab.lab.upstream.answers import HELLO, TOOLS, Answer
from trimtab.lab.upstream.bodies import FAILURES
from trimtab.lab.upstream.delivery import Cut, CutBytes, Drop, ErrorEvent, Form, Pace, Split, SplitCharacters, Stall, Strange
from trimtab.lab.upstream.loopback import Exchange
from trimtab.providers import Provider

PATIENCE = 20.0
"""Seconds that one check may take. A provider that hangs fails by it."""

_CANARY = "the-clients-own-words-7f3a"
_FAR = 1e6


class Subject(Struct, frozen=True):
    """What is checked. The deployment's ``base_url`` is the one that the factory was given, with whatever path the provider needs."""

    provider: Provider
    deployment: Deployment


Factory = Callable[[str], AbstractAsyncContextManager[Subject]]


class Nonconforming(AssertionError):
    """What a provider does other than it must."""


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Nonconforming(what)


class _Bench:
    """A subject in front of an upstream that does as it is told."""

    def __init__(self, factory: Factory, upstream: FaultyUpstream, subject: Subject) -> None:
        self.factory = factory
        self.upstream = upstream
        self.provider = subject.provider
        self.deployment = subject.deployment
        self.dialect = subject.deployment.dialect

    @property
    def last(self) -> Exchange:
        return self.upstream.exchanges[-1]

    def request(self, *, stream: bool) -> Request:
        native: dict[str, object] = {"model": "auto", "messages": [{"role": "user", "content": _CANARY}], "stream": stream}
        native |= {"max_tokens": 64, "x_lab_field": [1, 2.50, None]}
        return Request(
            dialect=self.dialect,
            model="auto",
            messages=(Message("user", (Text(_CANARY),)),),
            stream=stream,
            native=msgspec.json.encode(native),
            extras=("x_lab_field",),
            sensitivity=frozenset({Sensitivity.PUBLIC}),
        )

    async def frames(self, *, stream: bool = True) -> AsyncIterator[Frame]:
        async with self.provider.open(self.deployment, self.request(stream=stream), Deadline(_FAR)) as upstream:
            async for frame in upstream.frames:
                yield frame

    async def hear(self, behaviour: Behaviour, *, stream: bool = True) -> list[Event]:
        """Everything that the provider tells of one answer."""
        self.upstream.play(behaviour)
        return [event async for frame in self.frames(stream=stream) for event in frame.events]

    async def fail(self, behaviour: Behaviour, *, stream: bool = True) -> tuple[ProviderError, list[Event]]:
        """The error that ends one answer, and what was told before it."""
        self.upstream.play(behaviour)
        heard: list[Event] = []
        before = len(self.upstream.exchanges)
        try:
            async for frame in self.frames(stream=stream):
                heard += frame.events
        except ProviderError as error:
            _must(len(self.upstream.exchanges) == before + 1, "A failed request was sent again: retrying is the engine's affair.")
            return error, heard
        raise Nonconforming(f"{behaviour!r} (stream={stream}) ended without an error after {heard!r}.")


Check = Callable[[_Bench], Awaitable[None]]


def _text(events: list[Event]) -> str:
    parts = [part for choice in fold(events).choices for part in choice.parts]
    return "".join(part.text for part in parts if isinstance(part, Text))


def _told(events: list[Event]) -> list[Event]:
    """Without what differs from one exchange to the next."""
    return [event for event in events if not isinstance(event, Started)]


async def _grammar(bench: _Bench) -> None:
    for answer in (HELLO, TOOLS, Answer(text=("one",)), Answer(text=("Looking.",), calls=TOOLS.calls, finish="tool_calls")):
        for stream in (True, False):
            bench.upstream.play(speak(answer))
            frames = [frame async for frame in bench.frames(stream=stream)]
            events = [event for frame in frames for event in frame.events]
            where = f"(stream={stream}, {events!r})"
            _must(stream or len(frames) == 1, f"A whole answer is one frame {where}.")
            _must(isinstance(events[0], Started), f"Started comes first {where}.")
            _must(sum(isinstance(event, Started) for event in events) == 1, f"Started comes once {where}.")
            _must(sum(isinstance(event, Ended) for event in events) == 1, f"Ended comes once {where}.")
            _must(isinstance(events[-1], Ended) and frames[-1].is_last, f"Nothing follows Ended {where}.")
            finished = [index for index, event in enumerate(events) if isinstance(event, Finished)]
            _must(len(finished) == 1, f"A choice is finished once {where}.")
            after = events[finished[0] + 1 :]
            _must(all(isinstance(event, UsageReported | Ended) for event in after), f"No content follows Finished {where}.")
            _must(
                all(frame.native for frame in frames if frame.has_content), f"Every frame with content carries its bytes {where}."
            )


async def _answers(bench: _Bench) -> None:
    for stream in (True, False):
        whole = fold(await bench.hear(speak(HELLO), stream=stream))
        (choice,) = whole.choices
        _must(choice.parts == (Text("".join(HELLO.text)),), f"The text is another: {choice.parts!r}.")
        _must(choice.finish_reason is FinishReason.STOP, f"The finish reason is another: {choice.finish_reason}.")
        _must(whole.model == bench.deployment.model, f"The model that answered is told as {whole.model!r}.")
        (choice,) = fold(await bench.hear(speak(TOOLS), stream=stream)).choices
        called = [(part.name, msgspec.json.decode(part.arguments)) for part in choice.parts if isinstance(part, ToolCall)]
        expected = [(call.name, msgspec.json.decode(call.arguments)) for call in TOOLS.calls]
        _must(called == expected, f"Two parallel calls came as {called!r}.")
        _must(choice.finish_reason is FinishReason.TOOL_CALLS, f"The finish reason is another: {choice.finish_reason}.")


async def _usage(bench: _Bench) -> None:
    whole = fold(await bench.hear(speak(HELLO), stream=False)).usage
    counted = (HELLO.input_tokens, HELLO.output_tokens)
    _must((whole.input, whole.output) == counted, f"Usage of a whole answer came as {whole!r}.")
    streamed = fold(await bench.hear(speak(HELLO))).usage  # some endpoints cannot be asked for it
    _must((streamed.input, streamed.output) in (counted, (None, None)), f"Usage of a stream came as {streamed!r}.")
    for stream in (True, False):
        unknown = fold(await bench.hear(speak(HELLO, usage=False), stream=stream)).usage
        _must((unknown.input, unknown.output) == (None, None), f"Unknown usage must be None, and came as {unknown!r}.")


async def _forms(bench: _Bench) -> None:
    answer = Answer(text=("für ", "青い🙂"))
    plain = _told(await bench.hear(speak(answer)))
    forms = [Form(newline=newline) for newline in ("crlf", "cr", "mixed")]
    behaviours = [speak(answer, form=form) for form in (*forms, Form(space=False), Form(bom=True), Form(newline="crlf", bom=True))]
    behaviours += [speak(answer, Split(size)) for size in (1, 7, 4096)]
    behaviours += [speak(answer, SplitCharacters()), speak(answer, Split(1), form=Form(newline="crlf", bom=True))]
    for behaviour in behaviours:
        told = _told(await bench.hear(behaviour))
        _must(told == plain, f"The same answer in the form {behaviour!r} is told otherwise: {told!r}.")


async def _strange(bench: _Bench) -> None:
    for answer in (HELLO, TOOLS):
        for stream in (True, False):
            plain = _told(await bench.hear(speak(answer), stream=stream))
            told = _told(await bench.hear(speak(answer, Strange()), stream=stream))
            _must(told == plain, f"Unknown fields and events changed what is told: {told!r}.")


async def _request(bench: _Bench) -> None:
    for stream in (True, False):
        await bench.hear(speak(HELLO), stream=stream)
        body = msgspec.json.decode(bench.last.request.body)
        _must(body["model"] == bench.deployment.model, f"The model asked for was {body['model']!r}.")
        _must(body.get("x_lab_field") == [1, 2.5, None], "A field that nobody here knows did not survive to its own dialect.")
        _must(bool(body.get("stream")) is stream, f"stream={body.get('stream')!r} was sent for {stream}.")


async def _closing(bench: _Bench) -> None:
    async def left() -> None:
        async with asyncio.timeout(5):
            await bench.last.ended.wait()
        _must(bench.last.ending == "client_left", f"The upstream saw {bench.last.ending} and not that the client left.")

    bench.upstream.play(speak(HELLO, Stall(after=3)))
    async with bench.provider.open(bench.deployment, bench.request(stream=True), Deadline(_FAR)) as upstream:
        await anext(upstream.frames)
    await left()
    async with bench.provider.open(bench.deployment, bench.request(stream=True), Deadline(_FAR)):
        pass
    await left()
    stalled = asyncio.Event()

    async def listen() -> None:
        heard: list[Event] = []
        async for frame in bench.frames():
            heard += frame.events
            if HELLO.text[2] in _text(heard):
                stalled.set()

    tasks = (asyncio.ensure_future(listen()), asyncio.ensure_future(stalled.wait()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    _must(stalled.is_set(), "What has arrived was not told before the rest came.")
    await left()


async def _refusals(bench: _Bench) -> None:
    for row in FAILURES.values():
        if row.dialect is not bench.dialect:
            continue
        error, _ = await bench.fail(row)
        _must(error.kind is row.kind, f"{row.name} is {row.kind}, and was read as {error.kind}.")
        _must(error.upstream_status == row.status, f"{row.name} has status {row.status}, and was read as {error.upstream_status}.")
        waits = error.retry_after is not None and error.retry_after > 0
        _must(waits is ("retry-after" in row.headers), f"{row.name} was read with retry_after={error.retry_after}.")


async def _truncation(bench: _Bench) -> None:
    cuts = [speak(HELLO, Cut(after=after, how=how, inside=inside)) for after, inside in ((0, False), (1, True), (3, False), (11, False))
            for how in ("end", "close", "reset")]  # fmt: skip
    cuts += [speak(TOOLS, Cut(after=2, how="end")), speak(HELLO, Drop(("finish", "usage", "end")))]
    cuts += [speak(HELLO, CutBytes(after=size, how="close")) for size in (0, 1, 200, 999)]
    if bench.dialect is Dialect.ANTHROPIC:
        cuts.append(speak(HELLO, Drop(("end",))))
    for cut in cuts:
        error, heard = await bench.fail(cut)
        _must(error.kind is FailureKind.TRANSIENT, f"{cut!r} was read as {error.kind}.")
        _must(not any(isinstance(event, Ended) for event in heard), f"{cut!r} was told as an answer that ended.")
        _must("".join(cut.answer.text).startswith(_text(heard)), f"{cut!r} was told as {heard!r}.")
        if _ends_politely(cut):
            _must(error.detail == "stream_truncated", f"{cut!r} must be stream_truncated, and was {error.detail!r}.")
    for how in ("end", "close", "reset"):
        await bench.fail(speak(HELLO, Cut(after=1, how=how)), stream=False)


def _ends_politely(cut: Speak) -> bool:
    return all(isinstance(fault, Drop) or (isinstance(fault, Cut) and fault.how == "end") for fault in cut.faults)


async def _error_events(bench: _Bench) -> None:
    for after in (0, 3):
        error, heard = await bench.fail(speak(HELLO, ErrorEvent(after=after)))
        _must(error.kind is FailureKind.TRANSIENT, f"An overload in the stream was read as {error.kind}.")
        _must(_text(heard) == "".join(HELLO.text[:after]), f"Before the error {heard!r} was told.")
    error, _ = await bench.fail(speak(HELLO, ErrorEvent()), stream=False)
    _must(error.kind is FailureKind.TRANSIENT, f"An overload under status 200 was read as {error.kind}.")


async def _unreachable(bench: _Bench) -> None:
    with nobody() as url:
        async with bench.factory(url) as subject:
            try:
                async with subject.provider.open(subject.deployment, bench.request(stream=True), Deadline(_FAR)):
                    raise Nonconforming("Opened where nobody listens.")
            except ProviderError as error:
                _must(error.kind is FailureKind.TRANSIENT, f"A refused connection was read as {error.kind}.")
                _must(error.upstream_status is None, "There was no status line.")


async def _two_at_once(bench: _Bench) -> None:
    answers = [Answer(text=tuple(f"{name}{number} " for number in range(30))) for name in "ab"]
    bench.upstream.play(*(speak(answer, Pace(each=0.001)) for answer in answers))

    async def listen() -> str:
        return _text([event async for frame in bench.frames() for event in frame.events])

    heard = await asyncio.gather(listen(), listen())
    _must(sorted(heard) == ["".join(answer.text) for answer in answers], f"Two streams at once came as {heard!r}.")


async def _silence_about_secrets(bench: _Bench) -> None:
    await bench.hear(speak(HELLO))
    sent = bench.last.request.headers
    key = (sent.get("x-api-key") or sent.get("authorization", "")).rpartition(" ")[2]
    echo = f"Incorrect API key provided: {key or 'none'}. You said: {_CANARY}."
    if bench.dialect is Dialect.ANTHROPIC:
        body = anthropic.error(echo, type="authentication_error")
    else:
        body = openai.error(echo, type="invalid_request_error", code="invalid_api_key")
    for behaviour in (Status(401, body), speak(HELLO, ErrorEvent(after=1, data=body))):
        error, _ = await bench.fail(behaviour)
        shown = (str(error), repr(error), repr(error.args), error.message, error.hint)
        _must(not any(_CANARY in text for text in shown), "The error's message repeats what the client said.")
        everything = (*shown, error.excerpt, error.detail, repr(bench.provider), repr(bench.deployment))
        _must(not key or not any(key in text for text in everything), "A credential is shown.")


CHECKS: Mapping[str, Check] = {
    "the events follow the grammar": _grammar,
    "text and parallel tool calls arrive whole": _answers,
    "usage is what upstream counted, or unknown": _usage,
    "the form of the bytes does not matter": _forms,
    "unknown fields and events are ignored": _strange,
    "the request keeps what it was, but for the model": _request,
    "closing early closes the connection": _closing,
    "every recorded refusal has its kind": _refusals,
    "a cut stream never ends silently": _truncation,
    "an error event ends the stream as an error": _error_events,
    "an address where nobody listens is a failure": _unreachable,
    "two streams at once do not mix": _two_at_once,
    "no credential and no content is shown": _silence_about_secrets,
}
"""Every check by its name."""


@asynccontextmanager
async def _bench(factory: Factory) -> AsyncIterator[_Bench]:
    async with FaultyUpstream() as upstream, factory(upstream.url) as subject:
        yield _Bench(factory, upstream, subject)


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
