"""What arrives while a model answers, and the two laws that tie a stream to a whole answer.

``fold`` is the only maker of a :class:`Response`; ``fold(unfold(r)) == r``. A non-streaming answer is a stream of one frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Raw, Struct
from msgspec.structs import replace

from trimtab.core.messages import Choice, Dialect, FinishReason, Opaque, Part, Reasoning, Refusal, Response, Text, ToolCall, Vector
from trimtab.core.units import Usage


class Started(Struct, frozen=True):
    """The provider has accepted the request. ``model`` is the model that answers, by the provider's own name."""

    id: str = ""
    model: str = ""
    created: int | None = None


class TextDelta(Struct, frozen=True):
    """A piece of text. ``block`` tells adjacent text blocks apart (Anthropic); ``logprobs`` has one JSON value per token (OpenAI)."""

    text: str
    choice: int = 0
    block: int = 0
    logprobs: tuple[Raw, ...] = ()


class RefusalDelta(Struct, frozen=True):
    text: str
    choice: int = 0


class ReasoningDelta(Struct, frozen=True):
    """A piece of thinking. ``block`` numbers the thinking blocks of one choice; a signature closes its block."""

    text: str = ""
    choice: int = 0
    block: int = 0
    signature: str | None = None
    redacted: str | None = None
    signer: Dialect | None = None


class ToolCallDelta(Struct, frozen=True):
    """A piece of a tool call. ``index`` tells parallel calls apart; ``id`` and ``name`` come with the first piece."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None
    choice: int = 0


class OpaqueDelta(Struct, frozen=True):
    """Content of a kind that we do not know; it survives on its own dialect."""

    kind: str
    raw: Raw
    choice: int = 0


class VectorDelta(Struct, frozen=True):
    """One embedding, whole. They come in the order of the inputs."""

    raw: Raw
    choice: int = 0


class Finished(Struct, frozen=True):
    """One choice is complete."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None


class UsageReported(Struct, frozen=True):
    """Cumulative: a later report replaces an earlier one, field by field where it knows more."""

    usage: Usage


class Ended(Struct, frozen=True):
    """The protocol's own last word (``[DONE]``, ``message_stop``, the end of a JSON body). Nothing follows it."""


Event = (
    Started
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | ToolCallDelta
    | OpaqueDelta
    | VectorDelta
    | Finished
    | UsageReported
    | Ended
)

_CONTENT = (TextDelta, RefusalDelta, ReasoningDelta, ToolCallDelta, OpaqueDelta, VectorDelta, Finished)


class Frame(Struct, frozen=True):
    """One piece of the upstream's answer: the events read from it and, as they came, the bytes they were read from.

    ``native`` is forwarded untouched to a client that speaks the upstream's dialect. It is empty where nothing may be forwarded.
    """

    events: tuple[Event, ...]
    native: bytes = b""

    @property
    def has_content(self) -> bool:
        """True once the model has said something: from here on nobody may change the deployment."""
        for event in self.events:  # noqa: SIM110 (a plain loop: this runs for every token)
            if isinstance(event, _CONTENT):
                return True
        return False

    @property
    def is_last(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], Ended)


def merge_usage(before: Usage, after: Usage) -> Usage:
    """``after`` replaces ``before`` wherever it knows a figure (Anthropic reports input first and output last)."""
    return Usage(
        input=before.input if after.input is None else after.input,
        output=before.output if after.output is None else after.output,
        cache_read=before.cache_read if after.cache_read is None else after.cache_read,
        cache_write=before.cache_write if after.cache_write is None else after.cache_write,
        reasoning=before.reasoning if after.reasoning is None else after.reasoning,
        estimated=after.estimated,
    )


class _ChoiceBuilder:
    """Gathers the pieces of one choice in the order in which each part began."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.finish: Finished | None = None
        self.logprobs: list[Raw] = []
        self._order: list[tuple[str, int]] = []
        self._text: dict[tuple[str, int], list[str]] = {}
        self._tools: dict[int, ToolCall] = {}
        self._thinking: dict[int, Reasoning] = {}
        self._whole: list[Opaque | Vector] = []

    def _key(self, kind: str, number: int) -> tuple[str, int]:
        key = (kind, number)
        if key not in self._text:
            self._text[key] = []
            self._order.append(key)
        return key

    def add(self, event: Event) -> None:
        match event:
            case TextDelta(text=text, block=block, logprobs=logprobs):
                self._text[self._key("text", block)].append(text)
                self.logprobs.extend(logprobs)
            case RefusalDelta(text=text):
                self._text[self._key("refusal", 0)].append(text)
            case ReasoningDelta(block=block):
                key = self._key("reasoning", block)
                self._text[key].append(event.text)
                held = self._thinking.get(block, Reasoning())
                self._thinking[block] = Reasoning(
                    signature=event.signature or held.signature,
                    redacted=event.redacted or held.redacted,
                    signer=event.signer or held.signer,
                )
            case ToolCallDelta(index=index):
                key = self._key("tool", index)
                self._text[key].append(event.arguments)
                call = self._tools.get(index, ToolCall(id="", name="", arguments=""))
                self._tools[index] = ToolCall(id=event.id or call.id, name=event.name or call.name, arguments="")
            case OpaqueDelta(kind=kind, raw=raw):
                self._key("whole", len(self._whole))
                self._whole.append(Opaque(kind=kind, raw=raw))
            case VectorDelta(raw=raw):
                self._key("whole", len(self._whole))
                self._whole.append(Vector(raw))
            case Finished():
                self.finish = event
            case _:
                raise TypeError(f"not an event of a choice: {event!r}")

    def _part(self, key: tuple[str, int]) -> Part:
        kind, number = key
        text = "".join(self._text[key])
        match kind:
            case "text":
                return Text(text)
            case "refusal":
                return Refusal(text)
            case "reasoning":
                return replace(self._thinking[number], text=text)
            case "tool":
                call = self._tools[number]
                return ToolCall(id=call.id, name=call.name, arguments=text)
            case _:
                return self._whole[number]

    def build(self) -> Choice:
        return Choice(
            index=self.index,
            parts=tuple(self._part(key) for key in self._order),
            finish_reason=self.finish.reason if self.finish else None,
            stop_sequence=self.finish.stop_sequence if self.finish else None,
            logprobs=tuple(self.logprobs),
        )


class Folder:
    """Folds events as they pass, so that a stream can be both forwarded and accounted."""

    def __init__(self) -> None:
        self.started = Started()
        self.usage = Usage()
        self.ended = False
        self._choices: dict[int, _ChoiceBuilder] = {}

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Started():
                    self.started = event
                case UsageReported(usage=usage):
                    self.usage = merge_usage(self.usage, usage)
                case Ended():
                    self.ended = True
                case _:
                    builder = self._choices.get(event.choice)
                    if builder is None:
                        builder = self._choices[event.choice] = _ChoiceBuilder(event.choice)
                    builder.add(event)

    def response(self) -> Response:
        return Response(
            id=self.started.id,
            model=self.started.model,
            choices=tuple(self._choices[index].build() for index in sorted(self._choices)),
            usage=self.usage,
            created=self.started.created,
        )


def fold(events: Iterable[Event]) -> Response:
    """The whole answer that a stream of events tells, in whatever pieces it came."""
    folder = Folder()
    folder.add(events)
    return folder.response()


def unfold(response: Response) -> Iterator[Event]:
    """The shortest stream that folds back to ``response``."""
    yield Started(id=response.id, model=response.model, created=response.created)
    for choice in response.choices:
        yield from _unfold_choice(choice)
    yield UsageReported(response.usage)
    yield Ended()


def _unfold_choice(choice: Choice) -> Iterator[Event]:
    tools = 0
    logprobs = choice.logprobs
    for block, part in enumerate(choice.parts):
        match part:
            case Text(text=text):
                yield TextDelta(text, choice=choice.index, block=block, logprobs=logprobs)
                logprobs = ()
            case Refusal(text=text):
                yield RefusalDelta(text, choice=choice.index)
            case Reasoning():
                yield ReasoningDelta(part.text, choice.index, block, part.signature, part.redacted, part.signer)
            case ToolCall(id=id, name=name, arguments=arguments):
                yield ToolCallDelta(tools, arguments, id=id, name=name, choice=choice.index)
                tools += 1
            case Opaque(kind=kind, raw=raw):
                yield OpaqueDelta(kind, raw, choice=choice.index)
            case Vector(raw=raw):
                yield VectorDelta(raw, choice=choice.index)
            case _:
                raise TypeError(f"a model does not answer with {type(part).__name__}")
    if choice.finish_reason is not None:
        yield Finished(choice.finish_reason, choice=choice.index, stop_sequence=choice.stop_sequence)
