"""Features of what is said: turns, parts, tools, calls and their results, thinking of earlier turns."""

from __future__ import annotations

from tests.conformance.matrix.feature import (
    ANTHROPIC,
    CHAT,
    COHERE,
    GEMINI,
    RESPONSES,
    Feature,
    Json,
    contents,
    items,
    parts,
    shown,
    turns,
)

PNG, PDF, WAV = "iVBORw0KGgo=", "JVBERi0xLjQK", "UklGRg=="
INLINE, INLINE_PDF = f"data:image/png;base64,{PNG}", f"data:application/pdf;base64,{PDF}"
URL, PAPER = "https://example.test/cat.png", "https://example.test/paper.pdf"
PART = "*.content.?"

SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_FUNCTION: Json = {"name": "weather", "description": "The weather in a city", "parameters": SCHEMA}
_ASKED: Json = {"role": "user", "content": "Hi"}


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _said(text: str) -> Json:
    return {"type": "input_text", "text": text}


def _user(*said: Json) -> Json:
    return {"role": "user", "parts": list(said)}


def _model(*said: Json) -> Json:
    return {"role": "model", "parts": list(said)}


CONVERSATION = (
    Feature(
        "system prompt",
        {
            CHAT: turns({"role": "system", "content": "Be brief."}, _ASKED),
            RESPONSES: {"instructions": "Be brief."},
            ANTHROPIC: {"system": "Be brief."},
            GEMINI: {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
            COHERE: turns({"role": "system", "content": "Be brief."}, _ASKED),
        },
    ),
    Feature(
        "system prompt in the middle",
        {
            CHAT: turns(_ASKED, {"role": "developer", "content": "Be brief."}, _ASKED),
            RESPONSES: items(_ASKED, {"role": "developer", "content": "Be brief."}, _ASKED),
            ANTHROPIC: turns(_ASKED, {"role": "system", "content": "Be brief."}, _ASKED),
            COHERE: turns(_ASKED, {"role": "system", "content": "Be brief."}, _ASKED),
        },
        ("*.1.role", "messages.role"),
    ),
    Feature(
        "several turns",
        {
            CHAT: turns(_ASKED, {"role": "assistant", "content": "Hello"}, _ASKED),
            RESPONSES: items(_ASKED, {"role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}, _ASKED),
            ANTHROPIC: turns(_ASKED, {"role": "assistant", "content": "Hello"}, _ASKED),
            GEMINI: contents(_user({"text": "Hi"}), _model({"text": "Hello"}), _user({"text": "Hi"})),
            COHERE: turns(_ASKED, {"role": "assistant", "content": "Hello"}, _ASKED),
        },
        ("messages.role",),
    ),
    Feature(
        "several text parts",
        {
            CHAT: shown(_text("one"), _text("two")),
            RESPONSES: items({"role": "user", "content": [_said("one"), _said("two")]}),
            ANTHROPIC: shown(_text("one"), _text("two")),
            GEMINI: parts({"text": "one"}, {"text": "two"}),
            COHERE: shown(_text("one"), _text("two")),
        },
    ),
    Feature("name of the speaker", {CHAT: turns({**_ASKED, "name": "ann"})}, ("messages.0.name",)),
    Feature(
        "refusal in an earlier turn",
        {
            CHAT: turns(_ASKED, {"role": "assistant", "content": None, "refusal": "No."}, _ASKED),
            RESPONSES: items(_ASKED, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, _ASKED),
        },
        ("messages.role",),
    ),
    Feature(
        "thinking in an earlier turn",
        {
            CHAT: turns(_ASKED, {"role": "assistant", "content": "Hello", "reasoning_content": "Hm"}, _ASKED),
            RESPONSES: items(
                _ASKED,
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
                {"role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
                _ASKED,
            ),
            GEMINI: contents(
                _user({"text": "Hi"}), _model({"text": "Hm", "thought": True}, {"text": "Hello"}), _user({"text": "Hi"})
            ),
            COHERE: turns(
                _ASKED, {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}, _text("Hello")]}, _ASKED
            ),
        },
        ("*.1.content.0", "messages.role"),
        base="several turns",
    ),
    Feature(
        "signed thinking in an earlier turn",
        {
            RESPONSES: items(
                _ASKED,
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2ln"},
                {"role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
                _ASKED,
            ),
            ANTHROPIC: turns(
                _ASKED,
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm", "signature": "c2ln"}, _text("Hello")]},
                _ASKED,
            ),
            GEMINI: contents(_user({"text": "Hi"}), _model({"text": "Hello", "thoughtSignature": "c2ln"}), _user({"text": "Hi"})),
        },
        ("*.1.content.0", "messages.role"),
        base="several turns",
    ),
    Feature(
        "redacted thinking in an earlier turn",
        {
            ANTHROPIC: turns(
                _ASKED, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "c2ln"}, _text("Hello")]}, _ASKED
            )
        },
        ("*.1.content.0", "messages.role"),
        base="several turns",
    ),
    Feature(
        "cache control on text", {ANTHROPIC: shown({**_text("Hi"), "cache_control": {"type": "ephemeral"}})}, ("*.cache_control",)
    ),
    Feature(
        "cache control for an hour",
        {ANTHROPIC: shown({**_text("Hi"), "cache_control": {"type": "ephemeral", "ttl": "1h"}})},
        ("*.cache_control",),
    ),
    Feature(
        "cache breakpoint",
        {RESPONSES: items({"role": "user", "content": [{**_said("Hi"), "prompt_cache_breakpoint": {"mode": "explicit"}}]})},
        ("*.prompt_cache_breakpoint",),
    ),
)


def _shown(*parts: Json) -> Json:
    return shown(_text("Hi"), *parts)


def _input(*parts: Json) -> Json:
    return items({"role": "user", "content": [_said("Hi"), *parts]})


def _parts(*more: Json) -> Json:
    return parts({"text": "Hi"}, *more)


def _image_url(url: str, **more: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def _file(**fields: str) -> Json:
    return {"type": "file", "file": fields}


def _blob(kind: str, data: str, **more: str) -> Json:
    return {"inlineData": {"mimeType": kind, "data": data, **more}}


def _link(kind: str, url: str) -> Json:
    return {"fileData": {"mimeType": kind, "fileUri": url}}


def _source(kind: str, source: str, **fields: object) -> Json:
    return {"type": kind, "source": {"type": source, **fields}}


_PAPER = _source("document", "base64", media_type="application/pdf", data=PDF)

MEDIA = (
    Feature("image by value", {
        CHAT: _shown(_image_url(INLINE)),
        RESPONSES: _input({"type": "input_image", "image_url": INLINE}),
        ANTHROPIC: _shown(_source("image", "base64", media_type="image/png", data=PNG)),
        GEMINI: _parts(_blob("image/png", PNG)),
        COHERE: _shown(_image_url(INLINE)),
    }),
    Feature("image by address", {
        CHAT: _shown(_image_url(URL)),
        RESPONSES: _input({"type": "input_image", "image_url": URL}),
        ANTHROPIC: _shown(_source("image", "url", url=URL)),
        GEMINI: _parts(_link("image/png", URL)),
        COHERE: _shown(_image_url(URL)),
    }, (PART,)),
    Feature("image detail", {
        CHAT: _shown(_image_url(INLINE, detail="low")),
        RESPONSES: _input({"type": "input_image", "image_url": INLINE, "detail": "low"}),
        GEMINI: _parts({**_blob("image/png", PNG), "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}}),
        COHERE: _shown(_image_url(INLINE, detail="low")),
    }, ("*.detail", "*.mediaResolution"), base="image by value"),
    Feature("image in the provider's store", {
        RESPONSES: _input({"type": "input_image", "file_id": "file_1"}),
        ANTHROPIC: _shown(_source("image", "file", file_id="file_1")),
        GEMINI: _parts(_link("image/png", "https://generativelanguage.googleapis.com/v1beta/files/a")),
    }, (PART,)),
    Feature("document by value", {
        CHAT: _shown(_file(file_data=INLINE_PDF)),
        RESPONSES: _input({"type": "input_file", "file_data": INLINE_PDF}),
        ANTHROPIC: _shown(_PAPER),
        GEMINI: _parts(_blob("application/pdf", PDF)),
    }, (PART,)),
    Feature("name of a document", {
        CHAT: _shown(_file(file_data=INLINE_PDF, filename="paper")),
        RESPONSES: _input({"type": "input_file", "file_data": INLINE_PDF, "filename": "paper"}),
        ANTHROPIC: _shown({**_PAPER, "title": "paper"}),
        GEMINI: _parts(_blob("application/pdf", PDF, displayName="paper")),
    }, (PART, "*.title"), base="document by value"),
    Feature("document as text", {
        ANTHROPIC: _shown(_source("document", "text", media_type="text/plain", data="Once")),
        COHERE: _shown({"type": "document", "document": {"data": {"text": "Once"}}}),
    }),
    Feature("document by address", {
        RESPONSES: _input({"type": "input_file", "file_url": PAPER}),
        ANTHROPIC: _shown(_source("document", "url", url=PAPER)),
        GEMINI: _parts(_link("application/pdf", PAPER)),
    }, (PART,)),
    Feature("document in the provider's store", {
        CHAT: _shown(_file(file_id="file_1")),
        RESPONSES: _input({"type": "input_file", "file_id": "file_1"}),
        ANTHROPIC: _shown(_source("document", "file", file_id="file_1")),
    }, (PART,)),
    Feature("citations of a document", {ANTHROPIC: _shown({**_PAPER, "citations": {"enabled": True}})},
            (PART, "*.citations"), base="document by value"),
    Feature("audio", {
        CHAT: _shown({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}),
        RESPONSES: _input({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}),
        GEMINI: _parts(_blob("audio/wav", WAV)),
    }, (PART,)),
    Feature("video", {GEMINI: _parts(_blob("video/mp4", WAV))}, (PART,)),
)  # fmt: skip


def _declared(*functions: Json) -> Json:
    return {"tools": [{"functionDeclarations": list(functions)}]}


def _tool(**more: object) -> Json:
    """Anthropic's."""
    return {"tools": [{"name": "weather", "description": "The weather in a city", "input_schema": SCHEMA, **more}]}


def _mode(mode: str, *names: str) -> Json:
    calling: Json = {"mode": mode, "allowedFunctionNames": list(names)} if names else {"mode": mode}
    return {"toolConfig": {"functionCallingConfig": calling}}


_FOUND: Json = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMA, "additionalProperties": False}
_MCP: Json = {"name": "mcp__docs__find", "description": "Find", "parameters": _FOUND}
"""What an MCP host makes of a server's tool: a name with the server's in front, and the server's own schema, keywords and all."""

TOOLS = (
    Feature("tools", {
        CHAT: {"tools": [{"type": "function", "function": _FUNCTION}]},
        RESPONSES: {"tools": [{"type": "function", **_FUNCTION, "strict": False}]},
        ANTHROPIC: _tool(),
        GEMINI: _declared({"name": "weather", "description": "The weather in a city", "parametersJsonSchema": SCHEMA}),
        COHERE: {"tools": [{"type": "function", "function": _FUNCTION}]},
    }),
    Feature("tools, schema in Google's words", {
        GEMINI: _declared({"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}),
    }),
    Feature("strict tools", {
        CHAT: {"tools": [{"type": "function", "function": {**_FUNCTION, "strict": True}}]},
        RESPONSES: {"tools": [{"type": "function", **_FUNCTION, "strict": True}]},
        ANTHROPIC: _tool(strict=True),
        COHERE: {"strict_tools": True},
    }, ("tools.0.strict",), base="tools"),
    Feature("tool choice: auto", {
        CHAT: {"tool_choice": "auto"}, RESPONSES: {"tool_choice": "auto"}, ANTHROPIC: {"tool_choice": {"type": "auto"}},
        GEMINI: _mode("AUTO"),
    }, base="tools"),
    Feature("tool choice: none", {
        CHAT: {"tool_choice": "none"}, RESPONSES: {"tool_choice": "none"}, ANTHROPIC: {"tool_choice": {"type": "none"}},
        GEMINI: _mode("NONE"), COHERE: {"tool_choice": "NONE"},
    }, base="tools"),
    Feature("tool choice: some tool", {
        CHAT: {"tool_choice": "required"}, RESPONSES: {"tool_choice": "required"}, ANTHROPIC: {"tool_choice": {"type": "any"}},
        GEMINI: _mode("ANY"), COHERE: {"tool_choice": "REQUIRED"},
    }, base="tools"),
    Feature("tool choice: this tool", {
        CHAT: {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        RESPONSES: {"tool_choice": {"type": "function", "name": "weather"}},
        ANTHROPIC: {"tool_choice": {"type": "tool", "name": "weather"}},
        GEMINI: _mode("ANY", "weather"),
    }, base="tools"),
    Feature("tool choice: one of several", {
        CHAT: {"tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "auto", "tools": [{"type": "function", "function": {"name": "weather"}}]}}},
        RESPONSES: {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]}},
        GEMINI: _mode("ANY", "weather", "time"),
    }, ("tool_choice", "*.allowedFunctionNames"), base="tools"),
    Feature("no parallel tool calls", {
        CHAT: {"parallel_tool_calls": False}, RESPONSES: {"parallel_tool_calls": False},
        ANTHROPIC: {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    }, ("parallel_tool_calls",), base="tools"),
    Feature("cache control on a tool", {ANTHROPIC: _tool(cache_control={"type": "ephemeral"})}, ("tools.0.cache_control",), base="tools"),
    Feature("examples of a tool's input", {ANTHROPIC: _tool(input_examples=[{"city": "Bern"}])},
            ("tools.0.input_examples",), base="tools"),
    Feature("a tool with free text as input", {
        CHAT: {"tools": [{"type": "custom", "custom": {"name": "run"}}]},
        RESPONSES: {"tools": [{"type": "custom", "name": "run"}]},
    }, ("tools.0",)),
    Feature("web search by the provider", {
        CHAT: {"web_search_options": {}},
        RESPONSES: {"tools": [{"type": "web_search"}]},
        ANTHROPIC: {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        GEMINI: {"tools": [{"googleSearch": {}}]},
    }, ("tools.0", "web_search_options")),
    Feature("MCP servers that the provider calls", {
        RESPONSES: {"tools": [{"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example.test"}]},
        ANTHROPIC: {"mcp_servers": [{"type": "url", "name": "docs", "url": "https://mcp.example.test"}],
                    "tools": [{"type": "mcp_toolset", "mcp_server_name": "docs"}]},
        GEMINI: {"tools": [{"mcpServers": [{"name": "docs", "streamableHttpTransport": {"url": "https://mcp.example.test"}}]}]},
    }, ("tools.0", "mcp_servers")),
    Feature("MCP tools that the client calls", {
        CHAT: {"tools": [{"type": "function", "function": _MCP}]},
        RESPONSES: {"tools": [{"type": "function", **_MCP, "strict": False}]},
        ANTHROPIC: {"tools": [{"name": "mcp__docs__find", "description": "Find", "input_schema": _FOUND}]},
        GEMINI: _declared({"name": "mcp__docs__find", "description": "Find", "parametersJsonSchema": _FOUND}),
        COHERE: {"tools": [{"type": "function", "function": _MCP}]},
    }),
)  # fmt: skip
