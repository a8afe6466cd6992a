"""Google's Gemini API: ``core.Request`` to a body for an upstream, with the names of what it cannot say.

The protocol wants one system prompt beside everything, turns of two roles, and all results of a turn's calls together, in the order of the
calls, which is what pairs them where an id is missing. Gemini 3 and later refuse a call of their own model's turn without its signature
(ai.google.dev/gemini-api/docs/thought-signatures); for a call that another model made, or whose signature another protocol lost, Google
has a word that says so.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from mimetypes import guess_type

import msgspec
from msgspec import Raw

from trimtab.core.messages import (
    Audio,
    Dialect,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from trimtab.wire.body import Json, Losses
from trimtab.wire.common.signatures import is_for
from trimtab.wire.common.translation import Wire, arguments_or_text, split_system
from trimtab.wire.gemini.shapes import own_id

UNSIGNED = "skip_thought_signature_validator"
"""Google's own word for a call without a signature."""

_BY_BUDGET = re.compile(r"gemini-[12]\b")
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""What Google takes the efforts for with models that think by a budget (ai.google.dev/gemini-api/docs/openai)."""
_LEVELS = frozenset({"minimal", "low", "medium", "high", "xhigh"})

_AUDIO = {"mp3": "mpeg"}
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ANSWER_WORDS = ({"output"}, {"error"})


def encode_request(request: Request, model: str) -> tuple[bytes, tuple[str, ...]]:
    """``model`` stands in the path; it is asked only for what its generation understands."""
    return _Translation(request, model).body()


class _Turn:
    """One content under way. Results of calls (``answers``) stand in one of their own; ``places`` says where in the order of the calls."""

    def __init__(self, role: str, *, answers: bool = False) -> None:
        self.role = role
        self.answers = answers
        self.parts: list[Wire] = []
        self.places: list[int] = []

    def extend(self, turn: _Turn) -> None:
        self.parts += turn.parts
        self.places += turn.places

    def content(self) -> Json:
        parts = self.parts
        if self.answers:
            parts = [parts[number] for number in sorted(range(len(parts)), key=self.places.__getitem__)]
        return {"role": self.role, "parts": parts}


class _Translation:
    """One request on its way out. ``_own`` is true when it came in this dialect: then it may hold what only this dialect knows."""

    def __init__(self, request: Request, model: str) -> None:
        self._request = request
        self._own = request.dialect is Dialect.GEMINI
        self._losses = Losses(() if self._own else request.extras)
        self._by_budget = _BY_BUDGET.search(model) is not None
        self._by_level = "gemini" in model and not self._by_budget
        self._names: dict[str, str] = {}
        self._order: dict[str, int] = {}

    def body(self) -> tuple[bytes, tuple[str, ...]]:
        request = self._request
        system, turns = split_system(request, self._losses, self._prompt)
        body: Json = {"contents": self._contents(turns)}
        if system:
            body["systemInstruction"] = {"parts": system}
        self._tools(body)
        config = {**self._sampling(), **self._output()}
        thinking = self._thinking()
        if thinking:
            config["thinkingConfig"] = thinking
        if config:
            body["generationConfig"] = config
        self._losses.add_where(user=request.user is not None)
        return msgspec.json.encode(body), self._losses.names()

    # -- contents

    def _prompt(self, part: Part, at: str) -> list[Wire] | None:
        match part:
            case Text():
                return self._parts(part, at)
            case Opaque(raw=raw) if self._own:
                return [raw]
            case _:
                return None

    def _contents(self, messages: list[tuple[str, Message]]) -> list[Json]:
        turns: list[_Turn] = []
        for at, message in messages:
            for turn in self._turns_of(message, f"{at}.content"):
                last = turns[-1] if turns else None
                if not self._own and last is not None and (last.role, last.answers) == (turn.role, turn.answers):
                    last.extend(turn)
                else:
                    turns.append(turn)
        return [turn.content() for turn in turns]

    def _turns_of(self, message: Message, at: str) -> Iterator[_Turn]:
        """A message with results becomes two turns: the results, and what else was said or shown."""
        answers = _Turn("user", answers=True)
        spoken = _Turn("model" if message.role == "assistant" else "user")
        signature: str | None = None
        for number, part in enumerate(message.parts):
            here = f"{at}.{number}"
            if isinstance(part, Reasoning) and part.signer is Dialect.GEMINI and part.signature is not None and not part.text:
                spoken.parts += [] if signature is None else _signed([], signature)
                signature = part.signature
                continue
            if isinstance(part, ToolResult):
                answer = self._result(part, here, spoken.parts)
                (spoken if self._own else answers).parts.append(answer)
                answers.places.append(self._order.get(part.id, len(self._order)))
                continue
            parts = self._parts(part, here)
            if signature is not None and parts:
                spoken.parts += _signed(parts, signature)
                signature = None
            else:
                spoken.parts += parts
        if signature is not None:
            spoken.parts += _signed([], signature)
        yield from (turn for turn in (answers, spoken) if turn.parts)

    def _parts(self, part: Part, at: str) -> list[Wire]:
        """The part as it stands on the wire; nothing where it says nothing, or cannot be said."""
        if getattr(part, "cache", None) is not None:
            self._losses.add(f"{at}.cache_control")
        match part:
            case Text(text=text) | Refusal(text=text):
                return [{"text": text}] if text or self._own else []
            case ToolCall():
                return [self._call(part, at)]
            case Image():
                return [self._image(part, at)]
            case Audio(data=data, format=format):
                return [_blob(f"audio/{_AUDIO.get(format, format)}", data)]
            case Document():
                return self._document(part, at)
            case Reasoning() if is_for(part, Dialect.GEMINI, own=self._own):
                thought: Json = {"text": part.text, "thought": True}
                return [thought if part.signature is None else {**thought, "thoughtSignature": part.signature}]
            case Opaque(raw=raw) if self._own:
                return [raw]
            case _:
                self._losses.add(at)
                return []

    def _call(self, call: ToolCall, at: str) -> Json:
        self._names[call.id] = call.name
        self._order.setdefault(call.id, len(self._order))
        function: Json = {"name": call.name, "args": arguments_or_text(call, at, self._losses)}
        id = own_id(call.id)
        if id is not None:
            function["id"] = id
        wire: Json = {"functionCall": function}
        if self._by_level and not self._own:
            wire["thoughtSignature"] = UNSIGNED
        return wire

    def _result(self, result: ToolResult, at: str, beside: list[Wire]) -> Json:
        """An image among the results is shown inside, where the model's generation takes that, else right behind them."""
        name = self._names.get(result.id)
        if name is None:
            self._losses.add(f"{at}.id")
        inside: list[Wire] = []
        texts: list[str] = []
        for number, part in enumerate(result.parts):
            if isinstance(part, Text):
                texts.append(part.text)
            else:
                (inside if self._own or self._by_level else beside).extend(self._parts(part, f"{at}.content.{number}"))
        if result.cache is not None:
            self._losses.add(f"{at}.cache_control")
        response: Json = {"name": name or result.id, "response": _response("\n".join(texts), is_error=result.is_error)}
        id = own_id(result.id)
        if id is not None:
            response["id"] = id
        if inside:
            response["parts"] = inside
        return {"functionResponse": response}

    def _image(self, image: Image, at: str) -> Json:
        if image.detail not in (None, "auto"):
            self._losses.add(f"{at}.image_url.detail")
        return image_part(image)

    def _document(self, document: Document, at: str) -> list[Wire]:
        if document.name is not None and not self._own:
            self._losses.add(f"{at}.title")
        name = document.name if self._own else None
        if document.data is not None:
            return [_blob(document.media_type or "application/pdf", document.data, name)]
        if document.text is not None:
            return [_blob("text/plain", b64encode(document.text.encode("utf-8", "surrogatepass")).decode(), name)]
        if document.url is not None:
            return [_link(document.url, document.media_type)]
        self._losses.add(at)
        return []

    # -- the rest

    def _tools(self, body: Json) -> None:
        request = self._request
        functions: list[Json] = []
        tools: list[Wire] = []
        for number, tool in enumerate(request.tools):
            if tool.builtin is None:
                functions.append(_function(tool))
                if tool.strict:
                    self._losses.add(f"tools.{number}.strict")
                if tool.cache is not None:
                    self._losses.add(f"tools.{number}.cache_control")
            elif self._own and tool.raw is not None:
                tools.append(tool.raw)
            else:
                self._losses.add(f"tools.{number}")
        if functions:
            tools.insert(0, {"functionDeclarations": functions})
        if tools:
            body["tools"] = tools
        if functions and request.parallel_tool_calls is False:
            self._losses.add("parallel_tool_calls")
        choice = request.tool_choice
        if functions and choice is not None:
            mode = {"auto": "AUTO", "none": "NONE"}.get(choice.mode, "ANY")
            config: Json = {"mode": mode}
            if choice.mode == "tool":
                config["allowedFunctionNames"] = [choice.name]
            body["toolConfig"] = {"functionCallingConfig": config}

    def _sampling(self) -> Json:
        sampling = self._request.sampling
        self._losses.add_where(logit_bias=sampling.logit_bias is not None)
        config: Json = {
            "maxOutputTokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
            "topK": sampling.top_k,
            "stopSequences": list(sampling.stop) or None,
            "candidateCount": sampling.n,
            "seed": sampling.seed,
            "presencePenalty": sampling.presence_penalty,
            "frequencyPenalty": sampling.frequency_penalty,
            "responseLogprobs": sampling.logprobs,
            "logprobs": sampling.top_logprobs,
        }
        return {name: value for name, value in config.items() if value is not None}

    def _thinking(self) -> Json:
        """A budget or a level, never both: the protocol refuses that."""
        sampling = self._request.sampling
        effort, budget = sampling.reasoning_effort, sampling.thinking_budget
        if budget is not None:
            self._losses.add_where(reasoning_effort=effort is not None)
            # Who gives a budget elsewhere is shown the thoughts.
            return {"thinkingBudget": budget} if self._own else {"thinkingBudget": budget, "includeThoughts": True}
        if effort is None:
            return {}
        if self._by_budget and effort in _BUDGETS:
            return {"thinkingBudget": _BUDGETS[effort]}
        if (self._by_level or self._own) and effort in _LEVELS:
            return {"thinkingLevel": effort.upper()}
        self._losses.add("reasoning_effort")
        return {}

    def _output(self) -> Json:
        output = self._request.output
        if output is None:
            return {}
        if output.kind == "text":
            return {"responseMimeType": "text/plain"}
        if output.name is not None:
            self._losses.add("response_format.json_schema.name")
        if output.strict is False:
            self._losses.add("response_format.json_schema.strict")
        config: Json = {"responseMimeType": "application/json"}
        return config if output.schema is None else {**config, "responseJsonSchema": output.schema}


def _response(text: str, *, is_error: bool) -> Json | Raw:
    """The result as the object that the protocol wants. Text that is one goes as it is, unless it reads like the wrapping."""
    if is_error:
        return {"error": text}
    return Raw(text) if _is_object(text) else {"output": text}


def _is_object(text: str) -> bool:
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        return _OBJECT.decode(text).keys() not in _ANSWER_WORDS
    except (msgspec.DecodeError, RecursionError):
        return False


def _signed(parts: list[Wire], signature: str) -> list[Wire]:
    """The signature on the first of ``parts``, or in front of what has none to hold it."""
    match parts:
        case [dict() as first, *rest] if "thought" not in first:
            return [{**first, "thoughtSignature": signature}, *rest]
        case _:
            return [{"text": "", "thoughtSignature": signature}, *parts]


def image_part(image: Image) -> Json:
    if image.data is not None:
        return _blob(image.media_type or "image/png", image.data)
    return _link(image.url or "", image.media_type)


def _blob(media_type: str, data: str, name: str | None = None) -> Json:
    blob: Json = {"mimeType": media_type, "data": data}
    return {"inlineData": blob if name is None else {**blob, "displayName": name}}


def _link(url: str, media_type: str | None) -> Json:
    known = media_type or guess_type(url.partition("?")[0])[0]
    return {"fileData": {"fileUri": url} if known is None else {"fileUri": url, "mimeType": known}}


def _function(tool: Tool) -> Json:
    function: Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parametersJsonSchema"] = tool.parameters
    return function
