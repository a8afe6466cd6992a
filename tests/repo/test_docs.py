"""The docs say what is: the reference is whole and fresh, links lead somewhere, and what can be loaded or called is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from docs.generate import PAGES, app_routes, error_tree, path_of
from tests.repo.source import ROOT, SRC

from trimtab import catalog, config
from trimtab.cli import cli
from trimtab.core.decision import Wish
from trimtab.core.errors import FailureKind
from trimtab.telemetry import Metrics

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(trimtab [a-z][^`]*)`")
REFERENCE = ROOT / "docs" / "reference"
OURS = ("README.md", "ARCHITECTURE.md", "SECURITY.md", "docs/index.md")


@cache
def texts() -> dict[str, str]:
    folders = ("docs", "design", "bench", "examples", "changelog.d")
    files = [*ROOT.glob("*.md"), *(file for folder in folders for file in (ROOT / folder).rglob("*.md"))]
    return {str(file.relative_to(ROOT)): file.read_text() for file in sorted(files) if not file.is_symlink()}


def blocks(*languages: str) -> Iterator[tuple[str, str, str]]:
    """(place, info string, text) of every fenced block in one of ``languages``."""
    for name, text in texts().items():
        for found in FENCE.finditer(text):
            info = found[1].strip()
            if info.split(" ")[0] in languages:
                yield f"{name}:{text[: found.start()].count(chr(10)) + 1}", info, found[2]


def page(name: str) -> str:
    return (REFERENCE / name).read_text()


# -- the reference


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_fresh(name: str) -> None:
    assert page(name) == PAGES[name](), "run: make docs"


def test_there_is_no_page_that_nobody_generates() -> None:
    assert {file.name for file in REFERENCE.glob("*.md")} == set(PAGES)


def test_the_reference_names_every_key() -> None:
    text = page("configuration.md")
    assert [entry.key for entry in (*config.reference(), *config.prices_reference()) if f"| `{entry.key}` |" not in text] == []


def test_the_reference_names_every_verb() -> None:
    text, verbs = page("command-line.md"), [path for path, command in commands().items() if not isinstance(command, click.Group)]
    assert [path for path in verbs if f"## {path}\n" not in text] == []


def test_the_reference_names_every_route_wish_and_header() -> None:
    text = page("http.md")
    source = "\n".join(file.read_text() for file in (SRC / "server").rglob("*.py"))
    headers = set(re.findall(r"[\"'](x-[a-z-]+|retry-after)[\"']", source)) - {"x-api-key", "x-content-type-options"}
    assert headers >= {"x-trimtab-decision", "x-trimtab-latency", "x-should-retry"}
    wanted = [*(path_of(route) for route in app_routes()), *Wish, *headers]
    assert [name for name in wanted if f"`{name}`" not in text] == []


def test_the_reference_names_every_metric_and_error() -> None:
    names = {family.name for family in Metrics().registry.collect()}
    assert [name for name in names if not re.search(rf"`{name}(_total)?`", page("metrics.md"))] == []
    text = page("errors.md")
    assert [kind for kind in FailureKind if f"`{kind}`" not in text] == []
    own = {kind.code for kind in error_tree()} - {"upstream_error"}
    assert [code for code in own if f"`{code}`" not in text] == []


def test_the_guide_to_decisions_names_every_rule() -> None:
    source = "\n".join(file.read_text() for file in (SRC / "routing").glob("*.py"))
    rules = set(re.findall(r'(?:Reason\(|Rejected\([^,]+, )"([a-z_]+)"', source))
    assert rules >= {"zone", "reserve"}
    assert [rule for rule in sorted(rules) if f"`{rule}`" not in texts()["docs/guides/read-a-decision.md"]] == []


# -- links and files


@pytest.mark.parametrize("name", sorted(texts()))
def test_every_file_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"`((?:tests|src|bench|design|docs|examples|tools)/[\w./-]+)`", texts()[name]))
    named |= {
        f"src/trimtab/{path}" for path in re.findall(r"`((?:engine|net|providers|server|signals|routing)/[\w./-]*)`", texts()[name])
    }
    assert {path for path in named if not (ROOT / path).exists()} == set()


def slugs(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", sorted(texts()))
def test_every_relative_link_leads_somewhere(name: str) -> None:
    for target in LINK.findall(FENCE.sub("", texts()[name])):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in slugs(file.read_text()), f"{name} links to {target}: no such heading"


def test_every_page_can_be_reached_from_the_index() -> None:
    reached, todo = set[Path](), [ROOT / "docs" / "index.md"]
    while todo:
        file = todo.pop().resolve()
        if file in reached or file.suffix != ".md":
            continue
        reached.add(file)
        todo += [file.parent / target.partition("#")[0] for target in LINK.findall(file.read_text()) if ":" not in target]
    assert [name for name in texts() if name.startswith("docs/") and (ROOT / name).resolve() not in reached] == []


@pytest.mark.parametrize(
    "name", sorted(name for name in texts() if name in OURS or name.startswith(("docs/guides", "docs/concepts")))
)
def test_lines_are_at_most_140_long(name: str) -> None:
    """Rows of a table cannot be broken, and what a program printed stays as it was."""
    prose = re.sub(r"^\|.*$", "", FENCE.sub("", texts()[name]), flags=re.MULTILINE)
    assert [line for line in prose.splitlines() if len(line) > 140] == []


# -- blocks that can be loaded


@pytest.mark.parametrize(("place", "info", "text"), list(blocks("toml")), ids=lambda value: value if "\n" not in value else "")
def test_every_configuration_loads(place: str, info: str, text: str, tmp_path: Path) -> None:
    """A block marked ``toml fragment`` need only be TOML."""
    tomllib.loads(text)
    if info == "toml":
        file = tmp_path / "trimtab.toml"
        file.write_text(text)
        for path in re.findall(r'"file:([^"]+)"', text):
            (tmp_path / path).write_text("a-key")
        named = re.findall(r'"env:(\w+)"|key_env = "(\w+)"', text)
        shipped = [row.key_env for row in catalog.providers().values()]
        config.load(file, dict.fromkeys([*shipped, *(one or other for one, other in named)], "a-key"))


@pytest.mark.parametrize(("place", "info", "text"), list(blocks("python")), ids=lambda value: value if "\n" not in value else "")
def test_every_python_block_compiles(place: str, info: str, text: str) -> None:
    compile(text, place, "exec")


# -- commands


def commands() -> dict[str, click.Command]:
    def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
        yield path, command
        if isinstance(command, click.Group):
            for name, child in command.commands.items():
                yield from walk(child, f"{path} {name}")

    return dict(walk(cli, "trimtab"))


def called() -> Iterator[tuple[str, str]]:
    """(place, line) of every call of ``trimtab`` in a shell block or in backticks."""
    for place, _, text in blocks("sh", "console"):
        joined = re.sub(r"\\\n\s*", " ", text)
        yield from ((place, found[1]) for found in re.finditer(r"^(?:\$ )?(?:\S+/)?(trimtab .*)$", joined, re.MULTILINE))
    for name, text in texts().items():
        yield from ((name, found[1]) for found in INLINE.finditer(FENCE.sub("", text)))


@pytest.mark.parametrize(("place", "line"), sorted(set(called())))
def test_every_command_that_is_named_exists(place: str, line: str) -> None:
    command: click.Command = cli
    path = "trimtab"
    for word in shlex.split(line.split(" > ")[0].removesuffix("&"), comments=True)[1:]:
        if isinstance(command, click.Group) and not word.startswith("-"):
            path = f"{path} {word}"
            assert path in commands(), f"{place}: there is no {path!r}"
            command = commands()[path]
        elif word.startswith("--"):
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            assert word.partition("=")[0] in known | {"--help", "--version"}, f"{place}: {path} has no option {word}"
