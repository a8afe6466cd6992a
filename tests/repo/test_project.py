"""The project around the source: what is promised on paper holds in the tree."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
from tests.repo.source import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = re.compile(r"^[A-Za-z0-9_.-]+")


def _names(requirements: list[str]) -> set[str]:
    return {match.group().lower() for requirement in requirements if (match := NAME.match(requirement))}


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return listed.stdout.splitlines()


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    extras = [requirement for group in PROJECT["optional-dependencies"].values() for requirement in group]
    missing = {name for name in _names(PROJECT["dependencies"] + extras) if f"`{name}`" not in text}
    assert missing == set()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_pin_has_a_hash(lock: str) -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    pinned = {re.split(r"==| ", block)[0].lower().replace("_", "-") for block in blocks}
    assert all("==" in block and "--hash=sha256:" in block for block in blocks)
    runtime = {name.replace("_", "-") for name in _names(PROJECT["dependencies"])}
    assert runtime <= pinned


def test_the_map_names_every_package_and_file() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    files = {line.split("src/trimtab/")[1] for line in _tracked() if line.startswith("src/trimtab/") and line.endswith(".py")}
    missing = {file for file in files if not file.endswith("__init__.py") and file.split("/")[-1].removesuffix(".py") not in text}
    assert missing == set()


def test_no_file_of_this_project_names_a_machine() -> None:
    """Paths of a developer's machine have no place in the project."""
    found = subprocess.run(
        ["git", "grep", "-nIE", r"(^|[\"' (])/(work|farm|root|home)/", "--", ":!*.lock"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == "" or found.returncode > 1


def test_changelog_fragments_are_one_sentence_of_outcome() -> None:
    for fragment in (ROOT / "changelog.d").glob("*.md"):
        if fragment.name == "README.md":
            continue
        assert fragment.suffixes[-2] in (".added", ".changed", ".fixed", ".removed", ".security"), fragment.name
        text = fragment.read_text().strip()
        assert "\n" not in text, f"{fragment.name} is longer than a line"
        assert len(text.split()) <= 30, f"{fragment.name} is longer than 30 words"
