from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest
from msgspec import Raw
from tests.signals.asked import request

from trimtab.core.catalog import Capability
from trimtab.core.messages import (
    Audio,
    Dialect,
    Document,
    Image,
    Message,
    OutputFormat,
    Part,
    Request,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from trimtab.signals import sense
from trimtab.signals.language import language, words_of
from trimtab.signals.tokens import EXACT_BYTES, count_tokens, encoder
from trimtab.wire import CODECS

EDIT = msgspec.structs.replace


@pytest.mark.parametrize(
    "part,needed",
    [
        (Image(url="https://example.org/cat.png"), Capability.VISION),
        (Audio(data="UklGRg==", format="wav"), Capability.AUDIO),
        (Document(data="JVBERi0=", media_type="application/pdf"), Capability.DOCUMENTS),
        (ToolCall(id="1", name="look", arguments="{}"), Capability.TOOLS),
        (ToolResult(id="1", parts=(Text("found"),)), Capability.TOOLS),
        (ToolResult(id="1", parts=(Image(data="aGk=", media_type="image/png"),)), Capability.VISION),
    ],
)
def test_parts_need_capabilities(part: Part, needed: Capability) -> None:
    assert needed in sense(request(parts=(part,))).needs


@pytest.mark.parametrize(
    "asked,needed",
    [
        (EDIT(request("hi"), tools=(Tool(name="look"),)), {Capability.TOOLS}),
        (EDIT(request("hi"), output=OutputFormat("json_schema", schema=Raw(b"{}"))), {Capability.STRUCTURED_OUTPUT}),
        (EDIT(request("hi"), output=OutputFormat("text")), set()),
        (EDIT(request("hi"), sampling=Sampling(logprobs=True)), {Capability.LOGPROBS}),
        (EDIT(request("hi"), sampling=Sampling(n=2)), {Capability.MULTIPLE_CHOICES}),
        (EDIT(request("hi"), sampling=Sampling(n=1, reasoning_effort="none")), set()),
        (EDIT(request("hi"), sampling=Sampling(thinking_budget=1024)), {Capability.REASONING}),
        (request(parts=(Document(text="plain"),)), set()),
    ],
)
def test_fields_need_capabilities(asked: Request, needed: set[Capability]) -> None:
    assert sense(asked).needs == needed


def test_a_short_text_is_counted_and_a_long_one_estimated() -> None:
    short = sense(request("one two three"))
    assert short.tokens_exact
    assert short.input_tokens == 3 + 4
    assert not sense(request("word " * 10_000)).tokens_exact


def test_the_estimate_is_within_a_tenth_on_mixed_text() -> None:
    """English, then Chinese, then code: whoever looked at the beginning alone would be far off."""
    english = "The committee met on Tuesday to consider whether the bridge would last. " * 400
    chinese = "委员会星期二开会讨论这座桥是否能够长期使用以及需要多少费用。" * 400
    code = "for index, row in enumerate(table):\n    total[row.key] += row.value * (index + 1)\n" * 300
    text = english + chinese + code
    estimate, exact = count_tokens(text)
    assert not exact
    assert estimate == pytest.approx(len(encoder().encode_ordinary(text)), rel=0.1)


def test_no_more_than_sixteen_kilobytes_are_tokenised(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def encode(text: str) -> list[int]:
        seen.append(len(text.encode()))
        return [0]

    monkeypatch.setattr("trimtab.signals.tokens.encoder", lambda: SimpleNamespace(encode_ordinary=encode))
    for text in ("a" * EXACT_BYTES, "a" * 10**6, "漢" * 10**5):
        seen.clear()
        count_tokens(text)
        assert 0 < sum(seen) <= EXACT_BYTES


def test_media_have_tokens_and_are_not_exact() -> None:
    read = sense(request(parts=(Text("hi"), Image(url="https://example.org/a.png"))))
    assert read.input_tokens >= 1_000
    assert not read.tokens_exact


def test_the_answer_is_expected_no_longer_than_the_client_allows() -> None:
    assert sense(EDIT(request("hi"), sampling=Sampling(max_tokens=10, n=3))).output_tokens == 30
    assert sense(EDIT(request("hi"), sampling=Sampling(max_tokens=10**6))).output_tokens == sense(request("hi")).output_tokens
    assert sense(request("hi"), usual_output=77).output_tokens == 77


def test_turns_are_the_users() -> None:
    roles: tuple[Role, ...] = ("system", "user", "assistant", "user")
    chat = tuple(Message(role, (Text("text"),)) for role in roles)
    assert sense(EDIT(request(), messages=chat)).turns == 2


@pytest.mark.parametrize(
    "text,expected",
    [
        ("What is the height of the tower and how is it measured?", "en"),
        ("Wie hoch ist der Turm und wird er mit einem Laser gemessen?", "de"),
        ("Quelle est la hauteur de la tour et comment est-elle mesurée dans les faits ?", "fr"),
        ("¿Cuál es la altura de la torre y cómo se mide con los aparatos del museo?", "es"),
        ("Какова высота башни и как её измеряют?", "ru"),
        ("这座塔有多高?", "zh"),
        ("この塔の高さはどれくらいですか。", "ja"),
        ("이 탑의 높이는 얼마입니까?", "ko"),
        ("ما هو ارتفاع هذا البرج؟", "ar"),
        ("42 + 17", "und"),
        ("", "und"),
    ],
)
def test_language_is_a_coarse_guess(text: str, expected: str) -> None:
    assert language(text, frozenset(words_of(text))) == expected


FIELD, UNKNOWN = "a field about searching", "a tool of an unknown kind"
FUNCTION = {"type": "function", "function": {"name": "search_web", "parameters": {}}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [FUNCTION]}}
EAGER = {"name": "web", "input_schema": {"type": "object"}, "eager_input_streaming": True, "defer_loading": True}
SCHEMA = {"type": "object", "properties": {"network_policy": {"type": "string"}}}
NAMESPACE = {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]}
SANDBOX = "a sandbox that may call out"
NETWORKED = {"type": "container_auto", "network_policy": {"type": "allowlist", "allowed_domains": ["a.test"]}}
ASKED = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}


@pytest.mark.parametrize(
    "dialect,body,reaches",
    [
        (Dialect.OPENAI_RESPONSES, {"input": "hi", "tools": [{"type": "mcp", "server_url": "https://a.test"}]}, ("mcp",)),
        (Dialect.OPENAI_RESPONSES, {"input": "hi", "tools": [{"type": "web_search_preview"}]}, ("web_search",)),
        (Dialect.OPENAI_RESPONSES, {"input": "hi", "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, ()),
        (Dialect.OPENAI_RESPONSES, {"input": "hi", "tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, (SANDBOX,)),
        (Dialect.OPENAI_RESPONSES, {"input": "hi", "tools": [{"type": "shell", "environment": NETWORKED}]}, (SANDBOX,)),
        (Dialect.OPENAI_RESPONSES, {"input": "hi", "tools": [{"type": "shell", "environment": {"type": "local"}}]}, ()),
        (Dialect.OPENAI_RESPONSES, {"input": "hi", "max_tool_calls": 3, "tools": [NAMESPACE]}, ()),
        (Dialect.OPENAI_CHAT, {**ASKED, "tools": [FUNCTION], "tool_choice": ALLOWED, "tool_stream": True}, ()),
        (Dialect.ANTHROPIC, {**ASKED, "tools": [EAGER]}, ()),
        (Dialect.OPENAI_RESPONSES, {"input": "hi", "tools": [{"type": "alice_smith"}]}, (UNKNOWN,)),
        (Dialect.OPENAI_CHAT, {**ASKED, "web_search_options": {}}, (FIELD,)),
        (Dialect.OPENAI_CHAT, {**ASKED, "search_settings": {"include_domains": ["a.test"]}}, (FIELD,)),
        (Dialect.OPENAI_CHAT, {**ASKED, "min_p": 0.1, "metadata": {"a": "b"}, "service_tier": "flex"}, ()),
        (Dialect.OPENAI_CHAT, {**ASKED, "tools": [{"type": "function", "function": {"name": "mcp", "parameters": {}}}]}, ()),
        (Dialect.ANTHROPIC, {**ASKED, "tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, ("web_fetch",)),
        (Dialect.ANTHROPIC, {**ASKED, "tools": [{"type": "bash_20250124", "name": "bash"}]}, ()),
        (Dialect.ANTHROPIC, {**ASKED, "mcp_servers": [{"type": "url", "url": "https://a.test", "name": "a"}]}, (FIELD,)),
        (Dialect.GEMINI, {"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"google_search": {}}]}, ("googleSearch",)),
        (Dialect.GEMINI, {"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"urlContext": {}}]}, ("urlContext",)),
        (Dialect.GEMINI, {"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"codeExecution": {}}]}, ()),
    ],
)
def test_tools_that_pass_on_what_the_model_reads_are_known(
    dialect: Dialect, body: dict[str, object], reaches: tuple[str, ...]
) -> None:
    assert sense(CODECS[dialect].decode_request(msgspec.json.encode({"model": "m", **body}))).reaches == reaches
