from __future__ import annotations

import gzip
import os
from pathlib import Path

import msgspec
import pytest
from bench.complexity import Row, auroc
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.signals.complexity import BASE, LOOK_AT, complexity, excerpt
from trimtab.signals.language import words_of

DATA = Path(os.environ.get("TRIMTAB_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def estimate(text: str, turns: int = 1, *, tools: bool = False) -> float:
    return complexity(excerpt(text), words_of(excerpt(text)), turns=turns, tools=tools)[0]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), st.integers(0, 50), st.booleans())
def test_it_is_a_share_and_its_parts_add_up(text: str, turns: int, tools: bool) -> None:
    value, parts = complexity(text, words_of(text), turns=turns, tools=tools)
    assert 0 <= value <= 1
    assert value == pytest.approx(min(1.0, max(0.0, BASE + sum(parts.values()))))


def test_a_greeting_is_easier_than_a_proof() -> None:
    assert (
        estimate("hi there")
        < 0.4
        < 0.6
        < estimate(
            "Prove that for every prime p greater than 3 the value p^2 - 1 is divisible by 24. "
            "Explain each step, consider both cases, and do not use induction, because it must hold without exception."
        )
    )


def test_a_question_without_any_keyword_is_not_taken_for_simple() -> None:
    """A known fault of keyword routers: no keyword found, hence score zero, hence the cheapest model."""
    assert estimate("Patient presents bilateral crackles, orthopnoea, elevated jugular venous pressure; next step?") >= BASE


def test_a_long_text_is_read_at_both_ends() -> None:
    text = "beginning " + "x " * 10**5 + "end"
    assert excerpt(text).startswith("beginning")
    assert excerpt(text).endswith("end")
    assert len(excerpt(text)) <= LOOK_AT + 1


@pytest.mark.skipif(not (DATA / "router").is_dir(), reason="the data sets are not here; set TRIMTAB_DATA")
def test_its_direction_is_right_on_real_questions() -> None:
    """Not more than the sign: harder for the weak model should look harder. ``design/complexity.md`` has the figures."""
    model = "mistralai/Mixtral-8x7B-Instruct-v0.1"
    with gzip.open(DATA / "router" / "routellm_mmlu.jsonl.gz", "rb") as file:
        rows = [msgspec.json.decode(line, type=Row) for line in file][::4]
    assert auroc([estimate(row.prompt) for row in rows], [row.scores[model] < 0.5 for row in rows]) > 0.55


def test_auroc_is_what_its_definition_says() -> None:
    values, wrong = [0.1, 0.4, 0.35, 0.8, 0.4], [False, False, True, True, True]
    hard = [value for value, is_wrong in zip(values, wrong, strict=True) if is_wrong]
    easy = [value for value, is_wrong in zip(values, wrong, strict=True) if not is_wrong]
    wins = sum((one > other) + (one == other) / 2 for one in hard for other in easy)
    assert auroc(values, wrong) == pytest.approx(wins / (len(hard) * len(easy)))
