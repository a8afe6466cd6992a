from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals.asked import request
from tests.strategies import requests

from trimtab.core.catalog import Capability
from trimtab.core.decision import Signals
from trimtab.core.messages import Dialect, Request
from trimtab.core.zones import Sensitivity
from trimtab.signals import sense

CARD = "4111 1111 1111 1111"


def evidence(signals: Signals) -> dict[str, str]:
    return dict(signals.evidence)


def test_nothing_found_is_internal_and_public_only_by_label() -> None:
    assert sense(request("hello")).sensitivity == {Sensitivity.INTERNAL}
    assert sense(request("hello"), frozenset({Sensitivity.PUBLIC})).sensitivity == {Sensitivity.PUBLIC}


@settings(max_examples=100, deadline=None)
@given(st.frozensets(st.sampled_from(Sensitivity)), st.sampled_from(["hello", CARD, "mail jo@example.org", "{"]))
def test_a_label_never_takes_away_what_was_found(labels: frozenset[Sensitivity], text: str) -> None:
    without = sense(request(text)).sensitivity - {Sensitivity.INTERNAL}
    assert without | labels <= sense(request(text), labels).sensitivity


@pytest.mark.parametrize(
    "reader,says",
    [
        ("trimtab.signals.sensitivity.reader.scan", "sensitivity"),
        ("trimtab.signals.reading.survey", "shape"),
        ("trimtab.signals.reading.input_tokens", "tokens"),
        ("trimtab.signals.reading.complexity", "complexity"),
    ],
)
def test_a_reader_that_fails_takes_its_careful_value_and_says_so(monkeypatch: pytest.MonkeyPatch, reader: str, says: str) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError(CARD)

    monkeypatch.setattr(reader, broken)
    read = sense(request("An ordinary question. " * 50))
    assert "failed (RuntimeError)" in evidence(read)[says]
    assert CARD not in str(read)
    if says == "sensitivity":
        assert read.sensitivity == {Sensitivity.UNREADABLE}
    if says == "shape":
        assert read.needs == set(Capability)
    if says in ("shape", "complexity"):
        assert read.input_tokens > 0
    if says == "tokens":
        assert 200 < read.input_tokens < 2_000
        assert not read.tokens_exact
    if says == "complexity":
        assert read.complexity == 0.5


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(Dialect).flatmap(requests))
def test_any_request_is_read_without_an_error(asked: Request) -> None:
    read = sense(asked)
    assert read.sensitivity
    assert 0 <= read.complexity <= 1
    assert read.input_tokens >= 0
    assert read.output_tokens >= 0


def test_a_body_that_is_no_json_is_unreadable() -> None:
    assert Sensitivity.UNREADABLE in sense(request("hi", native=b'{"model": "auto", "messages": [')).sensitivity


def test_lone_surrogates_deep_nesting_and_huge_numbers_end_in_a_value() -> None:
    natives = (
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a": ' * 500 + b"1" + b"}" * 500,
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"a": 1e999}',
    )
    assert all(sense(request("hi", native=native)).sensitivity for native in natives)


def test_the_time_each_reader_took_is_there() -> None:
    assert [name for name, _ in sense(request("hi")).took_us] == ["sensitivity", "shape", "complexity"]
