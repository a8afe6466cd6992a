"""Candidates: the patterns of every kind. What a candidate is worth, ``checks.py`` says.

RE2 runs in linear time on any input. The text is searched with one combined pattern and not with an ``re2.Set``: a Set that runs out of
DFA memory reports "no match", which here would be "nothing sensitive", while a pattern falls back to a slower engine and stays right.

Where formats come from: e-mail after RFC 5321, IBAN ISO 13616, card lengths ISO/IEC 7812, E.164 for telephone numbers, JWT RFC 7519,
PEM RFC 7468; tokens as their issuers document the prefixes (OpenAI, Anthropic, AWS, GitHub, GitLab, Slack, Google, Hugging Face, npm, PyPI,
Stripe, SendGrid, Docker, Shopify).
"""

from __future__ import annotations

import functools
from typing import Protocol

import re2

_TOKENS = (
    r"sk-[A-Za-z0-9_-]{20,}",
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_[A-Za-z0-9_]{22,}",
    r"gl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,}",
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",
    r"xapp-[A-Za-z0-9-]{20,}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"ya29\.[A-Za-z0-9_-]{20,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{40,}",
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"dckr_pat_[A-Za-z0-9_-]{20,}",
    r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}",
)

_CREDENTIAL_NAMES = (
    "api key|secret(?: access)? key|client secret|(?:access|auth|refresh) token|password|passwd|passphrase|pwd|passwort|"
    "mot de passe|contraseña"
)
_PERSONAL_NAMES = (
    "ssn|social security|social insurance|passport|driv(?:er|ing)(?:'?s)? licen[cs]e|licen[cs]e number|national id(?:entity)?|"
    "(?:id|identity)(?: card)? number|tax ?(?:payer)? id|tin|national insurance|nino|nhs number|aadhaa?r|pan|cpf|pesel|bsn|dni|nie|nif|"
    "codice fiscale|steuer id|personnummer|voter id|employee id|student id|user id|sozialversicherungsnummer|personalausweis"
)
_FINANCIAL_NAMES = (
    "(?:(?:bank|checking|savings|giro) ?)?account|acct|konto(?:nummer)?|routing|sort code|(?:credit|debit) card|card number|"
    "iban|swift|bic"
)
_HEALTH_NAMES = "patient|mrn|medical record|health (?:insurance|card)|medicare|krankenversichertennummer"
_PHONE_NAMES = (
    "(?:tele|cell|mobile)?phone|tel|mobile|cell|fax|whatsapp|contact number|telefon|handy|"
    "call (?:me|us|him|her|them)|text me|reach me|ring me"
)
_BIRTH_NAMES = (
    "dob|d\\.o\\.b|date of birth|birth ?date|birthday|i was born|born on|geburtsdatum|geboren am|date de naissance|n[ée]e? le|"
    "fecha de nacimiento|nacid[oa] el|data di nascita|data de nascimento"
)


def _named(names: str) -> str:
    """Any of ``names`` as written in prose, ``snake_case``, ``kebab-case`` or ``camelCase``."""
    return r"(?i:(?:\b|_)(?:" + names.replace(" ", r"[ _-]?") + r")(?:\b|_|n(?:umber|um|o|r)\b|id\b))"


_BETWEEN = r"[\s:#=\"'.,()*?_-]*"
_GAP = _BETWEEN + rf"(?:(?i:is|no|number|num|nr|id|code)\b{_BETWEEN}){{0,3}}"
# Of the words after a label only those that hold a digit belong to the number.
_IDENTIFIER = _GAP + r"[A-Za-z]{0,5}[-_/]?[0-9][A-Za-z0-9]*(?:[ /-][A-Z0-9]*[0-9][A-Z0-9]*)*"
_ASSIGNED = r"(?:[\"'*]{0,2}\s*[:=]\s*[\"'`*]{0,2}|\s+(?:is|was)\s*:?\s+[\"'`]?|\n)[^\s\"'`<>]{6,}"
_DATE = (
    r"(?:[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{2,4}|[0-9]{1,2}(?:st|nd|rd|th|\.)? (?:of )?\pL{3,10}\.?,? [0-9]{4}|"
    r"\pL{3,10}\.? [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4})"
)

# Of several that fit, the earlier is asked first.
_PATTERNS = (
    ("private_key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("api_key", r"(?:\b|_)(?:" + "|".join(_TOKENS) + ")"),
    ("password", _named(_CREDENTIAL_NAMES) + _ASSIGNED),
    ("email", r"[^\s@<>()\[\]{}\"',;:|=/\\]+@(?:[\pL\pN-]+\.)+(?:\pL{2,24})"),
    ("iban", r"\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]{2,4}){3,8}[A-Za-z0-9]?"),
    ("phone_labelled", _named(_PHONE_NAMES) + _GAP + r"(?:(?:at|on|under)\b\s*)?[+(]?[0-9][0-9 ()./-]{4,}[0-9]"),
    ("id_labelled", _named(_PERSONAL_NAMES) + _IDENTIFIER),
    ("account_labelled", _named(_FINANCIAL_NAMES) + _IDENTIFIER),
    ("health_labelled", _named(_HEALTH_NAMES) + _IDENTIFIER),
    ("birth_labelled", _named(_BIRTH_NAMES) + r"[\s:,.*\"'=_-]{0,6}(?:is |on |in )?" + _DATE),
    ("phone", r"\+[0-9]{1,3}(?:[ ./-]?\(?[0-9]{1,5}\)?){2,7}|\(?\b[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[.-][0-9]{4}\b"),
    ("ip4", r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b"),
    ("ip6", r"\b[0-9A-Fa-f]{1,4}(?:::?[0-9A-Fa-f]{1,4}){3,7}\b"),
    ("ssn", r"[0-9]{3}-[0-9]{2}-[0-9]{4}\b"),
    ("number_grouped", r"(?:[0-9]{4}[\s._/-]{1,3}){3}[0-9]{1,7}|[0-9]{4}[\s._/-]{1,3}[0-9]{6}[\s._/-]{1,3}[0-9]{5}"),
    ("nir", r"[12] [0-9]{2} [0-9]{2} [0-9]{2} [0-9]{3} [0-9]{3} [0-9]{2}\b"),
    ("cpf", r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b"),
    (
        "id_with_letters",
        r"\b(?:[XYZxyz][0-9]{7}|[0-9]{8})[A-Za-z]\b|\b[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}[A-Za-z][0-9]{3}[A-Za-z]\b",
    ),
    ("id_nordic", r"\b[0-9]{6}(?:[0-9]{2})?[+A-][0-9]{3}[0-9A-Z]\b"),
    ("number", r"[0-9]{11,}[Xx]?"),
)


class Match(Protocol):
    """What we use of the engine's match."""

    def start(self) -> int: ...
    def end(self) -> int: ...


class Pattern(Protocol):
    def search(self, text: bytes, pos: int = 0) -> Match | None: ...


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    return options


def _compile(source: str) -> Pattern:
    compiled: Pattern = re2.compile(source.encode(), _options())
    return compiled


@functools.cache
def candidates() -> Pattern:
    """Where a candidate of any kind stands. Without groups the engine stays on its fast path also where there is a match."""
    return _compile("|".join(f"(?:{source})" for _, source in _PATTERNS))


@functools.cache
def _set() -> re2.Set:
    kinds = re2.Set.FullMatchSet(_options())
    for _, source in _PATTERNS:
        kinds.Add(source.encode())
    kinds.Compile()
    return kinds


def kinds_of(candidate: bytes) -> list[str]:
    """The kinds whose pattern fits the whole candidate, the more telling first. Empty when the engine gave up, which is no acquittal."""
    return [_PATTERNS[index][0] for index in sorted(_set().Match(candidate) or ())]


@functools.cache
def blob() -> Pattern:
    """A run that may be encoded data: 200 characters of a base64 or hexadecimal alphabet, or lines of 60 to 76 of them."""
    return _compile(r"[A-Za-z0-9+/_=-]{200}|(?:[A-Za-z0-9+/]{60,76}=*\r?\n){3}|data:[a-z]+/[A-Za-z0-9.+-]+;base64,")
