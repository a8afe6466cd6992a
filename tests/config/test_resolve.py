"""What a configuration comes to."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.config.helpers import VLLM, keys_of, loaded, write

from trimtab import catalog
from trimtab.config import Config, LocalModel, default_text, load
from trimtab.config.address import place_of
from trimtab.config.deployments import nano_usd
from trimtab.core.catalog import Capability, Deployment, Tier
from trimtab.core.decision import LatencyClass
from trimtab.core.errors import ConfigError
from trimtab.core.units import FREE, USD, Price, Timeouts
from trimtab.core.zones import DEFAULT_ZONES, Sensitivity


def only(config: Config) -> Deployment:
    (deployment,) = config.deployments
    return deployment


def deployment(folder: Path, more: str, provider: str = "vllm", env: dict[str, str] | None = None) -> Deployment:
    return only(loaded(folder, f'[[deployment]]\nid = "a"\nmodel = "m"\nprovider = "{provider}"\n{more}\n', env))


def test_the_shipped_default_has_the_local_model_as_a_reserve_and_nothing_else() -> None:
    config = load(None, {})
    assert config.local == (LocalModel(id="local", weights="smollm2-135m-instruct", context=4096, threads=None),)
    local = only(config)
    assert (local.id, local.zone, local.tier, local.price, local.reserve) == ("local", "local", Tier.SELF_HOSTED, FREE, True)
    assert local.card.context_window == 4096, "what fits is what the server is started with"
    assert local.card.capabilities is not None
    assert Capability.TOOLS not in local.card.capabilities
    assert not load(None, {}, local=False).deployments
    assert config.credentials == {}


def test_the_shipped_default_says_what_an_empty_file_means(tmp_path: Path) -> None:
    shipped, empty = load(None, {}), loaded(tmp_path, "")
    for part in ("server", "store", "boundary", "network", "routing", "rows"):
        assert getattr(shipped, part) == getattr(empty, part), part
    assert not empty.deployments
    assert tomllib.loads(default_text())["starters"] == {"enabled": True}
    assert not loaded(tmp_path, "", {"OPENAI_API_KEY": "k"}).deployments, (
        "what a file of one's own does not ask for does not appear"
    )


def test_the_default_boundary_fails_closed() -> None:
    boundary = load(None, {}).boundary
    assert boundary.zones == DEFAULT_ZONES
    assert boundary.outermost.keys() == set(Sensitivity)
    open_to_all = {found for found in Sensitivity if boundary.admits([found], "any")}
    assert open_to_all == {Sensitivity.PUBLIC, Sensitivity.INTERNAL}
    assert all(boundary.admits([found], "on_prem") for found in Sensitivity)


def test_keys_in_the_environment_fill_the_tiers() -> None:
    env = {row.key_env: "k" for row in catalog.providers().values() if row.key_env}
    config = load(None, env, local=False)
    assert len(config.deployments) == len(catalog.starters())
    assert {found.tier for found in config.deployments} == {Tier.CLOSED, Tier.MANAGED}
    assert config.credentials.keys() == {found.id for found in config.deployments}
    assert "openai/gpt-6-luna" in config.credentials
    unpriced = {found.id for found in config.deployments if found.price is None}
    assert unpriced == {"deepseek/deepseek-v4.1-flash"}, "its price changes with the hour"
    assert {found.provider for found in load(None, {"OPENAI_API_KEY": " "}, local=False).deployments} == set(), (
        "an empty key is none"
    )


def test_starters_stay_away_where_the_operator_has_spoken(tmp_path: Path) -> None:
    text = '[starters]\nenabled = true\n[[deployment]]\nid = "mine"\nprovider = "openai"\nmodel = "gpt-6-luna"\n'
    config = loaded(tmp_path, text, {"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"})
    assert [found.id for found in config.deployments if found.provider == "openai"] == ["mine"]
    assert {found.provider for found in config.deployments} == {"openai", "groq"}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:8000/v1", "loopback"),
        ("http://127.9.9.9/v1", "loopback"),
        ("http://localhost/v1", "loopback"),
        ("http://LOCALHOST./v1", "loopback"),
        ("http://[::1]:1/v1", "loopback"),
        ("http://[::ffff:127.0.0.1]/v1", "loopback"),
        ("http://10.1.2.3/v1", "private"),
        ("http://172.31.0.1/v1", "private"),
        ("http://192.168.1.1/v1", "private"),
        ("http://[fd00::1]/v1", "private"),
        ("http://172.32.0.1/v1", "elsewhere"),
        ("http://169.254.169.254/v1", "elsewhere"),
        ("http://0.0.0.0/v1", "elsewhere"),
        ("http://8.8.8.8/v1", "elsewhere"),
        ("http://[::ffff:8.8.8.8]/v1", "elsewhere"),
        ("http://127.1/v1", "elsewhere"),
        ("http://2130706433/v1", "elsewhere"),
        ("http://localhost.example/v1", "elsewhere"),
        ("http://127.0.0.1.example/v1", "elsewhere"),
        ("http://127.0.0.1@evil.example/v1", "elsewhere"),
    ],
)
def test_where_an_address_is(url: str, place: str) -> None:
    assert place_of(url) == place


def test_the_address_decides_the_zone_unless_the_operator_does(tmp_path: Path) -> None:
    assert deployment(tmp_path, "").zone == "local"
    assert deployment(tmp_path, 'base_url = "http://192.168.0.9/v1"').zone == "on_prem"
    assert deployment(tmp_path, 'base_url = "https://llm.example/v1"').zone == "any", "a name is nobody's own machine"
    assert deployment(tmp_path, 'zone = "any"').zone == "any"
    assert deployment(tmp_path, 'base_url = "http://llm.example/v1"\ninsecure = true\nzone = "on_prem"').zone == "on_prem"


def test_a_provider_is_added_in_one_row(tmp_path: Path) -> None:
    text = """
        [[provider]]
        name = "acme"
        base_url = "https://llm.acme.example/v1"
        key_env = "ACME_KEY"
        zone = "eu_processor"
        region = "eu-1"

        [[deployment]]
        id = "acme-8b"
        provider = "acme"
        model = "llama-3.1-8b-instruct"
    """
    config = loaded(tmp_path, text, {"ACME_KEY": "k"})
    found = only(config)
    assert (found.zone, found.region, found.tier, found.price) == ("eu_processor", "eu-1", Tier.MANAGED, None)
    assert found.card == catalog.card("llama-3.1-8b-instruct")
    assert keys_of(config, "acme-8b") == ["k"]
    assert config.rows["acme"].key_env == "ACME_KEY"


def test_a_key_goes_only_to_the_address_it_belongs_to(tmp_path: Path) -> None:
    env = {"OPENAI_API_KEY": "k", "OTHER": "o"}
    text = '[[deployment]]\nid = "a"\nprovider = "openai"\nmodel = "gpt-6-luna"\n'
    assert keys_of(loaded(tmp_path, text, env), "a") == ["k"]
    assert "a" not in loaded(tmp_path, text + 'base_url = "https://elsewhere.example/v1"\n', env).credentials
    other = loaded(tmp_path, text + 'base_url = "https://elsewhere.example/v1"\napi_key = "env:OTHER"\n', env)
    assert keys_of(other, "a") == ["o"]


def test_a_missing_key_names_variable_deployment_line_and_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, '\n\n# one\n[[deployment]]\nid = "a"\nprovider = "openai"\nmodel = "gpt-6-luna"\n')
    assert (caught.value.line, caught.value.key) == (4, "deployment[0].api_key")
    assert "Deployment 'a' has no key: the environment variable OPENAI_API_KEY is not set." in str(caught.value)
    assert "export OPENAI_API_KEY=" in caught.value.hint


def test_a_key_in_a_file_is_read_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k-1\n", encoding="utf-8")
    config = loaded(tmp_path, VLLM + 'api_key = "file:key"\n')
    assert keys_of(config, "home") == ["k-1"]
    with pytest.raises(ConfigError, match="the file gone cannot be read"):
        loaded(tmp_path, VLLM + 'api_key = "file:gone"\n')


def test_prices_come_from_the_nearest_who_knows(tmp_path: Path) -> None:
    env = {"OPENAI_API_KEY": "k"}
    text = '[[deployment]]\nid = "a"\nprovider = "openai"\nmodel = "gpt-6-luna"\n'
    listed = catalog.price("openai", "gpt-6-luna")
    assert listed is not None
    assert only(loaded(tmp_path, text, env)).price == listed
    (tmp_path / "p.toml").write_text(
        '[[price]]\nprovider = "openai"\nmodel = "gpt-6-luna"\nprice = { input = 0.2, output = 1, cache_read = 0.003625 }\n',
        encoding="utf-8",
    )
    overridden = only(loaded(tmp_path, 'prices_file = "p.toml"\n' + text, env)).price
    assert overridden == Price(input=200_000_000, output=1_000_000_000, cache_read=3_625_000, version="file p.toml")
    own = only(loaded(tmp_path, 'prices_file = "p.toml"\n' + text + "price = { input = 3, output = 4 }\n", env)).price
    assert own == Price(input=3 * USD, output=4 * USD, version="configuration")


def test_what_nobody_priced_is_unknown_and_never_free(tmp_path: Path) -> None:
    env = {"OPENAI_API_KEY": "k"}
    assert deployment(tmp_path, "", "openai", env).price is None
    assert deployment(tmp_path, 'base_url = "https://eu.example/v1"', "openai").price is None
    assert deployment(tmp_path, "").price == FREE
    assert deployment(tmp_path, 'base_url = "http://10.0.0.1/v1"').price == FREE
    assert deployment(tmp_path, 'base_url = "https://llm.example/v1"').price is None, "a rented machine costs something"
    assert deployment(tmp_path, 'tier = "managed"').price is None


@settings(max_examples=200, deadline=None)
@given(st.decimals(min_value=0, max_value=10_000, places=9))
def test_money_keeps_every_digit_that_was_written(dollars: Decimal) -> None:
    if len(dollars.normalize().as_tuple().digits) <= 15:  # more does not fit into a TOML float
        assert nano_usd(float(dollars)) == int(dollars * USD)


def test_a_card_of_ones_own(tmp_path: Path) -> None:
    text = """
        [[card]]
        name = "our-8b"
        aliases = ["m"]
        context_window = 9000
        capabilities = ["tools", "vision"]
        ability = { score = 0.5, benchmark = "MMLU-Pro", source = "our own run" }
    """
    card = only(loaded(tmp_path, text + VLLM)).card
    assert (card.name, card.context_window, card.capabilities) == ("our-8b", 9000, frozenset({Capability.TOOLS, Capability.VISION}))
    assert card.ability is not None
    assert (card.ability.score, card.ability.assumed) == (0.5, False)
    assert only(loaded(tmp_path, VLLM)).card.context_window is None, "unknown is unknown"


def test_better_weights_take_one_line(tmp_path: Path) -> None:
    listed = loaded(tmp_path, '[[local]]\nid = "l"\nweights = "qwen3-4b"\n')
    assert only(listed).reserve is False
    assert Capability.TOOLS in (only(listed).card.capabilities or ())
    ours = loaded(
        tmp_path, '[[local]]\nid = "l"\nweights = "models/ours.gguf"\ncontext = 2048\nreserve = true\ncertified_for = ["t"]\n'
    )
    assert ours.local[0].weights == str(tmp_path / "models/ours.gguf")
    assert (only(ours).card.context_window, only(ours).reserve, only(ours).certified_for) == (2048, True, frozenset({"t"}))
    assert not loaded(tmp_path, '[[local]]\nid = "l"\nweights = "qwen3-4b"\n', local=False).local


def test_figures_of_the_policy_are_nano_dollars(tmp_path: Path) -> None:
    text = """
        [routing]
        wrong_answer_usd = 0.1
        allowed_regions = ["eu-1"]
        wait_usd_per_second = { batch = 0.000000001 }
        tier_ability = { closed = 0.9 }
        [budget]
        usd_per_day = 20
        [store]
        path = "log.sqlite3"
    """
    config = loaded(tmp_path, text)
    routing = config.routing
    assert (routing.wrong_answer_usd, routing.budget_usd_per_day) == (100_000_000, 20 * USD)
    assert routing.allowed_regions == frozenset({"eu-1"})
    assert routing.wait_usd_per_second == {
        LatencyClass.REALTIME: 10_000_000,
        LatencyClass.INTERACTIVE: 1_000_000,
        LatencyClass.BATCH: 1,
    }
    assert routing.tier_ability == {Tier.SELF_HOSTED: 0.44, Tier.MANAGED: 0.63, Tier.CLOSED: 0.9}
    assert config.store.path == str(tmp_path / "log.sqlite3")


def test_timeouts_default_to_those_of_the_core(tmp_path: Path) -> None:
    assert deployment(tmp_path, "").timeouts == Timeouts()
    assert deployment(tmp_path, "timeouts = { idle = 5 }").timeouts == Timeouts(idle=5.0)


def test_the_policy_hash_is_of_what_is_meant(tmp_path: Path) -> None:
    plain = loaded(tmp_path, VLLM)
    (tmp_path / "elsewhere").mkdir()
    same = load(write(tmp_path / "elsewhere", "# a comment\n" + VLLM.replace("    ", "") + "reserve = false\n"), {})
    assert plain.policy_hash == same.policy_hash
    assert len(plain.policy_hash) == 64
    assert loaded(tmp_path, VLLM + "reserve = true\n").policy_hash != plain.policy_hash
    assert loaded(tmp_path, '[boundary]\nsecret = "local"\n' + VLLM).policy_hash != plain.policy_hash


def test_the_policy_hash_knows_no_secret(tmp_path: Path) -> None:
    text = '[[deployment]]\nid = "a"\nprovider = "openai"\nmodel = "gpt-6-luna"\n'
    hashes = {loaded(tmp_path, text, {"OPENAI_API_KEY": key}).policy_hash for key in ("one", "two")}
    assert len(hashes) == 1


def test_a_configuration_cannot_be_written_out_with_its_secrets(tmp_path: Path) -> None:
    config = loaded(tmp_path, VLLM + 'api_key = "env:K"\n', {"K": "k"})
    with pytest.raises(TypeError):
        msgspec.json.encode(config)
