"""Moderations, images and transcriptions as OpenAI's upstream gives them.

Source: the public API reference. A transcription's form is read with the standard library's mail parser: on purpose not with ours.
"""

from __future__ import annotations

import base64
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP

import msgspec
from msgspec import Raw, Struct

from trimtab.core.messages import Dialect
from trimtab.lab.upstream.answers import Answer, Piece, body
from trimtab.lab.upstream.loopback import Received
from trimtab.lab.upstream.obliging import Asked

_CREATED = 1_767_225_600
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a4944415478da63600000000200"
    "01e527defc0000000049454e44ae426082"
)
"""A PNG of one black pixel."""


class ModerationRequest(Struct):
    input: str | list[Raw]
    model: str = "omni-moderation-latest"

    dialect = Dialect.OPENAI_MODERATIONS
    content_type = "application/json"
    stream = False
    asked = Asked()

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        """Nothing is ever flagged. Of several parts of one input there is one result; texts have one each."""
        texts = isinstance(self.input, list) and all(bytes(item).startswith(b'"') for item in self.input)
        result = {
            "flagged": False,
            "categories": dict.fromkeys(_CATEGORIES, False),
            "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
            "category_applied_input_types": {category: ["text"] for category in _CATEGORIES},
        }
        results = [result] * (len(self.input) if texts else 1)
        return body(msgspec.json.encode({"id": f"modr-{id}", "model": self.model, "results": results}))


class ImageRequest(Struct):
    prompt: str
    model: str = "gpt-image-2"
    n: int | None = None

    dialect = Dialect.OPENAI_IMAGES
    content_type = "application/json"
    stream = False
    asked = Asked()

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        image = {"b64_json": base64.b64encode(_PIXEL).decode()}
        whole: dict[str, object] = {"created": _CREATED, "data": [image] * (self.n or 1), "output_format": "png"}
        if usage:
            whole["usage"] = {
                "input_tokens": answer.input_tokens,
                "input_tokens_details": {"text_tokens": answer.input_tokens, "image_tokens": 0},
                "output_tokens": answer.output_tokens,
                "total_tokens": answer.input_tokens + answer.output_tokens,
            }
        return body(msgspec.json.encode(whole))


class TranscriptionRequest(Struct):
    model: str
    response_format: str = "json"
    recording: bytes = b""

    dialect = Dialect.OPENAI_TRANSCRIPTIONS
    stream = False
    asked = Asked()

    @classmethod
    def read(cls, received: Received) -> TranscriptionRequest:
        """Raises :class:`msgspec.ValidationError` where the form lacks what it must have."""
        head = f"content-type: {received.headers.get('content-type', '')}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + received.body)
        fields = {str(part.get_param("name", "", "content-disposition")): _content(part) for part in _parts(form)}
        if "model" not in fields or "file" not in fields:
            raise msgspec.ValidationError("the form has no model, or no file")
        return cls(fields["model"].decode(), fields.get("response_format", b"json").decode(), fields["file"])

    @property
    def content_type(self) -> str:
        return "application/json" if self.response_format.endswith("json") else "text/plain; charset=utf-8"

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        text = "".join(answer.text)
        match self.response_format:
            case "text":
                return body(f"{text}\n".encode())
            case "srt":
                return body(f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n".encode())
            case "vtt":
                return body(f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n\n".encode())
        whole: dict[str, object] = {"text": text}
        if self.response_format == "verbose_json":
            whole |= {"task": "transcribe", "language": "english", "duration": 1.0, "segments": []}
            whole["usage"] = {"type": "duration", "seconds": 1}
        elif usage:
            total = answer.input_tokens + answer.output_tokens
            counts = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens, "total_tokens": total}
            whole["usage"] = {"type": "tokens", **counts}
        return body(msgspec.json.encode(whole))


def _parts(form: Message) -> list[Message]:
    payload = form.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _content(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
