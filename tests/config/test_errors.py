"""Every fault names the file, the line and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.config.helpers import VLLM, keys_of, write

from trimtab.config import Config, load, reference
from trimtab.config.file import FileTable
from trimtab.config.source import Source
from trimtab.core.errors import ConfigError


def error_of(folder: Path, text: str, env: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), env or {})
    return caught.value


FAULTS = [
    ("not TOML", "[server]\nport = ", 2, "Not valid TOML", "https://toml.io"),
    ("not TOML at the end", '[server]\nhost = """', 2, "Not valid TOML", "https://toml.io"),
    ("unknown table", "\n[sever]\nport = 1\n", 2, "Unknown key 'sever' in the file", "Did you mean 'server'?"),
    ("unknown key", "[server]\nprot = 1\n", 2, "Unknown key 'prot' in [server]", "Did you mean 'port'?"),
    (
        "key below a header",
        '[server]\nprices_file = "p"\n',
        2,
        "Unknown key 'prices_file' in [server]",
        "the file, above all tables",
    ),
    ("key of another table", "[server]\nwrong_answer_usd = 1\n", 2, "Unknown key 'wrong_answer_usd'", "a key of [routing]"),
    ("unknown class", '[boundary]\npersonel = "any"\n', 2, "Unknown key 'personel' in [boundary]", "Did you mean 'personal'?"),
    ("unknown key in a row", VLLM + "zoen = 1\n", 5, "Unknown key 'zoen' in [deployment[0]]", "Did you mean 'zone'?"),
    ("unknown key in a price", VLLM + "price = { inptu = 1 }\n", 5, "Unknown key 'inptu'", "Did you mean 'input'?"),
    ("missing key", '[[deployment]]\nid = "a"\nprovider = "vllm"\n', 1, "'deployment[0].model' is missing", "Add model ="),
    ("wrong type", '[server]\nport = "8800"\n', 2, "'server.port': Expected `int`, got `str`", "config check"),
    ("out of range", "[server]\nport = 70000\n", 2, "'server.port': Expected `int` <= 65535", "config check"),
    ("negative price", VLLM + "price = { input = -1, output = 1 }\n", 5, "'deployment[0].price.input'", "config check"),
    ("no number", "[routing]\nwrong_answer_usd = nan\n", 2, "'routing.wrong_answer_usd'", "config check"),
    ("no end", "[routing]\nwrong_answer_usd = inf\n", 2, "'routing.wrong_answer_usd'", "config check"),
    ("none of a few", '[store]\nsync = "fulll"\n', 2, "'store.sync' is none of the values", "One of: full, normal."),
    ("no such tier", VLLM + 'tier = "open"\n', 5, "'deployment[0].tier' is none", "One of: closed, managed, self_hosted."),
    ("no such capability", '[[card]]\nname = "c"\ncapabilities = ["tool"]\n', 3, "is none of the values", "tools"),
    ("provider", '[[deployment]]\nid = "a"\nmodel = "m"\nprovider = "vlm"\n', 4, "no provider 'vlm'", "Did you mean 'vllm'?"),
    ("card", VLLM + 'card = "qwen3-4"\n', 5, "no model card 'qwen3-4'", "Did you mean 'qwen3-4b'?"),
    ("weights", '[[local]]\nid = "a"\nweights = "qwen3-4"\n', 3, "no weights 'qwen3-4'", "Did you mean 'qwen3-4b'?"),
    ("zone", VLLM + 'zone = "onprem"\n', 5, "zone 'onprem', which [boundary] does not name", "Did you mean 'on_prem'?"),
    ("zone of a class", '[boundary]\nhealth = "lokal"\n', 2, "zone 'lokal'", "Did you mean 'local'?"),
    ("own zones", '[boundary]\nzones = ["in", "out"]\n', 1, "zone 'any'", "Known here: in, out."),
    ("zone twice", '[boundary]\nzones = ["any", "any"]\n', 2, "each once", "Most trusted first."),
    ("two of one id", VLLM + VLLM, 6, "two deployments 'home'", "its own id"),
    ("two with a local", VLLM + '[[local]]\nid = "home"\nweights = "qwen3-4b"\n', 6, "two deployments 'home'", "its own id"),
    ("a wish", VLLM.replace("home", "auto:best"), 2, "'auto:best' is a wish", "Choose another"),
    ("an id with a space", VLLM.replace("home", "my home"), 2, "'deployment[0].id'", "config check"),
    ("shipped provider", '[[provider]]\nname = "openai"\n', 2, "a provider 'openai' already", "another name"),
    ("no address", '[[provider]]\nname = "p"\n' + VLLM.replace("vllm", "p"), 3, "'home' has no address", "base_url"),
    ("http outside", VLLM + 'base_url = "http://llm.example/v1"\n', 5, "Plain http", "insecure = true"),
    ("other scheme", VLLM + 'base_url = "ftp://127.0.0.1"\n', 5, "not an http or https URL", "https://host"),
    ("query", VLLM + 'base_url = "https://llm.example/v1?a=b"\n', 5, "query", "version path"),
    ("proxy", '[network]\nproxy = "socks5://10.0.0.1"\n', 2, "proxy's address", "https://host"),
]


@pytest.mark.parametrize(("text", "line", "message", "hint"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_each_fault_names_file_line_and_next_step(tmp_path: Path, text: str, line: int, message: str, hint: str) -> None:
    error = error_of(tmp_path, text)
    assert message in error.message
    assert hint in error.hint
    assert error.line == line
    assert str(error).startswith(f"{tmp_path / 'trimtab.toml'}:{line}: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: Cannot read the file: No such file") as caught:
        load(tmp_path / "gone.toml", {})
    assert caught.value.hint
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin.toml", {})


def test_a_fault_in_the_price_file_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('[[price]]\nprovider = "vllm"\nmodel = "m"\nprice = { input = 1 }\n', encoding="utf-8")
    error = error_of(tmp_path, 'prices_file = "prices.toml"\n')
    assert str(error).startswith(f"{tmp_path / 'prices.toml'}:4: ")
    assert "'price[0].price.output' is missing" in error.message


LEAVES = {entry.key for entry in reference()}
KEYS = sorted(LEAVES | {key.split(".")[0].removesuffix("[]") for key in LEAVES})


def split(key: str) -> tuple[str, str]:
    table, _, name = key.rpartition(".")
    return table, name


def header(table: str) -> list[str]:
    """The lines that open ``table``, such as ``card[].ability``."""
    lines: list[str] = []
    place = ""
    steps = table.split(".") if table else []
    for number, step in enumerate(steps, 1):
        place = f"{place}.{step.removesuffix('[]')}".lstrip(".")
        if step.endswith("[]"):
            lines.append(f"[[{place}]]")
        elif number == len(steps):
            lines.append(f"[{place}]")
    return lines


@st.composite
def misspelt(draw: st.DrawFn) -> tuple[str, str]:
    """A key of the reference, and its last part with one slip of the finger."""
    key = draw(st.sampled_from(KEYS))
    name = split(key)[1]
    at = draw(st.integers(0, len(name) - 1))
    letter = draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_"))
    slips = [name[:at] + letter + name[at:], name[:at] + letter + name[at + 1 :], name[:at] + name[at + 1 :]]
    if at + 1 < len(name):
        slips.append(name[:at] + name[at + 1] + name[at] + name[at + 2 :])
    return key, draw(st.sampled_from(slips))


@settings(max_examples=200, deadline=None)
@given(misspelt())
def test_a_slip_of_the_finger_is_named(slip: tuple[str, str]) -> None:
    key, wrong = slip
    table, name = split(key)
    assume(len(name) > 2 and wrong not in {split(other)[1] for other in KEYS})
    lines = [*header(table), f"{wrong} = 1", ""]
    with pytest.raises(ConfigError) as caught:
        Source("f.toml", "\n".join(lines), Path()).decode(FileTable)
    assert caught.value.line == len(lines) - 1
    near = {name, f"{name}s", name.removesuffix("s")} & {split(other)[1] for other in KEYS}  # api_key, api_keys
    belongs_elsewhere = caught.value.hint.startswith("It is a key of")
    assert belongs_elsewhere or any(f"Did you mean {one!r}?" in caught.value.hint for one in near)


def test_a_configuration_shows_no_secret_and_neither_do_its_faults(tmp_path: Path) -> None:
    key = "sk-live-0123456789abcdef"
    config = load(write(tmp_path, '[[deployment]]\nid = "a"\nprovider = "openai"\nmodel = "gpt-6-luna"\n'), {"OPENAI_API_KEY": key})
    assert isinstance(config, Config)
    assert keys_of(config, "a") == [key]
    assert key not in repr(config) + str(config)
    (tmp_path / "key").write_text(f"{key} and more", encoding="utf-8")
    for written in (f'"{key}"', f'"env {key}"', '"file:key"', f'["{key}"]', f'"secret:{key}"', f'"env:A"\nauth = "{key}"', key):
        text = f'[[deployment]]\nid = "a"\nprovider = "openai"\nmodel = "m"\napi_key = {written}\n'
        error = error_of(tmp_path, text, {"A": f"{key}\n{key}"})
        assert error.line in (5, 6), written
        assert error.__suppress_context__, "a traceback would show what the validator said"
        assert key not in f"{error} {error!r} {error.hint} {error.key} {error.__cause__}", written
    for url in (f"https://user:{key}@llm.example/v1", f"https://llm.example/v1?key={key}"):
        error = error_of(tmp_path, f'[[deployment]]\nid = "a"\nprovider = "vllm"\nmodel = "m"\nbase_url = "{url}"\n')
        assert key not in f"{error} {error!r}"
