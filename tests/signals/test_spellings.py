"""Spellings in which a card, an address or a key was once read over. Each has to be found; what is still missed is listed and dated."""

from __future__ import annotations

import json

import pytest

from trimtab import config
from trimtab.core.messages import Dialect
from trimtab.core.zones import Sensitivity
from trimtab.signals import sense
from trimtab.wire import CODECS

CARD = "4111111111111111"
KEY = "sk-abcdefghij0123456789ABCD"
BOUNDARY = config.load(None, {}).boundary


def carried(body: object, dialect: Dialect = Dialect.OPENAI_CHAT) -> frozenset[Sensitivity]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return sense(CODECS[dialect].decode_request(raw)).sensitivity


def chat(content: object, **more: object) -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": content}], **more}


def tool_call(arguments: str) -> dict[str, object]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    return {"model": "auto", "messages": [*messages, {"role": "tool", "tool_call_id": "c", "content": "ok"}]}


FOUND = {
    "a column of a CSV": chat(f"id,card\n17,{CARD},12/27"),
    "a column, grouped": chat("17,4111 1111 1111 1111,12/27"),
    "a list": chat(f"[1,{CARD}]"),
    "a line of a diff": chat(f"+{CARD}"),
    "a line of a diff, grouped": chat("+4111 1111 1111 1111"),
    "behind letters": chat(f"cc{CARD}"),
    "behind capital letters": chat(f"ID{CARD}"),
    "tabs": chat("4111\t1111\t1111\t1111"),
    "lines": chat("4111\n1111\n1111\n1111"),
    "three spaces": chat("4111   1111   1111   1111"),
    "dashes with spaces": chat("4111 - 1111 - 1111 - 1111"),
    "underscores": chat("4111_1111_1111_1111"),
    "slashes": chat("4111/1111/1111/1111"),
    "an ogham space": chat("4111\u16801111\u16801111\u16801111"),
    "a line separator": chat("4111\u20281111\u20281111\u20281111"),
    "variation selectors": chat("".join(digit + "\ufe0f" for digit in CARD)),
    "two parts": chat([{"type": "text", "text": "4111 1111 "}, {"type": "text", "text": "1111 1111"}]),
    "an array of numbers": chat("hi", extra=[4111, 1111, 1111, 1111]),
    "a key behind an underscore": chat(f"OPENAI_{KEY}"),
    "escaped JSON behind a space": tool_call(' {"e":"jane.doe\\u0040example.org"}'),
    "escaped JSON behind a line break": tool_call('\n{"e":"jane.doe\\u0040example.org"}'),
    "the first of two equal keys": tool_call('{"e":"jane.doe\\u0040example.org","e":"x"}'),
    "JSON that is cut": tool_call('{"e":"jane.doe\\u0040example.org'),
    "JSON behind prose": chat('Result: {"e":"jane.doe\\u0040example.org"}'),
    "a JSON string": chat('"jane.doe\\u0040example.org"'),
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_it_is_found_however_it_is_spelt(body: object) -> None:
    assert not BOUNDARY.admits(carried(body), "any")


# Known misses of stage 1, as of 2026-11: decoding of transfer encodings is a later work. A test, so that whoever mends one hears of it.
MISSED = {
    "percent encoding": chat("https://x.org/?u=jane.doe%40example.org"),
    "HTML entities": chat("jane.doe&#64;example.org"),
    "an address over two parts": chat([{"type": "text", "text": "jane.doe@"}, {"type": "text", "text": "example.org"}]),
    "behind a number and a point": chat(f"1.{CARD}"),
}


@pytest.mark.parametrize("body", MISSED.values(), ids=MISSED)
def test_what_is_known_to_be_missed(body: object) -> None:
    assert BOUNDARY.admits(carried(body), "any"), "found now: move it up to FOUND, and take it out of design/sensitivity.md"
