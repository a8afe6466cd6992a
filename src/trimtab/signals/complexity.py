"""A first estimate of how hard a question is, 0..1, from features that one can see and count.

0.5 is as hard as the mean question of the benchmark behind the model cards. A text that shows no feature stays near the middle rather
than at "simple": absence of a keyword is not evidence of ease. The weights are set by hand and fixed; ``design/complexity.md`` has what
they are worth. A learned estimate replaces this file's numbers, not its place.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from math import log10

LOOK_AT = 2_000
"""Characters of the question that are read: the first and the last half of it."""

BASE = 0.35
WEIGHTS = {
    "length": 0.20,
    "maths": 0.15,
    "code": 0.10,
    "reasoning": 0.15,
    "constraints": 0.10,
    "turns": 0.05,
    "tools": 0.05,
    "open question": 0.05,
    "small talk": -0.25,
}
"""Each feature is 0..1; the estimate is the base plus the weighted sum, cut to 0..1."""

_MATHS = frozenset(
    [
        "calculate",
        "compute",
        "equation",
        "integral",
        "derivative",
        "probability",
        "matrix",
        "polynomial",
        "theorem",
        "proof",
        "prove",
        "sum",
        "product",
        "percent",
        "percentage",
        "integer",
        "integers",
        "prime",
        "triangle",
        "function",
        "solve",
        "value",
        "average",
        "ratio",
        "total",
        "times",
        "twice",
        "half",
        "remaining",
        "each",
    ]
)
_CODE = frozenset(
    [
        "def",
        "class",
        "return",
        "import",
        "function",
        "code",
        "python",
        "javascript",
        "sql",
        "bug",
        "compile",
        "algorithm",
        "regex",
        "implement",
        "refactor",
        "assert",
    ]
)
_REASONING = frozenset(
    [
        "why",
        "explain",
        "prove",
        "derive",
        "analyze",
        "analyse",
        "compare",
        "evaluate",
        "justify",
        "therefore",
        "because",
        "if",
        "suppose",
        "assume",
        "given",
        "consider",
        "determine",
        "deduce",
        "infer",
        "strategy",
        "design",
        "optimize",
        "optimise",
        "diagnose",
        "critique",
        "tradeoff",
    ]
)
_CONSTRAINTS = frozenset(
    [
        "must",
        "should",
        "only",
        "exactly",
        "without",
        "except",
        "least",
        "most",
        "not",
        "never",
        "always",
        "every",
        "each",
        "before",
        "after",
        "unless",
        "between",
    ]
)
_OPEN = frozenset(["why", "how", "explain", "describe", "discuss", "design", "write"])
_SMALL_TALK = frozenset(
    ["hi", "hello", "hey", "thanks", "thank", "bye", "ok", "okay", "good", "morning", "evening", "please", "you", "yes", "no"]
)
_SYMBOLS = "=+*/^<>\\{}|∑∫√≤≥"


_DIGIT = re.compile(r"\d")


def excerpt(question: str) -> str:
    """What of the question is read."""
    if len(question) <= LOOK_AT:
        return question
    return question[: LOOK_AT // 2] + "\n" + question[-LOOK_AT // 2 :]


def complexity(text: str, words: list[str], *, turns: int, tools: bool) -> tuple[float, dict[str, float]]:
    """The estimate and the weighted contributions that made it. ``words`` are those of ``text``."""
    kinds = frozenset(words)
    symbols = sum(map(text.count, _SYMBOLS))
    features = {
        "length": min(1.0, max(0.0, log10(len(words) + 1) - 0.5) / 2),
        "maths": min(1.0, (_share(kinds, _MATHS) + min(symbols, 12)) / 12 + 0.25 * (_DIGIT.search(text) is not None)),
        "code": min(1.0, _share(kinds, _CODE) / 4 + ("```" in text)),
        "reasoning": min(1.0, _share(kinds, _REASONING) / 4),
        "constraints": min(1.0, _share(kinds, _CONSTRAINTS) / 6),
        "turns": min(1.0, max(0, turns - 1) / 6),
        "tools": float(tools),
        "open question": float(bool(kinds & _OPEN)),
        "small talk": float(len(words) <= 8 and bool(kinds) and kinds <= _SMALL_TALK),
    }
    parts = {name: WEIGHTS[name] * value for name, value in features.items() if value}
    return min(1.0, max(0.0, BASE + sum(parts.values()))), parts


def _share(kinds: AbstractSet[str], listed: frozenset[str]) -> int:
    return len(kinds & listed)
