"""The verb: it writes a file that loads, never over another, and says what it could not carry."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from trimtab import config
from trimtab.cli import cli
from trimtab.core.errors import ConfigError

SOURCE = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: sk-hunter2, rpm: 5}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written = tmp_path / "config.yaml"
    written.write_text(SOURCE)
    return written


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["import", "litellm", *arguments])


def test_it_writes_a_file_that_loads_and_says_what_is_left(file: Path) -> None:
    done = run(str(file))
    assert done.exit_code == 0, done.output
    made = config.load(Path("trimtab.toml"), {"GPT_4O_API_KEY": "k"})
    assert [deployment.called for deployment in made.deployments] == [("gpt-4o", "gpt-4o")]
    assert "model_list[0].litellm_params.rpm" in done.stdout
    assert "Set before you start it: GPT_4O_API_KEY." in done.stdout
    assert "hunter2" not in done.output + Path("trimtab.toml").read_text()


def test_json_holds_everything(file: Path) -> None:
    told = msgspec.json.decode(run(str(file), "--json").stdout)
    assert told["missing"] == ["GPT_4O_API_KEY"]
    assert {note["severity"] for note in told["converted"]["notes"]} == {"act", "differs"}
    assert told["converted"]["toml"] == Path("trimtab.toml").read_text()


def test_nothing_is_written_over(file: Path) -> None:
    Path("trimtab.toml").write_text("mine")
    refused = run(str(file))
    assert isinstance(refused.exception, ConfigError)
    assert Path("trimtab.toml").read_text() == "mine"
    assert run(str(file), "--force").exit_code == 0
    assert Path("trimtab.toml").read_text() != "mine"


def test_a_dash_prints_the_file_and_nothing_else(file: Path) -> None:
    done = run(str(file), "--output", "-")
    assert done.stdout.startswith("# Made from")
    assert "rpm" not in done.stdout
    assert "rpm" in done.stderr


def test_a_file_that_is_not_there_is_said() -> None:
    assert isinstance(run("nowhere.yaml").exception, ConfigError)
