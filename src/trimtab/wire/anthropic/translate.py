"""Anthropic Messages: ``core.Request`` to a body for an upstream, with the names of what it cannot say.

The protocol wants one system prompt ahead of everything, turns of two roles, all results of a turn's tool calls in the next user turn, and
a limit of output tokens; a client that set none gets ``DEFAULT_MAX_TOKENS``.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from trimtab.core.messages import (
    CacheHint,
    Dialect,
    Document,
    Image,
    Message,
    Opaque,
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
from trimtab.wire.body import Json, Losses, tool_id
from trimtab.wire.common.signatures import is_for
from trimtab.wire.common.translation import NO_PARAMETERS, Wire, arguments_or_text, split_system

DEFAULT_MAX_TOKENS = 4096


_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})


def encode_request(request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
    return _Translation(request).body(model)


class _Translation:
    """One request on its way out. ``_own`` is true when it came in this dialect: then it may hold what only this dialect knows."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._own = request.dialect is Dialect.ANTHROPIC
        self._losses = Losses(() if self._own else request.extras)

    def body(self, model: str) -> tuple[bytes, tuple[str, ...]]:
        request = self._request
        limit = request.sampling.max_tokens
        body: Json = {"model": model, "max_tokens": DEFAULT_MAX_TOKENS if limit is None else limit}
        system, turns = split_system(request, self._losses, self._prompt, anywhere=self._own)
        if system:
            body["system"] = _content(system)
        body["messages"] = self._turns(turns)
        self._tools(body)
        config = self._output_config()
        if config:
            body["output_config"] = config
        self._sampling(body)
        if request.user is not None:
            body["metadata"] = {"user_id": request.user}
        if request.stream:
            body["stream"] = True
        return msgspec.json.encode(body), self._losses.names()

    # -- messages

    def _prompt(self, part: Part, at: str) -> list[Wire] | None:
        if not isinstance(part, Text):
            return None
        return [_text(part)] if part.text else []

    def _turns(self, messages: list[tuple[str, Message]]) -> list[Json]:
        turns: list[tuple[str, list[Wire]]] = []
        for at, message in messages:
            role = "user" if message.role == "tool" else message.role
            blocks = [
                block
                for number, part in enumerate(message.parts)
                if (block := self._block(part, f"{at}.content.{number}")) is not None
            ]
            if not blocks:
                continue
            if not self._own and turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            else:
                turns.append((role, blocks))
        return [{"role": role, "content": _content(blocks)} for role, blocks in turns]

    def _block(self, part: Part, at: str) -> Wire | None:
        match part:
            case Text():
                # The protocol refuses an empty text block.
                return _text(part) if part.text else None
            case Refusal(text=text):
                return {"type": "text", "text": text} if text else None
            case ToolCall():
                return self._tool_use(part, at)
            case ToolResult():
                return self._tool_result(part, at)
            case Image():
                return self._image(part, at)
            case Document():
                return self._document(part, at)
            case Reasoning() if is_for(part, Dialect.ANTHROPIC, own=self._own):
                return _reasoning(part)
            case Opaque(raw=raw) if self._own:
                return raw
            case _:
                self._losses.add(at)
                return None

    def _tool_use(self, call: ToolCall, at: str) -> Wire:
        block: Json = {
            "type": "tool_use",
            "id": tool_id(call.id),
            "name": call.name,
            "input": arguments_or_text(call, at, self._losses),
        }
        return _cached(block, call.cache)

    def _tool_result(self, result: ToolResult, at: str) -> Wire:
        block: Json = {"type": "tool_result", "tool_use_id": tool_id(result.id)}
        inner = [
            wire for number, part in enumerate(result.parts) if (wire := self._block(part, f"{at}.content.{number}")) is not None
        ]
        if inner:
            block["content"] = _content(inner)
        if result.is_error:
            block["is_error"] = True
        return _cached(block, result.cache)

    def _image(self, image: Image, at: str) -> Wire:
        if image.detail not in (None, "auto"):
            self._losses.add(f"{at}.image_url.detail")
        if image.data is not None:
            source: Json = {"type": "base64", "media_type": image.media_type or "image/png", "data": image.data}
        else:
            source = {"type": "url", "url": image.url or ""}
        return _cached({"type": "image", "source": source}, image.cache)

    def _document(self, document: Document, at: str) -> Wire | None:
        source: Json
        if document.data is not None:
            source = {"type": "base64", "media_type": document.media_type or "application/pdf", "data": document.data}
        elif document.text is not None:
            source = {"type": "text", "media_type": "text/plain", "data": document.text}
        elif document.url is not None:
            source = {"type": "url", "url": document.url}
        else:
            self._losses.add(at)
            return None
        block: Json = {"type": "document", "source": source}
        if document.name is not None:
            block["title"] = document.name
        return _cached(block, document.cache)

    # -- the rest

    def _tools(self, body: Json) -> None:
        request = self._request
        tools: list[Wire] = []
        for number, tool in enumerate(request.tools):
            if tool.builtin is None:
                tools.append(_tool(tool))
            elif self._own and tool.raw is not None:
                tools.append(tool.raw)
            else:
                self._losses.add(f"tools.{number}")
        if not tools:
            return
        body["tools"] = tools
        choice: Json = {}
        match request.tool_choice:
            case None:
                choice = {"type": "auto"} if request.parallel_tool_calls is not None else {}
            case wish if wish.mode == "tool":
                choice = {"type": "tool", "name": wish.name}
            case wish:
                choice = {"type": "any" if wish.mode == "required" else wish.mode}
        if request.parallel_tool_calls is not None and choice.get("type") != "none":
            choice["disable_parallel_tool_use"] = not request.parallel_tool_calls
        if choice:
            body["tool_choice"] = choice

    def _output_config(self) -> Json:
        config: Json = {}
        effort = self._request.sampling.reasoning_effort
        if effort is not None:
            if effort in _EFFORTS or self._own:
                config["effort"] = effort
            else:
                self._losses.add("reasoning_effort")
        match self._request.output:
            case None | OutputFormat(kind="text"):
                pass
            case OutputFormat(kind="json_schema", schema=Raw() as schema) as output:
                config["format"] = {"type": "json_schema", "schema": schema}
                if output.name is not None:
                    self._losses.add("response_format.json_schema.name")
                if output.strict is False:
                    self._losses.add("response_format.json_schema.strict")
            case _:
                self._losses.add("response_format")
        return config

    def _sampling(self, body: Json) -> None:
        sampling = self._request.sampling
        if sampling.thinking_budget is not None:
            body["thinking"] = {"type": "enabled", "budget_tokens": sampling.thinking_budget}
        if sampling.temperature is not None:
            body["temperature"] = min(1.0, max(0.0, sampling.temperature))
            if body["temperature"] != sampling.temperature:
                self._losses.add("temperature")
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        if sampling.top_k is not None:
            body["top_k"] = sampling.top_k
        if sampling.stop:
            body["stop_sequences"] = list(sampling.stop)
        self._losses.add_where(
            n=sampling.n not in (None, 1),
            seed=sampling.seed is not None,
            presence_penalty=bool(sampling.presence_penalty),
            frequency_penalty=bool(sampling.frequency_penalty),
            logit_bias=sampling.logit_bias is not None,
            logprobs=bool(sampling.logprobs),
            top_logprobs=bool(sampling.top_logprobs),
        )


def _cached(block: Json, hint: CacheHint | None) -> Json:
    if hint is not None:
        block["cache_control"] = {"type": "ephemeral"} if hint.ttl is None else {"type": "ephemeral", "ttl": hint.ttl}
    return block


def _text(part: Text) -> Json:
    return _cached({"type": "text", "text": part.text}, part.cache)


def _reasoning(part: Reasoning) -> Json:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}


def _tool(tool: Tool) -> Json:
    schema: object = NO_PARAMETERS if tool.parameters is None else tool.parameters
    block: Json = {"name": tool.name, "input_schema": schema}
    if tool.description is not None:
        block["description"] = tool.description
    if tool.strict is not None:
        block["strict"] = tool.strict
    return _cached(block, tool.cache)


def _content(blocks: list[Wire]) -> object:
    """A string where that says the same."""
    if len(blocks) == 1 and isinstance(blocks[0], dict) and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks
