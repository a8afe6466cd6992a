"""The shipped rows: whole, dated, and consistent with each other."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import fmean

import pytest

from trimtab import catalog
from trimtab.catalog import CardRow, Licence, ProviderRow, Starter, WeightsRow
from trimtab.core.catalog import Capability
from trimtab.core.messages import Dialect, Operation

DATA = Path(os.environ.get("TRIMTAB_DATA", Path(__file__).parents[3] / "shared/data"))
MMLU_PRO = DATA / "router/mmlu_pro_tiger.jsonl.gz"

Row = ProviderRow | CardRow | Starter | WeightsRow | Licence


def all_rows() -> Sequence[Row]:
    return [
        *catalog.providers().values(),
        *catalog.card_rows(),
        *catalog.starters(),
        *catalog.weights(),
        *catalog.licences().values(),
    ]


def test_each_row_says_where_and_when_it_was_read() -> None:
    for row in all_rows():
        assert row.source.startswith("https://"), row
        assert date.fromisoformat(row.as_of) <= date(2100, 1, 1), row


HOSTED = {"openai", "anthropic", "together", "fireworks", "groq", "mistral", "deepseek", "openrouter"} | {
    "gemini", "cohere", "xai", "cerebras", "sambanova", "deepinfra", "huggingface", "replicate"
}  # fmt: skip
CLOUDS = {"azure", "azure-v1", "bedrock", "bedrock-anthropic", "vertex", "vertex-anthropic"}
OWN = {"vllm", "sglang", "ollama", "llama.cpp", "lm-studio", "tgi", "litellm"}


def test_the_providers_that_are_promised() -> None:
    rows = catalog.providers()
    assert set(rows) == HOSTED | CLOUDS | OWN
    for name, row in rows.items():
        assert row.zone == "any", "a row opens no door; the address decides about one's own"
        if name in OWN:
            assert (row.base_url.startswith("http://127.0.0.1:"), row.key_env) == (True, ""), name
        else:
            assert row.base_url == "" if name in CLOUDS and not row.base_url else row.base_url.startswith("https://"), name
            assert bool(row.key_env) or row.auth == "google", name


def test_what_a_row_speaks_it_says_once_and_has_paths_for_nothing_else() -> None:
    for name, row in catalog.providers().items():
        assert len(set(row.dialects)) == len(row.dialects), name
        assert row.dialect.operation is Operation.CHAT, name
        assert set(row.paths) <= set(row.dialects), name
        assert set(row.stream_paths) <= set(row.paths), name
        assert row.cloud is None or row.dialect is Dialect.ANTHROPIC, name
        assert all(path.startswith("/") for path in (*row.paths.values(), *row.stream_paths.values())), name


def test_a_starter_names_a_provider_its_key_and_a_card_that_there_are() -> None:
    for starter in catalog.starters():
        assert catalog.providers()[starter.provider].key_env == starter.key_env
        found = catalog.card(starter.card)
        assert found is not None
        assert found.name == starter.card
        assert found == catalog.card(starter.model), "the model's own name leads to the same card"
        assert found.context_window is not None
        assert Capability.TOOLS in (found.capabilities or ())


def test_each_key_starts_one_to_three_deployments() -> None:
    per_key: dict[str, list[str]] = {}
    for starter in catalog.starters():
        per_key.setdefault(starter.key_env, []).append(starter.model)
    assert {row.key_env for row in catalog.providers().values() if row.key_env} >= per_key.keys()
    assert all(1 <= len(set(models)) == len(models) <= 3 for models in per_key.values())


def test_a_name_or_alias_means_one_card() -> None:
    names = [name.lower() for row in catalog.card_rows() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))


def test_cards_are_found_by_alias_in_any_case() -> None:
    expected = catalog.card("llama-3.1-8b-instruct")
    assert expected is not None
    assert expected == catalog.card("Meta-Llama/Llama-3.1-8B-INSTRUCT")
    assert catalog.card("llama-3.1-8b") is None


def test_ones_own_card_wins_over_an_alias() -> None:
    rows = (CardRow(name="a", aliases=("b",)), CardRow(name="b"))
    assert catalog.index_cards(rows)["b"].name == "b"


def test_weights_can_be_fetched_and_verified() -> None:
    for row in catalog.weights():
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256), row.name
        assert bool(row.package) != bool(row.repo), "one source each"
        assert all((row.version, row.wheel_sha256, row.member)) if row.package else all((row.revision, row.filename)), row.name
        found = catalog.card(row.card)
        assert found is not None
        assert (row.licence, row.parameters) == (found.licence, found.parameters)


def test_only_the_smallest_weights_are_a_reserve_by_default() -> None:
    smallest = min(catalog.weights(), key=lambda row: row.parameters)
    assert [smallest] == [row for row in catalog.weights() if row.reserve]


def test_each_licence_that_is_named_is_listed() -> None:
    named = {row.licence for row in catalog.card_rows()} | {row.licence for row in catalog.weights()}
    named.discard(None)
    assert named == catalog.licences().keys(), "and none is listed for nothing"


# The names of the same models in TIGER-AI-Lab's results.
IN_THE_RESULTS = {
    "llama-3.1-70b-instruct": "Meta-Llama-3_1-70B-Instruct",
    "llama-3.1-8b-instruct": "Meta-Llama-3_1-8B-Instruct",
    "mixtral-8x7b-instruct-v0.1": "Mixtral-8x7B-Instruct-v0.1",
    "mistral-7b-instruct-v0.2": "Mistral-7B-Instruct-v0.2",
}


@pytest.mark.skipif(not MMLU_PRO.exists(), reason="the MMLU-Pro results are not at hand (TRIMTAB_DATA)")
def test_abilities_are_what_the_published_results_give() -> None:
    scores: dict[str, list[float]] = {name: [] for name in IN_THE_RESULTS}
    with gzip.open(MMLU_PRO, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)["scores"]
            for name, theirs in IN_THE_RESULTS.items():
                if theirs in row:
                    scores[name].append(row[theirs])
    shipped = {row.name: row.ability for row in catalog.card_rows() if row.ability is not None and not row.ability.assumed}
    assert IN_THE_RESULTS.keys() == shipped.keys()
    for name, ability in shipped.items():
        assert (round(fmean(scores[name]), 4), len(scores[name])) == (ability.score, ability.questions), name


def test_the_guide_has_a_line_for_every_provider() -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/providers.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([^`]+)` \|", guide, re.MULTILINE) == list(catalog.providers())
