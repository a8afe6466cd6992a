"""Replicate's predictions, towards the upstream: a language model's text, waited for and told whole.

A prediction takes one prompt. It knows no roles, tools, images, schemas or streams, so a conversation becomes lines that name who spoke,
and what would change the answer if it were left out is refused. The names of the inputs are those that its official language models
share; a model's own inputs may be others. Nobody speaks this protocol to us (Replicate, "Create a prediction").
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct, field
from msgspec.json import Decoder

from trimtab.core.events import Ended, Event, Finished, Frame, Started, TextDelta, UsageReported
from trimtab.core.messages import Dialect, FinishReason, Message, Reasoning, Refusal, Request, Text
from trimtab.core.units import Usage
from trimtab.wire.body import Count, Losses, message_paths, read_answer
from trimtab.wire.codec import StreamDecoder, Untranslatable, UpstreamError, UpstreamErrorEvent, WireError
from trimtab.wire.faults import read_error
from trimtab.wire.sse import ServerSentEvent


class _Metrics(Struct):
    input_token_count: Count | None = None
    output_token_count: Count | None = None


class _Prediction(Struct):
    status: Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
    id: str = ""
    model: str | None = None
    output: str | list[str] | None = None
    error: str | None = None
    metrics: _Metrics | None = field(default_factory=_Metrics)


_PREDICTION = Decoder(_Prediction)


class _NoStream:
    def feed(self, event: ServerSentEvent) -> Frame:
        raise WireError("a stream where none was asked for")


class Replicate:
    """Stateless. The model stands in the path, and a stream is never asked for: the answer comes whole."""

    dialect = Dialect.REPLICATE

    def forward_request(self, request: Request, model: str, *, want_usage: bool) -> bytes:
        """No client speaks this protocol, so there is nothing to forward."""
        return self.encode_request(request, model)[0]

    def encode_request(self, request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
        if request.tools:
            raise Untranslatable("a prediction has no tools")
        losses = Losses(request.extras)
        system, turns = _texts(request, losses)
        prompt = turns[0][1] if len(turns) == 1 else "\n".join([*(f"{role}: {text}" for role, text in turns), "assistant:"])
        if len(turns) > 1:
            losses.add("messages.role")
        sampling = request.sampling
        losses.add_where(
            response_format=request.output is not None and request.output.kind != "text",
            user=request.user is not None,
        )
        for name, value in msgspec.structs.asdict(sampling).items():
            if name not in ("max_tokens", "temperature", "top_p") and value not in (None, ()) and (name, value) != ("n", 1):
                losses.add(name)
        inputs = {
            "prompt": prompt,
            "system_prompt": "\n\n".join(system) or None,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        return msgspec.json.encode({"input": {name: value for name, value in inputs.items() if value is not None}}), losses.names()

    def stream_decoder(self) -> StreamDecoder:
        return _NoStream()

    def decode_response(self, body: bytes) -> Frame:
        answer = read_answer(_PREDICTION, body)
        if answer.status in ("starting", "processing"):
            raise UpstreamErrorEvent(UpstreamError(type="timeout_error", message="The prediction was not ready in time."))
        if answer.status != "succeeded":
            raise UpstreamErrorEvent(UpstreamError(type=f"prediction_{answer.status}", message=answer.error or ""))
        text = answer.output if isinstance(answer.output, str) else "".join(answer.output or ())
        events: list[Event] = [Started(id=answer.id, model=answer.model or "")]
        if text:
            events.append(TextDelta(text))
        events.append(Finished(FinishReason.STOP))
        metrics = answer.metrics or _Metrics()
        if metrics.input_token_count is not None or metrics.output_token_count is not None:
            events.append(UsageReported(Usage(input=metrics.input_token_count, output=metrics.output_token_count)))
        return Frame((*events, Ended()), body)

    def decode_error(self, body: bytes) -> UpstreamError:
        return read_error(body)


def _texts(request: Request, losses: Losses) -> tuple[list[str], list[tuple[str, str]]]:
    """The system prompts, and who said what."""
    system: list[str] = []
    turns: list[tuple[str, str]] = []
    for message, at in zip(request.messages, message_paths(request), strict=True):
        if message.name is not None:
            losses.add(f"{at}.name")
        text = _text(message, f"{at}.content", losses)
        if message.role == "system":
            system.append(text)
        else:
            turns.append((message.role, text))
    return system, turns or [("user", "")]


def _text(message: Message, at: str, losses: Losses) -> str:
    texts: list[str] = []
    for number, part in enumerate(message.parts):
        match part:
            case Text(text=text, cache=cache):
                texts.append(text)
                if cache is not None:
                    losses.add(f"{at}.{number}.cache_control")
            case Refusal(text=text):
                texts.append(text)
            case Reasoning():
                losses.add(f"{at}.{number}")
            case _:
                raise Untranslatable("a prediction takes text alone")
    return "\n\n".join(texts)
