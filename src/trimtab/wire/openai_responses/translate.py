"""OpenAI Responses: ``core.Request`` to a body for an upstream, with the names of what it cannot say.

For a request that came in this dialect the result says what the client's own body says; that is the oracle of forwarding. The upstream is
always told to store nothing: what a conversation was is the gateway's to keep.
"""

from __future__ import annotations

import msgspec

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
from trimtab.wire.body import Json, Losses, encode_data_url, message_paths
from trimtab.wire.common.signatures import is_for
from trimtab.wire.common.translation import Wire, carried_tools
from trimtab.wire.openai_responses.shapes import LOGPROBS

_PARTS = ("input_", "output_")
"""How the kinds of a message's parts begin; every other kind is that of an item."""


def encode_request(request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
    return _Translation(request).body(model)


class _Translation:
    """One request on its way out. ``_own`` is true when it came in this dialect: then it may hold what only this dialect knows."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._own = request.dialect is Dialect.OPENAI_RESPONSES
        self._losses = Losses(() if self._own else request.extras)

    def body(self, model: str) -> tuple[bytes, tuple[str, ...]]:
        request = self._request
        body: Json = {"model": model, "store": False}
        messages = list(zip(request.messages, message_paths(request), strict=True))
        # Alone it stays in the input, which may not be empty.
        if len(messages) > 1 and (instructions := _instructions(messages[0][0])):
            body["instructions"] = instructions
            self._name(*messages.pop(0))
        body["input"] = [item for message, at in messages for item in self._items(message, at)]
        tools = [_tool(tool, own=self._own) for tool in carried_tools(request, self._losses, own=self._own)]
        if tools:
            body["tools"] = tools
            if request.parallel_tool_calls is not None:
                body["parallel_tool_calls"] = request.parallel_tool_calls
            if request.tool_choice is not None:
                body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.output is not None:
            body["text"] = {"format": _format(request.output)}
        self._sampling(body)
        if request.user is not None:
            body["user"] = request.user
        if request.stream:
            body["stream"] = True
        return msgspec.json.encode(body), self._losses.names()

    def _sampling(self, body: Json) -> None:
        sampling = self._request.sampling
        for name, value in (
            ("max_output_tokens", sampling.max_tokens),
            ("temperature", sampling.temperature),
            ("top_p", sampling.top_p),
            ("top_logprobs", sampling.top_logprobs),
        ):
            if value is not None:
                body[name] = value
        if sampling.logprobs:
            body["include"] = [LOGPROBS]
        if sampling.reasoning_effort is not None:
            body["reasoning"] = {"effort": sampling.reasoning_effort}
        if sampling.stop:
            self._losses.add("stop_sequences" if self._request.dialect is Dialect.ANTHROPIC else "stop")
        if sampling.thinking_budget is not None:
            self._losses.add("thinking.budget_tokens")
        self._losses.add_where(
            n=sampling.n not in (None, 1),
            seed=sampling.seed is not None,
            top_k=sampling.top_k is not None,
            presence_penalty=bool(sampling.presence_penalty),
            frequency_penalty=bool(sampling.frequency_penalty),
            logit_bias=sampling.logit_bias is not None,
        )

    # -- input

    def _name(self, message: Message, at: str) -> None:
        if message.name is not None:
            self._losses.add(f"{at}.name")

    def _items(self, message: Message, at: str) -> list[Wire]:
        """One message can become several items: thinking, calls and results are items of their own. The order of the parts is kept."""
        self._name(message, at)
        role = "user" if message.role == "tool" else message.role
        where = at if at == "system" else f"{at}.content"
        items: list[Wire] = []
        said: list[Wire] = []
        for number, part in enumerate(message.parts):
            here = f"{where}.{number}"
            if getattr(part, "cache", None) is not None:
                self._losses.add(f"{here}.cache_control")
            item = self._item(part, here)
            if item is None:
                spoken = self._part(part, role, here)
                said += [] if spoken is None else [spoken]
                continue
            items += [_message(role, said)] if said else []
            said = []
            items.append(item)
        return [*items, _message(role, said)] if said else items

    def _item(self, part: Part, at: str) -> Wire | None:
        """``None`` for a part that belongs into a message."""
        match part:
            case ToolCall():
                return {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
            case ToolResult():
                if part.is_error:
                    self._losses.add(f"{at}.is_error")
                return {"type": "function_call_output", "call_id": part.id, "output": self._output(part, at)}
            case Reasoning() if is_for(part, Dialect.OPENAI_RESPONSES, own=self._own):
                return _reasoning(part, at)
            case Opaque(kind=kind, raw=raw) if self._own and kind and not kind.startswith(_PARTS):
                return raw
            case _:
                return None

    def _output(self, result: ToolResult, at: str) -> object:
        parts: list[Wire] = []
        for number, part in enumerate(result.parts):
            here = f"{at}.content.{number}"
            if part.cache is not None:
                self._losses.add(f"{here}.cache_control")
            wire = self._part(part, "user", here)
            parts += [] if wire is None else [wire]
        return _content(parts)

    def _part(self, part: Part, role: str, at: str) -> Wire | None:
        spoken = role == "assistant"
        match part:
            case Text(text=text):
                return {"type": "output_text" if spoken else "input_text", "text": text}
            case Refusal(text=text) if spoken:
                return {"type": "refusal", "refusal": text}
            case Image() if not spoken:
                return _image(part)
            case Document() if not spoken:
                return self._document(part, at)
            case Audio(data=data, format=format) if self._own:
                return {"type": "input_audio", "input_audio": {"data": data, "format": format}}
            case Opaque(raw=raw) if self._own:
                return raw
            case _:
                self._losses.add(at)
                return None

    def _document(self, part: Document, at: str) -> Json | None:
        file: Json = {"type": "input_file"}
        if part.data is not None:
            file["file_data"] = part.data if part.media_type is None else encode_data_url(part.media_type, part.data)
            # The protocol wants a name with inline data.
            file["filename"] = part.name if part.name is not None or self._own else "document.pdf"
        elif part.text is not None:
            if part.name is not None:
                self._losses.add(f"{at}.title")
            return {"type": "input_text", "text": part.text}
        elif part.url is not None:
            file |= {"file_url": part.url, "filename": part.name}
        else:
            self._losses.add(at)
            return None
        return {key: value for key, value in file.items() if value is not None}


def _instructions(message: Message) -> str:
    """The text of a system prompt that is nothing but one text; ``""`` for every other message."""
    match message:
        case Message(role="system", parts=(Text(text=text, cache=None),)):
            return text
        case _:
            return ""


def _message(role: str, parts: list[Wire]) -> Json:
    return {"type": "message", "role": role, "content": _content(parts)}


def _content(parts: list[Wire]) -> object:
    """A string where that says the same."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], dict) and "text" in parts[0]:
        return parts[0]["text"]
    return parts


def _reasoning(part: Reasoning, at: str) -> Json:
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    # The protocol wants an id and reads nothing from it where nothing is stored.
    item: Json = {"type": "reasoning", "id": f"rs_{at.replace('.', '_')}", "summary": summary}
    if part.signature is not None:
        item["encrypted_content"] = part.signature
    return item


def _image(part: Image) -> Json:
    if part.data is not None:
        url = encode_data_url(part.media_type or "image/png", part.data)
    else:
        url = part.url or ""
    return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}


def _tool(tool: Tool, *, own: bool) -> Wire:
    if tool.raw is not None:
        return tool.raw
    function: Json = {"type": "function", "name": tool.name, "parameters": tool.parameters}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    elif not own:
        # Silence means strict in this protocol, and not strict in every other.
        function["strict"] = False
    return function


def _tool_choice(choice: ToolChoice) -> object:
    if choice.mode == "tool":
        return {"type": "function", "name": choice.name}
    return choice.mode


def _format(output: OutputFormat) -> Json:
    if output.kind != "json_schema":
        return {"type": output.kind}
    # The name is required here and unknown elsewhere.
    schema: Json = {"type": "json_schema", "name": output.name or "answer"}
    if output.schema is not None:
        schema["schema"] = output.schema
    if output.strict is not None:
        schema["strict"] = output.strict
    return schema
