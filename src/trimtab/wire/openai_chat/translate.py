"""OpenAI Chat Completions: ``core.Request`` to a body for an upstream, with the names of what it cannot say.

For a request that came in this dialect the result says what the client's own body says; that is the oracle of forwarding.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from trimtab.core.messages import (
    Audio,
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
    ToolChoice,
    ToolResult,
)
from trimtab.wire.body import Json, Losses, as_raw, encode_data_url, message_paths
from trimtab.wire.common.translation import Wire, apart, as_content, carried_tools, function_call, image_url

_OWN_SAMPLING = (
    "temperature",
    "top_p",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)


def encode_request(request: Request, model: str, max_tokens_field: str) -> tuple[bytes, tuple[str, ...]]:
    return _Translation(request).body(model, max_tokens_field)


class _Translation:
    """One request on its way out. ``_own`` is true when it came in this dialect: then it may hold what only this dialect knows."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._own = request.dialect is Dialect.OPENAI_CHAT
        self._losses = Losses(() if self._own else request.extras)

    def body(self, model: str, max_tokens_field: str) -> tuple[bytes, tuple[str, ...]]:
        request = self._request
        body: Json = {"model": model, "messages": self._messages()}
        tools = carried_tools(request, self._losses, own=self._own)
        if tools:
            body["tools"] = [_tool(tool) for tool in tools]
            if request.parallel_tool_calls is not None:
                body["parallel_tool_calls"] = request.parallel_tool_calls
            if request.tool_choice is not None:
                body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.output is not None:
            body["response_format"] = _response_format(request.output)
        if request.sampling.max_tokens is not None:
            body[max_tokens_field] = request.sampling.max_tokens
        self._sampling(body)
        if request.user is not None:
            body["user"] = request.user
        if request.stream:
            body["stream"] = True
            if request.include_usage:
                body["stream_options"] = {"include_usage": True}
        return msgspec.json.encode(body), self._losses.names()

    def _sampling(self, body: Json) -> None:
        sampling = self._request.sampling
        for name in _OWN_SAMPLING:
            value = getattr(sampling, name)
            if value is not None:
                body[name] = value
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.reasoning_effort is not None:
            body["reasoning_effort"] = sampling.reasoning_effort
        if sampling.top_k is not None:
            if self._own:
                body["top_k"] = sampling.top_k
            else:
                self._losses.add("top_k")
        if sampling.thinking_budget is not None:
            self._losses.add("thinking.budget_tokens")

    def _messages(self) -> list[Json]:
        out: list[Json] = []
        for message, at in zip(self._request.messages, message_paths(self._request), strict=True):
            out += self._message(message, at if at == "system" else f"{at}.content")
        return out

    def _message(self, message: Message, at: str) -> list[Json]:
        """One message can become several: a tool's result is one of its own here, and what it cannot hold goes into the next."""
        results, beside = apart(message, at, self._losses, self._tool_result)
        if not beside and results:
            return results
        role = "user" if message.role == "tool" else message.role
        spoken = self._assistant(beside) if role == "assistant" else self._spoken(role, beside)
        if not self._own and spoken["content"] == "" and "tool_calls" not in spoken and _holds_no_text(message):
            # Of thinking alone, or of what a provider's own tool said, nothing is left here.
            return results
        if message.name is not None:
            spoken["name"] = message.name
        return [*results, spoken]

    def _tool_result(self, result: ToolResult, at: str, beside: list[tuple[str, Part]]) -> Json:
        if result.is_error:
            self._losses.add(f"{at}.is_error")
        texts: list[Part] = [part for part in result.parts if isinstance(part, Text)]
        # Tool messages hold text alone. An image among the results is shown right behind them, by the user.
        beside += [(at, part) for part in result.parts if not isinstance(part, Text)]
        return {"role": "tool", "tool_call_id": result.id, "content": as_content([_text(part) for part in texts])}

    def _spoken(self, role: str, parts: list[tuple[str, Part]]) -> Json:
        content = [wire for at, part in parts if (wire := self._part(part, at)) is not None]
        return {"role": role, "content": as_content(content)}

    def _assistant(self, parts: list[tuple[str, Part]]) -> Json:
        content: list[Wire] = []
        calls: list[Wire] = []
        message: Json = {"role": "assistant"}
        for at, part in parts:
            match part:
                case ToolCall():
                    calls.append(function_call(part))
                case Opaque(kind="custom", raw=raw) if self._own:
                    calls.append(raw)
                case Reasoning(text=text) if self._own:
                    message["reasoning_content"] = text
                case _:
                    wire = self._part(part, at)
                    if wire is not None:
                        content.append(wire)
        message["content"] = as_content(content) if content else None
        if calls:
            message["tool_calls"] = calls
        elif not content:
            message["content"] = ""
        return message

    def _part(self, part: Part, at: str) -> Wire | None:
        match part:
            case Text():
                return _text(part)
            case Refusal(text=text):
                return {"type": "refusal", "refusal": text}
            case Image():
                return image_url(part)
            case Audio(data=data, format=format):
                return {"type": "input_audio", "input_audio": {"data": data, "format": format}}
            case Document():
                return self._document(part, at)
            case Opaque(raw=raw) if self._own:
                return raw
            case _:
                self._losses.add(at)
                return None

    def _document(self, part: Document, at: str) -> Json | None:
        if part.data is None:
            if part.text is None:
                self._losses.add(at)
                return None
            if part.name is not None:
                self._losses.add(f"{at}.title")
            return {"type": "text", "text": part.text}
        data = part.data if part.media_type is None else encode_data_url(part.media_type, part.data)
        file: Json = {"file_data": data}
        # The protocol wants a name with inline data.
        file["filename"] = part.name if part.name is not None or self._own else "document.pdf"
        return {"type": "file", "file": {key: value for key, value in file.items() if value is not None}}


def _holds_no_text(message: Message) -> bool:
    return bool(message.parts) and not any(isinstance(part, Text | Refusal) for part in message.parts)


def _text(part: Part) -> Json:
    return {"type": "text", "text": part.text if isinstance(part, Text) else ""}


def _tool(tool: Tool) -> Wire:
    if tool.raw is not None:
        return tool.raw
    function: Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> object:
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _response_format(output: OutputFormat) -> Json:
    if output.kind != "json_schema":
        return {"type": output.kind}
    # The name is required here and unknown elsewhere.
    schema: Json = {"name": output.name or "answer"}
    if output.schema is not None:
        schema["schema"] = output.schema
    if output.strict is not None:
        schema["strict"] = output.strict
    return {"type": "json_schema", "json_schema": schema}


def forwarded_stream_options(existing: Raw | None) -> Raw:
    """The client's stream options with the usage report asked for, its other members kept."""
    options: dict[str, object] = {}
    if existing is not None and bytes(existing).startswith(b"{"):
        options.update(msgspec.json.decode(existing, type=dict[str, Raw]))
    options["include_usage"] = True
    return as_raw(options)
