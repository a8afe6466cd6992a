"""Who is told of what happens: the collector, the webhook, and the cache that tells nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.config.helpers import loaded

from trimtab.config import Cache
from trimtab.core.errors import ConfigError

ENV = {"TOKEN": "Bearer abc-123", "HOOK": "https://hooks.example.com/T0/B1?sig=s3cret", "SIGN": "whsec-1"}
AT_HOME = '[telemetry]\notlp_endpoint = "http://127.0.0.1:4318/"\n'
HOOK = '[alerts]\nwebhook = "http://127.0.0.1:9/budgets"\n'


def test_everything_is_off_by_default(tmp_path: Path) -> None:
    config = loaded(tmp_path, "")
    assert (config.telemetry, config.alerts, config.cache) == (None, None, None)


def test_a_collector_at_home_needs_no_zone(tmp_path: Path) -> None:
    told = loaded(tmp_path, AT_HOME + 'otlp_headers = { Authorization = "env:TOKEN" }', ENV).telemetry
    assert told is not None
    assert (told.endpoint, told.zone, told.interval_seconds) == ("http://127.0.0.1:4318", "local", 10)
    assert {name: secret.reveal() for name, secret in told.headers.items()} == {"authorization": "Bearer abc-123"}


def test_a_webhook_whose_address_is_a_secret_is_shown_to_nobody(tmp_path: Path) -> None:
    config = loaded(tmp_path, '[alerts]\nwebhook = "env:HOOK"\nzone = "any"\nsecret = "env:SIGN"', ENV)
    assert config.alerts is not None
    assert config.alerts.origin == "https://hooks.example.com"
    assert config.alerts.path.reveal() == "/T0/B1?sig=s3cret"
    assert "s3cret" not in repr(config)


def test_who_is_told_does_not_change_the_policy(tmp_path: Path) -> None:
    plain, told = loaded(tmp_path, ""), loaded(tmp_path, AT_HOME + HOOK)
    assert plain.policy_hash == told.policy_hash


def test_the_cache_is_on_where_it_is_asked_for(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[cache]\nenabled = true\nttl_seconds = 60").cache == Cache(ttl_seconds=60, max_bytes=64 << 20)


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ('[telemetry]\notlp_endpoint = "https://otel.example.com"', 1, "does not say who is at its address", 'zone = "any"'),
        ('[telemetry]\notlp_endpoint = "http://otel:4318"\nzone = "on_prem"', 2, "Plain http", "insecure = true"),
        (AT_HOME + 'zone = "moon"', 3, "zone 'moon'", "Known here"),
        (
            AT_HOME + '[boundary]\ninternal = "local"\n[alerts]\nwebhook = "http://10.0.0.1/"',
            5,
            "could be told nothing",
            "[boundary]",
        ),
        (AT_HOME + 'otlp_headers = { authorization = "Bearer abc" }', 3, "written as a reference", "env:NAME"),
        (AT_HOME + 'otlp_headers = { "content-type" = "env:TOKEN" }', 3, "not a header that can be set", "authorization"),
        ('[alerts]\nwebhook = "env:NONE"', 2, "environment variable NONE is not set", "export NONE"),
        ('[alerts]\nwebhook = "https://user:s3cret@example.com/"\nzone = "any"', 2, "carries credentials", "out of URLs"),
        (HOOK + 'secret = "s3cret"', 3, "written as a reference", "env:NAME"),
    ],
)
def test_each_fault_is_named_with_the_next_step(tmp_path: Path, text: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text, ENV)
    said = raised.value
    assert (said.line, message in said.message, hint in said.hint) == (line, True, True), (said.message, said.hint)
    assert "s3cret" not in f"{said!r} {said} {said.hint}"


def test_a_collector_with_a_name_may_be_allowed_plain_http(tmp_path: Path) -> None:
    told = loaded(tmp_path, '[telemetry]\notlp_endpoint = "http://otel:4318"\ninsecure = true\nzone = "on_prem"').telemetry
    assert told is not None
    assert told.zone == "on_prem"
