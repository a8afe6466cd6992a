"""Google's Gemini API as an upstream speaks it: JSON bodies, streams of chunks that end without a last word, and batches of embeddings.

Source: the public API reference, "Generating content" and "Embeddings", and the official SDK's types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct, field

from trimtab.core.messages import Dialect
from trimtab.lab.upstream.answers import Answer, Piece, body
from trimtab.lab.upstream.obliging import Asked
from trimtab.lab.upstream.operations.embeddings import vector_of
from trimtab.wire.body import Json

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
_SIGNATURE = "bGFiLXNpZ25hdHVyZQ=="
_PATH = re.compile(r"/models/([^/]+):(generateContent|streamGenerateContent|embedContent|batchEmbedContents)$")


class _Camel(Struct, rename="camel"):
    """Names as Python has them, on the wire as Java has them."""


class Function(_Camel):
    name: str
    parameters_json_schema: Raw = Raw()


class Tool(_Camel):
    function_declarations: list[Function] = field(default_factory=list)


class Content(_Camel):
    parts: list[dict[str, Raw]]


class Config(_Camel):
    response_json_schema: Raw = Raw()


class GeminiRequest(_Camel):
    """The fields of a request that change what comes back. ``model`` and ``stream`` are the path's."""

    contents: list[Content]
    tools: list[Tool] = field(default_factory=list)
    generation_config: Config = field(default_factory=Config)
    model: str = field(default="", name="(model)")
    stream: bool = field(default=False, name="(stream)")

    dialect = Dialect.GEMINI
    content_type = "application/json"

    @property
    def asked(self) -> Asked:
        functions = [function for tool in self.tools for function in tool.function_declarations]
        return Asked(
            tools=tuple((function.name, function.parameters_json_schema) for function in functions),
            schema=self.generation_config.response_json_schema if bytes(self.generation_config.response_json_schema) else None,
            settled=bool(self.contents) and any("functionResponse" in part for part in self.contents[-1].parts),
        )

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        """Without ``usage`` the upstream keeps its token counts to itself."""
        if self.stream:
            return list(self._chunks(answer, id, usage=usage))
        spoken: list[Json] = [{"text": "".join(answer.text)}] if answer.text else []
        parts = [*_thoughts(answer), *spoken, *_calls(answer)]
        return body(self._answer(id, parts, answer if usage else None, _FINISH[answer.finish]))

    def _chunks(self, answer: Answer, id: str, *, usage: bool) -> Iterator[Piece]:
        spoken: list[Json] = [{"text": text} for text in answer.text]
        for part in (*_thoughts(answer), *spoken, *_calls(answer)):
            yield Piece("content", self._answer(id, [part], None, None))
        yield Piece("finish", self._answer(id, [{"text": ""}], answer if usage else None, _FINISH[answer.finish]))

    def _answer(self, id: str, parts: list[Json], counted: Answer | None, finish: str | None) -> bytes:
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish is not None:
            candidate["finishReason"] = finish
        whole: Json = {"candidates": [candidate], "modelVersion": self.model, "responseId": id}
        if counted is not None:
            figures = {"promptTokenCount": counted.input_tokens, "candidatesTokenCount": counted.output_tokens}
            whole["usageMetadata"] = {**figures, "totalTokenCount": counted.input_tokens + counted.output_tokens}
        return msgspec.json.encode(whole)


def _thoughts(answer: Answer) -> list[Json]:
    return [{"text": answer.thinking, "thought": True}] if answer.thinking else []


def _calls(answer: Answer) -> list[Json]:
    """With ids, as Gemini 3 writes them; the first with the signature of what was thought before it."""
    calls: list[Json] = [
        {"functionCall": {"id": f"lab{index}", "name": call.name, "args": Raw(call.arguments.encode())}}
        for index, call in enumerate(answer.calls)
    ]
    if calls and answer.thinking:
        calls[0]["thoughtSignature"] = _SIGNATURE
    return calls


class GeminiEmbedRequest(_Camel):
    """``embedContent`` is a batch of one here, but for the shape of its answer."""

    requests: list[Json]
    model: str = field(default="", name="(model)")
    is_single: bool = field(default=False, name="(single)")

    dialect = Dialect.GEMINI_EMBED
    content_type = "application/json"
    stream = False
    asked = Asked()

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        vectors = [{"values": vector_of(_text(request), _width(request))} for request in self.requests]
        return body(msgspec.json.encode({"embedding": vectors[0]} if self.is_single else {"embeddings": vectors}))


def _text(request: Json) -> str | bytes:
    """A text alone, or whatever else is to be embedded, by its JSON."""
    match request["content"]:
        case {"parts": [{"text": str(text)}]}:
            return text
        case content:
            return msgspec.json.encode(content)


def _width(request: Json) -> int | None:
    width = request.get("outputDimensionality")
    return width if isinstance(width, int) else None


def gemini_at(path: str, data: bytes) -> GeminiRequest | GeminiEmbedRequest | None:
    """``None`` for a path of another protocol. Raises :class:`msgspec.DecodeError` for a body that is none of its method's."""
    found = _PATH.search(path)
    if found is None:
        return None
    model, method = found.groups()
    if method.endswith("enerateContent"):
        request = msgspec.json.decode(data, type=GeminiRequest)
        return msgspec.structs.replace(request, model=model, stream=method.startswith("stream"))
    if method == "embedContent":
        return GeminiEmbedRequest([msgspec.json.decode(data, type=Json)], model, is_single=True)
    return msgspec.structs.replace(msgspec.json.decode(data, type=GeminiEmbedRequest), model=model)


def error(message: str, *, code: int, status: str) -> bytes:
    return msgspec.json.encode({"error": {"code": code, "message": message, "status": status}})
