"""OpenAI Responses: what the client gets, whole or as stream events. Knows nothing of the upstream and reads no clock.

Of several choices the client gets the first, as this protocol has one. A count that nobody knows is written 0 where the protocol demands a
number; the record keeps it unknown. Of the fields that repeat the request, those that the protocol lets an answer go without are left out,
and the others have their defaults: whoever asked knows what they asked.
"""

from __future__ import annotations

import msgspec

from trimtab.core.errors import TrimtabError
from trimtab.core.events import Ended, Event, Finished, Frame, Started, UsageReported, merge_usage, unfold
from trimtab.core.messages import FinishReason, Request, Response
from trimtab.core.units import Usage
from trimtab.wire.body import Json
from trimtab.wire.faults import describe
from trimtab.wire.openai_chat.client import encode_error as encode_error
from trimtab.wire.openai_responses.output import Output
from trimtab.wire.sse import encode_event

_INCOMPLETE = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}

_ENCODER = msgspec.json.Encoder()


def _usage(usage: Usage) -> Json | None:
    """``None`` where the tokens are unknown."""
    if usage.input is None or usage.output is None:
        return None
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read or 0, "cache_write_tokens": usage.cache_write or 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.input + usage.output,
    }


class _Answer:
    """The response object as it grows."""

    def __init__(self, id: str, model: str) -> None:
        self._id = id
        self._model = model
        self._created = 0
        self._output: Output | None = None
        self._finish = FinishReason.STOP
        self._usage = Usage()

    def start(self, event: Started) -> None:
        """Whose answer it is: said before anything of it is told."""
        self._id = event.id or self._id
        self._model = event.model or self._model
        self._created = event.created or 0

    @property
    def output(self) -> Output:
        if self._output is None:
            self._output = Output(self._id)
        return self._output

    def add(self, event: Event) -> list[Json]:
        match event:
            case UsageReported(usage=usage):
                self._usage = merge_usage(self._usage, usage)
                return []
            case Finished(choice=0, reason=reason):
                self._finish = reason
                return self.output.finish(reason)
            case Started() | Ended():
                return []
            case _:
                return self.output.add(event) if event.choice == 0 else []

    @property
    def status(self) -> str:
        return "incomplete" if self._finish in _INCOMPLETE else "completed"

    def body(self, status: str, error: Json | None = None) -> Json:
        reason = _INCOMPLETE.get(self._finish)
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": error,
            "incomplete_details": {"reason": reason} if reason is not None and status == "incomplete" else None,
            "instructions": None,
            "metadata": {},
            "model": self._model,
            "output": self.output.items,
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "usage": _usage(self._usage) if status in ("completed", "incomplete") else None,
        }


class ResponsesStreamEncoder:
    def __init__(self, request: Request, decision_id: str) -> None:
        self._answer = _Answer(decision_id, request.model)
        self._is_started = False
        self._number = 0
        self._has_forwarded = False

    def encode(self, frame: Frame, *, same_dialect: bool) -> bytes:
        if not same_dialect or not (frame.native or self._has_forwarded):
            return b"".join(self._write(told) for event in frame.events for told in self._translate(event))
        self._has_forwarded = True
        if not self._is_started:
            self._note_start(frame)
        # An error of ours behind them must go on counting. The last word of this protocol is the whole answer: where a forwarded stream
        # lacks it, nothing can stand in for it.
        self._number += 1
        return frame.native

    def error(self, error: TrimtabError) -> bytes:
        """OpenAI's two events: the official clients raise on the first for its ``error``, others wait for the second."""
        fault = describe(error)
        details = msgspec.json.decode(encode_error(error), type=dict[str, msgspec.Raw])["error"]
        first: Json = {"type": "error", "code": fault.code, "message": fault.message, "param": fault.param, "error": details}
        code = "rate_limit_exceeded" if fault.status == 429 else "server_error" if fault.status >= 500 else "invalid_prompt"
        failed = self._answer.body("failed", {"code": code, "message": fault.message})
        begun = [] if self._has_forwarded else self._start()
        out: list[Json] = [*begun, first, {"type": "response.failed", "response": failed}]
        return b"".join(self._write(told) for told in out)

    def _note_start(self, frame: Frame) -> None:
        """Whose answer is forwarded: an error of ours must name it."""
        for event in frame.events:
            if isinstance(event, Started):
                self._is_started = True
                self._answer.start(event)

    def _translate(self, event: Event) -> list[Json]:
        match event:
            case Started():
                if not self._is_started:
                    self._answer.start(event)
                return self._start()
            case Ended():
                return [*self._start(), *self._end()]
            case _:
                return [*self._start(), *self._answer.add(event)]

    def _start(self) -> list[Json]:
        if self._is_started:
            return []
        self._is_started = True
        response = self._answer.body("in_progress")
        return [{"type": "response.created", "response": response}, {"type": "response.in_progress", "response": response}]

    def _end(self) -> list[Json]:
        rest = self._answer.output.finish(FinishReason.STOP)
        status = self._answer.status
        return [*rest, {"type": f"response.{status}", "response": self._answer.body(status)}]

    def _write(self, told: Json) -> bytes:
        told["sequence_number"] = self._number
        self._number += 1
        return encode_event(_ENCODER.encode(told), str(told["type"]))


def encode_response(response: Response, decision_id: str) -> bytes:
    answer = _Answer(response.id or decision_id, response.model)
    for event in unfold(response):
        if isinstance(event, Started):
            answer.start(event)
        answer.add(event)
    answer.output.finish(FinishReason.STOP)
    return _ENCODER.encode(answer.body(answer.status))
