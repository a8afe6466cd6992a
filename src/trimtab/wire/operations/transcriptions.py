"""OpenAI Audio transcriptions: a form with a recording. The answer, JSON, plain text or subtitles, passes through.

The recording is not decoded: its part says that there is one, and of which format. Who looks for sensitive data finds it
unreadable.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from trimtab.core.events import Ended, Finished, Frame, OpaqueDelta, Started
from trimtab.core.messages import Audio, Dialect, FinishReason, Message, Part, Request, Response, Text
from trimtab.wire.body import refuse
from trimtab.wire.codec import UpstreamErrorEvent, WireError
from trimtab.wire.operations.form import Form, read_form
from trimtab.wire.operations.whole import PassThrough, answer_of

_CARRIED = frozenset({"file", "model", "prompt", "stream"})
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,8})$")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}(\[\])?")
_FALSE = ("", "0", "false")

TEXT = "text"


class OpenAITranscriptions(PassThrough):
    """``/v1/audio/transcriptions``. A door gives the body alone: the boundary is read from it, and ``content_type`` names it."""

    dialect = Dialect.OPENAI_TRANSCRIPTIONS
    kind = "transcription"

    def decode_request(self, body: bytes) -> Request:
        form = read_form(body)
        model = form.text("model")
        if not model:
            raise refuse("model", "is required", "Add the field and send the request again.")
        if (form.text("stream") or "").strip().lower() not in _FALSE:
            raise refuse("stream", "streams of transcripts are not supported here", "Leave the field out.")
        parts: list[Part] = [_recording(form)]
        prompt = form.text("prompt")
        if prompt:
            parts.append(Text(prompt))
        extras = dict.fromkeys(_named(field.name) for field in form.fields if field.name not in _CARRIED)
        return Request(
            dialect=self.dialect,
            model=model,
            messages=(Message("user", tuple(parts)),),
            native=body,
            content_type=form.content_type,
            extras=tuple(extras),
        )

    def replaced(self, request: Request, model: str) -> bytes:
        return read_form(request.native).replaced("model", model)

    def decode_response(self, body: bytes) -> Frame:
        """Which form was asked for is not known here: what is no JSON object is text, and that has no usage to report."""
        try:
            return super().decode_response(body)
        except UpstreamErrorEvent:
            raise
        except WireError:
            return self._text(body)

    def _text(self, body: bytes) -> Frame:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise WireError("an answer that is neither JSON nor text") from None
        said = OpaqueDelta(TEXT, Raw(msgspec.json.encode(text)))
        return Frame((Started(), said, Finished(FinishReason.STOP), Ended()), body)

    def encode_response(self, response: Response, decision_id: str) -> bytes:
        answer = answer_of(response)
        if answer.kind == TEXT:
            return msgspec.json.decode(answer.raw, type=str).encode()
        return bytes(answer.raw)


def _recording(form: Form) -> Audio:
    file = form.only("file")
    if file is None or file.filename is None:
        raise refuse("file", "is required", "Add the recording as a file with its name.")
    extension = _EXTENSION.search(file.filename)
    return Audio(data="", format=extension[1].lower() if extension else "")


def _named(name: str) -> str:
    """A name that is told and recorded; one that is no plain name is not repeated."""
    return name if _FIELD.fullmatch(name) else "(a field)"
