"""One spelling for what looks the same: compatibility forms, digits of other scripts, dashes, invisible characters.

Decoding of percent, HTML and base64 spellings, and homoglyphs, are not folded.
"""

from __future__ import annotations

import functools
import unicodedata
from itertools import chain

# Every format character, digit and dash of Unicode 15 stands below U+20000, or among the tags.
_POINTS = (range(0x80, 0x20000), range(0xE0000, 0xE0080))

_FEW = 16  # a replacement each is faster than a look-up per character


@functools.cache
def _table() -> dict[str, str]:
    """Format characters (Cf) vanish, decimal digits (Nd) of any script become ASCII, dashes (Pd) and the minus sign become a hyphen."""
    table = {"\N{MINUS SIGN}": "-"}
    for letter in map(chr, chain.from_iterable(_POINTS)):
        match unicodedata.category(letter):
            case "Cf":
                table[letter] = ""
            case "Nd":
                table[letter] = str(unicodedata.decimal(letter))
            case "Pd":
                table[letter] = "-"
            case "Zs" | "Zl" | "Zp":
                table[letter] = " "
            case "Mn" if "VARIATION SELECTOR" in unicodedata.name(letter, ""):
                table[letter] = ""
    return table


def fold(text: str) -> str:
    """``text`` as the patterns expect it. ASCII is returned as it is."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    table = _table()
    present = table.keys() & set(text)
    if len(present) > _FEW:
        return text.translate({ord(letter): spelling for letter, spelling in table.items()})
    for letter in present:
        text = text.replace(letter, table[letter])
    return text
