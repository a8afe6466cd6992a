"""From texts to classes: find candidates, check them, count them by type."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from trimtab.core.zones import Sensitivity
from trimtab.signals.sensitivity import checks
from trimtab.signals.sensitivity.fold import fold
from trimtab.signals.sensitivity.patterns import blob, candidates, kinds_of

MAX_CANDIDATES = 1_000
"""Beyond that many candidates nobody looks further: what was not looked at counts as unreadable."""

_BEFORE = 16
_FIRST_RUN = re.compile(rb"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]+")
_SHORT = 4096
_LONG_WORD = re.compile(rb"\S{60}")  # the shortest line that the blob's pattern has
_LONGEST = 19  # digits of a payment card


class Found(Struct, frozen=True):
    """Classes, and how often each type was seen. ``problems`` says in words what could not be read."""

    classes: frozenset[Sensitivity] = frozenset()
    counts: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()


class _Kind(Struct, frozen=True):
    type: str
    sensitivity: Sensitivity
    check: checks.Check


_KINDS = {
    "private_key": (_Kind("private key", Sensitivity.SECRET, checks.always),),
    "jwt": (_Kind("JSON web token", Sensitivity.SECRET, checks.always),),
    "api_key": (_Kind("API key", Sensitivity.SECRET, checks.api_key),),
    "password": (_Kind("password", Sensitivity.SECRET, checks.password),),
    "email": (_Kind("e-mail address", Sensitivity.PERSONAL, checks.email),),
    "iban": (_Kind("IBAN", Sensitivity.FINANCIAL, checks.iban_number),),
    "phone_labelled": (_Kind("telephone number", Sensitivity.PERSONAL, checks.phone_labelled),),
    "id_labelled": (_Kind("identity number", Sensitivity.PERSONAL, checks.labelled),),
    "account_labelled": (_Kind("account number", Sensitivity.FINANCIAL, checks.labelled),),
    "health_labelled": (_Kind("patient number", Sensitivity.HEALTH, checks.labelled),),
    "birth_labelled": (_Kind("date of birth", Sensitivity.PERSONAL, checks.always),),
    "phone": (_Kind("telephone number", Sensitivity.PERSONAL, checks.phone),),
    "ip4": (_Kind("IP address", Sensitivity.PERSONAL, checks.ip4),),
    "ip6": (_Kind("IP address", Sensitivity.PERSONAL, checks.ip6),),
    "ssn": (_Kind("identity number", Sensitivity.PERSONAL, checks.ssn_number),),
    "nir": (_Kind("identity number", Sensitivity.PERSONAL, checks.nir_number),),
    "cpf": (_Kind("identity number", Sensitivity.PERSONAL, checks.cpf_number),),
    "id_with_letters": (_Kind("identity number", Sensitivity.PERSONAL, checks.id_with_letters),),
    "id_nordic": (_Kind("identity number", Sensitivity.PERSONAL, checks.id_nordic),),
    "number_grouped": (_Kind("payment card", Sensitivity.FINANCIAL, checks.card_number),),
    "number": (
        _Kind("payment card", Sensitivity.FINANCIAL, checks.card_number),
        _Kind("identity number", Sensitivity.PERSONAL, checks.national_number),
    ),
}
_UNSURE = _Kind("something unclear", Sensitivity.UNREADABLE, checks.always)


def scan(texts: Iterable[str]) -> Found:
    """Read ``texts``, which may be parts of one whole: a label in one is seen with the value in the next."""
    data = fold("\n".join(texts)).encode("utf-8", "replace")
    pattern = candidates()
    counts: dict[str, int] = {}
    classes: set[Sensitivity] = set()
    problems: list[str] = []
    position = seen = 0
    while (match := pattern.search(data, position)) is not None:
        seen += 1
        if seen > MAX_CANDIDATES:
            problems.append(f"more than {MAX_CANDIDATES} candidates")
            break
        start, end = match.start(), match.end()
        before = data[max(0, start - _BEFORE) : start].decode("utf-8", "replace")
        kind = _confirm(data[start:end], before)
        if kind is not None:
            counts[kind.type] = counts.get(kind.type, 0) + 1
            classes.add(kind.sensitivity)
            position = end
        else:
            # What was refused may have swallowed something good: behind a plus sign or a prefix of letters, say.
            run = _FIRST_RUN.match(data, start, end)
            position = run.end() if run else end
    if _holds_blob(data):
        problems.append("encoded data")
    if problems:
        classes.add(Sensitivity.UNREADABLE)
    return Found(frozenset(classes), tuple(sorted(counts.items())), tuple(problems))


def _confirm(candidate: bytes, before: str) -> _Kind | None:
    if len(candidate) > _LONGEST and candidate.isdigit():
        return None
    text = candidate.decode("utf-8", "replace")
    if text[:1].isdigit() and before[-1:].isdigit():
        return None  # the tail of a longer number
    names = kinds_of(candidate)
    if not names:
        return _UNSURE
    return next((kind for name in names for kind in _KINDS[name] if kind.check(text, before)), None)


def _holds_blob(data: bytes) -> bool:
    """Encoded data has many different signs, digits and letters among them; a ruler of dashes or a long word has not."""
    if len(data) < _SHORT and b";base64," not in data and _LONG_WORD.search(data) is None:
        return False  # every search of re2's lets another thread have its turn: worth saving on most requests
    pattern, position = blob(), 0
    while (match := pattern.search(data, position)) is not None:
        run = data[match.start() : match.end()]
        if run.startswith(b"data:") or (
            len(set(run)) >= 10 and any(48 <= sign <= 57 for sign in run) and any(sign >= 65 for sign in run)
        ):
            return True
        position = match.end()
    return False
