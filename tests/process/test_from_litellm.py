"""The example for those who come from LiteLLM: the imported file answers as the file meant, and as LiteLLM answers where that is here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trimtab.lab.upstream.answers import HELLO
from trimtab.lab.upstream.operations.embeddings import vector_of

ROOT = Path(__file__).parents[2]
LITELLM = os.environ.get("LITELLM_COMMAND", "")
DIFFERENT = {"error: wrong key": ["AuthenticationError", 401], "error: unknown model": ["NotFoundError", 404]}
"""LiteLLM answers 400 to both. These are what OpenAI itself answers, and what the README says."""


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    command = [sys.executable, "-m", "examples.from_litellm.run", "--json", "--litellm", LITELLM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=58, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found


@pytest.mark.process
def test_the_client_gets_what_the_models_say(answers: dict[str, Any]) -> None:
    got, text = answers["trimtab"], "".join(HELLO.text)
    for name in ("chat", "chat, by an alias", "chat, another protocol", "chat, by a fallback"):
        assert got[name] == [text, "stop", HELLO.input_tokens, HELLO.output_tokens], name
    for name in ("stream", "stream, another protocol"):
        assert got[name] == [text, "stop"], name
    for name in ("tools", "tools, another protocol"):
        assert got[name] == ["get_weather", {"city": "Zürich"}, "tool_calls", text, "stop"], name
    one, two, length = got["embeddings"]
    assert (one, two) == tuple([round(number, 6) for number in vector_of(word)] for word in ("one", "two"))
    assert length == [1.0]
    assert got["models"] == ["claude", "embedder", "gpt-4o"]
    assert got["error: rate limit"] == ["RateLimitError", 429]
    assert got["error: malformed"] == ["BadRequestError", 400]
    assert {name: got[name] for name in DIFFERENT} == DIFFERENT


@pytest.mark.process
def test_it_gets_the_same_from_litellm(answers: dict[str, Any]) -> None:
    if answers["litellm"] is None:
        pytest.skip("LiteLLM's proxy is not here; set LITELLM_COMMAND to its command")
    same = {name for name, answer in answers["trimtab"].items() if answers["litellm"][name] == answer}
    assert set(answers["trimtab"]) - same == set(DIFFERENT)
