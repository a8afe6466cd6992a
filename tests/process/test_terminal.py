"""What goes wrong at the terminal is said in two lines, the second of which is the next step."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from tests.local.made import made_gguf
from tests.support.terminal import Said, trimtab

from trimtab.cli import cli, main
from trimtab.store import SQLiteStore

SECRET = "sk-live-0123456789abcdef"
VLLM = '[[deployment]]\nid = "home"\nprovider = "vllm"\nmodel = "m"\n'
OPENAI = '[[deployment]]\nid = "a"\nprovider = "openai"\nmodel = "m"\n'


def ledger_at(name: str) -> str:
    return f'[store]\npath = "{name}"\n'


def make_directory(folder: Path) -> None:
    (folder / "taken").mkdir()


def make_garbage(folder: Path) -> None:
    (folder / "taken").write_bytes(b"not a database, " * 500)


def make_foreign(folder: Path) -> None:
    db = sqlite3.connect(folder / "taken")
    db.execute("CREATE TABLE invoices (id)")
    db.close()


def make_key_directory(folder: Path) -> None:
    (folder / "home" / "key").mkdir(parents=True)


def make_torn_note(folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "home" / "running.json").write_text('{"url": "http://127')


def make_stale_note(folder: Path) -> None:
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{port.getsockname()[1]}"
    (folder / "home").mkdir()
    (folder / "home" / "running.json").write_text(json.dumps({"url": url, "pid": 1}))
    (folder / "home" / "key").write_text("tt-old\n")


def make_short_key(folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "home" / "key").write_text("sk-1234\n")


def make_recording(folder: Path) -> None:
    (folder / "r.jsonl").write_text(json.dumps({"prompt": "hi", "answers": {"m": "hello"}}) + "\n")


def make_broken_recording(folder: Path) -> None:
    (folder / "r.jsonl").write_text("hello\n")


def make_no_archive(folder: Path) -> None:
    (folder / "r.jsonl.gz").write_text("hello\n")


def make_cut_weights(folder: Path) -> None:
    whole = made_gguf(folder / "whole.gguf")
    (folder / "cut.gguf").write_bytes(whole.read_bytes()[:-100])


def make_nothing(folder: Path) -> None:
    del folder


REPLAY = ["lab", "replay", "--answers", "r.jsonl", "--port", "0"]
SERVE = ["serve", "--config", "c.toml", "--port", "0"]
CASES: dict[str, tuple[list[str], str, Callable[[Path], None], str, str]] = {
    "unknown key": (SERVE, "[server]\nprot = 1\n", make_nothing, "c.toml:2: Unknown key 'prot' in [server]", "Did you mean 'port'?"),
    "syntax": (SERVE, "[server]\nport = \n", make_nothing, "c.toml:2: Not valid TOML", "https://toml.io"),
    "no such file": (["serve", "--config", "d.toml"], "", make_nothing, "d.toml: Cannot read the file", "Check the path"),
    "literal secret": (SERVE, OPENAI + f'api_key = "{SECRET}"\n', make_nothing, "c.toml:5: Deployment 'a' has no key", "env:NAME"),
    "missing key": (SERVE, OPENAI, make_nothing, "OPENAI_API_KEY is not set", "export OPENAI_API_KEY"),
    "no weights": (SERVE, '[[local]]\nid = "x"\nweights = "smollm2-135m-instruct"\n', make_nothing, "not on this machine", "models pull"),
    "no such weights": (SERVE, '[[local]]\nid = "x"\nweights = "no.gguf"\n', make_nothing, "neither a file nor weights", "smollm2"),
    "damaged weights": (SERVE, '[[local]]\nid = "x"\nweights = "cut.gguf"\n', make_cut_weights, "not a sound GGUF file", "fetch it again"),
    "weights to pull": (["models", "pull", "gpt-7"], "", make_nothing, "no weights 'gpt-7'", "qwen3-4b"),
    "ledger is a folder": (SERVE, VLLM + ledger_at("taken"), make_directory, "taken", "[store]"),
    "ledger is no database": (SERVE, VLLM + ledger_at("taken"), make_garbage, "not an SQLite database", "[store]"),
    "ledger of another": (SERVE, VLLM + ledger_at("taken"), make_foreign, "not an event log of Trimtab", "[store]"),
    "key is a folder": (SERVE, VLLM, make_key_directory, "key cannot be used", "TRIMTAB_HOME"),
    "key is short": (SERVE, VLLM, make_short_key, "fewer than 20 characters", "TRIMTAB_API_KEY"),
    "explain without a ledger": (["explain"], "", make_nothing, "There is no event log", "Start the server once"),
    "ask nobody": (["ask", "hi"], "", make_nothing, "No gateway of this folder is running", "trimtab up"),
    "ask beside a torn note": (["ask", "hi"], "", make_torn_note, "No gateway of this folder is running", "trimtab up"),
    "ask one that died": (["ask", "hi"], "", make_stale_note, "No gateway answers at http://127.0.0.1:", "trimtab up"),
    "replay of no model": ([*REPLAY, "--model", "gpt"], "", make_recording, "no answers by 'gpt'. It has: m", "model"),
    "replay of no recording": ([*REPLAY, "--model", "m"], "", make_broken_recording, "r.jsonl:1: not a recording", "file"),
    "replay of no archive": (
        ["lab", "replay", "--answers", "r.jsonl.gz", "--model", "m", "--port", "0"],
        "",
        make_no_archive,
        "Not a gzipped file",
        "file",
    ),
}  # fmt: skip


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command in this process, in an empty folder and an environment without keys."""
    for name in ("TRIMTAB_API_KEY", "TRIMTAB_CONFIG", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)  # the command would replace this process's handlers

    def type_(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["trimtab", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err, 0.0)

    return type_


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield str(taken.getsockname()[1])


def holds(said: Said, message: str, hint: str) -> None:
    """Two lines on stderr, status 1, no traceback and no secret."""
    assert said.status == 1
    assert said.out == ""
    *before, error, step = said.err.splitlines()
    assert before == []
    assert error.startswith("error: ")
    assert step.startswith("hint: ")
    assert message in error
    assert hint in step
    assert SECRET not in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("arguments", "config", "make", "message", "hint"), CASES.values(), ids=CASES)
def test_a_fault_is_two_lines(
    typed: Callable[..., Said],
    tmp_path: Path,
    arguments: list[str],
    config: str,
    make: Callable[[Path], None],
    message: str,
    hint: str,
) -> None:
    (tmp_path / "c.toml").write_text(config)
    make(tmp_path)
    holds(typed(*arguments), message, hint)


@pytest.mark.parametrize(
    "verb", [["serve", "--config", "c.toml"], ["up", "--config", "c.toml"], ["lab", "faults"], [*REPLAY[:4], "--model", "m"]]
)
def test_a_port_in_use_is_said_at_once(typed: Callable[..., Said], tmp_path: Path, taken_port: str, verb: list[str]) -> None:
    (tmp_path / "c.toml").write_text("")
    make_recording(tmp_path)
    holds(typed(*verb, "--port", taken_port), "ddress already in use", "--port")


@pytest.mark.parametrize("verb", ["up", "serve"])
def test_a_home_that_is_not_writable_is_said(
    typed: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "file" / "home"))
    holds(typed(verb, "--port", "0"), "cannot be used: Not a directory", "Set TRIMTAB_HOME to a folder that you may write")


def test_an_empty_key_file_is_no_key(typed: Callable[..., Said], tmp_path: Path) -> None:
    make_stale_note(tmp_path)
    (tmp_path / "home" / "key").write_text("\n")
    holds(typed("ask", "hi"), "There is no key for this gateway", "TRIMTAB_API_KEY")


def test_explain_tells_an_empty_ledger_from_an_unknown_id(typed: Callable[..., Said], tmp_path: Path) -> None:
    asyncio.run(make_empty_ledger(tmp_path / "home" / "ledger.sqlite3"))
    holds(typed("explain"), "nothing was asked yet", "trimtab ask")
    holds(typed("explain", "nope"), "knows no decision 'nope'", "x-trimtab-decision")


async def make_empty_ledger(path: Path) -> None:
    await (await SQLiteStore.open(path, writer="test")).aclose()


def test_config_check_prints_json(typed: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(VLLM)
    said = typed("config", "check", "--config", "c.toml", "--json")
    assert (said.status, said.err) == (0, "")
    checked = json.loads(said.out)
    assert [deployment["id"] for deployment in checked["deployments"]] == ["home"]
    assert checked["boundary"]["outermost"]["secret"] == "on_prem"


def verbs(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("verb", list(verbs(cli)), ids=" ".join)
def test_every_verb_has_help(typed: Callable[..., Said], verb: tuple[str, ...]) -> None:
    said = typed(*verb, "--help")
    assert said.status == 0
    usage = said.out.partition("\n")[0]
    assert usage.startswith("Usage: ")
    assert " ".join(("trimtab", *verb)) in usage
    assert len(said.out.splitlines()) > 4


@pytest.mark.process
def test_help_starts_soon_and_imports_nothing_for_a_model(tmp_path: Path) -> None:
    """Seconds of processor time, which a busy machine stretches less than the clock's, and of which it only adds."""
    said = min((trimtab("--help", home=tmp_path) for _ in range(5)), key=lambda said: said.cpu)
    assert said.status == 0
    assert said.cpu < 1.5


@pytest.mark.process
def test_a_fault_in_a_process_of_its_own_is_two_lines_too(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(OPENAI)
    holds(trimtab(*SERVE, home=tmp_path), "OPENAI_API_KEY is not set", "export")
