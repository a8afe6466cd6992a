"""Checks of answers that go well, and of what was asked."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from trimtab.core.events import Ended, Finished, Started, UsageReported, fold
from trimtab.core.messages import Dialect, FinishReason, Text, ToolCall
from trimtab.lab.check_provider.bench import CANARY, FAR, UNKNOWN_FIELD, UNKNOWN_VALUE, Bench, must, told_of
from trimtab.lab.faults import speak
from trimtab.lab.upstream.answers import HELLO, TOOLS, Answer
from trimtab.lab.upstream.delivery import Form, Split, SplitCharacters, Strange


async def grammar(bench: Bench) -> None:
    calling = (TOOLS, Answer(text=("Looking.",), calls=TOOLS.calls, finish="tool_calls")) if bench.has_tools else ()
    for answer in (HELLO, Answer(text=("one",)), *calling):
        for stream in bench.modes:
            bench.upstream.play(speak(answer))
            frames = [frame async for frame in bench.frames(stream=stream)]
            events = [event for frame in frames for event in frame.events]
            where = f"(stream={stream}, {events!r})"
            must(stream or len(frames) == 1, f"A whole answer is one frame {where}.")
            must(isinstance(events[0], Started), f"Started comes first {where}.")
            must(sum(isinstance(event, Started) for event in events) == 1, f"Started comes once {where}.")
            must(sum(isinstance(event, Ended) for event in events) == 1, f"Ended comes once {where}.")
            must(isinstance(events[-1], Ended) and frames[-1].is_last, f"Nothing follows Ended {where}.")
            finished = [index for index, event in enumerate(events) if isinstance(event, Finished)]
            must(len(finished) == 1, f"A choice is finished once {where}.")
            after = events[finished[0] + 1 :]
            must(all(isinstance(event, UsageReported | Ended) for event in after), f"No content follows Finished {where}.")
            must(all(frame.native for frame in frames if frame.has_content), f"Every frame with content carries its bytes {where}.")


async def answers(bench: Bench) -> None:
    for stream in bench.modes:
        whole = fold(await bench.hear(speak(HELLO), stream=stream))
        (choice,) = whole.choices
        must(choice.parts == (Text("".join(HELLO.text)),), f"The text is another: {choice.parts!r}.")
        must(choice.finish_reason is FinishReason.STOP, f"The finish reason is another: {choice.finish_reason}.")
        must(whole.model in (bench.deployment.model, ""), f"The model that answered is told as {whole.model!r}.")
        if not bench.has_tools:
            continue
        (choice,) = fold(await bench.hear(speak(TOOLS), stream=stream)).choices
        called = [(part.name, msgspec.json.decode(part.arguments)) for part in choice.parts if isinstance(part, ToolCall)]
        expected = [(call.name, msgspec.json.decode(call.arguments)) for call in TOOLS.calls]
        must(called == expected, f"Two parallel calls came as {called!r}.")
        must(choice.finish_reason is FinishReason.TOOL_CALLS, f"The finish reason is another: {choice.finish_reason}.")


async def usage(bench: Bench) -> None:
    whole = fold(await bench.hear(speak(HELLO), stream=False)).usage
    counted = (HELLO.input_tokens, HELLO.output_tokens)
    must((whole.input, whole.output) == counted, f"Usage of a whole answer came as {whole!r}.")
    streamed = fold(await bench.hear(speak(HELLO), stream=bench.streams)).usage  # some endpoints cannot be asked for it
    must((streamed.input, streamed.output) in (counted, (None, None)), f"Usage of a stream came as {streamed!r}.")
    for stream in bench.modes:
        unknown = fold(await bench.hear(speak(HELLO, usage=False), stream=stream)).usage
        must((unknown.input, unknown.output) == (None, None), f"Unknown usage must be None, and came as {unknown!r}.")


async def forms(bench: Bench) -> None:
    answer = Answer(text=("für ", "青い🙂"))
    plain = told_of(await bench.hear(speak(answer)))
    forms = [Form(newline=newline) for newline in ("crlf", "cr", "mixed")]
    behaviours = [speak(answer, form=form) for form in (*forms, Form(space=False), Form(bom=True), Form(newline="crlf", bom=True))]
    behaviours += [speak(answer, Split(size)) for size in (1, 7, 4096)]
    behaviours += [speak(answer, SplitCharacters()), speak(answer, Split(1), form=Form(newline="crlf", bom=True))]
    for behaviour in behaviours:
        told = told_of(await bench.hear(behaviour))
        must(told == plain, f"The same answer in the form {behaviour!r} is told otherwise: {told!r}.")


async def strange(bench: Bench) -> None:
    for answer in (HELLO, TOOLS) if bench.has_tools else (HELLO,):
        for stream in bench.modes:
            plain = told_of(await bench.hear(speak(answer), stream=stream))
            told = told_of(await bench.hear(speak(answer, Strange()), stream=stream))
            must(told == plain, f"Unknown fields and events changed what is told: {told!r}.")


async def request(bench: Bench) -> None:
    for stream in bench.modes:
        await bench.hear(speak(HELLO), stream=stream)
        body, path = msgspec.json.decode(bench.last.request.body), unquote(bench.last.request.path)
        asked = body.get("model") if "model" in body else bench.deployment.model * (f"/{bench.deployment.model}" in path)
        must(asked == bench.deployment.model, f"The model asked for was {body.get('model')!r}, at {path}.")
        if bench.client is bench.dialect:
            kept = body.get(UNKNOWN_FIELD) == UNKNOWN_VALUE
            must(kept, "A field that nobody here knows did not survive to its own dialect.")
        streamed = bool(body.get("stream")) or "stream" in path.lower()
        must(streamed is stream, f"stream={streamed!r} was sent for {stream}.")


async def passing(bench: Bench) -> None:
    """What else is spoken goes through as it is, there and back."""
    for dialect in sorted(bench.deployment.also):
        bench.upstream.play(speak(HELLO))
        asked = bench.request(stream=False, dialect=dialect)
        async with bench.provider.open(bench.deployment, asked, FAR) as upstream:
            frames = [frame async for frame in upstream.frames]
        sent, forwarded = bench.last.request, b"".join(frame.native for frame in frames)
        must(upstream.dialect is dialect, f"{dialect} was answered in {upstream.dialect}.")
        must(upstream.lost == (), f"Of {dialect} {upstream.lost} was lost.")
        must(forwarded in (b"", bytes(bench.last.sent)), f"An answer in {dialect} was changed.")
        must(bench.deployment.model.encode() in sent.body + unquote(sent.path).encode(), f"{dialect} did not ask for the model.")
        if dialect is not Dialect.OPENAI_TRANSCRIPTIONS:
            kept = CANARY.encode() in sent.body and msgspec.json.encode({UNKNOWN_FIELD: UNKNOWN_VALUE})[1:-1] in sent.body
            must(kept, f"A request in {dialect} was changed.")
