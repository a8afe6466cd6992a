"""Does the complexity estimate point the right way? AUROC for "the weak model was wrong", with prompt length beside it.

Run: ``python bench/complexity.py``; data from ``TRIMTAB_DATA``. 0.5 is chance. The weights of ``signals/complexity.py`` were set by
hand before this was first run and have not been changed since; ``design/complexity.md`` has the figures.
"""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trimtab.signals.complexity import complexity, excerpt
from trimtab.signals.language import words_of

DATA = Path(os.environ.get("TRIMTAB_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "router"
SETS = (
    ("routellm_gsm8k", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    ("routellm_mmlu", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    ("mmlu_pro_tiger", "Meta-Llama-3_1-8B-Instruct"),
    ("zeroeval_gsm", "gemma-2-2b-it"),
    ("zeroeval_crux", "Meta-Llama-3.1-8B-Instruct"),
    ("zeroeval_math_l5", "Qwen2.5-7B-Instruct"),
)


class Row(msgspec.Struct):
    prompt: str
    scores: dict[str, float]


def auroc(values: Sequence[float], wrong: Sequence[bool]) -> float:
    """The chance that a wrongly answered question has the higher value; ties count half."""
    order = sorted(range(len(values)), key=values.__getitem__)
    rank_sum, at = 0.0, 0
    while at < len(order):
        end = at
        while end < len(order) and values[order[end]] == values[order[at]]:
            end += 1
        rank_sum += sum(wrong[index] for index in order[at:end]) * (at + end + 1) / 2
        at = end
    positive = sum(wrong)
    return (rank_sum - positive * (positive + 1) / 2) / (positive * (len(wrong) - positive))


def interval(values: Sequence[float], wrong: Sequence[bool], rounds: int = 200) -> str:
    """AUROC with a 95 % bootstrap interval."""
    chance = random.Random(1)
    again = []
    for _ in range(rounds):
        drawn = chance.choices(range(len(values)), k=len(values))
        again.append(auroc([values[index] for index in drawn], [wrong[index] for index in drawn]))
    again.sort()
    return f"{auroc(values, wrong):.3f} [{again[rounds // 40]:.3f}, {again[-rounds // 40]:.3f}]"


def main() -> None:
    print("set                weak model                               n   wrong  mean    complexity             length alone")
    for name, model in SETS:
        with gzip.open(DATA / f"{name}.jsonl.gz", "rb") as file:
            rows = [row for row in (msgspec.json.decode(line, type=Row) for line in file) if model in row.scores]
        if not rows:
            print(f"{name:18} {model}: not in the set")
            continue
        texts = [excerpt(row.prompt) for row in rows]
        values = [complexity(text, words_of(text), turns=1, tools=False)[0] for text in texts]
        wrong = [row.scores[model] < 0.5 for row in rows]
        length = interval([float(len(row.prompt)) for row in rows], wrong)
        shares = f"{len(rows):6} {sum(wrong) / len(rows):6.3f} {sum(values) / len(values):5.2f}"
        print(f"{name:18} {model:37} {shares}  {interval(values, wrong)}   {length}")


if __name__ == "__main__":
    main()
