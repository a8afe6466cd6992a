"""Is a candidate what it looks like? Checksums by python-stdnum, and plausibility.

A candidate's text goes in and only a yes or no comes out.
"""

from __future__ import annotations

import ipaddress
import re
import string
from collections.abc import Callable

from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.no import fodselsnummer
from stdnum.se import personnummer
from stdnum.us import ssn

_PUBLIC_RESOLVERS = frozenset({"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9"})
_VALUES = {sign: str(int(sign, 36)) for sign in string.digits + string.ascii_uppercase}
_VERSION_BEFORE = ("v", "version", "release", "section", "chapter", "§")


def digits_of(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _mixed(text: str) -> bool:
    return any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def api_key(text: str, before: str) -> bool:
    """Long enough and not a hyphenated word (``sk-learn-...``)."""
    return _mixed(text)


def password(text: str, before: str) -> bool:
    """An assigned value that is a word with a digit or a sign in it, and not an expression of a programming language."""
    value = re.split(r"[\s:=\"'`*]+", text.rstrip(".,;)"))[-1]
    if len(value) < 6 or any(sign in value for sign in "([{") or value.startswith(("$", "os.", "env")):
        return False
    return any(map(str.isalpha, value)) and not value.replace("_", "").replace(".", "").replace("-", "").isalpha()


def email(text: str, before: str) -> bool:
    """Not the user part of a git address."""
    return not text.startswith("git@")


def iban_number(text: str, before: str) -> bool:
    """The candidate may have run on into the following words, so it is tried up to the end of each group, the remainder first."""
    compact = ""
    for group in re.split(r"[ -]", text.upper()):
        compact += group
        if len(compact) >= 15 and _remainder(compact) == 1 and iban.is_valid(compact):
            return True
    return False


def _remainder(compact: str) -> int:
    """ISO 7064 mod 97-10 of an IBAN: the first four signs go to the end, letters count from 10."""
    return int("".join([_VALUES[sign] for sign in compact[4:] + compact[:4]])) % 97


def card_number(text: str, before: str) -> bool:
    """A payment card: length and issuer prefix in use (ISO/IEC 7812), and the Luhn digit. Not the decimals of a fraction."""
    digits = digits_of(text)
    if (text.isdigit() and _decimals(before)) or not 12 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    prefix = int(digits[:4])
    issued = 3000 <= prefix <= 6999 or 2221 <= prefix <= 2720 or prefix in (2131, 1800)
    if len(digits) == 12 and not (prefix // 100 == 50 or 5600 <= prefix <= 6999):
        return False
    return issued and luhn.is_valid(digits)


def _decimals(before: str) -> bool:
    """A comma between digits is as often that of a list (``17,4111...``), and that doubt closes."""
    return before[-1:] == "." and before[-2:-1].isdigit()


def national_number(text: str, before: str) -> bool:
    """A national number whose own checks are strong enough to stand without a label."""
    if _decimals(before):
        return False
    if len(text) == 18:
        return bool(ric.is_valid(text))
    if len(text) == 15:
        return bool(nir.is_valid(text))
    if len(text) == 11:
        return bool(fodselsnummer.is_valid(text))
    return False


def ssn_number(text: str, before: str) -> bool:
    return bool(ssn.is_valid(text))


def nir_number(text: str, before: str) -> bool:
    return bool(nir.is_valid(text))


def cpf_number(text: str, before: str) -> bool:
    return bool(cpf.is_valid(text))


def id_with_letters(text: str, before: str) -> bool:
    return bool(dni.is_valid(text) or nie.is_valid(text) or codicefiscale.is_valid(text))


def id_nordic(text: str, before: str) -> bool:
    return bool(personnummer.is_valid(text) or hetu.is_valid(text))


def phone(text: str, before: str) -> bool:
    """E.164 allows 15 digits; fewer than 8 with a country code is nobody's number. Not the second term of a sum."""
    return 8 <= len(digits_of(text)) <= 15 and not before[-1:].isalnum()


def phone_labelled(text: str, before: str) -> bool:
    return 6 <= len(digits_of(text)) <= 15


def labelled(text: str, before: str) -> bool:
    """The label has said what it is; an identifier has at least five digits."""
    return len(digits_of(text)) >= 5


def ip4(text: str, before: str) -> bool:
    """A public address of somebody, and not a version or a section number."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    words = before.lower().split()
    marked = before[-1:] in ("v", "V", ".", "-") or (words[-1:] or [""])[-1].strip(":=") in _VERSION_BEFORE
    return address.is_global and text not in _PUBLIC_RESOLVERS and not marked


def ip6(text: str, before: str) -> bool:
    try:
        return ipaddress.IPv6Address(text).is_global
    except ValueError:
        return False


def always(text: str, before: str) -> bool:
    return True


Check = Callable[[str, str], bool]
"""Of the candidate and of the 16 characters before it."""
