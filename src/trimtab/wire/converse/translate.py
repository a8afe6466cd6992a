"""Converse: ``core.Request`` to a body for an upstream, with the names of what it cannot say.

The protocol wants one system prompt ahead of everything, turns of two roles that alternate, no blank text, bytes and no URLs, and the
tools of every call that a conversation holds. Where only Anthropic's models know a field, it stands in
``additionalModelRequestFields`` under Anthropic's own name (user guide, "Inference request parameters": ``top_k``; "Extended thinking":
``thinking``), and is lost on all others.
"""

from __future__ import annotations

import base64
import re

import msgspec
from msgspec import Raw

from trimtab.core.messages import (
    Audio,
    CacheHint,
    Dialect,
    Document,
    Image,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from trimtab.wire.body import Json, Losses, json_text, tool_id
from trimtab.wire.common.signatures import is_for
from trimtab.wire.common.translation import NO_PARAMETERS, arguments_or_text, split_system

_IMAGE_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_AUDIO_FORMATS = frozenset({"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "m4a", "mpeg", "mpga", "pcm", "webm"})
_DOCUMENT_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_LONGEST_ID = 64
_LONGEST_NAME = 180
_FOREIGN_TO_NAME = re.compile(r"[^A-Za-z0-9\-()\[\]]+")


def encode_request(request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
    return _Translation(request, model).body()


class _Translation:
    """One request on its way out."""

    def __init__(self, request: Request, model: str) -> None:
        self._request = request
        self._is_anthropic = "anthropic." in model
        self._losses = Losses(request.extras)
        self._names: set[str] = set()

    def body(self) -> tuple[bytes, tuple[str, ...]]:
        body: Json = {}
        system, turns = split_system(self._request, self._losses, self._prompt)
        if system:
            body["system"] = system
        body["messages"] = self._turns(turns)
        sections = {
            "inferenceConfig": self._inference(),
            "toolConfig": self._tools(),
            "outputConfig": self._output(),
            "additionalModelRequestFields": self._extra_fields(),
        }
        body.update({name: section for name, section in sections.items() if section})
        if self._is_anthropic and self._request.sampling.stop:
            body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
        self._note_uncarried()
        return msgspec.json.encode(body), self._losses.names()

    # -- messages

    def _prompt(self, part: Part, at: str) -> list[Json] | None:
        return self._text(part.text, at, part.cache) if isinstance(part, Text) else None

    def _turns(self, messages: list[tuple[str, Message]]) -> list[Json]:
        turns: list[tuple[str, list[Json]]] = []
        for at, message in messages:
            role = "assistant" if message.role == "assistant" else "user"
            blocks = [
                block for number, part in enumerate(message.parts) for block in self._blocks(part, f"{at}.content.{number}", role)
            ]
            if not blocks:
                continue
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            else:
                turns.append((role, blocks))
        return [{"role": role, "content": blocks} for role, blocks in turns]

    def _blocks(self, part: Part, at: str, role: str) -> list[Json]:
        match part:
            case Text(text=text, cache=cache):
                return self._text(text, at, cache)
            case Refusal(text=text):
                return self._text(text, at)
            case ToolCall(cache=cache):
                return [self._tool_use(part, at), *_cache_point(cache)]
            case ToolResult(cache=cache):
                return [self._tool_result(part, at), *_cache_point(cache)]
            case Image(cache=cache) | Document(cache=cache) if role == "user":
                block = self._media(part, at)
                return [block, *_cache_point(cache)] if block else []
            case Audio(data=data, format=format) if role == "user" and format in _AUDIO_FORMATS:
                return [{"audio": {"format": format, "source": {"bytes": data}}}]
            case Reasoning() if self._is_anthropic and is_for(part, Dialect.ANTHROPIC, own=False):
                return [_reasoning(part)]
            case _:
                self._losses.add(at)
                return []

    def _text(self, text: str, at: str, cache: CacheHint | None = None) -> list[Json]:
        """The protocol refuses a text that is blank."""
        if text.strip():
            return [{"text": text}, *_cache_point(cache)]
        if text:
            self._losses.add(at)
        return []

    def _tool_use(self, call: ToolCall, at: str) -> Json:
        return {"toolUse": {"toolUseId": _tool_id(call.id), "name": call.name, "input": arguments_or_text(call, at, self._losses)}}

    def _tool_result(self, result: ToolResult, at: str) -> Json:
        content: list[Json] = []
        for number, part in enumerate(result.parts):
            where = f"{at}.content.{number}"
            if part.cache is not None:
                self._losses.add(f"{where}.cache_control")
            if isinstance(part, Text):
                content.append({"text": part.text})
            elif (block := self._media(part, where)) is not None:
                content.append(block)
        # Only Amazon's and Anthropic's models know ``status``, and success is what the others take for granted.
        status: Json = {"status": "error"} if result.is_error else {}
        return {"toolResult": {"toolUseId": _tool_id(result.id), "content": content, **status}}

    def _media(self, part: Image | Document, at: str) -> Json | None:
        return self._image(part, at) if isinstance(part, Image) else self._document(part, at)

    def _image(self, image: Image, at: str) -> Json | None:
        format = _IMAGE_FORMATS.get((image.media_type or "image/png").lower())
        if image.data is None or format is None:
            self._losses.add(at)
            return None
        if image.detail not in (None, "auto"):
            self._losses.add(f"{at}.image_url.detail")
        return {"image": {"format": format, "source": {"bytes": image.data}}}

    def _document(self, document: Document, at: str) -> Json | None:
        if document.data is not None:
            format = _DOCUMENT_FORMATS.get((document.media_type or "application/pdf").lower())
            data = document.data
        else:
            format = None if document.text is None else "txt"
            data = base64.b64encode((document.text or "").encode()).decode()
        if format is None or not data:
            self._losses.add(at)
            return None
        name = self._name(document.name)
        if document.name not in (None, name):
            self._losses.add(f"{at}.title")
        return {"document": {"format": format, "name": name, "source": {"bytes": data}}}

    def _name(self, wanted: str | None) -> str:
        """A name in the letters that are allowed, that no other document of the request has."""
        name = wish = " ".join(_FOREIGN_TO_NAME.sub(" ", wanted or "").split())[:_LONGEST_NAME].strip() or "Document"
        number = 1
        while name in self._names:
            number += 1
            name = f"{wish} {number}"
        self._names.add(name)
        return name

    # -- tools

    def _tools(self) -> Json:
        request = self._request
        used = dict.fromkeys(part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall))
        choice = request.tool_choice
        if choice is not None and choice.mode == "none":
            # There is no such wish here. Without tools it comes true, but a conversation that holds calls is refused without them.
            if not used:
                return {}
            self._losses.add("tool_choice")
            choice = None
        tools: list[Json] = []
        for number, tool in enumerate(request.tools):
            if tool.builtin is None:
                tools += [_tool(tool), *_cache_point(tool.cache)]
            else:
                self._losses.add(f"tools.{number}")
        if not tools and used:
            self._losses.add("tools")
            tools = [_tool(Tool(name)) for name in used]
        if not tools:
            return {}
        config: Json = {"tools": tools}
        if choice is not None:
            config["toolChoice"] = _choice(choice.mode, choice.name)
        if request.parallel_tool_calls is False:
            self._losses.add("parallel_tool_calls")
        return config

    # -- the rest

    def _inference(self) -> Json:
        sampling = self._request.sampling
        config: Json = {}
        if sampling.max_tokens is not None:
            config["maxTokens"] = sampling.max_tokens
        if sampling.temperature is not None:
            temperature = config["temperature"] = min(1.0, max(0.0, sampling.temperature))
            self._losses.add_where(temperature=temperature != sampling.temperature)
        if sampling.top_p is not None:
            config["topP"] = sampling.top_p
        if stops := [stop for stop in sampling.stop if stop]:
            config["stopSequences"] = stops
        return config

    def _output(self) -> Json:
        config: Json = {}
        effort = self._request.sampling.reasoning_effort
        if effort is not None:
            if effort in _EFFORTS:
                config["effort"] = effort
            else:
                self._losses.add("reasoning_effort")
        match self._request.output:
            case None | OutputFormat(kind="text"):
                pass
            case OutputFormat(kind="json_schema", schema=Raw() as schema, name=name, strict=strict):
                definition: Json = {"schema": json_text(schema)}  # a string that holds JSON
                if name is not None:
                    definition["name"] = name
                config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": definition}}
                if strict is False:
                    self._losses.add("response_format.json_schema.strict")
            case _:
                self._losses.add("response_format")
        return config

    def _extra_fields(self) -> Json:
        sampling = self._request.sampling
        if not self._is_anthropic:
            self._losses.add_where(top_k=sampling.top_k is not None)
            if sampling.thinking_budget is not None:
                self._losses.add("thinking.budget_tokens")
            return {}
        fields: Json = {}
        if sampling.top_k is not None:
            fields["top_k"] = sampling.top_k
        if sampling.thinking_budget is not None:
            fields["thinking"] = {"type": "enabled", "budget_tokens": sampling.thinking_budget}
        return fields

    def _note_uncarried(self) -> None:
        sampling = self._request.sampling
        self._losses.add_where(
            user=self._request.user is not None,
            n=sampling.n not in (None, 1),
            seed=sampling.seed is not None,
            presence_penalty=bool(sampling.presence_penalty),
            frequency_penalty=bool(sampling.frequency_penalty),
            logit_bias=sampling.logit_bias is not None,
            logprobs=bool(sampling.logprobs),
            top_logprobs=bool(sampling.top_logprobs),
        )


def _cache_point(hint: CacheHint | None) -> list[Json]:
    if hint is None:
        return []
    return [{"cachePoint": {"type": "default"} if hint.ttl is None else {"type": "default", "ttl": hint.ttl}}]


def _reasoning(part: Reasoning) -> Json:
    if part.redacted is not None:
        return {"reasoningContent": {"redactedContent": part.redacted}}
    return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}


def _tool(tool: Tool) -> Json:
    schema: object = NO_PARAMETERS if tool.parameters is None else tool.parameters
    spec: Json = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return {"toolSpec": spec}


def _choice(mode: str, name: str | None) -> Json:
    match mode:
        case "tool":
            return {"tool": {"name": name}}
        case "required":
            return {"any": {}}
        case _:
            return {"auto": {}}


def _tool_id(id: str) -> str:
    """At most 64 letters; two that differ go on differing."""
    id = tool_id(id)
    return id if len(id) <= _LONGEST_ID else f"{id[:40]}{tool_id(id + '.')[-9:]}"
