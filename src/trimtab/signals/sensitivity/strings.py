"""Every string of a JSON body, in order, keys and unknown fields included, and the reasons why some of it could not be read.

Knows JSON and nothing of any dialect: a field that a protocol adds tomorrow is read today.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

MAX_NODES = 200_000
MAX_TEXT = 1024 * 1024
"""Characters that are read. Beyond, the body counts as unreadable: some 10 ms of the event loop are all that one request may take."""

_LONG_NUMBER = 10**3  # a group of a card number
_ESCAPE = re.compile(r"\\+(?:u([0-9A-Fa-f]{4})|[nrt])")  # of JSON, at any depth of quoting
_DEPTH = 3  # JSON in a string of JSON in a string of JSON


class TooMuch(Exception):
    """The body is larger than may be read within the bounds."""


class Hidden(Exception):
    """The body holds what a JSON reader does not return: a key that occurs twice."""


def strings_of(body: bytes) -> list[str]:
    """All strings and long numbers of ``body``.

    Strings that are JSON themselves (the arguments of a tool call) are read both as they stand and decoded. Raises :class:`TooMuch`,
    :class:`Hidden` (readers differ on which of two equal keys counts, so the other end could read what we did not), or
    :class:`msgspec.DecodeError`.
    """
    if len(body) > 4 * MAX_TEXT:
        raise TooMuch
    out: list[str] = []
    numbers = _walk(msgspec.json.decode(body), out)
    if _quoted(body) != len(out) - numbers:
        raise Hidden
    texts: list[str] = []
    for text in out:
        texts.append(text)
        if "\\" in text or text.lstrip()[:1] in ("{", "["):
            _open(text, texts, _DEPTH)
    if len(texts) > MAX_NODES or sum(map(len, texts)) > MAX_TEXT:
        raise TooMuch
    return texts


def _open(text: str, texts: list[str], depth: int) -> None:
    """Add to ``texts`` what a string holds in an inner spelling: the strings of JSON, or the text with its escaped line breaks opened."""
    inner: list[str] = []
    if depth and text.lstrip()[:1] in ("{", "["):
        try:
            _walk(msgspec.json.decode(text), inner)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            inner.clear()
    for piece in inner:
        texts.append(piece)
        _open(piece, texts, depth - 1)
    # As it stands, too, where decoding hides something: the first of two equal keys, or what lies deeper than we look.
    if "\\" in text and (not inner or "\\u" in text):
        texts.append(_ESCAPE.sub(_opened, text))


def _opened(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else " "


def _walk(root: object, out: list[str]) -> int:
    """Append what is found under ``root`` to ``out``, a value right after its key. Returns how many of them were numbers."""
    stack: list[Iterator[object]] = [iter((root,))]
    nodes = numbers = 0
    while stack:
        for node in stack[-1]:
            nodes += 1
            if isinstance(node, str):
                out.append(node)
            elif isinstance(node, dict):
                stack.append(_pairs(node))
                break
            elif isinstance(node, list):
                stack.append(iter(node))
                break
            elif isinstance(node, (int, float)) and abs(node) >= _LONG_NUMBER:
                out.append(str(node))
                numbers += 1
        else:
            stack.pop()
        if nodes > MAX_NODES:
            raise TooMuch
    return numbers


def _pairs(node: dict[object, object]) -> Iterator[object]:
    for key, value in node.items():
        yield key
        yield value


def _quoted(body: bytes) -> int:
    """How many JSON strings ``body`` holds, counted by their quotes."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return body.count(b'"') // 2
