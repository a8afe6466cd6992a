"""OpenAI Responses: the output of an answer as it grows, item by item, and the events that tell of it.

One builder for streams and for whole answers, so that both say the same. Events are given without their number, which the stream puts in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from msgspec import Raw

from trimtab.core.events import Event, OpaqueDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from trimtab.core.messages import Dialect, FinishReason, Reasoning
from trimtab.wire.body import Json, tool_id
from trimtab.wire.common.signatures import seal

_OWN_KINDS = frozenset(
    {
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "computer_call",
        "computer_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "file_search_call",
        "function_call_output",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)
"""Items of this protocol that are given on whole. An unknown part of another protocol is none of them."""

_CUT = (FinishReason.LENGTH, FinishReason.CONTENT_FILTER)


class _Item(ABC):
    """One item under way, at its place in the output."""

    prefix = ""

    def __init__(self, place: int, answer_id: str) -> None:
        self.place = place
        self.id = tool_id(f"{self.prefix}_{answer_id}_{place}")

    def tell(self, kind: str, **fields: object) -> Json:
        return {"type": f"response.{kind}", "item_id": self.id, "output_index": self.place, **fields}

    def added(self) -> Json:
        return _whole("added", self.place, self.body("in_progress"))

    @abstractmethod
    def body(self, status: str) -> Json: ...

    @abstractmethod
    def close(self) -> list[Json]: ...


class _Message(_Item):
    """Text and refusals. Only the last part is open."""

    prefix = "msg"

    def __init__(self, place: int, answer_id: str) -> None:
        super().__init__(place, answer_id)
        self._parts: list[Json] = []
        self._open: tuple[str, int] | None = None
        self._said: list[str] = []
        self._logprobs: list[Raw] = []

    def say(self, part: tuple[str, int], text: str, logprobs: tuple[Raw, ...]) -> list[Json]:
        out: list[Json] = []
        if part != self._open:
            out = self.close()
            self._open = part
            out.append(self.tell("content_part.added", content_index=len(self._parts), part=self._part()))
        self._said.append(text)
        if part[0] == "refusal":
            out.append(self.tell("refusal.delta", content_index=len(self._parts), delta=text))
        else:
            self._logprobs += logprobs
            out.append(self.tell("output_text.delta", content_index=len(self._parts), delta=text, logprobs=logprobs))
        return out

    def _part(self) -> Json:
        text = "".join(self._said)
        if self._open is not None and self._open[0] == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(self._logprobs)}

    def body(self, status: str) -> Json:
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": list(self._parts)}

    def close(self) -> list[Json]:
        if self._open is None:
            return []
        number, part = len(self._parts), self._part()
        if self._open[0] == "refusal":
            done = self.tell("refusal.done", content_index=number, refusal=part["refusal"])
        else:
            done = self.tell("output_text.done", content_index=number, text=part["text"], logprobs=part["logprobs"])
        self._parts.append(part)
        self._open = None
        self._said, self._logprobs = [], []
        return [done, self.tell("content_part.done", content_index=number, part=part)]


class _Thought(_Item):
    """Thinking goes out as a summary, which is what clients show. What signs it is the item's encrypted content."""

    prefix = "rs"

    def __init__(self, place: int, answer_id: str, block: int) -> None:
        super().__init__(place, answer_id)
        self.block = block
        self._said: list[str] = []
        self._signed = Reasoning()

    def say(self, event: ReasoningDelta) -> list[Json]:
        out: list[Json] = []
        held = self._signed
        self._signed = Reasoning(
            signature=event.signature or held.signature,
            redacted=event.redacted or held.redacted,
            signer=event.signer or held.signer,
        )
        if event.text:
            if not self._said:
                out.append(self.tell("reasoning_summary_part.added", summary_index=0, part=_summary("")))
            self._said.append(event.text)
            out.append(self.tell("reasoning_summary_text.delta", summary_index=0, delta=event.text))
        return out

    def body(self, status: str) -> Json:
        summary = [_summary("".join(self._said))] if self._said else []
        sealed = None if status == "in_progress" else seal(self._signed, Dialect.OPENAI_RESPONSES)
        return {"id": self.id, "type": "reasoning", "status": status, "summary": summary, "encrypted_content": sealed}

    def close(self) -> list[Json]:
        if not self._said:
            return []
        text = "".join(self._said)
        return [
            self.tell("reasoning_summary_text.done", summary_index=0, text=text),
            self.tell("reasoning_summary_part.done", summary_index=0, part=_summary(text)),
        ]


class _Call(_Item):
    prefix = "fc"

    def __init__(self, place: int, answer_id: str, call: ToolCallDelta) -> None:
        super().__init__(place, answer_id)
        self._call_id = call.id or ""
        self._name = call.name or ""
        self._said: list[str] = []

    def say(self, arguments: str) -> list[Json]:
        if not arguments:
            return []
        self._said.append(arguments)
        return [self.tell("function_call_arguments.delta", delta=arguments)]

    def body(self, status: str) -> Json:
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": "".join(self._said),
        }

    def close(self) -> list[Json]:
        return [self.tell("function_call_arguments.done", name=self._name, arguments="".join(self._said))]


class Output:
    """``add`` takes ``core``'s events of one choice and gives the protocol's own.

    A message or a thought ends where anything else begins. Calls stay open until the end, as servers may interleave their pieces; each
    piece names its item.
    """

    def __init__(self, answer_id: str) -> None:
        self._id = answer_id
        self._places = 0
        self._spoken: _Message | _Thought | None = None
        self._calls: dict[int, _Call] = {}
        self._done: dict[int, object] = {}

    @property
    def items(self) -> list[object]:
        """The finished items, in their order."""
        return [self._done[place] for place in sorted(self._done)]

    def add(self, event: Event) -> list[Json]:
        match event:
            case TextDelta(text=text, block=block, logprobs=logprobs) if text or logprobs:
                return self._say(("output_text", block), text, logprobs)
            case RefusalDelta(text=text) if text:
                return self._say(("refusal", 0), text, ())
            case ReasoningDelta() if event.text or event.signature or event.redacted:
                return self._think(event)
            case ToolCallDelta():
                return self._call(event)
            case OpaqueDelta(kind=kind, raw=raw) if kind in _OWN_KINDS:
                out = self._end_spoken("completed")
                place = self._place()
                self._done[place] = raw
                return [*out, _whole("added", place, raw), _whole("done", place, raw)]
            case _:
                return []

    def finish(self, reason: FinishReason) -> list[Json]:
        """End every item that is open. Of an answer that was cut, the last is incomplete."""
        held: list[_Item] = [*self._calls.values(), *([] if self._spoken is None else [self._spoken])]
        self._spoken, self._calls = None, {}
        out: list[Json] = []
        for item in sorted(held, key=lambda item: item.place):
            is_cut = reason in _CUT and item.place == self._places - 1
            out += self._end(item, "incomplete" if is_cut else "completed")
        return out

    def _place(self) -> int:
        self._places += 1
        return self._places - 1

    def _end(self, item: _Item, status: str) -> list[Json]:
        out = item.close()
        self._done[item.place] = body = item.body(status)
        return [*out, _whole("done", item.place, body)]

    def _end_spoken(self, status: str) -> list[Json]:
        if self._spoken is None:
            return []
        item, self._spoken = self._spoken, None
        return self._end(item, status)

    def _say(self, part: tuple[str, int], text: str, logprobs: tuple[Raw, ...]) -> list[Json]:
        if isinstance(self._spoken, _Message):
            return self._spoken.say(part, text, logprobs)
        out = self._end_spoken("completed")
        message = self._spoken = _Message(self._place(), self._id)
        return [*out, message.added(), *message.say(part, text, logprobs)]

    def _think(self, event: ReasoningDelta) -> list[Json]:
        if isinstance(self._spoken, _Thought) and self._spoken.block == event.block:
            return self._spoken.say(event)
        out = self._end_spoken("completed")
        thought = self._spoken = _Thought(self._place(), self._id, event.block)
        return [*out, thought.added(), *thought.say(event)]

    def _call(self, event: ToolCallDelta) -> list[Json]:
        held = self._calls.get(event.index)
        if held is not None:
            return held.say(event.arguments)
        out = self._end_spoken("completed")
        call = self._calls[event.index] = _Call(self._place(), self._id, event)
        return [*out, call.added(), *call.say(event.arguments)]


def _summary(text: str) -> Json:
    return {"type": "summary_text", "text": text}


def _whole(what: str, place: int, item: object) -> Json:
    return {"type": f"response.output_item.{what}", "output_index": place, "item": item}
