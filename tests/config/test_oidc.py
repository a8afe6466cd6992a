"""The [oidc] table: whole or not at all, and every fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.config.helpers import loaded

from trimtab.core.errors import ConfigError

WHOLE = {
    "issuer": '"https://id.acme.test/realms/acme"',
    "client_id": '"trimtab"',
    "client_secret": '"env:OIDC_SECRET"',
    "redirect_url": '"https://llm.acme.test/-/callback"',
}
ENV = {"OIDC_SECRET": "s3cret-of-the-client"}


def table(**changed: str | None) -> str:
    rows = {name: value for name, value in (WHOLE | changed).items() if value is not None}
    return "\n[oidc]\n" + "".join(f"{name} = {value}\n" for name, value in rows.items())


def test_no_table_is_no_sign_in(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").oidc is None


def test_a_whole_table(tmp_path: Path) -> None:
    found = loaded(tmp_path, table(admins='["Me@Acme.test"]', session_hours="8", idle_minutes="15"), ENV).oidc
    assert found is not None
    assert (found.issuer, found.client_id) == ("https://id.acme.test/realms/acme", "trimtab")
    assert found.client_secret is not None
    assert found.client_secret.reveal() == ENV["OIDC_SECRET"]
    assert found.admins == frozenset({"me@acme.test"})
    assert (found.session_seconds, found.idle_seconds) == (8 * 3600, 15 * 60)
    assert found.scopes == ("openid", "email", "profile")
    assert ENV["OIDC_SECRET"] not in repr(found)


def test_without_a_secret_it_is_a_public_client(tmp_path: Path) -> None:
    found = loaded(tmp_path, table(client_secret=None)).oidc
    assert found is not None
    assert found.client_secret is None


@pytest.mark.parametrize("missing", ["issuer", "client_id", "redirect_url"])
def test_a_part_of_it_is_refused_with_the_field_that_is_missing(tmp_path: Path, missing: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, table(**{missing: None}), ENV)
    assert f"'oidc.{missing}' is missing" in caught.value.message
    assert caught.value.line == 2
    assert missing in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value", "line", "words"),
    [
        ("issuer", '"id.acme.test"', 3, "not an http or https URL"),
        ("issuer", '"http://id.acme.test"', 3, "Plain http"),
        ("issuer", '"http://10.0.0.7/realms/acme"', 3, "Plain http"),
        ("issuer", '"https://id.acme.test/?realm=acme"', 3, "query"),
        ("issuer", '""', 3, "issuer"),
        ("redirect_url", '"http://llm.acme.test/-/callback"', 6, "Plain http"),
        ("redirect_url", '"https://llm.acme.test"', 6, "/-/callback"),
        ("redirect_url", '"https://llm.acme.test/gateway/-/callback"', 6, "/-/callback"),
        ("client_secret", '"env:UNSET"', 5, "UNSET is not set"),
        ("client_secret", '"the-secret-itself"', 5, "written as a reference"),
        ("scopes", '["email"]', 7, "openid"),
        ("admins", '["me@acme.test", "acme.test"]', 7, "not an e-mail address"),
        ("admins", '["\u212ai@acme.test"]', 7, "ASCII"),
        ("session_hours", "0", 7, "session_hours"),
        ("isuer", '"x"', 7, "Unknown key 'isuer'"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, key: str, value: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, table(**{key: value}), ENV)
    assert words in caught.value.message
    assert caught.value.line == line
    assert caught.value.hint
    assert "the-secret-itself" not in str(caught.value)


def test_http_is_for_this_machine_alone(tmp_path: Path) -> None:
    found = loaded(tmp_path, table(issuer='"http://127.0.0.1:9000"', redirect_url='"http://localhost:8800/-/callback"'), ENV).oidc
    assert found is not None


def test_how_people_sign_in_is_no_part_of_the_policy(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").policy_hash == loaded(tmp_path, table(), ENV).policy_hash
