"""Laws of importing: ours loads, a group means the same deployments, nothing is dropped in silence, and no secret moves."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.config.importing.litellm import convert
from trimtab.config.importing.litellm.knowledge import knowledge, prefixes
from trimtab.config.model import Config
from trimtab.config.resolve import Resolver
from trimtab.config.source import KeyPath, Source, dotted
from trimtab.core.decision import Ask, Signals, Wish
from trimtab.core.messages import Operation
from trimtab.core.zones import Sensitivity
from trimtab.lab.clock import ManualClock
from trimtab.routing.fleet import Fleet
from trimtab.routing.policy import compile_policy, decide

SECRET = "hunter2"
ENV = {"BASE": "https://host.example/v1", "REGION": "eu-west-1"}

names = st.sampled_from(["gpt-4o", "small", "emb", "auto", "gpt 4", "our/model", "openai/*", "*"])
upstreams = st.sampled_from(
    ["gpt-4o", "small", "claude-sonnet-4-5", "text-embedding-3-small", "converse/amazon.nova-lite-v1:0", "gemini-2.5-pro", "x*"]
)
models = st.one_of(
    upstreams, st.builds(lambda prefix, model: f"{prefix}/{model}", st.sampled_from([*prefixes(), "nobody"]), upstreams)
)
texts = st.sampled_from(
    [
        "",
        "os.environ/BASE",
        "os.environ/UNSET",
        "os.environ/",
        "https://host.example/v1",
        "http://127.0.0.1:8000",
        "http://vllm:1",
        "eu-west-1",
        "2024-10-21",
        "v1",
        "ü\x7f",
    ]
)
secrets = st.sampled_from([SECRET, "os.environ/NAME", "none", {"private_key": SECRET}])
numbers = st.one_of(
    st.integers(-1, 10**7),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["1e-6", "7", "soon", "os.environ/UNSET"]),
)
anything = st.one_of(texts, numbers, st.booleans(), st.just([{"a": 1}]))


def known(section: str) -> list[str]:
    return [key.replace("*", "x") for row in knowledge().left if row.section == section for key in row.keys]


def table(values: dict[str, st.SearchStrategy[object]], section: str) -> st.SearchStrategy[dict[str, object]]:
    rest = st.dictionaries(st.sampled_from(known(section)), anything, max_size=2)
    return st.builds(lambda most, given: most | given, rest, st.fixed_dictionaries({}, optional=values))


params = table(
    {
        "api_base": texts,
        "api_version": texts,
        "custom_llm_provider": st.sampled_from([*prefixes()]),
        **dict.fromkeys(["api_key", "client_secret", "aws_access_key_id", "aws_secret_access_key", "vertex_credentials"], secrets),
        **dict.fromkeys(["aws_region_name", "region_name", "vertex_project", "vertex_location", "tenant_id", "client_id"], texts),
        **dict.fromkeys(
            ["timeout", "stream_timeout", "input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost"], numbers
        ),
        "litellm_credential_name": st.sampled_from(["store", "none"]),
    },
    "litellm_params",
)
info = table({"id": names, "mode": st.sampled_from([*knowledge().modes, "rerank"]), "base_model": models}, "model_info")
entries = st.builds(
    lambda name, model, rest, info: {"model_name": name, "litellm_params": rest | {"model": model}, "model_info": info},
    names,
    models,
    params,
    info,
)
fallbacks = st.lists(st.dictionaries(names, st.one_of(names, st.lists(names, max_size=3)), max_size=2), max_size=2)
routers = table(
    {
        "num_retries": numbers,
        "timeout": numbers,
        "stream_timeout": numbers,
        "fallbacks": fallbacks,
        "context_window_fallbacks": fallbacks,
        "default_fallbacks": st.lists(names, max_size=2),
        "model_group_alias": st.dictionaries(
            st.sampled_from(["alias", "auto", "small"]),
            st.one_of(names, st.builds(lambda name: {"model": name}, names)),
            max_size=2,
        ),
    },
    "router_settings",
)
libraries = table(
    {
        "request_timeout": numbers,
        "num_retries": numbers,
        "fallbacks": fallbacks,
        "max_budget": numbers,
        "budget_duration": st.sampled_from(["1d", "30d"]),
    },
    "litellm_settings",
)
generals = table(
    {"master_key": secrets, "global_max_parallel_requests": numbers, "max_request_size_mb": numbers}, "general_settings"
)
documents = st.builds(
    lambda rest, most: most | rest,
    st.fixed_dictionaries({"model_list": st.lists(entries, max_size=3)}),
    table(
        {
            "router_settings": routers,
            "litellm_settings": libraries,
            "general_settings": generals,
            "environment_variables": st.fixed_dictionaries({}, optional={"BASE": texts, "NAME": secrets}),
            "credential_list": st.lists(
                st.builds(lambda key: {"credential_name": "store", "credential_values": {"api_key": key}}, secrets), max_size=1
            ),
            "include": st.lists(texts, min_size=1, max_size=2),
        },
        "",
    ),
)


def keys(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of everything that says something."""
    if value is None or value in ({}, []):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from keys(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from keys(item, (*path, number))
    else:
        yield path


def read(toml: str) -> Config:
    variables = dict.fromkeys(_references(tomllib.loads(toml)), "set")
    return Resolver(Source("made.toml", toml, Path()), variables).resolve(local=False)


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _references(item)
    elif isinstance(value, str) and value.startswith("env:"):
        yield value.removeprefix("env:")


@settings(max_examples=80, deadline=None)
@given(documents)
def test_whatever_is_imported_loads_and_accounts_for_every_key(document: dict[str, object]) -> None:
    made = convert(json.dumps(document), ENV)
    read(made.toml)
    told = {row.path for row in made.carried} | {note.path for note in made.notes}
    for path in keys(document):
        assert any(dotted(path[: length + 1]) in told for length in range(len(path))), dotted(path)
    assert SECRET not in msgspec.json.encode(made).decode()
    assert not [note for note in made.notes if "does not know" in note.what and "provider" not in note.what], "a key that is known"


@settings(max_examples=60, deadline=None)
@given(documents)
def test_a_name_means_the_deployments_of_its_group(document: dict[str, object]) -> None:
    """As the decision sees it: those of the group first, then its stand-ins, and nobody else."""
    document.pop("credential_list", None)
    made = convert(json.dumps(document), ENV)
    found = read(made.toml)
    policy = compile_policy(found)
    groups = {str(entry["model_name"]) for entry in document["model_list"]}  # type: ignore[attr-defined]
    fleet = Fleet(ManualClock()).snapshot()
    for group in sorted(groups - set(Wish)):
        own = {deployment.id for deployment in found.deployments if group in deployment.names}
        others = {deployment.id for deployment in found.deployments if group in deployment.stands_in_for}
        chats = {deployment.id for deployment in found.deployments if Operation.CHAT in deployment.card.operations}
        assert own.isdisjoint(others)
        decision = decide(policy, _ask(group), _signals(), fleet)
        planned = [row.deployment for row in (*decision.plan, *decision.spare)]
        assert set(planned) == (own | others) & chats
        assert planned == sorted(planned, key=lambda name: name in others), "stand-ins come last"


def _ask(name: str) -> Ask:
    return Ask(named=name)


def _signals() -> Signals:
    return Signals(
        input_tokens=10,
        tokens_exact=True,
        output_tokens=10,
        needs=frozenset(),
        language="en",
        turns=1,
        complexity=0.5,
        sensitivity=frozenset({Sensitivity.INTERNAL}),
        evidence=(),
    )
