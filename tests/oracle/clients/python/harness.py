"""What the scripts of all Python clients share: the setting they are given, and one JSON line for each check.

It runs in the clients' own environment and knows neither a client nor Trimtab.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
EMBEDDINGS = "/v1/embeddings"
GEMINI = "/v1/models/*:generateContent"
GEMINI_EMBED = "/v1/models/*:embedContent"
COHERE = "/v2/chat"
COHERE_EMBED = "/v2/embed"

CITY = "Zürich"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}


@dataclass(frozen=True)
class Setting:
    """Where the gateway is, and what is behind it: models that oblige and otherwise say ``text``, and models that embed."""

    url: str
    key: str
    models: list[str]
    embed: list[str]
    text: str

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"


_OUT, sys.stdout = sys.stdout, sys.stderr
"""Some clients print. What they say is no check's line."""

Check = Callable[[Setting, str], Any]
_CHECKS: list[tuple[str, str, Check | str]] = []


def check(door: str, name: str) -> Callable[[Check], Check]:
    """Run the function once for each model. It returns what it saw, or raises."""

    def register(function: Check) -> Check:
        _CHECKS.append((door, name, function))
        return function

    return register


def cannot(door: str, name: str, why: str) -> None:
    """The client has no way to do it."""
    _CHECKS.append((door, name, why))


def same(expected: object, actual: object) -> str:
    if expected != actual:
        raise AssertionError(f"expected {expected!r}, got {actual!r}")
    return repr(actual)


@contextmanager
def refused(kind: type[Exception], code: int | None = None) -> Iterator[None]:
    """The client raises ``kind``, with this status where its class does not tell."""
    try:
        yield
    except kind as error:
        if code is not None:
            same(code, getattr(error, "status_code", getattr(error, "code", None)))
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def main(version: str) -> None:
    """Run all checks, in the order in which they were registered. ``version`` names what was tried."""
    setting = Setting(**json.loads(sys.argv[1]))
    for door, name, do in _CHECKS:
        line = {"door": door, "check": name, "version": version}
        if isinstance(do, str):
            _say(line | {"model": "", "ok": None, "detail": do})
            continue
        for model in setting.embed if name == "embeddings" else setting.models:
            _say(line | {"model": model} | _outcome(do, setting, model))


def _outcome(do: Check, setting: Setting, model: str) -> dict[str, object]:
    try:
        seen = do(setting, model)
        return {"ok": True, "detail": asyncio.run(seen) if inspect.isawaitable(seen) else seen}
    except Exception as error:  # whatever a client raises is the outcome
        return {"ok": False, "detail": f"{type(error).__name__}: {error}"[:1000]}


def _say(line: dict[str, object]) -> None:
    _OUT.write(json.dumps(line) + "\n")
    _OUT.flush()
