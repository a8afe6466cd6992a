"""The wheel holds what is needed, nothing else, and works on its own."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tarfile
import zipfile
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.support.terminal import environment, run
from tools.sbom import read_lock

ROOT = Path(__file__).parents[2]
EPOCH = "1700000000"
FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
SBOM = "sboms/trimtab.cdx.json"

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("dist"), "wheel")


def build(source: Path, folder: Path, target: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    built = run(command, cwd=source, env=environment(folder, SOURCE_DATE_EPOCH=EPOCH))
    assert built.status == 0, built.err
    (file,) = folder.iterdir()
    return file


def information(wheel: Path, name: str) -> str:
    """A file of the wheel's ``.dist-info``."""
    with zipfile.ZipFile(wheel) as archive:
        (found,) = (
            member for member in archive.namelist() if member.split("/", 1)[0].endswith(".dist-info") and member.endswith(name)
        )
        return archive.read(found).decode()


def test_it_holds_every_module_and_every_data_file_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    source = ROOT / "src"
    expected = {str(file.relative_to(source)) for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    package = {name for name in sizes if ".dist-info/" not in name}
    assert expected == package
    for needed in (
        "trimtab/py.typed",
        "trimtab/config/default.toml",
        "trimtab/catalog/data/prices.json",
        "trimtab/signals/data/smollm2.tiktoken.gz",
        "trimtab/lab/upstream/failures.toml",
    ):
        assert needed in package
    assert {name.split("/")[0].split("-")[0] for name in sizes} == {"trimtab"}
    beside = {name.split(".dist-info/")[1] for name in sizes if ".dist-info/" in name}
    assert beside == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE", SBOM}
    assert information(wheel, "entry_points.txt").split() == ["[console_scripts]", "trimtab", "=", "trimtab.cli:main"]
    assert not [name for name in sizes if name.endswith(".pth")]
    assert not [name for name, size in sizes.items() if size > 1 << 20]


def test_it_works_unpacked_somewhere_else(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    env = environment(elsewhere, PYTHONPATH=str(site))
    where = run([sys.executable, "-P", "-c", "import trimtab; print(trimtab.__file__)"], cwd=elsewhere, env=env)
    assert where.out.strip() == str(site / "trimtab" / "__init__.py"), "the checkout was imported instead of the wheel"
    said = run([sys.executable, "-P", "-m", "trimtab", "config", "check", "--json"], cwd=elsewhere, env=env)
    assert said.status == 0, said.err
    checked = json.loads(said.out)
    assert [deployment["id"] for deployment in checked["deployments"]] == ["local"]
    assert list(elsewhere.iterdir()) == [], "a check writes nothing"


def test_the_source_archive_gives_the_same_bytes_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """Another folder, other times of the files, built a second time: nothing of it shows."""
    archive = build(ROOT, tmp_path / "first", "sdist")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path / "elsewhere", filter="data")
    (source,) = (tmp_path / "elsewhere").iterdir()
    assert build(source, tmp_path / "wheel", "wheel").read_bytes() == wheel.read_bytes()
    assert build(source, tmp_path / "second", "sdist").read_bytes() == archive.read_bytes()


# -- the bill of materials


def test_the_bill_is_valid(wheel: Path) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="needs cyclonedx-python-lib[json-validation]")
    schema = pytest.importorskip("cyclonedx.schema")
    check = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    text = information(wheel, SBOM)
    assert check.validate_str(text) is None
    assert check.validate_str(text.replace('"library"', '"libary"', 1)) is not None


def test_the_bill_is_dated_like_the_build(wheel: Path) -> None:
    assert json.loads(information(wheel, SBOM))["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"


_BESIDE = re.compile(r"\b(hub|import)\b")
"""Extras whose packages the lock does not pin."""


def test_the_bill_lists_what_the_wheel_asks_for_and_all_that_this_leads_to(wheel: Path) -> None:
    """The wheel's own metadata, and that of what is installed here, say whether something is missing."""
    document = json.loads(information(wheel, SBOM))
    components = {component["bom-ref"]: component for component in document["components"]}
    names = {ref: component["name"] for ref, component in components.items()}
    edges = {row["ref"]: {names[ref] for ref in row["dependsOn"]} for row in document["dependencies"]}
    root = document["metadata"]["component"]["bom-ref"]
    metadata = Parser().parsestr(information(wheel, "METADATA"))
    wanted = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    asked = {canonicalize_name(one.name) for one in wanted if not _BESIDE.search(str(one.marker))}
    assert edges[root] == asked
    checked = 0
    for ref, component in components.items():
        try:
            installed = distribution(component["name"])
        except PackageNotFoundError:
            continue  # for another system or Python
        needs = [Requirement(line) for line in installed.requires or ()]
        here = {canonicalize_name(one.name) for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})}
        if installed.version == component["version"]:
            assert here <= edges[ref], f"{ref} needs more than the bill says"
            checked += 1
    assert checked > len(components) / 2


def test_the_bill_has_the_locks_versions_and_hashes_and_no_tool_of_the_build(wheel: Path) -> None:
    lock = (ROOT / "requirements.lock").read_text()
    components = json.loads(information(wheel, SBOM))["components"]
    for component in components:
        assert f"{component['name']}=={component['version']} " in lock
        (files,) = component["externalReferences"]
        block = lock.split(f"{component['name']}=={component['version']} ")[1].split("# via")[0]
        assert {row["content"] for row in files["hashes"]} == set(re.findall(r"sha256:(\w+)", block))
    names = {component["name"] for component in components}
    assert not names & {"hatchling", "editables", "pathspec", "pluggy", "trove-classifiers"}
    assert {component["name"] for component in components if component["scope"] == "optional"} >= {"xllamacpp", "gguf", "pip"}


@pytest.mark.parametrize("block", ["click\n", "click==8.5.1 \\\n    --hash=sha256:" + "0" * 64, "click==8.5.1\n    # via trimtab"])
def test_a_lock_that_says_too_little_stops_the_build(block: str) -> None:
    with pytest.raises(ValueError, match=r"click.*make lock"):
        read_lock(block)


def test_an_editable_install_does_without_it(tmp_path: Path) -> None:
    """``make lock`` starts from one, and that is when the lock is out of date."""
    source = tmp_path / "source"
    shutil.copytree(
        ROOT, source, ignore=lambda _, names: set(names) - {"src", "tools", "trimtab", "sbom.py", "__init__.py", *FILES}
    )
    (source / "requirements.lock").write_text("click\n")
    file = build(source, tmp_path / "dist", "wheel:editable")
    with zipfile.ZipFile(file) as archive:
        assert not [name for name in archive.namelist() if "sboms" in name]


# -- pip install trimtab


def test_it_installs_into_a_new_environment_and_runs(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    env = environment(tmp_path)
    uv = [sys.executable, "-m", "uv"]
    assert run([*uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv")], cwd=tmp_path, env=env).status == 0
    pins = tmp_path / "pins.txt"
    pins.write_text("\n".join(re.findall(r"^[^#\s][^\\\n]*", (ROOT / "requirements.lock").read_text(), re.MULTILINE)))
    install = [*uv, "pip", "install", "--quiet", "--python", str(python), "--constraint", str(pins), str(wheel)]
    installed = run(install, cwd=tmp_path, env=env)
    if "Failed to fetch" in installed.err or "Request failed" in installed.err:
        pytest.skip("no package index can be reached here")
    assert installed.status == 0, installed.err
    command, elsewhere = str(python.parent / "trimtab"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run([command, "--version"], cwd=elsewhere, env=environment(elsewhere)).out.split()[-1] in wheel.name
    checked = run([command, "config", "check"], cwd=elsewhere, env=environment(elsewhere))
    assert checked.status == 0, checked.err
    assert "sound" in checked.out
    assert list(elsewhere.iterdir()) == []
