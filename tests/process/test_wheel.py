"""The wheel holds what is needed, nothing else, and works on its own."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.terminal import environment, run

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, env=environment(folder))
    assert built.status == 0, built.err
    (file,) = folder.glob("*.whl")
    return file


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
    information = {Path(name).name for name in sizes if ".dist-info/" in name}
    assert {"LICENSE", "NOTICE", "entry_points.txt", "METADATA"} <= information
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
