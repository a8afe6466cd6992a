"""The command line ``llm``, with the gateway's models in its ``extra-openai-models.yaml``. Its commands run in this process."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

from click.testing import CliRunner, Result
from harness import CHAT, CITY, Setting, cannot, check, main, same
from llm.cli import cli

TOOL = '''
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "sunny in " + city
'''


def run(at: Setting, model: str, *arguments: str, key: str | None = None) -> Result:
    rows = [
        {"model_id": name, "model_name": name, "api_base": at.v1, "api_key_name": "trimtab"}
        | {"supports_schema": True, "supports_tools": True}
        for name in (*at.models, "nothing")
    ]
    # JSON is YAML.
    (Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml").write_text(json.dumps(rows))
    return CliRunner().invoke(cli, ["prompt", "--no-log", "--model", model, "--key", key or at.key, *arguments, "Hi"])


def said(result: Result) -> str:
    if result.exit_code:
        raise AssertionError(f"{result.exit_code}: {result.output}") from result.exception
    return result.stdout.strip()


@check(CHAT, "chat")
def chat(at: Setting, model: str) -> str:
    return same(at.text, said(run(at, model, "--no-stream")))


@check(CHAT, "stream")
def stream(at: Setting, model: str) -> str:
    return same(at.text, said(run(at, model)))


@check(CHAT, "tools")
def tools(at: Setting, model: str) -> str:
    return _called(at, run(at, model, "--no-stream", "--functions", TOOL, "--tools-debug"))


@check(CHAT, "tools_stream")
def tools_stream(at: Setting, model: str) -> str:
    return _called(at, run(at, model, "--functions", TOOL, "--tools-debug"))


def _called(at: Setting, result: Result) -> str:
    text = said(result)
    same(True, f"sunny in {CITY}" in result.output)
    return same(at.text, text)


@check(CHAT, "structured")
def structured(at: Setting, model: str) -> str:
    return same({"city": CITY}, json.loads(said(run(at, model, "--schema", "city str"))))


@check(CHAT, "error")
def error(at: Setting, model: str) -> str:
    """It prints what the SDK says and ends with 1."""
    for status, result in (
        (401, run(at, model, key="tt-wrong")),
        (404, run(at, "nothing")),
        (400, run(at, model, "--option", "max_tokens", "-1")),
    ):
        same(1, result.exit_code)
        same(True, f"Error code: {status}" in result.output)
    return "401, 404, 400"


cannot(CHAT, "embeddings", "Its embedding models take no address.")
main(f"llm {version('llm')}")
