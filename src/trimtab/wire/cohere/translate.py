"""Cohere v2 chat: ``core.Request`` to a body for an upstream, with the names of what it cannot say.

The bounds of the figures are those of the API reference: what lies outside is brought to the nearest that is taken, and named.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from trimtab.core.messages import (
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
from trimtab.wire.body import Json, Losses, message_paths
from trimtab.wire.common.translation import NO_PARAMETERS, Wire, apart, as_content, carried_tools, function_call, image_url

_MOST_STOPS = 5
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def encode_request(request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
    return _Translation(request).body(model)


class _Translation:
    """One request on its way out. ``_own`` is true when it came in this dialect: then it may hold what only this dialect knows."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._own = request.dialect is Dialect.COHERE
        self._losses = Losses(() if self._own else request.extras)

    def body(self, model: str) -> tuple[bytes, tuple[str, ...]]:
        request = self._request
        body: Json = {"model": model, "messages": self._messages()}
        self._tools(body)
        if request.output is not None:
            body["response_format"] = self._response_format(request.output)
        self._sampling(body)
        self._bounded(body)
        if request.user is not None:
            self._losses.add("user")
        if request.stream:
            body["stream"] = True
        return msgspec.json.encode(body), self._losses.names()

    # -- messages

    def _messages(self) -> list[Json]:
        out: list[Json] = []
        for message, at in zip(self._request.messages, message_paths(self._request), strict=True):
            if message.name is not None:
                self._losses.add(f"{at}.name")
            out += self._message(message, at if at == "system" else f"{at}.content")
        return out

    def _message(self, message: Message, at: str) -> list[Json]:
        """One message can become several: a tool's result is one of its own here, and what it cannot hold goes into the next."""
        results, beside = apart(message, at, self._losses, self._tool_result)
        if not beside and results:
            return results
        if message.role == "assistant":
            return [*results, self._assistant(beside)]
        role = "user" if message.role == "tool" else message.role
        blocks = [block for here, part in beside if (block := self._block(part, here, role)) is not None]
        return [*results, {"role": role, "content": as_content(blocks)}]

    def _tool_result(self, result: ToolResult, at: str, beside: list[tuple[str, Part]]) -> Json:
        if result.is_error:
            self._losses.add(f"{at}.is_error")
        blocks: list[Wire] = []
        for part in result.parts:
            match part:
                case Text(text=text):
                    blocks.append({"type": "text", "text": text})
                case Document(data=None, text=str(text)):
                    blocks.append({"type": "document", "document": _document(part, text)})
                case _:
                    # Shown right behind the results, by the user.
                    beside.append((at, part))
        return {"role": "tool", "tool_call_id": result.id, "content": as_content(blocks)}

    def _assistant(self, parts: list[tuple[str, Part]]) -> Json:
        """A plan is the thinking right in front of the first call; all other thinking is content."""
        blocks: list[Wire] = []
        calls: list[Wire] = []
        message: Json = {"role": "assistant"}
        before: Part | None = None
        for at, part in parts:
            match part:
                case ToolCall():
                    if not calls and isinstance(before, Reasoning) and self._own:
                        blocks.pop()
                        message["tool_plan"] = before.text
                    calls.append(function_call(part))
                case Reasoning(text=text) if self._own:
                    blocks.append({"type": "thinking", "thinking": text})
                case _:
                    block = self._block(part, at, "assistant")
                    if block is not None:
                        blocks.append(block)
            before = part
        if blocks or not calls:
            message["content"] = as_content(blocks)
        if calls:
            message["tool_calls"] = calls
        return message

    def _block(self, part: Part, at: str, role: str) -> Wire | None:
        match part:
            case Text(text=text) | Refusal(text=text):
                return {"type": "text", "text": text}
            case Image() if role == "user":
                return image_url(part)
            case Document(data=None, text=str(text)):
                if part.name is not None:
                    self._losses.add(f"{at}.title")
                return {"type": "text", "text": text}
            case Opaque(raw=raw) if self._own:
                return raw
            case _:
                self._losses.add(at)
                return None

    # -- the rest

    def _tools(self, body: Json) -> None:
        request = self._request
        tools = carried_tools(request, self._losses, own=self._own)
        self._choose(body, tools)
        if not tools:
            return
        body["tools"] = [_tool(tool) for tool in tools]
        if request.parallel_tool_calls is False:
            self._losses.add("parallel_tool_calls")
        # One switch for all tools: on where every one of them asks for it.
        wishes = {tool.strict for tool in tools if tool.builtin is None}
        if len(wishes) == 1 and (strict := wishes.pop()) is not None:
            body["strict_tools"] = strict
        else:
            for number, tool in enumerate(request.tools):
                if tool.strict:
                    self._losses.add(f"tools.{number}.strict")

    def _choose(self, body: Json, tools: list[Tool]) -> None:
        choice = self._request.tool_choice
        if choice is None or choice.mode == "auto" or not tools:
            return
        if choice.mode == "tool":
            # One tool cannot be demanded by name, but it can be the only one there is.
            named = [tool for tool in tools if tool.name == choice.name]
            if not named:
                self._losses.add("tool_choice")
                return
            tools[:] = named
        body["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"

    def _response_format(self, output: OutputFormat) -> Json:
        if output.kind != "json_schema":
            return {"type": output.kind}
        if output.name is not None:
            self._losses.add("response_format.json_schema.name")
        if output.strict is False:
            self._losses.add("response_format.json_schema.strict")
        wire: Json = {"type": "json_object"}
        if output.schema is not None:
            wire["json_schema"] = output.schema
        return wire

    def _sampling(self, body: Json) -> None:
        sampling = self._request.sampling
        for name in ("max_tokens", "temperature", "seed"):
            value = getattr(sampling, name)
            if value is not None:
                body[name] = value
        if sampling.stop:
            body["stop_sequences"] = list(sampling.stop if self._own else sampling.stop[:_MOST_STOPS])
        if sampling.thinking_budget is not None:
            body["thinking"] = {"type": "enabled", "token_budget": sampling.thinking_budget}
        elif sampling.reasoning_effort == "none":
            body["thinking"] = {"type": "disabled"}
        elif sampling.reasoning_effort is not None:
            self._losses.add("reasoning_effort")
        if sampling.logprobs is not None and self._own:
            body["logprobs"] = sampling.logprobs
        self._losses.add_where(
            stop=not self._own and len(sampling.stop) > _MOST_STOPS,
            n=sampling.n not in (None, 1),
            logit_bias=sampling.logit_bias is not None,
            # They come with token ids, for pieces of text of several tokens: not what another protocol's client can read.
            logprobs=bool(sampling.logprobs) and not self._own,
            top_logprobs=bool(sampling.top_logprobs),
        )

    def _bounded(self, body: Json) -> None:
        """The client's own figures go out as they are; those of another protocol within the bounds of this one."""
        sampling = self._request.sampling
        for name, key, value, least, most in (
            ("top_p", "p", sampling.top_p, 0.01, 0.99),
            ("top_k", "k", sampling.top_k, 0, 500),
            ("frequency_penalty", "frequency_penalty", sampling.frequency_penalty, 0.0, 1.0),
            ("presence_penalty", "presence_penalty", sampling.presence_penalty, 0.0, 1.0),
        ):
            if value is None:
                continue
            body[key] = value if self._own else min(most, max(least, value))
            if body[key] != value:
                self._losses.add(name)


def _document(part: Document, text: str) -> Json:
    """``data`` is an object of any keys. A text that is one already is taken for it."""
    data: object = {"text": text}
    if part.media_type == "application/json":
        try:
            _OBJECT.decode(text)
            data = Raw(text)
        except (msgspec.DecodeError, RecursionError):
            data = {"text": text}
    return {"data": data} if part.name is None else {"data": data, "id": part.name}


def _tool(tool: Tool) -> Wire:
    if tool.raw is not None:
        return tool.raw
    parameters: object = NO_PARAMETERS if tool.parameters is None else tool.parameters
    function: Json = {"name": tool.name, "parameters": parameters}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}
