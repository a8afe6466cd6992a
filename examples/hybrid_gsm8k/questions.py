"""The questions, their right answers, and when an answer is right."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

REPLAY = Path("replay/gsm8k_gpt4_mixtral.jsonl.gz")
GOLD = Path("router/zeroeval_gsm.jsonl.gz")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


class Question(Struct, frozen=True):
    """``gold`` is ``None`` where the right answer is not known."""

    prompt: str
    gold: Decimal | None


class _Row(Struct):
    prompt: str
    answer: str = ""


def questions(data: Path) -> list[Question]:
    """The recorded questions, in the order of the recording, each with its right answer by the text of its prompt."""
    gold = {_normal(row.prompt): last_number(row.answer) for row in _rows(data / GOLD)}
    return [Question(row.prompt, gold.get(_normal(row.prompt))) for row in _rows(data / REPLAY)]


def last_number(text: str) -> Decimal | None:
    """The last number of an answer, which by the custom of GSM8K is the answer: ``$1,050.00.`` is 1050."""
    found = _NUMBER.findall(text)
    return Decimal(found[-1].replace(",", "")) if found else None


def is_right(question: Question, answer: str) -> bool:
    return question.gold is not None and last_number(answer) == question.gold


def _rows(file: Path) -> Iterator[_Row]:
    with gzip.open(file) as lines:
        for line in lines:
            yield msgspec.json.decode(line, type=_Row)


def _normal(text: str) -> str:
    return " ".join(text.split())
