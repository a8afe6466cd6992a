"""Where the data sets come from that tests, benchmarks and examples measure on: ``python -m bench.data``.

None of them is part of this project. Tests and benchmarks look for them in ``TRIMTAB_DATA`` (default: ``../shared/data`` beside the
checkout) and skip with a reason where they are absent. Each is one JSON object a line, gzipped, in the form that ``fields`` says; take the
source, bring it into that form, and put it at ``path``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
from msgspec import Struct
from tabulate import tabulate

ROOT = Path(os.environ.get("TRIMTAB_DATA") or Path(__file__).parents[2] / "shared" / "data")
OUTCOMES = "qid, dataset, category, prompt, scores{model: 0..1}"


class DataSet(Struct, frozen=True):
    path: str
    source: str
    licence: str
    fields: str


SETS = (
    DataSet(
        "replay/gsm8k_gpt4_mixtral.jsonl.gz",
        "https://github.com/lm-sys/RouteLLM: routellm/evals/gsm8k/gsm8k_responses.csv",
        "Apache-2.0",
        "prompt, answers{model: text}, scores{model: 0..1}",
    ),
    DataSet(
        "router/routellm_gsm8k.jsonl.gz",
        "https://github.com/lm-sys/RouteLLM: routellm/evals/gsm8k/gsm8k_responses.csv",
        "Apache-2.0",
        OUTCOMES,
    ),
    DataSet(
        "router/routellm_mmlu.jsonl.gz",
        "https://github.com/lm-sys/RouteLLM: routellm/evals/mmlu/responses/*.csv",
        "Apache-2.0",
        OUTCOMES,
    ),
    DataSet("router/mmlu_pro_tiger.jsonl.gz", "https://github.com/TIGER-AI-Lab/MMLU-Pro: eval_results", "Apache-2.0", OUTCOMES),
    DataSet(
        "router/zeroeval_gsm.jsonl.gz", "https://github.com/WildEval/ZeroEval: result_dirs", "Apache-2.0", f"{OUTCOMES}, answer"
    ),
    DataSet("router/zeroeval_crux.jsonl.gz", "https://github.com/WildEval/ZeroEval: result_dirs", "Apache-2.0", OUTCOMES),
    DataSet("router/zeroeval_math_l5.jsonl.gz", "https://github.com/WildEval/ZeroEval: result_dirs", "Apache-2.0", OUTCOMES),
    DataSet("router/llmrouter_uiuc_9models.jsonl.gz", "https://github.com/ulab-uiuc/LLMRouter", "MIT", f"{OUTCOMES}, split"),
    DataSet(
        "pii/pii.jsonl.gz",
        "https://github.com/microsoft/presidio-research: data (and others, per row in license)",
        "MIT",
        "text, spans[{start, end, type}], template_id, license",
    ),
)


def main() -> None:
    rows = [{**msgspec.structs.asdict(each), "here": (ROOT / each.path).exists()} for each in SETS]
    if "--json" in sys.argv:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    print(
        tabulate(
            [(row["path"], row["here"], row["licence"], row["source"], row["fields"]) for row in rows],
            ("path", "here", "licence", "source", "fields"),
        )
    )


if __name__ == "__main__":
    main()
