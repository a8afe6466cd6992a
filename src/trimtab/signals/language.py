"""Which language a text is in: a free and coarse guess by script and by the commonest words.

Good enough to tell a routing rule "not English"; it does not tell close languages apart, and short or mixed text is ``und``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set as AbstractSet

_LOOK_AT = 512

# First code point, last code point, language. A script of several languages carries the name of the largest.
_SCRIPTS = (
    (0x3040, 0x30FF, "ja"),
    (0x4E00, 0x9FFF, "zh"),
    (0xAC00, 0xD7AF, "ko"),
    (0x0400, 0x04FF, "ru"),
    (0x0370, 0x03FF, "el"),
    (0x0590, 0x05FF, "he"),
    (0x0600, 0x06FF, "ar"),
    (0x0900, 0x097F, "hi"),
    (0x0980, 0x09FF, "bn"),
    (0x0E00, 0x0E7F, "th"),
)

# Words that are common in one language and rare in the others of the list.
_STOP_WORDS = {
    "en": frozenset({"the", "is", "of", "and", "to", "what", "how", "this", "that", "with", "for", "are", "you", "my", "it"}),
    "de": frozenset({"der", "die", "das", "und", "ist", "nicht", "ein", "eine", "ich", "wie", "mit", "auf", "für", "wird", "den"}),
    "fr": frozenset({"le", "les", "est", "et", "une", "dans", "pour", "vous", "je", "que", "des", "du", "comment", "avec", "sur"}),
    "es": frozenset({"el", "los", "es", "y", "una", "para", "que", "las", "cómo", "con", "por", "del", "mi", "está", "qué"}),
    "it": frozenset({"il", "gli", "è", "di", "che", "una", "per", "non", "della", "come", "con", "sono", "questo", "mi", "nel"}),
    "pt": frozenset({"o", "os", "é", "não", "uma", "para", "que", "do", "da", "como", "com", "em", "você", "por", "dos"}),
    "nl": frozenset({"het", "een", "en", "van", "niet", "ik", "dat", "hoe", "voor", "met", "zijn", "wat", "je", "op", "aan"}),
}

_WORD = re.compile(r"[^\W\d_]+")
_ASCII_WORD = re.compile(r"[a-z]+")


def words_of(text: str) -> list[str]:
    """Lower-case words of letters."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text.lower())


def language(text: str, words: AbstractSet[str]) -> str:
    """An ISO 639-1 code, or ``und``. ``words`` are those of :func:`words_of`."""
    if not text.isascii():
        counts = Counter(
            name for letter in text[:_LOOK_AT] if ord(letter) > 0x36F for low, high, name in _SCRIPTS if low <= ord(letter) <= high
        )
        if counts:
            best, hits = counts.most_common(1)[0]
            if hits * 4 >= sum(map(str.isalpha, text[:_LOOK_AT])):
                return "ja" if counts["ja"] and best == "zh" else best
    scores = {name: len(words & common) for name, common in _STOP_WORDS.items()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] >= 2 else "und"
