"""What is found, what is not taken for something, and that nothing of a body goes unread."""

from __future__ import annotations

import base64
import json
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, structs
from stdnum import iban, luhn
from tests.signals.asked import request

from trimtab.core.messages import Audio, Document, Image, Message, Opaque, Part, Reasoning, Request, Text, ToolCall, ToolResult
from trimtab.core.zones import Sensitivity
from trimtab.signals import sense
from trimtab.signals.sensitivity import read_request, scan
from trimtab.signals.sensitivity.detector import MAX_CANDIDATES
from trimtab.signals.sensitivity.strings import MAX_NODES, MAX_TEXT

P, F, S, H = Sensitivity.PERSONAL, Sensitivity.FINANCIAL, Sensitivity.SECRET, Sensitivity.HEALTH
CARD = "4111111111111111"


def made_key(length: int) -> str:
    """Made here, so that no scanner takes this file for a leak."""
    return "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=length - 2)) + "a1"


FOUND = [
    ("write to Jo.Doe+x@mail.example.co.uk today", P),
    ("schreib an jürgen@müller.example", P),
    ("call +49 170 1234567", P),
    ("call +1-984-182-0190.", P),
    ("(212) 555-0123", P),
    ("my phone number is 0171 2345678", P),
    ("Tel.: 040/123456", P),
    ("card 4111 1111 1111 1111 exp 12/29", F),
    ("4111-1111-1111-1111", F),
    ("amex 3782 822463 10005", F),
    ("DE89 3704 0044 0532 0130 00", F),
    ("gb29nwbk60161331926819", F),
    ("IBAN: GB29 NWBK 6016 1331 9268 19 and the rest of the sentence", F),
    ("account number 0012345678", F),
    ("536-22-8726", P),
    ("my social security number is 536228726", P),
    ("passport no. C01X00T47", P),
    ("Patient ID: 00812345", H),
    ("date of birth: 12.03.1981", P),
    ("DOB 1981-03-12", P),
    ("I was born on March 12, 1981", P),
    ("DNI 12345678Z", P),
    ("RSSMRA85T10A562S", P),
    ("CPF 390.533.447-05", P),
    ("2 55 08 14 168 025 38", P),
    ("131052-308T", P),
    ("client at 81.2.69.142 dropped", P),
    ("client at 2001:4860:4860:0:0:0:0:8844 dropped", P),
    ("password: hunter2!", S),
    ("DB_PASSWORD=hunter2x", S),
    ("the password is Tr0ub4dor&3", S),
    ("sk-proj-" + made_key(40), S),
    ("AKIA" + "IOSFODNN7EXAMPLE", S),
    ("ghp_" + made_key(36), S),
    ("xoxb-" + "12345678901-abcdefghij", S),
    ("AIza" + made_key(35), S),
    ("glpat-" + made_key(20), S),
    ("hf_" + made_key(34), S),
    ("-----BEGIN " + "RSA PRIVATE KEY-----", S),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + made_key(20), S),
]


@pytest.mark.parametrize("text,expected", FOUND)
def test_it_is_found_alone_and_within_a_sentence(text: str, expected: Sensitivity) -> None:
    assert expected in scan((text,)).classes
    assert expected in scan((f"Please look at this:\n{text}\nand tell me what you think of it.",)).classes


@pytest.mark.parametrize(
    "text",
    [
        "v1.2.3.4 and version 5.6.7.8 and release 10.4.2.1",
        "listening on 127.0.0.1 and 192.168.1.20, resolver 8.8.8.8",
        "4111 1111 1111 1112",  # Luhn is wrong
        "DE88 3704 0044 0532 0130 00",  # so is the checksum
        "pi is 3.14159265358979323846",
        "0.4111111111111111 of the whole",
        "ISBN 978-3-16-148410-0",
        "git clone git@github.com:owner/name.git",
        "@app.route('/') def index(): pass",
        "password = getpass.getpass()",
        "What is a password manager?",
        "sk-learn is short for scikit-learn-contrib-estimators",
        "12:30:45 until 14:00:00, std::vector<int>::iterator",
        "In 1977 there were 12,345,678 people; 1 2 3 4 5 6 7 8 9 10 11 12 13",
        "The patient is 45 years old and weighs 70 kg.",
        "x = 123456789 + 987654321",
        "----------------------------------------" * 10,
        "a" * 500,
    ],
)
def test_it_is_not_taken_for_something(text: str) -> None:
    assert scan((text,)).classes == set()


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**14 - 1), st.sampled_from(["", " ", "-", "\u00a0", "\u2013"]), st.sampled_from(["", "no:", "x", "\n", "漢"])
)
def test_every_valid_card_is_found_however_it_is_grouped(number: int, separator: str, before: str) -> None:
    digits = f"4{number:014d}"
    digits += luhn.calc_check_digit(digits)
    grouped = separator.join(digits[at : at + 4] for at in range(0, 16, 4))
    assert scan((f"{before}{grouped} ",)).classes & {F, P}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**8 - 1), st.integers(0, 10**10 - 1), st.booleans())
def test_every_valid_german_iban_is_found(bank: int, account: int, spaced: bool) -> None:
    bban = f"{bank:08d}{account:010d}"
    number = f"DE{98 - int(bban + '131400') % 97:02d}{bban}"
    assert iban.is_valid(number)
    text = iban.format(number) if spaced else number
    assert F in scan((f"Pay to {text} please, and quickly",)).classes


@pytest.mark.parametrize(
    "disguised",
    [
        "\uff14\uff11\uff11\uff11" + CARD[4:],  # full width
        "\u200b".join(CARD),  # zero width spaces
        "\u00ad".join(CARD),  # soft hyphens
        "".join(chr(0x0660 + int(digit)) for digit in CARD),  # Arabic-Indic
        "4111\u00a01111\u20111111\u20131111",  # no-break space, non-breaking hyphen, dash
    ],
)
def test_another_spelling_of_the_same_is_found(disguised: str) -> None:
    assert F in scan((disguised,)).classes


PLACES: list[Request] = [
    request("hello", "so", f"my card is {CARD}"),
    request("hello", more={"user": "jo@example.org"}),
    request("hello", more={"metadata": {"deep": [[{"card": CARD}]]}}),
    request("hello", more={"metadata": {CARD: True}}),
    request("hello", more={"metadata": {"card": int(CARD)}}),
    request("hello", more={"stop": [CARD]}),
    request("hello", more={"tools": [{"type": "function", "function": {"name": "f", "description": f"pays with {CARD}"}}]}),
    request("hello", more={"response_format": {"schema": {"enum": [CARD]}}}),
    request("hello", more={"x": json.dumps({"arguments": {"card": "4111" + "\\u0031" * 4 + CARD[8:]}}).replace("\\\\", "\\")}),
    request("hello", more={"x": f"first\\n{CARD}\\nlast"}),
    request("hello", more={"customer": {"passportNumber": "12345678"}}),
    request("hello", more={"customer": {"date_of_birth": "1981-03-12"}}),
    request("what is your social security number?", "536228726"),
    request(parts=(Text(f"my card is {CARD}"),)),
    request(parts=(ToolCall(id="1", name="pay", arguments=json.dumps({"card": CARD})),)),
    request(parts=(ToolResult(id="1", parts=(Text(CARD),)),)),
    request(parts=(Document(text=CARD, name="notes"),)),
]


@pytest.mark.parametrize("asked", PLACES, ids=range(len(PLACES)))
def test_every_place_of_a_request_is_read(asked: Request) -> None:
    assert read_request(asked).classes & {P, F}


@pytest.mark.parametrize("signature", [f"card {CARD}", json.dumps({"card": CARD}), f"first\\n{CARD}\\nlast"])
def test_what_a_client_sealed_is_read_as_an_upstream_gets_it(signature: str) -> None:
    """A card in a signature counts once, be it as it stands in the body, or opened from what stands there."""
    for thought in (Reasoning(signature=signature), Reasoning(redacted=signature)):
        message = Message("assistant", (thought,))
        sealed = structs.replace(request("hello", more={"x": "dHJpbXRhYjE6"}), messages=(message,))
        plain = structs.replace(request("hello", more={"x": signature}), messages=(message,))
        assert F in read_request(sealed).classes
        assert read_request(plain) == read_request(request("hello", more={"x": signature}))


def test_a_signature_makes_a_request_no_less_readable_than_it_is_in_a_body() -> None:
    for size, is_blob in ((60, False), (400, True)):
        signature = base64.b64encode(random.Random(5).randbytes(size)).decode()
        asked = request(parts=(Reasoning("t", signature),))
        assert (Sensitivity.UNREADABLE in read_request(asked).classes) is is_blob
        beside = structs.replace(request("hello", more={"x": "sealed"}), messages=asked.messages)
        assert (Sensitivity.UNREADABLE in read_request(beside).classes) is is_blob


def test_the_sensitive_part_of_a_json_string_is_found_behind_its_escapes() -> None:
    arguments = '{"card": "' + "".join(f"\\u{ord(digit):04x}" for digit in CARD) + '"}'
    assert CARD not in arguments
    assert F in read_request(request("hi", more={"arguments": arguments})).classes
    assert F in read_request(request("hi", more={"arguments": json.dumps({"inner": arguments})})).classes


json_values = st.recursive(
    st.none() | st.text(max_size=10) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(json_values, st.randoms())
def test_a_card_anywhere_in_any_json_is_found(around: object, chance: random.Random) -> None:
    body: object = f" {CARD} "
    for _ in range(chance.randint(1, 6)):
        body = [around, body] if chance.random() < 0.5 else {"a": around, "b": body}
    native = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "replace")
    assert F in read_request(request("hi", native=native)).classes


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://example.org/a.png"),
        Image(data="aGk=", media_type="image/png"),
        Audio(data="aGk=", format="wav"),
        Document(data="aGk=", media_type="application/pdf"),
        Document(url="https://example.org/a.pdf"),
        Document(text="plain", url="https://example.org/a.pdf"),
        Opaque(kind="video", raw=Raw(b'{"type": "video"}')),
        ToolResult(id="1", parts=(Image(url="https://example.org/a.png"),)),
    ],
)
def test_what_cannot_be_read_counts_as_unreadable(part: Part) -> None:
    assert Sensitivity.UNREADABLE in read_request(request(parts=(Text("look"), part))).classes


ENCODED = base64.b64encode(random.Random(3).randbytes(300)).decode()


@pytest.mark.parametrize(
    "text",
    [
        ENCODED,
        f"decode this: {ENCODED}",
        "\n".join(ENCODED[at : at + 76] for at in range(0, len(ENCODED), 76)),
        random.Random(3).randbytes(150).hex(),
        "data:image/png;base64,aGk=",
    ],
)
def test_encoded_data_counts_as_unreadable(text: str) -> None:
    assert Sensitivity.UNREADABLE in read_request(request(text)).classes


def test_a_key_that_occurs_twice_counts_as_unreadable() -> None:
    """Our reader keeps the last of two equal keys. Another may keep the first, and would see what we have not."""
    for native in (b'{"a": "4111 1111 1111 1111", "a": "hi"}', b'{"a": 1, "a": 2}', b'{"a\\"": 1, "b": {"\\\\": 1, "\\\\": "x"}}'):
        assert Sensitivity.UNREADABLE in read_request(request("hi", native=native)).classes
    assert read_request(request("hi", native=b'{"a\\"": "\\\\", "b": {"\\\\\\"": 1, "a": ["\\"", 7]}}')).classes == set()


@pytest.mark.parametrize(
    "native",
    [
        json.dumps({"a": "word " * (MAX_TEXT // 5 + 1)}).encode(),
        json.dumps([0] * (MAX_NODES + 1)).encode(),
        json.dumps({"a": "4111 1111 1111 1112 " * (MAX_CANDIDATES + 1)}).encode(),
    ],
    ids=["text", "nodes", "candidates"],
)
def test_beyond_the_bounds_it_counts_as_unreadable(native: bytes) -> None:
    assert Sensitivity.UNREADABLE in read_request(request("hi", native=native)).classes


@pytest.mark.parametrize("text,expected", FOUND)
def test_nothing_of_what_was_found_is_shown(text: str, expected: Sensitivity) -> None:
    signals = sense(request(text))
    shown = repr(signals)
    assert expected in signals.sensitivity
    for word in text.split():
        if any(map(str.isdigit, word)) and len(word) > 3:
            assert word not in shown
