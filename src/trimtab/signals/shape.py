"""The outer form of a request: its text, its media, what it needs of a model, how long it and its answer are.

Reads the typed request. What the words mean is the affair of ``complexity``, and what must not be seen that of ``sensitivity``.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw, Struct

from trimtab.core.catalog import Capability
from trimtab.core.messages import Audio, Document, Image, Opaque, Part, Reasoning, Refusal, Request, Text, ToolCall, ToolResult
from trimtab.signals.tokens import count_tokens

TOKENS_PER_MESSAGE = 4
"""Role and separators of a chat template (OpenAI's cookbook counts 3 to 4)."""

TOKENS_PER_IMAGE = 1_000
"""OpenAI charges 765 for 1024 x 1024 at high detail, Anthropic (w x h) / 750, at most about 1,600."""

_BASE64_PER_TOKEN = {Capability.AUDIO: 4_000, Capability.DOCUMENTS: 30}
"""Characters of base64 per token: speech is about 10 tokens per second of 16 kHz PCM; a PDF page about 2,000 tokens in 60 kB."""

EXPECTED_OUTPUT = 400
EXPECTED_OUTPUT_TOOLS = 200
EXPECTED_OUTPUT_STRUCTURED = 250
EXPECTED_REASONING = 1_500
"""Tokens of an answer where the client sets no tighter limit: guesses from the order of magnitude of public chat logs, not measured."""


_STAYS = re.compile(
    r"custom|function|namespace|tool_search\w*|file_search|code_interpreter|code_?execution\w*|codeExecution|image_generation"
    r"|(?:local_)?shell|apply_patch|bash_\w+|text_editor_\w+|computer\w*|memory_\w+|fileSearch"
)
"""Kinds of tools that the client runs, or the provider in a place of its own (documentation of OpenAI, Anthropic, Google)."""

_REACHES = re.compile(r"web_search|web_fetch|mcp|google_?[Ss]earch|google_?[Mm]aps|url_?[Cc]ontext|enterpriseWebSearch|x_search")

_SANDBOX = re.compile(r"code_interpreter|(?:local_)?shell")
_REACHING_FIELD = re.compile(r"search|brows|web|mcp|plugin|connector|compound|ground", re.IGNORECASE)
"""In the name of a field of the body that our protocols do not have: OpenAI's ``web_search_options``, Anthropic's ``mcp_servers``,
OpenRouter's ``plugins``, Groq's ``compound_custom``, xAI's ``search_parameters`` do without a tool what others do by one."""


class Shape(Struct, frozen=True, kw_only=True):
    """``text`` is all that the model will read as text; ``question`` the last thing the user said; ``reaches`` see :func:`_reaching`."""

    text: str = ""
    question: str = ""
    needs: frozenset[Capability] = frozenset()
    reaches: tuple[str, ...] = ()
    turns: int = 0
    media_tokens: int = 0


class _Survey:
    """Gathers while it walks the parts once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.needs: set[Capability] = set()
        self.media_tokens = 0

    def media(self, capability: Capability, base64: str | None = None) -> None:
        self.needs.add(capability)
        if capability is Capability.VISION:
            self.media_tokens += TOKENS_PER_IMAGE
        else:
            self.media_tokens += len(base64 or "") // _BASE64_PER_TOKEN[capability] + 1

    def add(self, part: Part) -> None:
        match part:
            case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
                self.texts.append(text)
            case ToolCall(name=name, arguments=arguments):
                self.needs.add(Capability.TOOLS)
                self.texts += (name, arguments)
            case ToolResult(parts=parts):
                self.needs.add(Capability.TOOLS)
                for inner in parts:
                    self.add(inner)
            case Image():
                self.media(Capability.VISION)
            case Audio(data=data):
                self.media(Capability.AUDIO, data)
            case Document(text=str(text)):
                self.texts.append(text)
            case Document(data=data):
                self.media(Capability.DOCUMENTS, data)
            case Opaque(raw=raw):
                self.texts.append(bytes(raw).decode("utf-8", "replace"))


def survey(request: Request) -> Shape:
    """One pass over the request."""
    seen = _Survey()
    question = ""
    turns = 0
    for message in request.messages:
        begin = len(seen.texts)
        for part in message.parts:
            seen.add(part)
        if message.role == "user":
            turns += 1
            question = "\n".join(seen.texts[begin:]) or question
    for tool in request.tools:
        seen.texts += (tool.name, tool.description or "", bytes(tool.parameters or tool.raw or b"").decode("utf-8", "replace"))
    if request.output is not None and request.output.schema is not None:
        seen.texts.append(bytes(request.output.schema).decode("utf-8", "replace"))
    return Shape(
        text="\n".join(seen.texts),
        question=question,
        needs=frozenset(seen.needs) | _asked_for(request),
        reaches=_reaching(request) if request.tools or request.extras else (),
        turns=turns,
        media_tokens=seen.media_tokens,
    )


def _asked_for(request: Request) -> frozenset[Capability]:
    """Capabilities that follow from fields beside the messages."""
    sampling, output = request.sampling, request.output
    return frozenset(
        capability
        for capability, asked in (
            (Capability.TOOLS, bool(request.tools)),
            (Capability.STRUCTURED_OUTPUT, output is not None and output.kind != "text"),
            (Capability.LOGPROBS, bool(sampling.logprobs) or sampling.top_logprobs is not None),
            (Capability.MULTIPLE_CHOICES, (sampling.n or 1) > 1),
            (Capability.REASONING, sampling.thinking_budget is not None or (sampling.reasoning_effort or "none") != "none"),
        )
        if asked
    )


def _reaching(request: Request) -> tuple[str, ...]:
    """The tools that the provider runs itself and that talk to others: a search engine, a server that the client names.

    A kind that we do not know counts as one. It is not named, nor are fields, since their names are the client's text.
    """
    named = {_reach(tool.builtin, tool.raw) for tool in request.tools if tool.builtin is not None}
    if any("." not in name and _REACHING_FIELD.search(name) for name in request.extras):
        named.add("a field about searching")
    return tuple(sorted(named - {""}))


def _reach(kind: str, raw: Raw | None) -> str:
    """Whom such a tool reaches beyond the provider, in our own words; empty for nobody."""
    if _STAYS.fullmatch(kind):
        networked = raw is not None and _SANDBOX.fullmatch(kind) is not None and _has_network(raw)
        return "a sandbox that may call out" if networked else ""
    known = _REACHES.match(kind)
    return known[0] if known else "a tool of an unknown kind"


class _Policy(Struct):
    type: str = ""


class _Place(Struct):
    type: str = ""
    network_policy: _Policy | None = None


class _Sandbox(Struct):
    container: _Place | str | None = None
    environment: _Place | None = None


_SANDBOX_TOOL = msgspec.json.Decoder(_Sandbox)


def _has_network(raw: Raw) -> bool:
    """May OpenAI's ``code_interpreter`` or ``shell`` call out? One whose container is named and not described may, or looks strange."""
    try:
        tool = _SANDBOX_TOOL.decode(raw)
    except msgspec.DecodeError:
        return True
    if isinstance(tool.container, str):
        return True
    places = [place for place in (tool.container, tool.environment) if place is not None]
    return any(
        place.type == "container_reference" or (place.network_policy is not None and place.network_policy.type != "disabled")
        for place in places
    )


def input_tokens(request: Request, shape: Shape) -> tuple[int, bool]:
    """Tokens that the model will read, and whether all of them were counted by a tokeniser."""
    tokens, counted = count_tokens(shape.text)
    return tokens + shape.media_tokens + TOKENS_PER_MESSAGE * len(request.messages), counted and not shape.media_tokens


def output_tokens(request: Request, needs: frozenset[Capability], usual: int) -> int:
    """Tokens that the model is expected to write, over all choices, never more than the client allows. ``usual`` is for plain text."""
    expected = usual
    if Capability.STRUCTURED_OUTPUT in needs:
        expected = min(usual, EXPECTED_OUTPUT_STRUCTURED)
    elif Capability.TOOLS in needs:
        expected = min(usual, EXPECTED_OUTPUT_TOOLS)
    if Capability.REASONING in needs:
        expected += min(request.sampling.thinking_budget or EXPECTED_REASONING, EXPECTED_REASONING)
    limit = request.sampling.max_tokens
    each = expected if limit is None else min(limit, expected)
    return each * max(1, request.sampling.n or 1)
