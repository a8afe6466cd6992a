"""A client's stream of blocks that cannot interleave, whatever order the events come in.

Clients of Anthropic's and Cohere's protocols gather one block or call at a time, and a call cannot be opened again. So while one is open,
the pieces of everything else are held back until the upstream says that the choice is finished. Of several choices the client gets the
first. Knows nothing of what a block looks like.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from trimtab.core.errors import TrimtabError
from trimtab.core.events import (
    Ended,
    Event,
    Finished,
    Frame,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    merge_usage,
)
from trimtab.core.messages import FinishReason, Request
from trimtab.core.units import Usage

Content = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta
_Key = tuple[str, int]
_CALL = "call"


def _key(event: Content) -> _Key:
    match event:
        case TextDelta(block=block):
            return "text", block
        case RefusalDelta():
            return "refusal", 0
        case ReasoningDelta(block=block):
            return "thinking", block
        case ToolCallDelta(index=index):
            return _CALL, index


class BlockEncoder(ABC):
    """A :class:`~trimtab.wire.codec.StreamEncoder` but for the words, which a dialect's own encoder has."""

    starts_at_once = False
    """Is the answer begun before it has content? Else the input's usage, which comes a little later, is known by then."""

    def __init__(self, request: Request, decision_id: str) -> None:
        self.id = decision_id
        self.model = request.model
        self.usage = Usage()
        self.finish = Finished(FinishReason.STOP)
        self._is_started = False
        self._open: _Key | None = None
        self._held: dict[_Key, list[Content]] = {}
        self._has_forwarded = False

    @abstractmethod
    def begin(self) -> list[bytes]:
        """The answer begins."""

    @abstractmethod
    def begin_block(self, event: Content) -> bytes:
        """A block or call begins. ``event`` is of it, a call's with the id if there is one."""

    @abstractmethod
    def pieces(self, event: Content) -> list[bytes]:
        """What ``event`` adds to the open block."""

    @abstractmethod
    def end_block(self, *, is_call: bool) -> list[bytes]:
        """The open block ends."""

    @abstractmethod
    def end(self) -> list[bytes]:
        """The answer ends. The last of these is the protocol's last word."""

    @abstractmethod
    def error(self, error: TrimtabError) -> bytes:
        """See :meth:`~trimtab.wire.codec.StreamEncoder.error`."""

    def opaque(self, event: OpaqueDelta) -> list[bytes]:
        return []

    def encode(self, frame: Frame, *, same_dialect: bool) -> bytes:
        if not same_dialect or not (frame.native or self._has_forwarded):
            return b"".join(piece for event in frame.events for piece in self._translate(event))
        self._has_forwarded = True
        return frame.native or (self.end()[-1] if frame.is_last else b"")

    def start(self) -> list[bytes]:
        """The answer begins, if it has not."""
        if self._is_started:
            return []
        self._is_started = True
        return self.begin()

    def _translate(self, event: Event) -> list[bytes]:
        match event:
            case TextDelta() | RefusalDelta() | ReasoningDelta() | ToolCallDelta():
                return self._say(event) if event.choice == 0 else []
            case Finished(choice=0):
                self.finish = event
                return self._release()
            case Started():
                self.id = event.id or self.id
                self.model = event.model or self.model
                return self.start() if self.starts_at_once else []
            case UsageReported(usage=usage):
                self.usage = merge_usage(self.usage, usage)
                return []
            case Ended():
                return [*self.start(), *self._release(), *self.end()]
            case OpaqueDelta(choice=0):
                return self.opaque(event)
            case _:
                return []

    def _say(self, event: Content) -> list[bytes]:
        key = _key(event)
        if self._open is not None and self._open[0] == _CALL and key != self._open:
            self._held.setdefault(key, []).append(event)
            return []
        out = self.start()
        if key != self._open:
            out += self._close()
            self._open = key
            out.append(self.begin_block(event))
        return out + self.pieces(event)

    def _close(self) -> list[bytes]:
        closed, self._open = self._open, None
        return [] if closed is None else self.end_block(is_call=closed[0] == _CALL)

    def _release(self) -> list[bytes]:
        """Close what is open and write out, one after the other, what was held back."""
        out = self._close()
        held, self._held = self._held, {}
        for key, events in held.items():
            first = next((event for event in events if isinstance(event, ToolCallDelta) and event.id), events[0])
            self._open = key
            out.append(self.begin_block(first))
            for event in events:
                out += self.pieces(event)
            out += self._close()
        return out
