"""A LiteLLM configuration becomes one of ours that loads, answers to the same names, and says what it left behind."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from tests.config.importing.sources import BALANCED, CLOUDS, EVERYTHING, HOME, PLAIN, SECRETS

from trimtab import catalog, config
from trimtab.config.file import FileTable
from trimtab.config.importing.litellm import Converted, convert
from trimtab.config.importing.litellm.knowledge import knowledge
from trimtab.config.model import AWSCredential, EntraCredential, GoogleCredential
from trimtab.core.catalog import Deployment, Tier
from trimtab.core.errors import ConfigError
from trimtab.core.messages import Operation
from trimtab.core.units import USD

ENV = {"OPENAI_API_KEY": "k-openai", "AZURE_API_KEY": "k-azure", "LAB_URL": "https://lab.example/v1", "VERTEXAI_PROJECT": "p-1"}


def loaded(made: Converted, tmp_path: Path) -> config.Config:
    file = tmp_path / "trimtab.toml"
    file.write_text(made.toml)
    return config.load(file, dict.fromkeys(made.variables, "a-key"))


def by_id(found: config.Config) -> dict[str, Deployment]:
    return {deployment.id: deployment for deployment in found.deployments}


def noted(made: Converted, path: str) -> str:
    """The severity of the note on ``path``; fails where there is none."""
    return next(note.severity for note in made.notes if note.path == path)


def test_the_plainest_file_needs_nothing(tmp_path: Path) -> None:
    made = convert(PLAIN, ENV)
    assert made.notes == ()
    assert made.variables == ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
    found = by_id(loaded(made, tmp_path))
    assert set(found) == {"gpt-4o", "claude"}
    assert (found["claude"].provider, found["claude"].model) == ("anthropic", "claude-sonnet-4-5")
    assert found["claude"].called == ("claude", "claude"), "the upstream's name is none that LiteLLM's clients could ask for"
    assert {row.key for row in made.carried} >= {"deployment.names", "deployment.model", "deployment.api_key"}


def test_a_group_is_reached_by_its_name_and_by_its_aliases_and_by_nothing_else(tmp_path: Path) -> None:
    found = loaded(convert(BALANCED, ENV), tmp_path)
    called: dict[str, set[str]] = {}
    for deployment in found.deployments:
        for name in deployment.called:
            called.setdefault(name, set()).add(f"{deployment.provider} {deployment.model}")
    assert called["gpt-4o"] == called["gpt-4"] == {"openai gpt-4o", "azure-2024-08-01-preview our-4o"}
    assert called["small"] == {"groq gpt-4o"}, "the model's own name is another group's: only the group's name counts"
    assert "our-4o" not in called


def test_fallbacks_stand_in_for_a_group_and_its_aliases(tmp_path: Path) -> None:
    deployments = by_id(loaded(convert(BALANCED, ENV), tmp_path))
    assert deployments["small"].stands_in_for == {"gpt-4o", "gpt-4"}
    assert deployments["claude"].stands_in_for == {"gpt-4o", "gpt-4", "small"}, "by name, and as everybody's default"


def test_limits_times_prices_and_money_are_carried(tmp_path: Path) -> None:
    made = convert(BALANCED, ENV)
    found = loaded(made, tmp_path)
    deployments = by_id(found)
    price = deployments["eu-1"].price
    assert price is not None
    assert (price.input, price.output, price.cache_read) == (2.5 * USD, 10 * USD, 1.25 * USD)
    assert (deployments["eu-1"].timeouts.total, deployments["eu-1"].timeouts.idle) == (300, 20)
    assert deployments["small"].timeouts.first_token == 45
    assert found.routing.max_attempts == 5, "two retries on top of the first call, and two stand-ins"
    assert found.routing.budget_usd_per_day == 25 * USD
    assert found.server.max_concurrency == 50
    assert noted(made, "model_list[0].litellm_params.rpm") == "differs"
    assert noted(made, "model_list[2].litellm_params.temperature") == "differs"


def test_clouds_keep_their_regions_versions_and_credentials(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}")
    made = convert(CLOUDS, ENV)
    found = loaded(made, tmp_path)
    deployments, credentials = by_id(found), found.credentials
    azure = deployments["azure-entra"]
    assert (azure.provider, azure.base_url, azure.card.name) == ("azure", "https://eu.openai.azure.com", "gpt-6-luna")
    assert isinstance(credentials["azure-entra"][0], EntraCredential)
    assert deployments["azure-next"].base_url == "https://eu.openai.azure.com/openai/v1"
    nova, claude = deployments["nova"], deployments["bedrock-claude"]
    assert (nova.provider, nova.model, nova.region) == ("bedrock", "amazon.nova-lite-v1:0", "eu-west-1")
    assert (claude.provider, claude.base_url) == ("bedrock-anthropic", "https://bedrock-runtime.us-west-2.amazonaws.com")
    assert isinstance(credentials["nova"][0], AWSCredential)
    gemini = deployments["gemini"]
    assert gemini.base_url == "https://europe-west4-aiplatform.googleapis.com/v1/projects/p-1/locations/europe-west4"
    assert isinstance(credentials["gemini"][0], GoogleCredential)
    assert deployments["vertex-claude"].base_url == "https://aiplatform.googleapis.com/v1/projects/p-1/locations/global"
    assert noted(made, "model_list[4]") == "act", "Titan's embeddings are no Converse"


def test_servers_of_ones_own_keep_their_address_and_get_no_trust_that_nobody_gave(tmp_path: Path) -> None:
    made = convert(HOME, ENV)
    deployments = by_id(loaded(made, tmp_path))
    assert (deployments["llama"].provider, deployments["llama"].base_url) == ("ollama", "http://127.0.0.1:11434/v1")
    assert (deployments["llama"].tier, deployments["llama"].zone) == (Tier.SELF_HOSTED, "local")
    proxy = deployments["proxy"]
    assert (proxy.provider, proxy.base_url, proxy.tier, proxy.zone) == (
        "openai-compatible",
        "http://127.0.0.1:9000/v1",
        Tier.MANAGED,
        "any",
    )
    assert noted(made, "model_list[1].litellm_params.api_base") == "act"
    assert "insecure = true" in made.toml
    assert noted(made, "model_list[2].litellm_params.api_base") == "act"
    assert deployments["embedder"].card.operations == {Operation.EMBEDDINGS}
    assert "password" not in made.toml
    assert noted(made, "model_list[4]") == "act"
    assert deployments["from-the-environment"].base_url == "https://lab.example/v1"


def test_every_secret_stays_where_it_is() -> None:
    made = convert(SECRETS, {})
    told = msgspec.json.encode(made).decode()
    assert "hunter2" not in told
    assert made.toml.count("env:GPT_4O_API_KEY") == 1
    assert made.toml.count("env:CLAUDE_OPENAI_API_KEY") == 1, "an id that is not used twice"
    assert set(made.variables) == {
        "GPT_4O_API_KEY",
        "CLAUDE_OPENAI_API_KEY",
        "NOVA_AWS_ACCESS_KEY_ID",
        "NOVA_AWS_SECRET_ACCESS_KEY",
        "GEMINI_SERVICE_ACCOUNT",
        "AZURE_CLIENT_SECRET",
        "FROM_STORE",
    }


def test_everything_else_is_told_with_its_next_step() -> None:
    made = convert(EVERYTHING, ENV)
    paths = {note.path: note for note in made.notes}
    assert paths["general_settings.master_key"].next.startswith("Set TRIMTAB_API_KEY")
    assert "[telemetry]" in paths["litellm_settings.success_callback"].next
    assert "[cache]" in paths["litellm_settings.cache"].next
    assert paths["router_settings.routing_strategy"].severity == "differs"
    for path in ("guardrails", "include", "general_settings.database_url", "environment_variables.REDIS_HOST", "model_list[0]"):
        assert paths[path].severity == "act", path
    unknown = {path for path, note in paths.items() if "does not know" in note.what}
    assert unknown == {"general_settings.brand_new", "model_list[1].litellm_params.brand_new", "something_new"}
    assert all(note.what and note.next for note in made.notes)


def test_a_budget_of_a_month_is_not_made_into_one_of_a_day() -> None:
    made = convert("litellm_settings: {max_budget: 100, budget_duration: 30d}")
    assert "usd_per_day" not in made.toml.replace("# ", "")
    assert noted(made, "litellm_settings.max_budget") == "act"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no table"),
        ("- a\n- b", "no table"),
        ("model_list: [\n  {key: 'sk-hunter2'\n", "Not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']", "Not valid YAML"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{'abcdefgh'[i + 1]}: &{'abcdefgh'[i + 1]} [{','.join(['*' + 'abcdefgh'[i]] * 10)}]\n" for i in range(6)),
            "too many",
        ),
        ("a: " + "[" * 400 + "]" * 400, ""),
        ("x" * (5 << 20), "longer than"),
    ],
    ids=["empty", "list", "syntax", "object", "aliases", "depth", "length"],
)
def test_what_is_no_configuration_is_refused_without_being_quoted(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        convert(text)
    assert said in refused.value.message
    assert refused.value.hint
    assert "hunter2" not in str(refused.value)


def test_what_is_known_of_litellm_names_what_is_there() -> None:
    """A row of knowledge that points at a provider or a table that we lack would send people astray."""
    known = knowledge()
    assert {row.provider for row in known.prefix} <= set(catalog.providers())
    keys = [key for row in known.left for key in row.keys if row.section == "litellm_params"]
    assert len(keys) == len(set(keys))
    tables = {field.encode_name for field in msgspec.structs.fields(FileTable)}
    for row in known.left:
        for text in (row.what, row.next):
            named = set(re.findall(r"\[(\w+)\]", text))
            assert named <= tables, (row.section, row.keys, named - tables)


def test_the_made_file_is_toml_whatever_stands_in_a_name() -> None:
    name = 'a "b" \\ \x7f \U0001f600'
    made = convert(r'model_list: [{model_name: "a \"b\" \\ \x7f \U0001f600", litellm_params: {model: openai/gpt-4o}}]')
    assert tomllib.loads(made.toml)["deployment"][0]["names"] == [name]
