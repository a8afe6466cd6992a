"""What a deployment is for, where it is, and its credentials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.config.helpers import keys_of, loaded, write

from trimtab import catalog
from trimtab.config import AWSCredential, Config, DeploymentTable, EntraCredential, GoogleCredential, load
from trimtab.core.catalog import Deployment
from trimtab.core.errors import ConfigError
from trimtab.core.messages import Dialect, Operation
from trimtab.core.zones import Sensitivity

AWS = {"AWS_ID": "AKIDEXAMPLE", "AWS_SECRET": "aws-secret", "AWS_SESSION": "aws-session"}


def row(provider: str, *lines: str, model: str = "m") -> str:
    return "\n".join(("[[deployment]]", 'id = "d"', f'provider = "{provider}"', f'model = "{model}"', *lines, ""))


def only(config: Config) -> Deployment:
    [found] = config.deployments
    return found


def fault(folder: Path, text: str, env: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, env)
    assert caught.value.line is not None
    assert caught.value.hint
    return caught.value


# -- what it is for


def test_a_deployment_does_what_its_card_says(tmp_path: Path) -> None:
    env = {"OPENAI_API_KEY": "k"}
    assert only(loaded(tmp_path, row("openai"), env)).card.operations == {Operation.CHAT}
    embedder = only(loaded(tmp_path, row("openai", model="text-embedding-3-small"), env))
    assert (embedder.card.operations, embedder.card.embedding_space) == (frozenset({Operation.EMBEDDINGS}), None)
    assert embedder.price == catalog.price("openai", "text-embedding-3-small")
    assert Dialect.OPENAI_EMBEDDINGS in embedder.also


def test_the_operator_may_say_otherwise(tmp_path: Path) -> None:
    found = only(loaded(tmp_path, row("vllm", 'operations = ["chat", "embeddings"]', 'embedding_space = "ours"')))
    assert (found.card.operations, found.card.embedding_space) == (frozenset({Operation.CHAT, Operation.EMBEDDINGS}), "ours")
    card = '[[card]]\nname = "m"\noperations = ["embeddings"]\nembedding_space = "theirs"\n'
    assert only(loaded(tmp_path, card + row("vllm"))).card.embedding_space == "theirs"


@pytest.mark.parametrize("provider, model, line", [("anthropic", "m", 'operations = ["embeddings"]'), ("groq", "bge-m3", "")])
def test_what_the_provider_has_no_protocol_for_is_a_fault(tmp_path: Path, provider: str, model: str, line: str) -> None:
    found = fault(tmp_path, row(provider, line, model=model), {"ANTHROPIC_API_KEY": "k", "GROQ_API_KEY": "k"})
    assert found.message == f"Deployment 'd' is for embeddings, and provider {provider!r} has no protocol for it."
    assert f"{provider} does chat" in found.hint


def test_no_operation_at_all_and_one_that_there_is_not_are_faults(tmp_path: Path) -> None:
    fault(tmp_path, row("vllm", "operations = []"))
    assert "embeddings" in fault(tmp_path, row("vllm", 'operations = ["embedding"]')).hint


def test_a_path_for_what_is_no_protocol_is_a_fault(tmp_path: Path) -> None:
    found = fault(tmp_path, '[[provider]]\nname = "p"\npaths = { bogus = "/x" }\n')
    assert (found.key, "openai_chat" in found.hint) == ("provider[0].paths", True)


# -- where it is


def test_a_region_completes_an_address_and_is_then_the_providers_own(tmp_path: Path) -> None:
    env = {"AWS_BEARER_TOKEN_BEDROCK": "k"}
    found = loaded(tmp_path, row("bedrock", 'region = "eu-west-1"', model="anthropic.claude-haiku-4-5-20251001-v1:0"), env)
    assert only(found).base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert only(found).price is not None
    assert keys_of(found, "d") == ["k"]
    assert fault(tmp_path, row("bedrock"), env).message == "Deployment 'd' has no address without a region."
    elsewhere = loaded(tmp_path, row("bedrock", 'base_url = "https://proxy.example"'), env)
    assert (only(elsewhere).base_url, only(elsewhere).price, elsewhere.credentials) == ("https://proxy.example", None, {})


def test_a_row_without_an_address_is_at_home_where_it_is_given_one(tmp_path: Path) -> None:
    env = {"AZURE_OPENAI_API_KEY": "k"}
    found = loaded(tmp_path, row("azure", 'base_url = "https://contoso.openai.azure.com"', model="gpt-6-luna"), env)
    assert keys_of(found, "d") == ["k"]
    assert only(found).price is None, "the name of a deployment is no model's"
    assert fault(tmp_path, row("azure"), env).message == "Deployment 'd' has no address."


# -- credentials


def test_several_keys_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "third").write_text("k3", encoding="utf-8")
    text = row("openai", 'api_key = "env:A"', 'api_keys = ["env:B", "file:third"]', 'credentials = [{ api_key = "env:C" }]')
    config = loaded(tmp_path, text, {"A": "k1", "B": "k2", "C": "k4", "OPENAI_API_KEY": "unused"})
    assert keys_of(config, "d") == ["k1", "k2", "k3", "k4"]
    missing = fault(tmp_path, text, {"A": "k1", "C": "k4"})
    assert (missing.key, missing.message) == (
        "deployment[0].api_keys[0]",
        "Deployment 'd' has no key: the environment variable B is not set.",
    )


def test_credentials_for_clouds(tmp_path: Path) -> None:
    (tmp_path / "sa.json").write_text(json.dumps({"client_email": "sa", "private_key": "line\nline"}, indent=2), encoding="utf-8")
    keys = 'aws_access_key_id = "env:AWS_ID", aws_secret_access_key = "env:AWS_SECRET"'
    text = row(
        "bedrock",
        'region = "eu-west-1"',
        f'credentials = [{{ {keys} }}, {{ {keys}, aws_session_token = "env:AWS_SESSION", aws_region = "us-east-1" }}]',
    )
    first, second = loaded(tmp_path, text, AWS).credentials["d"]
    assert isinstance(first, AWSCredential)
    assert isinstance(second, AWSCredential)
    assert (first.access_key_id.reveal(), first.secret_access_key.reveal(), first.session_token, first.region) == (
        "AKIDEXAMPLE",
        "aws-secret",
        None,
        "eu-west-1",
    )
    assert (second.session_token and second.session_token.reveal(), second.region) == ("aws-session", "us-east-1")

    entra = '{ entra_tenant = "contoso", entra_client_id = "env:APP", entra_client_secret = "env:S" }'
    text = row("azure", 'base_url = "https://contoso.openai.azure.com"', f"credentials = [{entra}]")
    [found] = loaded(tmp_path, text, {"S": "entra-secret", "APP": "an-app"}).credentials["d"]
    assert isinstance(found, EntraCredential)
    assert (found.tenant, found.client_id, found.client_secret.reveal()) == ("contoso", "an-app", "entra-secret")

    text = row(
        "vertex",
        'base_url = "https://x.googleapis.com/v1/projects/p/locations/l"',
        'credentials = [{ google_service_account = "file:sa.json" }]',
    )
    [account] = loaded(tmp_path, text).credentials["d"]
    assert isinstance(account, GoogleCredential)
    assert json.loads(account.service_account.reveal())["private_key"] == "line\nline"


BEDROCK = 'region = "eu-west-1"'
AZURE = 'base_url = "https://contoso.openai.azure.com"'
AWS_KEY = 'aws_access_key_id = "env:AWS_ID", aws_secret_access_key = "env:AWS_SECRET"'
ENTRA = 'entra_tenant = "t", entra_client_id = "a", entra_client_secret = "env:AWS_SECRET"'
NO_REFERENCE = "a secret is written as a reference"


@pytest.mark.parametrize(
    "provider, where, credential, said",
    [
        ("bedrock", BEDROCK, 'aws_access_key_id = "env:AWS_ID"', "aws_secret_access_key is missing"),
        ("bedrock", 'base_url = "https://b.example"', AWS_KEY, "aws_region is missing"),
        ("bedrock", BEDROCK, 'api_key = "env:AWS_ID", aws_region = "eu"', "a credential is of one kind"),
        ("bedrock", BEDROCK, "", "a credential is of one kind"),
        ("bedrock", BEDROCK, AWS_KEY.replace("env:AWS_ID", "AKIDEXAMPLE"), NO_REFERENCE),
        ("azure", AZURE, 'entra_tenant = "t", entra_client_secret = "env:AWS_SECRET"', "entra_client_id is missing"),
        ("azure", AZURE, ENTRA.replace("env:AWS_SECRET", "aws-secret"), NO_REFERENCE),
        ("azure", AZURE, 'google_service_account = "env:AWS_ID"', "Google's service accounts are for Vertex alone"),
        ("openai", "", ENTRA, "Entra's tokens are for Azure alone"),
        ("azure", AZURE, f'{AWS_KEY}, aws_region = "r"', "AWS keys sign requests to Amazon alone"),
    ],
)
def test_half_a_credential_and_one_of_another_house_are_faults(
    tmp_path: Path, provider: str, where: str, credential: str, said: str
) -> None:
    found = fault(tmp_path, row(provider, where, f"credentials = [{{ {credential} }}]"), AWS)
    assert said in found.message
    assert found.key == "deployment[0].credentials[0]"
    assert not any(secret in f"{found} {found!r} {found.hint}" for secret in ("aws-secret", "AKIDEXAMPLE"))


def test_vertex_needs_a_credential(tmp_path: Path) -> None:
    found = fault(tmp_path, row("vertex", 'base_url = "https://x.googleapis.com/v1/projects/p/locations/l"'))
    assert (found.message, found.key) == ("Deployment 'd' has no credential.", "deployment[0].credentials")


def test_no_credential_is_in_the_hash_or_the_text(tmp_path: Path) -> None:
    text = row("openai", 'api_keys = ["env:A", "env:B"]')
    configs = [loaded(tmp_path, text, {"A": first, "B": "sk-second"}) for first in ("sk-first", "sk-other")]
    assert len({config.policy_hash for config in configs}) == 1
    assert "sk-" not in repr(configs)


# -- one door alone


def test_one_deployment_can_take_the_place_of_all(tmp_path: Path) -> None:
    path = write(tmp_path, '[starters]\nenabled = true\n[boundary]\npublic = "on_prem"\n' + row("vllm"))
    config = load(path, {"OPENAI_API_KEY": "k"}, only=DeploymentTable(id="openai", provider="openai", model="gpt-6-luna"))
    assert (only(config).id, keys_of(config, "openai"), config.local) == ("openai", ["k"], ())
    assert config.boundary.outermost[Sensitivity.PUBLIC] == "on_prem"
